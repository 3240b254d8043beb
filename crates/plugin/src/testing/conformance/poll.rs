//! Polls: each resource reported once or failed, unique ids, and an end when cancelled.

use std::collections::HashSet;
use std::sync::Arc;

use nephoscope_model::Resource;

use super::check::{Check, PATIENCE, ended_context, open_context};
use crate::testing::kit::Started;
use crate::testing::outcome::Outcome;
use crate::{FailureKind, Pollster, PollsterDefinition};

/// A key that no discovery lists.
const STRANGER: &str = "a-resource-that-no-discovery-lists";

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
        self.check_account(&name, &resources, &outcome);
        let mut ids = HashSet::new();
        for sample in &outcome.samples {
            if sample.subject.resource_id.is_empty() {
                self.find(format!(
                    "{name} gives samples of `{}` no resource id",
                    sample.meter.name
                ));
            }
            if !ids.insert(sample.id.clone()) {
                self.find(format!(
                    "{name} gives two samples of `{}` of `{}` one id",
                    sample.meter.name, sample.subject.resource_id
                ));
            }
        }
        // A static entry of `resources:` that the family knows nothing of.
        let stranger = vec![Resource::new(STRANGER)];
        let outcome = self.poll(&kit, plugin, stranger.clone()).await;
        for defect in &outcome.defects {
            self.find(format!(
                "{name}, given a resource that it does not know: {defect}"
            ));
        }
        if let Some(error) = &outcome.error {
            self.find(format!(
                "{name}, given a resource that it does not know, ends the whole poll: {}",
                error.chain()
            ));
        }
        self.check_account(&name, &stranger, &outcome);
        if let Ok(pollster) = kit.build_pollster(plugin) {
            self.check_poll_ends(&name, plugin, pollster, resources).await;
        }
    }

    /// Every resource is reported on, once, or has failed.
    fn check_account(&mut self, name: &str, resources: &[Resource], outcome: &Outcome) {
        let mut reported = HashSet::new();
        for key in &outcome.reported {
            if !reported.insert(key.as_str()) {
                self.find(format!(
                    "{name} reports on `{key}` twice: ids of its samples repeat"
                ));
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
            self.find(format!("{name} neither reports on `{}` nor says why", lost.key()));
        }
        for failure in &outcome.failures {
            if failure.chain.trim().is_empty() {
                self.find(format!("{name} says nothing of the failure of `{}`", failure.key));
            }
            if failure.kind == FailureKind::Stopped {
                self.find(format!("{name} says of `{}` that it was stopped", failure.key));
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
        let begin = |context| Started::begin(pollster.clone(), plugin, None, "", context);
        // Cancelled and late from the start.
        let mut started = begin(ended_context());
        started.feed(resources.clone());
        if !started.cancel(PATIENCE).await.1 {
            self.find(format!(
                "{name} does not end when it is cancelled before it begins"
            ));
        }
        // Cancelled while it waits for a page that never comes.
        let started = begin(open_context());
        tokio::task::yield_now().await;
        if !started.cancel(PATIENCE).await.1 {
            self.find(format!(
                "{name} does not end when it is cancelled while it waits for resources"
            ));
        }
        // Cancelled under way.
        let mut started = begin(open_context());
        started.feed(resources);
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        if !started.cancel(PATIENCE).await.1 {
            self.find(format!("{name} does not end when it is cancelled under way"));
        }
    }
}
