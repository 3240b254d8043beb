//! The output of `nephoscope spool`.

use std::path::PathBuf;

use nephoscope_admin::SpooledEncoding;
use nephoscope_config::ByteSize;
use serde::Serialize;

use crate::cli::Format;
use crate::error::ProgramError;
use crate::output::{json_lines, print};
use crate::table::Sheet;

/// The contents of a spool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Content {
    /// The publisher; `None` for a spool that no publisher uses.
    pub(super) publisher: Option<String>,
    pub(super) batches: u64,
    pub(super) samples: u64,
    pub(super) bytes: u64,
    pub(super) limit_bytes: Option<u64>,
    /// The approximate time in UTC at which the oldest sample was stored.
    pub(super) oldest: Option<String>,
    pub(super) dead_letter_batches: u64,
    /// The contents by encoding.
    pub(super) encodings: Vec<SpooledEncoding>,
    /// The folder of the spool.
    pub(super) path: PathBuf,
}

/// The result of a drain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Drained {
    pub(super) publisher: String,
    /// The number of samples at the start.
    pub(super) initial_samples: u64,
    /// The number of these samples that remain. Samples that a running agent stores meanwhile do not count.
    pub(super) remaining_samples: u64,
    /// The number of remaining samples in encodings that the publisher does not support.
    pub(super) unsupported_samples: u64,
    /// Why samples remain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

impl Drained {
    /// Returns whether all samples in supported encodings are delivered.
    pub(super) fn is_done(&self) -> bool {
        self.remaining_samples <= self.unsupported_samples
    }
}

/// Returns the number of samples in unsupported encodings, and a description.
pub(super) fn unsupported(encodings: &[SpooledEncoding]) -> (u64, Option<String>) {
    let unsupported = || encodings.iter().filter(|batches| batches.unsupported);
    let names: Vec<_> = unsupported().map(|batches| batches.encoding.as_str()).collect();
    let why = format!("the publisher does not support {}", names.join(", "));
    (
        unsupported().map(|batches| batches.samples).sum(),
        (!names.is_empty()).then_some(why),
    )
}

/// The result of a drop.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct DroppedFrom {
    pub(super) publisher: String,
    pub(super) dropped_batches: u64,
    pub(super) dropped_samples: u64,
}

/// Prints a table, or one JSON object per line.
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

/// A row of a table.
pub(super) trait Row: Serialize {
    /// The names of the columns.
    const HEADER: &'static [&'static str];

    /// Returns the cells.
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
        ">dead letters",
        "encodings",
        "path",
    ];

    fn cells(&self) -> Vec<String> {
        let encodings = self.encodings.iter().map(|batches| {
            let note = if batches.unsupported { " (unsupported)" } else { "" };
            format!("{}{note}", batches.encoding)
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
            self.dead_letter_batches.to_string(),
            encodings.join(", "),
            self.path.display().to_string(),
        ]
    }
}

impl Row for Drained {
    const HEADER: &'static [&'static str] = &["publisher", ">initial", ">remaining", "error"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.publisher.clone(),
            self.initial_samples.to_string(),
            self.remaining_samples.to_string(),
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

    fn batches(encoding: &str, unsupported: bool) -> SpooledEncoding {
        SpooledEncoding {
            encoding: encoding.to_owned(),
            payload: "samples".to_owned(),
            batches: 6,
            samples: 300,
            unsupported,
        }
    }

    #[test]
    fn unsupported_encodings_are_named() {
        let encodings = [batches("a/1", true), batches("b/1", false), batches("c/2", true)];
        let why = "the publisher does not support a/1, c/2".to_owned();
        assert_eq!(unsupported(&encodings), (600, Some(why)));
        assert_eq!(unsupported(&[]), (0, None));
    }

    #[test]
    fn contents_are_printed_as_a_table_and_as_json() {
        let contents = [
            Content {
                publisher: Some("bus".to_owned()),
                batches: 12,
                samples: 600,
                bytes: 98_304,
                limit_bytes: Some(1 << 30),
                oldest: Some("2026-11-23T13:31:20".to_owned()),
                dead_letter_batches: 1,
                encodings: vec![
                    batches("oslo-notification/1", false),
                    batches("json-lines/1", true),
                ],
                path: "/var/lib/nephoscope/spool/bus".into(),
            },
            Content {
                bytes: 4096,
                path: "/var/lib/nephoscope/spool/former".into(),
                ..Content::default()
            },
        ];
        insta::assert_snapshot!(table(Sheet::unbounded(), &contents), @r"
        PUBLISHER  BATCHES  SAMPLES  BYTES  LIMIT  OLDEST               DEAD LETTERS  ENCODINGS                                        PATH
        bus             12      600  98304   1GiB  2026-11-23T13:31:20             1  oslo-notification/1, json-lines/1 (unsupported)  /var/lib/nephoscope/spool/bus
        (none)           0        0   4096                                         0                                                   /var/lib/nephoscope/spool/former
        ");
        let lines = String::from_utf8(json_lines(contents).unwrap()).unwrap();
        insta::assert_snapshot!(lines, @r#"
        {"publisher":"bus","batches":12,"samples":600,"bytes":98304,"limit_bytes":1073741824,"oldest":"2026-11-23T13:31:20","dead_letter_batches":1,"encodings":[{"encoding":"oslo-notification/1","payload":"samples","batches":6,"samples":300,"unsupported":false},{"encoding":"json-lines/1","payload":"samples","batches":6,"samples":300,"unsupported":true}],"path":"/var/lib/nephoscope/spool/bus"}
        {"publisher":null,"batches":0,"samples":0,"bytes":4096,"limit_bytes":null,"oldest":null,"dead_letter_batches":0,"encodings":[],"path":"/var/lib/nephoscope/spool/former"}
        "#);
    }

    #[test]
    fn results_are_printed_as_a_table() {
        let drained = [Drained {
            publisher: "bus".to_owned(),
            initial_samples: 600,
            remaining_samples: 50,
            unsupported_samples: 0,
            error: Some("cannot reach the broker".to_owned()),
        }];
        insta::assert_snapshot!(table(Sheet::unbounded(), &drained), @r"
        PUBLISHER  INITIAL  REMAINING  ERROR
        bus            600         50  cannot reach the broker
        ");
        let dropped = [DroppedFrom {
            publisher: "bus".to_owned(),
            dropped_batches: 3,
            dropped_samples: 150,
        }];
        insta::assert_snapshot!(table(Sheet::unbounded(), &dropped), @r"
        PUBLISHER  BATCHES  SAMPLES
        bus              3      150
        ");
    }
}
