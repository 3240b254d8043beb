//! The state of one check of a family: the plugins under test and the findings.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use nephoscope_model::Resource;
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Conformance;
use crate::testing::kit::{Kit, cycle, split};
use crate::testing::outcome::Outcome;
use crate::testing::schema;
use crate::{BuildError, Catalog, CycleCache, DiscoveryDefinition, PollContext, PollsterDefinition};

/// How long the check waits for an operation that must complete immediately.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// The deadline of a discovery run or poll.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);

/// The maximum number of discovered resources that are checked.
pub(super) const MAX_RESOURCES: usize = 10_000;

/// A family under test.
pub(super) struct Check {
    pub(super) setup: Conformance,
    /// What the program links, and below what the family defines from its options and files.
    pub(super) linked: Catalog,
    pub(super) catalog: Catalog,
    pub(super) discoveries: Vec<Arc<DiscoveryDefinition>>,
    pub(super) pollsters: Vec<Arc<PollsterDefinition>>,
    pub(super) findings: Vec<String>,
}

impl Check {
    pub(super) fn new(setup: Conformance, linked: Catalog) -> Self {
        let mut check = Self {
            setup,
            catalog: linked.clone(),
            linked,
            discoveries: Vec::new(),
            pollsters: Vec::new(),
            findings: Vec::new(),
        };
        let kit = check.fresh_kit();
        let is_of = |family: &str| family == check.setup.family;
        let discoveries = kit.catalog().discoveries().iter();
        check.discoveries = discoveries.filter(|one| is_of(one.family())).cloned().collect();
        let pollsters = kit.catalog().pollsters().iter();
        check.pollsters = pollsters.filter(|one| is_of(one.family())).cloned().collect();
        check.findings = kit.problems().iter().map(ToString::to_string).collect();
        check.catalog = kit.catalog().clone();
        check
    }

    pub(super) async fn run(&mut self) {
        let Some(family) = self.kit(Value::Null).family() else {
            self.find(format!("the family `{}` is not registered", self.setup.family));
            return;
        };
        if self.discoveries.is_empty() && self.pollsters.is_empty() {
            self.find("the family has neither a discovery nor a pollster");
        }
        schema::check_line(&mut self.findings, "the family", family.description);
        self.check_declarations();
        let mut secrets = self.setup.options.clone();
        let mut has_secrets = false;
        if let Some(spec) = family.options {
            let schema = spec.schema().to_value();
            schema::check(&mut self.findings, &schema, schema::Required::Never);
            has_secrets = schema::fill_secrets(&schema, &mut secrets);
            self.check_options();
        }
        if !self.check_builds() {
            return;
        }
        for plugin in self.discoveries.clone() {
            for url in self.urls(&plugin) {
                self.check_discovery(&plugin, &url).await;
            }
        }
        for plugin in self.pollsters.clone() {
            self.check_poll(&plugin).await;
        }
        if has_secrets {
            self.check_secrets(secrets).await;
        }
    }

    pub(super) fn find(&mut self, finding: impl Into<String>) {
        let finding = finding.into();
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    pub(super) fn kit(&self, options: Value) -> Kit {
        let kit = Kit::of(self.linked.clone(), &self.setup.family).options(options);
        let others = self.setup.options_of.iter();
        others.fold(kit, |kit, (family, options)| {
            kit.options_of(family, options.clone())
        })
    }

    pub(super) fn fresh_kit(&self) -> Kit {
        self.kit(self.setup.options.clone())
    }

    /// The URLs to run for a discovery.
    pub(super) fn urls(&self, plugin: &DiscoveryDefinition) -> Vec<String> {
        let is_of = |url: &&str| split(url).0 == &*plugin.name;
        let configured: Vec<_> = self
            .setup
            .discovery_urls
            .iter()
            .map(String::as_str)
            .filter(is_of)
            .collect();
        let defaults: BTreeSet<_> = self
            .pollsters
            .iter()
            .filter_map(|pollster| pollster.default_discovery.as_deref())
            .filter(is_of)
            .collect();
        let urls = if configured.is_empty() {
            defaults.into_iter().collect()
        } else {
            configured
        };
        if urls.is_empty() {
            return vec![plugin.name.to_string()];
        }
        urls.into_iter().map(str::to_owned).collect()
    }

    /// The resources to poll: those of the pollster's default discovery, and those that the test adds.
    pub(super) async fn resources(&mut self, kit: &Kit, plugin: &PollsterDefinition) -> Vec<Resource> {
        let mut resources: Vec<_> = self
            .setup
            .resources
            .iter()
            .map(|key| Resource::new(key.as_str()))
            .collect();
        let Some(default) = plugin.default_discovery.as_deref() else {
            return resources;
        };
        let discoveries = self.discoveries.clone();
        if let Some(discovery) = discoveries.iter().find(|known| *known.name == *split(default).0) {
            for url in self.urls(discovery) {
                let discovered = kit
                    .discovery(&url)
                    .deadline(DEADLINE)
                    .limit(MAX_RESOURCES)
                    .list()
                    .await;
                // A failure was already found when the discovery was checked.
                resources.extend(discovered.unwrap_or_default());
            }
        }
        let mut seen = HashSet::new();
        resources.retain(|resource| seen.insert(resource.key().clone()));
        resources
    }

    pub(super) async fn poll(
        &self,
        kit: &Kit,
        plugin: &PollsterDefinition,
        resources: Vec<Resource>,
    ) -> Outcome {
        kit.pollster(&plugin.name)
            .discovered(resources)
            .deadline(DEADLINE)
            .poll()
            .await
    }

    pub(super) fn build_errors(&self, kit: &Kit) -> Vec<(String, BuildError)> {
        let discoveries = self.discoveries.iter().filter_map(|plugin| {
            let error = kit.build_discovery(plugin).err()?;
            Some((format!("the discovery `{}`", plugin.name), error))
        });
        let pollsters = self.pollsters.iter().filter_map(|plugin| {
            let error = kit.build_pollster(plugin).err()?;
            Some((format!("the pollster `{}`", plugin.name), error))
        });
        discoveries.chain(pollsters).collect()
    }

    fn check_builds(&mut self) -> bool {
        let errors = self.build_errors(&self.fresh_kit());
        for (name, error) in &errors {
            self.find(format!("{name} cannot be built: {error}"));
        }
        errors.is_empty()
    }
}

/// A context before its deadline.
pub(super) fn open_context() -> PollContext {
    let deadline = Instant::now() + DEADLINE;
    PollContext::new(
        cycle(3),
        deadline,
        CancellationToken::new(),
        CycleCache::default(),
    )
}

/// A cancelled context at its deadline.
pub(super) fn ended_context() -> PollContext {
    let mut context = open_context();
    context.deadline = Instant::now();
    context.cancellation.cancel();
    context
}
