//! Checks that no tracked text file contains a banned phrase.
//!
//! `tests/xtask/prose/banned.txt` lists the phrases with their replacements, `exceptions.txt` the places where a phrase is allowed.
//! CONTRIBUTING.md describes the rules of the text.

mod lists;
mod words;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use lists::{Banned, Exceptions};
use words::words;

/// Where the lists are, below the top of the repository.
const LISTS: &str = "tests/xtask/prose";

/// The extensions of the files that are checked. Scripts without an extension are checked too.
const EXTENSIONS: [&str; 9] = ["md", "proto", "py", "rs", "service", "sh", "snap", "toml", "yaml"];

/// Why the texts cannot be checked; completes "failed to ...".
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProseError {
    #[error("read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("parse {}:{line}: expected `{expected}`", path.display())]
    List {
        path: PathBuf,
        line: usize,
        expected: &'static str,
    },
    #[error("run git ls-files")]
    Run(#[source] std::io::Error),
    #[error("list the tracked files: {0}")]
    Git(String),
}

/// A banned phrase in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// Relative to the top of the repository.
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) phrase: String,
    /// What to write instead.
    pub(crate) instead: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            line,
            column,
            phrase,
            instead,
        } = self;
        write!(f, "{path}:{line}:{column}: `{phrase}`: write {instead}")
    }
}

/// The result of a check.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) findings: Vec<Finding>,
    /// Exceptions that match nothing, a text for each.
    pub(crate) unused: Vec<String>,
}

impl Report {
    pub(crate) fn is_clean(&self) -> bool {
        self.findings.is_empty() && self.unused.is_empty()
    }

    /// The number of findings in each directory of the first two levels.
    pub(crate) fn directories(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for finding in &self.findings {
            let parts: Vec<&str> = finding.path.split('/').collect();
            let directory = match parts.as_slice() {
                [first, second, _, ..] => format!("{first}/{second}"),
                [first, _] => (*first).to_owned(),
                _ => ".".to_owned(),
            };
            *counts.entry(directory).or_default() += 1;
        }
        counts
    }

    /// All findings and unused exceptions, a line each.
    pub(crate) fn lines(&self) -> Vec<String> {
        let findings = self.findings.iter().map(Finding::to_string);
        findings.chain(self.unused.iter().cloned()).collect()
    }
}

/// Checks the tracked files of a repository.
pub(crate) fn check(root: &Path) -> Result<Report, ProseError> {
    let banned = Banned::read(&root.join(LISTS).join("banned.txt"))?;
    let mut exceptions = Exceptions::read(&root.join(LISTS).join("exceptions.txt"))?;
    let mut report = Report::default();
    for path in tracked(root)? {
        let Some(text) = text(root, &path)? else {
            continue;
        };
        let findings = findings(&path, &text, &banned);
        report
            .findings
            .extend(findings.into_iter().filter(|finding| !exceptions.allows(finding)));
    }
    report.unused = exceptions.unused();
    Ok(report)
}

/// The banned phrases in a text.
fn findings(path: &str, text: &str, banned: &Banned) -> Vec<Finding> {
    let words = words(text);
    let mut found = Vec::new();
    for start in 0..words.len() {
        if let Some((phrase, instead)) = banned.at(&words[start..]) {
            found.push(Finding {
                path: path.to_owned(),
                line: words[start].line,
                column: words[start].column,
                phrase: phrase.to_owned(),
                instead: instead.to_owned(),
            });
        }
    }
    found
}

fn tracked(root: &Path) -> Result<Vec<String>, ProseError> {
    let output = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root)
        .output()
        .map_err(ProseError::Run)?;
    if !output.status.success() {
        return Err(ProseError::Git(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ));
    }
    let paths = String::from_utf8_lossy(&output.stdout);
    Ok(paths
        .split('\0')
        .filter(|path| !path.is_empty())
        .map(str::to_owned)
        .collect())
}

/// The text of a file that is checked; `None` for others, and for a tracked file that was deleted.
fn text(root: &Path, path: &str) -> Result<Option<String>, ProseError> {
    let extension = Path::new(path)
        .extension()
        .and_then(|extension| extension.to_str());
    if extension.is_some_and(|extension| !EXTENSIONS.contains(&extension)) {
        return Ok(None);
    }
    let full = root.join(path);
    let bytes = match std::fs::read(&full) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(ProseError::Read { path: full, source }),
    };
    if extension.is_none() && !bytes.starts_with(b"#!") {
        return Ok(None);
    }
    Ok(String::from_utf8(bytes).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BANNED: &str = "ye olde -> `old`\nverily -> `truly`\npull asunder -> `separate`\n";

    fn found(text: &str) -> Vec<(usize, usize, String)> {
        let banned = Banned::parse(Path::new("banned.txt"), BANNED).unwrap();
        let findings = findings("a.rs", text, &banned);
        findings
            .into_iter()
            .map(|finding| (finding.line, finding.column, finding.phrase))
            .collect()
    }

    /// A repository with these files, and these lists.
    fn repository(exceptions: &str, files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let banned = format!("{LISTS}/banned.txt");
        let allowed = format!("{LISTS}/exceptions.txt");
        let lists = [(banned.as_str(), BANNED), (allowed.as_str(), exceptions)];
        for (path, text) in files.iter().chain(&lists) {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        for arguments in [&["init", "--quiet"] as &[&str], &["add", "--all"]] {
            let git = Command::new("git")
                .args(arguments)
                .current_dir(folder.path())
                .status();
            assert!(git.unwrap().success());
        }
        folder
    }

    #[test]
    fn a_phrase_is_found_in_any_case_with_its_position() {
        assert_eq!(
            found("// It is a Ye  Olde.\nVERILY\n"),
            [(1, 12, "ye olde".to_owned()), (2, 1, "verily".to_owned())]
        );
    }

    #[test]
    fn a_phrase_is_found_across_the_lines_of_a_comment_or_a_string() {
        let phrase = [(1, 10, "ye olde".to_owned())];
        assert_eq!(found("/// It is old\n").len(), 0);
        assert_eq!(found("/// says ye\n    /// olde\n"), phrase);
        assert_eq!(found("# writes ye\n# olde\n"), phrase);
        assert_eq!(found("\"not new ye \\\n   olde\"\n"), phrase);
    }

    #[test]
    fn a_phrase_is_found_in_a_name() {
        assert_eq!(found("fn is_pull_asunder()"), [(1, 7, "pull asunder".to_owned())]);
        assert_eq!(found("struct PullAsunder;"), [(1, 8, "pull asunder".to_owned())]);
    }

    #[test]
    fn a_phrase_within_a_longer_word_or_across_punctuation_is_not_found() {
        for text in ["eye oldest", "overily", "oh ye? Olde.", "ye\n\nolde"] {
            assert_eq!(found(text), [], "{text}");
        }
    }

    #[test]
    fn tracked_texts_and_scripts_are_checked() {
        let folder = repository(
            "",
            &[
                ("a/b/c.rs", "// verily\n"),
                ("run", "#!/bin/sh\n# verily\n"),
                ("data", "verily\n"),
                ("data.bin", "verily\n"),
            ],
        );
        std::fs::write(folder.path().join("untracked.rs"), "verily").unwrap();
        let report = check(folder.path()).unwrap();
        assert_eq!(
            report.lines(),
            [
                "a/b/c.rs:1:4: `verily`: write `truly`",
                "run:2:3: `verily`: write `truly`"
            ]
        );
        assert_eq!(
            report.directories(),
            BTreeMap::from([(".".to_owned(), 1), ("a/b".to_owned(), 1)])
        );
    }

    #[test]
    fn an_exception_allows_its_phrase_in_its_file_and_must_be_needed() {
        let exceptions =
            "# path | phrase | reason\na.md | verily | a quotation\nb.md | verily | a quotation\n";
        let folder = repository(exceptions, &[("a.md", "verily, ye olde\n"), ("b.md", "truly\n")]);
        let report = check(folder.path()).unwrap();
        assert_eq!(
            report.lines(),
            [
                "a.md:1:9: `ye olde`: write `old`",
                "tests/xtask/prose/exceptions.txt:3: b.md does not contain `verily`: remove the exception",
            ]
        );
        assert!(!report.is_clean());
    }

    #[test]
    fn a_list_with_a_bad_line_is_an_error() {
        let folder = repository("a.md | verily\n", &[]);
        assert!(matches!(
            check(folder.path()),
            Err(ProseError::List { line: 1, .. })
        ));
    }
}
