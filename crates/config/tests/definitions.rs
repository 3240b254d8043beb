//! Tests of diagnostics for definitions that plugin families read from files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use nephoscope_config::{Diagnostic, Problem, definitions, load};
use nephoscope_plugin::{
    Catalog, DefinitionProblem, ExpandContext, ExpandRequest, Expansion, Family, Location, OptionsError,
    ProblemPlace, Registration,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Options {
    folder: PathBuf,
}

/// Reports a problem for each line that requests one.
fn expand(context: &ExpandContext<'_>) -> Result<Expansion, OptionsError> {
    let mut expansion = Expansion::new();
    let options: Options = context.options()?;
    let files = context
        .list(&options.folder, &["txt"])
        .map_err(|error| OptionsError::new("folder", error.to_string()))?;
    for file in files {
        let whole = Location::file(&file);
        let text = match context.read(&file) {
            Ok(text) => text,
            Err(error) => {
                expansion.add_problem(DefinitionProblem::error(whole, format!("the file: {error}")));
                continue;
            }
        };
        for (index, line) in text.lines().enumerate() {
            let place = whole.at(index + 1, 7, 4);
            let problem = match line.split(' ').next() {
                Some("error") => DefinitionProblem::error(place, "it is wrong")
                    .definition("radio")
                    .attribute("unit")
                    .expected("expected a unit")
                    .also(whole.at(1, 1, 5), "as here")
                    .help("look at the first"),
                Some("reject") => DefinitionProblem::rejected(place, "it measures nothing").definition("fog"),
                Some("secret") => {
                    expansion.hide("sesame");
                    DefinitionProblem::rejected(place, "its key is sesame")
                }
                Some("option") => {
                    DefinitionProblem::error(ProblemPlace::Option("folder".to_owned()), "there is none")
                }
                _ => continue,
            };
            expansion.add_problem(problem);
        }
    }
    Ok(expansion)
}

/// Returns the messages for a folder with a file of this text, and whether the configuration can be used.
fn shown(text: &[u8], strict: bool) -> (String, bool, Vec<Diagnostic>) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.txt"), text).unwrap();
    let config = folder.path().join("polling.yaml");
    let written = format!(
        "plugins:\n  bare: {{folder: {}}}\nsources: []\n",
        folder.path().display()
    );
    fs::write(&config, written).unwrap();
    let mut request = common::request([&config]);
    request.families = BTreeMap::from([(
        "bare".to_owned(),
        Some(serde_json::json!({"type": "object", "properties": {"folder": {"type": "string"}}})),
    )]);
    let loaded = load(&request).unwrap();
    let family = Family::new("bare", "A family of tests").expand(expand);
    let catalog = Catalog::of([Registration::Family(family)]).unwrap();
    let options = loaded.config.plugins.iter();
    let options = options
        .map(|(name, options)| (name.clone(), options.to_value()))
        .collect();
    let expanded = catalog.expand(&ExpandRequest::new(&options, &[]));
    let (text, usable, diagnostics) = match definitions(&loaded, &expanded, strict) {
        Ok(warnings) => {
            let text: Vec<_> = warnings.iter().map(ToString::to_string).collect();
            (text.join("\n\n"), true, warnings)
        }
        Err(errors) => (errors.to_string(), false, errors.errors().to_vec()),
    };
    (
        text.replace(folder.path().to_str().unwrap(), "FOLDER"),
        usable,
        diagnostics,
    )
}

#[test]
fn all_problems_are_shown_with_their_lines() {
    let (text, usable, _) = shown(
        b"first line\nerror radio is no unit\nreject fog\nsecret sesame\npassword: hunter2\nreject\noption\n",
        false,
    );
    assert!(!usable);
    assert!(!text.contains("sesame"), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn a_rejected_definition_is_a_warning_or_an_error_if_strict() {
    let (text, usable, diagnostics) = shown(b"reject fog\n", false);
    assert!(usable);
    assert_eq!(diagnostics[0].problem(), Problem::DefinitionRejected);
    assert_eq!(diagnostics[0].place(), Some((1, 7)));
    insta::assert_snapshot!(text);
    let (text, usable, _) = shown(b"reject fog\n", true);
    assert!(!usable);
    insta::assert_snapshot!(text);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let (text, usable, diagnostics) = shown(b"error \xff", false);
    assert!(!usable);
    assert_eq!(diagnostics[0].problem(), Problem::BadDefinition);
    assert!(
        diagnostics[0]
            .file()
            .is_some_and(|file| file.ends_with(Path::new("a.txt")))
    );
    insta::assert_snapshot!(text);
}
