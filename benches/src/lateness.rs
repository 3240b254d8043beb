//! The lateness of cycles: through the engine, with a sample from every cycle.

use std::sync::Arc;
use std::time::Duration;

use nephoscope_model::Timestamp;
use nephoscope_notifier::DEFAULT_QUEUE;
use nephoscope_plugin::Publisher;
use nephoscope_polling::engine::Engine;
use nephoscope_polling::plugins::{LoadedPollster, Plugins};
use nephoscope_polling::ticker::CronTicker;
use nephoscope_sources::Schedule;
use tokio::time::{sleep, timeout};

use crate::bench::Effort;
use crate::clocks;
use crate::doubles::{BEAT, Beat, Starts, Times, loaded};
use crate::error::{BenchError, Context};
use crate::figure::{Budget, Figure, Unit};
use crate::noise::Noise;
use crate::stats::{median, p99};
use crate::world::{World, engine_options, every, static_source};

pub(crate) const BUDGET: Budget = Budget::AtMost(3.0);

/// The timeout for the start of all cycles of one edge.
const PATIENCE: Duration = Duration::from_secs(20);

/// The pause after a change of the sources, and between edges.
const PAUSE: Duration = Duration::from_millis(1500);

pub(crate) fn run(effort: Effort) -> Result<Vec<Figure>, BenchError> {
    let rounds = effort.of(15, 4);
    let noise = Noise::begin()?;
    let bench = Lateness::new(Vec::new())?;
    let mut figures = Vec::new();
    for count in [1, 100, 1_000] {
        let (mut cycles, mut polls) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let (cycle, poll) = bench.world.core.block_on(bench.one_edge(count))?;
            cycles.push(p99(cycle));
            polls.push(p99(poll));
        }
        let how = format!(
            "different schedules that all fall on the same second, real clocks and a sample from each cycle: \
             from the edge to the start of the cycle; p99 of an edge, median of {rounds} edges"
        );
        let name = format!("lateness p99, {count} on one edge");
        figures.push(Figure::new(name, Unit::Milliseconds, BUDGET, median(cycles), how));
        if count == 1_000 {
            figures.push(Figure::new(
                "the same, to the start of the poll",
                Unit::Milliseconds,
                Budget::None,
                median(polls),
                "from the edge to the call of the pollster: includes the cost of a thousand polls due at once",
            ));
        }
    }
    let (windows, window) = (effort.of(3, 1), Duration::from_secs(effort.of(20, 15)));
    let late = bench.spread(&[], windows, window)?;
    figures.push(Figure::new(
        "lateness p99, 1,000 spread",
        Unit::Milliseconds,
        BUDGET,
        late,
        format!(
            "1,000 schedules of intervals from 26 s to 65 s and offsets from 0 s to 24 s; median of {windows} x {} s",
            window.as_secs()
        ),
    ));
    figures.push(noise.end()?);
    Ok(figures)
}

/// Returns different schedules, of which about 23 in 1,000 have an edge in each second.
pub(crate) fn spread(count: u64) -> Result<Vec<Schedule>, BenchError> {
    (0..count)
        .map(|index| every(26 + index / 25 % 40, index % 25))
        .collect()
}

/// Returns different schedules that all have an edge at one second, about two seconds from now; and that second.
pub(crate) fn one_edge(count: u64) -> Result<(Timestamp, Vec<Schedule>), BenchError> {
    let second = (clocks::wall().as_millis() + 2500) / 1000;
    // Different intervals, far longer than a benchmark, each with the edge among its edges.
    let of = |interval: u64| every(interval, second.unsigned_abs() % interval);
    let schedules: Result<Vec<_>, _> = (1000..1000 + count).map(of).collect();
    Ok((Timestamp::from_millis(second * 1000), schedules?))
}

/// An engine whose cycle starts are recorded.
pub(crate) struct Lateness {
    pub(crate) world: World,
    engine: Engine,
    plugins: Arc<Plugins>,
    starts: Arc<Starts>,
    polls: Arc<Times>,
}

impl Lateness {
    /// Creates it with these pollsters in addition to the measured one.
    pub(crate) fn new(others: Vec<Arc<LoadedPollster>>) -> Result<Self, BenchError> {
        let world = World::new()?;
        let discard = world.publisher("discard:")?;
        Self::of(world, vec![(discard, DEFAULT_QUEUE)], others)
    }

    /// Creates it with these publishers, each with its queue limit in samples.
    pub(crate) fn to(
        publishers: Vec<(Arc<dyn Publisher>, usize)>,
        others: Vec<Arc<LoadedPollster>>,
    ) -> Result<Self, BenchError> {
        Self::of(World::new()?, publishers, others)
    }

    fn of(
        world: World,
        publishers: Vec<(Arc<dyn Publisher>, usize)>,
        others: Vec<Arc<LoadedPollster>>,
    ) -> Result<Self, BenchError> {
        let starts = Arc::new(Starts::default());
        let polls = Arc::new(Times::default());
        let mut plugins = Plugins::default();
        plugins
            .pollsters
            .push(loaded(BEAT, Arc::new(Beat { times: polls.clone() })));
        plugins.pollsters.extend(others);
        let notifier = world.notifier_of(publishers);
        let parts = world.parts(starts.clone(), notifier);
        let engine = {
            let _inside = world.core.enter();
            Engine::start(engine_options(), parts, CronTicker::start())
        };
        Ok(Self {
            world,
            engine,
            plugins: Arc::new(plugins),
            starts,
            polls,
        })
    }

    /// Returns the lateness of cycles and polls of `count` schedules with a common edge.
    async fn one_edge(&self, count: u64) -> Result<(Vec<f64>, Vec<f64>), BenchError> {
        let begin = clocks::wall();
        let (edge, schedules) = one_edge(count)?;
        let mut sources = Vec::new();
        for schedule in schedules {
            sources.push(static_source(schedule, BEAT)?);
        }
        self.engine.apply(&sources, self.plugins.clone()).await;
        let wanted = usize::try_from(count).unwrap_or(usize::MAX);
        let all = async {
            while self.polls.count(edge) < wanted {
                sleep(Duration::from_millis(100)).await;
            }
        };
        timeout(PATIENCE, all).await.context("start all cycles in time")?;
        let late = (self.starts.times.take_after(begin), self.polls.take_after(begin));
        // Keep the work after the cycles out of the next round.
        sleep(PAUSE).await;
        Ok(late)
    }

    /// Returns the lateness of cycles of 1,000 spread schedules, next to those of `others`: interval in seconds and meter.
    pub(crate) fn spread(
        &self,
        others: &[(u64, &str)],
        windows: u32,
        window: Duration,
    ) -> Result<f64, BenchError> {
        self.begin_spread(others)?;
        Ok(median((0..windows).map(|_| p99(self.window(window))).collect()))
    }

    /// Starts the cycles of 1,000 spread schedules, and those of `others`.
    pub(crate) fn begin_spread(&self, others: &[(u64, &str)]) -> Result<(), BenchError> {
        let mut sources = Vec::new();
        for schedule in spread(1_000)? {
            sources.push(static_source(schedule, BEAT)?);
        }
        for (interval, meter) in others {
            sources.push(static_source(every(*interval, 0)?, meter)?);
        }
        self.world.core.block_on(async {
            self.engine.apply(&sources, self.plugins.clone()).await;
            sleep(PAUSE).await;
        });
        Ok(())
    }

    /// Returns the lateness of cycles during a window.
    pub(crate) fn window(&self, window: Duration) -> Vec<f64> {
        let begin = clocks::wall();
        self.starts.times.take_after(begin);
        self.world.core.block_on(async { sleep(window).await });
        self.starts.times.take_after(begin)
    }
}
