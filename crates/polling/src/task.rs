//! A task: all sources with the same schedule, planned as pollster runs.
//!
//! In ceilometer every meter is a separate pollster, and duplicates are dropped per meter. Here one run serves many meters:
//! the meters of a pollster that the same sources collect from the same resources share a run, and each run gets a resource
//! once.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher;
use std::sync::Arc;
use std::time::Duration;

use nephoscope_coordination::Unit;
use nephoscope_model::{Meter, Resource, ScheduleId, Scope};
use nephoscope_plugin::{MeterTable, PartitionMode, WantedMeters};
use nephoscope_sources::{DiscoveryUrl, MeterFilter, Schedule, Source, StaticResource};

use crate::classes::{Class, ClassSet, SourceClasses};
use crate::listing::{ListingDef, Origin};
use crate::plugins::{LoadedPollster, Plugins};

/// All sources with one schedule.
pub struct TaskDef {
    /// The schedule.
    pub schedule: Schedule,
    /// The names of its sources, in the order of the file.
    pub sources: Vec<String>,
    /// Its pollster runs, in the order of the file.
    pub runs: Vec<Arc<RunDef>>,
    /// Its listings; runs refer to them by index.
    pub listings: Vec<Arc<ListingDef>>,
}

/// A pollster with the meters that are collected from the same resources.
pub struct RunDef {
    /// The pollster.
    pub pollster: Arc<LoadedPollster>,
    /// The names of the collected meters.
    pub meters: Vec<Arc<str>>,
    /// The meters for the sink.
    pub table: Arc<MeterTable>,
    /// The resources: one input for all sources with the same discoveries.
    pub inputs: Vec<Input>,
    /// The sources that collect these meters, in the order of the file, with their classes.
    pub sources: Vec<(Arc<str>, Class)>,
    /// [`Scope::Host`] if all its resources are the host's own: it starts after the splay and is never shared. Otherwise it
    /// starts at the edge.
    pub scope: Scope,
    /// The maximum time without a result.
    pub timeout: Option<Duration>,
}

/// The resources of a source for a pollster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Listings by index: the static list first, then the discoveries in the source's order.
    pub listings: Vec<usize>,
    /// The pollster's default discovery, used if `listings` list nothing.
    pub fallback: Option<usize>,
    /// The classes of the sources with this input.
    pub classes: Arc<ClassSet>,
}

impl Input {
    /// Whether `other` has the same resources.
    fn has_same_resources(&self, other: &Self) -> bool {
        (&self.listings, self.fallback) == (&other.listings, other.fallback)
    }
}

impl RunDef {
    /// Whether sources that publishers distinguish collect its samples from different resources.
    pub fn is_divided(&self) -> bool {
        let mut inputs = self.inputs.iter();
        let first = inputs.next();
        inputs.any(|input| first.is_some_and(|first| first.classes != input.classes))
    }

    /// The indices of all listings that it may read, possibly with duplicates.
    pub fn listings(&self) -> impl Iterator<Item = usize> {
        self.inputs
            .iter()
            .flat_map(|input| input.listings.iter().chain(&input.fallback))
            .copied()
    }
}

impl TaskDef {
    /// Plans the tasks of these sources: one for each distinct schedule that has something to poll. Meters of sources in
    /// different `classes` are in different runs where publishers would otherwise receive too many or too few samples.
    pub fn plan(sources: &[Source], plugins: &Plugins, classes: &SourceClasses) -> Vec<Arc<Self>> {
        let classes = classes.of(sources.iter().map(|source| source.name.as_str()));
        let mut schedules: BTreeMap<ScheduleId, (Schedule, Vec<&Source>)> = BTreeMap::new();
        for source in sources {
            schedules
                .entry(source.schedule.id().clone())
                .or_insert_with(|| (source.schedule.clone(), Vec::new()))
                .1
                .push(source);
        }
        schedules
            .into_values()
            .map(|(schedule, sources)| Arc::new(Planner::new(schedule, plugins, &classes).plan(&sources)))
            .filter(|task| !task.runs.is_empty())
            .collect()
    }

    /// A digest of the meters that these tasks collect from shared units: equal on every agent, in any order of sources.
    pub fn shared_meters(tasks: &[Arc<Self>]) -> u64 {
        let mut wanted = BTreeSet::new();
        for task in tasks {
            for run in task.runs.iter().filter(|run| run.scope == Scope::Shared) {
                for listing in run.listings().filter_map(|index| task.listings.get(index)) {
                    wanted.extend(run.meters.iter().map(|meter| (&listing.unit, meter)));
                }
            }
        }
        let mut digest = siphasher::sip::SipHasher24::new();
        for (unit, meter) in wanted {
            // Length-prefixed, so that different pairs have different encodings.
            for text in [unit.to_string().as_bytes(), meter.as_bytes()] {
                digest.write(&(text.len() as u64).to_be_bytes());
                digest.write(text);
            }
        }
        digest.finish()
    }

    /// The shared units.
    pub fn shared_units(&self) -> impl Iterator<Item = &Unit> {
        self.listings
            .iter()
            .map(|listing| &listing.unit)
            .filter(|unit| unit.scope == Scope::Shared)
    }

    /// The meters that runs collect from the resources of a listing.
    pub fn wanted_of(&self, listing: usize) -> WantedMeters {
        let reads = |run: &&Arc<RunDef>| {
            run.inputs
                .iter()
                .any(|input| input.listings.contains(&listing) || input.fallback == Some(listing))
        };
        let meters = self.runs.iter().filter(reads).flat_map(|run| &run.meters);
        Arc::new(meters.cloned().collect::<BTreeSet<_>>())
    }

    /// A task without work, for a schedule that is not configured any more.
    pub fn empty(schedule: Schedule) -> Self {
        Self {
            schedule,
            sources: Vec::new(),
            runs: Vec::new(),
            listings: Vec::new(),
        }
    }

    /// Whether any run polls the host's own resources.
    pub fn has_host_runs(&self) -> bool {
        self.runs.iter().any(|run| run.scope == Scope::Host)
    }

    /// Whether any run polls shared resources.
    pub fn has_shared_runs(&self) -> bool {
        self.runs.iter().any(|run| run.scope == Scope::Shared)
    }
}

struct Planner<'a> {
    schedule: Schedule,
    plugins: &'a Plugins,
    /// The classes of all sources.
    classes: &'a BTreeMap<&'a str, Class>,
    listings: Vec<Arc<ListingDef>>,
}

/// What the meters of one run have in common.
type RunKey = (Vec<Input>, Option<Duration>);
/// The attributes that all meters of one run share.
impl<'a> Planner<'a> {
    fn new(schedule: Schedule, plugins: &'a Plugins, classes: &'a BTreeMap<&'a str, Class>) -> Self {
        Self {
            schedule,
            plugins,
            classes,
            listings: Vec::new(),
        }
    }

    fn plan(mut self, sources: &[&Source]) -> TaskDef {
        let mut runs = Vec::new();
        let plugins = self.plugins;
        for pollster in &plugins.pollsters {
            // Ordered by the first meter of each group.
            let mut groups: Vec<(RunKey, Vec<Arc<str>>, BTreeSet<usize>)> = Vec::new();
            for meter in &pollster.meters {
                let wanting: Vec<(usize, &&Source)> = sources
                    .iter()
                    .enumerate()
                    .filter(|(_, source)| selects(&source.meters, meter))
                    .collect();
                if wanting.is_empty() {
                    continue;
                }
                let mut inputs: Vec<Input> = Vec::new();
                for (_, source) in &wanting {
                    let input = self.input(source, pollster);
                    match inputs.iter_mut().find(|known| known.has_same_resources(&input)) {
                        Some(known) if known.classes.is_superset(&input.classes) => {}
                        Some(known) => known.classes = Arc::new(&*known.classes | &*input.classes),
                        None => inputs.push(input),
                    }
                }
                // The longest timeout of the sources applies; a source without a timeout disables it.
                let timeout = wanting
                    .iter()
                    .map(|(_, source)| source.timeout)
                    .reduce(|one, other| one.zip(other).map(|(one, other)| one.max(other)))
                    .flatten();
                let key = (inputs, timeout);
                let name: Arc<str> = meter.name.as_ref().into();
                let indices = wanting.iter().map(|(index, _)| *index);
                match groups.iter_mut().find(|(known, ..)| *known == key) {
                    Some((_, meters, sources)) => {
                        meters.push(name);
                        sources.extend(indices);
                    }
                    None => groups.push((key, vec![name], indices.collect())),
                }
            }
            for ((inputs, timeout), meters, wanting) in groups {
                let scope = self.scope(&inputs);
                let wanted = |meter: &Arc<Meter>| meters.iter().any(|name| **name == *meter.name);
                let table =
                    MeterTable::new(pollster.meters.iter().map(|meter| (meter.clone(), wanted(meter))));
                runs.push(Arc::new(RunDef {
                    pollster: pollster.clone(),
                    table: Arc::new(table),
                    meters,
                    inputs,
                    sources: wanting
                        .iter()
                        .filter_map(|index| sources.get(*index))
                        .map(|source| (source.name.as_str().into(), self.class(source)))
                        .collect(),
                    scope,
                    timeout,
                }));
            }
        }
        TaskDef {
            schedule: self.schedule,
            sources: sources.iter().map(|source| source.name.clone()).collect(),
            runs,
            listings: self.listings,
        }
    }

    fn input(&mut self, source: &Source, pollster: &LoadedPollster) -> Input {
        let partition = source.partition.or(pollster.partition);
        let mut listings = Vec::new();
        if !source.resources.is_empty() {
            listings.push(self.static_listing(source, partition));
        }
        for url in &source.discovery {
            let index = self.discovery(url, partition);
            if !listings.contains(&index) {
                listings.push(index);
            }
        }
        let fallback = pollster
            .default_discovery
            .as_ref()
            .map(|url| self.discovery(&DiscoveryUrl::parse(url), partition));
        // A source without resources and discoveries uses the default discovery directly.
        let (listings, fallback) = match fallback {
            Some(fallback) if listings.is_empty() => (vec![fallback], None),
            Some(fallback) if listings.contains(&fallback) => (listings, None),
            fallback => (listings, fallback),
        };
        Input {
            listings,
            fallback,
            classes: Arc::new(ClassSet::from([self.class(source)])),
        }
    }

    fn class(&self, source: &Source) -> Class {
        self.classes
            .get(source.name.as_str())
            .copied()
            .unwrap_or_default()
    }

    fn static_listing(&mut self, source: &Source, partition: Option<PartitionMode>) -> usize {
        let resources = source.resources.iter().map(resource).collect();
        let unit = Unit {
            scope: Scope::Shared,
            schedule: self.schedule.id().clone(),
            discovery: static_name(&source.resources).into(),
            mode: partition.unwrap_or(PartitionMode::Resource),
        };
        self.add(ListingDef {
            unit,
            origin: Origin::Static(Arc::new(resources)),
        })
    }

    fn discovery(&mut self, url: &DiscoveryUrl, partition: Option<PartitionMode>) -> usize {
        let found = self.plugins.discoveries.get(url.name());
        let (scope, declared) = found.map_or((Scope::Host, PartitionMode::Resource), |found| {
            (found.scope, found.partition)
        });
        let unit = Unit {
            scope,
            schedule: self.schedule.id().clone(),
            discovery: url.text().into(),
            mode: partition.unwrap_or(declared),
        };
        let origin = match found {
            Some(discovery) => Origin::Discovery {
                discovery: discovery.clone(),
                parameter: url.parameter().map(str::to_owned),
            },
            None => Origin::Unknown,
        };
        self.add(ListingDef { unit, origin })
    }

    fn add(&mut self, listing: ListingDef) -> usize {
        if let Some(index) = self.listings.iter().position(|known| known.unit == listing.unit) {
            return index;
        }
        self.listings.push(Arc::new(listing));
        self.listings.len() - 1
    }

    fn scope(&self, inputs: &[Input]) -> Scope {
        let mut used = inputs
            .iter()
            .flat_map(|input| input.listings.iter().chain(&input.fallback));
        let is_host = |index: &usize| {
            self.listings
                .get(*index)
                .is_some_and(|listing| listing.unit.scope == Scope::Host)
        };
        if used.all(is_host) {
            Scope::Host
        } else {
            Scope::Shared
        }
    }
}

/// Whether a meter filter matches this meter by its name or one of its aliases.
pub fn selects(filter: &MeterFilter, meter: &Meter) -> bool {
    filter.matches(&meter.name) || meter.aliases.iter().any(|alias| filter.matches(alias))
}

/// The name of a static list: a fixed hash of its sorted content, equal on every agent.
pub fn static_name(resources: &[StaticResource]) -> String {
    let mut keys: Vec<_> = resources.iter().map(StaticResource::key).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut hash = siphasher::sip128::SipHasher24::new();
    for key in keys {
        // Length-prefixed, so that different lists have different encodings.
        hash.write(&(key.len() as u64).to_be_bytes());
        hash.write(key.as_bytes());
    }
    let hash = siphasher::sip128::Hasher128::finish128(&hash);
    format!("static:{:032x}", hash.as_u128())
}

fn resource(item: &StaticResource) -> Resource {
    match item.value() {
        serde_json::Value::String(_) => Resource::new(item.key()),
        value => Resource::with_body(item.key(), nephoscope_model::Value::from(value.clone())),
    }
}
