//! The JSON schema of the whole file, for completion and documentation in editors.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::coordination::Coordination;
use crate::duration::HumanDuration;
use crate::load::Schemas;
use crate::sections::{Agent, Notifier};

/// An entry of `sources`. It only defines the schema; the `sources` module reads and checks sources.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "only its schema is used")]
struct SourceItem {
    /// A label for people. It need not be unique.
    name: String,
    /// The polling interval: a number of seconds, or a duration such as `5m`. Exactly one of `interval` and `cron` is required.
    interval: Option<HumanDuration>,
    /// The polling schedule as a cron expression with seconds: `"0 */5 * * * *"`.
    cron: Option<String>,
    /// The time zone of `cron`, for example `Europe/Prague`. Default: `UTC`.
    time_zone: Option<String>,
    /// The offset of polls from whole multiples of the interval. Default: 0.
    offset: Option<HumanDuration>,
    /// The meters to poll: names, patterns with `*`, `?` and `[...]`, and exclusions that begin with `!`.
    #[schemars(length(min = 1))]
    meters: Vec<String>,
    /// Static resources, which are passed to every pollster.
    resources: Option<Vec<Value>>,
    /// Discoveries to use instead of each pollster's default: `NAME` or `NAME://PARAMETER`.
    discovery: Option<Vec<String>>,
    /// How agents divide the resources. Default: as each discovery declares.
    partition: Option<Partition>,
    /// The timeout of a pollster run without a result.
    timeout: Option<HumanDuration>,
    /// Accepted for compatibility with ceilometer. It has no effect.
    #[schemars(extend("deprecated" = true))]
    group_id_coordination_expression: Option<Value>,
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code, reason = "only its schema is used")]
enum Partition {
    /// Agents divide single resources.
    Resource,
    /// One agent polls all resources of a discovery.
    Listing,
}

/// Returns the JSON schema (draft 2020-12) of a configuration file, with the options of these plugin families and publishers.
pub fn schema(families: &Schemas, publishers: &Schemas) -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let agent = subschema::<Agent>(&mut generator);
    let coordination = subschema::<Coordination>(&mut generator);
    let notifier = subschema::<Notifier>(&mut generator);
    let source = subschema::<SourceItem>(&mut generator);
    let mut definitions: Map<String, Value> = generator.take_definitions(true);

    let mut plugins = Map::new();
    for (name, schema) in families {
        let schema = schema
            .clone()
            .unwrap_or_else(|| json!({ "type": "object", "additionalProperties": false }));
        plugins.insert(
            name.clone(),
            rooted(schema, &format!("plugins.{name}"), &mut definitions),
        );
    }
    let mut options = Map::new();
    for (scheme, schema) in publishers {
        let Some(schema) = schema.clone() else { continue };
        let schema = rooted(schema, &format!("publishers.{scheme}"), &mut definitions);
        if let Some(Value::Object(properties)) = schema.get("properties") {
            options.extend(properties.clone());
        }
    }
    if let Some(Value::Object(properties)) = definitions
        .get_mut("Publisher")
        .and_then(|publisher| publisher.get_mut("properties"))
    {
        for (name, property) in options {
            properties.entry(name).or_insert(property);
        }
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "polling.yaml",
        "description": "The configuration of Nephoscope.",
        "type": "object",
        "properties": {
            "sources": { "description": "The sources to poll.", "type": "array", "items": source },
            "agent": agent,
            "coordination": coordination,
            "notifier": notifier,
            "plugins": {
                "description": "Options by plugin family.",
                "type": "object",
                "properties": plugins,
                "additionalProperties": false
            }
        },
        "$defs": definitions
    })
}

fn subschema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().into()
}

/// Moves the definitions of a separate schema to the definitions of the whole, with `name` as prefix.
fn rooted(mut schema: Value, name: &str, definitions: &mut Map<String, Value>) -> Value {
    let own = schema.as_object_mut().and_then(|schema| {
        schema.remove("$schema");
        schema.remove("$defs")
    });
    if let Some(Value::Object(own)) = own {
        for (key, mut definition) in own {
            rename(&mut definition, name);
            definitions.insert(format!("{name}.{key}"), definition);
        }
    }
    rename(&mut schema, name);
    schema
}

fn rename(schema: &mut Value, name: &str) {
    match schema {
        Value::Object(keywords) => {
            for (keyword, value) in keywords.iter_mut() {
                match (keyword.as_str(), value) {
                    ("$ref", Value::String(target)) => {
                        if let Some(key) = target.strip_prefix("#/$defs/") {
                            *target = format!("#/$defs/{name}.{key}");
                        }
                    }
                    (_, value) => rename(value, name),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, name)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::unsupported;

    #[test]
    fn our_schemas_use_only_supported_keywords() {
        assert_eq!(
            unsupported(&schema(&Schemas::new(), &Schemas::new())),
            Vec::<String>::new()
        );
    }

    #[test]
    fn definitions_of_plugin_schemas_are_moved() {
        let family = json!({
            "$schema": "x", "type": "object", "properties": {"mode": {"$ref": "#/$defs/Mode"}},
            "$defs": {"Mode": {"enum": ["a"]}}
        });
        let schema = schema(
            &Schemas::from([("fake".to_owned(), Some(family))]),
            &Schemas::new(),
        );
        assert_eq!(
            schema["properties"]["plugins"]["properties"]["fake"]["properties"]["mode"]["$ref"],
            "#/$defs/plugins.fake.Mode"
        );
        assert_eq!(schema["$defs"]["plugins.fake.Mode"]["enum"][0], "a");
        assert_eq!(schema["$defs"]["Agent"]["properties"]["watch"]["default"], true);
    }
}
