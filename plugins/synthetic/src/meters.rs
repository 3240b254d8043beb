//! The pollster with predictable values.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nephoscope_model::{MeterDef, Subject};
use nephoscope_plugin::{
    Failure, PollContext, PollRun, Pollster, PollsterPlugin, Registration, Stopped, register,
};
use rustix::time::{ClockId, clock_gettime};

use crate::draw::Draw;
use crate::fault::FaultInjector;
use crate::fault_draw::FaultDraw;
use crate::options::Options;

const CYCLE: MeterDef = MeterDef::gauge("synthetic.cycle", "cycle", "Number of the polling cycle");

const COUNTER: MeterDef = MeterDef::cumulative(
    "synthetic.counter",
    "event",
    "Counter that grows in each cycle by 1 to 100, depending on the resource's id",
);

const WAVE: MeterDef = MeterDef::gauge(
    "synthetic.wave",
    "%",
    "Sine between 0 and 100 with a period of 60 cycles; its phase depends on the resource's id",
);

/// The period of a wave in cycles.
const PERIOD: i64 = 60;

register!(Registration::Pollster(
    PollsterPlugin::new("synthetic", "synthetic", |context| {
        let options = Options::read(context)?;
        Ok(Arc::new(Meters {
            values: Draw::new(options.seed, "values"),
            latency: options.latency.into(),
            jitter: options.jitter.into(),
            jitter_draw: Draw::new(options.seed, "jitter"),
            repeats: options.samples_per_resource,
            faults: FaultDraw::new(&options),
            injector: FaultInjector {
                blocking: context.blocking().clone(),
                block_for: options.block_for.into(),
            },
        }))
    })
    .namespaces(&["synthetic"])
    .description("Values that are computed from the cycle's number and the resource's id")
    .meters(&[CYCLE, COUNTER, WAVE])
    .default_discovery("synthetic://10")
));

struct Meters {
    values: Draw,
    latency: Duration,
    jitter: Duration,
    jitter_draw: Draw,
    repeats: u32,
    faults: FaultDraw,
    injector: FaultInjector,
}

#[async_trait]
impl Pollster for Meters {
    async fn poll(&self, run: &mut PollRun) -> Result<(), Failure> {
        let number = run.cycle().number;
        let wants_counter = run.wants(COUNTER.name);
        let wants_wave = run.wants(WAVE.name);
        let mut pages = 0;
        while let Some(page) = run.next_page().await {
            self.wait(run.context(), pages).await?;
            pages += 1;
            for resource in page.iter() {
                if let Some(fault) = self.faults.of(resource.key(), number) {
                    self.injector.inject(fault, run, resource, CYCLE.name).await?;
                    continue;
                }
                let subject = Subject::new(resource.key().clone()).shared();
                let draw = self.values.of(resource.key());
                let counter = if wants_counter { counter(draw, number) } else { 0 };
                let wave = if wants_wave { wave(draw, number) } else { 0.0 };
                let read_at = boot_clock();
                let mut report = run.report(resource);
                for _ in 0..self.repeats {
                    report.add_at(CYCLE.name, &subject, number, read_at);
                    report.add_at(COUNTER.name, &subject, counter, read_at);
                    report.add_at(WAVE.name, &subject, wave, read_at);
                }
                report.send().await?;
            }
        }
        Ok(())
    }
}

impl Meters {
    /// Waits for the configured latency, or until the run is cancelled.
    async fn wait(&self, context: &PollContext, page: i64) -> Result<(), Stopped> {
        let share = self.jitter_draw.at(context.cycle.number).at(page).share();
        let time = self.latency + self.jitter.mul_f64(share);
        if time.is_zero() {
            return Ok(());
        }
        tokio::select! {
            biased;
            () = context.cancellation.cancelled() => Err(Stopped),
            () = tokio::time::sleep(time) => Ok(()),
        }
    }
}

fn counter(draw: Draw, cycle: i64) -> i64 {
    // A remainder below 100.
    let step = 1 + (draw.number() % 100) as i64;
    cycle.max(0).saturating_mul(step)
}

fn wave(draw: Draw, cycle: i64) -> f64 {
    let turns = cycle.rem_euclid(PERIOD) as f64 / PERIOD as f64 + draw.share();
    let wave = 50.0 + 50.0 * (turns * std::f64::consts::TAU).sin();
    // Rounded to three decimals: platforms differ in the last ones.
    (wave * 1000.0).round() / 1000.0
}

/// Returns the seconds since boot, including suspend: all processes of a machine read the same clock.
fn boot_clock() -> f64 {
    let now = clock_gettime(ClockId::Boottime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;
    use nephoscope_model::Volume;
    use nephoscope_plugin::FailureKind;
    use nephoscope_plugin::testing::Kit;
    use serde_json::json;

    #[tokio::test]
    async fn values_are_predictable() {
        let kit = Kit::new("synthetic");
        let mut text = String::new();
        for cycle in [100, 115] {
            let outcome = kit
                .pollster("synthetic")
                .resources_from("synthetic://2")
                .cycle(cycle)
                .poll()
                .await;
            outcome.assert_clean();
            text.push_str(&outcome.text());
        }
        insta::assert_snapshot!(text, @r"
        synthetic-000000  synthetic.cycle  100 cycle
        synthetic-000000  synthetic.counter  6200 event
        synthetic-000000  synthetic.wave  89.557 %
        synthetic-000001  synthetic.cycle  100 cycle
        synthetic-000001  synthetic.counter  1200 event
        synthetic-000001  synthetic.wave  37.144 %
        synthetic-000000  synthetic.cycle  115 cycle
        synthetic-000000  synthetic.counter  7130 event
        synthetic-000000  synthetic.wave  19.419 %
        synthetic-000001  synthetic.cycle  115 cycle
        synthetic-000001  synthetic.counter  1380 event
        synthetic-000001  synthetic.wave  98.319 %
        ");
    }

    #[tokio::test]
    async fn counters_never_fall_and_the_seed_changes_them() {
        let mut before = vec![i64::MIN; 50];
        let kit = Kit::new("synthetic");
        for cycle in [-1, 0, 1, 2, 1_000_000, i64::MAX] {
            let poll = kit
                .pollster("synthetic")
                .resources_from("synthetic://50")
                .wanted([COUNTER.name]);
            let outcome = poll.cycle(cycle).poll().await;
            for (before, sample) in before.iter_mut().zip(&outcome.samples) {
                let Volume::Int(now) = sample.volume else {
                    panic!("{:?}", sample.volume)
                };
                assert!(now >= *before, "{now} follows {before}");
                *before = now;
            }
            assert_eq!(outcome.samples.len(), 50);
        }
        let of_seed = async |seed: u64| {
            let kit = Kit::new("synthetic").options(json!({ "seed": seed }));
            kit.pollster("synthetic")
                .resources(["a", "b"])
                .poll()
                .await
                .text()
        };
        assert_ne!(of_seed(1).await, of_seed(2).await);
    }

    #[tokio::test]
    async fn each_sample_has_the_boot_clock_at_the_end_of_its_poll() {
        let before = boot_clock();
        let outcome = Kit::new("synthetic")
            .pollster("synthetic")
            .resources(["a", "b"])
            .poll()
            .await;
        let times: Vec<_> = outcome
            .samples
            .iter()
            .filter_map(|sample| sample.monotonic_time)
            .collect();
        assert_eq!(times.len(), 6);
        assert!(
            times.is_sorted() && times.iter().all(|time| (before..=boot_clock()).contains(time)),
            "{times:?}"
        );
    }

    #[tokio::test]
    async fn meters_are_repeated_with_distinct_ids() {
        let kit = Kit::new("synthetic").options(json!({ "samples_per_resource": 100 }));
        let outcome = kit.pollster("synthetic").resources(["a"]).poll().await;
        outcome.assert_clean();
        let ids: std::collections::HashSet<_> =
            outcome.samples.iter().map(|sample| sample.id.clone()).collect();
        assert_eq!((outcome.samples.len(), ids.len()), (300, 300));
    }

    #[tokio::test(start_paused = true)]
    async fn latency_delays_each_page_until_the_deadline() {
        let kit = Kit::new("synthetic").options(json!({ "latency": "1m", "jitter": "30s" }));
        let poll = || {
            kit.pollster("synthetic")
                .resources((0..150).map(|index| format!("r{index}")))
        };
        let begun = tokio::time::Instant::now();
        poll()
            .deadline(Duration::from_secs(600))
            .poll()
            .await
            .assert_clean();
        let took = begun.elapsed().as_secs();
        assert!((120..180).contains(&took), "two pages took {took} s");
        let late = poll().deadline(Duration::from_secs(100)).poll().await;
        assert_eq!(late.reported.len(), 100, "the first page is in time");
        assert_eq!(late.error.map(|error| error.kind()), Some(FailureKind::Stopped));
    }
}
