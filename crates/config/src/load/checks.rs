//! Checks the sections against their schemas and reads them.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::merge::Sections;
use super::request::LoadRequest;
use super::secrets::Secrets;
use super::violation;
use crate::coordination::Coordination;
use crate::expand::Expander;
use crate::finding::{Document, Finding, Findings, Part, Place};
use crate::path::ValuePath;
use crate::problem::Problem;
use crate::schema;
use crate::sections::{Agent, Config};
use crate::sources;

/// The checks of the sections of all documents.
pub(super) struct Checks<'a, 's> {
    pub(super) request: &'a LoadRequest,
    pub(super) documents: &'a [Document],
    pub(super) sections: &'a Sections,
    pub(super) findings: &'a mut Findings,
    pub(super) secrets: &'a mut Secrets<'s>,
}

impl Checks<'_, '_> {
    /// Returns the configuration, or `None` if a section has errors.
    pub(super) fn config(&mut self) -> Option<Config> {
        let agent = self.section::<Agent>("agent");
        let coordination = self.coordination();
        let notifier = self.notifier();
        let plugins = self.plugins();
        let sources = self.sections.get("sources").map(|document| {
            self.hide_likely(*document, &ValuePath::top().at("sources"));
            let value = self.written(*document, "sources");
            sources::read(
                self.documents,
                *document,
                &value,
                self.request.strict,
                self.findings,
            )
        });
        let mut agent = agent?;
        if let Some(namespaces) = &self.request.namespaces {
            agent.namespaces.clone_from(namespaces);
        }
        let mut seen = std::collections::BTreeSet::new();
        agent
            .namespaces
            .retain(|namespace| seen.insert(namespace.clone()));
        Some(Config {
            agent,
            coordination: coordination?,
            notifier: notifier?,
            plugins: plugins?,
            sources: sources?,
        })
    }

    /// Returns the value of a section as written.
    fn written(&self, document: usize, section: &str) -> Value {
        self.documents
            .get(document)
            .and_then(|document| document.values.get(section))
            .cloned()
            .unwrap_or_default()
    }

    /// Returns the value of a section with its placeholders replaced, and its document. A key without a value is an empty section,
    /// because its lines are often commented out.
    pub(super) fn value(&mut self, section: &'static str) -> (usize, Value) {
        let empty = || Value::Object(Map::new());
        let Some(&document) = self.sections.get(section) else {
            return (0, empty());
        };
        let mut value = self.written(document, section);
        if value.is_null() {
            value = empty();
        }
        let mut expander = Expander {
            documents: self.documents,
            document,
            variables: self.request.variables,
            findings: self.findings,
            words: &mut self.secrets.words,
        };
        expander.expand(&mut value, &mut ValuePath::top().at(section));
        (document, value)
    }

    /// Checks and reads a section.
    fn section<T: DeserializeOwned + schemars::JsonSchema>(&mut self, section: &'static str) -> Option<T> {
        let (document, value) = self.value(section);
        let schema: Value = schemars::schema_for!(T).into();
        let path = ValuePath::top().at(section);
        self.check(document, &schema, &value, &path)
            .then(|| self.read(document, value, &path))
            .flatten()
    }

    fn coordination(&mut self) -> Option<Coordination> {
        let coordination = self.section::<Coordination>("coordination")?;
        let document = self.sections.get("coordination").copied().unwrap_or_default();
        let violations = coordination.violations();
        for rule in &violations {
            let path = ValuePath::top().at("coordination").at(rule.key);
            let place = self.place(document, &path, Part::Key);
            let finding = Finding::error(Problem::BadValue, format!("`{path}` is invalid"));
            self.findings.add(finding.at(place, rule.expected));
        }
        violations.is_empty().then_some(coordination)
    }

    /// Checks options against their schema, and masks secrets. Returns whether the options are valid.
    pub(super) fn check(&mut self, document: usize, schema: &Value, value: &Value, path: &ValuePath) -> bool {
        self.secrets.hide(self.documents, document, schema, value, path);
        let violations = schema::check(schema, value);
        self.secrets
            .hide_misplaced(self.documents, document, schema, &violations, path);
        let good = violations.is_empty();
        for violation in violations {
            let finding = violation::finding(violation, self.documents, document, path);
            self.findings.add(finding);
        }
        good
    }

    /// Deserializes a checked value.
    pub(super) fn read<T: DeserializeOwned>(
        &mut self,
        document: usize,
        value: Value,
        path: &ValuePath,
    ) -> Option<T> {
        match serde_path_to_error::deserialize(value) {
            Ok(read) => Some(read),
            Err(error) => {
                let mut full = path.clone();
                for segment in error.path() {
                    match segment {
                        serde_path_to_error::Segment::Seq { index } => full.push(*index),
                        serde_path_to_error::Segment::Map { key } => full.push(key.as_str()),
                        _ => {}
                    }
                }
                let place = self.place(document, &full, Part::Value);
                let finding = Finding::error(Problem::BadValue, format!("`{full}` is invalid"));
                self.findings.add(finding.at(place, error.inner().to_string()));
                None
            }
        }
    }

    /// Masks values that look secret where no schema exists.
    pub(super) fn hide_likely(&mut self, document: usize, path: &ValuePath) {
        self.secrets.hide_likely(self.documents, document, path);
    }

    /// Returns the location of a value or of its key.
    pub(super) fn place(&self, document: usize, path: &ValuePath, part: Part) -> Place {
        Place::of(self.documents, document, path, part)
    }
}
