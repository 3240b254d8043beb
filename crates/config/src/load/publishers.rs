//! The section `notifier` and the options of its publishers.

use std::collections::BTreeMap;

use nephoscope_sources::MeterFilter;
use serde_json::{Map, Value};

use super::checks::Checks;
use super::families::no_options;
use crate::finding::{Finding, Part};
use crate::near::nearest;
use crate::path::ValuePath;
use crate::problem::Problem;
use crate::sections::{Notifier, Options};
use crate::sources::bad_filter;

impl Checks<'_, '_> {
    pub(super) fn notifier(&mut self) -> Option<Notifier> {
        let (document, value) = self.value("notifier");
        let schema: Value = schemars::schema_for!(Notifier).into();
        let path = ValuePath::top().at("notifier");
        // The options of publishers have separate schemas.
        let good = self.check(document, &schema, &value, &path);
        let path = path.at("publishers");
        let items = value
            .get("publishers")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let mut options = Vec::with_capacity(items.len());
        let mut names: BTreeMap<String, usize> = BTreeMap::new();
        for (index, item) in items.iter().enumerate() {
            let Value::Object(fields) = item else { continue };
            options.push(self.publisher_options(document, fields, &path.at(index)));
            let Some(name) = fields.get("name").and_then(Value::as_str) else {
                continue;
            };
            match names.get(name) {
                None => {
                    names.insert(name.to_owned(), index);
                }
                Some(first) => {
                    let place = |index: usize| self.place(document, &path.at(index).at("name"), Part::Value);
                    let finding = Finding::error(
                        Problem::DuplicatePublisher,
                        format!("two publishers have the name `{name}`"),
                    )
                    .at(place(index), "second publisher")
                    .also(place(*first), "first publisher");
                    self.findings.add(finding);
                }
            }
        }
        if !good {
            return None;
        }
        let mut notifier: Notifier = self.read(document, value, &ValuePath::top().at("notifier"))?;
        if !self.selected_meters(document, &notifier, &path) {
            return None;
        }
        for (publisher, options) in notifier.publishers.iter_mut().zip(options) {
            publisher.options = options?;
        }
        Some(notifier)
    }

    /// Returns whether the meter patterns of all publishers are valid.
    fn selected_meters(&mut self, document: usize, notifier: &Notifier, path: &ValuePath) -> bool {
        let mut good = true;
        for (index, publisher) in notifier.publishers.iter().enumerate() {
            let patterns = publisher.meters.iter().flatten();
            let Some(error) = publisher
                .meters
                .as_ref()
                .and_then(|_| MeterFilter::new(patterns).err())
            else {
                continue;
            };
            good = false;
            let of = format!(" of publisher `{}`", publisher.name);
            let place = |path: &ValuePath, part| self.place(document, path, part);
            let finding = bad_filter(error, &path.at(index).at("meters"), &of, place);
            self.findings.add(finding);
        }
        good
    }

    fn publisher_options(
        &mut self,
        document: usize,
        fields: &Map<String, Value>,
        path: &ValuePath,
    ) -> Option<Options> {
        const OWN: [&str; 7] = ["name", "url", "queue", "spool", "meters", "sources", "namespaces"];
        let options: Map<String, Value> = fields
            .iter()
            .filter(|(key, _)| !OWN.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let scheme = fields
            .get("url")
            .and_then(Value::as_str)
            .and_then(crate::format::scheme)
            .map(str::to_ascii_lowercase);
        let schema = match scheme
            .as_deref()
            .map(|scheme| self.request.publishers.get(scheme))
        {
            // The schema check has reported the URL.
            None => {
                self.hide_likely(document, path);
                return None;
            }
            Some(None) => {
                self.hide_likely(document, path);
                self.unknown_publisher(document, &scheme.unwrap_or_default(), &path.at("url"));
                return None;
            }
            Some(Some(schema)) => with_own_keys(schema.as_ref(), &OWN),
        };
        let value = Value::Object(options.clone());
        self.check(document, &schema, &value, path)
            .then(|| Options::new(options))
    }

    fn unknown_publisher(&mut self, document: usize, scheme: &str, path: &ValuePath) {
        let schemes = self.request.publishers.keys().map(String::as_str);
        let near = nearest(scheme, schemes.clone()).map(|near| format!("did you mean `{near}:`?"));
        let all: Vec<String> = schemes.map(|scheme| format!("`{scheme}:`")).collect();
        let title = format!("no publisher for the URL scheme `{scheme}:`");
        let label = if all.is_empty() {
            "this program has no publishers".to_owned()
        } else {
            format!("expected one of {}", all.join(", "))
        };
        let place = self.place(document, path, Part::Value);
        self.findings.add(
            Finding::error(Problem::UnknownPublisher, title)
                .at(place, label)
                .help(near),
        );
    }
}

/// Returns the schema of a publisher's options with the publisher's own keys, for suggestions among all keys.
fn with_own_keys(schema: Option<&Value>, own: &[&str]) -> Value {
    let mut schema = schema.cloned().unwrap_or_else(no_options);
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for key in own {
            properties.entry(*key).or_insert(Value::Bool(true));
        }
    }
    schema
}
