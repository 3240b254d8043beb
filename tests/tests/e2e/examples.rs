//! The configurations in `examples/` are valid, and every source of them polls something.

use std::collections::BTreeSet;
use std::path::PathBuf;

use nephoscope_tests::{Finished, Lab, repository};
use serde_json::Value;

/// The variables that the examples use.
const VARIABLES: [(&str, &str); 5] = [
    ("AGENT_ID", "agent-1"),
    ("ETCD_PASSWORD", "secret"),
    ("OS_PASSWORD", "secret"),
    ("RABBIT_PASSWORD", "secret"),
    ("SIGNING_SECRET", "secret"),
];

fn examples() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(repository().join("examples")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn check(path: &str, options: &[&str]) -> Finished {
    let lab = Lab::new();
    let mut arguments = vec!["check", "--strict", "--format", "json", "--config", path];
    arguments.extend(options);
    let launch = lab.nephoscope(&arguments);
    let launch = VARIABLES
        .iter()
        .fold(launch, |launch, (name, value)| launch.env(name, value));
    launch.finish()
}

/// The names of a file's sources, which each begin a list item.
fn sources(text: &str) -> BTreeSet<String> {
    let (_, sources) = text.split_once("\nsources:\n").unwrap();
    let names = sources
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- name: "));
    names.map(str::to_owned).collect()
}

#[test]
fn every_example_is_valid_and_polls_with_each_source() {
    let examples = examples();
    assert!(examples.len() >= 4, "{examples:?}");
    for path in examples {
        let finished = check(path.to_str().unwrap(), &[]).expect(0);
        assert_eq!(finished.stderr, "", "{}", path.display());
        let planned: BTreeSet<String> = finished
            .stdout
            .lines()
            .map(|line| {
                let row: Value = serde_json::from_str(line).unwrap();
                row["source"].as_str().unwrap().to_owned()
            })
            .collect();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(planned, sources(&text), "{}", path.display());
    }
}

#[test]
fn every_example_names_the_variables_that_it_needs() {
    for path in examples() {
        let text = std::fs::read_to_string(&path).unwrap();
        let (comment, configuration) = text.split_once("\n\n").unwrap();
        for part in configuration.split("${env:").skip(1) {
            let (variable, _) = part.split_once('}').unwrap();
            assert!(comment.contains(variable), "{}: {variable}", path.display());
        }
        assert!(comment.contains("nephoscope check"), "{}", path.display());
    }
}

#[test]
fn the_cost_of_the_pool_is_computed() {
    let path = repository().join("examples/central-pool.yaml");
    let finished = check(path.to_str().unwrap(), &["--cost", "--members", "3"]).expect(0);
    for service in ["cinder", "designate", "glance", "keystone", "neutron", "swift"] {
        assert!(finished.stdout.contains(service), "{service}: {finished}");
    }
}
