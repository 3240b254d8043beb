//! A state: what is done to the usual instance, and what is then expected of its samples.

use crate::session::Error;
use crate::testing::lab::{FakeDomain, Polled};
use Step::{All, Cycle, Define, Defined, Do, Event, Id, Remove, Set, Switch};

/// What is done to the usual instance.
pub(super) enum Step {
    /// Sets statistics: words in the form of `virsh domstats`.
    Set(&'static str),
    /// Removes the statistics whose names begin with one of these words.
    Remove(&'static str),
    /// Replaces the first part of the definition by the second.
    Define(&'static str, &'static str),
    /// The definition is this text, or cannot be read for this reason.
    Defined(Result<&'static str, &'static str>),
    /// Gives the domain another id, or none.
    Id(Option<u32>),
    /// What the other steps cannot say.
    Do(fn(&mut FakeDomain)),
    /// All of these.
    All(&'static [Step]),
    /// Sets an option of the family.
    Switch(&'static str, bool),
    /// A cycle polls before the next step.
    Cycle,
    /// An event says that the definition has changed.
    Event,
}

/// A state: how the usual instance gets into it, and how its samples then differ from the usual ones.
pub(super) struct State {
    pub(super) name: &'static str,
    pub(super) steps: &'static [Step],
    /// As [`Polled::against`] says it.
    pub(super) differs: &'static [&'static str],
    /// What is true of the samples, beside the difference.
    pub(super) also: fn(&Polled) -> bool,
}

/// A state that is found in its samples alone.
pub(super) const fn state(
    name: &'static str,
    steps: &'static [Step],
    differs: &'static [&'static str],
) -> State {
    State {
        name,
        steps,
        differs,
        also: |_| true,
    }
}

impl State {
    /// With something else that is true of its samples.
    pub(super) const fn and(self, also: fn(&Polled) -> bool) -> Self {
        Self { also, ..self }
    }
}

impl Step {
    /// Does this to a domain, as far as it is about one.
    pub(super) fn apply(&self, domain: &mut FakeDomain) {
        match self {
            Set(statistics) => {
                for (name, value) in statistics.split(' ').filter_map(|word| word.split_once('=')) {
                    domain.set(name, value);
                }
            }
            Remove(prefixes) => prefixes.split(' ').for_each(|prefix| domain.remove(prefix)),
            Define(from, to) => domain.define(from, to),
            Defined(definition) => {
                domain.definition = definition.map(str::to_owned).map_err(Error::new);
            }
            Id(id) => domain.id = *id,
            Do(change) => change(domain),
            All(steps) => steps.iter().for_each(|step| step.apply(domain)),
            Switch(..) | Cycle | Event => {}
        }
    }
}
