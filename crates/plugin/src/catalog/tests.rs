//! What the catalog takes, what it sets aside, and what it refuses.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::model::{Meter, MeterDef, MeterKind};
use crate::{
    BuildError, DiscoveryPlugin, ExpandContext, Expansion, Location, OptionsError, OptionsSpec,
    PollsterPlugin, ProblemPlace, ProblemSeverity,
};

const AIR: MeterDef = MeterDef::gauge("air.temperature", "C", "How warm it is").with_aliases(&["warmth"]);
const FAMILY: Family = Family::new("weather", "The weather outside");
const POLLSTER: PollsterPlugin = PollsterPlugin::new("air", "weather", |_| unavailable())
    .namespaces(&["outside"])
    .meters(&[AIR]);
const DISCOVERY: DiscoveryPlugin =
    DiscoveryPlugin::new("stations", "weather", |_| unavailable()).namespaces(&["outside"]);

fn unavailable<T>() -> Result<T, BuildError> {
    Err(BuildError::Unavailable("never made".to_owned()))
}

/// Options of the family in tests.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// Where definitions are: a line each, as in `NAME METER`.
    folder: String,
}

/// Creates a pollster for each line of the files; a line of one word is rejected.
fn expand(context: &ExpandContext<'_>) -> Result<Expansion, OptionsError> {
    let options: Options = context.options()?;
    let mut expansion = Expansion::new();
    let files = context
        .list(Path::new(&options.folder), &["txt"])
        .map_err(|error| OptionsError::new("folder", error.to_string()))?;
    for file in files {
        let text = match context.read(&file) {
            Ok(text) => text,
            Err(error) => {
                expansion.add_problem(DefinitionProblem::error(Location::file(&file), error.to_string()));
                continue;
            }
        };
        for (index, line) in text.lines().enumerate() {
            let location = Location::file(&file).at(index + 1, 1, line.len());
            match line.split_once(' ') {
                Some(("panic", _)) => panic!("boom"),
                Some((name, meter)) => {
                    expansion.add_pollster(
                        PollsterDefinition::new(name, |_| unavailable())
                            .namespaces(["outside"])
                            .meters(meter.split(' ').map(|meter| {
                                Meter::new(MeterKind::Gauge, meter.to_owned(), "unit", "A number")
                            }))
                            .defined_at(location),
                    )
                }
                None => expansion
                    .add_problem(DefinitionProblem::rejected(location, "it has no meter").definition(line)),
            }
        }
    }
    Ok(expansion)
}

fn catalog() -> Catalog {
    let family = FAMILY.options(OptionsSpec::of::<Options>()).expand(expand);
    Catalog::of([
        Registration::Family(family),
        Registration::Pollster(POLLSTER),
        Registration::Discovery(DISCOVERY),
    ])
    .unwrap()
}

/// Returns the catalog with a file of these lines, and its problems without the folder's name.
fn expanded(text: &str) -> (Expanded, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.txt"), text).unwrap();
    fs::write(folder.path().join("ignored.md"), "panic now").unwrap();
    let options = BTreeMap::from([("weather".to_owned(), json!({ "folder": folder.path() }))]);
    let expanded = catalog().expand(&ExpandRequest::new(&options, &[]));
    let folder = format!("{}/", folder.path().display());
    let problems = expanded.problems.iter();
    let problems = problems
        .map(|problem| problem.to_string().replace(&folder, ""))
        .collect();
    (expanded, problems)
}

fn names(catalog: &Catalog) -> Vec<&str> {
    catalog
        .pollsters()
        .iter()
        .map(|pollster| &*pollster.name)
        .collect()
}

#[test]
fn duplicate_registrations_are_rejected() {
    let rejected = |registrations: Vec<Registration>| Catalog::of(registrations).unwrap_err().to_string();
    let family = Registration::Family(FAMILY);
    assert_eq!(
        rejected(vec![family, family]),
        "two families are registered as `weather`"
    );
    let pollster = Registration::Pollster(POLLSTER);
    assert_eq!(
        rejected(vec![family, pollster, pollster]),
        "two pollsters are registered as `outside/air`"
    );
    const WARMTH: MeterDef = MeterDef::gauge("warmth", "C", "How warm it is");
    let other = PollsterPlugin {
        name: "other",
        meters: const { &[WARMTH] },
        ..POLLSTER
    };
    assert_eq!(
        rejected(vec![family, pollster, Registration::Pollster(other)]),
        "two meters are registered as `outside/warmth`"
    );
    let elsewhere = PollsterPlugin {
        namespaces: &["inside"],
        ..POLLSTER
    };
    assert!(Catalog::of([family, pollster, Registration::Pollster(elsewhere)]).is_ok());
    assert_eq!(
        rejected(vec![pollster]),
        "`air` belongs to the family `weather`, which is not registered"
    );
}

#[test]
fn definitions_join_the_compiled_plugins_in_the_catalog() {
    let (expanded, problems) = expanded("wind wind.speed wind.direction\nrain rain.depth");
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(names(&expanded.catalog), ["air", "rain", "wind"]);
    let wind = &expanded.catalog.pollsters()[2];
    assert_eq!((wind.family(), wind.meters.len()), ("weather", 2));
    assert!(wind.location.is_some() && expanded.catalog.pollsters()[0].location.is_none());
    assert_eq!((expanded.files.files.len(), expanded.files.folders.len()), (1, 1));
    assert_eq!(
        names(&catalog()),
        ["air"],
        "the program's own catalog does not change"
    );
}

#[test]
fn a_rejected_definition_does_not_affect_others() {
    let (expanded, problems) = expanded("wind wind.speed\nfog");
    assert_eq!(problems, ["a.txt:2:1: `fog`: it has no meter"]);
    assert!(!expanded.has_errors());
    assert_eq!(names(&expanded.catalog), ["air", "wind"]);
    assert_eq!(expanded.catalog.rejected_definitions(), expanded.problems);
}

#[test]
fn a_compiled_plugin_keeps_its_name() {
    let (expanded, problems) = expanded("air air.pressure\nwind warmth\nrain rain.depth");
    assert_eq!(
        problems,
        [
            "a.txt:1:1: `air`: the pollster `air` of the namespace `outside` is already compiled in: `air` of the family `weather`",
            "a.txt:2:1: `wind`: the meter `warmth` of the namespace `outside` is already compiled in: `air` of the family `weather`",
        ]
    );
    assert!(!expanded.has_errors());
    assert_eq!(names(&expanded.catalog), ["air", "rain"]);
    assert!(expanded.catalog.pollsters()[0].location.is_none());
}

#[test]
fn two_definitions_of_one_name_are_an_error_in_the_second() {
    let (expanded, problems) = expanded("wind wind.speed\nwind other\nrain wind.speed\nsnow a b a");
    assert_eq!(
        problems,
        [
            "a.txt:2:1: `wind`: the pollster `wind` of the namespace `outside` is defined twice, first by `wind` of the family `weather`",
            "a.txt:3:1: `rain`: the meter `wind.speed` of the namespace `outside` is defined twice, first by `wind` of the family `weather`",
            "a.txt:4:1: `snow`: duplicate: the meter `a` is defined twice in this definition",
        ]
    );
    assert!(expanded.has_errors());
    let first = expanded.problems[0]
        .also
        .as_ref()
        .map(|(first, _)| (first.line(), first.column()));
    assert_eq!(first, Some((Some(1), Some(1))));
}

#[test]
fn a_panic_and_invalid_options_of_a_family_are_errors() {
    let (_, problems) = expanded("panic now");
    assert_eq!(
        problems,
        ["plugins.weather: the plugin panicked while it created its definitions"]
    );
    let options = BTreeMap::from([("weather".to_owned(), json!({ "folder": "/nonexistent" }))]);
    let expanded = catalog().expand(&ExpandRequest::new(&options, &[]));
    assert!(expanded.has_errors());
    assert_eq!(
        expanded.problems[0].to_string(),
        "plugins.weather.folder: it does not exist"
    );
    assert_eq!(
        expanded.problems[0].place,
        ProblemPlace::Option("folder".to_owned())
    );
    assert_eq!(expanded.problems[0].severity, ProblemSeverity::Error);
    assert_eq!(
        expanded.files.folders,
        [Path::new("/nonexistent")],
        "the folder is watched even if it does not exist"
    );
}

#[test]
fn a_disabled_family_creates_nothing() {
    let family = FAMILY.opt_in().expand(|_| panic!("the family is disabled"));
    let catalog = Catalog::of([Registration::Family(family)]).unwrap();
    let no_options = BTreeMap::new();
    let inside = ["inside".to_owned()];
    assert!(
        catalog
            .expand(&ExpandRequest::new(&no_options, &inside))
            .problems
            .is_empty()
    );
    for (options, namespaces) in [
        (BTreeMap::from([("weather".to_owned(), Value::Null)]), vec![]),
        (BTreeMap::new(), vec!["weather".to_owned()]),
    ] {
        let expanded = catalog.expand(&ExpandRequest::new(&options, &namespaces));
        assert_eq!(expanded.problems.len(), 1, "{options:?} {namespaces:?}");
    }
}

#[test]
fn catalogs_differ_when_the_read_files_differ() {
    let folder = tempfile::tempdir().unwrap();
    let options = BTreeMap::from([("weather".to_owned(), json!({ "folder": folder.path() }))]);
    let with = |text: &str| {
        fs::write(folder.path().join("a.txt"), text).unwrap();
        catalog().expand(&ExpandRequest::new(&options, &[])).catalog
    };
    let one = with("wind wind.speed");
    assert!(one.has_same_definitions(&with("wind wind.speed")));
    assert!(!one.has_same_definitions(&with("wind wind.speed ")));
    assert!(!one.has_same_definitions(&with("wind other.speed")));
    assert!(!one.has_same_definitions(&catalog()));
}
