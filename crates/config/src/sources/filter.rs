//! Findings of invalid meter filters.

use nephoscope_sources::MeterFilterError;

use crate::finding::{Finding, Part, Place};
use crate::path::ValuePath;
use crate::problem::Problem;

/// Converts an error of the patterns at `path`. `of` describes their owner.
pub(crate) fn bad_filter(
    error: MeterFilterError,
    path: &ValuePath,
    of: &str,
    place: impl Fn(&ValuePath, Part) -> Place,
) -> Finding {
    let finding = |problem, title: String, path: &ValuePath, part, label: &str| {
        Finding::error(problem, title).at(place(path, part), label)
    };
    match error {
        MeterFilterError::Empty => finding(
            Problem::MetersEmpty,
            format!("`meters`{of} is empty"),
            path,
            Part::Key,
            "expected a list of names or patterns",
        ),
        MeterFilterError::EmptyPattern { index } => finding(
            Problem::MeterEmpty,
            format!("an item of `meters`{of} is empty"),
            &path.at(index),
            Part::Value,
            "expected a name or a pattern",
        ),
        MeterFilterError::Mixed { included, excluded } => finding(
            Problem::MetersMixed,
            format!("`meters`{of} both includes and excludes meters"),
            &path.at(excluded),
            Part::Value,
            "this excludes meters",
        )
        .also(place(&path.at(included), Part::Value), "this includes meters")
        .help(Some(
            "list names only, or exclude from all meters, as in `meters: [\"*\", \"!disk.*\"]`",
        )),
        MeterFilterError::MixedWithWildcard { included, wildcard } => finding(
            Problem::MetersWithWildcard,
            format!("`meters`{of} lists meters together with `*`"),
            &path.at(included),
            Part::Value,
            "this lists meters",
        )
        .also(
            place(&path.at(wildcard), Part::Value),
            "this already matches all meters",
        )
        .help(Some("remove one of them")),
    }
}
