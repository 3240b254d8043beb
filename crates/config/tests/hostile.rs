//! Hostile files: loading always ends without a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use nephoscope_config::{lint, load};
use proptest::prelude::*;

/// Loads the bytes and renders all messages.
fn survive(bytes: &[u8]) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("polling.yaml");
    fs::write(&path, bytes).unwrap();
    match load(&common::request([path])) {
        Ok(loaded) => lint(&loaded, &common::known())
            .iter()
            .map(|one| one.render(true).len())
            .sum(),
        Err(errors) => errors.render(true).len(),
    }
}

fn texts() -> Vec<Vec<u8>> {
    let read = |folder: &str| {
        let mut paths: Vec<PathBuf> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
        paths
            .into_iter()
            .filter(|path| path.is_file())
            .map(|path: PathBuf| fs::read(Path::new(&path)).unwrap())
    };
    read("tests/good")
        .chain(read("tests/bad"))
        .filter(|text| text.len() < 5_000)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        survive(&bytes);
    }

    #[test]
    fn any_yaml_like_text(text in "[a-z0-9:\\-\\[\\]{}#&*!|>'\"%@`, \n\t~<?.$é]{0,120}") {
        survive(text.as_bytes());
        survive(format!("sources:\n  - {text}").as_bytes());
        survive(format!("plugins: {{fake: {text}}}\nsources: []\n").as_bytes());
    }

    #[test]
    fn any_damage(index in any::<prop::sample::Index>(), edits in proptest::collection::vec((any::<prop::sample::Index>(), 0..6_u8, any::<u8>()), 1..8)) {
        let texts = texts();
        let mut text = index.get(&texts).clone();
        for (place, kind, byte) in edits {
            if text.is_empty() {
                break;
            }
            let at = place.index(text.len());
            match kind {
                0 => { text.remove(at); }
                1 => text.insert(at, byte),
                2 => text[at] = byte,
                3 => text.truncate(at),
                4 => text.insert(at, *b"[]{}:&*!|>'\"\n -".get(usize::from(byte) % 15).unwrap()),
                _ => { let tail = text.split_off(at); text.extend(tail.iter().take(40).copied().collect::<Vec<_>>()); text.extend(tail); }
            }
        }
        survive(&text);
    }
}

#[test]
fn large_files_of_every_kind_are_handled() {
    let size = 400_000;
    let fill = |piece: &str| piece.repeat(size / piece.len());
    for text in [
        fill("a"),
        fill("- "),
        fill("["),
        fill("{a: "),
        fill("? "),
        fill("\n"),
        fill("#"),
        fill(" "),
        fill("&a "),
        fill("!"),
        fill("'"),
        fill("\"\\"),
        fill("---\n"),
        fill("a: b\n"),
        fill("://"),
        fill("password: x\n"),
        format!("sources:\n{}", fill("- \n")),
        format!("sources:\n{}", fill("- {}\n")),
        format!("sources: [{}]", fill("a, ")),
        format!("plugins: {{fake: {{password: {}}}}}", fill("x")),
        format!("agent: {{id: '{}'}}\nsources: []", fill("${env:ID}")),
        format!("agent: {{id: '{}'}}\nsources: []", fill("${")),
        format!("{}: 1", fill("k")),
        (0..10_000).map(|n| format!("key{n}: {{x: 1}}\n")).collect(),
        format!(
            "plugins: {{fake: {{{}}}}}",
            (0..10_000)
                .map(|n| format!("key{n}: {{x: 1}}, "))
                .collect::<String>()
        ),
        format!(
            "sources: [{{{}}}]",
            (0..10_000)
                .map(|n| format!("key{n}: {{x: 1}}, "))
                .collect::<String>()
        ),
        format!(
            "sources:\n{}",
            "- {name: a, interval: .inf, meters: [a, !b ]}\n".repeat(5_000)
        ),
        format!(
            "agent: {{namespaces: [{}]}}\nsources: []",
            "'${env:NONE}', ".repeat(10_000)
        ),
        format!(
            "sources:\n- {{name: a, interval: 60, meters: ['{}']}}",
            fill("*a")
        ),
        format!("sources:\n- {{name: a, interval: 60, meters: ['{}']}}", fill("[")),
        format!("sources:\n- {{name: a, interval: {}, meters: [a]}}", fill("9")),
    ] {
        survive(text.as_bytes());
    }
}
