//! What one poll of an area of the machine has found, until it is reported.

use std::sync::Arc;

use nephoscope_model::{MeterDef, Resource, Subject, Volume};
use nephoscope_plugin::{Failure, PollRun, Stopped};

use crate::machine::Machine;
use crate::text::{Told, name};

/// How many bytes of an odd line are shown.
const SHOWN: usize = 80;

/// Samples, and failures of parts of the machine.
pub(crate) struct Findings<'a> {
    machine: &'a Machine,
    wanted: Vec<&'static str>,
    samples: Vec<(&'static str, Arc<Subject>, Volume)>,
    /// Meters whose values the file that is being read does not have.
    untold: Vec<&'static str>,
    /// Meters for which it has something else than a value.
    odd: Vec<&'static str>,
    failures: Vec<(String, Failure)>,
}

impl<'a> Findings<'a> {
    /// None yet; samples are collected of the `wanted` meters only.
    pub(crate) fn new(machine: &'a Machine, wanted: Vec<&'static str>) -> Self {
        Self {
            machine,
            wanted,
            samples: Vec::new(),
            untold: Vec::new(),
            odd: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Whether one of these meters is wanted: what serves none that is need not be read.
    pub(crate) fn want(&self, meters: &[MeterDef]) -> bool {
        meters.iter().any(|meter| self.wanted.contains(&meter.name))
    }

    /// Adds a value of the machine as a whole.
    pub(crate) fn host(&mut self, meter: &MeterDef, volume: impl Into<Volume>) {
        self.add(meter, &self.machine.subject, volume);
    }

    /// Adds a value.
    pub(crate) fn add(&mut self, meter: &MeterDef, subject: &Arc<Subject>, volume: impl Into<Volume>) {
        if self.want(std::slice::from_ref(meter)) {
            self.samples.push((meter.name, subject.clone(), volume.into()));
        }
    }

    /// Adds a value of the machine as a whole, if the kernel tells it; else [`Findings::fail_untold`] names it.
    pub(crate) fn host_told(&mut self, meter: &MeterDef, volume: Told<impl Into<Volume>>) {
        if !self.want(std::slice::from_ref(meter)) {
            return;
        }
        match volume {
            Told::Yes(volume) => self.host(meter, volume),
            Told::Odd => self.odd.push(meter.name),
            Told::No => self.untold.push(meter.name),
        }
    }

    /// Says why a part of the machine (a device, or one of the kernel's files) gave no samples.
    pub(crate) fn fail(&mut self, part: impl Into<String>, failure: impl Into<Failure>) {
        self.failures.push((part.into(), failure.into()));
    }

    /// Says which values were missing from a file since this was last called, and which were no values.
    pub(crate) fn fail_untold(&mut self, part: &str, file: &str) {
        let untold = std::mem::take(&mut self.untold).join(", ");
        if !untold.is_empty() {
            let message = format!("{file} does not tell {untold}");
            self.fail(part, Failure::not_supported(message));
        }
        let odd = std::mem::take(&mut self.odd).join(", ");
        if !odd.is_empty() {
            let message = format!("what {file} tells of {odd} cannot be understood");
            self.fail(part, Failure::transient(message));
        }
    }

    /// Says how many lines of a file cannot be understood, if there are any.
    pub(crate) fn fail_odd(&mut self, part: &str, file: &str, lines: &[&[u8]]) {
        let Some((first, more)) = lines.split_first() else {
            return;
        };
        let first = name(first.get(..SHOWN).unwrap_or(first));
        let more = match more.len() {
            0 => String::new(),
            more => format!(", nor {more} more"),
        };
        let message = format!("the line `{first}` of {file} cannot be understood{more}");
        self.fail(part, Failure::transient(message));
    }

    /// Whether a sample of one of these meters has been found.
    pub(crate) fn have(&self, meters: &[MeterDef]) -> bool {
        self.samples
            .iter()
            .any(|(name, ..)| meters.iter().any(|meter| meter.name == *name))
    }

    /// Reports the samples as those of `resource`, and each failure as that of a resource of its own,
    /// `<host>.<part>`: other parts are not touched by it. If there are failures only, they are the resource's.
    pub(crate) async fn send(self, run: &mut PollRun, resource: &Resource) -> Result<(), Stopped> {
        let mut failures = self.failures.into_iter();
        if self.samples.is_empty()
            && let Some((_, failure)) = failures.next()
        {
            run.fail(resource, failure);
        } else {
            let mut report = run.report(resource);
            for (meter, subject, volume) in self.samples {
                report.add(meter, &subject, volume);
            }
            report.send().await?;
        }
        for (part, failure) in failures {
            run.fail(&Resource::new(format!("{}.{part}", self.machine.host)), failure);
        }
        Ok(())
    }

    /// What was found, one line each, for snapshots.
    #[cfg(test)]
    pub(crate) fn describe(&self) -> String {
        use std::fmt::Write;
        let mut text = String::new();
        for (meter, subject, volume) in &self.samples {
            let metadata: serde_json::Map<_, _> = subject
                .metadata
                .iter()
                .map(|(key, value)| (key.to_string(), serde_json::to_value(value).unwrap()))
                .collect();
            let metadata = serde_json::to_string(&metadata).unwrap();
            let volume = serde_json::to_string(volume).unwrap();
            writeln!(text, "{meter} = {volume} of {} {metadata}", subject.resource_id).unwrap();
        }
        for (part, failure) in &self.failures {
            writeln!(text, "{part}: {}: {}", failure.kind(), failure.chain()).unwrap();
        }
        text
    }
}
