//! The page on options: every key of polling.yaml, from the schema that checks the file.

use std::collections::BTreeMap;

use nephoscope_agent::declared::{family_options, publisher_options};
use nephoscope_config::{Schemas, schema};
use nephoscope_plugin::Catalog;
use serde_json::{Map, Value};

use crate::references::markdown::{Page, code};

const ABOUT: &str = "\
Every key of polling.yaml. A dot separates levels of the file, `[]` for each entry of a list. Durations are numbers of seconds, or \
text such as `30s` or `1h30m`. Values of keys marked secret are shown as `***` in every output. A value \
outside of `sources` may come from the environment or from a file: `${env:NAME}`, `${file:PATH}`. [Configuration](../configuration.md) explains how the keys work together; \
`nephoscope schema` prints the schema from which this page is generated, for editors.";

/// The maximum depth of nested references.
const DEEPEST: usize = 16;

/// Returns the page.
pub(crate) fn page(catalog: &Catalog) -> String {
    let mut page = Page::new("Options", ABOUT);
    let whole = schema(&family_options(catalog), &Schemas::new());
    let sections = [
        (
            "sources",
            "Which meters are polled, how often, and of which resources. The format is ceilometer's; `offset`, `cron`, `time_zone`, `partition` and `timeout` are Nephoscope's.",
        ),
        ("agent", ""),
        ("coordination", ""),
        (
            "notifier",
            "The sections below list the keys of `publishers[]` that only one kind of publisher has.",
        ),
    ];
    for (name, about) in sections {
        page.section(&format!("`{name}`"));
        if let Some(section) = whole.pointer(&format!("/properties/{name}")) {
            let schema = Described::of(&whole, section);
            // The note on an item's schema is for developers.
            page.text(&if about.is_empty() {
                schema.sentence()
            } else {
                about.to_owned()
            });
            table(&mut page, &whole, section, name);
        }
    }
    page.section("`plugins`");
    page.text("Options of plugin families, each under the family's name.");
    for family in catalog.families() {
        let name = family.name;
        page.subsection(&format!("`plugins.{name}`"));
        page.text(&format!("{}.", family.description));
        let section = whole.pointer(&format!("/properties/plugins/properties/{name}"));
        match section.filter(|section| section.get("properties").is_some()) {
            Some(section) => table(&mut page, &whole, section, &format!("plugins.{name}")),
            None => page.text("No options."),
        }
    }
    page.section("Publishers");
    page.text("Options in addition to `name`, `url`, `queue` and `spool`, by the scheme of the URL.");
    let by_scheme: BTreeMap<_, _> = publisher_options(catalog).into_iter().collect();
    for (scheme, schema) in by_scheme {
        page.subsection(&format!("`{scheme}:`"));
        match schema.filter(|schema| schema.get("properties").is_some()) {
            Some(schema) => table(&mut page, &schema, &schema, "notifier.publishers[]"),
            None => page.text("No options."),
        }
    }
    page.finish()
}

fn table(page: &mut Page, root: &Value, section: &Value, name: &str) {
    let mut rows = Vec::new();
    collect(root, section, name, 0, &mut rows);
    page.table(["Key", "Value", "Default", "Meaning"], rows);
}

/// Adds rows for all keys below a value.
fn collect(root: &Value, schema: &Value, path: &str, depth: usize, rows: &mut Vec<[String; 4]>) {
    if depth > DEEPEST {
        return;
    }
    let schema = Described::of(root, schema);
    if let Some(items) = schema.get("items") {
        collect(root, items, &format!("{path}[]"), depth + 1, rows);
    }
    let Some(Value::Object(properties)) = schema.get("properties") else {
        return;
    };
    let required: Vec<&str> = match schema.get("required") {
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    for (key, property) in properties {
        let path = format!("{path}.{key}");
        let described = Described::of(root, property);
        let nested = described.has_keys(root);
        let default = match described.get("default") {
            _ if required.contains(&key.as_str()) => "required".to_owned(),
            // The keys of a mapping have separate rows.
            _ if nested => String::new(),
            None | Some(Value::Null) => String::new(),
            Some(value) => code(&value.to_string()),
        };
        rows.push([code(&path), described.kind(root), default, described.sentence()]);
        if nested {
            collect(root, property, &path, depth + 1, rows);
        }
    }
}

/// A schema and the schemas that it refers to, the nearest first.
struct Described<'a>(Vec<&'a Map<String, Value>>);

impl<'a> Described<'a> {
    fn of(root: &'a Value, schema: &'a Value) -> Self {
        let mut layers = Vec::new();
        let mut next = Some(schema);
        while let Some(Value::Object(keywords)) = next
            && layers.len() < DEEPEST
        {
            layers.push(keywords);
            next = Self::reference(root, keywords);
        }
        Self(layers)
    }

    /// Returns the reference of a schema, or the only branch of a choice that is not null.
    fn reference(root: &'a Value, keywords: &'a Map<String, Value>) -> Option<&'a Value> {
        if let Some(target) = keywords.get("$ref").and_then(Value::as_str) {
            return root.pointer(target.strip_prefix('#')?);
        }
        let branches = keywords.get("anyOf").or(keywords.get("allOf"))?.as_array()?;
        let mut real = branches
            .iter()
            .filter(|branch| branch.get("type") != Some(&"null".into()));
        let only = real.next()?;
        real.next().is_none().then_some(only)
    }

    fn get(&self, keyword: &str) -> Option<&'a Value> {
        self.0.iter().find_map(|layer| layer.get(keyword))
    }

    /// Returns whether it, or each of its items, has keys.
    fn has_keys(&self, root: &'a Value) -> bool {
        self.get("properties").is_some()
            || self
                .get("items")
                .is_some_and(|items| Described::of(root, items).get("properties").is_some())
    }

    fn sentence(&self) -> String {
        let mut text = self
            .get("description")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        if !text.is_empty() && !text.ends_with('.') {
            text.push('.');
        }
        if self.get("deprecated") == Some(&Value::Bool(true)) {
            text.push_str(" Deprecated.");
        }
        for branch in self.choices() {
            if let (Some(name), Some(meaning)) = (
                branch.get("const").and_then(Value::as_str),
                branch.get("description").and_then(Value::as_str),
            ) {
                text.push_str(&format!(" {}: {}", code(name), meaning));
            }
        }
        text
    }

    fn choices(&self) -> impl Iterator<Item = &'a Value> {
        self.get("oneOf").and_then(Value::as_array).into_iter().flatten()
    }

    /// Describes the possible values in words.
    fn kind(&self, root: &'a Value) -> String {
        let mut words = match self.get("format").and_then(Value::as_str) {
            Some("duration") => "duration".to_owned(),
            Some("size") => "size, a number of bytes or text such as `64KiB`".to_owned(),
            Some("url" | "uri") => "URL".to_owned(),
            Some("address") => "`HOST:PORT`".to_owned(),
            Some("path") => "path".to_owned(),
            Some("admin") => "`unix:`, `unix:PATH`, `tcp:HOST:PORT` or `off`".to_owned(),
            Some("identifier") => "letters, digits, `.`, `_`, `-`".to_owned(),
            _ => self.plain(root),
        };
        let number = |keyword| self.get(keyword).and_then(Value::as_f64);
        let of_number = !matches!(
            self.get("format").and_then(Value::as_str),
            Some("duration" | "size")
        );
        let number = |keyword| number(keyword).filter(|_| of_number);
        match (number("minimum"), number("maximum")) {
            (Some(least), Some(most)) => words.push_str(&format!(", {least} to {most}")),
            (Some(least), None) => words.push_str(&format!(", at least {least}")),
            (None, Some(most)) => words.push_str(&format!(", at most {most}")),
            (None, None) => {}
        }
        if let Some(most) = self.get("maxLength") {
            words.push_str(&format!(", at most {most} characters"));
        }
        if self.get("writeOnly") == Some(&Value::Bool(true)) {
            words.push_str(", secret");
        }
        words
    }

    fn plain(&self, root: &'a Value) -> String {
        let constants: Vec<_> = self
            .choices()
            .filter_map(|branch| branch.get("const").and_then(Value::as_str))
            .map(code)
            .collect();
        if !constants.is_empty() {
            return constants.join(", ");
        }
        if let Some(Value::Array(values)) = self.get("enum") {
            let values = values.iter().filter(|value| !value.is_null());
            return values
                .map(|value| code(value.as_str().unwrap_or(&value.to_string())))
                .collect::<Vec<_>>()
                .join(", ");
        }
        let names: Vec<&str> = match self.get("type") {
            Some(Value::String(name)) => vec![name],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let words: Vec<String> = names
            .into_iter()
            .filter_map(|name| match name {
                "string" => Some("text".to_owned()),
                "integer" => Some("whole number".to_owned()),
                "number" => Some("number".to_owned()),
                "boolean" => Some("`true` or `false`".to_owned()),
                "object" => Some("mapping".to_owned()),
                "array" => Some(match self.get("items") {
                    Some(items @ Value::Object(_)) => match Described::of(root, items).kind(root).as_str() {
                        "mapping" => "list of mappings".to_owned(),
                        items => format!("list of {items}"),
                    },
                    _ => "list".to_owned(),
                }),
                _ => None,
            })
            .collect();
        if words.is_empty() {
            "anything".to_owned()
        } else {
            words.join(" or ")
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_have_their_type_default_and_description() {
        let schema = json!({
            "properties": {
                "level": { "$ref": "#/$defs/Level", "description": "How much.", "default": "a" },
                "password": { "type": ["string", "null"], "writeOnly": true, "default": null, "description": "A password" },
                "share": { "type": "number", "minimum": 0.0, "maximum": 1.0, "default": 0.5 },
                "wait": { "type": ["integer", "string"], "format": "duration", "minimum": 0, "default": "5s" },
                "names": { "type": "array", "items": { "type": "string" }, "default": ["a", "b"] },
                "tls": { "anyOf": [{ "$ref": "#/$defs/Tls" }, { "type": "null" }], "description": "TLS." },
                "servers": { "type": "array", "items": { "$ref": "#/$defs/Server" }, "default": [] },
            },
            "required": ["names"],
            "$defs": {
                "Level": { "oneOf": [{ "const": "a", "description": "Little." }, { "const": "b", "description": "Much." }] },
                "Tls": { "type": "object", "properties": { "ca": { "type": "string", "format": "path" } } },
                "Server": { "type": "object", "properties": { "url": { "type": "string", "format": "url" } }, "required": ["url"] },
            },
        });
        let mut rows = Vec::new();
        collect(&schema, &schema, "x", 0, &mut rows);
        let rows: Vec<_> = rows.iter().map(|row| row.join(" ; ")).collect();
        insta::assert_snapshot!(rows.join("\n"), @r#"
        `x.level` ; `a`, `b` ; `"a"` ; How much. `a`: Little. `b`: Much.
        `x.password` ; text, secret ;  ; A password.
        `x.share` ; number, 0 to 1 ; `0.5` ; 
        `x.wait` ; duration ; `"5s"` ; 
        `x.names` ; list of text ; required ; 
        `x.tls` ; mapping ;  ; TLS.
        `x.tls.ca` ; path ;  ; 
        `x.servers` ; list of mappings ;  ; 
        `x.servers[].url` ; URL ; required ;
        "#);
    }

    #[test]
    fn a_recursive_schema_ends() {
        let schema = json!({ "$ref": "#", "properties": { "a": { "$ref": "#" } } });
        let mut rows = Vec::new();
        collect(&schema, &schema, "x", 0, &mut rows);
        assert!(rows.len() <= DEEPEST + 1);
    }
}
