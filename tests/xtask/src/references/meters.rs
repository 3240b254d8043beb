//! The page on meters: every row of every pollster's table.

use nephoscope_model::Meter;
use nephoscope_plugin::Catalog;

use crate::references::markdown::{Page, code, codes};

const ABOUT: &str = "\
Every meter that the plugins of the stock program can measure. `meters:` in polling.yaml matches the first column; a meter that is \
published under another name, or has aliases, is marked. A pollster uses its default discovery if a source has neither \
`resources` nor `discovery`. [plugins](plugins.md) describes the pollsters and their calls.";

/// Returns the page.
pub(crate) fn page(catalog: &Catalog) -> String {
    let mut page = Page::new("Meters", ABOUT);
    for family in catalog.families() {
        let mut rows = Vec::new();
        for pollster in catalog
            .pollsters()
            .iter()
            .filter(|pollster| pollster.family() == family.name)
        {
            for meter in &pollster.meters {
                rows.push([
                    code(&meter.name),
                    code(&meter.published_name),
                    meter.kind.to_string(),
                    code(&meter.unit),
                    code(&pollster.name),
                    codes(pollster.namespaces.iter().map(|name| &**name)),
                    code(pollster.default_discovery.as_deref().unwrap_or_default()),
                    description(meter),
                ]);
            }
        }
        if rows.is_empty() {
            continue;
        }
        rows.sort();
        page.section(family.name);
        page.text(&format!("{}.", family.description));
        page.table(
            [
                "Meter",
                "Published as",
                "Type",
                "Unit",
                "Pollster",
                "Namespaces",
                "Default discovery",
                "Description",
            ],
            rows,
        );
    }
    page.finish()
}

fn description(meter: &Meter) -> String {
    let text = &meter.description;
    if meter.aliases.is_empty() {
        return text.to_string();
    }
    let aliases = meter.aliases.iter().map(|alias| &**alias);
    format!("{text} (also matched as {})", codes(aliases))
}
