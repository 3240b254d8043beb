//! `nephoscope check --cost`: the calls per hour to each service, as a table.

use std::collections::BTreeMap;

use nephoscope_polling::cost::Cost;

use crate::table::Sheet;

/// Returns the table of calls, followed by the sums of services.
pub(super) fn table(cost: &Cost, sheet: Sheet) -> String {
    let rows = cost.rows.iter().map(|row| {
        vec![
            row.service.to_string(),
            format!("{} {}", row.method, row.path),
            row.task.clone().unwrap_or_default(),
            row.by.clone().unwrap_or_else(|| "each agent".to_owned()),
            row.per_cycle.map(|calls| calls.to_string()).unwrap_or_default(),
            rounded(row.per_hour),
        ]
    });
    let header = ["service", "call", "task", "made by", ">a cycle", ">an hour"];
    let mut text = sheet.table(&header, rows);
    let mut services: BTreeMap<&str, f64> = BTreeMap::new();
    for row in &cost.rows {
        *services.entry(&row.service).or_default() += row.per_hour;
    }
    let all = services.values().sum();
    let sums = services.into_iter().chain([("all", all)]);
    let sums = sums.map(|(service, calls)| vec![service.to_owned(), rounded(calls)]);
    text.push('\n');
    text + &sheet.table(&["service", ">calls an hour"], sums)
}

/// Returns the assumptions of the cost.
pub(super) fn remarks(cost: &Cost, members: u32) -> Vec<String> {
    let mut lines = vec![match members {
        1 => "the cost of one agent; `--members` sets the number of agents that share the work".to_owned(),
        members => format!("the cost of {members} agents together"),
    }];
    if !cost.assumed.is_empty() {
        let listings = cost.assumed.iter();
        let listings: Vec<_> = listings
            .map(|(listing, count)| format!("{listing}={count}"))
            .collect();
        lines.push(format!(
            "assumed, because `--resources` does not name them: {}",
            listings.join(", ")
        ));
    }
    lines
}

/// Formats calls per hour: integers, except for small numbers.
fn rounded(calls: f64) -> String {
    if calls < 10.0 && calls.fract() != 0.0 {
        format!("{calls:.2}")
    } else {
        format!("{calls:.0}")
    }
}
