//! What plugins and publishers find wrong with their options, and where in the files it stands.

use serde_json::Value;

use crate::diagnostic::ConfigErrors;
use crate::finding::{Finding, Findings, Part, Place};
use crate::load::Loaded;
use crate::path::{Segment, ValuePath};
use crate::problem::Problem;

/// Whose options they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionsOf {
    /// A plugin family's: what stands under its name in `plugins`.
    Family(String),
    /// A publisher's: which of `notifier.publishers`, counted from 0.
    Publisher(usize),
}

/// An option that passed its schema, and that the plugin or publisher itself does not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedOption {
    /// Whose it is.
    pub of: OptionsOf,
    /// Which option, as in `tokens[0].name`; `.` for all of them.
    pub option: String,
    /// What is wrong with it.
    pub message: String,
}

/// Finds the places of options that were refused; at least one. What stands nowhere is shown at what it would stand in.
pub fn refused(loaded: &Loaded, options: &[RefusedOption]) -> ConfigErrors {
    let mut findings = Findings::default();
    for option in options {
        let label = match &option.of {
            OptionsOf::Family(_) => "the plugin does not take this",
            OptionsOf::Publisher(_) => "the publisher does not take this",
        };
        let (path, place) = option_place(loaded, &option.of, &option.option);
        let title = format!("`{path}` cannot be used: {}", option.message);
        findings.add(Finding::error(Problem::BadValue, title).at(place, label));
    }
    let (errors, warnings, omitted) = findings.finish(&loaded.documents, &loaded.words);
    ConfigErrors {
        errors,
        warnings,
        omitted,
    }
}

/// An option's path from the top, and its place.
pub(crate) fn option_place(loaded: &Loaded, of: &OptionsOf, option: &str) -> (ValuePath, Place) {
    let (section, top) = match of {
        OptionsOf::Family(family) => ("plugins", ValuePath::top().at("plugins").at(family.as_str())),
        OptionsOf::Publisher(index) => {
            let publishers = ValuePath::top().at("notifier").at("publishers");
            ("notifier", publishers.at(*index))
        }
    };
    let path = top.join(&steps(option));
    let place = place(loaded, section, &path);
    (path, place)
}

/// The place of the longest part of the path that is in the file.
fn place(loaded: &Loaded, section: &str, path: &ValuePath) -> Place {
    let document = loaded.sections.get(section).copied().unwrap_or_default();
    let mut written = ValuePath::top();
    let mut here: Option<&Value> = None;
    for segment in path.segments() {
        let next = match (segment, here) {
            (Segment::Key(key), None) => loaded
                .documents
                .get(document)
                .and_then(|document| document.values.get(key)),
            (Segment::Key(key), Some(value)) => value.get(key),
            (Segment::Index(index), value) => value.and_then(|value| value.get(*index)),
        };
        let Some(next) = next else { break };
        here = Some(next);
        written.push(segment.clone());
    }
    let part = match here {
        None => return Place::whole(document),
        // Of a mapping in several lines the first would be underlined, which is often not the one that is wrong.
        Some(Value::Object(_) | Value::Array(_) | Value::Null) => Part::Key,
        Some(_) => Part::Value,
    };
    Place::of(&loaded.documents, document, &written, part)
}

/// Reads a path as `serde_path_to_error` writes it. A key with a dot in it is not told from two keys: its place is then that of
/// what it stands in.
fn steps(option: &str) -> ValuePath {
    let mut path = ValuePath::top();
    for step in option.split('.').filter(|step| !step.is_empty()) {
        let (key, indexes) = step.split_at(step.find('[').unwrap_or(step.len()));
        if !key.is_empty() {
            path.push(key);
        }
        let indexes = indexes.split(['[', ']']).filter_map(|index| index.parse().ok());
        indexes.for_each(|index: usize| path.push(index));
    }
    path
}
