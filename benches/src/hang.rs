//! The lateness of cycles next to hung polls.

use std::sync::Arc;
use std::time::Duration;

use crate::bench::Effort;
use crate::doubles::{BLOCK, Block, HANG, Hang, loaded};
use crate::error::BenchError;
use crate::figure::{Figure, Unit};
use crate::lateness::{BUDGET, Lateness};
use crate::noise::Noise;

pub(crate) fn run(effort: Effort) -> Result<Vec<Figure>, BenchError> {
    let (windows, window) = (effort.of(3, 1), Duration::from_secs(effort.of(20, 15)));
    let kinds: [(&str, &[(u64, &str)]); 2] = [
        ("lateness p99, one hung pollster", &[(2, HANG)]),
        ("lateness p99, one blocks its thread", &[(2, HANG), (3, BLOCK)]),
    ];
    let noise = Noise::begin()?;
    let mut figures = Vec::new();
    for (name, others) in kinds {
        let bench = Lateness::new(vec![loaded(HANG, Arc::new(Hang)), loaded(BLOCK, Arc::new(Block))])?;
        let late = bench.spread(others, windows, window)?;
        figures.push(Figure::new(
            name,
            Unit::Milliseconds,
            BUDGET,
            late,
            format!(
                "as 1,000 spread, next to a pollster that never ends, every 2 s (and one that blocks its thread \
                 forever, every 3 s); median of {windows} x {} s",
                window.as_secs()
            ),
        ));
        // Dropping the runtime waits for its threads, of which one never ends.
        std::mem::forget(bench);
    }
    figures.push(noise.end()?);
    Ok(figures)
}
