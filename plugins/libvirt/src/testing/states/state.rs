//! A state: changes of the default instance, and the expected differences of its samples.

use crate::session::Error;
use crate::testing::lab::{FakeDomain, Polled};
use Step::{All, Cycle, Define, Defined, Do, Event, Id, Remove, Set, Switch};

/// A change of the default instance.
pub(super) enum Step {
    /// Sets statistics: words in the form of `virsh domstats`.
    Set(&'static str),
    /// Removes the statistics whose names have one of these prefixes.
    Remove(&'static str),
    /// Replaces the first text in the definition by the second.
    Define(&'static str, &'static str),
    /// Sets the definition, or the error of reading it.
    Defined(Result<&'static str, &'static str>),
    /// Sets the id of the domain, or removes it.
    Id(Option<u32>),
    /// Any other change.
    Do(fn(&mut FakeDomain)),
    /// All of these.
    All(&'static [Step]),
    /// Sets an option of the family.
    Switch(&'static str, bool),
    /// Runs a cycle before the next step.
    Cycle,
    /// Sends an event of a changed definition.
    Event,
}

/// A state: the steps to it, and the expected differences of the samples.
pub(super) struct State {
    pub(super) name: &'static str,
    pub(super) steps: &'static [Step],
    /// The result of [`Polled::against`].
    pub(super) differs: &'static [&'static str],
    /// A further condition on the samples.
    pub(super) also: fn(&Polled) -> bool,
}

/// Creates a state without a further condition.
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
    /// Adds a further condition on the samples.
    pub(super) const fn and(self, also: fn(&Polled) -> bool) -> Self {
        Self { also, ..self }
    }
}

impl Step {
    /// Applies the step to a domain, if it concerns one.
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
