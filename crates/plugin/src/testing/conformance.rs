//! Tries what every plugin of a family promises.

use std::collections::{BTreeSet, HashSet};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use nephoscope_model::Resource;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::kit::{Kit, Started, cycle, split};
use super::outcome::Outcome;
use super::schema::{self, CANARY};
use crate::{
    BuildError, CycleCache, Discovery, DiscoveryPlugin, DiscoveryRun, DiscoveryRunParts, FailureKind,
    PollContext, Pollster, PollsterPlugin, Registry, WantedMeters,
};

/// How long the check waits for something that must come at once.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a listing or poll may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// How much of a listing is looked at.
const AT_MOST: usize = 10_000;

/// The longest key that keeps the agent's bounds.
const LONGEST_KEY: usize = 1024;

/// A key that no plugin has as an option.
const UNKNOWN_OPTION: &str = "no_such_option";

/// A key that no discovery lists.
const STRANGER: &str = "a-resource-that-no-discovery-lists";

/// Checks a family with its default options. See [`Conformance`].
///
/// # Panics
///
/// When a promise is not kept; all that were broken are named.
pub async fn conformance(family: &str) {
    Conformance::of(family).check().await;
}

/// The check of a family: what each of its discoveries and pollsters promises.
///
/// - Names, descriptions, units and declared calls are well formed; default discoveries exist.
/// - Options have a schema that names every key, refuses unknown ones and needs none.
/// - Listings give the same keys each time, none twice.
/// - Polls report each resource once, with declared meters and numbers, and unique ids; a resource that
///   the family does not know fails alone.
/// - Listings and polls end when they are cancelled.
/// - No secret option shows in any output.
///
/// What the family calls must answer each time that it is called.
#[must_use = "nothing is checked until `check`"]
pub struct Conformance {
    registry: Option<Arc<Registry>>,
    family: String,
    options: Value,
    options_of: Vec<(String, Value)>,
    listings: Vec<String>,
    resources: Vec<String>,
    elsewhere: Vec<String>,
    unitless: Vec<String>,
}

impl Conformance {
    /// The check of the family of this name, with its default options.
    pub fn of(family: &str) -> Self {
        Self {
            registry: None,
            family: family.to_owned(),
            options: Value::Null,
            options_of: Vec::new(),
            listings: Vec::new(),
            resources: Vec::new(),
            elsewhere: Vec::new(),
            unitless: Vec::new(),
        }
    }

    /// Uses these options.
    pub fn options(mut self, options: Value) -> Self {
        self.options = options;
        self
    }

    /// Uses these options of another family, which this one uses.
    pub fn options_of(mut self, family: &str, options: Value) -> Self {
        self.options_of.push((family.to_owned(), options));
        self
    }

    /// Lists this URL, where the default discoveries of the pollsters (and the bare name of a discovery that
    /// none of them uses) are not what to try.
    pub fn listing(mut self, url: &str) -> Self {
        self.listings.push(url.to_owned());
        self
    }

    /// Polls these resources too, as if they stood in a `resources:` list.
    pub fn resources<T: Into<String>>(mut self, keys: impl IntoIterator<Item = T>) -> Self {
        self.resources.extend(keys.into_iter().map(Into::into));
        self
    }

    /// Default discoveries that other crates register.
    pub fn elsewhere<T: Into<String>>(mut self, discoveries: impl IntoIterator<Item = T>) -> Self {
        self.elsewhere.extend(discoveries.into_iter().map(Into::into));
        self
    }

    /// Meters whose unit is empty on purpose.
    pub fn unitless<T: Into<String>>(mut self, meters: impl IntoIterator<Item = T>) -> Self {
        self.unitless.extend(meters.into_iter().map(Into::into));
        self
    }

    /// Runs the check.
    ///
    /// # Panics
    ///
    /// When a promise is not kept; all that were broken are named.
    pub async fn check(self) {
        let family = self.family.clone();
        let findings = self.findings().await;
        assert!(
            findings.is_empty(),
            "the family `{family}` does not conform:\n- {}",
            findings.join("\n- ")
        );
    }

    /// Runs the check and gives what it found.
    pub async fn findings(self) -> Vec<String> {
        let registry = match &self.registry {
            Some(registry) => registry.clone(),
            None => match Registry::collect() {
                Ok(registry) => Arc::new(registry),
                Err(error) => return vec![error.to_string()],
            },
        };
        let mut check = Check {
            discoveries: of_family(&registry.discoveries, |plugin| plugin.family == self.family),
            pollsters: of_family(&registry.pollsters, |plugin| plugin.family == self.family),
            setup: self,
            registry,
            findings: Vec::new(),
        };
        check.run().await;
        check.findings
    }

    #[cfg(test)]
    fn in_registry(mut self, registry: Registry) -> Self {
        self.registry = Some(Arc::new(registry));
        self
    }
}

fn of_family<T>(all: &[&'static T], is_of: impl Fn(&T) -> bool) -> Vec<&'static T> {
    all.iter().copied().filter(|plugin| is_of(plugin)).collect()
}

struct Check {
    setup: Conformance,
    registry: Arc<Registry>,
    discoveries: Vec<&'static DiscoveryPlugin>,
    pollsters: Vec<&'static PollsterPlugin>,
    findings: Vec<String>,
}

impl Check {
    async fn run(&mut self) {
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
            for url in self.urls(plugin) {
                self.check_listing(plugin, &url).await;
            }
        }
        for plugin in self.pollsters.clone() {
            self.check_poll(plugin).await;
        }
        if has_secrets {
            self.check_secrets(secrets).await;
        }
    }

    fn find(&mut self, finding: impl Into<String>) {
        let finding = finding.into();
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    fn kit(&self, options: Value) -> Kit {
        let kit = Kit::of(self.registry.clone(), &self.setup.family).options(options);
        let others = self.setup.options_of.iter();
        others.fold(kit, |kit, (family, options)| {
            kit.options_of(family, options.clone())
        })
    }

    fn fresh_kit(&self) -> Kit {
        self.kit(self.setup.options.clone())
    }

    /// The URLs to list of a discovery.
    fn urls(&self, plugin: &DiscoveryPlugin) -> Vec<String> {
        let is_of = |url: &&str| split(url).0 == plugin.name;
        let said: Vec<_> = self
            .setup
            .listings
            .iter()
            .map(String::as_str)
            .filter(is_of)
            .collect();
        let defaults: BTreeSet<_> = self
            .pollsters
            .iter()
            .filter_map(|pollster| pollster.default_discovery)
            .filter(is_of)
            .collect();
        let urls = if said.is_empty() {
            defaults.into_iter().collect()
        } else {
            said
        };
        if urls.is_empty() {
            return vec![plugin.name.to_owned()];
        }
        urls.into_iter().map(str::to_owned).collect()
    }

    fn check_declarations(&mut self) {
        let findings = &mut self.findings;
        for plugin in &self.discoveries {
            let name = format!("the discovery `{}`", plugin.name);
            check_name(findings, &name, plugin.name);
            schema::check_line(findings, &name, plugin.description);
            check_namespaces(findings, &name, plugin.namespaces);
            check_calls(findings, &name, plugin.calls);
        }
        for plugin in &self.pollsters {
            let name = format!("the pollster `{}`", plugin.name);
            check_name(findings, &name, plugin.name);
            schema::check_line(findings, &name, plugin.description);
            check_namespaces(findings, &name, plugin.namespaces);
            check_calls(findings, &name, plugin.calls);
            if plugin.meters.is_empty() {
                findings.push(format!("{name} declares no meter"));
            }
            for meter in plugin.meters {
                let name = format!("the meter `{}`", meter.name);
                let names = std::iter::once(meter.name).chain(meter.published_name);
                for part in names.chain(meter.aliases.iter().copied()) {
                    check_name(findings, &name, part);
                }
                schema::check_line(findings, &name, meter.description);
                let is_unitless = self.setup.unitless.iter().any(|name| name == meter.name);
                if meter.unit.trim().is_empty() && !is_unitless {
                    findings.push(format!("{name} has no unit"));
                }
            }
            let Some(url) = plugin.default_discovery else {
                continue;
            };
            let discovery = split(url).0;
            let shares_namespace = |known: &&&DiscoveryPlugin| {
                known.name == discovery
                    && plugin
                        .namespaces
                        .iter()
                        .all(|namespace| known.namespaces.contains(namespace))
            };
            let known = self.registry.discoveries.iter().find(shares_namespace).is_some();
            if !known && !self.setup.elsewhere.iter().any(|name| name == discovery) {
                findings.push(format!(
                    "{name} asks the discovery `{discovery}`, which is not registered in all of its namespaces"
                ));
            }
        }
    }

    /// Options: none and `{}` are accepted, an unknown key is not.
    fn check_options(&mut self) {
        for (shown, options) in [("no options", Value::Null), ("`{}`", json!({}))] {
            for (name, error) in self.option_errors(options) {
                self.find(format!("{name} refuses {shown}: {error}"));
            }
        }
        let mut unknown = self.setup.options.clone();
        if unknown.is_null() {
            unknown = json!({});
        }
        if let Some(keys) = unknown.as_object_mut() {
            keys.insert(UNKNOWN_OPTION.to_owned(), true.into());
        }
        if self.option_errors(unknown).is_empty() {
            self.find("an option that does not exist is accepted");
        }
    }

    /// The plugins that say that these options are wrong.
    fn option_errors(&self, options: Value) -> Vec<(String, String)> {
        let kit = self.kit(options);
        self.build_errors(&kit)
            .into_iter()
            .filter_map(|(name, error)| match error {
                BuildError::Options(error) => Some((name, error.to_string())),
                BuildError::Unavailable(_) => None,
            })
            .collect()
    }

    fn build_errors(&self, kit: &Kit) -> Vec<(String, BuildError)> {
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

    async fn check_listing(&mut self, plugin: &'static DiscoveryPlugin, url: &str) {
        // Another instance and the next cycle: what stays the same is stable.
        let mut listings = Vec::new();
        for number in [1, 2] {
            let kit = self.fresh_kit();
            let listing = kit
                .discovery(url)
                .cycle(number)
                .deadline(DEADLINE)
                .at_most(AT_MOST)
                .list()
                .await;
            match listing {
                Ok(resources) => listings.push(resources),
                Err(failure) => {
                    self.find(format!(
                        "the listing `{url}` failed: {}: {}",
                        failure.kind(),
                        failure.chain()
                    ));
                    return;
                }
            }
        }
        let mut keys = Vec::new();
        for listing in &listings {
            let mut seen = HashSet::new();
            for resource in listing {
                let key = resource.key();
                if key.is_empty() || key.len() > LONGEST_KEY || key.chars().any(char::is_control) {
                    self.find(format!("the listing `{url}` has the key {key:?}"));
                }
                if !seen.insert(key.clone()) {
                    self.find(format!("the listing `{url}` has `{key}` twice"));
                }
            }
            keys.push(seen);
        }
        if let [first, second] = keys.as_slice()
            && let Some(key) = first.symmetric_difference(second).min()
        {
            self.find(format!("the keys of the listing `{url}` are not stable: `{key}`"));
        }
        self.check_listing_ends(plugin, url).await;
    }

    async fn check_listing_ends(&mut self, plugin: &'static DiscoveryPlugin, url: &str) {
        let Ok(discovery) = self.fresh_kit().build_discovery(plugin) else {
            return;
        };
        // Cancelled and late from the start.
        let context = ended_context();
        if !ends_when_cancelled(discovery.clone(), url.to_owned(), context).await {
            self.find(format!(
                "the listing `{url}` does not end when it is cancelled before it begins"
            ));
        }
        // Cancelled when it is under way: the first moment at which it waits for anything.
        let context = open_context();
        let cancellation = context.cancellation.clone();
        let listing = tokio::spawn(ends_when_cancelled(discovery, url.to_owned(), context));
        tokio::task::yield_now().await;
        cancellation.cancel();
        if !listing.await.unwrap_or(false) {
            self.find(format!("the listing `{url}` does not end when it is cancelled"));
        }
    }

    async fn check_poll(&mut self, plugin: &'static PollsterPlugin) {
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
        plugin: &'static PollsterPlugin,
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

    /// What a pollster is tried on: what its default discovery lists, and what the test adds.
    async fn resources(&mut self, kit: &Kit, plugin: &PollsterPlugin) -> Vec<Resource> {
        let mut resources: Vec<_> = self
            .setup
            .resources
            .iter()
            .map(|key| Resource::new(key.as_str()))
            .collect();
        let Some(default) = plugin.default_discovery else {
            return resources;
        };
        let discoveries = self.discoveries.clone();
        if let Some(discovery) = discoveries.iter().find(|known| known.name == split(default).0) {
            for url in self.urls(discovery) {
                let listing = kit
                    .discovery(&url)
                    .deadline(DEADLINE)
                    .at_most(AT_MOST)
                    .list()
                    .await;
                // A failure was found when the listing was checked.
                resources.extend(listing.unwrap_or_default());
            }
        }
        let mut seen = HashSet::new();
        resources.retain(|resource| seen.insert(resource.key().clone()));
        resources
    }

    async fn poll(&self, kit: &Kit, plugin: &PollsterPlugin, resources: Vec<Resource>) -> Outcome {
        kit.pollster(plugin.name)
            .found(resources)
            .deadline(DEADLINE)
            .poll()
            .await
    }

    /// No secret option shows in any output. (That a service refuses the canaries is no finding.)
    async fn check_secrets(&mut self, options: Value) {
        let kit = self.kit(options);
        let mut output = String::new();
        for (name, error) in self.build_errors(&kit) {
            output.push_str(&format!("{name}: {error} {error:?}\n"));
        }
        let mut resources = Vec::new();
        for plugin in &self.discoveries {
            let Ok(_) = kit.build_discovery(plugin) else {
                continue;
            };
            for url in self.urls(plugin) {
                match kit
                    .discovery(&url)
                    .deadline(DEADLINE)
                    .at_most(AT_MOST)
                    .list()
                    .await
                {
                    Ok(found) => resources.extend(found),
                    Err(failure) => output.push_str(&format!("{} {failure:?}\n", failure.chain())),
                }
            }
        }
        for resource in &resources {
            output.push_str(&format!("{resource:?} {:?}\n", resource.describe()));
        }
        for plugin in &self.pollsters {
            if kit.build_pollster(plugin).is_err() {
                continue;
            }
            let outcome = self.poll(&kit, plugin, resources.clone()).await;
            output.push_str(&format!(
                "{}{}{outcome:?}\n",
                outcome.json_lines(),
                outcome.troubles()
            ));
        }
        if let Some(line) = output.lines().find(|line| line.contains(CANARY)) {
            let line = line.replace(CANARY, "***");
            let start: String = line.chars().take(200).collect();
            self.find(format!("a secret option shows in the output: {start}"));
        }
    }
}

/// Lower-case words of letters, digits, `_` and `-`, with dots between.
fn check_name(findings: &mut Vec<String>, of: &str, name: &str) {
    let is_word = |word: &str| {
        !word.is_empty()
            && word
                .chars()
                .all(|char| char.is_ascii_lowercase() || char.is_ascii_digit() || "_-".contains(char))
    };
    if !name.split('.').all(is_word) {
        findings.push(format!(
            "{of}: `{name}` is not made of lower-case words with dots between"
        ));
    }
}

fn check_namespaces(findings: &mut Vec<String>, of: &str, namespaces: &[&str]) {
    if namespaces.is_empty() {
        findings.push(format!("{of} has no namespace: nothing would ever load it"));
    }
    for namespace in namespaces {
        check_name(findings, of, namespace);
    }
}

fn check_calls(findings: &mut Vec<String>, of: &str, calls: &[crate::Call]) {
    for call in calls {
        if [call.service, call.method, call.path, call.role].contains(&"") {
            findings.push(format!(
                "{of} declares a call without service, method, path or role: {call:?}"
            ));
        }
    }
}

fn open_context() -> PollContext {
    PollContext {
        cycle: cycle(3),
        deadline: Instant::now() + DEADLINE,
        cancellation: CancellationToken::new(),
        cache: CycleCache::default(),
        members: NonZeroUsize::MIN,
    }
}

/// A context whose deadline is here, cancelled.
fn ended_context() -> PollContext {
    let mut context = open_context();
    context.deadline = Instant::now();
    context.cancellation.cancel();
    context
}

/// Whether a listing ends in time once it is cancelled and nobody takes its pages any more.
async fn ends_when_cancelled(discovery: Arc<dyn Discovery>, url: String, context: PollContext) -> bool {
    let (pages, mut received) = mpsc::channel(1);
    let mut run = DiscoveryRun::new(DiscoveryRunParts {
        parameter: split(&url).1,
        cycle: context.cycle,
        deadline: context.deadline,
        cancellation: context.cancellation.clone(),
        cache: context.cache,
        members: context.members,
        wanted: WantedMeters::default(),
        pages,
    });
    let mut listing = tokio::spawn(async move { discovery.discover(&mut run).await });
    let took_all = async { while received.recv().await.is_some() {} };
    tokio::select! {
        biased;
        () = context.cancellation.cancelled() => {}
        () = took_all => {}
    }
    drop(received);
    let in_time = timeout_at(Instant::now() + PATIENCE, &mut listing).await.is_ok();
    listing.abort();
    in_time
}

#[cfg(test)]
mod tests;
