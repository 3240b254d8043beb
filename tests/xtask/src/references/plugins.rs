//! The page on plugins: families with their discoveries and pollsters, and publishers.

use nephoscope_plugin::{Catalog, Scope};

use crate::references::markdown::{Page, code, codes};

const ABOUT: &str = "\
The plugins of the stock program. An agent loads those of its namespaces (`agent.namespaces`); an optional family loads \
only when `plugins:` or `agent.namespaces` names it. Options are in [options](options.md), meters in [meters](meters.md), and \
the calls of each plugin in [calls](calls.md).";

const DISCOVERIES: &str = "\
A discovery of scope `host` lists resources of this host only; a discovery of scope `shared` lists resources that several agents see and \
divide by resource or by listing, unless the source sets `partition`.";

/// Returns the page.
pub(crate) fn page(catalog: &Catalog) -> String {
    let mut page = Page::new("Plugins", ABOUT);
    page.section("Families");
    page.table(
        ["Family", "Loaded", "Description"],
        catalog.families().map(|family| {
            let loaded = if family.opt_in {
                "when named"
            } else {
                "with its namespaces"
            };
            [
                code(family.name),
                loaded.to_owned(),
                family.description.to_owned(),
            ]
        }),
    );
    page.section("Discoveries");
    page.text(DISCOVERIES);
    page.table(
        [
            "Discovery",
            "Family",
            "Namespaces",
            "Scope",
            "Divided by",
            "Description",
        ],
        catalog.discoveries().iter().map(|discovery| {
            let scope = match discovery.scope {
                Scope::Host => "host",
                Scope::Shared => "shared",
            };
            [
                code(&discovery.name),
                code(discovery.family()),
                codes(discovery.namespaces.iter().map(|name| &**name)),
                scope.to_owned(),
                discovery.partition.to_string(),
                discovery.description.to_string(),
            ]
        }),
    );
    page.section("Pollsters");
    page.table(
        [
            "Pollster",
            "Family",
            "Namespaces",
            "Default discovery",
            "Endpoint",
            "Meters",
            "Description",
        ],
        catalog.pollsters().iter().map(|pollster| {
            [
                code(&pollster.name),
                code(pollster.family()),
                codes(pollster.namespaces.iter().map(|name| &**name)),
                code(pollster.default_discovery.as_deref().unwrap_or_default()),
                code(pollster.endpoint.as_deref().unwrap_or_default()),
                pollster.meters.len().to_string(),
                pollster.description.to_string(),
            ]
        }),
    );
    page.section("Publishers");
    page.table(
        ["URL schemes", "Description"],
        catalog.publishers().iter().map(|publisher| {
            [
                codes(publisher.schemes.iter().copied()),
                publisher.description.to_owned(),
            ]
        }),
    );
    page.finish()
}
