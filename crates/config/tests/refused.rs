//! Options that a plugin itself does not take, shown at their places.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;

use nephoscope_config::{ConfigErrors, Diagnostic, OptionsOf, RefusedOption, lint, load, refused};

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

fn family(name: &str, option: &str, message: &str) -> RefusedOption {
    RefusedOption {
        of: OptionsOf::Family(name.to_owned()),
        option: option.to_owned(),
        message: message.to_owned(),
    }
}

fn publisher(index: usize, option: &str, message: &str) -> RefusedOption {
    RefusedOption {
        of: OptionsOf::Publisher(index),
        ..family("", option, message)
    }
}

/// What is said about options in `text`, without the folder.
fn errors(text: &str, options: &[RefusedOption]) -> (ConfigErrors, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("polling.yaml");
    fs::write(&path, text).unwrap();
    let loaded = load(&common::request([&path])).unwrap();
    assert_eq!(lint(&loaded, &common::known()), [], "nothing else is wrong");
    let errors = refused(&loaded, options);
    let shown = errors.to_string().replace(path.to_str().unwrap(), "polling.yaml");
    (errors, shown)
}

#[test]
fn all_are_shown_in_the_order_of_the_file() {
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
    error[bad-value]: `notifier.publishers[1].url` cannot be used: the path must be absolute
     --> polling.yaml:5:12
      |
    5 |       url: file://relative
      |            ^^^^^^^^^^^^^^^ the publisher does not take this

    error[bad-value]: `plugins.fake.count` cannot be used: not with this password
     --> polling.yaml:9:12
      |
    9 |     count: 5
      |            ^ the plugin does not take this

    error[bad-value]: `plugins.fake.tokens[1].name` cannot be used: there is no `y`
      --> polling.yaml:13:16
       |
    13 |       - {name: y, token: ***}
       |                ^ the plugin does not take this
    ");
}

#[test]
fn what_is_not_in_the_file_is_shown_at_what_it_would_stand_in() {
    let places = |option: &RefusedOption, text: &str| {
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
fn the_line_of_the_log_says_what_is_wrong() {
    let (errors, _) = errors(TEXT, &[family("fake", "count", "must be even")]);
    let line = errors.errors().first().unwrap().one_line();
    assert!(
        line.ends_with("polling.yaml:9:12: `plugins.fake.count` cannot be used: must be even"),
        "{line}"
    );
}

#[test]
fn secrets_stay_hidden_even_if_a_plugin_quotes_them() {
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
