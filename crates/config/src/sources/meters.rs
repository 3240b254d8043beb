//! The `meters` of a source.

use nephoscope_sources::MeterFilter;
use serde_json::{Map, Value};

use super::filter::bad_filter;
use super::reader::{Reader, is_nothing};
use crate::finding::{Finding, Part};
use crate::path::ValuePath;
use crate::problem::Problem;
use crate::schema::kind;

impl Reader<'_> {
    pub(super) fn meters(&mut self, fields: &Map<String, Value>) -> Option<MeterFilter> {
        let path = self.path.at("meters");
        let of_source = self.of_source();
        let patterns: Vec<&str> = match fields.get("meters") {
            None => {
                self.missing(
                    Problem::MetersMissing,
                    "meters",
                    "add `meters:` with a list of names, or `meters: [\"*\"]` for all meters",
                );
                return None;
            }
            Some(value) if is_nothing(value) => {
                let title = format!("`meters`{of_source} is empty");
                let finding = self.finding(
                    Problem::MetersEmpty,
                    title,
                    &path,
                    Part::Key,
                    "expected a list of names or patterns",
                );
                self.findings
                    .add(finding.help(Some("write `meters: [\"*\"]` for all meters")));
                return None;
            }
            Some(Value::Array(items)) => {
                let mut patterns = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    match item {
                        Value::String(pattern) => patterns.push(pattern.as_str()),
                        other => {
                            let label = format!("expected text, found {}", kind(other));
                            let title = format!("an item of `meters`{of_source} is not text");
                            let finding = self.finding(
                                Problem::MeterNotText,
                                title,
                                &path.at(index),
                                Part::Value,
                                label,
                            );
                            let quote = matches!(other, Value::Number(_) | Value::Bool(_))
                                .then(|| format!("write `\"{other}\"`"));
                            self.findings.add(finding.help(quote));
                        }
                    }
                }
                if patterns.len() < items.len() {
                    return None;
                }
                patterns
            }
            Some(Value::Object(entries)) => {
                let title = format!("`meters`{of_source} is a mapping");
                let finding = Finding::warning(Problem::MetersMapping, title).at(
                    self.place(&path, Part::Key),
                    "the keys are used as patterns, the values are ignored",
                );
                self.findings
                    .add(finding.help(Some("write a list, as in `meters: [cpu]`")));
                entries.keys().map(String::as_str).collect()
            }
            Some(value) => {
                let label = format!("expected a list, found {}", kind(value));
                let hint = value
                    .as_str()
                    .filter(|text| text.len() <= 60 && !text.contains('\n'))
                    .map(|text| {
                        let quoted = if text
                            .chars()
                            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
                        {
                            text.to_owned()
                        } else {
                            format!("{text:?}")
                        };
                        format!("write `meters: [{quoted}]`")
                    });
                let finding = self.finding(
                    Problem::MetersNotList,
                    format!("`meters`{of_source} is not a list"),
                    &path,
                    Part::Value,
                    label,
                );
                self.findings.add(finding.help(hint));
                return None;
            }
        };
        match MeterFilter::new(patterns.iter().copied()) {
            Ok(filter) => Some(filter),
            Err(error) => {
                let place = |path: &ValuePath, part| self.place(path, part);
                let finding = bad_filter(error, &path, &of_source, place);
                self.findings.add(finding);
                None
            }
        }
    }
}
