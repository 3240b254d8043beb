//! The page on meters: every row of every pollster's table.

use nephoscope_plugin::Registry;

use crate::references::markdown::{Page, code, codes};

const ABOUT: &str = "\
Every meter that the plugins of the stock program can measure. `meters:` in polling.yaml matches the first column; a meter that is \
published under another name, or known by further names, says so. A pollster asks its discovery where a source names neither \
`resources` nor `discovery`. What a pollster is and calls is in [plugins](plugins.md).";

/// The page.
pub(crate) fn page(registry: &Registry) -> String {
    let mut page = Page::new("Meters", ABOUT);
    for family in registry.families.values() {
        let mut rows = Vec::new();
        for pollster in registry
            .pollsters
            .iter()
            .filter(|pollster| pollster.family == family.name)
        {
            for meter in pollster.meters {
                rows.push([
                    code(meter.name),
                    code(meter.published_name.unwrap_or(meter.name)),
                    meter.kind.to_string(),
                    code(meter.unit),
                    code(pollster.name),
                    codes(pollster.namespaces.iter().copied()),
                    code(pollster.default_discovery.unwrap_or_default()),
                    description(meter.description, meter.aliases),
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

fn description(text: &str, aliases: &[&str]) -> String {
    if aliases.is_empty() {
        return text.to_owned();
    }
    format!("{text} (also matched as {})", codes(aliases.iter().copied()))
}
