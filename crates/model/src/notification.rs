//! The notification that ceilometer's polling agent sends: the body of an oslo.messaging 2.0 message with samples.

use std::borrow::Cow;

use uuid::Uuid;

use crate::json::Nested;
use crate::message::MessageWriter;
use crate::{Batch, Encoding, EncodingId, Sample, Signer, Timestamp};

/// The text after `_unique_id`.
const END: &[u8] = br#"\"}"}"#;

/// The number of hex digits of `_unique_id`.
const UNIQUE_ID_DIGITS: usize = 32;

/// Encodes samples as one notification of ceilometer's polling agent: the body of an oslo.messaging 2.0 message, content type
/// `application/json`, content encoding `utf-8`, ASCII only.
///
/// Its `message_id` and `_unique_id` are random and created once per batch: a consumer can detect a duplicate of a notification
/// that was sent twice.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsloNotification;

impl OsloNotification {
    /// Its name and version.
    pub const ID: EncodingId = EncodingId::new("oslo-notification", 1);

    /// Returns the notification for one of several topics, counted from 0. Only its `_unique_id` differs, like in oslo.messaging,
    /// so that a consumer of several topics accepts all of them. The first one is `body` itself.
    pub fn for_topic(body: &[u8], topic: usize) -> Cow<'_, [u8]> {
        match unique_id(body) {
            Some(first) if topic > 0 => {
                // The last bits are random; version and variant are elsewhere.
                let unique_id = Uuid::from_u128(first.as_u128() ^ topic as u128);
                Cow::Owned(with_unique_id(body, unique_id))
            }
            _ => Cow::Borrowed(body),
        }
    }
}

impl Encoding for OsloNotification {
    fn id(&self) -> EncodingId {
        Self::ID
    }

    fn encode(&self, batch: &Batch) -> Vec<u8> {
        let envelope = Envelope {
            message_id: Uuid::new_v4(),
            unique_id: Uuid::new_v4(),
            timestamp: batch.made_at_or_latest(),
        };
        body(batch.samples(), batch.source(), batch.signer(), envelope)
    }
}

/// The identity of a notification.
#[derive(Debug, Clone, Copy)]
struct Envelope {
    /// Equal for all topics.
    message_id: Uuid,
    /// Consumers drop a notification with a recent `_unique_id`.
    unique_id: Uuid,
    /// Its creation time.
    timestamp: Timestamp,
}

/// Returns the body of a notification: JSON with an `oslo.message` of JSON as text, both formatted like by Python's `json.dumps`.
fn body(samples: &[Sample], source: &str, signer: Option<&Signer>, envelope: Envelope) -> Vec<u8> {
    // The approximate size of the text around the samples.
    const FRAME_BYTES: usize = 512;
    let mut out = Vec::with_capacity(FRAME_BYTES);
    out.extend_from_slice(br#"{"oslo.version": "2.0", "oslo.message": "{\"message_id\": \""#);
    let mut text = Uuid::encode_buffer();
    out.extend_from_slice(
        envelope
            .message_id
            .hyphenated()
            .encode_lower(&mut text)
            .as_bytes(),
    );
    out.extend_from_slice(br#"\", \"publisher_id\": \"ceilometer.polling\", "#);
    out.extend_from_slice(br#"\"event_type\": \"telemetry.polling\", "#);
    out.extend_from_slice(br#"\"priority\": \"SAMPLE\", \"payload\": {\"samples\": ["#);
    let mut writer = MessageWriter::<Nested>::new(source, signer);
    writer.write_all(samples, b", ", &mut out);
    out.extend_from_slice(br#"]}, \"timestamp\": \""#);
    // Times of oslo.messaging have a space where those of ceilometer have a T.
    let time = envelope.timestamp.to_string().replace('T', " ");
    out.extend_from_slice(time.as_bytes());
    out.extend_from_slice(br#"\", \"_unique_id\": \""#);
    out.extend_from_slice(envelope.unique_id.simple().encode_lower(&mut text).as_bytes());
    out.extend_from_slice(END);
    out
}

/// Returns the `_unique_id` of a body.
fn unique_id(body: &[u8]) -> Option<Uuid> {
    let digits = body.strip_suffix(END)?.last_chunk::<UNIQUE_ID_DIGITS>()?;
    Uuid::try_parse_ascii(digits).ok()
}

/// Returns the body with another `_unique_id`.
fn with_unique_id(body: &[u8], unique_id: Uuid) -> Vec<u8> {
    let before = body.len().saturating_sub(UNIQUE_ID_DIGITS + END.len());
    let mut out = Vec::with_capacity(body.len());
    out.extend_from_slice(body.get(..before).unwrap_or_default());
    out.extend_from_slice(
        unique_id
            .simple()
            .encode_lower(&mut Uuid::encode_buffer())
            .as_bytes(),
    );
    out.extend_from_slice(END);
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{JsonLines, MessageId, Meter, MeterDef, PayloadKind, Subject, Volume};

    /// The body of a notification that ceilometer's polling agent sent with the secret `s3cr3t`.
    const CAPTURED: &str = r#"{"oslo.version": "2.0", "oslo.message": "{\"message_id\": \"f601a7c2-66ff-48d6-839d-d3340c9de0c5\", \"publisher_id\": \"ceilometer.polling\", \"event_type\": \"telemetry.polling\", \"priority\": \"SAMPLE\", \"payload\": {\"samples\": [{\"source\": \"openstack\", \"counter_name\": \"cpu\", \"counter_type\": \"cumulative\", \"counter_unit\": \"ns\", \"counter_volume\": 123456789, \"user_id\": \"u1\", \"user_name\": null, \"project_id\": \"p1\", \"project_name\": null, \"resource_id\": \"9c2b6b1e-2b0e-4f0f-9d6c-0123456789ab\", \"timestamp\": \"2026-01-02T03:04:05.678901\", \"resource_metadata\": {\"display_name\": \"vm \\u010d\", \"vcpus\": 2}, \"message_id\": \"11111111-2222-11ee-8000-0242ac110002\", \"monotonic_time\": null, \"message_signature\": \"ffa16b47f5c91000b26e8c4b101bffa641564dc2dfa777fe9fa29d71809f5f97\"}]}, \"timestamp\": \"2026-11-23 03:45:14.560320\", \"_unique_id\": \"845f8d64f56c4672a79243cd1a55ed88\"}"}"#;

    fn captured_sample() -> Sample {
        Sample::new(
            Subject::new("9c2b6b1e-2b0e-4f0f-9d6c-0123456789ab")
                .user("u1")
                .project("p1")
                .metadata("display_name", "vm č")
                .metadata("vcpus", 2u64)
                .shared(),
            Arc::new(Meter::from(&MeterDef::cumulative("cpu", "ns", "CPU time"))),
            Volume::Int(123_456_789),
            Timestamp::from_micros(1_767_323_045_678_901),
            MessageId::from_uuid(uuid::uuid!("11111111-2222-11ee-8000-0242ac110002")),
        )
    }

    #[test]
    fn a_notification_equals_that_of_ceilometer_byte_by_byte() {
        let envelope = Envelope {
            message_id: uuid::uuid!("f601a7c2-66ff-48d6-839d-d3340c9de0c5"),
            unique_id: uuid::uuid!("845f8d64f56c4672a79243cd1a55ed88"),
            timestamp: Timestamp::from_micros(1_795_405_514_560_320),
        };
        let signer = Signer::new("s3cr3t");
        let body = body(&[captured_sample()], "openstack", signer.as_ref(), envelope);
        assert_eq!(String::from_utf8(body).unwrap(), CAPTURED);
    }

    #[test]
    fn a_stored_notification_keeps_its_bytes() {
        let batch = Batch::new(vec![captured_sample()], "openstack".into());
        let body = batch.encoded(&OsloNotification).unwrap();
        let stored = Batch::stored(OsloNotification::ID, body.to_vec(), PayloadKind::Samples, 1);
        assert_eq!((stored.len(), stored.samples().len()), (1, 0));
        assert_eq!(stored.encoded(&OsloNotification).unwrap(), body);
        assert!(stored.encoded(&JsonLines).is_err());
    }

    #[test]
    fn only_the_unique_id_is_replaced() {
        let other = uuid::uuid!("00000000-0000-4000-8000-000000000001");
        let expected = CAPTURED.replace("845f8d64f56c4672a79243cd1a55ed88", &other.simple().to_string());
        assert_eq!(with_unique_id(CAPTURED.as_bytes(), other), expected.as_bytes());
    }
}
