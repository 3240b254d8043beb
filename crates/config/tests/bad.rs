//! The messages of all configuration problems.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use nephoscope_config::{Diagnostic, LoadRequest, MAX_FILE, MAX_FOLDER, MAX_VALUES, Problem, lint, load};

/// Returns the messages about a configuration and their kinds.
fn messages(request: &LoadRequest) -> (String, BTreeSet<Problem>) {
    let (text, diagnostics): (String, Vec<Diagnostic>) = match load(request) {
        Ok(loaded) => {
            let all: Vec<_> = loaded
                .warnings
                .iter()
                .cloned()
                .chain(lint(&loaded, &common::known()))
                .collect();
            (
                all.iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join("\n\n"),
                all,
            )
        }
        Err(errors) => (
            errors.to_string(),
            errors.warnings().iter().chain(errors.errors()).cloned().collect(),
        ),
    };
    (text, diagnostics.iter().map(Diagnostic::problem).collect())
}

fn fixtures() -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir("tests/bad")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
}

/// Creates requests for problems of files that fixtures cannot represent.
fn made(folder: &Path) -> Vec<(&'static str, LoadRequest)> {
    let path = |name: &str| folder.join(name);
    fs::create_dir(path("empty-folder")).unwrap();
    fs::write(path("empty-folder/.hidden.yaml"), "x").unwrap();
    fs::write(path("empty-folder/README"), "x").unwrap();
    fs::create_dir(path("full-folder")).unwrap();
    for number in 0..=MAX_FOLDER {
        fs::write(path(&format!("full-folder/{number}.yaml")), "sources: []").unwrap();
    }
    fs::create_dir(path("pipe-folder")).unwrap();
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        path("pipe-folder/x.yaml"),
        rustix::fs::Mode::RUSR,
    )
    .unwrap();
    fs::create_dir(path("folder-folder")).unwrap();
    fs::create_dir(path("folder-folder/x.yaml")).unwrap();
    let large = fs::File::create(path("large.yaml")).unwrap();
    large.set_len(25 * MAX_FILE).unwrap();
    fs::write(
        path("many.yaml"),
        format!("sources: [{}]\n", "a, ".repeat(MAX_VALUES + 1)),
    )
    .unwrap();
    let of = |name: &str| common::request([path(name)]);
    vec![
        ("nothing", common::request(Vec::<PathBuf>::new())),
        ("not-found", of("none.yaml")),
        (
            "not-found-twice",
            common::request([path("none.yaml"), path("neither.yaml")]),
        ),
        ("name-too-long", of(&"x".repeat(300))),
        ("empty-folder", of("empty-folder")),
        ("full-folder", of("full-folder")),
        ("pipe", of("pipe-folder")),
        ("folder-as-file", of("folder-folder")),
        ("device", common::request(["/dev/zero"])),
        ("large", of("large.yaml")),
        ("many-values", of("many.yaml")),
    ]
}

#[test]
fn every_problem_has_a_message() {
    let mut seen = BTreeSet::new();
    for path in fixtures() {
        let name = path
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .trim_end_matches(".yaml")
            .to_owned();
        let mut request = common::request([&path]);
        request.strict = name.ends_with(".strict");
        let (text, problems) = messages(&request);
        assert!(!problems.is_empty(), "{name} is valid");
        seen.extend(problems);
        insta::assert_snapshot!(name, text);
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, request) in made(folder.path()) {
        let (text, problems) = messages(&request);
        seen.extend(problems);
        let text = text.replace(folder.path().to_str().unwrap(), "FOLDER");
        insta::assert_snapshot!(format!("made-{name}"), text);
    }
    // The tests in tests/definitions.rs show problems of definitions.
    seen.extend([Problem::BadDefinition, Problem::DefinitionRejected]);
    let unseen: Vec<_> = Problem::ALL
        .iter()
        .filter(|problem| !seen.contains(problem))
        .collect();
    assert!(unseen.is_empty(), "no fixture shows {unseen:?}");
}

#[test]
fn codes_are_unique() {
    let codes: BTreeSet<_> = Problem::ALL.iter().map(|problem| problem.code()).collect();
    assert_eq!(codes.len(), Problem::ALL.len());
}
