//! Which publishers get what is polled, as far as the configuration tells.

use std::collections::BTreeSet;
use std::sync::Arc;

use nephoscope_config::{Config, Notifier as NotifierConfig, Publisher as PublisherConfig};
use nephoscope_model::PayloadKind;
use nephoscope_notifier::{MeterSelector, PublisherSetup, Selectors};
use nephoscope_polling::classes::SourceClasses;
use nephoscope_polling::plugins::Plugins;
use nephoscope_polling::task::{TaskDef, selects};
use nephoscope_sources::{MeterFilter, MeterFilterError};

/// What the configuration selects for a publisher.
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

/// The sources that the publishers of a configuration tell apart.
pub(crate) fn source_classes(config: &NotifierConfig) -> SourceClasses {
    let selections = config
        .publishers
        .iter()
        .filter_map(|publisher| publisher.sources.as_ref());
    let names = |selection: &Vec<String>| selection.iter().map(|name| Arc::from(name.as_str())).collect();
    SourceClasses::new(selections.map(names))
}

/// What is polled for nobody, and who gets nothing, in lines for people.
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
        let mut untaken = BTreeSet::new();
        for task in TaskDef::plan(std::slice::from_ref(source), plugins, &SourceClasses::default()) {
            for run in &task.runs {
                let is_wanted = |meter: &&Arc<nephoscope_model::Meter>| {
                    run.meters.iter().any(|name| **name == *meter.name)
                };
                for meter in run.pollster.meters.iter().filter(is_wanted) {
                    polled = true;
                    let mut taken = false;
                    for (place, publisher) in publishers.iter().enumerate() {
                        let takes = publisher.publisher.takes(PayloadKind::Samples)
                            && publisher.selectors.take(meter, &name, &run.pollster.namespaces);
                        if takes {
                            taken = true;
                            idle.remove(&place);
                        }
                    }
                    if !taken {
                        untaken.insert(meter.name.to_string());
                    }
                }
            }
        }
        if !untaken.is_empty() && !publishers.is_empty() {
            let untaken: Vec<_> = untaken.into_iter().collect();
            lines.push(format!(
                "no publisher takes these meters of the source `{}`, which are polled for nothing: {}",
                source.name,
                untaken.join(", ")
            ));
        }
    }
    if polled {
        let idle = idle.iter().filter_map(|place| publishers.get(*place));
        lines.extend(idle.map(|publisher| {
            format!(
                "the publisher `{}` gets nothing of what is polled",
                publisher.name
            )
        }));
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
    fn what_nobody_takes_and_who_gets_nothing_is_told() {
        assert_eq!(remarks_of("{name: all, url: \"discard:\"}"), Vec::<String>::new());
        assert_eq!(
            remarks_of(
                "{name: a, url: \"discard:\", meters: [\"synthetic.w*\"]}, \
                 {name: b, url: \"discard:\", sources: [one], meters: [\"synthetic.w*\"]}, \
                 {name: c, url: \"discard:\", namespaces: [compute]}"
            ),
            [
                "no publisher takes these meters of the source `one`, which are polled for nothing: synthetic.cycle",
                "the publisher `b` gets nothing of what is polled",
                "the publisher `c` gets nothing of what is polled",
            ]
        );
    }
}
