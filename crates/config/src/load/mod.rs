//! Loads the requested or found files as a checked configuration.
//!
//! [`Files`] reads the files of the [`LoadRequest`], [`merge`](merge::merge) selects the document of each section, and
//! [`Checks`] builds a configuration from the sections. Errors become findings. [`Secrets`] collects what findings must not show.

mod checks;
mod families;
mod files;
mod loaded;
mod merge;
mod publishers;
mod request;
mod secrets;
mod text;
mod violation;

use crate::diagnostic::ConfigErrors;
use crate::finding::Findings;
use checks::Checks;
use files::Files;
use secrets::Secrets;

pub use files::{MAX_FILE, MAX_FOLDER};
pub use loaded::Loaded;
pub use request::{LoadRequest, Schemas, SearchPlaces};

/// Reads, merges and checks a configuration.
///
/// # Errors
/// All errors of the configuration.
pub fn load(request: &LoadRequest) -> Result<Loaded, ConfigErrors> {
    let mut findings = Findings::default();
    let mut secrets = Secrets::new(request);
    let mut files = Files::collect(request, &mut findings, &mut secrets);
    let sections = merge::merge(&files, request, &mut findings, &mut secrets);
    let config = Checks {
        request,
        documents: &files.documents,
        sections: &sections,
        findings: &mut findings,
        secrets: &mut secrets,
    }
    .config();
    let words = secrets.redact(&mut files.documents);
    let Files {
        documents,
        files,
        folders,
        built_in,
        ..
    } = files;
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
