//! The references under `docs/reference/`, generated from declarations in the code.
//!
//! The same program always generates the same pages: they contain no versions, dates or local paths, and everything is
//! sorted.

mod admin_api;
mod calls;
mod ceilometer;
mod command_line;
mod committed;
mod markdown;
mod meters;
mod metrics;
mod options;
mod plugins;

use std::collections::BTreeMap;

use nephoscope_plugin::Catalog;

pub(crate) use committed::{Committed, ReferencesError};

/// Returns all pages by file name, for the plugins of a program.
fn pages(catalog: &Catalog) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("admin-api.md", admin_api::page()),
        ("calls.md", calls::page(catalog)),
        ("ceilometer.md", ceilometer::page(catalog)),
        ("command-line.md", command_line::page()),
        ("meters.md", meters::page(catalog)),
        ("metrics.md", metrics::page()),
        ("options.md", options::page(catalog)),
        ("plugins.md", plugins::page(catalog)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stock() -> BTreeMap<&'static str, String> {
        pages(&Catalog::collect().unwrap())
    }

    #[test]
    fn every_page_has_a_title_ends_with_a_line_break_and_has_whole_tables() {
        for (name, text) in stock() {
            assert!(
                text.starts_with("# ") && text.ends_with('\n') && !text.ends_with("\n\n"),
                "{name}"
            );
            let mut columns = None;
            for line in text.lines() {
                if !line.starts_with('|') {
                    columns = None;
                    continue;
                }
                let bars = line.replace("\\|", "").matches('|').count();
                assert_eq!(*columns.get_or_insert(bars), bars, "{name}: {line}");
            }
        }
    }

    #[test]
    fn pages_are_deterministic() {
        assert_eq!(stock(), stock());
        for (name, text) in stock() {
            assert!(
                !text.contains(env!("CARGO_PKG_VERSION")),
                "{name} contains the version"
            );
            assert!(
                !text.contains(env!("CARGO_MANIFEST_DIR")),
                "{name} contains a local path"
            );
        }
    }

    #[test]
    fn every_meter_and_every_metric_has_its_row() {
        let catalog = Catalog::collect().unwrap();
        let pages = pages(&catalog);
        for meter in catalog.pollsters().iter().flat_map(|pollster| &pollster.meters) {
            assert!(
                pages["meters.md"].contains(&format!("\n| `{}` |", meter.name)),
                "{}",
                meter.name
            );
        }
        for family in nephoscope_admin::families() {
            assert!(
                pages["metrics.md"].contains(&format!("`{}`", family.full_name())),
                "{}",
                family.name
            );
        }
    }
}
