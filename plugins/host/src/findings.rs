//! The results of one poll of an area.

use std::sync::Arc;

use nephoscope_model::{MeterDef, Resource, Subject, Volume};
use nephoscope_plugin::{Failure, PollRun, Stopped};

use crate::machine::Machine;
use crate::text::{Field, name};

/// How many bytes of an invalid line are shown.
const SHOWN: usize = 80;

/// Samples, and failures of parts of the machine.
pub(crate) struct Findings<'a> {
    machine: &'a Machine,
    wanted: Vec<&'static str>,
    samples: Vec<(&'static str, Arc<Subject>, Volume)>,
    /// Meters whose values are missing in the current file.
    missing: Vec<&'static str>,
    /// Meters whose values are invalid in the current file.
    invalid: Vec<&'static str>,
    failures: Vec<(String, Failure)>,
}

impl<'a> Findings<'a> {
    /// Creates empty findings, which collect samples of the `wanted` meters only.
    pub(crate) fn new(machine: &'a Machine, wanted: Vec<&'static str>) -> Self {
        Self {
            machine,
            wanted,
            samples: Vec::new(),
            missing: Vec::new(),
            invalid: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Whether one of these meters is wanted: files without wanted meters are not read.
    pub(crate) fn want(&self, meters: &[MeterDef]) -> bool {
        meters.iter().any(|meter| self.wanted.contains(&meter.name))
    }

    /// Adds a value of the whole machine.
    pub(crate) fn host(&mut self, meter: &MeterDef, volume: impl Into<Volume>) {
        self.add(meter, &self.machine.subject, volume);
    }

    /// Adds a value.
    pub(crate) fn add(&mut self, meter: &MeterDef, subject: &Arc<Subject>, volume: impl Into<Volume>) {
        if self.want(std::slice::from_ref(meter)) {
            self.samples.push((meter.name, subject.clone(), volume.into()));
        }
    }

    /// Adds a value of the whole machine, or records it as missing or invalid for [`Findings::fail_fields`].
    pub(crate) fn host_field(&mut self, meter: &MeterDef, volume: Field<impl Into<Volume>>) {
        if !self.want(std::slice::from_ref(meter)) {
            return;
        }
        match volume {
            Field::Value(volume) => self.host(meter, volume),
            Field::Invalid => self.invalid.push(meter.name),
            Field::Missing => self.missing.push(meter.name),
        }
    }

    /// Adds the reason why a part of the machine (a device, or one of the kernel's files) has no samples.
    pub(crate) fn fail(&mut self, part: impl Into<String>, failure: impl Into<Failure>) {
        self.failures.push((part.into(), failure.into()));
    }

    /// Adds failures for the values that are missing or invalid since the last call.
    pub(crate) fn fail_fields(&mut self, part: &str, file: &str) {
        let missing = std::mem::take(&mut self.missing).join(", ");
        if !missing.is_empty() {
            let message = format!("{file} has no value of {missing}");
            self.fail(part, Failure::not_supported(message));
        }
        let invalid = std::mem::take(&mut self.invalid).join(", ");
        if !invalid.is_empty() {
            let message = format!("{file} has an invalid value of {invalid}");
            self.fail(part, Failure::transient(message));
        }
    }

    /// Adds a failure for the lines of a file that cannot be parsed, if there are any.
    pub(crate) fn fail_lines(&mut self, part: &str, file: &str, lines: &[&[u8]]) {
        let Some((first, more)) = lines.split_first() else {
            return;
        };
        let first = name(first.get(..SHOWN).unwrap_or(first));
        let more = match more.len() {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        let message = format!("cannot parse the line `{first}` of {file}{more}");
        self.fail(part, Failure::transient(message));
    }

    /// Whether there is a sample of one of these meters.
    pub(crate) fn has_sample(&self, meters: &[MeterDef]) -> bool {
        self.samples
            .iter()
            .any(|(name, ..)| meters.iter().any(|meter| meter.name == *name))
    }

    /// Reports the samples for `resource`, and each failure for its own resource `<host>.<part>`, so that it affects no
    /// other part. If there are only failures, the first one is reported for `resource`.
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

    /// Returns the findings as text, one line each, for snapshots.
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
