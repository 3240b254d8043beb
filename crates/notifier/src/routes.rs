//! Which publisher gets what of a batch.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use nephoscope_model::{Batch, PayloadKind, Run};
use nephoscope_plugin::Publisher;
use parking_lot::Mutex;

use crate::events;
use crate::lane::Lane;
use crate::selectors::{Selection, Selectors};

/// So many meters that no publisher takes are warned about by name. There are more: the configuration is at fault as a whole.
const MAX_TOLD: usize = 100;

/// Of so many of them one line tells.
const EXAMPLES: usize = 5;

/// The publishers in the order of the configuration, and what each of them gets.
#[derive(Default)]
pub(crate) struct Routes {
    destinations: Vec<Destination>,
    /// Distinct selectors: what is selected is worked out once for each.
    groups: Vec<Selectors>,
    untaken: Mutex<Untaken>,
}

/// A publisher and what it takes.
pub(crate) struct Destination {
    lane: Arc<Lane>,
    /// Its selectors, by their place in the groups.
    group: usize,
    takes: Takes,
}

/// What a publisher has said of itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Takes {
    samples: bool,
    events: bool,
    /// Whether it hears when runs begin and end.
    runs: bool,
}

impl Takes {
    pub(crate) fn of(publisher: &dyn Publisher) -> Self {
        let takes = |kind| catch_unwind(AssertUnwindSafe(|| publisher.takes(kind))).unwrap_or(false);
        Self {
            samples: takes(PayloadKind::Samples),
            events: takes(PayloadKind::Events),
            runs: catch_unwind(AssertUnwindSafe(|| publisher.follows_runs())).unwrap_or(false),
        }
    }

    fn kind(self, kind: PayloadKind) -> bool {
        match kind {
            PayloadKind::Samples => self.samples,
            PayloadKind::Events => self.events,
            _ => false,
        }
    }
}

/// A batch, divided.
#[derive(Debug, Default)]
pub(crate) struct Division {
    /// By group: what its publishers get.
    parts: Vec<Option<Arc<Batch>>>,
    /// Samples or events that no publisher gets.
    pub(crate) filtered: usize,
}

/// Meters that nobody takes and that were warned about.
#[derive(Default)]
struct Untaken {
    meters: BTreeSet<Arc<str>>,
    events: bool,
}

impl Routes {
    pub(crate) fn add(&mut self, lane: Arc<Lane>, selectors: Selectors, takes: Takes) {
        let group = match self.groups.iter().position(|known| *known == selectors) {
            Some(group) => group,
            None => {
                self.groups.push(selectors);
                self.groups.len() - 1
            }
        };
        self.destinations.push(Destination { lane, group, takes });
    }

    pub(crate) fn lanes(&self) -> impl Iterator<Item = &Arc<Lane>> {
        self.destinations.iter().map(|destination| &destination.lane)
    }

    /// The selections of sources.
    pub(crate) fn source_selections(&self) -> impl Iterator<Item = &BTreeSet<Arc<str>>> {
        self.groups.iter().filter_map(Selectors::selected_sources)
    }

    /// Whether any publisher hears of runs.
    pub(crate) fn follow_runs(&self) -> bool {
        self.destinations.iter().any(|destination| destination.takes.runs)
    }

    /// The publishers that hear of this run.
    pub(crate) fn followers(&self, run: &Run) -> impl Iterator<Item = &Arc<Lane>> {
        self.destinations
            .iter()
            .filter(|destination| destination.takes.runs)
            .filter(|destination| {
                let selectors = self.groups.get(destination.group);
                selectors.is_some_and(|selectors| selectors.take_run(run))
            })
            .map(|destination| &destination.lane)
    }

    /// Works out what each publisher gets of a batch. Without publishers, nothing is filtered.
    pub(crate) fn divide(&self, batch: &Arc<Batch>) -> Division {
        let kind = batch.kind();
        let takes_kind = |group: usize| {
            let mut members = self.destinations.iter();
            members.any(|destination| destination.group == group && destination.takes.kind(kind))
        };
        let mut division = Division::default();
        // Selections that were made, with their batches: other selectors may select the same.
        let mut made: Vec<(Vec<bool>, Arc<Batch>)> = Vec::new();
        let mut all_taken = self.destinations.is_empty();
        for (group, selectors) in self.groups.iter().enumerate() {
            let selection = if takes_kind(group) {
                selectors.select(batch)
            } else {
                Selection::Nothing
            };
            division.parts.push(match selection {
                Selection::Everything => {
                    all_taken = true;
                    Some(batch.clone())
                }
                Selection::Nothing => None,
                Selection::Some(keep) => Some(match made.iter().find(|(known, _)| *known == keep) {
                    Some((_, part)) => part.clone(),
                    None => {
                        let part = Arc::new(batch.filtered(&keep));
                        made.push((keep, part.clone()));
                        part
                    }
                }),
            });
        }
        if !all_taken {
            let is_taken = |place: usize| {
                made.iter()
                    .any(|(keep, _)| keep.get(place).is_some_and(|keep| *keep))
            };
            let untaken: Vec<usize> = (0..batch.len()).filter(|place| !is_taken(*place)).collect();
            division.filtered = untaken.len();
            if !untaken.is_empty() {
                self.tell_untaken(batch, &untaken);
            }
        }
        division
    }

    /// The publishers of a batch, and what each of them gets.
    pub(crate) fn parts<'a>(
        &'a self,
        division: &'a Division,
        kind: PayloadKind,
    ) -> impl Iterator<Item = (&'a Arc<Lane>, &'a Arc<Batch>)> {
        self.destinations
            .iter()
            .filter(move |destination| destination.takes.kind(kind))
            .filter_map(|destination| {
                let part = division.parts.get(destination.group)?.as_ref()?;
                Some((&destination.lane, part))
            })
    }

    /// Warns of what no publisher takes: once of each meter, until a reload makes other routes.
    fn tell_untaken(&self, batch: &Batch, places: &[usize]) {
        let mut untaken = self.untaken.lock();
        if batch.kind() == PayloadKind::Events {
            if !std::mem::replace(&mut untaken.events, true) {
                events::untaken_events();
            }
            return;
        }
        let mut fresh: Vec<Arc<str>> = Vec::new();
        let mut last = None;
        for sample in places.iter().filter_map(|place| batch.samples().get(*place)) {
            if last == Some(Arc::as_ptr(&sample.meter)) {
                continue;
            }
            last = Some(Arc::as_ptr(&sample.meter));
            let name: &str = &sample.meter.name;
            if untaken.meters.len() < MAX_TOLD && !untaken.meters.contains(name) {
                let name: Arc<str> = name.into();
                untaken.meters.insert(name.clone());
                fresh.push(name);
            }
        }
        drop(untaken);
        if !fresh.is_empty() {
            let more = fresh.len().saturating_sub(EXAMPLES);
            fresh.truncate(EXAMPLES);
            events::untaken_meters(&fresh.join(", "), more);
        }
    }
}
