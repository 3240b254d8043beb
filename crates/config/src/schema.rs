//! Checking values against JSON schemas: all that is wrong at once, each with its path.
//!
//! This knows the keywords that schemas generated from types use, and no others; [`unsupported`] tells which ones of a schema it
//! would pass over.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::format::Format;
use crate::near::nearest;
use crate::path::ValuePath;
use crate::problem::Problem;

/// What a value breaks. Nothing in it quotes the value, which may be secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What kind of problem it is.
    pub problem: Problem,
    /// The value, or for an unknown key the entry; below the value that was checked.
    pub path: ValuePath,
    /// What is expected instead, as part of a sentence after "expected".
    pub expected: String,
    /// What kind of value is there, for a wrong type: "text", "a list".
    pub found: Option<&'static str>,
    /// Something possible that is nearly the same.
    pub near: Option<String>,
    /// The missing key.
    pub missing: Option<String>,
}

/// References to references, and the like, end here.
const MAX_REFERENCES: usize = 32;

/// Everything about the value that the schema does not allow.
pub fn check(schema: &Value, value: &Value) -> Vec<Violation> {
    let mut checker = Checker {
        root: schema,
        violations: Vec::new(),
    };
    checker.check(schema, value, &mut ValuePath::top(), 0);
    checker.violations
}

/// The paths of all values for which the schema has `writeOnly: true`.
pub fn secrets(schema: &Value, value: &Value) -> Vec<ValuePath> {
    let mut paths = Vec::new();
    find_secrets(schema, schema, value, &mut ValuePath::top(), 0, &mut paths);
    paths
}

/// The names of all properties for which the schema has `writeOnly: true`.
pub fn secret_names(schema: &Value) -> Vec<String> {
    let mut names = Vec::new();
    let mut waiting = vec![schema];
    while let Some(schema) = waiting.pop() {
        match schema {
            Value::Object(keywords) => {
                if let Some(Value::Object(properties)) = keywords.get("properties") {
                    names.extend(
                        properties
                            .iter()
                            .filter(|(_, property)| is_secret(property))
                            .map(|(name, _)| name.clone()),
                    );
                }
                waiting.extend(keywords.values());
            }
            Value::Array(schemas) => waiting.extend(schemas),
            _ => {}
        }
    }
    names.sort();
    names.dedup();
    names
}

/// The keywords and formats of a schema that [`check`] does not know, each once.
pub fn unsupported(schema: &Value) -> Vec<String> {
    const KNOWN: &[&str] = &[
        "$ref",
        "$defs",
        "type",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "enum",
        "const",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "uniqueItems",
        "anyOf",
        "oneOf",
        "allOf",
        "format",
        // These say something to people, or to `secrets`.
        "$schema",
        "title",
        "description",
        "default",
        "examples",
        "writeOnly",
        "deprecated",
    ];
    const NUMBERS: &[&str] = &[
        "int8", "int16", "int32", "int64", "int", "uint8", "uint16", "uint32", "uint64", "uint", "float",
        "double",
    ];
    fn walk(schema: &Value, unknown: &mut Vec<String>) {
        let Value::Object(keywords) = schema else { return };
        for (keyword, argument) in keywords {
            match (keyword.as_str(), argument) {
                ("properties" | "$defs", Value::Object(named)) => {
                    named.values().for_each(|schema| walk(schema, unknown))
                }
                ("items" | "additionalProperties", schema) => walk(schema, unknown),
                ("anyOf" | "oneOf" | "allOf", Value::Array(schemas)) => {
                    schemas.iter().for_each(|schema| walk(schema, unknown));
                }
                ("format", Value::String(name)) => {
                    if Format::named(name).is_none() && !NUMBERS.contains(&name.as_str()) {
                        unknown.push(format!("format {name}"));
                    }
                }
                (keyword, _) => {
                    if !KNOWN.contains(&keyword) {
                        unknown.push(keyword.to_owned());
                    }
                }
            }
        }
    }
    let mut unknown = Vec::new();
    walk(schema, &mut unknown);
    unknown.sort();
    unknown.dedup();
    unknown
}

fn is_secret(schema: &Value) -> bool {
    schema.get("writeOnly") == Some(&Value::Bool(true))
        || ["anyOf", "oneOf", "allOf"]
            .iter()
            .filter_map(|keyword| schema.get(keyword)?.as_array())
            .flatten()
            .any(is_secret)
}

fn find_secrets(
    root: &Value,
    schema: &Value,
    value: &Value,
    path: &mut ValuePath,
    depth: usize,
    paths: &mut Vec<ValuePath>,
) {
    if depth > MAX_REFERENCES + crate::position::MAX_DEPTH {
        return;
    }
    if is_secret(schema) {
        paths.push(path.clone());
        return;
    }
    if let Some(target) = reference(root, schema) {
        find_secrets(root, target, value, path, depth + 1, paths);
    }
    for branches in ["anyOf", "oneOf", "allOf"]
        .iter()
        .filter_map(|keyword| schema.get(keyword)?.as_array())
    {
        for branch in branches {
            find_secrets(root, branch, value, path, depth + 1, paths);
        }
    }
    match value {
        Value::Object(entries) => {
            let properties = schema.get("properties").and_then(Value::as_object);
            for (key, value) in entries {
                let property = properties.and_then(|properties| properties.get(key));
                if let Some(property) = property.or_else(|| schema.get("additionalProperties")) {
                    path.push(key.as_str());
                    find_secrets(root, property, value, path, depth + 1, paths);
                    path.pop();
                }
            }
        }
        Value::Array(items) => {
            if let Some(item_schema) = schema.get("items") {
                for (index, item) in items.iter().enumerate() {
                    path.push(index);
                    find_secrets(root, item_schema, item, path, depth + 1, paths);
                    path.pop();
                }
            }
        }
        _ => {}
    }
}

fn reference<'a>(root: &'a Value, schema: &Value) -> Option<&'a Value> {
    root.pointer(schema.get("$ref")?.as_str()?.strip_prefix('#')?)
}

struct Checker<'a> {
    root: &'a Value,
    violations: Vec<Violation>,
}

impl Checker<'_> {
    fn check(&mut self, schema: &Value, value: &Value, path: &mut ValuePath, depth: usize) {
        if depth > MAX_REFERENCES + crate::position::MAX_DEPTH {
            return;
        }
        let Value::Object(keywords) = schema else {
            if schema == &Value::Bool(false) {
                self.add(Problem::UnknownKey, path, "no value here");
            }
            return;
        };
        let root = self.root;
        if let Some(target) = reference(root, schema) {
            self.check(target, value, path, depth + 1);
        }
        if !self.has_type(keywords, value, path) {
            return;
        }
        self.one_of_constants(keywords, value, path);
        for keyword in ["anyOf", "oneOf"] {
            if let Some(Value::Array(branches)) = keywords.get(keyword) {
                self.any(branches, value, path, depth);
            }
        }
        if let Some(Value::Array(branches)) = keywords.get("allOf") {
            for branch in branches {
                self.check(branch, value, path, depth + 1);
            }
        }
        match value {
            Value::Object(entries) => self.object(keywords, entries, path, depth),
            Value::Array(items) => self.array(keywords, items, path, depth),
            Value::String(text) => self.text(keywords, text, path),
            Value::Number(number) => self.number(keywords, number.as_f64().unwrap_or(f64::NAN), path),
            _ => {}
        }
    }

    fn add(&mut self, problem: Problem, path: &ValuePath, expected: impl Into<String>) {
        let expected = expected.into();
        self.violations.push(Violation {
            problem,
            path: path.clone(),
            expected,
            found: None,
            near: None,
            missing: None,
        });
    }

    fn has_type(&mut self, keywords: &Map<String, Value>, value: &Value, path: &ValuePath) -> bool {
        let allowed: Vec<&str> = match keywords.get("type") {
            Some(Value::String(name)) => vec![name],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => return true,
        };
        if allowed.iter().any(|name| is_of_type(value, name)) {
            return true;
        }
        self.violations.push(Violation {
            problem: Problem::WrongType,
            path: path.clone(),
            expected: describe(keywords, &allowed),
            found: Some(kind(value)),
            near: None,
            missing: None,
        });
        false
    }

    fn one_of_constants(&mut self, keywords: &Map<String, Value>, value: &Value, path: &ValuePath) {
        let allowed: Vec<&Value> = match (keywords.get("enum"), keywords.get("const")) {
            (Some(Value::Array(values)), _) => values.iter().collect(),
            (_, Some(constant)) => vec![constant],
            _ => return,
        };
        if !allowed.contains(&value) {
            self.none_of(&allowed, value, path);
        }
    }

    fn none_of(&mut self, allowed: &[&Value], value: &Value, path: &ValuePath) {
        let names: Vec<String> = allowed
            .iter()
            .filter(|constant| !constant.is_null())
            .map(|constant| {
                constant
                    .as_str()
                    .map_or_else(|| constant.to_string(), str::to_owned)
            })
            .collect();
        let near = value
            .as_str()
            .and_then(|text| nearest(text, names.iter().map(String::as_str)));
        let near = near.map(str::to_owned);
        self.violations.push(Violation {
            problem: Problem::NotOneOf,
            path: path.clone(),
            expected: alternatives(names.iter().map(|name| format!("`{name}`"))),
            found: None,
            near,
            missing: None,
        });
    }

    fn any(&mut self, branches: &[Value], value: &Value, path: &mut ValuePath, depth: usize) {
        let mut failed = Vec::new();
        for branch in branches {
            let mut checker = Checker {
                root: self.root,
                violations: Vec::new(),
            };
            checker.check(branch, value, path, depth + 1);
            if checker.violations.is_empty() {
                return;
            }
            failed.push(checker.violations);
        }
        // An enumeration whose values are documented one by one.
        let constants: Option<Vec<&Value>> = branches
            .iter()
            .filter(|branch| branch.get("type") != Some(&"null".into()))
            .map(constants)
            .collect::<Option<Vec<_>>>()
            .map(|all| all.concat());
        if let Some(constants) = constants {
            self.none_of(&constants, value, path);
            return;
        }
        // The one branch that takes this type of value is the one that was meant.
        let top = |violation: &Violation| violation.path == *path && violation.problem == Problem::WrongType;
        let mut meant: Vec<_> = failed
            .iter()
            .filter(|violations| !violations.iter().any(top))
            .collect();
        if let (Some(violations), true) = (meant.pop(), meant.is_empty()) {
            self.violations.extend(violations.iter().cloned());
            return;
        }
        let mut expected: Vec<String> = failed
            .iter()
            .flatten()
            .filter(|violation| violation.path == *path)
            .map(|violation| violation.expected.clone())
            .collect();
        expected.retain(|expected| expected != "nothing");
        expected.dedup();
        self.violations.push(Violation {
            problem: Problem::WrongType,
            path: path.clone(),
            expected: alternatives(expected),
            found: Some(kind(value)),
            near: None,
            missing: None,
        });
    }

    fn object(
        &mut self,
        keywords: &Map<String, Value>,
        entries: &Map<String, Value>,
        path: &mut ValuePath,
        depth: usize,
    ) {
        let empty = Map::new();
        let properties = keywords
            .get("properties")
            .and_then(Value::as_object)
            .unwrap_or(&empty);
        for (key, value) in entries {
            path.push(key.as_str());
            match (properties.get(key), keywords.get("additionalProperties")) {
                (Some(property), _) => self.check(property, value, path, depth + 1),
                (None, Some(Value::Bool(false))) => {
                    let names = properties.keys().map(|name| format!("`{name}`"));
                    let near = nearest(key, properties.keys().map(String::as_str)).map(str::to_owned);
                    self.violations.push(Violation {
                        problem: Problem::UnknownKey,
                        path: path.clone(),
                        expected: alternatives(names),
                        found: None,
                        near,
                        missing: None,
                    });
                }
                (None, Some(schema)) => self.check(schema, value, path, depth + 1),
                (None, None) => {}
            }
            path.pop();
        }
        for name in keywords
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            if !entries.contains_key(name) {
                self.violations.push(Violation {
                    problem: Problem::MissingKey,
                    path: path.clone(),
                    expected: format!("the key `{name}`"),
                    found: None,
                    near: None,
                    missing: Some(name.to_owned()),
                });
            }
        }
    }

    fn array(&mut self, keywords: &Map<String, Value>, items: &[Value], path: &mut ValuePath, depth: usize) {
        self.length(keywords, items.len(), ("minItems", "maxItems", "item"), path);
        if keywords.get("uniqueItems") == Some(&Value::Bool(true)) {
            let mut seen = HashSet::new();
            for (index, item) in items.iter().enumerate() {
                if !seen.insert(item.to_string()) {
                    self.add(Problem::BadValue, &path.at(index), "each item once");
                }
            }
        }
        if let Some(schema) = keywords.get("items") {
            for (index, item) in items.iter().enumerate() {
                path.push(index);
                self.check(schema, item, path, depth + 1);
                path.pop();
            }
        }
    }

    fn text(&mut self, keywords: &Map<String, Value>, text: &str, path: &ValuePath) {
        let format = keywords
            .get("format")
            .and_then(Value::as_str)
            .and_then(Format::named);
        if let Some(format) = format.filter(|format| !format.matches(text)) {
            self.add(Problem::BadFormat, path, format.expected());
            return;
        }
        if let Some(amount) = format.and_then(|format| format.amount(text)) {
            self.number(keywords, amount, path);
        }
        self.length(
            keywords,
            text.chars().count(),
            ("minLength", "maxLength", "character"),
            path,
        );
    }

    fn length(
        &mut self,
        keywords: &Map<String, Value>,
        length: usize,
        (least, most, unit): (&str, &str, &str),
        path: &ValuePath,
    ) {
        let bound = |keyword: &str| keywords.get(keyword).and_then(Value::as_u64);
        let many = |count: u64| format!("{count} {unit}{}", if count == 1 { "" } else { "s" });
        let length = length as u64;
        if let Some(least) = bound(least).filter(|least| length < *least) {
            self.add(Problem::BadLength, path, format!("at least {}", many(least)));
        }
        if let Some(most) = bound(most).filter(|most| length > *most) {
            self.add(Problem::BadLength, path, format!("at most {}", many(most)));
        }
    }

    fn number(&mut self, keywords: &Map<String, Value>, number: f64, path: &ValuePath) {
        let bound = |keyword: &str| keywords.get(keyword).filter(|bound| bound.is_number());
        let least = bound("minimum");
        let above = bound("exclusiveMinimum");
        let most = bound("maximum");
        let fits = least.and_then(Value::as_f64).is_none_or(|least| number >= least)
            && above.and_then(Value::as_f64).is_none_or(|above| number > above)
            && most.and_then(Value::as_f64).is_none_or(|most| number <= most);
        if fits {
            return;
        }
        let format = keywords
            .get("format")
            .and_then(Value::as_str)
            .and_then(Format::named);
        let shown = |bound: &Value| {
            let amount = bound.as_u64().zip(format);
            let shown = amount.and_then(|(amount, format)| format.shown(amount));
            shown.unwrap_or_else(|| bound.to_string())
        };
        let words = [("at least", least), ("more than", above), ("at most", most)];
        let parts: Vec<String> = words
            .iter()
            .filter_map(|(word, bound)| bound.map(|bound| format!("{word} {}", shown(bound))))
            .collect();
        self.add(Problem::OutOfRange, path, parts.join(" and "));
    }
}

fn constants(schema: &Value) -> Option<Vec<&Value>> {
    match (schema.get("const"), schema.get("enum")) {
        (Some(constant), _) => Some(vec![constant]),
        (_, Some(Value::Array(values))) => Some(values.iter().collect()),
        _ => None,
    }
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    }
}

/// What kind of value it is, as part of a sentence.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a truth value",
        Value::Number(number) if number.is_f64() => "a fractional number",
        Value::Number(_) => "a whole number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

fn describe(keywords: &Map<String, Value>, allowed: &[&str]) -> String {
    if let Some(format) = keywords
        .get("format")
        .and_then(Value::as_str)
        .and_then(Format::named)
    {
        return format.expected().to_owned();
    }
    let words = allowed.iter().filter(|name| **name != "null").map(|name| {
        match *name {
            "boolean" => "true or false",
            "integer" => "a whole number",
            "number" => "a number",
            "string" => "text",
            "array" => "a list",
            "object" => "a mapping",
            other => other,
        }
        .to_owned()
    });
    let words = alternatives(words);
    if words.is_empty() {
        "nothing".to_owned()
    } else {
        words
    }
}

/// `a`, `a or b`, `a, b or c`.
fn alternatives(words: impl IntoIterator<Item = String>) -> String {
    let mut words: Vec<String> = words.into_iter().collect();
    match words.pop() {
        Some(last) if words.is_empty() => last,
        Some(last) => format!("{} or {last}", words.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use nephoscope_plugin::Secret;
    use schemars::{JsonSchema, schema_for};
    use serde_json::json;

    use super::*;
    use crate::duration::HumanDuration;

    /// A type with all that options need.
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
    fn good_values_pass() {
        assert!(shown(json!({"latency": 5})).is_empty());
        let all = json!({
            "latency": "5ms", "mode": "slow", "password": null, "count": 10, "ratio": 1, "maybe": "fast",
            "hosts": [{"name": "abc", "token": "x"}], "labels": {"a": "b"}
        });
        assert_eq!(shown(all), Vec::<String>::new());
    }

    #[test]
    fn everything_wrong_is_found_at_once() {
        let value = json!({
            "latency": "soon", "mode": "slwo", "password": 5, "count": 11, "ratio": "x", "maybe": "fasst", "labels": {"a": 1},
            "hosts": [{"name": "abcd", "tokn": "x"}, {}, 5], "cuont": 1
        });
        insta::assert_snapshot!(shown(value).join("\n"), @r"
        bad-format latency: a number of seconds or a duration such as `30s` or `1h30m`
        not-one-of mode: `fast` or `slow` (slow?)
        wrong-type password: text, found a whole number
        out-of-range count: at least 1 and at most 10
        wrong-type ratio: a number, found text
        not-one-of maybe: `fast` or `slow` (fast?)
        wrong-type labels.a: text, found a whole number
        bad-length hosts[0].name: at most 3 characters
        unknown-key hosts[0].tokn: `name` or `token` (token?)
        missing-key hosts[1]: the key `name`
        wrong-type hosts[2]: a mapping, found a whole number
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
    fn keywords_that_would_be_passed_over_are_told() {
        assert_eq!(unsupported(&schema()), Vec::<String>::new());
        let schema = json!({"properties": {"a": {"pattern": "x", "format": "ipv4"}}, "not": {}});
        assert_eq!(unsupported(&schema), ["format ipv4", "not", "pattern"]);
    }

    #[test]
    fn references_in_a_circle_end() {
        let schema = json!({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}});
        assert!(check(&schema, &json!(1)).is_empty());
    }
}
