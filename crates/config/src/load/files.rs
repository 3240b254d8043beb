//! Finds, reads and parses the configuration files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nephoscope_plugin::{FileError, read_file};
use serde_json::Map;

use super::request::{LoadRequest, SearchPlaces};
use super::secrets::Secrets;
use super::text;
use crate::decode::{self, DecodeError};
use crate::finding::{Document, Finding, Findings, Place};
use crate::problem::Problem;
use crate::redact::Redaction;

/// The maximum size of a configuration file in bytes. Ceilometer's largest has a few thousand.
pub const MAX_FILE: u64 = 4 * 1024 * 1024;

/// The maximum number of configuration files in a folder.
pub const MAX_FOLDER: usize = 100;

/// The name of the built-in text in messages.
const BUILT_IN: &str = "<built-in polling.yaml>";

/// The files that were read.
#[derive(Default)]
pub(super) struct Files {
    /// The documents of all files that could be opened, or the built-in text.
    pub(super) documents: Vec<Document>,
    /// The requested files.
    pub(super) files: Vec<PathBuf>,
    /// The requested folders.
    pub(super) folders: Vec<PathBuf>,
    /// Whether the only document is the built-in text.
    pub(super) built_in: bool,
    /// Whether a file could not be used, so that missing keys may be in it.
    pub(super) incomplete: bool,
}

impl Files {
    /// Reads the requested files, or the files in the search places.
    pub(super) fn collect(request: &LoadRequest, findings: &mut Findings, secrets: &mut Secrets<'_>) -> Self {
        let mut collector = Collector {
            request,
            findings,
            secrets,
            read: Self::default(),
        };
        if request.paths.is_empty() {
            collector.search();
        } else {
            for path in &request.paths {
                if path.is_dir() {
                    collector.folder(path, true)
                } else {
                    collector.file(path)
                }
            }
        }
        collector.empty_files();
        collector.read
    }
}

struct Collector<'r, 'f, 's> {
    request: &'r LoadRequest,
    findings: &'f mut Findings,
    secrets: &'f mut Secrets<'s>,
    read: Files,
}

impl Collector<'_, '_, '_> {
    fn search(&mut self) {
        let SearchPlaces {
            file,
            folder,
            ceilometer,
        } = &self.request.search;
        // A file that exists and cannot be used is an error: the search does not continue.
        let exists = |path: &Path| fs::symlink_metadata(path).is_ok();
        if exists(file) {
            self.file(file);
        } else if folder.is_dir() {
            self.folder(folder, false);
        }
        let has_sources = self
            .read
            .documents
            .iter()
            .any(|document| document.values.contains_key("sources"));
        if !has_sources && !self.read.incomplete && exists(ceilometer) {
            self.file(ceilometer);
        }
        if !self.read.files.is_empty() || self.read.incomplete {
            return;
        }
        if self.request.terminal {
            self.read.built_in = true;
            self.text(Path::new(BUILT_IN), self.request.built_in.to_owned());
        } else {
            let places = [file, folder, ceilometer].map(|path| format!("`{}`", path.display()));
            let finding = Finding::error(Problem::NoConfiguration, "no configuration found")
                .note(format!("searched {}", places.join(", ")))
                .help(Some("specify a file or a folder with `--config`"));
            self.findings.add(finding);
            self.read.incomplete = true;
        }
    }

    fn unusable(&mut self, finding: Finding) {
        self.read.incomplete = true;
        self.findings.add(finding);
    }

    fn folder(&mut self, folder: &Path, named: bool) {
        self.read.folders.push(folder.to_owned());
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
        self.read.files.push(path.to_owned());
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
            Err(DecodeError {
                problem,
                title,
                help,
                shown,
                label,
            }) => {
                let (text, span) = shown.map_or((String::new(), None), |(text, span)| (text, Some(span)));
                let document = self.document(path, text);
                self.secrets.hide_lines(&self.read.documents, document);
                let place = span.map_or(Place::whole(document), |span| Place::span(document, span));
                self.unusable(Finding::error(problem, title).at(place, label).help(Some(help)));
            }
        }
    }

    fn document(&mut self, path: &Path, text: String) -> usize {
        let redaction = Redaction::default();
        self.read.documents.push(Document {
            path: path.to_owned(),
            text,
            tree: None,
            values: Map::new(),
            redaction,
        });
        self.read.documents.len() - 1
    }

    fn text(&mut self, path: &Path, text: String) {
        let document = self.document(path, text.clone());
        let values = text::parse(&mut self.read.documents, document, &text, self.findings);
        if values.is_none() {
            self.read.incomplete = true;
            self.secrets.hide_lines(&self.read.documents, document);
        }
        if let Some(document) = self.read.documents.get_mut(document) {
            document.values = values.unwrap_or_default();
        }
    }

    fn empty_files(&mut self) {
        let alone = self.read.documents.len() == 1 && self.read.files.len() == 1;
        let empty = self
            .read
            .documents
            .iter()
            .enumerate()
            .filter(|(_, document)| document.text_is_empty());
        for (document, _) in empty.collect::<Vec<_>>() {
            if self.findings.has_errors() && self.read.incomplete {
                continue;
            }
            let title = "the file is empty";
            let finding = if alone {
                Finding::error(Problem::EmptyFile, title)
                    .help(Some("a configuration needs at least `sources: []`"))
            } else {
                Finding::warning(Problem::EmptyFile, title)
            };
            self.read.incomplete |= alone;
            self.findings.add(finding.at(Place::whole(document), ""));
        }
    }
}

impl Document {
    /// Returns whether the file was read and contains no value.
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
