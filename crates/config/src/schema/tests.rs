use nephoscope_plugin::Secret;
use schemars::{JsonSchema, schema_for};
use serde_json::json;

use super::*;
use crate::duration::HumanDuration;

/// A type with all features of options.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Options {
    /// A duration.
    latency: HumanDuration,
    #[serde(default)]
    mode: Mode,
    password: Option<Secret>,
    #[schemars(range(min = 1, max = 10))]
    #[serde(default)]
    count: u32,
    #[serde(default)]
    hosts: Vec<Host>,
    ratio: Option<f64>,
    #[serde(default)]
    labels: std::collections::BTreeMap<String, String>,
    maybe: Option<Mode>,
}

#[derive(JsonSchema, Default)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code)]
enum Mode {
    /// Fast.
    #[default]
    Fast,
    /// Slow.
    Slow,
}

#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Host {
    #[schemars(length(min = 1, max = 3))]
    name: String,
    token: Option<Secret>,
}

fn schema() -> Value {
    schema_for!(Options).into()
}

fn shown(value: Value) -> Vec<String> {
    check(&schema(), &value)
        .iter()
        .map(|violation| {
            let Violation {
                problem,
                path,
                expected,
                found,
                near,
                ..
            } = violation;
            let near = near
                .as_ref()
                .map(|near| format!(" ({near}?)"))
                .unwrap_or_default();
            let found = found.map(|found| format!(", found {found}")).unwrap_or_default();
            format!("{} {path}: {expected}{found}{near}", problem.code())
        })
        .collect()
}

#[test]
fn valid_values_pass() {
    assert!(shown(json!({"latency": 5})).is_empty());
    let all = json!({
        "latency": "5ms", "mode": "slow", "password": null, "count": 10, "ratio": 1, "maybe": "fast",
        "hosts": [{"name": "abc", "token": "x"}], "labels": {"a": "b"}
    });
    assert_eq!(shown(all), Vec::<String>::new());
}

#[test]
fn all_violations_are_found() {
    let value = json!({
        "latency": "soon", "mode": "slwo", "password": 5, "count": 11, "ratio": "x", "maybe": "fasst", "labels": {"a": 1},
        "hosts": [{"name": "abcd", "tokn": "x"}, {}, 5], "cuont": 1
    });
    insta::assert_snapshot!(shown(value).join("\n"), @r"
    bad-format latency: a number of seconds or a duration such as `30s` or `1h30m`
    not-one-of mode: `fast` or `slow` (slow?)
    wrong-type password: text, found an integer
    out-of-range count: at least 1 and at most 10
    wrong-type ratio: a number, found text
    not-one-of maybe: `fast` or `slow` (fast?)
    wrong-type labels.a: text, found an integer
    bad-length hosts[0].name: at most 3 characters
    unknown-key hosts[0].tokn: `name` or `token` (token?)
    missing-key hosts[1]: the key `name`
    wrong-type hosts[2]: a mapping, found an integer
    unknown-key cuont: `latency`, `mode`, `password`, `count`, `hosts`, `ratio`, `labels` or `maybe` (count?)
    ");
    assert_eq!(shown(json!([1])), ["wrong-type : a mapping, found a list"]);
    assert_eq!(shown(json!({})), ["missing-key : the key `latency`"]);
}

#[test]
fn secrets_are_found_by_schema() {
    let value = json!({"password": ["a"], "hosts": [{"token": "b", "name": "c"}]});
    let paths: Vec<_> = secrets(&schema(), &value)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(paths, ["password", "hosts[0].token"]);
    assert_eq!(secret_names(&schema()), ["password", "token"]);
}

#[test]
fn unsupported_keywords_are_found() {
    assert_eq!(unsupported(&schema()), Vec::<String>::new());
    let schema = json!({"properties": {"a": {"pattern": "x", "format": "ipv4"}}, "not": {}});
    assert_eq!(unsupported(&schema), ["format ipv4", "not", "pattern"]);
}

#[test]
fn circular_references_end() {
    let schema = json!({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}});
    assert!(check(&schema, &json!(1)).is_empty());
}
