//! The section `plugins`: the options of plugin families.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::checks::Checks;
use crate::finding::{Finding, Part};
use crate::near::nearest;
use crate::path::ValuePath;
use crate::problem::Problem;
use crate::schema;
use crate::sections::Options;

impl Checks<'_, '_> {
    pub(super) fn plugins(&mut self) -> Option<BTreeMap<String, Options>> {
        let (document, value) = self.value("plugins");
        let path = ValuePath::top().at("plugins");
        let Value::Object(families) = value else {
            self.hide_likely(document, &path);
            let label = format!("expected a mapping, found {}", schema::kind(&value));
            let place = self.place(document, &path, Part::Value);
            self.findings
                .add(Finding::error(Problem::WrongType, "`plugins` has the wrong type").at(place, label));
            return None;
        };
        let mut plugins = BTreeMap::new();
        let mut good = true;
        for (name, options) in families {
            let path = path.at(name.as_str());
            let Some(schema) = self.request.families.get(&name) else {
                good = false;
                self.hide_likely(document, &path);
                let names: Vec<&str> = self.request.families.keys().map(String::as_str).collect();
                let near =
                    nearest(&name, names.iter().copied()).map(|near| format!("did you mean `{near}`?"));
                let all: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
                let help =
                    near.or_else(|| (!all.is_empty()).then(|| format!("known plugins: {}", all.join(", "))));
                let place = self.place(document, &path, Part::Key);
                let title = format!("unknown plugin `{}`", name.chars().take(60).collect::<String>());
                self.findings.add(
                    Finding::error(Problem::UnknownKey, title)
                        .at(place, "this plugin does not exist")
                        .help(help),
                );
                continue;
            };
            let options = if options.is_null() {
                Value::Object(Map::new())
            } else {
                options
            };
            let schema = schema.clone().unwrap_or_else(no_options);
            if self.check(document, &schema, &options, &path)
                && let Value::Object(options) = options
            {
                plugins.insert(name, Options::new(options));
            } else {
                good = false;
            }
        }
        good.then_some(plugins)
    }
}

/// Returns a schema without options.
pub(super) fn no_options() -> Value {
    serde_json::json!({ "type": "object", "properties": {}, "additionalProperties": false })
}
