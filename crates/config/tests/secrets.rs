//! Tests that no output contains a secret: each case has a canary where a secret can be.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;

use nephoscope_config::{ConfigErrors, Diagnostic, Loaded, lint, load};

fn shown(result: &Result<Loaded, ConfigErrors>) -> String {
    let lines = |diagnostics: &[Diagnostic]| {
        diagnostics
            .iter()
            .map(|one| format!("{one}\n{}\n{one:?}\n", one.one_line()))
            .collect::<String>()
    };
    match result {
        Ok(loaded) => {
            let lints = lint(loaded, &common::known());
            format!("{loaded:?}\n{}\n{}", lines(&loaded.warnings), lines(&lints))
        }
        Err(errors) => {
            format!(
                "{errors}\n{errors:?}\n{}\n{}",
                errors.render(true),
                lines(errors.errors())
            )
        }
    }
}

/// Returns all messages about the text.
fn about(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret"), "canary-file-1\n").unwrap();
    let path = folder.path().join("polling.yaml");
    fs::write(&path, text).unwrap();
    shown(&load(&common::request([path])))
}

#[test]
fn no_canary_is_shown() {
    let cases = [
        // Valid, and everything is printed with Debug.
        "plugins: {fake: {password: canary-1, essence: canary-2, tokens: [{name: a, token: canary-3}]}}\nsources: []\n",
        "plugins: {fake: {password: '${env:PASSWORD}', essence: '${file:secret}'}}\nsources: []\n",
        "notifier: {publishers: [{name: a, url: 'amqp://u:canary-1@h/'}, {name: b, url: 'file:///x', key: canary-2}]}\nsources: []\n",
        // An error in the same line as a secret.
        "plugins: {fake: {password: canary-1, essence: canary-2, nonsense: 1, tokens: [{name: a, token: canary-3, x: 1}]}}\nsources: []\n",
        "notifier: {publishers: [{name: a/b, url: 'amqp://u:canary-1@h/', queue: 0}, {name: b, url: 'file:///x', key: canary-2, kye: 1}]}\nsources: []\n",
        // The secret is invalid, or under a wrong key, or in a wrong place.
        "plugins: {fake: {password: [canary-1, {x: canary-2}], essence: {canary-3: canary-4}}}\nsources: []\n",
        "plugins: {fake: {pasword: canary-1, essense: canary-2, passwords: [canary-3]}}\nsources: []\n",
        "plugins: {fake: [{password: canary-1, essence: canary-2}], bare: {token: canary-3}, none: {secret: canary-4}}\nsources: []\n",
        "plugins: [{password: canary-1}]\nsources: []\n",
        "password: canary-1\nagent: {password: canary-2}\nsources: [{name: a, interval: 0, password: canary-3}]\n",
        "sources: [{name: a, interval: 0, meters: [cpu], resources: [{url: 'http://u:canary-1@h/', token: canary-2}]}]\n",
        "notifier: {publishers: [{name: a, url: 'nothing://u:canary-1@h/', password: canary-2}]}\nsources: 5\n",
        "notifier: {publishers: [{name: a, url: 'u:p://u:canary-1@h/ x'}]}\nsources: 5\n",
        // Aliases, merge keys and several lines.
        "x: &x canary-1\nplugins: {fake: {password: *x, count: 0}}\nsources: [*x]\n",
        "x: &x {password: canary-1, count: 0}\nplugins: {fake: {<<: *x}}\nsources: []\n",
        "plugins:\n  fake:\n    password: |\n      canary-1\n      canary-2\n    x: 1\nsources: [5, canary-1]\n",
        "plugins:\n  fake:\n    password: \"canary-1\n      canary-2\"\n    x: 1\nsources: []\n",
        // Placeholders with invalid values, or within an invalid value.
        "agent: {id: 'a ${env:PASSWORD}', state_dir: '${env:EMPTY}', admin: '${file:secret}'}\nsources: []\n",
        "agent: {log: {level: '${env:PASSWORD}'}}\nplugins: {fake: {mode: '${file:secret}', latency: '${env:PASSWORD}'}}\nsources: []\n",
        "notifier: {publishers: [{name: '${env:PASSWORD}', url: '${file:secret}'}, {name: '${env:PASSWORD}', url: 'stdout:'}]}\nsources: []\n",
        // Invalid YAML.
        "plugins: {fake: {password: canary-1, token: 'canary-2\nsources: []\n",
        "plugins:\n  fake:\n    password: canary-1: x\nsources: []\n",
        "plugins:\n  fake:\n    password: |\n      canary-1\n     canary-2: : x\n    essence: canary-3: x\nsources: []\n",
        "plugins:\n  fake:\n    pasword: @canary-1\n",
        "plugins: {fake: {password: !canary-1 x}}\nsources: []\n",
        "plugins: {fake: {pasword: !canary-1 x, essence: *canary-2}}\nsources: []\n",
        "sources: [{name: a, password: !canary-1 }]\n",
        "plugins:\n  fake: {essence: canary-1, x: [}\n",
        "plugins:\n  fake:\n    password: \"canary-1\u{0}\"\n",
        "password: canary-1\npassword: canary-2\nsources: []\n",
        "---\na: http://u:canary-1@h/\n--- {password: canary-2}\n",
        "secret: !!str canary-1\nurl: http://u:canary-2@h/ \nsources: []\n",
    ];
    for text in cases {
        let shown = about(text);
        assert!(!shown.contains("canary"), "for {text}\nshown is {shown}");
    }
}

#[test]
fn invalid_encodings_show_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("polling.yaml");
    fs::write(&path, b"password: canary-1\xe9\nsources: []\n").unwrap();
    let shown = shown(&load(&common::request([path])));
    assert!(!shown.contains("canary"), "{shown}");
}

#[test]
fn masked_values_are_underlined() {
    let text = "plugins: {fake: {password: hunter-22, count: 0, essence: 5}}\nsources: []\n";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("polling.yaml");
    fs::write(&path, text).unwrap();
    let errors = load(&common::request([&path])).unwrap_err().to_string();
    insta::assert_snapshot!(errors.replace(path.to_str().unwrap(), "polling.yaml"), @r"
    error[out-of-range]: `plugins.fake.count` is out of range
     --> polling.yaml:1:46
      |
    1 | plugins: {fake: {password: ***, count: 0, essence: ***}}
      |                                        ^ expected at least 1 and at most 10

    error[wrong-type]: `plugins.fake.essence` has the wrong type
     --> polling.yaml:1:58
      |
    1 | plugins: {fake: {password: ***, count: 0, essence: ***}}
      |                                                    ^^^ expected text, found an integer
    ");
}
