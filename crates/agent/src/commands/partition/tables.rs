//! The output tables of `partition`.

use std::collections::BTreeMap;

use crate::table::Sheet;

use super::rows::{MemberRow, MovedRow, OwnerRow, PlanRow};

/// The number of ranked members in a table.
const SHOWN: usize = 5;

pub(super) fn members_table(sheet: Sheet, rows: &[MemberRow]) -> String {
    let cells = rows.iter().map(|row| {
        let units: usize = row.units.values().map(Vec::len).sum();
        vec![
            row.id.clone(),
            row.host.clone(),
            row.incarnation.chars().take(8).collect(),
            row.lease_age
                .map_or_else(|| "gone".to_owned(), |age| format!("{age} s")),
            units.to_string(),
            if row.leaving {
                "leaving".to_owned()
            } else {
                String::new()
            },
        ]
    });
    sheet.table(
        &["member", "host", "incarnation", ">lease age", ">units", "state"],
        cells,
    )
}

pub(super) fn plans_table(sheet: Sheet, rows: &[PlanRow]) -> String {
    let cells = rows.iter().map(|row| {
        vec![
            row.schedule.clone(),
            row.start.clone(),
            row.unit.clone(),
            row.member.clone(),
            format!("{:.1} %", row.share * 100.0),
            if row.present {
                String::new()
            } else {
                "gone".to_owned()
            },
        ]
    });
    sheet.table(
        &["schedule", "plan of", "unit", "member", ">share", "state"],
        cells,
    )
}

pub(super) fn owners_table(sheet: Sheet, rows: &[OwnerRow]) -> String {
    let cells = rows.iter().map(|row| {
        let shown: Vec<_> = row.ranking.iter().take(SHOWN).cloned().collect();
        vec![
            row.schedule.clone(),
            row.unit.clone(),
            row.owner.clone().unwrap_or_default(),
            row.why.clone(),
            shown.join(", "),
        ]
    });
    sheet.table(&["schedule", "unit", "owner", "why", "ranking"], cells)
}

/// Counts the moved keys by destination.
pub(super) fn moved_table(sheet: Sheet, rows: &[MovedRow]) -> String {
    let mut counts: BTreeMap<(&str, &str, &str), usize> = BTreeMap::new();
    for row in rows {
        let to = row.to.as_deref().unwrap_or("nobody");
        *counts.entry((&row.schedule, &row.unit, to)).or_default() += 1;
    }
    let cells = counts.into_iter().map(|((schedule, unit, to), count)| {
        vec![
            schedule.to_owned(),
            unit.to_owned(),
            to.to_owned(),
            count.to_string(),
        ]
    });
    sheet.table(&["schedule", "unit", "moves to", ">keys"], cells)
}
