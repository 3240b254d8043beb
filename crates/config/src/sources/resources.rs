//! The `resources`, `discovery` and `partition` of a source.

use nephoscope_model::PartitionMode;
use nephoscope_sources::{DiscoveryUrl, StaticResource};
use serde_json::{Map, Value};

use super::reader::{Reader, is_nothing};
use crate::finding::Part;
use crate::near::nearest;
use crate::problem::Problem;
use crate::schema::kind;

impl Reader<'_> {
    pub(super) fn resources(&mut self, fields: &Map<String, Value>) -> Option<Vec<StaticResource>> {
        let items = self.list(fields, "resources", Problem::ResourcesNotList)?;
        Some(items.iter().cloned().map(StaticResource::new).collect())
    }

    pub(super) fn discovery(&mut self, fields: &Map<String, Value>) -> Option<Vec<DiscoveryUrl>> {
        let items = self.list(fields, "discovery", Problem::DiscoveryNotList)?;
        let path = self.path.at("discovery");
        let mut urls = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match item {
                Value::String(text) => urls.push(DiscoveryUrl::parse(text)),
                other => {
                    let title = format!("an item of `discovery`{} is not text", self.of_source());
                    let label = format!("expected `NAME` or `NAME://PARAMETER`, found {}", kind(other));
                    self.error(
                        Problem::DiscoveryNotText,
                        title,
                        &path.at(index),
                        Part::Value,
                        label,
                    );
                }
            }
        }
        (urls.len() == items.len()).then_some(urls)
    }

    pub(super) fn partition(&mut self, fields: &Map<String, Value>) -> Option<Option<PartitionMode>> {
        const MODES: [PartitionMode; 2] = [PartitionMode::Resource, PartitionMode::Listing];
        let value = match fields.get("partition") {
            None | Some(Value::Null) => return Some(None),
            Some(value) => value,
        };
        let text = value.as_str().unwrap_or_default();
        if let Some(mode) = MODES.into_iter().find(|mode| mode.as_str() == text) {
            return Some(Some(mode));
        }
        let near =
            nearest(text, MODES.map(PartitionMode::as_str)).map(|near| format!("did you mean `{near}`?"));
        let title = format!("`partition`{} is not a partition mode", self.of_source());
        let label = "expected `resource` or `listing`";
        let finding = self.finding(
            Problem::PartitionInvalid,
            title,
            &self.path.at("partition"),
            Self::part(value),
            label,
        );
        self.findings.add(finding.help(near));
        None
    }

    fn list<'v>(
        &mut self,
        fields: &'v Map<String, Value>,
        key: &str,
        problem: Problem,
    ) -> Option<&'v [Value]> {
        match fields.get(key) {
            None => Some(&[]),
            Some(value) if is_nothing(value) => Some(&[]),
            Some(Value::Array(items)) => Some(items),
            Some(value) => {
                let title = format!("`{key}`{} is not a list", self.of_source());
                let label = format!("expected a list, found {}", kind(value));
                let path = self.path.at(key);
                self.error(
                    problem,
                    title,
                    &path,
                    if value.is_object() { Part::Key } else { Part::Value },
                    label,
                );
                None
            }
        }
    }
}
