//! The versions of a schedule's task while a reload waits for its plan.
//!
//! A reload changes the host's own runs immediately. Shared runs change with the first plan that lists this agent with its new
//! units: until then the other agents rely on this agent for the old ones.

use std::sync::Arc;

use nephoscope_coordination::{Plan, Unit};

use crate::task::TaskDef;

/// The number of older tasks that are stored for their plans. With more reloads than this between two cycles, a plan whose
/// task is dropped uses the oldest one left.
const MAX_OLDER: usize = 4;

/// The newest task of a schedule, and the earlier tasks whose shared units a plan may still list.
pub struct Generations {
    newest: Arc<TaskDef>,
    /// Newest first.
    older: Vec<Arc<TaskDef>>,
}

impl Generations {
    /// Creates the versions of a new schedule.
    pub fn new(task: Arc<TaskDef>) -> Self {
        Self {
            newest: task,
            older: Vec::new(),
        }
    }

    /// The task of the current configuration.
    pub fn newest(&self) -> &Arc<TaskDef> {
        &self.newest
    }

    /// All tasks, newest first.
    pub fn all(&self) -> impl Iterator<Item = &Arc<TaskDef>> + Clone {
        std::iter::once(&self.newest).chain(&self.older)
    }

    /// Whether any of them has runs on shared resources.
    pub fn has_shared_runs(&self) -> bool {
        self.all().any(|task| task.has_shared_runs())
    }

    /// Adds the task of a reload.
    pub fn push(&mut self, task: Arc<TaskDef>) {
        let before = std::mem::replace(&mut self.newest, task);
        if before.has_shared_runs() || !self.older.is_empty() {
            self.older.insert(0, before);
            self.older.truncate(MAX_OLDER);
        }
    }

    /// Returns the task whose shared runs `plan` refers to. Drops earlier tasks, since no later plan lists their units.
    pub fn choose(&mut self, plan: &dyn Plan) -> Arc<TaskDef> {
        let listed = |task: &TaskDef| {
            let units: Vec<Unit> = task.shared_units().cloned().collect();
            plan.lists(&units)
        };
        if listed(&self.newest) {
            self.older.clear();
            return self.newest.clone();
        }
        // No task matches if the plan does not include this agent, or knows an older version of it.
        if let Some(index) = self.older.iter().position(|task| listed(task)) {
            self.older.truncate(index + 1);
        }
        self.older.last().unwrap_or(&self.newest).clone()
    }

    /// Returns the task with the most of these units; if several have the same number, the newest.
    pub fn with_most_of(&self, units: &[Unit]) -> Arc<TaskDef> {
        let has = |task: &TaskDef| {
            units
                .iter()
                .filter(|unit| task.shared_units().any(|own| own == *unit))
                .count()
        };
        // `max_by_key` returns the last maximum.
        let all: Vec<_> = self.all().collect();
        let best = all.into_iter().rev().max_by_key(|task| has(task));
        best.unwrap_or(&self.newest).clone()
    }
}
