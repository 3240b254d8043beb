//! Rules for option schemas, and canary values for secret options.

use serde_json::{Map, Value};

/// The value of every secret option while the check searches all output for it.
pub(super) const CANARY: &str = "canary-3f1b9c7e-never-to-be-shown";

/// The keywords that configuration diagnostics, `nephoscope schema` and the reference support.
const KEYWORDS: [&str; 23] = [
    "$defs",
    "$ref",
    "additionalProperties",
    "anyOf",
    "const",
    "default",
    "description",
    "enum",
    "examples",
    "exclusiveMinimum",
    "format",
    "items",
    "maxLength",
    "maximum",
    "minLength",
    "minimum",
    "oneOf",
    "properties",
    "required",
    "title",
    "type",
    "writeOnly",
    // At the root only.
    "$schema",
];

/// Suffixes of option names that denote a secret.
const SECRET_NAMES: [&str; 6] = [
    "password",
    "passphrase",
    "secret",
    "token",
    "api_key",
    "private_key",
];

/// The maximum depth. Schemas may refer to each other in cycles.
const MAX_DEPTH: usize = 16;

/// Whether options may be required.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Required {
    /// For publishers: a person writes an entry of `publishers:`.
    Allowed,
    /// For families: they load without an entry under `plugins:`.
    Never,
}

/// Checks that a description is one line without a final period.
pub(super) fn check_line(findings: &mut Vec<String>, of: &str, line: &str) {
    if line.trim().is_empty() {
        findings.push(format!("{of} has no description"));
    } else if line.contains('\n') || line.ends_with('.') || line.trim() != line {
        findings.push(format!(
            "the description of {of} is not one line without a final period"
        ));
    }
}

/// Checks the schema of options.
pub(super) fn check(findings: &mut Vec<String>, root: &Value, required: Required) {
    if root.get("type").and_then(Value::as_str) != Some("object") {
        findings.push("the options are not a mapping".to_owned());
        return;
    }
    if root.get("additionalProperties") != Some(&Value::Bool(false)) {
        findings
            .push("the options accept unknown keys (`#[serde(deny_unknown_fields)]` is missing)".to_owned());
    }
    let required_keys = root.get("required").and_then(Value::as_array);
    if required == Required::Never && required_keys.is_some_and(|keys| !keys.is_empty()) {
        findings.push("an option is required: the family would not load without an entry".to_owned());
    }
    check_schema(findings, root, root, "options", 0);
}

fn check_schema(findings: &mut Vec<String>, root: &Value, schema: &Value, path: &str, depth: usize) {
    let Some(keys) = schema.as_object() else {
        return; // `true` and `false` are schemas too.
    };
    if depth > MAX_DEPTH {
        return;
    }
    for keyword in keys.keys() {
        if !KEYWORDS.contains(&keyword.as_str()) || (keyword == "$schema" && depth > 0) {
            findings.push(format!("the schema of `{path}` uses the keyword `{keyword}`"));
        }
    }
    for (name, option) in entries(keys, "properties") {
        let path = format!("{path}.{name}");
        let target = resolve(root, option);
        if option.get("description").is_none() && target.get("description").is_none() {
            findings.push(format!("the option `{path}` has no description"));
        }
        let text = |type_name: &Value| type_name == "string";
        let is_text = match target.get("type") {
            Some(Value::Array(types)) => types.iter().any(text),
            Some(type_name) => text(type_name),
            None => false,
        };
        if is_text && !is_secret(option, target) && SECRET_NAMES.iter().any(|end| name.ends_with(end)) {
            findings.push(format!("the option `{path}` is not a `Secret`"));
        }
        check_schema(findings, root, option, &path, depth + 1);
    }
    for (name, definition) in entries(keys, "$defs") {
        check_schema(findings, root, definition, name, depth + 1);
    }
    for keyword in ["items", "additionalProperties"] {
        if let Some(inner) = keys.get(keyword) {
            check_schema(findings, root, inner, &format!("{path}[]"), depth + 1);
        }
    }
    for variant in variants(keys) {
        check_schema(findings, root, variant, path, depth + 1);
    }
    let closed = keys.contains_key("additionalProperties");
    if depth > 0 && keys.contains_key("properties") && !closed {
        findings.push(format!(
            "`{path}` accepts unknown keys (`#[serde(deny_unknown_fields)]` is missing)"
        ));
    }
}

/// Sets every secret option of `options` to [`CANARY`]; returns whether there is any.
pub(super) fn fill_secrets(schema: &Value, options: &mut Value) -> bool {
    fill(schema, schema, options, 0)
}

fn fill(root: &Value, schema: &Value, value: &mut Value, depth: usize) -> bool {
    let schema = resolve(root, schema);
    let Some(keys) = schema.as_object() else {
        return false;
    };
    if depth > MAX_DEPTH || lacks_required(keys, value) {
        return false;
    }
    let mut filled = false;
    for (name, option) in entries(keys, "properties") {
        let mut inner = value.get(name).cloned().unwrap_or_default();
        if is_secret(option, resolve(root, option)) {
            inner = Value::String(CANARY.to_owned());
        } else if !fill(root, option, &mut inner, depth + 1) {
            continue;
        }
        if value.is_null() {
            *value = Value::Object(Map::new());
        }
        if let Some(object) = value.as_object_mut() {
            object.insert(name.clone(), inner);
            filled = true;
        }
    }
    if let (Some(items), Some(array)) = (keys.get("items"), value.as_array_mut()) {
        for item in array {
            filled |= fill(root, items, item, depth + 1);
        }
    }
    if let (Some(items), Some(object)) = (keys.get("additionalProperties"), value.as_object_mut()) {
        let known = keys.get("properties");
        for (name, item) in object {
            if known.and_then(|known| known.get(name)).is_none() {
                filled |= fill(root, items, item, depth + 1);
            }
        }
    }
    for variant in variants(keys) {
        filled |= fill(root, variant, value, depth + 1);
    }
    filled
}

/// Whether options of this shape lack required keys, for which no value is known here.
fn lacks_required(keys: &Map<String, Value>, value: &Value) -> bool {
    let required = keys.get("required").and_then(Value::as_array);
    required.is_some_and(|names| {
        names
            .iter()
            .filter_map(Value::as_str)
            .any(|name| value.get(name).is_none() && !is_secret_property(keys, name))
    })
}

fn is_secret_property(keys: &Map<String, Value>, name: &str) -> bool {
    let option = keys.get("properties").and_then(|properties| properties.get(name));
    option.is_some_and(|option| is_secret(option, option))
}

fn is_secret(option: &Value, target: &Value) -> bool {
    [option, target]
        .iter()
        .any(|schema| schema.get("writeOnly") == Some(&Value::Bool(true)))
}

fn entries<'a>(keys: &'a Map<String, Value>, keyword: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    keys.get(keyword).and_then(Value::as_object).into_iter().flatten()
}

fn variants(keys: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    ["anyOf", "oneOf"]
        .into_iter()
        .filter_map(|keyword| keys.get(keyword).and_then(Value::as_array))
        .flatten()
}

/// Returns the schema that `schema` refers to, or itself.
fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let target = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|reference| reference.strip_prefix('#'))
        .and_then(|pointer| root.pointer(pointer));
    target.unwrap_or(schema)
}

#[cfg(test)]
mod tests {
    #![allow(dead_code, reason = "the option types are used only for their schema")]
    use super::*;
    use crate::{OptionsSpec, Secret};
    use schemars::JsonSchema;
    use serde_json::json;

    fn findings<T: JsonSchema>(required: Required) -> Vec<String> {
        let mut findings = Vec::new();
        check(
            &mut findings,
            &OptionsSpec::of::<T>().schema().to_value(),
            required,
        );
        findings
    }

    /// A service.
    #[derive(JsonSchema)]
    #[schemars(deny_unknown_fields)]
    struct Service {
        /// Where.
        url: String,
        /// Its key.
        api_key: Secret,
    }

    #[test]
    fn valid_options_have_no_findings_and_canaries_in_all_secrets() {
        #[derive(JsonSchema)]
        #[schemars(deny_unknown_fields)]
        struct Options {
            /// How to log in.
            #[schemars(default)]
            password: Secret,
            /// Another one.
            token: Option<Secret>,
            /// Services.
            #[schemars(default)]
            services: Vec<Service>,
            /// The main service.
            main: Option<Service>,
        }
        assert_eq!(findings::<Options>(Required::Never), Vec::<String>::new());
        let mut options = json!({ "services": [{ "url": "http://a" }], "main": { "url": "http://b" } });
        assert!(fill_secrets(
            &OptionsSpec::of::<Options>().schema().to_value(),
            &mut options
        ));
        assert_eq!(
            options,
            json!({
                "services": [{ "url": "http://a", "api_key": CANARY }],
                "main": { "url": "http://b", "api_key": CANARY },
                "password": CANARY,
                "token": CANARY,
            })
        );
        let mut empty = Value::Null;
        assert!(fill_secrets(
            &OptionsSpec::of::<Options>().schema().to_value(),
            &mut empty
        ));
        assert_eq!(empty, json!({ "password": CANARY, "token": CANARY }));
    }

    #[test]
    fn each_rule_has_its_finding() {
        #[derive(JsonSchema)]
        struct Open {
            /// A token.
            token: String,
            undocumented: Option<bool>,
            /// At least one.
            #[schemars(length(min = 1))]
            list: Vec<Inner>,
        }
        /// Inner.
        #[derive(JsonSchema)]
        struct Inner {
            /// Where.
            url: Option<String>,
        }
        insta::assert_snapshot!(findings::<Open>(Required::Never).join("\n"), @r"
        the options accept unknown keys (`#[serde(deny_unknown_fields)]` is missing)
        an option is required: the family would not load without an entry
        the option `options.token` is not a `Secret`
        the option `options.undocumented` has no description
        the schema of `options.list` uses the keyword `minItems`
        `Inner` accepts unknown keys (`#[serde(deny_unknown_fields)]` is missing)
        ");
        assert_eq!(
            findings::<Vec<u8>>(Required::Never),
            ["the options are not a mapping"]
        );
        let mut lines = Vec::new();
        for line in ["", "Ends.", "two\nlines", "Good"] {
            check_line(&mut lines, line, line);
        }
        assert_eq!(lines.len(), 3);
    }
}
