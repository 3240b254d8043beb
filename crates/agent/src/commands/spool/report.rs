//! What `nephoscope spool` prints: what is in spools, and what became of it.

use std::path::PathBuf;

use nephoscope_admin::HeldBatches;
use nephoscope_config::ByteSize;
use serde::Serialize;

use crate::cli::Format;
use crate::error::ProgramError;
use crate::output::{json_lines, print};
use crate::table::Sheet;

/// What one spool holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Content {
    /// Its publisher; none for a spool that no publisher uses.
    pub(super) publisher: Option<String>,
    pub(super) batches: u64,
    pub(super) samples: u64,
    pub(super) bytes: u64,
    pub(super) limit_bytes: Option<u64>,
    /// About when the oldest of it was stored, in UTC.
    pub(super) oldest: Option<String>,
    pub(super) quarantined_batches: u64,
    /// What it holds, by encoding.
    pub(super) encodings: Vec<HeldBatches>,
    /// Its folder.
    pub(super) path: PathBuf,
}

/// What became of a spool that was drained.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Drained {
    pub(super) publisher: String,
    /// Samples that it held at the begin.
    pub(super) held_samples: u64,
    /// Samples that it still holds of these; a running agent stores others meanwhile.
    pub(super) left_samples: u64,
    /// Samples of these that the publisher does not take: they stay in the spool.
    pub(super) kept_samples: u64,
    /// Why they are left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

impl Drained {
    /// Whether everything is delivered that the publisher takes.
    pub(super) fn is_done(&self) -> bool {
        self.left_samples <= self.kept_samples
    }
}

/// How many samples are kept, and why, for people.
pub(super) fn kept(encodings: &[HeldBatches]) -> (u64, Option<String>) {
    let kept = || encodings.iter().filter(|held| held.kept);
    let names: Vec<_> = kept().map(|held| held.encoding.as_str()).collect();
    let why = format!("the publisher does not take {}", names.join(", "));
    (
        kept().map(|held| held.samples).sum(),
        (!names.is_empty()).then_some(why),
    )
}

/// What was dropped from a spool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct DroppedFrom {
    pub(super) publisher: String,
    pub(super) dropped_batches: u64,
    pub(super) dropped_samples: u64,
}

/// Prints as asked for: a table for people, or a JSON object a line for programs.
pub(super) fn show<T: Row>(items: Vec<T>, format: Format) -> Result<(), ProgramError> {
    match format {
        Format::Json => print(&json_lines(items)?)?,
        Format::Table => print(table(Sheet::stdout(), &items).as_bytes())?,
    }
    Ok(())
}

fn table<T: Row>(sheet: Sheet, items: &[T]) -> String {
    sheet.table(T::HEADER, items.iter().map(Row::cells))
}

/// What can be a row of a table.
pub(super) trait Row: Serialize {
    /// The names of its columns.
    const HEADER: &'static [&'static str];

    /// Its cells.
    fn cells(&self) -> Vec<String>;
}

impl Row for Content {
    const HEADER: &'static [&'static str] = &[
        "publisher",
        ">batches",
        ">samples",
        ">bytes",
        ">limit",
        "oldest",
        ">quarantined",
        "encodings",
        "path",
    ];

    fn cells(&self) -> Vec<String> {
        let encodings = self.encodings.iter().map(|held| {
            let kept = if held.kept { " (kept)" } else { "" };
            format!("{}{kept}", held.encoding)
        });
        let encodings: Vec<String> = encodings.collect();
        vec![
            self.publisher.clone().unwrap_or_else(|| "(none)".to_owned()),
            self.batches.to_string(),
            self.samples.to_string(),
            self.bytes.to_string(),
            self.limit_bytes
                .map(|limit| ByteSize(limit).to_string())
                .unwrap_or_default(),
            self.oldest.clone().unwrap_or_default(),
            self.quarantined_batches.to_string(),
            encodings.join(", "),
            self.path.display().to_string(),
        ]
    }
}

impl Row for Drained {
    const HEADER: &'static [&'static str] = &["publisher", ">held", ">left", "error"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.publisher.clone(),
            self.held_samples.to_string(),
            self.left_samples.to_string(),
            self.error.clone().unwrap_or_default(),
        ]
    }
}

impl Row for DroppedFrom {
    const HEADER: &'static [&'static str] = &["publisher", ">batches", ">samples"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.publisher.clone(),
            self.dropped_batches.to_string(),
            self.dropped_samples.to_string(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(encoding: &str, kept: bool) -> HeldBatches {
        HeldBatches {
            encoding: encoding.to_owned(),
            payload: "samples".to_owned(),
            batches: 6,
            samples: 300,
            kept,
        }
    }

    #[test]
    fn what_is_kept_is_named() {
        let encodings = [held("a/1", true), held("b/1", false), held("c/2", true)];
        let why = "the publisher does not take a/1, c/2".to_owned();
        assert_eq!(kept(&encodings), (600, Some(why)));
        assert_eq!(kept(&[]), (0, None));
    }

    #[test]
    fn contents_are_shown_to_people_and_to_programs() {
        let contents = [
            Content {
                publisher: Some("bus".to_owned()),
                batches: 12,
                samples: 600,
                bytes: 98_304,
                limit_bytes: Some(1 << 30),
                oldest: Some("2026-11-23T13:31:20".to_owned()),
                quarantined_batches: 1,
                encodings: vec![held("oslo-notification/1", false), held("json-lines/1", true)],
                path: "/var/lib/nephoscope/spool/bus".into(),
            },
            Content {
                bytes: 4096,
                path: "/var/lib/nephoscope/spool/former".into(),
                ..Content::default()
            },
        ];
        insta::assert_snapshot!(table(Sheet::endless(), &contents), @r"
        PUBLISHER  BATCHES  SAMPLES  BYTES  LIMIT  OLDEST               QUARANTINED  ENCODINGS                                 PATH
        bus             12      600  98304   1GiB  2026-11-23T13:31:20            1  oslo-notification/1, json-lines/1 (kept)  /var/lib/nephoscope/spool/bus
        (none)           0        0   4096                                        0                                            /var/lib/nephoscope/spool/former
        ");
        let lines = String::from_utf8(json_lines(contents).unwrap()).unwrap();
        insta::assert_snapshot!(lines, @r#"
        {"publisher":"bus","batches":12,"samples":600,"bytes":98304,"limit_bytes":1073741824,"oldest":"2026-11-23T13:31:20","quarantined_batches":1,"encodings":[{"encoding":"oslo-notification/1","payload":"samples","batches":6,"samples":300,"kept":false},{"encoding":"json-lines/1","payload":"samples","batches":6,"samples":300,"kept":true}],"path":"/var/lib/nephoscope/spool/bus"}
        {"publisher":null,"batches":0,"samples":0,"bytes":4096,"limit_bytes":null,"oldest":null,"quarantined_batches":0,"encodings":[],"path":"/var/lib/nephoscope/spool/former"}
        "#);
    }

    #[test]
    fn outcomes_are_shown_to_people() {
        let drained = [Drained {
            publisher: "bus".to_owned(),
            held_samples: 600,
            left_samples: 50,
            kept_samples: 0,
            error: Some("cannot reach the broker".to_owned()),
        }];
        insta::assert_snapshot!(table(Sheet::endless(), &drained), @r"
        PUBLISHER  HELD  LEFT  ERROR
        bus         600    50  cannot reach the broker
        ");
        let dropped = [DroppedFrom {
            publisher: "bus".to_owned(),
            dropped_batches: 3,
            dropped_samples: 150,
        }];
        insta::assert_snapshot!(table(Sheet::endless(), &dropped), @r"
        PUBLISHER  BATCHES  SAMPLES
        bus              3      150
        ");
    }
}
