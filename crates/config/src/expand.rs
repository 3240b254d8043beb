//! Placeholders in sections: `${env:NAME}` and `${file:PATH}`, so that configuration files need not contain secrets.

use std::ffi::OsString;
use std::path::Path;

use nephoscope_plugin::read_file;
use serde_json::Value;

use crate::finding::{Document, Finding, Findings, Part, Place};
use crate::path::ValuePath;
use crate::problem::Problem;
use crate::redact::Words;

/// The maximum size of a secret file in bytes.
pub const MAX_SECRET_FILE: u64 = 64 * 1024;

/// A function that looks up an environment variable.
pub type Variables = fn(&str) -> Option<OsString>;

pub(crate) struct Expander<'a> {
    pub(crate) documents: &'a [Document],
    pub(crate) document: usize,
    pub(crate) variables: Variables,
    pub(crate) findings: &'a mut Findings,
    /// The values of placeholders are added to these.
    pub(crate) words: &'a mut Words,
}

impl Expander<'_> {
    /// Replaces the placeholders in all texts of the value. Errors become findings.
    pub(crate) fn expand(&mut self, value: &mut Value, path: &mut ValuePath) {
        match value {
            Value::String(text) if text.contains("${") => *text = self.text(text, path),
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    path.push(index);
                    self.expand(item, path);
                    path.pop();
                }
            }
            Value::Object(entries) => {
                for (key, value) in entries.iter_mut() {
                    path.push(key.as_str());
                    self.expand(value, path);
                    path.pop();
                }
            }
            _ => {}
        }
    }

    fn text(&mut self, text: &str, path: &ValuePath) -> String {
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text;
        let mut failed = false;
        while let Some(start) = rest.find("${") {
            let (before, after) = rest.split_at(start);
            if let Some(before) = before.strip_suffix('$') {
                expanded.push_str(before);
                expanded.push_str("${");
                rest = after.get(2..).unwrap_or_default();
                continue;
            }
            expanded.push_str(before);
            let end = after.find('}').map_or(after.len(), |end| end + 1);
            let (placeholder, after) = after.split_at(end);
            match self.placeholder(placeholder) {
                Ok(value) => {
                    self.words.add(&value);
                    expanded.push_str(&value);
                }
                Err((problem, title, help)) => {
                    let place = self.place(placeholder, path);
                    self.findings
                        .add(Finding::error(problem, title).at(place, "").help(help));
                    failed = true;
                }
            }
            rest = after;
        }
        expanded.push_str(rest);
        if failed {
            // Other errors of this value would be consequences of this one.
            self.findings
                .suppress(Place::of(self.documents, self.document, path, Part::Value));
        }
        expanded
    }

    /// Returns the location of the placeholder, or of the whole value if the text contains escapes.
    fn place(&self, placeholder: &str, path: &ValuePath) -> Place {
        let written = self.documents.get(self.document).and_then(|document| {
            let value = document.find(path).filter(|found| found.exact)?.value;
            let found = document.text.get(value.clone())?.find(placeholder)?;
            Some(value.start + found..value.start + found + placeholder.len())
        });
        match written {
            Some(span) => Place::span(self.document, span),
            None => Place::of(self.documents, self.document, path, Part::Value),
        }
    }

    fn placeholder(&self, placeholder: &str) -> Result<String, (Problem, String, Option<String>)> {
        let form = "write `${env:NAME}` or `${file:PATH}`, or `$${` for a literal `${`".to_owned();
        let Some(inner) = placeholder
            .strip_prefix("${")
            .and_then(|inner| inner.strip_suffix('}'))
        else {
            return Err((
                Problem::Placeholder,
                "a placeholder has no closing `}`".to_owned(),
                Some(form),
            ));
        };
        match inner.split_once(':') {
            Some(("env", name)) if !name.is_empty() && !name.contains(['=', '\0']) => self.variable(name),
            Some(("file", path)) if !path.is_empty() => self.file(Path::new(path)),
            _ => Err((
                Problem::Placeholder,
                "unknown kind of placeholder".to_owned(),
                Some(form),
            )),
        }
    }

    fn variable(&self, name: &str) -> Result<String, (Problem, String, Option<String>)> {
        let fail = |what: &str| {
            (
                Problem::Variable,
                format!("the environment variable `{name}` {what}"),
                None,
            )
        };
        let value = (self.variables)(name).ok_or_else(|| fail("is not set"))?;
        value.into_string().map_err(|_| fail("is not UTF-8"))
    }

    fn file(&self, path: &Path) -> Result<String, (Problem, String, Option<String>)> {
        // Paths are relative to the folder of the configuration file.
        let folder = self
            .documents
            .get(self.document)
            .and_then(|document| document.path.parent());
        let full = folder.map_or_else(|| path.to_owned(), |folder| folder.join(path));
        let fail = |what: String| {
            (
                Problem::SecretFile,
                format!("cannot use the file `{}`: {what}", full.display()),
                None,
            )
        };
        let bytes = read_file(&full, MAX_SECRET_FILE).map_err(|error| fail(error.to_string()))?;
        let mut text = String::from_utf8(bytes).map_err(|_| fail("it is not UTF-8".to_owned()))?;
        if text.contains('\0') {
            return Err(fail("it contains a NUL".to_owned()));
        }
        if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        Ok(text)
    }
}
