//! A task: all sources with the same schedule, worked out into pollster runs.
//!
//! In ceilometer every meter is a pollster of its own, and duplicates are dropped per meter. Here one run
//! serves many meters, so meters are grouped: those of a pollster that the same sources want of the same
//! resources share a run, and a resource comes once to each run.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher;
use std::sync::Arc;
use std::time::Duration;

use nephoscope_coordination::{Group, Unit};
use nephoscope_model::{Meter, Resource, ScheduleId};
use nephoscope_plugin::{MeterTable, PartitionMode, Scope, WantedMeters};
use nephoscope_sources::{DiscoveryUrl, MeterFilter, Schedule, Source, StaticResource};

use crate::classes::{Class, ClassSet, SourceClasses};
use crate::listing::{ListingDef, Origin};
use crate::plugins::{LoadedPollster, Plugins};

/// All sources with one schedule.
pub struct TaskDef {
    /// When.
    pub schedule: Schedule,
    /// The names of its sources, in the order of the file.
    pub sources: Vec<String>,
    /// Its pollster runs, in the order of the file.
    pub runs: Vec<Arc<RunDef>>,
    /// Its listings; runs refer to them by index.
    pub listings: Vec<Arc<ListingDef>>,
}

/// One pollster with the meters that are wanted of the same resources.
pub struct RunDef {
    /// The pollster.
    pub pollster: Arc<LoadedPollster>,
    /// The names of the wanted meters.
    pub meters: Vec<Arc<str>>,
    /// The meters for the sink.
    pub table: Arc<MeterTable>,
    /// Where its resources come from: one entry for sources that say the same.
    pub inputs: Vec<Input>,
    /// The sources that want these meters, in the order of the file, with their classes.
    pub sources: Vec<(Arc<str>, Class)>,
    /// Whether all its resources are this host's own.
    pub lane: Lane,
    /// How long it may stay without a result.
    pub timeout: Option<Duration>,
}

/// When a run starts, and who shares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// This host's own resources: spread over hosts by splay, never shared.
    Host,
    /// Resources that agents share: at the edge.
    Shared,
}

/// The resources of a source for a pollster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Listings by index: the static list first, then the discoveries in the source's order.
    pub listings: Vec<usize>,
    /// The pollster's default discovery, asked when `listings` list nothing at all.
    pub fallback: Option<usize>,
    /// The classes of the sources that say this.
    pub classes: Arc<ClassSet>,
}

impl Input {
    /// Whether the resources are the same as those of `other`.
    fn lists_as(&self, other: &Self) -> bool {
        (&self.listings, self.fallback) == (&other.listings, other.fallback)
    }
}

impl RunDef {
    /// Whether sources that publishers tell apart want its samples of different resources.
    pub fn is_divided(&self) -> bool {
        let mut inputs = self.inputs.iter();
        let first = inputs.next();
        inputs.any(|input| first.is_some_and(|first| first.classes != input.classes))
    }

    /// All listings that it may read, by index; some may come twice.
    pub fn listings(&self) -> impl Iterator<Item = usize> {
        self.inputs
            .iter()
            .flat_map(|input| input.listings.iter().chain(&input.fallback))
            .copied()
    }
}

impl TaskDef {
    /// The tasks of these sources: one for each distinct schedule that has something to poll. What sources of several `classes` want
    /// is in different runs where publishers would get too much or too little of it otherwise.
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

    /// A digest of which meters these tasks want of which shared units: the same on every agent, whatever the order of
    /// its sources.
    pub fn shared_meters(tasks: &[Arc<Self>]) -> u64 {
        let mut wanted = BTreeSet::new();
        for task in tasks {
            for run in task.runs.iter().filter(|run| run.lane == Lane::Shared) {
                for listing in run.listings().filter_map(|index| task.listings.get(index)) {
                    wanted.extend(run.meters.iter().map(|meter| (&listing.unit, meter)));
                }
            }
        }
        let mut digest = siphasher::sip::SipHasher24::new();
        for (unit, meter) in wanted {
            // Lengths in front: no two pairs read alike.
            for text in [unit.to_string().as_bytes(), meter.as_bytes()] {
                digest.write(&(text.len() as u64).to_be_bytes());
                digest.write(text);
            }
        }
        digest.finish()
    }

    /// The units that agents share.
    pub fn shared_units(&self) -> impl Iterator<Item = &Unit> {
        self.listings
            .iter()
            .map(|listing| &listing.unit)
            .filter(|unit| unit.group == Group::Shared)
    }

    /// The meters that runs want of the resources of a listing.
    pub fn wanted_of(&self, listing: usize) -> WantedMeters {
        let reads = |run: &&Arc<RunDef>| {
            run.inputs
                .iter()
                .any(|input| input.listings.contains(&listing) || input.fallback == Some(listing))
        };
        let meters = self.runs.iter().filter(reads).flat_map(|run| &run.meters);
        Arc::new(meters.cloned().collect::<BTreeSet<_>>())
    }

    /// A task without work: what a schedule has in a configuration that does not name it.
    pub fn empty(schedule: Schedule) -> Self {
        Self {
            schedule,
            sources: Vec::new(),
            runs: Vec::new(),
            listings: Vec::new(),
        }
    }

    /// Whether any run is on the host's own resources.
    pub fn has_own_runs(&self) -> bool {
        self.runs.iter().any(|run| run.lane == Lane::Host)
    }

    /// Whether any run starts at the edge itself.
    pub fn has_shared_runs(&self) -> bool {
        self.runs.iter().any(|run| run.lane == Lane::Shared)
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
            // In the order of the first meter of each.
            let mut groups: Vec<(RunKey, Vec<Arc<str>>, BTreeSet<usize>)> = Vec::new();
            for meter in &pollster.meters {
                let wanting: Vec<(usize, &&Source)> = sources
                    .iter()
                    .enumerate()
                    .filter(|(_, source)| wants(source, meter))
                    .collect();
                if wanting.is_empty() {
                    continue;
                }
                let mut inputs: Vec<Input> = Vec::new();
                for (_, source) in &wanting {
                    let input = self.input(source, pollster);
                    match inputs.iter_mut().find(|known| known.lists_as(&input)) {
                        Some(known) if known.classes.is_superset(&input.classes) => {}
                        Some(known) => known.classes = Arc::new(&*known.classes | &*input.classes),
                        None => inputs.push(input),
                    }
                }
                // Of several, the most patient source decides; one without a limit has none.
                let timeout = wanting
                    .iter()
                    .map(|(_, source)| source.timeout)
                    .reduce(|one, other| one.zip(other).map(|(one, other)| one.max(other)))
                    .flatten();
                let key = (inputs, timeout);
                let name: Arc<str> = meter.name.as_ref().into();
                let places = wanting.iter().map(|(place, _)| *place);
                match groups.iter_mut().find(|(known, ..)| *known == key) {
                    Some((_, meters, sources)) => {
                        meters.push(name);
                        sources.extend(places);
                    }
                    None => groups.push((key, vec![name], places.collect())),
                }
            }
            for ((inputs, timeout), meters, wanting) in groups {
                let lane = self.lane(&inputs);
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
                        .filter_map(|place| sources.get(*place))
                        .map(|source| (source.name.as_str().into(), self.class(source)))
                        .collect(),
                    lane,
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
        // A source that names nothing has the default discovery in the first place.
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
            group: Group::Shared,
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
        let group = match scope {
            Scope::Host => Group::Host,
            Scope::Shared => Group::Shared,
        };
        let unit = Unit {
            group,
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

    fn lane(&self, inputs: &[Input]) -> Lane {
        let mut used = inputs
            .iter()
            .flat_map(|input| input.listings.iter().chain(&input.fallback));
        let is_host = |index: &usize| {
            self.listings
                .get(*index)
                .is_some_and(|listing| listing.unit.group == Group::Host)
        };
        if used.all(is_host) {
            Lane::Host
        } else {
            Lane::Shared
        }
    }
}

fn wants(source: &Source, meter: &Meter) -> bool {
    selects(&source.meters, meter)
}

/// Whether patterns are about this meter: by its name, or one of its aliases.
pub fn selects(filter: &MeterFilter, meter: &Meter) -> bool {
    filter.matches(&meter.name) || meter.aliases.iter().any(|alias| filter.matches(alias))
}

/// The name of a static list: a fixed hash of its sorted content, the same on every agent.
pub fn static_name(resources: &[StaticResource]) -> String {
    let mut keys: Vec<_> = resources.iter().map(StaticResource::key).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut hash = siphasher::sip128::SipHasher24::new();
    for key in keys {
        // The length in front: no two lists read alike.
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
