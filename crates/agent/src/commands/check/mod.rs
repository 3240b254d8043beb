//! `nephoscope check`: checks the configuration, and prints the polling plan or its cost.

mod cost;

use std::sync::Arc;

use nephoscope_config::{Config, SpoolOrder, hide_userinfo};
use nephoscope_plugin::BlockingPool;
use nephoscope_polling::classes::SourceClasses;
use nephoscope_polling::cost::Cost;
use nephoscope_polling::engine::run_status;
use nephoscope_polling::plugins::Plugins;
use nephoscope_polling::task::TaskDef;
use serde::Serialize;

use crate::cli::{CheckArgs, Format};
use crate::error::{Exit, ProgramError};
use crate::output::{json_lines, note, print, stdout_is_terminal};
use crate::publishers::Planned;
use crate::routing::source_classes;
use crate::runtimes::Runtimes;
use crate::settings::{Origin, quiet_log};
use crate::table::Sheet;
use crate::{logs, option_errors, publishers, routing};

/// A pollster run of a source.
#[derive(Debug, Serialize)]
struct Row {
    task: String,
    source: String,
    pollster: String,
    meters: Vec<String>,
    discovery: Vec<String>,
    /// The discoveries to run if `discovery` returns no resources.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fallback: Vec<String>,
}

/// Checks the configuration and prints the result. Sends no requests and writes no files.
pub(crate) fn check(origin: &Origin, args: &CheckArgs) -> Result<Exit, ProgramError> {
    let (level, form) = quiet_log(&origin.options);
    logs::start(level, form);
    // Definition errors that an agent tolerates are errors here.
    let origin = origin
        .clone()
        .or_built_in(stdout_is_terminal())
        .strict_about_definitions();
    let settings = origin.load_and_warn()?;
    let config = &settings.loaded.config;
    let runtimes = Runtimes::start().map_err(ProgramError::Runtime)?;
    let made = {
        let _within = runtimes.plugins.enter();
        let plugins = settings.plugins();
        // This validates URLs and options only: publishers open nothing before the first sample.
        let blocking = BlockingPool::default();
        let publishers = publishers::set_up(
            &settings.catalog,
            &config.notifier,
            &config.agent.state_dir(),
            true,
            &blocking,
            |_| None,
        );
        option_errors::combine(&settings.loaded, plugins, publishers)
    };
    runtimes.end();
    let (plugins, planned) = made?;
    let rows = plan(config, &plugins);
    let format = args.printing.format();
    if args.cost {
        let size = &args.size;
        let classes = source_classes(&config.notifier);
        let cost = Cost::of(&config.sources, &plugins, &classes, size.members, &size.resources);
        match format {
            Format::Json => print(&json_lines(&cost.rows)?)?,
            Format::Table => print(cost::table(&cost, Sheet::stdout()).as_bytes())?,
        }
        cost::remarks(&cost, size.members)
            .iter()
            .for_each(|line| note(line));
    } else {
        match format {
            Format::Json => print(&json_lines(&rows)?)?,
            Format::Table => print(rows_table(Sheet::stdout(), &rows).as_bytes())?,
        }
    }
    let mut remarks = remarks(config, &plugins, &rows);
    if !config.notifier.publishers.is_empty() {
        let setups = planned.iter().map(|planned| &planned.setup);
        remarks.extend(routing::remarks(config, &plugins, setups));
        remarks.extend(planned.iter().filter_map(out_of_order));
    }
    remarks.iter().for_each(|line| note(line));
    Ok(Exit::Done)
}

/// Returns one row for each pollster of each source, in the order of the file.
fn plan(config: &Config, plugins: &Plugins) -> Vec<Row> {
    let mut rows = Vec::new();
    for source in &config.sources {
        for task in TaskDef::plan(std::slice::from_ref(source), plugins, &SourceClasses::default()) {
            for run in &task.runs {
                let run = run_status(&task, run);
                rows.push(Row {
                    task: task.schedule.to_string(),
                    source: source.name.clone(),
                    pollster: run.pollster.to_string(),
                    meters: run.meters.iter().map(ToString::to_string).collect(),
                    discovery: shown(&run.discoveries),
                    fallback: shown(&run.fallbacks),
                });
            }
        }
    }
    rows
}

fn shown(listings: &[Arc<str>]) -> Vec<String> {
    listings.iter().map(|listing| hide_userinfo(listing)).collect()
}

fn rows_table(sheet: Sheet, rows: &[Row]) -> String {
    let cells = rows.iter().map(|row| {
        vec![
            row.task.clone(),
            row.source.clone(),
            row.pollster.clone(),
            row.meters.join(", "),
            if row.fallback.is_empty() {
                row.discovery.join(", ")
            } else {
                format!("{}, else {}", row.discovery.join(", "), row.fallback.join(", "))
            },
        ]
    });
    sheet.table(&["task", "source", "pollster", "meters", "discovery"], cells)
}

/// Returns remarks that the plan itself does not show.
fn remarks(config: &Config, plugins: &Plugins, rows: &[Row]) -> Vec<String> {
    let mut lines: Vec<String> = plugins
        .unavailable
        .iter()
        .map(|(plugin, reason)| format!("not available here: {plugin}: {reason}"))
        .collect();
    for source in &config.sources {
        if !rows.iter().any(|row| row.source == source.name) {
            let namespaces = config.agent.namespaces.join(", ");
            lines.push(format!(
                "nothing to poll for the source `{}` in the namespaces {namespaces}",
                source.name
            ));
        }
    }
    if config.notifier.publishers.is_empty() {
        lines.push(
            "no publisher: `run` prints samples on a terminal, and does not start otherwise".to_owned(),
        );
    }
    lines
}

/// Returns a remark if the spool of a publisher does not preserve the order that its receiver requires.
fn out_of_order(planned: &Planned) -> Option<String> {
    let spool = planned.spool.as_ref()?;
    let fails = planned.setup.publisher.needs_order() && spool.order == SpoolOrder::NewestFirst;
    fails.then(|| {
        format!(
            "the publisher `{}` requires samples in order, but its spool has `order: newest_first`: \
             after an outage the receiver rejects the stored samples",
            planned.setup.name
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_contains_task_source_pollster_meters_and_discovery() {
        let rows = [Row {
            task: "every 5m".to_owned(),
            source: "host".to_owned(),
            pollster: "hardware.cpu".to_owned(),
            meters: vec!["hardware.cpu.util".to_owned(), "hardware.cpu.user".to_owned()],
            discovery: vec!["local_node".to_owned()],
            fallback: Vec::new(),
        }];
        insta::assert_snapshot!(rows_table(Sheet::unbounded(), &rows), @r"
        TASK      SOURCE  POLLSTER      METERS                                DISCOVERY
        every 5m  host    hardware.cpu  hardware.cpu.util, hardware.cpu.user  local_node
        ");
        insta::assert_snapshot!(String::from_utf8(json_lines(&rows).unwrap()).unwrap(), @r#"
        {"task":"every 5m","source":"host","pollster":"hardware.cpu","meters":["hardware.cpu.util","hardware.cpu.user"],"discovery":["local_node"]}
        "#);
    }
}
