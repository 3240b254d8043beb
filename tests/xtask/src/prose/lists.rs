//! The lists of banned phrases and of exceptions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::words::{Word, words};
use super::{Finding, ProseError};

/// The banned phrases by their first word: all words of each, and what to write instead.
#[derive(Debug)]
pub(crate) struct Banned(BTreeMap<String, Vec<Phrase>>);

#[derive(Debug)]
struct Phrase {
    text: String,
    words: Vec<String>,
    instead: String,
}

impl Banned {
    /// Reads the list.
    pub(crate) fn read(path: &Path) -> Result<Self, ProseError> {
        Self::parse(path, &read(path)?)
    }

    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, ProseError> {
        let mut phrases: BTreeMap<String, Vec<Phrase>> = BTreeMap::new();
        for (line, entry) in entries(text) {
            let error = || ProseError::List {
                path: path.to_owned(),
                line,
                expected: "PHRASE -> REPLACEMENT",
            };
            let (phrase, instead) = entry.split_once("->").ok_or_else(error)?;
            let words: Vec<String> = words(phrase).into_iter().map(|word| word.text).collect();
            let first = words.first().ok_or_else(error)?.clone();
            phrases.entry(first).or_default().push(Phrase {
                text: phrase.trim().to_owned(),
                words,
                instead: instead.trim().to_owned(),
            });
        }
        // The longest phrase wins.
        for phrases in phrases.values_mut() {
            phrases.sort_by_key(|phrase| std::cmp::Reverse(phrase.words.len()));
        }
        Ok(Self(phrases))
    }

    /// The phrase with which these words begin, and what to write instead.
    pub(crate) fn at(&self, words: &[Word]) -> Option<(&str, &str)> {
        let phrases = self.0.get(&words.first()?.text)?;
        let phrase = phrases.iter().find(|phrase| {
            phrase.words.len() <= words.len()
                && phrase
                    .words
                    .iter()
                    .zip(words)
                    .enumerate()
                    .all(|(index, (banned, word))| *banned == word.text && (index == 0 || word.continues))
        })?;
        Some((&phrase.text, &phrase.instead))
    }
}

/// The places where a banned phrase is allowed.
#[derive(Debug)]
pub(crate) struct Exceptions {
    path: PathBuf,
    /// The line of the list, the file and the phrase.
    entries: Vec<(usize, String, String)>,
    used: BTreeSet<usize>,
}

impl Exceptions {
    /// Reads the list.
    pub(crate) fn read(path: &Path) -> Result<Self, ProseError> {
        let mut allowed = Vec::new();
        for (line, entry) in entries(&read(path)?) {
            let parts: Vec<&str> = entry.split('|').map(str::trim).collect();
            match parts.as_slice() {
                [file, phrase, reason] if !reason.is_empty() => {
                    allowed.push((line, (*file).to_owned(), (*phrase).to_owned()));
                }
                _ => {
                    return Err(ProseError::List {
                        path: path.to_owned(),
                        line,
                        expected: "PATH | PHRASE | REASON",
                    });
                }
            }
        }
        Ok(Self {
            path: path.to_owned(),
            entries: allowed,
            used: BTreeSet::new(),
        })
    }

    /// Whether an exception covers a finding.
    pub(crate) fn allows(&mut self, finding: &Finding) -> bool {
        let line = self.entries.iter().find_map(|(line, file, phrase)| {
            (*file == finding.path && *phrase == finding.phrase).then_some(*line)
        });
        self.used.extend(line);
        line.is_some()
    }

    /// The exceptions that covered nothing.
    pub(crate) fn unused(&self) -> Vec<String> {
        let name = self.path.file_name().unwrap_or_default().display();
        let unused = self.entries.iter().filter(|(line, ..)| !self.used.contains(line));
        unused
            .map(|(line, file, phrase)| {
                format!(
                    "{}/{name}:{line}: {file} does not contain `{phrase}`: remove the exception",
                    super::LISTS
                )
            })
            .collect()
    }
}

fn read(path: &Path) -> Result<String, ProseError> {
    std::fs::read_to_string(path).map_err(|source| ProseError::Read {
        path: path.to_owned(),
        source,
    })
}

/// The lines that are neither empty nor a comment, with their numbers.
fn entries(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}
