//! The effect of a blocked publisher on cycles and on another publisher.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nephoscope_model::Batch;
use nephoscope_plugin::{Accepted, PublishError, Publisher};
use parking_lot::Mutex;

use crate::bench::Effort;
use crate::clocks::millis_since;
use crate::error::BenchError;
use crate::figure::{Budget, Figure, Unit};
use crate::lateness::Lateness;
use crate::noise::Noise;
use crate::stats::p99;

/// The maximum ratio of the figures with and without the blocked publisher.
const BUDGET: Budget = Budget::AtMost(1.2);

/// The queue of the blocked publisher, in samples: it is full within seconds.
const QUEUE: usize = 100;

pub(crate) fn run(effort: Effort) -> Result<Vec<Figure>, BenchError> {
    let (rounds, window) = (effort.of(2, 1), Duration::from_secs(effort.of(60, 20)));
    let noise = Noise::begin()?;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    // Alternating, so that other load of the machine affects both.
    for _ in 0..rounds {
        without.push(Delays::of(false, window)?);
        with.push(Delays::of(true, window)?);
    }
    let mut figures = Vec::new();
    let how = format!(
        "1,000 spread schedules, {rounds} x {} s with a publisher that accepts nothing and whose queue of {QUEUE} samples is \
         full, alternating with as many without it",
        window.as_secs()
    );
    type Part = fn(&Delays) -> &Vec<f64>;
    let parts: [(&str, &str, Part); 2] = [
        (
            "lateness p99, no publisher blocked",
            "  one blocked for 60 s",
            |delays| &delays.lateness,
        ),
        (
            "delivery p99, no publisher blocked",
            "  another one blocked for 60 s",
            |delays| &delays.delivery,
        ),
    ];
    for (name, other, part) in parts {
        let all = |delays: &[Delays]| p99(delays.iter().flat_map(part).copied().collect());
        let (free, blocked) = (all(&without), all(&with));
        figures.push(Figure::new(
            name,
            Unit::Milliseconds,
            Budget::None,
            free,
            how.clone(),
        ));
        figures.push(Figure::new(
            other,
            Unit::Milliseconds,
            Budget::None,
            blocked,
            how.clone(),
        ));
        figures.push(Figure::new(
            "  the second / the first",
            Unit::Times,
            BUDGET,
            blocked / free,
            "of a cycle's start from its edge, or of a sample at the other publisher from the start of its run",
        ));
    }
    figures.push(noise.end()?);
    Ok(figures)
}

/// In milliseconds.
struct Delays {
    lateness: Vec<f64>,
    delivery: Vec<f64>,
}

impl Delays {
    fn of(blocked: bool, window: Duration) -> Result<Self, BenchError> {
        let arrivals = Arc::new(Arrivals::default());
        let mut publishers: Vec<(Arc<dyn Publisher>, usize)> =
            vec![(arrivals.clone(), nephoscope_notifier::DEFAULT_QUEUE)];
        if blocked {
            publishers.push((Arc::new(Blocked), QUEUE));
        }
        let bench = Lateness::to(publishers, Vec::new())?;
        bench.begin_spread(&[])?;
        arrivals.0.lock().clear();
        let lateness = bench.window(window);
        let delivery = std::mem::take(&mut *arrivals.0.lock());
        Ok(Self { lateness, delivery })
    }
}

/// A publisher that measures the delay of samples.
#[derive(Default)]
struct Arrivals(Mutex<Vec<f64>>);

#[async_trait]
impl Publisher for Arrivals {
    async fn publish(&self, batch: Arc<Batch>) -> Result<Accepted, PublishError> {
        let took = batch
            .samples()
            .iter()
            .map(|sample| millis_since(sample.timestamp));
        self.0.lock().extend(took);
        Ok(Accepted::all())
    }
}

/// A publisher that accepts nothing.
struct Blocked;

#[async_trait]
impl Publisher for Blocked {
    async fn publish(&self, _batch: Arc<Batch>) -> Result<Accepted, PublishError> {
        std::future::pending().await
    }
}
