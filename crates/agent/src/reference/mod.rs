//! The references under `docs/reference/`, made of what the code declares.
//!
//! The same program always gives the same pages: no versions, dates or paths of a machine stand in them, and
//! everything is sorted.

mod admin_api;
mod calls;
mod ceilometer;
mod command_line;
mod markdown;
mod meters;
mod metrics;
mod options;
mod plugins;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nephoscope_plugin::Catalog;

/// Why the references could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReferenceError {
    /// The folder could not be made.
    #[error("make the folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A page could not be written.
    #[error("write {}", path.display())]
    Page {
        /// The page.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// All pages by file name, for the plugins of a program.
pub(crate) fn pages(catalog: &Catalog) -> BTreeMap<&'static str, String> {
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

/// Writes all pages into a folder, which is made if need be.
pub(crate) fn write(catalog: &Catalog, folder: &Path) -> Result<(), ReferenceError> {
    fs::create_dir_all(folder).map_err(|source| ReferenceError::Folder {
        path: folder.to_owned(),
        source,
    })?;
    for (name, text) in pages(catalog) {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|source| ReferenceError::Page { path, source })?;
    }
    Ok(())
}

#[cfg(test)]
#[cfg(feature = "stock")]
mod tests {
    use {nephoscope_amqp as _, nephoscope_file as _, nephoscope_host as _, nephoscope_synthetic as _};

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
    fn pages_are_the_same_every_time() {
        assert_eq!(stock(), stock());
        for (name, text) in stock() {
            assert!(
                !text.contains(env!("CARGO_PKG_VERSION")),
                "{name} has the version"
            );
            assert!(
                !text.contains(env!("CARGO_MANIFEST_DIR")),
                "{name} has a path of this machine"
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
        for family in crate::metrics::FAMILIES {
            assert!(
                pages["metrics.md"].contains(&format!("`{}`", family.full_name())),
                "{}",
                family.name
            );
        }
    }

    #[test]
    fn pages_are_written_into_a_folder_that_is_not_there_yet() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("docs/reference");
        write(&Catalog::collect().unwrap(), &inner).unwrap();
        assert_eq!(fs::read_dir(&inner).unwrap().count(), stock().len());
    }
}
