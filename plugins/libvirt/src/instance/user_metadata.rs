//! `user_metadata`: metadata that users set on an instance for metering.

use nephoscope_model::{Map, Value};

use crate::options::Options;

type Entry = (std::borrow::Cow<'static, str>, Value);

/// Adds the values whose keys have a prefix in `reserved_metadata_namespace`, without the prefix, then those of
/// `reserved_metadata_keys`. Keys that the metadata already contains are omitted.
pub(super) fn add<'a>(
    metadata: &mut Map,
    source: impl IntoIterator<Item = &'a Entry> + Clone,
    options: &Options,
) {
    let mut found = Map::new();
    let mut take = |key: &str, value: &Value| {
        let key = key.replace('.', "_");
        if metadata.iter().any(|(known, _)| *known == key) {
            return;
        }
        let value = cut(value, options.reserved_metadata_length);
        match found.iter_mut().find(|(known, _)| *known == key) {
            Some((_, place)) => *place = value,
            None => found.push((key.into(), value)),
        }
    };
    for prefix in &options.reserved_metadata_namespace {
        for (key, value) in source.clone() {
            if let Some(rest) = key.strip_prefix(prefix.as_str()) {
                take(rest, value);
            }
        }
    }
    for wanted in &options.reserved_metadata_keys {
        for (key, value) in source.clone() {
            if key == wanted {
                take(key, value);
            }
        }
    }
    if !found.is_empty() {
        metadata.push(("user_metadata".into(), found.into()));
    }
}

/// Truncates a text; returns other values unchanged.
fn cut(value: &Value, length: u32) -> Value {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    match value {
        Value::Text(text) => text.chars().take(length).collect::<String>().into(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(source: &str, options: &Options) -> String {
        let source: serde_json::Value = serde_json::from_str(source).unwrap();
        let Value::Map(source) = source.into() else {
            panic!("no object")
        };
        let mut metadata: Map = vec![("ephemeral_gb".into(), 5.into()), ("name".into(), "n".into())];
        add(&mut metadata, &source, options);
        serde_json::to_string(&Value::from(metadata.split_off(2))).unwrap()
    }

    #[test]
    fn metadata_for_metering_is_added() {
        let options = Options::default();
        let source = r#"{"metering.autoscale.group": "LONG", "metering.ephemeral_gb": 42, "metering.n": 7, "fqdn": "a"}"#;
        let source = source.replace("LONG", &"č".repeat(512));
        let expected = format!(
            r#"{{"user_metadata":{{"autoscale_group":"{}","n":7}}}}"#,
            "č".repeat(256)
        );
        assert_eq!(added(&source, &options), expected);
        let with_key = Options {
            reserved_metadata_keys: vec!["fqdn".to_owned(), "a.b".to_owned(), "name".to_owned()],
            ..Options::default()
        };
        assert_eq!(
            added(r#"{"fqdn": "a", "a.b": "c", "name": "x"}"#, &with_key),
            r#"{"user_metadata":{"fqdn":"a","a_b":"c"}}"#
        );
        assert_eq!(added(r#"{"fqdn": "a"}"#, &options), "{}");
    }

    #[test]
    fn later_values_replace_earlier_ones_of_the_same_name() {
        let options = Options {
            reserved_metadata_namespace: vec!["metering.".to_owned(), "billing.".to_owned()],
            reserved_metadata_length: 2,
            ..Options::default()
        };
        assert_eq!(
            added(r#"{"billing.a.b": "later", "metering.a_b": "earlier"}"#, &options),
            r#"{"user_metadata":{"a_b":"la"}}"#
        );
        let none = Options {
            reserved_metadata_namespace: Vec::new(),
            ..Options::default()
        };
        assert_eq!(added(r#"{"metering.a": "b"}"#, &none), "{}");
    }
}
