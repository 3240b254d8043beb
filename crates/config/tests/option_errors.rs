//! Tests of locating rejected options.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;

use nephoscope_config::{ConfigErrors, Diagnostic, OptionError, OptionsOf, lint, load, locate};

const TEXT: &str = "\
notifier:
  publishers:
    - {name: a, url: 'stdout:'}
    - name: b
      url: file://relative
plugins:
  bare:
  fake:
    count: 5
    password: hunter-22
    tokens:
      - {name: x, token: hunter-23}
      - {name: y, token: hunter-24}
sources: []
";

fn family(name: &str, option: &str, message: &str) -> OptionError {
    OptionError {
        of: OptionsOf::Family(name.to_owned()),
        option: option.to_owned(),
        message: message.to_owned(),
    }
}

fn publisher(index: usize, option: &str, message: &str) -> OptionError {
    OptionError {
        of: OptionsOf::Publisher(index),
        ..family("", option, message)
    }
}

/// Returns the errors of options in `text`, without the folder.
fn errors(text: &str, options: &[OptionError]) -> (ConfigErrors, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("polling.yaml");
    fs::write(&path, text).unwrap();
    let loaded = load(&common::request([&path])).unwrap();
    assert_eq!(lint(&loaded, &common::known()), [], "there are no other problems");
    let errors = locate(&loaded, options);
    let shown = errors.to_string().replace(path.to_str().unwrap(), "polling.yaml");
    (errors, shown)
}

#[test]
fn all_errors_are_shown_in_the_order_of_the_file() {
    let (errors, shown) = errors(
        TEXT,
        &[
            family("fake", "tokens[1].name", "there is no `y`"),
            family("fake", "count", "not with this password"),
            publisher(1, "url", "the path must be absolute"),
        ],
    );
    assert_eq!(errors.errors().len(), 3);
    insta::assert_snapshot!(shown, @"
    error[bad-value]: `notifier.publishers[1].url` is invalid: the path must be absolute
     --> polling.yaml:5:12
      |
    5 |       url: file://relative
      |            ^^^^^^^^^^^^^^^ rejected by the publisher

    error[bad-value]: `plugins.fake.count` is invalid: not with this password
     --> polling.yaml:9:12
      |
    9 |     count: 5
      |            ^ rejected by the plugin

    error[bad-value]: `plugins.fake.tokens[1].name` is invalid: there is no `y`
      --> polling.yaml:13:16
       |
    13 |       - {name: y, token: ***}
       |                ^ rejected by the plugin
    ");
}

#[test]
fn a_missing_option_is_shown_at_its_parent() {
    let places = |option: &OptionError, text: &str| {
        let (errors, _) = errors(text, std::slice::from_ref(option));
        errors.errors().first().and_then(Diagnostic::place)
    };
    for (option, place) in [
        (family("fake", ".", ""), Some((8, 3))),
        (family("fake", "mode", ""), Some((8, 3))),
        (family("fake", "tokens", ""), Some((11, 5))),
        (family("fake", "tokens[7].name", ""), Some((11, 5))),
        (family("fake", "count.unit", ""), Some((9, 12))),
        (family("bare", "x", ""), Some((7, 3))),
        (family("none", "x", ""), Some((6, 1))),
        (publisher(0, "key", ""), Some((3, 7))),
        (publisher(2, "url", ""), Some((2, 3))),
    ] {
        assert_eq!(places(&option, TEXT), place, "{option:?}");
    }
    let nowhere = family("fake", "mode", "");
    assert_eq!(places(&nowhere, "sources: []\n"), None);
    let (errors, _) = errors("sources: []\n", &[nowhere]);
    assert!(errors.errors().iter().all(|error| error.file().is_some()));
}

#[test]
fn the_log_line_contains_the_error() {
    let (errors, _) = errors(TEXT, &[family("fake", "count", "must be even")]);
    let line = errors.errors().first().unwrap().one_line();
    assert!(
        line.ends_with("polling.yaml:9:12: `plugins.fake.count` is invalid: must be even"),
        "{line}"
    );
}

#[test]
fn secrets_are_masked_even_if_a_plugin_quotes_them() {
    let (errors, shown) = errors(
        TEXT,
        &[
            family("fake", "password", "`hunter-22` is too short"),
            family("fake", "tokens[0].token", "`hunter-23` is too short"),
        ],
    );
    let lines: Vec<_> = errors.errors().iter().map(Diagnostic::one_line).collect();
    let all = format!("{shown}{errors:?}{lines:?}");
    assert!(!all.contains("hunter"), "{all}");
}
