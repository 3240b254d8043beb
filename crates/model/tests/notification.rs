//! Round trips of notifications, with signatures that a consumer can check.

// Tests panic on failure; the exceptions of clippy.toml do not cover helpers next to the tests.
#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::sync::Arc;

use nephoscope_model::{
    Batch, CycleId, JsonLines, Map, Meter, MeterDef, MeterKind, OsloNotification, PayloadKind, RunIds,
    Sample, ScheduleId, Signer, Subject, Timestamp, Value, Volume,
};
use proptest::prelude::*;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

const KINDS: [MeterKind; 3] = [MeterKind::Gauge, MeterKind::Delta, MeterKind::Cumulative];

/// A simple second implementation of ceilometer's signature: it flattens the message into a list of pairs.
mod plain {
    use super::*;

    pub(super) fn signature(secret: &str, message: &Json) -> String {
        let mut pairs = Vec::new();
        flatten("", message, &mut pairs);
        let content: String = pairs
            .into_iter()
            .filter(|(name, _)| name != "message_signature")
            .flat_map(|(name, value)| [name, value])
            .collect();
        hmac(secret.as_bytes(), content.as_bytes())
    }

    fn flatten(prefix: &str, mapping: &Json, pairs: &mut Vec<(String, String)>) {
        let mapping = mapping.as_object().unwrap();
        let mut keys: Vec<&String> = mapping.keys().collect();
        keys.sort_by(|a, b| a.chars().cmp(b.chars()));
        for key in keys {
            let name = format!("{prefix}{key}");
            match &mapping[key] {
                value @ Json::Object(_) => flatten(&format!("{name}:"), value, pairs),
                Json::String(text) => pairs.push((name, text.clone())),
                value => pairs.push((name, literal(value))),
            }
        }
    }

    fn literal(value: &Json) -> String {
        match value {
            Json::Null => "None".to_owned(),
            Json::Bool(true) => "True".to_owned(),
            Json::Bool(false) => "False".to_owned(),
            Json::Number(number) if number.is_f64() => float(number.as_f64().unwrap()),
            Json::Number(number) => number.to_string(),
            Json::String(text) => bytes(text),
            Json::Array(items) => {
                let items: Vec<String> = items.iter().map(literal).collect();
                format!("[{}]", items.join(", "))
            }
            Json::Object(mapping) => {
                let mut keys: Vec<&String> = mapping.keys().collect();
                keys.sort_by(|a, b| a.chars().cmp(b.chars()));
                let items: Vec<String> = keys
                    .iter()
                    .map(|key| format!("{}: {}", bytes(key), literal(&mapping[*key])))
                    .collect();
                format!("{{{}}}", items.join(", "))
            }
        }
    }

    /// `repr` of a float: the fewest digits with the same value, rounded half to even.
    fn float(number: f64) -> String {
        let text = (0..17)
            .map(|digits| format!("{number:.digits$e}"))
            .find(|text| text.parse() == Ok(number))
            .unwrap();
        let (digits, exponent) = text.split_once('e').unwrap();
        let exponent: i32 = exponent.parse().unwrap();
        if (-4..16).contains(&exponent) {
            let decimals = digits.split_once('.').map_or(0, |(_, fraction)| fraction.len()) as i32;
            let decimals = usize::try_from(decimals - exponent).unwrap_or(0).max(1);
            return format!("{number:.decimals$}");
        }
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{digits}e{sign}{:02}", exponent.abs())
    }

    fn bytes(text: &str) -> String {
        let quote = if text.contains('\'') && !text.contains('"') {
            '"'
        } else {
            '\''
        };
        let mut out = format!("b{quote}");
        for byte in text.bytes() {
            match char::from(byte) {
                '\\' => out.push_str("\\\\"),
                '\t' => out.push_str("\\t"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                char if char == quote => write!(out, "\\{char}").unwrap(),
                char if char == ' ' || char.is_ascii_graphic() => out.push(char),
                _ => write!(out, "\\x{byte:02x}").unwrap(),
            }
        }
        out.push(quote);
        out
    }

    fn hmac(key: &[u8], content: &[u8]) -> String {
        let key = if key.len() > 64 {
            Sha256::digest(key).to_vec()
        } else {
            key.to_vec()
        };
        let padded =
            |pad: u8| -> Vec<u8> { (0..64).map(|index| key.get(index).unwrap_or(&0) ^ pad).collect() };
        let inner = Sha256::digest([&padded(0x36), content].concat());
        let outer = Sha256::digest([padded(0x5c).as_slice(), inner.as_slice()].concat());
        outer.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-z_.:]{0,12}",
        2 => any::<String>(),
        1 => "[\"'\\\\\u{0}-\u{20}\u{7e}-\u{81}č日😀\u{e000}\u{ffff}]{0,8}",
    ]
}

fn float() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        any::<u64>().prop_map(f64::from_bits),
        (-1_000_000i32..1_000_000, -12i32..24)
            .prop_map(|(digits, exponent)| { format!("{digits}e{exponent}").parse().unwrap() }),
        proptest::sample::select(vec![
            0.0,
            -0.0,
            1e16,
            1e15,
            1e-4,
            9.99e-5,
            f64::MAX,
            f64::MIN_POSITIVE,
            5e-324
        ]),
    ]
}

fn mapping(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Map> {
    proptest::collection::btree_map(text(), value, 0..5).prop_map(|map| {
        // Not sorted by key, like a dictionary of Python.
        map.into_iter()
            .rev()
            .map(|(key, value)| (key.into(), value))
            .collect()
    })
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        float().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            mapping(inner).prop_map(Value::from),
        ]
    })
}

fn subject() -> impl Strategy<Value = Arc<Subject>> {
    let optional = || proptest::option::of(text().prop_map(Arc::<str>::from));
    (
        text(),
        (optional(), optional(), optional(), optional()),
        proptest::option::of(text()),
        mapping(value()),
    )
        .prop_map(
            |(id, (project, project_name, user, user_name), source, metadata)| {
                let mut subject = Subject::new(id);
                subject.project_id = project;
                subject.project_name = project_name;
                subject.user_id = user;
                subject.user_name = user_name;
                subject.source = source.map(Into::into);
                subject.metadata = metadata;
                subject.shared()
            },
        )
}

fn volume() -> impl Strategy<Value = Volume> {
    prop_oneof![
        any::<i64>().prop_map(Volume::from),
        any::<u64>().prop_map(Volume::from),
        float().prop_map(Volume::from),
    ]
}

prop_compose! {
    fn samples()(
        subjects in proptest::collection::vec(subject(), 1..4),
        numbers in proptest::collection::vec(
            (any::<prop::sample::Index>(), volume(), proptest::option::of(float()), text(), text(), 0..3usize),
            0..8,
        ),
        micros in 0i64..4_000_000_000_000_000,
    ) -> Vec<Sample> {
        let cycle = CycleId::new(ScheduleId::new("every:10:0"), Timestamp::from_millis(0), 0);
        let ids = RunIds::new("", &cycle, "p").resource("r");
        numbers
            .into_iter()
            .enumerate()
            .map(|(index, (subject, volume, monotonic_time, name, unit, kind))| {
                let mut meter = Meter::from(&MeterDef::new(KINDS[kind], "m", "", "A number"));
                meter.published_name = name.into();
                meter.unit = unit.into();
                Sample::new(subjects[subject.index(subjects.len())].clone(), Arc::new(meter), volume, Timestamp::from_micros(micros + index as i64 / 4 * 1_000_000), ids.sample("m", "r", index as u32)).read_at(monotonic_time)
            })
            .collect()
    }
}

/// Converts a value to JSON: numbers without a JSON form are null.
fn json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(flag) => (*flag).into(),
        Value::Int(int) => (*int).into(),
        Value::Uint(uint) => (*uint).into(),
        Value::Float(float) => (*float).into(),
        Value::Text(text) => text.as_ref().into(),
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(map) => json_map(map),
    }
}

fn json_map(map: &Map) -> Json {
    map.iter()
        .map(|(key, value)| (key.to_string(), json(value)))
        .collect()
}

fn expected(sample: &Sample, source: &str) -> Json {
    let subject = &sample.subject;
    serde_json::json!({
        "source": subject.source.as_deref().unwrap_or(source),
        "counter_name": sample.meter.published_name,
        "counter_type": sample.meter.kind.as_str(),
        "counter_unit": sample.meter.unit,
        "counter_volume": match sample.volume {
            Volume::Int(int) => Json::from(int),
            Volume::Uint(uint) => uint.into(),
            Volume::Float(float) => float.into(),
        },
        "user_id": subject.user_id,
        "user_name": subject.user_name,
        "project_id": subject.project_id,
        "project_name": subject.project_name,
        "resource_id": subject.resource_id,
        "timestamp": sample.timestamp.to_string(),
        "resource_metadata": json_map(&subject.metadata),
        "message_id": sample.id.to_string(),
        "monotonic_time": sample.monotonic_time,
    })
}

/// Splits a message into its content and its signature.
fn take_signature(mut message: Json) -> (Json, String) {
    let (last, signature) = {
        let keys = message.as_object().unwrap();
        let (key, value) = keys.iter().next_back().unwrap();
        (key.clone(), value.as_str().unwrap().to_owned())
    };
    assert_eq!(last, "message_signature");
    message.as_object_mut().unwrap().remove("message_signature");
    (message, signature)
}

/// Compares the text, too: `serde_json`'s maps compare without their order.
fn assert_same(message: &Json, expected: &Json) {
    assert_eq!(message, expected);
    assert_eq!(message.to_string(), expected.to_string());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn notifications_survive_a_round_trip_with_valid_signatures(
        samples in samples(),
        source in text(),
        secret in "[a-zč]{0,80}",
    ) {
        let signer = Signer::new(&secret).map(Arc::new);
        let batch = Batch::new(samples, source.as_str().into())
            .signed_by(signer)
            .made_at(Timestamp::from_micros(1_795_405_514_560_320));
        let body = batch.encoded(&OsloNotification).unwrap();
        prop_assert!(body.iter().all(|byte| (b' '..=b'~').contains(byte)));
        let outer: Json = serde_json::from_slice(body).unwrap();
        prop_assert_eq!(outer["oslo.version"].as_str(), Some("2.0"));
        let inner: Json = serde_json::from_str(outer["oslo.message"].as_str().unwrap()).unwrap();
        let keys: Vec<&str> = inner.as_object().unwrap().keys().map(String::as_str).collect();
        prop_assert_eq!(
            keys,
            ["message_id", "publisher_id", "event_type", "priority", "payload", "timestamp", "_unique_id"]
        );
        prop_assert_eq!(inner["timestamp"].as_str(), Some("2026-11-23 03:45:14.560320"));
        let messages = inner["payload"]["samples"].as_array().unwrap();
        prop_assert_eq!(messages.len(), batch.samples().len());
        let lines = std::str::from_utf8(batch.encoded(&JsonLines).unwrap()).unwrap();
        prop_assert_eq!(lines.lines().count(), messages.len());
        for ((message, line), sample) in messages.iter().zip(lines.lines()).zip(batch.samples()) {
            let right = if secret.is_empty() { String::new() } else { plain::signature(&secret, message) };
            let (message, signature) = take_signature(message.clone());
            prop_assert_eq!(&signature, &right);
            assert_same(&message, &expected(sample, &source));
            let (line, signature) = take_signature(serde_json::from_str(line).unwrap());
            prop_assert_eq!(&signature, &right);
            assert_same(&line, &message);
        }
    }
}

#[test]
fn a_notification_is_encoded_once_and_only_its_unique_id_differs_between_topics() {
    let batch = Batch::new(Vec::new(), "openstack".into());
    let body = batch.encoded(&OsloNotification).unwrap();
    let first = body.to_vec();
    assert_eq!(batch.encoded(&OsloNotification).unwrap(), first);
    assert_eq!(OsloNotification::for_topic(body, 0), first);
    let second = OsloNotification::for_topic(body, 1).into_owned();
    assert_eq!(OsloNotification::for_topic(body, 1), second);
    let read = |body: &[u8]| -> Json {
        let outer: Json = serde_json::from_slice(body).unwrap();
        serde_json::from_str(outer["oslo.message"].as_str().unwrap()).unwrap()
    };
    let (first, mut second) = (read(&first), read(&second));
    assert_ne!(first["_unique_id"], second["_unique_id"]);
    second["_unique_id"] = first["_unique_id"].clone();
    assert_eq!(first, second);
    // The same for a stored notification.
    let stored = Batch::stored(OsloNotification::ID, body.to_vec(), PayloadKind::Samples, 0);
    let stored = stored.encoded(&OsloNotification).unwrap();
    assert_eq!(stored, body);
    assert_eq!(
        OsloNotification::for_topic(stored, 1),
        OsloNotification::for_topic(body, 1)
    );
    // Without samples and a creation time, it has the time of the epoch.
    assert_eq!(first["timestamp"], "1970-01-01 00:00:00");
    let other = Batch::new(Vec::new(), "openstack".into());
    assert_ne!(
        read(other.encoded(&OsloNotification).unwrap())["message_id"],
        first["message_id"]
    );
}
