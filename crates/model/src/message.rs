//! Ceilometer's message form of a sample, as JSON.
//!
//! Every message has all keys, some with null. Without a secret `message_signature` is empty, as in ceilometer.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::ops::Range;

use crate::json::{self, Spelling};
use crate::signature::{Content, NonFinite};
use crate::{Sample, Signer, Subject, Timestamp};

/// The limit on cached subjects. A pollster reports the samples of a resource together, or alternates between those of its disks.
/// A subject that was evicted is encoded again.
const MAX_SUBJECTS: usize = 16;

/// The initial size of the buffer for the content of a signature, enough for a typical instance.
const CONTENT_BYTES: usize = 2048;

/// Writes samples as JSON objects, and encodes each subject once.
///
/// The parts that depend only on the subject (its ids and metadata) are encoded at its first sample and copied for later ones:
/// for the message from the output buffer, for the signature from a separate buffer.
pub(crate) struct MessageWriter<'a, S> {
    source: &'a str,
    signer: Option<&'a Signer>,
    /// At most [`MAX_SUBJECTS`], the most recent one at the end.
    subjects: VecDeque<Written<'a>>,
    /// The last time, which the samples of a run share.
    time: Time,
    /// A buffer for the part of a signature's content before that of the subject.
    head: Vec<u8>,
    spelling: PhantomData<S>,
}

/// A subject with the positions of its encoded parts.
struct Written<'a> {
    subject: &'a Subject,
    /// In the output buffer, from the user id up to the time.
    owner: Range<usize>,
    /// In the output buffer, from after the time up to the message id.
    metadata: Range<usize>,
    /// The subject's part of a signature's content.
    content: SubjectContent,
}

/// A time with its encoded forms.
#[derive(Default)]
struct Time {
    value: Option<Timestamp>,
    /// In a message.
    text: String,
    /// In the content of a signature.
    content: String,
}

/// The subject's part of a signature's content; empty without a signer.
#[derive(Default)]
struct SubjectContent {
    /// From the project id to the metadata.
    middle: Vec<u8>,
    /// The user's id and name.
    end: Vec<u8>,
}

impl<'a, S: Spelling> MessageWriter<'a, S> {
    /// Creates a writer for one output buffer. `source` is the default `source` of samples.
    pub(crate) fn new(source: &'a str, signer: Option<&'a Signer>) -> Self {
        Self {
            source,
            signer,
            subjects: VecDeque::new(),
            time: Time::default(),
            head: Vec::new(),
            spelling: PhantomData,
        }
    }

    /// Appends `samples` to `out`, separated by `between`. May be called once for a writer and its buffer.
    pub(crate) fn write_all(&mut self, samples: &'a [Sample], between: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        for (index, sample) in samples.iter().enumerate() {
            if index > 0 {
                out.extend_from_slice(between);
            }
            self.write(sample, out);
            if index == 0 {
                // The first sample contains everything that is shared; the others have about the same length.
                let first = out.len() - start + between.len();
                out.reserve(first.saturating_mul(samples.len()));
            }
        }
    }

    /// Appends `sample` to `out` without a line break. `out` must be the buffer of the earlier calls with their output, which is
    /// copied from.
    pub(crate) fn write(&mut self, sample: &'a Sample, out: &mut Vec<u8>) {
        let parts = const { S::PARTS };
        let subject = &*sample.subject;
        let source = subject.source.as_deref().unwrap_or(self.source);
        self.time.set(sample.timestamp);
        let time = self.time.text.as_bytes();
        out.extend_from_slice(parts.source.as_bytes());
        json::bare::<S>(out, source);
        out.extend_from_slice(parts.name.as_bytes());
        json::bare::<S>(out, &sample.meter.published_name);
        out.extend_from_slice(parts.kind.as_bytes());
        out.extend_from_slice(sample.meter.kind.as_str().as_bytes());
        out.extend_from_slice(parts.unit.as_bytes());
        json::bare::<S>(out, &sample.meter.unit);
        out.extend_from_slice(parts.volume.as_bytes());
        let volume = out.len();
        json::volume(out, sample.volume);
        let volume = volume..out.len();
        let known = self
            .subjects
            .iter()
            .rev()
            .find(|written| std::ptr::eq(written.subject, subject));
        let content = match known {
            Some(written) => {
                out.extend_from_within(written.owner.clone());
                out.extend_from_slice(time);
                out.extend_from_within(written.metadata.clone());
                &written.content
            }
            None => {
                let start = out.len();
                write_owner::<S>(subject, out);
                let owner = start..out.len();
                out.extend_from_slice(time);
                let start = out.len();
                out.extend_from_slice(parts.metadata.as_bytes());
                json::map::<S>(out, &subject.metadata);
                out.extend_from_slice(parts.id.as_bytes());
                let metadata = start..out.len();
                let mut content = SubjectContent::default();
                if self.subjects.len() == MAX_SUBJECTS {
                    // Reuses the buffers of the evicted subject.
                    content = self
                        .subjects
                        .pop_front()
                        .map(|oldest| oldest.content)
                        .unwrap_or_default();
                }
                if self.signer.is_some() {
                    content.fill(subject);
                }
                let written = Written {
                    subject,
                    owner,
                    metadata,
                    content,
                };
                &self.subjects.push_back_mut(written).content
            }
        };
        let mut id = [0; 36];
        let id = sample.id.encode(&mut id);
        match sample.id.as_uuid() {
            Some(_) => out.extend_from_slice(id.as_bytes()),
            // An id of another program may contain any characters.
            None => json::bare::<S>(out, id),
        }
        let id = id.as_bytes();
        out.extend_from_slice(parts.monotonic_time.as_bytes());
        let monotonic_time = out.len();
        match sample.monotonic_time {
            Some(seconds) => json::float(out, seconds),
            None => out.extend_from_slice(b"null"),
        }
        let monotonic_time = monotonic_time..out.len();
        out.extend_from_slice(parts.signature.as_bytes());
        if let Some(signer) = self.signer {
            write_head(
                &mut self.head,
                sample,
                signed_number(out, volume),
                id,
                signed_number(out, monotonic_time),
            );
            let signed = [
                &self.head,
                &content.middle,
                &b"source"[..],
                source.as_bytes(),
                self.time.content.as_bytes(),
                &content.end,
            ];
            out.extend_from_slice(&signer.sign_content(signed));
        }
        out.extend_from_slice(parts.end.as_bytes());
    }
}

/// Writes the part from the user id up to the time.
fn write_owner<S: Spelling>(subject: &Subject, out: &mut Vec<u8>) {
    let parts = const { S::PARTS };
    for (key, value) in [
        (parts.user_id, subject.user_id.as_deref()),
        (parts.user_name, subject.user_name.as_deref()),
        (parts.project_id, subject.project_id.as_deref()),
        (parts.project_name, subject.project_name.as_deref()),
        (parts.resource_id, Some(&*subject.resource_id)),
    ] {
        out.extend_from_slice(key.as_bytes());
        json::optional::<S>(out, value);
    }
    out.extend_from_slice(parts.timestamp.as_bytes());
}

/// Returns a number of the output in its signed form. Null becomes `None`, even for a number without a JSON form: consumers check
/// the signature of the message that they receive.
fn signed_number(out: &[u8], range: Range<usize>) -> &[u8] {
    match out.get(range) {
        None | Some(b"null") => b"None",
        Some(number) => number,
    }
}

/// Writes the content of a signature up to the part of the subject.
fn write_head(head: &mut Vec<u8>, sample: &Sample, volume: &[u8], id: &[u8], monotonic_time: &[u8]) {
    head.clear();
    for part in [
        &b"counter_name"[..],
        sample.meter.published_name.as_bytes(),
        b"counter_type",
        sample.meter.kind.as_str().as_bytes(),
        b"counter_unit",
        sample.meter.unit.as_bytes(),
        b"counter_volume",
        volume,
        b"message_id",
        id,
        b"monotonic_time",
        monotonic_time,
    ] {
        head.extend_from_slice(part);
    }
}

impl Time {
    fn set(&mut self, value: Timestamp) {
        if self.value != Some(value) {
            self.value = Some(value);
            self.text = value.to_string();
            self.content = format!("timestamp{}", self.text);
        }
    }
}

impl SubjectContent {
    fn fill(&mut self, subject: &Subject) {
        self.middle.clear();
        self.middle.reserve(CONTENT_BYTES);
        let mut middle = Content::new(&mut self.middle, NonFinite::AsNull);
        middle.optional("project_id", subject.project_id.as_deref());
        middle.optional("project_name", subject.project_name.as_deref());
        middle.optional("resource_id", Some(&subject.resource_id));
        middle.mapping(&mut b"resource_metadata:".to_vec(), &subject.metadata);
        self.end.clear();
        let mut end = Content::new(&mut self.end, NonFinite::AsNull);
        end.optional("user_id", subject.user_id.as_deref());
        end.optional("user_name", subject.user_name.as_deref());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::json::Compact;
    use crate::{CycleId, Meter, MeterDef, RunIds, ScheduleId, Volume};

    fn sample(subject: &Arc<Subject>, volume: Volume) -> Sample {
        let cycle = CycleId::new(ScheduleId::new("every:10:0"), Timestamp::from_millis(0), 0);
        Sample::new(
            subject.clone(),
            Arc::new(Meter::from(&MeterDef::gauge(
                "memory.usage",
                "MiB",
                "Memory in use",
            ))),
            volume,
            Timestamp::from_micros(1_767_323_045_678_901),
            RunIds::new("", &cycle, "memory")
                .resource("r1")
                .sample("memory.usage", "r1", 0),
        )
    }

    #[test]
    fn a_sample_has_all_keys_of_ceilometers_message_in_its_order() {
        let subject = Subject::new("r1")
            .project("p1")
            .metadata("display_name", "vm č \"x\"")
            .shared();
        let mut out = Vec::new();
        MessageWriter::<Compact>::new("openstack", None)
            .write(&sample(&subject, Volume::Float(37.0)), &mut out);
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r#"{"source":"openstack","counter_name":"memory.usage","counter_type":"gauge","counter_unit":"MiB","counter_volume":37.0,"user_id":null,"user_name":null,"project_id":"p1","project_name":null,"resource_id":"r1","timestamp":"2026-01-02T03:04:05.678901","resource_metadata":{"display_name":"vm č \"x\""},"message_id":"7bb794e0-e559-8a2a-bab4-5f417d10f09b","monotonic_time":null,"message_signature":""}"#);
    }

    #[test]
    fn samples_of_a_cached_subject_are_written_equally() {
        let signer = Signer::new("secret");
        let first = Subject::new("r1").user("u").metadata("a", 1u64).shared();
        let second = Subject::new("r2").source("hardware").shared();
        let mut samples = vec![
            sample(&first, Volume::Int(1)),
            sample(&first, Volume::Int(2)),
            sample(&second, Volume::Int(3)),
            sample(&first, Volume::Int(4)),
        ];
        // More subjects than the cache holds, then the first one again with another time.
        for number in 0..40i64 {
            let subject = Subject::new(format!("s{number}")).metadata("n", number).shared();
            samples.push(sample(&subject, Volume::Int(number)));
        }
        samples.push(sample(&first, Volume::Int(5)));
        for sample in samples.iter_mut().skip(30) {
            sample.timestamp = Timestamp::from_micros(1_767_323_046_000_000);
        }
        let mut together = Vec::new();
        let mut writer = MessageWriter::<Compact>::new("openstack", signer.as_ref());
        let mut apart = Vec::new();
        for sample in &samples {
            writer.write(sample, &mut together);
            MessageWriter::<Compact>::new("openstack", signer.as_ref()).write(sample, &mut apart);
        }
        assert_eq!(
            String::from_utf8(together).unwrap(),
            String::from_utf8(apart).unwrap()
        );
    }
}
