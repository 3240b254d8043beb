//! The page on the calls of plugins: for firewalls, minimum roles and costs.

use std::collections::BTreeMap;

use nephoscope_plugin::{Call, CallRate, Catalog, IdentityKind};

use crate::references::markdown::{Page, code};

const ABOUT: &str = "\
Every request or other external access of the plugins of the stock program, with the minimum role for it. \
No call changes anything. Plugins of a family share responses within a cycle, so the rates \
are upper bounds.";

/// The page.
pub(crate) fn page(catalog: &Catalog) -> String {
    let discoveries = catalog
        .discoveries()
        .iter()
        .map(|discovery| (&*discovery.name, "discovery", discovery.calls.to_vec()));
    let pollsters = catalog
        .pollsters()
        .iter()
        .map(|pollster| (&*pollster.name, "pollster", pollster.calls.to_vec()));
    let names = catalog
        .names()
        .iter()
        .map(|names| (names.name, "names", names.calls.iter().map(Call::from).collect()));
    let mut makers: BTreeMap<[String; 5], Vec<String>> = BTreeMap::new();
    for (name, kind, calls) in discoveries.chain(pollsters).chain(names) {
        for call in &calls {
            let maker = format!("{kind} {}", code(name));
            makers.entry(row(call)).or_default().push(maker);
        }
    }
    let rows = makers
        .into_iter()
        .map(|([service, method, path, role, rate], makers)| {
            [service, method, path, role, rate, makers.join(", ")]
        });
    let mut page = Page::new("Calls", ABOUT);
    page.table(
        [
            "Service",
            "Method",
            "Path",
            "Minimum role",
            "How often",
            "Made by",
        ],
        rows,
    );
    page.finish()
}

fn row(call: &Call) -> [String; 5] {
    let rate = match call.rate {
        CallRate::PerCycle => "once a cycle".to_owned(),
        CallRate::PerPage(size) => format!("once per {size} resources"),
        CallRate::PerResource => "once per resource".to_owned(),
        CallRate::PerIdentity(kind, seconds) => {
            let kind = match kind {
                IdentityKind::Project => "project",
                IdentityKind::User => "user",
                _ => "identity",
            };
            format!("once per {kind} and agent in {} minutes", seconds / 60)
        }
        CallRate::Hourly => "once an hour and agent".to_owned(),
        _ => "occasionally".to_owned(),
    };
    [
        code(&call.service),
        code(&call.method),
        code(&call.path),
        code(&call.role),
        rate,
    ]
}
