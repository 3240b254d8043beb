//! The selection of samples for a publisher.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use nephoscope_model::{Batch, Meter, Run, Sample};

/// A selection of meters: patterns, and their meaning as a function.
///
/// The notifier does not interpret patterns. Two selectors are equal if their patterns are equal.
#[derive(Clone)]
pub struct MeterSelector {
    patterns: Vec<String>,
    matches: Arc<dyn Fn(&Meter) -> bool + Send + Sync>,
}

impl MeterSelector {
    /// Selects the meters for which `matches` returns true. `patterns` are its textual form.
    pub fn new(patterns: Vec<String>, matches: impl Fn(&Meter) -> bool + Send + Sync + 'static) -> Self {
        Self {
            patterns,
            matches: Arc::new(matches),
        }
    }

    /// Whether the publisher receives this meter.
    pub fn matches(&self, meter: &Meter) -> bool {
        (self.matches)(meter)
    }
}

impl PartialEq for MeterSelector {
    fn eq(&self, other: &Self) -> bool {
        self.patterns == other.patterns
    }
}

impl Eq for MeterSelector {}

impl fmt::Debug for MeterSelector {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("MeterSelector").field(&self.patterns).finish()
    }
}

/// A publisher's selection. Everything is selected by default. All configured selections must match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selectors {
    meters: Option<MeterSelector>,
    sources: Option<BTreeSet<Arc<str>>>,
    namespaces: Option<BTreeSet<Arc<str>>>,
}

impl Selectors {
    /// Selects samples of these meters. Events have no meter and are not affected.
    #[must_use]
    pub fn meters(mut self, meters: MeterSelector) -> Self {
        self.meters = Some(meters);
        self
    }

    /// Selects batches of any of these sources. Batches without a source are excluded.
    #[must_use]
    pub fn sources(mut self, sources: impl IntoIterator<Item = impl Into<Arc<str>>>) -> Self {
        self.sources = Some(sources.into_iter().map(Into::into).collect());
        self
    }

    /// Selects batches of plugins with any of these namespaces. Batches without a plugin are excluded.
    #[must_use]
    pub fn namespaces(mut self, namespaces: impl IntoIterator<Item = impl Into<Arc<str>>>) -> Self {
        self.namespaces = Some(namespaces.into_iter().map(Into::into).collect());
        self
    }

    /// Whether everything is selected.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// The selected sources, if sources are selected.
    pub fn selected_sources(&self) -> Option<&BTreeSet<Arc<str>>> {
        self.sources.as_ref()
    }

    /// Whether a sample of this meter is selected, given the sources that request it and the namespaces of its plugin.
    pub fn take(&self, meter: &Meter, sources: &[Arc<str>], namespaces: &[Arc<str>]) -> bool {
        self.take_origin(sources, namespaces)
            && self.meters.as_ref().is_none_or(|meters| meters.matches(meter))
    }

    /// Whether samples of the run may be selected.
    pub(crate) fn take_run(&self, run: &Run) -> bool {
        self.take_origin(&run.sources, &run.namespaces)
    }

    fn take_origin(&self, sources: &[Arc<str>], namespaces: &[Arc<str>]) -> bool {
        let any = |selected: &Option<BTreeSet<Arc<str>>>, names: &[Arc<str>]| {
            selected
                .as_ref()
                .is_none_or(|selected| names.iter().any(|name| selected.contains(name)))
        };
        any(&self.sources, sources) && any(&self.namespaces, namespaces)
    }

    /// Selects samples of a batch.
    pub(crate) fn select(&self, batch: &Batch) -> Selection {
        let namespaces = batch.run().map_or(&[][..], |run| &run.namespaces);
        if !self.take_origin(batch.sources(), namespaces) {
            return Selection::Nothing;
        }
        match &self.meters {
            Some(meters) if !batch.samples().is_empty() => Selection::of_samples(batch.samples(), meters),
            _ => Selection::Everything,
        }
    }
}

/// The selected part of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selection {
    Everything,
    Nothing,
    /// One flag for each sample.
    Some(Vec<bool>),
}

impl Selection {
    fn of_samples(samples: &[Sample], meters: &MeterSelector) -> Self {
        // A batch has few meters, which its samples share: match each of them once.
        let mut known: Vec<(*const Meter, bool)> = Vec::new();
        let mut matches = |meter: &Arc<Meter>| {
            let address = Arc::as_ptr(meter);
            match known.iter().find(|(other, _)| *other == address) {
                Some((_, matches)) => *matches,
                None => {
                    let matches = meters.matches(meter);
                    known.push((address, matches));
                    matches
                }
            }
        };
        let keep: Vec<bool> = samples.iter().map(|sample| matches(&sample.meter)).collect();
        match keep.iter().filter(|keep| **keep).count() {
            0 => Self::Nothing,
            count if count == samples.len() => Self::Everything,
            _ => Self::Some(keep),
        }
    }
}
