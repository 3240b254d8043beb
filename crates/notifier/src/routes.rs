//! Routing of batches to publishers.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use nephoscope_model::{Batch, PayloadKind, Run};
use nephoscope_plugin::Publisher;
use parking_lot::Mutex;

use crate::events;
use crate::lane::Lane;
use crate::selectors::{Selection, Selectors};

/// The limit on meters without a publisher that are logged by name. Beyond it, the configuration itself is wrong.
const MAX_NAMED_METERS: usize = 100;

/// The number of meters that one log line names.
const EXAMPLES: usize = 5;

/// The publishers in the order of the configuration, with their selections.
#[derive(Default)]
pub(crate) struct Routes {
    destinations: Vec<Destination>,
    /// Distinct selectors: each selection is computed once.
    groups: Vec<Selectors>,
    unrouted: Mutex<Unrouted>,
}

/// A publisher and the payloads that it accepts.
pub(crate) struct Destination {
    lane: Arc<Lane>,
    /// The index of its selectors in the groups.
    group: usize,
    accepts: AcceptedKinds,
}

/// The payload kinds that a publisher accepts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AcceptedKinds {
    samples: bool,
    events: bool,
    /// Whether it follows runs.
    runs: bool,
}

impl AcceptedKinds {
    pub(crate) fn of(publisher: &dyn Publisher) -> Self {
        let accepts = |kind| catch_unwind(AssertUnwindSafe(|| publisher.accepts(kind))).unwrap_or(false);
        Self {
            samples: accepts(PayloadKind::Samples),
            events: accepts(PayloadKind::Events),
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

/// A batch divided by groups of equal selectors.
#[derive(Debug, Default)]
pub(crate) struct Division {
    /// The part of each group.
    parts: Vec<Option<Arc<Batch>>>,
    /// The number of samples or events without a publisher.
    pub(crate) filtered: usize,
}

/// Meters and events without a publisher that were logged.
#[derive(Default)]
struct Unrouted {
    meters: BTreeSet<Arc<str>>,
    events: bool,
}

impl Routes {
    pub(crate) fn add(&mut self, lane: Arc<Lane>, selectors: Selectors, accepts: AcceptedKinds) {
        let group = match self.groups.iter().position(|known| *known == selectors) {
            Some(group) => group,
            None => {
                self.groups.push(selectors);
                self.groups.len() - 1
            }
        };
        self.destinations.push(Destination { lane, group, accepts });
    }

    pub(crate) fn lanes(&self) -> impl Iterator<Item = &Arc<Lane>> {
        self.destinations.iter().map(|destination| &destination.lane)
    }

    /// The selections of sources.
    pub(crate) fn source_selections(&self) -> impl Iterator<Item = &BTreeSet<Arc<str>>> {
        self.groups.iter().filter_map(Selectors::selected_sources)
    }

    /// Whether any publisher follows runs.
    pub(crate) fn follow_runs(&self) -> bool {
        self.destinations
            .iter()
            .any(|destination| destination.accepts.runs)
    }

    /// The publishers that follow this run.
    pub(crate) fn followers(&self, run: &Run) -> impl Iterator<Item = &Arc<Lane>> {
        self.destinations
            .iter()
            .filter(|destination| destination.accepts.runs)
            .filter(|destination| {
                let selectors = self.groups.get(destination.group);
                selectors.is_some_and(|selectors| selectors.take_run(run))
            })
            .map(|destination| &destination.lane)
    }

    /// Divides a batch. Without publishers, nothing counts as filtered.
    pub(crate) fn divide(&self, batch: &Arc<Batch>) -> Division {
        let kind = batch.kind();
        let accepts_kind = |group: usize| {
            let mut members = self.destinations.iter();
            members.any(|destination| destination.group == group && destination.accepts.kind(kind))
        };
        let mut division = Division::default();
        // Selections with their batches: other selectors may select the same samples.
        let mut made: Vec<(Vec<bool>, Arc<Batch>)> = Vec::new();
        let mut all_routed = self.destinations.is_empty();
        for (group, selectors) in self.groups.iter().enumerate() {
            let selection = if accepts_kind(group) {
                selectors.select(batch)
            } else {
                Selection::Nothing
            };
            division.parts.push(match selection {
                Selection::Everything => {
                    all_routed = true;
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
        if !all_routed {
            let is_routed = |place: usize| {
                made.iter()
                    .any(|(keep, _)| keep.get(place).is_some_and(|keep| *keep))
            };
            let unrouted: Vec<usize> = (0..batch.len()).filter(|place| !is_routed(*place)).collect();
            division.filtered = unrouted.len();
            if !unrouted.is_empty() {
                self.warn_unrouted(batch, &unrouted);
            }
        }
        division
    }

    /// The publishers of a batch, each with its part.
    pub(crate) fn parts<'a>(
        &'a self,
        division: &'a Division,
        kind: PayloadKind,
    ) -> impl Iterator<Item = (&'a Arc<Lane>, &'a Arc<Batch>)> {
        self.destinations
            .iter()
            .filter(move |destination| destination.accepts.kind(kind))
            .filter_map(|destination| {
                let part = division.parts.get(destination.group)?.as_ref()?;
                Some((&destination.lane, part))
            })
    }

    /// Logs meters without a publisher: once for each meter, until a reload builds new routes.
    fn warn_unrouted(&self, batch: &Batch, places: &[usize]) {
        let mut unrouted = self.unrouted.lock();
        if batch.kind() == PayloadKind::Events {
            if !std::mem::replace(&mut unrouted.events, true) {
                events::unrouted_events();
            }
            return;
        }
        let mut new: Vec<Arc<str>> = Vec::new();
        let mut last = None;
        for sample in places.iter().filter_map(|place| batch.samples().get(*place)) {
            if last == Some(Arc::as_ptr(&sample.meter)) {
                continue;
            }
            last = Some(Arc::as_ptr(&sample.meter));
            let name: &str = &sample.meter.name;
            if unrouted.meters.len() < MAX_NAMED_METERS && !unrouted.meters.contains(name) {
                let name: Arc<str> = name.into();
                unrouted.meters.insert(name.clone());
                new.push(name);
            }
        }
        drop(unrouted);
        if !new.is_empty() {
            let more = new.len().saturating_sub(EXAMPLES);
            new.truncate(EXAMPLES);
            events::unrouted_meters(&new.join(", "), more);
        }
    }
}
