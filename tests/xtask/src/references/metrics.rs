//! The page on metrics.

use nephoscope_admin::families;

use crate::references::markdown::{Page, code, codes};

const ABOUT: &str = "\
What the agent says of itself at `/metrics` of the [admin API](admin-api.md), as Prometheus text 0.0.4, or as OpenMetrics \
to clients that accept it. Counters count from the agent's start. Labels are bounded by the configuration: nothing is \
labelled by resource. A histogram has series that end in `_bucket`, `_sum` and `_count`.";

/// The page.
pub(crate) fn page() -> String {
    let mut page = Page::new("Metrics", ABOUT);
    page.table(
        ["Name", "Type", "Labels", "Meaning"],
        families().map(|family| {
            [
                code(&family.full_name()),
                family.kind.as_str().to_owned(),
                codes(family.labels.iter().copied()),
                family.help.to_owned(),
            ]
        }),
    );
    page.finish()
}
