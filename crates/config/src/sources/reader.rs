//! Reads one source and reports its errors.

use std::time::Duration;

use nephoscope_sources::{Position, Source};
use serde_json::{Map, Value};

use super::keys::KEYS;
use crate::duration::HumanDuration;
use crate::finding::{Document, Finding, Findings, Part, Place};
use crate::near::nearest;
use crate::path::ValuePath;
use crate::problem::Problem;
use crate::schema::kind;

/// The reader of a source.
pub(super) struct Reader<'a> {
    pub(super) documents: &'a [Document],
    pub(super) document: usize,
    pub(super) path: ValuePath,
    pub(super) findings: &'a mut Findings,
    /// The name for titles.
    pub(super) name: Option<String>,
}

impl Reader<'_> {
    pub(super) fn source(
        mut self,
        fields: &Map<String, Value>,
        strict: bool,
        position: Position,
    ) -> Option<Source> {
        self.name = fields.get("name").and_then(text_of);
        for key in fields.keys().filter(|key| !KEYS.contains(&key.as_str())) {
            self.unknown(key, strict);
        }
        if fields.contains_key("group_id_coordination_expression") {
            self.group_expression();
        }
        // All keys are read despite errors, so that all errors are reported.
        let name = self.name(fields);
        let meters = self.meters(fields);
        let schedule = self.schedule(fields);
        let resources = self.resources(fields);
        let discovery = self.discovery(fields);
        let partition = self.partition(fields);
        let timeout = self.timeout(fields);
        Some(Source {
            name: name?,
            schedule: schedule?,
            meters: meters?,
            resources: resources?,
            discovery: discovery?,
            partition: partition?,
            timeout: timeout?,
            position,
        })
    }

    /// Returns the source's name for titles, as ``of source `cpu` ``.
    pub(super) fn of_source(&self) -> String {
        match &self.name {
            Some(name) if name.chars().count() <= 60 => format!(" of source `{name}`"),
            _ => String::new(),
        }
    }

    pub(super) fn place(&self, path: &ValuePath, part: Part) -> Place {
        Place::of(self.documents, self.document, path, part)
    }

    pub(super) fn finding(
        &self,
        problem: Problem,
        title: impl Into<String>,
        path: &ValuePath,
        part: Part,
        label: impl Into<String>,
    ) -> Finding {
        Finding::error(problem, title).at(self.place(path, part), label)
    }

    pub(super) fn error(
        &mut self,
        problem: Problem,
        title: impl Into<String>,
        path: &ValuePath,
        part: Part,
        label: impl Into<String>,
    ) {
        let finding = self.finding(problem, title, path, part, label);
        self.findings.add(finding);
    }

    /// Returns the part to underline for an invalid value: the key of empty values, lists and mappings.
    pub(super) fn part(value: &Value) -> Part {
        if value.is_null() || value.is_array() || value.is_object() {
            Part::Key
        } else {
            Part::Value
        }
    }

    fn unknown(&mut self, key: &str, strict: bool) {
        let title = format!("unknown key `{}`{}", short(key), self.of_source());
        let finding = if strict {
            Finding::error(Problem::UnknownSourceKey, title)
        } else {
            Finding::warning(Problem::UnknownSourceKey, title)
        };
        let place = self.place(&self.path.at(key), Part::Key);
        let near = nearest(key, KEYS).map(|near| format!("did you mean `{near}`?"));
        self.findings
            .add(finding.at(place, "this key has no effect").help(near));
    }

    fn group_expression(&mut self) {
        let place = self.place(&self.path.at("group_id_coordination_expression"), Part::Key);
        let title = format!(
            "`group_id_coordination_expression`{} has no effect",
            self.of_source()
        );
        let finding = Finding::warning(Problem::GroupExpression, title)
            .at(place, "accepted, but not evaluated")
            .help(Some("agents divide resources by their keys; `partition: listing` assigns all resources of a discovery to one agent"));
        self.findings.add(finding);
    }

    pub(super) fn missing(&mut self, problem: Problem, key: &str, help: &str) {
        let path = self.path.clone();
        let title = format!("`{key}` is missing{}", in_source(&self.of_source()));
        let finding = self.finding(
            problem,
            title,
            &path,
            Part::Value,
            format!("this source has no `{key}`"),
        );
        self.findings.add(finding.help(Some(help)));
    }

    fn name(&mut self, fields: &Map<String, Value>) -> Option<String> {
        match fields.get("name") {
            None => self.missing(
                Problem::NameMissing,
                "name",
                "add `name:` with a label for people",
            ),
            Some(value) => {
                if let Some(name) = text_of(value) {
                    return Some(name);
                }
                let label = format!("expected text, found {}", kind(value));
                let path = self.path.at("name");
                self.error(
                    Problem::NameNotText,
                    "the name of a source is not text",
                    &path,
                    Self::part(value),
                    label,
                );
            }
        }
        None
    }

    fn timeout(&mut self, fields: &Map<String, Value>) -> Option<Option<Duration>> {
        let value = match fields.get("timeout") {
            None | Some(Value::Null) => return Some(None),
            Some(value) => value,
        };
        let timeout = duration(value).filter(|timeout| !timeout.is_zero());
        if timeout.is_none() {
            let title = format!("`timeout`{} is not a duration", self.of_source());
            let label = "expected a positive number of seconds or a duration such as `60s`";
            let path = self.path.at("timeout");
            self.error(Problem::TimeoutInvalid, title, &path, Self::part(value), label);
            return None;
        }
        Some(timeout)
    }
}

/// Returns the text of a name. As in ceilometer, numbers and booleans are names.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

fn in_source(of_source: &str) -> String {
    of_source.replacen(" of ", " in ", 1)
}

fn short(key: &str) -> String {
    if key.chars().count() <= 60 {
        key.to_owned()
    } else {
        key.chars().take(60).chain("...".chars()).collect()
    }
}

/// Returns whether Python evaluates the value as false, which ceilometer treats as absent.
pub(super) fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
    }
}

pub(super) fn duration(value: &Value) -> Option<Duration> {
    match value {
        Value::Number(number) => HumanDuration::from_secs(number.as_u64()?)
            .to_string()
            .parse::<HumanDuration>()
            .ok(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
    .map(|human: HumanDuration| human.0)
}
