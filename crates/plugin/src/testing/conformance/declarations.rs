//! Checks of declarations: names, descriptions, units, calls, default discoveries.

use std::borrow::Cow;

use super::check::Check;
use crate::Call;
use crate::testing::kit::split;
use crate::testing::schema;

impl Check {
    pub(super) fn check_declarations(&mut self) {
        let findings = &mut self.findings;
        for plugin in &self.discoveries {
            let name = format!("the discovery `{}`", plugin.name);
            check_name(findings, &name, &plugin.name);
            schema::check_line(findings, &name, &plugin.description);
            check_namespaces(findings, &name, &plugin.namespaces);
            check_calls(findings, &name, &plugin.calls);
        }
        for plugin in &self.pollsters {
            let name = format!("the pollster `{}`", plugin.name);
            check_name(findings, &name, &plugin.name);
            schema::check_line(findings, &name, &plugin.description);
            check_namespaces(findings, &name, &plugin.namespaces);
            check_calls(findings, &name, &plugin.calls);
            if plugin.meters.is_empty() {
                findings.push(format!("{name} declares no meter"));
            }
            for meter in &plugin.meters {
                let name = format!("the meter `{}`", meter.name);
                let published = Some(&meter.published_name).filter(|published| **published != meter.name);
                for part in std::iter::once(&meter.name)
                    .chain(published)
                    .chain(&meter.aliases)
                {
                    check_name(findings, &name, part);
                }
                schema::check_line(findings, &name, &meter.description);
                let is_unitless = self.setup.unitless.iter().any(|name| *name == meter.name);
                if meter.unit.trim().is_empty() && !is_unitless {
                    findings.push(format!("{name} has no unit"));
                }
            }
            let Some(url) = &plugin.default_discovery else {
                continue;
            };
            let discovery = split(url).0;
            let known = self.catalog.discoveries().iter().any(|known| {
                *known.name == *discovery
                    && plugin
                        .namespaces
                        .iter()
                        .all(|namespace| known.namespaces.contains(namespace))
            });
            if !known
                && !self
                    .setup
                    .external_discoveries
                    .iter()
                    .any(|name| name == discovery)
            {
                findings.push(format!(
                    "{name} uses the discovery `{discovery}`, which is not registered in all of its namespaces"
                ));
            }
        }
    }
}

/// Checks that a name consists of lowercase words of letters, digits, `_` and `-`, separated by dots.
fn check_name(findings: &mut Vec<String>, of: &str, name: &str) {
    let is_word = |word: &str| {
        !word.is_empty()
            && word
                .chars()
                .all(|char| char.is_ascii_lowercase() || char.is_ascii_digit() || "_-".contains(char))
    };
    if !name.split('.').all(is_word) {
        findings.push(format!(
            "{of}: `{name}` is not made of lowercase words separated by dots"
        ));
    }
}

fn check_namespaces(findings: &mut Vec<String>, of: &str, namespaces: &[Cow<'static, str>]) {
    if namespaces.is_empty() {
        findings.push(format!("{of} has no namespace, so nothing loads it"));
    }
    for namespace in namespaces {
        check_name(findings, of, namespace);
    }
}

fn check_calls(findings: &mut Vec<String>, of: &str, calls: &[Call]) {
    for call in calls {
        let parts = [&call.service, &call.method, &call.path, &call.role];
        if parts.iter().any(|part| part.is_empty()) {
            findings.push(format!(
                "{of} declares a call without service, method, path or role: {call:?}"
            ));
        }
    }
}
