//! The page on metrics.

use nephoscope_admin::{BaseUnit, families};

use crate::references::markdown::{Page, code, codes};

const ABOUT: &str = "\
The metrics at `/metrics` of the [admin API](admin-api.md), as Prometheus text 0.0.4, or as OpenMetrics for clients that \
accept it. Counters count from the start of the agent. The configuration bounds the values of labels: no metric has a label for \
resources. A histogram has series with the suffixes `_bucket`, `_sum` and `_count`. The name, type, unit and labels of a `stable` \
metric change only in a breaking version ([stability](../stability.md)). Any version may change or remove an `experimental` metric.";

/// Returns the page.
pub(crate) fn page() -> String {
    let mut page = Page::new("Metrics", ABOUT);
    page.table(
        ["Name", "Type", "Unit", "Labels", "Stability", "Meaning"],
        families().map(|family| {
            [
                code(&family.full_name()),
                family.kind.as_str().to_owned(),
                family.unit.map_or("", BaseUnit::as_str).to_owned(),
                codes(family.labels.iter().copied()),
                family.stability.as_str().to_owned(),
                family.help.to_owned(),
            ]
        }),
    );
    page.finish()
}
