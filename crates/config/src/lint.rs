//! Warnings about names that no available plugin has.

use std::collections::{BTreeMap, BTreeSet};

use nephoscope_sources::Pattern;

use crate::diagnostic::Diagnostic;
use crate::finding::{Finding, Findings, Part, Place};
use crate::load::Loaded;
use crate::near::nearest;
use crate::path::ValuePath;
use crate::problem::Problem;

/// The names of the available plugins.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The names of discoveries by namespace.
    pub discoveries: BTreeMap<String, BTreeSet<String>>,
    /// The names of meters and their aliases by namespace.
    pub meters: BTreeMap<String, BTreeSet<String>>,
}

impl Known {
    fn namespaces(&self) -> BTreeSet<&str> {
        self.discoveries
            .keys()
            .chain(self.meters.keys())
            .map(String::as_str)
            .collect()
    }
}

/// Compares a configuration with the available plugins. Unknown namespaces, meters and discoveries are warnings: agents with different
/// namespaces often share a `polling.yaml`, and ceilometer ignores unknown names.
pub fn lint(loaded: &Loaded, known: &Known) -> Vec<Diagnostic> {
    let mut linter = Linter {
        loaded,
        known,
        findings: Findings::default(),
    };
    linter.namespaces();
    linter.sources();
    linter.publishers();
    let (errors, warnings, _) = linter.findings.finish(&loaded.documents, &loaded.words);
    errors.into_iter().chain(warnings).collect()
}

struct Linter<'a> {
    loaded: &'a Loaded,
    known: &'a Known,
    findings: Findings,
}

impl<'a> Linter<'a> {
    fn place(&self, section: &str, path: &ValuePath) -> Option<Place> {
        let document = self.loaded.sections.get(section)?;
        Some(Place::of(&self.loaded.documents, *document, path, Part::Value))
    }

    fn add(&mut self, finding: Finding, place: Option<Place>, label: &str) {
        self.findings.add(match place {
            Some(place) => finding.at(place, label),
            None => finding,
        });
    }

    fn namespaces(&mut self) {
        let namespaces = self.known.namespaces();
        let path = ValuePath::top().at("agent").at("namespaces");
        for (index, namespace) in self.loaded.config.agent.namespaces.iter().enumerate() {
            // The default namespaces are not checked.
            let written = self.loaded.namespaces_given || self.loaded.sections.contains_key("agent");
            if namespaces.contains(namespace.as_str()) || !written {
                continue;
            }
            let near =
                nearest(namespace, namespaces.iter().copied()).map(|near| format!("did you mean `{near}`?"));
            let finding = Finding::warning(
                Problem::UnknownNamespace,
                format!("no plugin has the namespace `{namespace}`"),
            );
            let place = if self.loaded.namespaces_given {
                None
            } else {
                self.place("agent", &path.at(index))
            };
            self.add(
                finding.help(near),
                place,
                "no plugin is loaded for this namespace",
            );
        }
    }

    /// Checks the selectors of publishers.
    fn publishers(&mut self) {
        let loaded = self.loaded;
        let sources: BTreeSet<&str> = loaded
            .config
            .sources
            .iter()
            .map(|source| source.name.as_str())
            .collect();
        let namespaces = self.known.namespaces();
        for (index, publisher) in loaded.config.notifier.publishers.iter().enumerate() {
            let path = ValuePath::top().at("notifier").at("publishers").at(index);
            for (item, name) in publisher.sources.iter().flatten().enumerate() {
                if !sources.contains(name.as_str()) {
                    let title = format!("no source has the name `{name}`");
                    let place = self.place("notifier", &path.at("sources").at(item));
                    self.not_selected(Problem::UnknownSource, title, name, &sources, place);
                }
            }
            for (item, name) in publisher.namespaces.iter().flatten().enumerate() {
                if !namespaces.contains(name.as_str()) {
                    let title = format!("no plugin has the namespace `{name}`");
                    let place = self.place("notifier", &path.at("namespaces").at(item));
                    self.not_selected(Problem::UnknownNamespace, title, name, &namespaces, place);
                }
            }
        }
    }

    fn not_selected(
        &mut self,
        problem: Problem,
        title: String,
        name: &str,
        known: &BTreeSet<&str>,
        place: Option<Place>,
    ) {
        let near = nearest(name, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        let finding = Finding::warning(problem, title).help(near);
        self.add(finding, place, "this selects no samples for the publisher");
    }

    fn sources(&mut self) {
        let meters = Names::new(&self.known.meters, &self.loaded.config.agent.namespaces);
        let discoveries = Names::new(&self.known.discoveries, &self.loaded.config.agent.namespaces);
        let loaded = self.loaded;
        for (index, source) in loaded.config.sources.iter().enumerate() {
            let path = ValuePath::top().at("sources").at(index);
            let mut reported = false;
            for (item, text) in source.meters.patterns().iter().enumerate() {
                let pattern = Pattern::compile(text);
                if text.starts_with('!') || !pattern.is_literal() || meters.loaded.contains(text.as_str()) {
                    continue;
                }
                reported = true;
                let title = format!("no meter has the name `{text}`");
                let finding = meters.unknown(Problem::UnknownMeter, title, text);
                let place = self.place("sources", &path.at("meters").at(item));
                self.add(finding, place, "this matches no meter");
            }
            if !reported && !meters.loaded.iter().any(|name| source.meters.matches(name)) {
                let title = format!("`meters` of source `{}` match no meter", source.name);
                let finding = meters.nothing(title, |name| source.meters.matches(name));
                let place = self.place("sources", &path.at("meters").at(0));
                self.add(finding, place, "the source polls no meters");
            }
            for (item, url) in source.discovery.iter().enumerate() {
                if discoveries.loaded.contains(url.name()) {
                    continue;
                }
                let title = format!("no discovery has the name `{}`", url.name());
                let finding = discoveries.unknown(Problem::UnknownDiscovery, title, url.name());
                let place = self.place("sources", &path.at("discovery").at(item));
                self.add(finding, place, "this returns no resources");
            }
        }
    }
}

/// The known names, and those of loaded namespaces.
struct Names<'a> {
    by_namespace: &'a BTreeMap<String, BTreeSet<String>>,
    loaded: BTreeSet<&'a str>,
}

impl<'a> Names<'a> {
    fn new(by_namespace: &'a BTreeMap<String, BTreeSet<String>>, namespaces: &[String]) -> Self {
        let loaded = namespaces
            .iter()
            .filter_map(|namespace| by_namespace.get(namespace))
            .flatten();
        Self {
            by_namespace,
            loaded: loaded.map(String::as_str).collect(),
        }
    }

    fn elsewhere(&self, matches: impl Fn(&str) -> bool) -> Option<&'a str> {
        let mut others = self.by_namespace.iter();
        others
            .find(|(_, names)| names.iter().any(|name| matches(name)))
            .map(|(namespace, _)| namespace.as_str())
    }

    fn unknown(&self, problem: Problem, title: String, name: &str) -> Finding {
        let finding = Finding::warning(problem, title);
        match self.elsewhere(|other| other == name) {
            Some(namespace) => finding.note(not_loaded(namespace)),
            None => finding.help(
                nearest(name, self.loaded.iter().copied()).map(|near| format!("did you mean `{near}`?")),
            ),
        }
    }

    fn nothing(&self, title: String, matches: impl Fn(&str) -> bool) -> Finding {
        let finding = Finding::warning(Problem::UnknownMeter, title);
        match self.elsewhere(matches) {
            Some(namespace) => finding.note(not_loaded(namespace)),
            None => finding,
        }
    }
}

fn not_loaded(namespace: &str) -> String {
    format!("it belongs to the namespace `{namespace}`, which is not loaded")
}
