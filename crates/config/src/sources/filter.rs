//! What is wrong with a list of patterns.

use nephoscope_sources::MeterFilterError;

use crate::finding::{Finding, Part, Place};
use crate::path::ValuePath;
use crate::problem::Problem;

/// What is wrong with a list of patterns at `path`; `of` says whose it is.
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
            format!("`meters`{of} names no meters"),
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
        .also(place(&path.at(included), Part::Value), "and this includes some")
        .help(Some(
            "keep the names alone, or exclude from everything, as in `meters: [\"*\", \"!disk.*\"]`",
        )),
        MeterFilterError::MixedWithWildcard { included, wildcard } => finding(
            Problem::MetersBesideWildcard,
            format!("`meters`{of} names meters beside `*`"),
            &path.at(included),
            Part::Value,
            "this names meters",
        )
        .also(
            place(&path.at(wildcard), Part::Value),
            "and this already wants every meter",
        )
        .help(Some("leave out the one or the other")),
    }
}
