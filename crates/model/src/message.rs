//! Ceilometer's message form of a sample, as JSON.
//!
//! Keys and their order are those of ceilometer's metering messages (`docs/compatibility.md`). All keys are
//! always there, nulls included. `message_signature` is empty, as ceilometer sends it without a secret.

use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;

use crate::{Sample, Subject};

/// Writes samples as JSON objects, and what samples of one subject share only once.
pub struct MessageWriter<'a> {
    source: &'a str,
    /// The subject written last, and where its shared parts stand in the output.
    last: Option<(Arc<Subject>, Shared)>,
}

/// Where the parts that depend on the subject alone stand in the output buffer.
#[derive(Clone)]
struct Shared {
    /// `"user_id":..,"user_name":..,"project_id":..,"project_name":..,"resource_id":..`
    owner: Range<usize>,
    /// The metadata object.
    metadata: Range<usize>,
}

impl<'a> MessageWriter<'a> {
    /// A writer for samples whose `source` is `source`, into one output buffer.
    pub fn new(source: &'a str) -> Self {
        Self { source, last: None }
    }

    /// Appends `sample` to `out`, without a line break. `out` must be the buffer of the calls before:
    /// what they wrote is copied from it.
    pub fn write(&mut self, sample: &Sample, out: &mut Vec<u8>) {
        let subject = &sample.subject;
        let known = match &self.last {
            Some((last, shared)) if Arc::ptr_eq(last, subject) => Some(shared.clone()),
            _ => None,
        };
        out.extend_from_slice(b"{\"source\":");
        json(out, subject.source.as_deref().unwrap_or(self.source));
        out.extend_from_slice(b",\"counter_name\":");
        json(out, sample.meter.published_name.as_ref());
        out.extend_from_slice(b",\"counter_type\":\"");
        out.extend_from_slice(sample.meter.kind.as_str().as_bytes());
        out.extend_from_slice(b"\",\"counter_unit\":");
        json(out, sample.meter.unit.as_ref());
        out.extend_from_slice(b",\"counter_volume\":");
        json(out, &sample.volume);
        out.push(b',');
        let owner_start = out.len();
        match &known {
            Some(shared) => out.extend_from_within(shared.owner.clone()),
            None => write_owner(subject, out),
        }
        let owner = owner_start..out.len();
        out.extend_from_slice(b",\"timestamp\":\"");
        // A timestamp is digits and separators only: nothing to escape, and writing to memory cannot fail.
        let _ = std::io::Write::write_fmt(out, format_args!("{}", sample.timestamp));
        out.extend_from_slice(b"\",\"resource_metadata\":");
        let metadata_start = out.len();
        match &known {
            Some(shared) => out.extend_from_within(shared.metadata.clone()),
            None => write_map(subject, out),
        }
        let metadata = metadata_start..out.len();
        out.extend_from_slice(b",\"message_id\":\"");
        out.extend_from_slice(sample.id.encode(&mut [0; 36]).as_bytes());
        out.extend_from_slice(b"\",\"monotonic_time\":");
        json(out, &sample.monotonic_time);
        out.extend_from_slice(b",\"message_signature\":\"\"}");
        if known.is_none() {
            self.last = Some((subject.clone(), Shared { owner, metadata }));
        }
    }
}

/// Appends one sample and a line break to `out`.
pub fn write_json_line(sample: &Sample, source: &str, out: &mut Vec<u8>) {
    MessageWriter::new(source).write(sample, out);
    out.push(b'\n');
}

fn write_owner(subject: &Subject, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"user_id\":");
    json(out, &subject.user_id);
    out.extend_from_slice(b",\"user_name\":");
    json(out, &subject.user_name);
    out.extend_from_slice(b",\"project_id\":");
    json(out, &subject.project_id);
    out.extend_from_slice(b",\"project_name\":");
    json(out, &subject.project_name);
    out.extend_from_slice(b",\"resource_id\":");
    json(out, &subject.resource_id);
}

fn write_map(subject: &Subject, out: &mut Vec<u8>) {
    out.push(b'{');
    for (index, (key, value)) in subject.metadata.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        json(out, key.as_ref());
        out.push(b':');
        json(out, value);
    }
    out.push(b'}');
}

/// Appends `value` as JSON. Memory takes every byte and the values here have only text keys, so this
/// cannot fail; numbers that JSON does not know become null.
fn json<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    let written = serde_json::to_writer(out, value);
    debug_assert!(written.is_ok(), "writing JSON to memory failed: {written:?}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CycleId, Meter, MeterDef, RunIds, ScheduleId, Timestamp, Volume};

    fn sample(subject: &Arc<Subject>, volume: Volume) -> Sample {
        let cycle = CycleId {
            schedule: ScheduleId::new("every:10:0"),
            start: Timestamp::from_millis(0),
            number: 0,
        };
        Sample {
            subject: subject.clone(),
            meter: Arc::new(Meter::from(&MeterDef::gauge(
                "memory.usage",
                "MiB",
                "Memory in use",
            ))),
            volume,
            monotonic_time: None,
            timestamp: Timestamp::from_micros(1_767_323_045_678_901),
            id: RunIds::new("", &cycle, "memory")
                .resource("r1")
                .sample("memory.usage", "r1", 0),
        }
    }

    #[test]
    fn a_sample_has_all_keys_of_ceilometers_message_in_its_order() {
        let subject = Subject::new("r1")
            .project("p1")
            .metadata("display_name", "vm č \"x\"")
            .shared();
        let mut out = Vec::new();
        write_json_line(&sample(&subject, Volume::Float(37.0)), "openstack", &mut out);
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r#"{"source":"openstack","counter_name":"memory.usage","counter_type":"gauge","counter_unit":"MiB","counter_volume":37.0,"user_id":null,"user_name":null,"project_id":"p1","project_name":null,"resource_id":"r1","timestamp":"2026-01-02T03:04:05.678901","resource_metadata":{"display_name":"vm č \"x\""},"message_id":"7bb794e0-e559-8a2a-bab4-5f417d10f09b","monotonic_time":null,"message_signature":""}"#);
    }

    #[test]
    fn samples_of_one_subject_are_written_alike() {
        let first = Subject::new("r1").user("u").metadata("a", 1u64).shared();
        let second = Subject::new("r2").source("hardware").shared();
        let samples = [
            sample(&first, Volume::Int(1)),
            sample(&first, Volume::Int(2)),
            sample(&second, Volume::Int(3)),
            sample(&first, Volume::Int(4)),
        ];
        let mut together = Vec::new();
        let mut writer = MessageWriter::new("openstack");
        let mut apart = Vec::new();
        for sample in &samples {
            writer.write(sample, &mut together);
            together.push(b'\n');
            write_json_line(sample, "openstack", &mut apart);
        }
        assert_eq!(
            String::from_utf8(together).unwrap(),
            String::from_utf8(apart).unwrap()
        );
    }
}
