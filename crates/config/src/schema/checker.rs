//! Checks a value against its schema.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::reference::{DEEPEST, reference};
use super::violation::Violation;
use super::words::{alternatives, describe, kind};
use crate::format::Format;
use crate::near::nearest;
use crate::path::ValuePath;
use crate::problem::Problem;

/// The state of a check.
pub(super) struct Checker<'a> {
    root: &'a Value,
    violations: Vec<Violation>,
}

impl<'a> Checker<'a> {
    /// Creates a checker for a schema with these definitions.
    pub(super) fn new(root: &'a Value) -> Self {
        Self {
            root,
            violations: Vec::new(),
        }
    }

    /// Returns all violations of the schema.
    pub(super) fn run(
        mut self,
        schema: &Value,
        value: &Value,
        path: &mut ValuePath,
        depth: usize,
    ) -> Vec<Violation> {
        self.check(schema, value, path, depth);
        self.violations
    }

    fn check(&mut self, schema: &Value, value: &Value, path: &mut ValuePath, depth: usize) {
        if depth > DEEPEST {
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
            let violations = Checker::new(self.root).run(branch, value, path, depth + 1);
            if violations.is_empty() {
                return;
            }
            failed.push(violations);
        }
        // An enumeration with documented values.
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
        // If only one branch accepts this type of value, its violations are reported.
        let top = |violation: &Violation| violation.path == *path && violation.problem == Problem::WrongType;
        let mut matching: Vec<_> = failed
            .iter()
            .filter(|violations| !violations.iter().any(top))
            .collect();
        if let (Some(violations), true) = (matching.pop(), matching.is_empty()) {
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
                    self.add(Problem::BadValue, &path.at(index), "unique items");
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
        (min, max, unit): (&str, &str, &str),
        path: &ValuePath,
    ) {
        let bound = |keyword: &str| keywords.get(keyword).and_then(Value::as_u64);
        let many = |count: u64| format!("{count} {unit}{}", if count == 1 { "" } else { "s" });
        let length = length as u64;
        if let Some(min) = bound(min).filter(|min| length < *min) {
            self.add(Problem::BadLength, path, format!("at least {}", many(min)));
        }
        if let Some(max) = bound(max).filter(|max| length > *max) {
            self.add(Problem::BadLength, path, format!("at most {}", many(max)));
        }
    }

    fn number(&mut self, keywords: &Map<String, Value>, number: f64, path: &ValuePath) {
        let bound = |keyword: &str| keywords.get(keyword).filter(|bound| bound.is_number());
        let min = bound("minimum");
        let above = bound("exclusiveMinimum");
        let max = bound("maximum");
        let fits = min.and_then(Value::as_f64).is_none_or(|min| number >= min)
            && above.and_then(Value::as_f64).is_none_or(|above| number > above)
            && max.and_then(Value::as_f64).is_none_or(|max| number <= max);
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
        let words = [("at least", min), ("more than", above), ("at most", max)];
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
