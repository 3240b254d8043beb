//! The routing of samples to publishers, as far as the configuration determines it.

use std::collections::BTreeSet;
use std::sync::Arc;

use nephoscope_config::{Config, Notifier as NotifierConfig, Publisher as PublisherConfig};
use nephoscope_model::PayloadKind;
use nephoscope_notifier::{MeterSelector, PublisherSetup, Selectors};
use nephoscope_polling::classes::SourceClasses;
use nephoscope_polling::plugins::Plugins;
use nephoscope_polling::task::{TaskDef, selects};
use nephoscope_sources::{MeterFilter, MeterFilterError};

/// Returns the selectors of a publisher.
pub(crate) fn selectors(publisher: &PublisherConfig) -> Result<Selectors, MeterFilterError> {
    let mut selectors = Selectors::default();
    if let Some(patterns) = &publisher.meters {
        let filter = MeterFilter::new(patterns)?;
        let matches = move |meter: &nephoscope_model::Meter| selects(&filter, meter);
        selectors = selectors.meters(MeterSelector::new(patterns.clone(), matches));
    }
    if let Some(sources) = &publisher.sources {
        selectors = selectors.sources(sources.iter().map(String::as_str));
    }
    if let Some(namespaces) = &publisher.namespaces {
        selectors = selectors.namespaces(namespaces.iter().map(String::as_str));
    }
    Ok(selectors)
}

/// Returns the classes of sources that the publishers' selectors distinguish.
pub(crate) fn source_classes(config: &NotifierConfig) -> SourceClasses {
    let selections = config
        .publishers
        .iter()
        .filter_map(|publisher| publisher.sources.as_ref());
    let names = |selection: &Vec<String>| selection.iter().map(|name| Arc::from(name.as_str())).collect();
    SourceClasses::new(selections.map(names))
}

/// Returns remarks on meters that no publisher selects, and on publishers that receive no samples.
pub(crate) fn remarks<'a>(
    config: &Config,
    plugins: &Plugins,
    publishers: impl Iterator<Item = &'a PublisherSetup>,
) -> Vec<String> {
    let publishers: Vec<_> = publishers.collect();
    let mut idle: BTreeSet<usize> = (0..publishers.len()).collect();
    let mut lines = Vec::new();
    let mut polled = false;
    for source in &config.sources {
        let name: [Arc<str>; 1] = [source.name.as_str().into()];
        let mut unselected = BTreeSet::new();
        for task in TaskDef::plan(std::slice::from_ref(source), plugins, &SourceClasses::default()) {
            for run in &task.runs {
                let is_polled = |meter: &&Arc<nephoscope_model::Meter>| {
                    run.meters.iter().any(|name| **name == *meter.name)
                };
                for meter in run.pollster.meters.iter().filter(is_polled) {
                    polled = true;
                    let mut selected = false;
                    for (index, publisher) in publishers.iter().enumerate() {
                        let accepts = publisher.publisher.accepts(PayloadKind::Samples)
                            && publisher.selectors.take(meter, &name, &run.pollster.namespaces);
                        if accepts {
                            selected = true;
                            idle.remove(&index);
                        }
                    }
                    if !selected {
                        unselected.insert(meter.name.to_string());
                    }
                }
            }
        }
        if !unselected.is_empty() && !publishers.is_empty() {
            let unselected: Vec<_> = unselected.into_iter().collect();
            lines.push(format!(
                "no publisher selects these meters of the source `{}`: {}",
                source.name,
                unselected.join(", ")
            ));
        }
    }
    if polled {
        let idle = idle.iter().filter_map(|index| publishers.get(*index));
        lines.extend(idle.map(|publisher| format!("the publisher `{}` receives no samples", publisher.name)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use nephoscope_plugin::{BlockingPool, Catalog};
    use {nephoscope_file as _, nephoscope_synthetic as _};

    use super::*;
    use crate::cli::GlobalOptions;
    use crate::publishers;
    use crate::settings::Origin;

    fn remarks_of(publishers: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("polling.yaml");
        let text = format!(
            "agent: {{namespaces: [synthetic]}}\n\
             sources:\n  - {{name: one, interval: 10, meters: [synthetic.cycle]}}\n  \
             - {{name: two, interval: 10, meters: [synthetic.wave]}}\n\
             notifier: {{publishers: [{publishers}]}}\n"
        );
        std::fs::write(&file, text).unwrap();
        let catalog = Catalog::collect().unwrap();
        let options = GlobalOptions {
            config: vec![file],
            ..Default::default()
        };
        let settings = Origin::new(catalog, options).load().unwrap();
        let plugins = settings.plugins().unwrap();
        let config = &settings.loaded.config;
        let planned = publishers::set_up(
            &settings.catalog,
            &config.notifier,
            std::path::Path::new("/state"),
            false,
            &BlockingPool::default(),
            |_| None,
        );
        let planned = planned.unwrap();
        remarks(config, &plugins, planned.iter().map(|planned| &planned.setup))
    }

    #[test]
    fn unselected_meters_and_idle_publishers_are_reported() {
        assert_eq!(remarks_of("{name: all, url: \"discard:\"}"), Vec::<String>::new());
        assert_eq!(
            remarks_of(
                "{name: a, url: \"discard:\", meters: [\"synthetic.w*\"]}, \
                 {name: b, url: \"discard:\", sources: [one], meters: [\"synthetic.w*\"]}, \
                 {name: c, url: \"discard:\", namespaces: [compute]}"
            ),
            [
                "no publisher selects these meters of the source `one`: synthetic.cycle",
                "the publisher `b` receives no samples",
                "the publisher `c` receives no samples",
            ]
        );
    }
}
