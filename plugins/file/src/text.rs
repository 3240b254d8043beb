//! Samples as readable lines.

use std::fmt::Write as _;

use nephoscope_model::{Batch, Sample, Timestamp, Volume};

/// The maximum width of a column. Longer texts shift only their own line.
const WIDEST: usize = 48;

/// Formats samples as aligned lines: time, meter, resource id, value, unit. Columns grow with their contents, so that lines of
/// later batches stay aligned.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    meter: usize,
    resource: usize,
    value: usize,
}

impl Lines {
    /// Formats the lines of a batch.
    pub(crate) fn of(&mut self, batch: &Batch) -> String {
        let rows: Vec<_> = batch.samples().iter().map(Row::of).collect();
        for row in &rows {
            for (width, text) in [
                (&mut self.meter, &row.meter),
                (&mut self.resource, &row.resource),
                (&mut self.value, &row.value),
            ] {
                *width = text.chars().count().min(WIDEST).max(*width);
            }
        }
        let (meter, resource, value) = (self.meter, self.resource, self.value);
        let mut text = String::new();
        for row in rows {
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{}  {:<meter$}  {:<resource$}  {:>value$} {}",
                row.time, row.meter, row.resource, row.value, row.unit
            );
        }
        text
    }
}

struct Row {
    time: String,
    meter: String,
    resource: String,
    value: String,
    unit: String,
}

impl Row {
    fn of(sample: &Sample) -> Self {
        let seconds = sample.timestamp.as_micros().div_euclid(1_000_000);
        let time = Timestamp::from_micros(seconds.saturating_mul(1_000_000));
        Self {
            time: format!("{time}Z"),
            meter: printable(&sample.meter.published_name),
            resource: printable(&sample.subject.resource_id),
            value: number(sample.volume),
            unit: printable(&sample.meter.unit),
        }
    }
}

/// Escapes control characters: a tenant's name for a resource must not control the terminal.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() {
            shown.extend(char.escape_default());
        } else {
            shown.push(char);
        }
    }
    shown
}

/// Formats integers unchanged, other numbers with at most three decimals, or six below one.
fn number(volume: Volume) -> String {
    let Volume::Float(float) = volume else {
        return volume.to_string();
    };
    let decimals = if float.abs() < 1.0 { 6 } else { 3 };
    let text = format!("{float:.decimals$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nephoscope_model::{Meter, Subject};
    use nephoscope_plugin::testing::batch;
    use std::sync::Arc;

    #[test]
    fn lines_are_aligned_across_batches() {
        let mut wide = batch(3).samples().to_vec();
        let mut meter = Meter::clone(&wide[0].meter);
        meter.published_name = "hardware.network.incoming.bytes".into();
        wide[0].meter = Arc::new(meter);
        wide[0].volume = Volume::Uint(18_446_744_073_709_551_615);
        wide[1].subject = Subject::new("node1.eth0\x1b[31m\n").shared();
        wide[1].volume = Volume::Float(37.512_345);
        wide[2].volume = Volume::Float(0.000_25);
        let mut lines = Lines::default();
        let mut text = lines.of(&Batch::new(wide, "openstack".into()));
        text.push_str(&lines.of(&batch(1)));
        insta::assert_snapshot!(text, @r"
        1970-01-01T00:05:00Z  hardware.network.incoming.bytes  resource-0              18446744073709551615 unit
        1970-01-01T00:05:00Z  test.value                       node1.eth0\u{1b}[31m\n                37.512 unit
        1970-01-01T00:05:00Z  test.value                       resource-2                           0.00025 unit
        1970-01-01T00:05:00Z  test.value                       resource-0                                 0 unit
        ");
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (100.0, "100"),
            (0.1 + 0.2, "0.3"),
            (-1.5, "-1.5"),
            (1e9, "1000000000"),
        ] {
            assert_eq!(number(Volume::Float(value)), text);
        }
    }
}
