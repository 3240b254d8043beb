//! The tasks of a schedule while a reload waits for its plan.
//!
//! After a reload the host's own runs change at once. What agents share changes with the first plan that lists this
//! agent with its new units: until then the others count on it for the old ones.

use std::sync::Arc;

use nephoscope_coordination::{Plan, Unit};

use crate::task::TaskDef;

/// Tasks that are kept for plans that are still to come; that many reloads must come between two cycles before a
/// plan finds its task gone, and is met with the oldest there is.
const KEPT: usize = 4;

/// The newest task of a schedule, and those before it whose shared units a plan may still list.
pub struct Generations {
    newest: Arc<TaskDef>,
    /// Newest first.
    older: Vec<Arc<TaskDef>>,
}

impl Generations {
    /// A schedule that is new.
    pub fn new(task: Arc<TaskDef>) -> Self {
        Self {
            newest: task,
            older: Vec::new(),
        }
    }

    /// The task of the configuration in use.
    pub fn newest(&self) -> &Arc<TaskDef> {
        &self.newest
    }

    /// All, newest first.
    pub fn all(&self) -> impl Iterator<Item = &Arc<TaskDef>> + Clone {
        std::iter::once(&self.newest).chain(&self.older)
    }

    /// Whether any of them has runs on what agents share.
    pub fn have_shared_runs(&self) -> bool {
        self.all().any(|task| task.has_shared_runs())
    }

    /// A reload brings this one.
    pub fn push(&mut self, task: Arc<TaskDef>) {
        let before = std::mem::replace(&mut self.newest, task);
        if before.has_shared_runs() || !self.older.is_empty() {
            self.older.insert(0, before);
            self.older.truncate(KEPT);
        }
    }

    /// The task whose shared runs `plan` counts on. Those before it are forgotten: no later plan lists their units.
    pub fn choose(&mut self, plan: &dyn Plan) -> Arc<TaskDef> {
        let listed = |task: &TaskDef| {
            let units: Vec<Unit> = task.shared_units().cloned().collect();
            plan.lists(&units)
        };
        if listed(&self.newest) {
            self.older.clear();
            return self.newest.clone();
        }
        // Of none of them it is true if the plan is without this agent, or knows it from longer ago.
        if let Some(place) = self.older.iter().position(|task| listed(task)) {
            self.older.truncate(place + 1);
        }
        self.older.last().unwrap_or(&self.newest).clone()
    }

    /// The task that has the most of these units; of several, the newest.
    pub fn with_most_of(&self, units: &[Unit]) -> Arc<TaskDef> {
        let has = |task: &TaskDef| {
            units
                .iter()
                .filter(|unit| task.shared_units().any(|own| own == *unit))
                .count()
        };
        // `max_by_key` gives the last of several.
        let all: Vec<_> = self.all().collect();
        let best = all.into_iter().rev().max_by_key(|task| has(task));
        best.unwrap_or(&self.newest).clone()
    }
}
