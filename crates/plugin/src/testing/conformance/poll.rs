//! Checks of polls: each resource is reported once or fails, ids are unique, and a cancelled poll ends.

use std::collections::HashSet;
use std::sync::Arc;

use nephoscope_model::Resource;

use super::check::{Check, PATIENCE, ended_context, open_context};
use crate::testing::kit::Started;
use crate::testing::outcome::Outcome;
use crate::{FailureKind, Pollster, PollsterDefinition};

/// A key that no discovery lists.
const UNKNOWN_RESOURCE: &str = "a-resource-that-no-discovery-lists";

impl Check {
    pub(super) async fn check_poll(&mut self, plugin: &PollsterDefinition) {
        let name = format!("the pollster `{}`", plugin.name);
        let kit = self.fresh_kit();
        let resources = self.resources(&kit, plugin).await;
        let outcome = self.poll(&kit, plugin, resources.clone()).await;
        for defect in &outcome.defects {
            self.find(format!("{name}: {defect}"));
        }
        if let Some(error) = &outcome.error {
            self.find(format!("{name} failed: {}: {}", error.kind(), error.chain()));
        }
        self.check_coverage(&name, &resources, &outcome);
        let mut ids = HashSet::new();
        for sample in &outcome.samples {
            if sample.subject.resource_id.is_empty() {
                self.find(format!(
                    "{name} reports samples of `{}` without a resource id",
                    sample.meter.name
                ));
            }
            if !ids.insert(sample.id.clone()) {
                self.find(format!(
                    "{name} reports two samples of `{}` of `{}` with the same id",
                    sample.meter.name, sample.subject.resource_id
                ));
            }
        }
        // A static entry of `resources:` that the family does not know.
        let unknown = vec![Resource::new(UNKNOWN_RESOURCE)];
        let outcome = self.poll(&kit, plugin, unknown.clone()).await;
        for defect in &outcome.defects {
            self.find(format!("{name}, given an unknown resource: {defect}"));
        }
        if let Some(error) = &outcome.error {
            self.find(format!(
                "{name}, given an unknown resource, ends the whole poll: {}",
                error.chain()
            ));
        }
        self.check_coverage(&name, &unknown, &outcome);
        if let Ok(pollster) = kit.build_pollster(plugin) {
            self.check_poll_ends(&name, plugin, pollster, resources).await;
        }
    }

    /// Checks that every resource is reported exactly once or has failed.
    fn check_coverage(&mut self, name: &str, resources: &[Resource], outcome: &Outcome) {
        let mut reported = HashSet::new();
        for key in &outcome.reported {
            if !reported.insert(key.as_str()) {
                self.find(format!("{name} reports on `{key}` twice, so sample ids repeat"));
            }
        }
        if outcome.error.is_some() || !outcome.defects.is_empty() {
            return;
        }
        let failed: HashSet<_> = outcome
            .failures
            .iter()
            .map(|failure| failure.key.as_str())
            .collect();
        let lost = resources
            .iter()
            .find(|resource| !reported.contains(&**resource.key()) && !failed.contains(&**resource.key()));
        if let Some(lost) = lost {
            self.find(format!("{name} neither reports on nor fails `{}`", lost.key()));
        }
        for failure in &outcome.failures {
            if failure.chain.trim().is_empty() {
                self.find(format!("{name} fails `{}` without a message", failure.key));
            }
            if failure.kind == FailureKind::Stopped {
                self.find(format!("{name} fails `{}` with the kind `stopped`", failure.key));
            }
        }
    }

    async fn check_poll_ends(
        &mut self,
        name: &str,
        plugin: &PollsterDefinition,
        pollster: Arc<dyn Pollster>,
        resources: Vec<Resource>,
    ) {
        let start = |context| Started::start(pollster.clone(), plugin, None, "", context);
        // Cancelled and past its deadline from the start.
        let mut started = start(ended_context());
        started.feed(resources.clone());
        if !started.cancel(PATIENCE).await.1 {
            self.find(format!(
                "{name} does not end when it is cancelled before it starts"
            ));
        }
        // Cancelled while it waits for a page that never arrives.
        let started = start(open_context());
        tokio::task::yield_now().await;
        if !started.cancel(PATIENCE).await.1 {
            self.find(format!(
                "{name} does not end when it is cancelled while it waits for resources"
            ));
        }
        // Cancelled while it polls.
        let mut started = start(open_context());
        started.feed(resources);
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        if !started.cancel(PATIENCE).await.1 {
            self.find(format!("{name} does not end when it is cancelled while it polls"));
        }
    }
}
