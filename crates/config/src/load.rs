//! From the files that somebody named, or that are found, to a checked configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nephoscope_plugin::{FileError, read_file};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::coordination::Coordination;
use crate::decode::{self, NotText};
use crate::diagnostic::{ConfigErrors, Diagnostic};
use crate::expand::{Expander, Variables};
use crate::finding::{Document, Finding, Findings, Part, Place};
use crate::near::nearest;
use crate::path::{Segment, ValuePath};
use crate::position::{self, Flaw};
use crate::problem::Problem;
use crate::redact::{Redaction, Words, by_lines, looks_secret};
use crate::schema::{self, Violation};
use crate::sections::{Agent, Config, Notifier, Options};
use crate::sources;
use crate::yaml;

/// No configuration file is larger, in bytes: ceilometer's largest has a few thousand.
pub const MAX_FILE: u64 = 4 * 1024 * 1024;

/// No folder of configuration files has more of them.
pub const MAX_FOLDER: usize = 100;

/// The top-level keys.
pub(crate) const SECTIONS: [&str; 5] = ["agent", "coordination", "notifier", "plugins", "sources"];

/// How the built-in text is named in messages.
const BUILT_IN: &str = "<built-in polling.yaml>";

/// JSON schemas of options by name; none for what has no options.
pub type Schemas = BTreeMap<String, Option<Value>>;

/// What to load.
#[derive(Clone, Debug)]
pub struct LoadRequest {
    /// Files and folders as named by `--config`; later ones win. None: the [`SearchPlaces`] are searched.
    pub paths: Vec<PathBuf>,
    /// Whether unknown keys in sources and at the top are errors.
    pub strict: bool,
    /// Namespaces that take the place of those in the files.
    pub namespaces: Option<Vec<String>>,
    /// Whether somebody sits at a terminal, who gets the built-in configuration if there is no other.
    pub terminal: bool,
    /// Where to search.
    pub search: SearchPlaces,
    /// The built-in configuration.
    pub built_in: &'static str,
    /// The option schemas of plugin families: what may stand under `plugins`.
    pub families: Schemas,
    /// The option schemas of publishers by URL scheme.
    pub publishers: Schemas,
    /// Where `${env:NAME}` is looked up.
    pub variables: Variables,
}

impl LoadRequest {
    /// Loads from the usual places, with the environment of this process.
    pub fn new(built_in: &'static str) -> Self {
        Self {
            paths: Vec::new(),
            strict: false,
            namespaces: None,
            terminal: false,
            search: SearchPlaces::default(),
            built_in,
            families: Schemas::new(),
            publishers: Schemas::new(),
            variables: |name| std::env::var_os(name),
        }
    }
}

/// Where a configuration is searched, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchPlaces {
    /// A file: `./polling.yaml`.
    pub file: PathBuf,
    /// A folder: `/etc/nephoscope`.
    pub folder: PathBuf,
    /// Ceilometer's file, if the places before gave no `sources`: `/etc/ceilometer/polling.yaml`.
    pub ceilometer: PathBuf,
}

impl Default for SearchPlaces {
    fn default() -> Self {
        Self {
            file: "polling.yaml".into(),
            folder: "/etc/nephoscope".into(),
            ceilometer: "/etc/ceilometer/polling.yaml".into(),
        }
    }
}

/// A configuration, with what was noticed on the way.
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What is probably not meant as it is written.
    pub warnings: Vec<Diagnostic>,
    /// The files that it was read from, for watching.
    pub files: Vec<PathBuf>,
    /// The folders that were looked into for files, for watching.
    pub folders: Vec<PathBuf>,
    /// Whether it is the built-in one.
    pub built_in: bool,
    pub(crate) documents: Vec<Document>,
    /// Which document each top-level key came from.
    pub(crate) sections: BTreeMap<&'static str, usize>,
    pub(crate) words: Words,
    pub(crate) namespaces_given: bool,
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded")
            .field("config", &self.config)
            .field("warnings", &self.warnings)
            .field("files", &self.files)
            .field("folders", &self.folders)
            .field("built_in", &self.built_in)
            .finish_non_exhaustive()
    }
}

/// Reads, merges and checks a configuration.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn load(request: &LoadRequest) -> Result<Loaded, ConfigErrors> {
    let mut loader = Loader::new(request);
    loader.collect();
    let sections = loader.merge();
    let config = loader.config(&sections);
    loader.redact();
    let Loader {
        documents,
        findings,
        words,
        files,
        folders,
        built_in,
        ..
    } = loader;
    let failed = findings.has_errors();
    let (errors, warnings, omitted) = findings.finish(&documents, &words);
    match config {
        Some(config) if !failed => Ok(Loaded {
            config,
            warnings,
            files,
            folders,
            built_in,
            documents,
            sections,
            words,
            namespaces_given: request.namespaces.is_some(),
        }),
        _ => Err(ConfigErrors {
            errors,
            warnings,
            omitted,
        }),
    }
}

struct Loader<'a> {
    request: &'a LoadRequest,
    documents: Vec<Document>,
    findings: Findings,
    words: Words,
    /// What to hide, by document.
    hidden: Vec<(usize, std::ops::Range<usize>)>,
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
    built_in: bool,
    /// Whether a file could not be used, so that what seems to be missing may stand there.
    incomplete: bool,
}

impl<'a> Loader<'a> {
    fn new(request: &'a LoadRequest) -> Self {
        Self {
            request,
            documents: Vec::new(),
            findings: Findings::default(),
            words: Words::default(),
            hidden: Vec::new(),
            files: Vec::new(),
            folders: Vec::new(),
            built_in: false,
            incomplete: false,
        }
    }

    // === reading ===

    fn collect(&mut self) {
        if self.request.paths.is_empty() {
            self.search();
        } else {
            for path in &self.request.paths {
                if path.is_dir() {
                    self.folder(path, true)
                } else {
                    self.file(path)
                }
            }
        }
        self.empty_files();
    }

    fn search(&mut self) {
        let SearchPlaces {
            file,
            folder,
            ceilometer,
        } = &self.request.search;
        // A file that is there and cannot be used is an error, not a reason to look elsewhere.
        let exists = |path: &Path| fs::symlink_metadata(path).is_ok();
        if exists(file) {
            self.file(file);
        } else if folder.is_dir() {
            self.folder(folder, false);
        }
        let has_sources = self
            .documents
            .iter()
            .any(|document| document.values.contains_key("sources"));
        if !has_sources && !self.incomplete && exists(ceilometer) {
            self.file(ceilometer);
        }
        if !self.files.is_empty() || self.incomplete {
            return;
        }
        if self.request.terminal {
            self.built_in = true;
            self.text(Path::new(BUILT_IN), self.request.built_in.to_owned());
        } else {
            let places = [file, folder, ceilometer].map(|path| format!("`{}`", path.display()));
            let finding = Finding::error(Problem::NoConfiguration, "there is no configuration")
                .note(format!("searched {}", places.join(", ")))
                .help(Some("name a file or a folder with `--config`"));
            self.findings.add(finding);
            self.incomplete = true;
        }
    }

    fn unusable(&mut self, finding: Finding) {
        self.incomplete = true;
        self.findings.add(finding);
    }

    fn folder(&mut self, folder: &Path, named: bool) {
        self.folders.push(folder.to_owned());
        let name = folder.display();
        let listed = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let entries = match listed {
            Ok(entries) => entries,
            Err(error) => {
                let title = format!("cannot read the folder `{name}`: {error}");
                return self.unusable(Finding::error(Problem::Unreadable, title));
            }
        };
        let is_yaml = |path: &PathBuf| {
            let hidden = path
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            !hidden
                && path
                    .extension()
                    .is_some_and(|extension| extension == "yaml" || extension == "yml")
        };
        let mut files: Vec<PathBuf> = entries
            .into_iter()
            .map(|entry| entry.path())
            .filter(is_yaml)
            .collect();
        files.sort();
        if files.len() > MAX_FOLDER {
            let title = format!("the folder `{name}` has more than {MAX_FOLDER} configuration files");
            return self.unusable(Finding::error(Problem::TooLarge, title));
        }
        if files.is_empty() && named {
            let title = format!("the folder `{name}` has no configuration files");
            let help = "files end in `.yaml` or `.yml` and do not begin with a dot";
            return self.unusable(Finding::error(Problem::FolderEmpty, title).help(Some(help)));
        }
        for file in &files {
            self.file(file);
        }
    }

    fn file(&mut self, path: &Path) {
        self.files.push(path.to_owned());
        let bytes = match read_file(path, MAX_FILE) {
            Ok(bytes) => bytes,
            Err(error) => {
                let problem = match error {
                    FileError::NotFound => Problem::NotFound,
                    FileError::NotRegular(_) => Problem::NotRegular,
                    FileError::TooLarge(_) => Problem::TooLarge,
                    _ => Problem::Unreadable,
                };
                let title = format!("cannot read `{}`: {error}", path.display());
                return self.unusable(Finding::error(problem, title));
            }
        };
        match decode::decode(bytes) {
            Ok(text) => self.text(path, text),
            Err(NotText {
                problem,
                title,
                help,
                shown,
                label,
            }) => {
                let (text, span) = shown.map_or((String::new(), None), |(text, span)| (text, Some(span)));
                let document = self.document(path, text);
                self.hide_lines(document);
                let place = span.map_or(Place::whole(document), |span| Place::span(document, span));
                self.unusable(Finding::error(problem, title).at(place, label).help(Some(help)));
            }
        }
    }

    fn document(&mut self, path: &Path, text: String) -> usize {
        let redaction = Redaction::default();
        self.documents.push(Document {
            path: path.to_owned(),
            text,
            tree: None,
            values: Map::new(),
            redaction,
        });
        self.documents.len() - 1
    }

    fn text(&mut self, path: &Path, text: String) {
        let document = self.document(path, text.clone());
        let values = self.parse(document, &text);
        if values.is_none() {
            self.incomplete = true;
            self.hide_lines(document);
        }
        if let Some(document) = self.documents.get_mut(document) {
            document.values = values.unwrap_or_default();
        }
    }

    /// The top-level keys of the text; none if it cannot be used.
    fn parse(&mut self, document: usize, text: &str) -> Option<Map<String, Value>> {
        match position::survey(text) {
            Ok(survey) => {
                let empty = survey.tree.is_none() && survey.flaws.is_empty();
                let flawed = !survey.flaws.is_empty();
                for flaw in survey.flaws {
                    let finding = flawed_text(flaw, document, text);
                    self.findings.add(finding);
                }
                if empty {
                    return Some(Map::new());
                }
                if flawed {
                    return None;
                }
                if let Some(document) = self.documents.get_mut(document) {
                    document.tree = survey.tree;
                }
            }
            // Without anchors there is nothing that could grow, so the other parser may try, though no place will be known.
            Err(flaw) if text.contains('&') || yaml::parse(text).is_err() => {
                let finding = flawed_text(flaw, document, text);
                self.findings.add(finding);
                return None;
            }
            Err(_) => {}
        }
        let (value, unfit) = match yaml::parse(text) {
            Ok(parsed) => parsed,
            Err(error) => {
                let span = error
                    .offset
                    .map(|offset| offset.min(text.len())..offset.min(text.len()));
                let place = span.map_or(Place::whole(document), |span| Place::span(document, span));
                let finding = Finding::error(
                    Problem::Syntax,
                    format!("the file is not YAML: {}", error.message),
                );
                self.findings.add(finding.at(place, "here"));
                return None;
            }
        };
        for unfit in unfit {
            self.unfit(document, unfit);
        }
        match value {
            Value::Object(values) => Some(values),
            Value::Null => Some(Map::new()),
            other => {
                let place = Place::of(&self.documents, document, &ValuePath::top(), Part::Value);
                let label = format!(
                    "expected a mapping with the key `sources`, found {}",
                    schema::kind(&other)
                );
                let finding =
                    Finding::error(Problem::NotMapping, "the file is not a mapping").at(place, label);
                let help = other
                    .is_array()
                    .then_some("begin with `sources:` and indent the list below it");
                self.findings.add(finding.help(help));
                None
            }
        }
    }

    fn unfit(&mut self, document: usize, unfit: yaml::Unfit) {
        let finding = match unfit.problem {
            // The tag is not repeated: it may be a secret without quotation marks.
            Problem::Tag => Finding::error(Problem::Tag, "a YAML tag has no meaning here")
                .help(Some("text that begins with `!` needs quotation marks")),
            Problem::NotFinite => Finding::error(unfit.problem, "a number is infinite or not a number"),
            problem => Finding::error(problem, "a key is not text"),
        };
        let place = Place::of(&self.documents, document, &unfit.path, Part::Value);
        self.findings.add(finding.at(place.clone(), ""));
        self.findings.mute(place);
    }

    fn empty_files(&mut self) {
        let alone = self.documents.len() == 1 && self.files.len() == 1;
        let empty = self
            .documents
            .iter()
            .enumerate()
            .filter(|(_, document)| document.text_is_empty());
        for (document, _) in empty.collect::<Vec<_>>() {
            if self.findings.has_errors() && self.incomplete {
                continue;
            }
            let title = "the file is empty";
            let finding = if alone {
                Finding::error(Problem::EmptyFile, title)
                    .help(Some("a configuration has at least `sources: []`"))
            } else {
                Finding::warning(Problem::EmptyFile, title)
            };
            self.incomplete |= alone;
            self.findings.add(finding.at(Place::whole(document), ""));
        }
    }

    // === merging ===

    fn merge(&mut self) -> BTreeMap<&'static str, usize> {
        let mut sections = BTreeMap::new();
        let keys: Vec<Vec<String>> = self
            .documents
            .iter()
            .map(|document| document.values.keys().cloned().collect())
            .collect();
        for (document, keys) in keys.into_iter().enumerate() {
            for key in keys {
                let path = ValuePath::top().at(key.as_str());
                let Some(section) = SECTIONS.into_iter().find(|section| *section == key) else {
                    self.hide_likely(document, &path);
                    self.unknown_section(document, &key, &path);
                    continue;
                };
                let earlier = sections.insert(section, document);
                if let (Some(earlier), "sources") = (earlier, section) {
                    let first = Place::of(&self.documents, earlier, &path, Part::Key);
                    let second = Place::of(&self.documents, document, &path, Part::Key);
                    let finding = Finding::error(Problem::SourcesTwice, "`sources` stands in two files")
                        .at(second, "here again")
                        .also(first, "here first")
                        .help(Some("keep all sources in one file"));
                    self.findings.add(finding);
                }
            }
        }
        if !sections.contains_key("sources") && !self.incomplete {
            let names: Vec<String> = self
                .files
                .iter()
                .map(|file| format!("`{}`", file.display()))
                .collect();
            let finding = Finding::error(Problem::SourcesMissing, "`sources` is missing").help(Some(
                "add `sources:` with a list, or `sources: []` to poll nothing",
            ));
            let finding = match names.as_slice() {
                [_] => finding.at(Place::whole(0), ""),
                _ => finding.note(format!("it is in none of {}", names.join(", "))),
            };
            self.findings.add(finding);
        }
        sections
    }

    fn unknown_section(&mut self, document: usize, key: &str, path: &ValuePath) {
        let title = format!(
            "unknown top-level key `{}`",
            key.chars().take(60).collect::<String>()
        );
        let finding = if self.request.strict {
            Finding::error(Problem::UnknownTopLevel, title)
        } else {
            Finding::warning(Problem::UnknownTopLevel, title)
        };
        let near = nearest(key, SECTIONS).map(|near| format!("did you mean `{near}`?"));
        let place = Place::of(&self.documents, document, path, Part::Key);
        self.findings
            .add(finding.at(place, "nothing reads this").help(near));
    }

    // === checking ===

    fn config(&mut self, sections: &BTreeMap<&'static str, usize>) -> Option<Config> {
        let agent = self.section::<Agent>(sections, "agent");
        let coordination = self.coordination(sections);
        let notifier = self.notifier(sections);
        let plugins = self.plugins(sections);
        let sources = sections.get("sources").map(|document| {
            self.hide_likely(*document, &ValuePath::top().at("sources"));
            let value = self.written(*document, "sources");
            sources::read(
                &self.documents,
                *document,
                &value,
                self.request.strict,
                &mut self.findings,
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

    /// The value of a section as it stands in a document.
    fn written(&self, document: usize, section: &str) -> Value {
        self.documents
            .get(document)
            .and_then(|document| document.values.get(section))
            .cloned()
            .unwrap_or_default()
    }

    /// The value of a section with its placeholders replaced, and the document that it stands in. A key without a value counts as an
    /// empty section: its lines are often all commented out.
    fn value(&mut self, sections: &BTreeMap<&'static str, usize>, section: &'static str) -> (usize, Value) {
        let empty = || Value::Object(Map::new());
        let Some(&document) = sections.get(section) else {
            return (0, empty());
        };
        let mut value = self.written(document, section);
        if value.is_null() {
            value = empty();
        }
        let mut expander = Expander {
            documents: &self.documents,
            document,
            variables: self.request.variables,
            findings: &mut self.findings,
            words: &mut self.words,
        };
        expander.expand(&mut value, &mut ValuePath::top().at(section));
        (document, value)
    }

    fn section<T: DeserializeOwned + schemars::JsonSchema>(
        &mut self,
        sections: &BTreeMap<&'static str, usize>,
        section: &'static str,
    ) -> Option<T> {
        let (document, value) = self.value(sections, section);
        let schema: Value = schemars::schema_for!(T).into();
        let path = ValuePath::top().at(section);
        self.check(document, &schema, &value, &path)
            .then(|| self.read(document, value, &path))
            .flatten()
    }

    /// Checks options against their schema, and hides the secret ones. Whether they are good.
    fn check(&mut self, document: usize, schema: &Value, value: &Value, path: &ValuePath) -> bool {
        self.hide(document, schema, value, path);
        let violations = schema::check(schema, value);
        self.hide_misplaced(document, schema, &violations, path);
        let good = violations.is_empty();
        for violation in violations {
            self.violation(document, violation, path);
        }
        good
    }

    fn hide(&mut self, document: usize, schema: &Value, value: &Value, path: &ValuePath) {
        let tree = self
            .documents
            .get(document)
            .and_then(|document| document.tree.as_ref());
        for secret in schema::secrets(schema, value) {
            let found = secret
                .segments()
                .iter()
                .try_fold(value, |value, segment| match segment {
                    Segment::Key(key) => value.get(key),
                    Segment::Index(index) => value.get(index),
                });
            if let Some(text) = found.and_then(Value::as_str) {
                self.words.add(text);
            }
            let spans = tree
                .map(|tree| tree.scalars(&path.join(&secret)))
                .unwrap_or_default();
            let text = self
                .documents
                .get(document)
                .map_or("", |document| document.text.as_str());
            let hidden = spans
                .into_iter()
                .filter(|span| !is_placeholder(text.get(span.clone()).unwrap_or_default()));
            self.hidden.extend(hidden.map(|span| (document, span)));
        }
    }

    /// A secret under a misspelt key, or in a value of the wrong type, is a secret still.
    fn hide_misplaced(
        &mut self,
        document: usize,
        schema: &Value,
        violations: &[Violation],
        path: &ValuePath,
    ) {
        let names = schema::secret_names(schema);
        let secret =
            |key: &str| looks_secret(key) || nearest(key, names.iter().map(String::as_str)).is_some();
        let Some(tree) = self
            .documents
            .get(document)
            .and_then(|document| document.tree.as_ref())
        else {
            return;
        };
        for violation in violations {
            let path = path.join(&violation.path);
            let key_is_secret = matches!(path.segments().last(), Some(Segment::Key(key)) if secret(key));
            let spans = if violation.problem == Problem::UnknownKey && key_is_secret {
                tree.scalars(&path)
            } else {
                tree.hidden_under(&path, secret)
            };
            self.hidden.extend(spans.into_iter().map(|span| (document, span)));
        }
    }

    /// Hides what looks secret in a value that no schema describes.
    fn hide_likely(&mut self, document: usize, path: &ValuePath) {
        let Some(tree) = self
            .documents
            .get(document)
            .and_then(|document| document.tree.as_ref())
        else {
            return;
        };
        let spans = match path.segments().last() {
            Some(Segment::Key(key)) if looks_secret(key) => tree.scalars(path),
            _ => tree.hidden_under(path, looks_secret),
        };
        self.hidden.extend(spans.into_iter().map(|span| (document, span)));
    }

    fn read<T: DeserializeOwned>(&mut self, document: usize, value: Value, path: &ValuePath) -> Option<T> {
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
                let place = Place::of(&self.documents, document, &full, Part::Value);
                let finding = Finding::error(Problem::BadValue, format!("`{full}` cannot be used"));
                self.findings.add(finding.at(place, error.inner().to_string()));
                None
            }
        }
    }

    fn violation(&mut self, document: usize, violation: Violation, section: &ValuePath) {
        let Violation {
            problem,
            path,
            expected,
            found,
            near,
            missing,
        } = violation;
        let path = section.join(&path);
        let value_part = if found == Some("nothing") {
            Part::Key
        } else {
            Part::Value
        };
        let near_help = near.map(|near| format!("did you mean `{near}`?"));
        let (title, part, label, help) = match problem {
            Problem::UnknownKey => {
                let (parent, key) = split(&path);
                let key: String = key.chars().take(60).collect();
                let help = near_help.or_else(|| {
                    Some(if expected.is_empty() {
                        "no keys are possible here".to_owned()
                    } else {
                        format!("keys here are {expected}")
                    })
                });
                (
                    format!("unknown key `{key}` in `{parent}`"),
                    Part::Key,
                    "there is no such key".to_owned(),
                    help,
                )
            }
            Problem::MissingKey => {
                let key = missing.unwrap_or_default();
                (
                    format!("`{key}` is missing in `{path}`"),
                    Part::Value,
                    format!("expected {expected}"),
                    None,
                )
            }
            Problem::WrongType => {
                let found = found.map(|found| format!(", found {found}")).unwrap_or_default();
                let part = if matches!(found.as_str(), ", found a list" | ", found a mapping") {
                    Part::Key
                } else {
                    value_part
                };
                (
                    format!("`{path}` is of the wrong type"),
                    part,
                    format!("expected {expected}{found}"),
                    near_help,
                )
            }
            Problem::OutOfRange => (
                format!("`{path}` is out of range"),
                Part::Value,
                format!("expected {expected}"),
                near_help,
            ),
            Problem::BadLength => (
                format!("`{path}` is too short or too long"),
                Part::Value,
                format!("expected {expected}"),
                near_help,
            ),
            _ => (
                format!("`{path}` is not a possible value"),
                Part::Value,
                format!("expected {expected}"),
                near_help,
            ),
        };
        let place = Place::of(&self.documents, document, &path, part);
        self.findings
            .add(Finding::error(problem, title).at(place, label).help(help));
    }

    fn coordination(&mut self, sections: &BTreeMap<&'static str, usize>) -> Option<Coordination> {
        let coordination = self.section::<Coordination>(sections, "coordination")?;
        let document = sections.get("coordination").copied().unwrap_or_default();
        let broken = coordination.broken();
        for rule in &broken {
            let path = ValuePath::top().at("coordination").at(rule.key);
            let place = Place::of(&self.documents, document, &path, Part::Key);
            let finding = Finding::error(Problem::BadValue, format!("`{path}` does not fit"));
            self.findings.add(finding.at(place, rule.expected));
        }
        broken.is_empty().then_some(coordination)
    }

    fn notifier(&mut self, sections: &BTreeMap<&'static str, usize>) -> Option<Notifier> {
        let (document, value) = self.value(sections, "notifier");
        let schema: Value = schemars::schema_for!(Notifier).into();
        let path = ValuePath::top().at("notifier");
        // The options of publishers belong to schemas of their own.
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
                    let place = |index: usize| {
                        Place::of(&self.documents, document, &path.at(index).at("name"), Part::Value)
                    };
                    let finding = Finding::error(
                        Problem::PublisherTwice,
                        format!("two publishers have the name `{name}`"),
                    )
                    .at(place(index), "this name again")
                    .also(place(*first), "first here");
                    self.findings.add(finding);
                }
            }
        }
        if !good {
            return None;
        }
        let mut notifier: Notifier = self.read(document, value, &ValuePath::top().at("notifier"))?;
        for (publisher, options) in notifier.publishers.iter_mut().zip(options) {
            publisher.options = options?;
        }
        Some(notifier)
    }

    fn publisher_options(
        &mut self,
        document: usize,
        fields: &Map<String, Value>,
        path: &ValuePath,
    ) -> Option<Options> {
        const OWN: [&str; 4] = ["name", "url", "queue", "spool"];
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
            // What is wrong with the URL is told already.
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
        let title = format!("no publisher takes URLs of the scheme `{scheme}:`");
        let label = if all.is_empty() {
            "there are no publishers".to_owned()
        } else {
            format!("expected one of {}", all.join(", "))
        };
        let place = Place::of(&self.documents, document, path, Part::Value);
        self.findings.add(
            Finding::error(Problem::UnknownPublisher, title)
                .at(place, label)
                .help(near),
        );
    }

    fn plugins(&mut self, sections: &BTreeMap<&'static str, usize>) -> Option<BTreeMap<String, Options>> {
        let (document, value) = self.value(sections, "plugins");
        let path = ValuePath::top().at("plugins");
        let Value::Object(families) = value else {
            self.hide_likely(document, &path);
            let label = format!("expected a mapping, found {}", schema::kind(&value));
            let place = Place::of(&self.documents, document, &path, Part::Value);
            self.findings
                .add(Finding::error(Problem::WrongType, "`plugins` is of the wrong type").at(place, label));
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
                let help = near
                    .or_else(|| (!all.is_empty()).then(|| format!("plugins here are {}", all.join(", "))));
                let place = Place::of(&self.documents, document, &path, Part::Key);
                let title = format!(
                    "there is no plugin `{}`",
                    name.chars().take(60).collect::<String>()
                );
                self.findings.add(
                    Finding::error(Problem::UnknownKey, title)
                        .at(place, "there is no such plugin")
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

    // === hiding ===

    fn hide_lines(&mut self, document: usize) {
        let schemas = self
            .request
            .families
            .values()
            .chain(self.request.publishers.values());
        let names: Vec<String> = schemas.flatten().flat_map(schema::secret_names).collect();
        let secret =
            |key: &str| looks_secret(key) || nearest(key, names.iter().map(String::as_str)).is_some();
        let ranges = self
            .documents
            .get(document)
            .map(|document| by_lines(&document.text, secret))
            .unwrap_or_default();
        self.hidden
            .extend(ranges.into_iter().map(|range| (document, range)));
    }

    fn redact(&mut self) {
        for (document, range) in &self.hidden {
            let written = self
                .documents
                .get(*document)
                .and_then(|document| document.text.get(range.clone()));
            // Also where a message quotes it.
            self.words
                .add(written.unwrap_or_default().trim_matches(['"', '\'']));
        }
        let mut hidden: Vec<Vec<std::ops::Range<usize>>> = vec![Vec::new(); self.documents.len()];
        for (document, range) in self.hidden.drain(..) {
            if let Some(ranges) = hidden.get_mut(document) {
                ranges.push(range);
            }
        }
        for (document, ranges) in self.documents.iter_mut().zip(hidden) {
            document.redaction = Redaction::new(&document.text, ranges, &self.words);
        }
    }
}

/// Whether a scalar as it is written is nothing but a placeholder, which says where a secret is and may be shown.
fn is_placeholder(written: &str) -> bool {
    let bare = written.trim_matches(['"', '\'']);
    let inner = bare.strip_prefix("${").and_then(|inner| inner.strip_suffix('}'));
    inner.is_some_and(|inner| {
        !inner.contains('}') && (inner.starts_with("env:") || inner.starts_with("file:"))
    })
}

/// A schema for what has no options.
fn no_options() -> Value {
    serde_json::json!({ "type": "object", "properties": {}, "additionalProperties": false })
}

/// The schema of a publisher's options, in which the publisher's own keys are known too, so that near matches are found among all.
fn with_own_keys(schema: Option<&Value>, own: &[&str]) -> Value {
    let mut schema = schema.cloned().unwrap_or_else(no_options);
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for key in own {
            properties.entry(*key).or_insert(Value::Bool(true));
        }
    }
    schema
}

/// The path of the mapping, and the key in it.
fn split(path: &ValuePath) -> (ValuePath, String) {
    let mut parent = path.clone();
    let key = match path.segments().last() {
        Some(Segment::Key(key)) => key.clone(),
        Some(Segment::Index(index)) => index.to_string(),
        None => String::new(),
    };
    parent.pop();
    (parent, key)
}

fn flawed_text(flaw: Flaw, document: usize, text: &str) -> Finding {
    let Flaw {
        problem,
        span,
        label,
        also,
    } = flaw;
    let title = match problem {
        Problem::Syntax => "the file is not YAML",
        Problem::DuplicateKey => "a key stands twice in one mapping",
        Problem::SeveralDocuments => "the file holds more than one YAML document",
        Problem::TooDeep => "values are nested too deep",
        Problem::TooMany => "the file holds too many values",
        Problem::AliasCycle => "an alias refers to the value that it is part of",
        Problem::NumberTooBig => "a number is too big",
        Problem::Merge => "a merge key is given something else than a mapping",
        _ => "a key is not text",
    };
    let help = match problem {
        Problem::Syntax if label.contains("tab") => Some("indent with blanks".to_owned()),
        Problem::Syntax => syntax_help(text, span.start),
        Problem::NumberTooBig => Some("if text is meant, put it in quotation marks".to_owned()),
        Problem::SeveralDocuments => {
            Some("keep the first, or put the other into a file of its own".to_owned())
        }
        _ => None,
    };
    let mut finding = Finding::error(problem, title)
        .at(Place::span(document, span), label)
        .help(help);
    if let Some((span, label)) = also {
        finding = finding.also(Place::span(document, span), label);
    }
    finding
}

/// What is most often meant by text that is not YAML.
fn syntax_help(text: &str, offset: usize) -> Option<String> {
    let rest = text.get(offset..)?;
    match rest.chars().next()? {
        // The text itself is not repeated: it may be a secret.
        first @ ('*' | '!' | '&' | '@' | '`' | '|' | '>') => {
            Some(format!("text that begins with `{first}` needs quotation marks"))
        }
        '[' => Some("a pattern with `[` needs quotation marks".to_owned()),
        ':' => Some(
            "text with `: ` in it needs quotation marks; keys of one mapping are indented alike".to_owned(),
        ),
        _ => None,
    }
}

impl Document {
    /// Whether the file was read and has no value in it.
    fn text_is_empty(&self) -> bool {
        self.values.is_empty()
            && match &self.tree {
                None => self.text.lines().all(|line| {
                    let line = line.trim();
                    line.is_empty() || line.starts_with('#') || line == "---" || line == "..."
                }),
                Some(tree) => !tree.is_mapping(),
            }
    }
}
