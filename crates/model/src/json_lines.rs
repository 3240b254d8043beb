//! JSON lines: one JSON object in ceilometer's message form for each sample or event.

use crate::json::{self, Compact};
use crate::message::MessageWriter;
use crate::{Batch, Encoding, EncodingId, Event, PayloadKind, TraitValue};

/// One JSON object per line, in ceilometer's message form of samples and events; each line ends with a line break.
///
/// Events have the form `{"message_id", "event_type", "generated", "traits": [[name, type code, value]], "raw"}`.
#[derive(Debug, Clone, Copy, Default)]
pub struct JsonLines;

impl JsonLines {
    /// Its name and version.
    pub const ID: EncodingId = EncodingId::new("json-lines", 1);
}

impl Encoding for JsonLines {
    fn id(&self) -> EncodingId {
        Self::ID
    }

    fn accepts(&self, kind: PayloadKind) -> bool {
        matches!(kind, PayloadKind::Samples | PayloadKind::Events)
    }

    fn encode(&self, batch: &Batch) -> Vec<u8> {
        let mut out = Vec::new();
        MessageWriter::<Compact>::new(batch.source(), batch.signer()).write_all(
            batch.samples(),
            b"\n",
            &mut out,
        );
        if !out.is_empty() {
            out.push(b'\n');
        }
        for event in batch.events() {
            write_event(event, &mut out);
        }
        out
    }
}

fn write_event(event: &Event, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"message_id":"#);
    json::text::<Compact>(out, &event.id.to_string());
    out.extend_from_slice(br#","event_type":"#);
    json::text::<Compact>(out, &event.event_type);
    out.extend_from_slice(br#","generated":"#);
    json::text::<Compact>(out, &event.generated.to_string());
    out.extend_from_slice(br#","traits":["#);
    for (index, item) in event.traits.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.push(b'[');
        json::text::<Compact>(out, &item.name);
        out.extend_from_slice(&[b',', b'0' + item.value.code(), b',']);
        match &item.value {
            TraitValue::Text(text) => json::text::<Compact>(out, text),
            TraitValue::Int(number) => out.extend_from_slice(itoa::Buffer::new().format(*number).as_bytes()),
            TraitValue::Float(number) => json::float(out, *number),
            TraitValue::Time(time) => json::text::<Compact>(out, &time.to_string()),
        }
        out.push(b']');
    }
    out.extend_from_slice(br#"],"raw":"#);
    json::value::<Compact>(out, &event.raw);
    out.extend_from_slice(b"}\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MessageId, Timestamp, Value};

    #[test]
    fn an_event_has_the_form_of_ceilometer() {
        let event = Event::new(
            MessageId::upstream("a\"b"),
            "compute.instance.create.end",
            Timestamp::from_micros(1_767_323_045_678_901),
        )
        .with("service", TraitValue::Text("compute.host \u{10d}".into()))
        .with("memory_mb", TraitValue::Int(-512))
        .with("ratio", TraitValue::Float(1.5))
        .with(
            "launched_at",
            TraitValue::Time(Timestamp::from_micros(1_767_323_045_000_000)),
        )
        .raw(Value::Map(vec![("priority".into(), Value::from("INFO"))]));
        let batch = Batch::of_events(vec![event], "openstack".into());
        let line = String::from_utf8(batch.encoded(&JsonLines).unwrap().to_vec()).unwrap();
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            read,
            serde_json::json!({
                "message_id": "a\"b",
                "event_type": "compute.instance.create.end",
                "generated": "2026-01-02T03:04:05.678901",
                "traits": [
                    ["service", 1, "compute.host \u{10d}"],
                    ["memory_mb", 2, -512],
                    ["ratio", 3, 1.5],
                    ["launched_at", 4, "2026-01-02T03:04:05"]
                ],
                "raw": {"priority": "INFO"}
            })
        );
        assert!(line.ends_with("}\n") && line.lines().count() == 1);
    }
}
