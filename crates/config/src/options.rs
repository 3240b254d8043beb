//! Locates options that plugins and publishers reject.

use serde_json::Value;

use crate::diagnostic::ConfigErrors;
use crate::finding::{Finding, Findings, Part, Place};
use crate::load::Loaded;
use crate::path::{Segment, ValuePath};
use crate::problem::Problem;

/// The owner of options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionsOf {
    /// A plugin family, with its name in `plugins`.
    Family(String),
    /// A publisher, with its index in `notifier.publishers`.
    Publisher(usize),
}

/// An error of an option that passed its schema, and that the plugin or publisher rejects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionError {
    /// The owner.
    pub of: OptionsOf,
    /// The path of the option, for example `tokens[0].name`; `.` for all options.
    pub option: String,
    /// The error.
    pub message: String,
}

/// Locates rejected options, of which there is at least one. A missing option is shown at its nearest parent.
pub fn locate(loaded: &Loaded, options: &[OptionError]) -> ConfigErrors {
    let mut findings = Findings::default();
    for option in options {
        let label = match &option.of {
            OptionsOf::Family(_) => "rejected by the plugin",
            OptionsOf::Publisher(_) => "rejected by the publisher",
        };
        let (path, place) = option_place(loaded, &option.of, &option.option);
        let title = format!("`{path}` is invalid: {}", option.message);
        findings.add(Finding::error(Problem::BadValue, title).at(place, label));
    }
    let (errors, warnings, omitted) = findings.finish(&loaded.documents, &loaded.words);
    ConfigErrors {
        errors,
        warnings,
        omitted,
    }
}

/// Returns the path of an option from the top level, and its location.
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

/// Returns the location of the longest prefix of the path that exists in the file.
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
        // The first line of a mapping is often not the line with the error.
        Some(Value::Object(_) | Value::Array(_) | Value::Null) => Part::Key,
        Some(_) => Part::Value,
    };
    Place::of(&loaded.documents, document, &written, part)
}

/// Parses a path in the format of `serde_path_to_error`. A key with a dot looks like two keys, so that its location is that of its
/// parent.
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
