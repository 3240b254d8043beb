//! The start of cycles: edges, clock steps, overruns, restarts, splay.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use common::{Bench, BenchOptions, Doubles, EDGE, at, measure, secs, source, start_of};
use nephoscope_plugin::Scope;
use nephoscope_polling::clock::SimulatedClock;
use nephoscope_polling::plugins::Plugins;
use nephoscope_polling::record::CycleRecord;
use nephoscope_polling::scheduler::{Entry, Scheduler};
use nephoscope_polling::ticker::{IntervalTicker, Ticker};
use nephoscope_sources::Schedule;
use tokio_util::sync::CancellationToken;

fn plugins() -> Arc<Plugins> {
    let doubles = Doubles::default()
        .fixed_discovery("host", Scope::Host, &["node1"])
        .healthy("load", &["load"], Some("host"));
    Arc::new(doubles.0)
}

async fn running(interval: u64, options: BenchOptions) -> Bench {
    let bench = Bench::new(options);
    bench
        .apply(&plugins(), [source("load", interval, &["load"])])
        .await;
    bench
}

#[tokio::test(start_paused = true)]
async fn cycles_start_on_the_edges_of_the_wall_clock_and_on_time() {
    let mut bench = running(10, BenchOptions::default()).await;
    for expected in [0, 10, 20] {
        let record = bench.cycle().await;
        assert_eq!(start_of(&record), expected);
        assert_eq!(record.cycle.number, EDGE / 10 + expected / 10);
        // The paused clock has a resolution of a millisecond.
        assert!(
            record.lateness.unwrap() <= Duration::from_millis(1),
            "{:?}",
            record.lateness
        );
    }
    assert_eq!(bench.samples().await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_cycle_in_progress_is_run_at_the_start_if_half_of_it_is_left() {
    let mut bench = running(
        10,
        BenchOptions {
            start: 3.0,
            ..BenchOptions::default()
        },
    )
    .await;
    let first = bench.cycle().await;
    assert_eq!((start_of(&first), first.lateness), (0, None));
    assert_eq!(bench.starts(2).await, [10, 20]);

    let mut late = running(
        10,
        BenchOptions {
            start: 6.0,
            ..BenchOptions::default()
        },
    )
    .await;
    assert_eq!(late.starts(2).await, [10, 20]);
}

/// Uses the real clock: a thread writes the state file, and paused time does not wait for threads.
#[tokio::test]
async fn a_cycle_that_was_finished_before_a_restart_is_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let options = |start| BenchOptions {
        start,
        state_dir: Some(folder.path().into()),
        ..BenchOptions::default()
    };
    let mut before = running(10, options(1.0)).await;
    assert_eq!(before.starts(1).await, [0]);
    let deadline = tokio::time::Instant::now() + secs(60);
    before.engine.stop(deadline).await;
    before.engine.settle(deadline).await;

    let after = running(10, options(2.0)).await;
    let task = &after.engine.tasks()[0];
    assert_eq!(
        (task.running, task.cycles, task.next.clone()),
        (false, 0, Some(at(10.0).to_string()))
    );
    let mut without_state = running(
        10,
        BenchOptions {
            start: 2.0,
            ..BenchOptions::default()
        },
    )
    .await;
    assert_eq!(
        without_state.starts(1).await,
        [0],
        "without its state folder the agent repeats the cycle"
    );
}

#[tokio::test(start_paused = true)]
async fn the_last_cycle_of_a_rare_schedule_is_available_after_many_other_cycles() {
    let mut bench = Bench::new(BenchOptions::default());
    let sources = [source("often", 1, &["load"]), source("rare", 300, &["load"])];
    bench.apply(&plugins(), sources).await;
    for _ in 0..250 {
        bench.cycle().await;
    }
    let schedules = |records: Vec<Arc<CycleRecord>>| -> BTreeSet<String> {
        records
            .into_iter()
            .map(|record| record.schedule.clone())
            .collect()
    };
    assert_eq!(schedules(bench.engine.records()), ["every 1s".to_owned()].into());
    assert_eq!(
        schedules(bench.engine.last_records()),
        ["every 1s", "every 5m"].map(str::to_owned).into()
    );
}

#[tokio::test(start_paused = true)]
async fn a_step_back_by_less_than_an_interval_repeats_no_cycle() {
    let mut bench = running(10, BenchOptions::default()).await;
    assert_eq!(bench.starts(2).await, [0, 10]);
    bench.clock.step_back(secs(9));
    assert_eq!(bench.starts(3).await, [20, 30, 40]);
    let task = &bench.engine.tasks()[0];
    assert_eq!((task.repeated, task.missed), (0, 0));
    assert_eq!(bench.engine.scheduler().clock_steps, 1);
}

#[tokio::test(start_paused = true)]
async fn after_a_step_back_by_an_hour_cycles_follow_the_new_time_and_repeats_are_counted() {
    let mut bench = running(10, BenchOptions::default()).await;
    assert_eq!(bench.starts(2).await, [0, 10]);
    let stepped = tokio::time::Instant::now();
    bench.clock.step_back(secs(3600));
    assert_eq!(bench.starts(3).await, [-3580, -3570, -3560]);
    assert!(stepped.elapsed() <= secs(35), "cycles do not pause");
    // Cycles after the first edge that ran, up to the greatest, have run before.
    while start_of(&*bench.cycle().await) < 20 {}
    assert_eq!(bench.engine.tasks()[0].repeated, 2);
}

#[tokio::test(start_paused = true)]
async fn after_a_step_forward_by_an_hour_cycles_follow_the_new_time_and_misses_are_counted() {
    let mut bench = running(10, BenchOptions::default()).await;
    assert_eq!(bench.starts(2).await, [0, 10]);
    let stepped = tokio::time::Instant::now();
    bench.clock.step_forward(secs(3600));
    let next = bench.starts(2).await;
    assert!(stepped.elapsed() <= secs(25), "cycles do not pause");
    assert_eq!(next[1], next[0] + 10);
    assert!((3610..=3620).contains(&next[0]), "{next:?}");
    assert!((358..=360).contains(&bench.engine.tasks()[0].missed));
    assert_eq!(bench.engine.tasks()[0].repeated, 0);
}

#[tokio::test(start_paused = true)]
async fn after_a_suspend_the_cycle_in_progress_is_run_if_half_of_it_is_left() {
    // During a suspend the wall clock runs and the monotonic clock does not.
    let mut bench = running(
        300,
        BenchOptions {
            start: -140.0,
            ..BenchOptions::default()
        },
    )
    .await;
    assert_eq!(bench.starts(1).await, [0]);
    bench.clock.step_forward(secs(3600 + 60));
    let woken = bench.cycle().await;
    assert_eq!(start_of(&woken), 3600);
    assert!(woken.lateness.unwrap() >= secs(60), "the lateness is recorded");
    assert_eq!(bench.starts(1).await, [3900]);
    assert_eq!(bench.engine.tasks()[0].missed, 11);
}

#[tokio::test(start_paused = true)]
async fn a_slewed_clock_is_followed() {
    let mut bench = running(10, BenchOptions::default()).await;
    for expected in 0..30 {
        let record = bench.cycle().await;
        assert_eq!(start_of(&record), expected * 10);
        let late = bench.clock_now() - record.cycle.start.as_micros();
        assert!(late.abs() < 300_000, "{late} us off the wall clock");
        bench.clock.step_forward(Duration::from_millis(100));
    }
    assert_eq!(bench.engine.scheduler().clock_steps, 0);
}

#[tokio::test(start_paused = true)]
async fn a_slow_poll_is_not_an_overrun() {
    let doubles = Doubles::default()
        .fixed_discovery("host", Scope::Host, &["node1"])
        .pollster("slow", &["slow"], Some("host"), |run| {
            Box::pin(async move {
                tokio::time::sleep(secs(8)).await;
                measure(run, &["slow"]).await
            })
        });
    let mut bench = Bench::new(BenchOptions::default());
    bench
        .apply(&Arc::new(doubles.0), [source("slow", 10, &["slow"])])
        .await;
    assert_eq!(bench.starts(3).await, [0, 10, 20]);
    assert_eq!(bench.engine.tasks()[0].overruns, 0);
}

#[tokio::test(start_paused = true)]
async fn a_cycle_past_the_next_edges_causes_skips_and_no_duplicates() {
    // 40 batches at 0.9 s each: submitting them alone takes longer than three cycles.
    let keys: Vec<_> = (0..2000).map(|index| format!("r{index}")).collect();
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    let doubles = Doubles::default()
        .fixed_discovery("many", Scope::Host, &keys)
        .healthy("load", &["load"], Some("many"));
    let options = BenchOptions {
        queue: 100,
        publish: Duration::from_millis(900),
        ..BenchOptions::default()
    };
    let mut bench = Bench::new(options);
    bench
        .apply(&Arc::new(doubles.0), [source("load", 10, &["load"])])
        .await;
    assert_eq!(bench.starts(2).await, [0, 40]);
    assert_eq!(bench.engine.tasks()[0].overruns, 6);
    let samples = bench.samples().await;
    let mut once = samples.clone();
    once.dedup();
    assert_eq!((samples.len(), once.len()), (4000, 4000));
}

#[tokio::test(start_paused = true)]
async fn host_cycles_have_a_splay_and_an_unchanged_identity() {
    let mut bench = running(
        300,
        BenchOptions {
            splay: true,
            start: -140.0,
            ..BenchOptions::default()
        },
    )
    .await;
    let record = bench.cycle().await;
    assert_eq!(start_of(&record), 0);
    let delay = record.started.as_micros() - at(0.0).as_micros();
    let expected = nephoscope_polling::splay::of("agent-1", secs(300));
    assert!(
        (delay - expected.as_micros() as i64).abs() <= 1000,
        "{delay} us, not {expected:?}"
    );
    assert!(
        record.lateness.unwrap() <= Duration::from_millis(1),
        "lateness counts from the splayed edge"
    );
    assert_eq!(bench.starts(2).await, [300, 600]);
}

/// A job scheduler that sends no ticks, even after a restart.
struct SilentTicker;

#[async_trait::async_trait]
impl Ticker for SilentTicker {
    async fn tick(&mut self) {
        std::future::pending().await
    }

    fn restart(&mut self) {}
}

#[tokio::test(start_paused = true)]
async fn a_silent_job_scheduler_is_restarted_and_delays_no_cycle() {
    let mut bench = Bench::with_ticker(SilentTicker, BenchOptions::default());
    bench
        .apply(
            &plugins(),
            [source("load", 10, &["load"]), source("fast", 1, &["load"])],
        )
        .await;
    for _ in 0..100 {
        let late = bench.cycle().await.lateness.unwrap_or_default();
        assert!(late < Duration::from_secs(1), "{late:?}");
    }
    let status = bench.engine.scheduler();
    assert!(status.restarts > 10, "{}", status.restarts);
    assert_eq!(
        bench.engine.tasks().iter().map(|task| task.missed).sum::<u64>(),
        0
    );
}

#[tokio::test(start_paused = true)]
async fn schedules_do_not_disturb_each_other() {
    let mut bench = Bench::new(BenchOptions {
        start: -0.5,
        ..BenchOptions::default()
    });
    let sources = (1..=60).map(|interval| source(&format!("every {interval}"), interval, &["load"]));
    bench.apply(&plugins(), sources).await;
    let mut last = std::collections::HashMap::new();
    for _ in 0..1000 {
        let record = bench.cycle().await;
        let start = start_of(&record);
        if let Some(before) = last.insert(record.cycle.schedule.clone(), (start, record.cycle.number)) {
            assert_eq!(
                record.cycle.number,
                before.1 + 1,
                "{} at {start}",
                record.cycle.schedule
            );
        }
        assert!(
            record
                .lateness
                .is_none_or(|late| late <= Duration::from_millis(1)),
            "{:?}",
            record.lateness
        );
    }
    assert_eq!(last.len(), 60);
}

impl Bench {
    fn clock_now(&self) -> i64 {
        nephoscope_polling::clock::Clock::wall(&self.clock).as_micros()
    }
}

#[tokio::test(start_paused = true)]
async fn all_cycles_of_an_edge_start_before_the_first_does_its_work() {
    let clock = SimulatedClock::new(at(0.5));
    let stop = CancellationToken::new();
    let scheduler = Scheduler::start(
        Arc::new(clock),
        IntervalTicker::default(),
        stop.clone(),
        &tokio::runtime::Handle::current(),
    );
    let (seen, mut steps) = tokio::sync::mpsc::channel(1024);
    // The schedules share one edge: the first whole minute.
    let entries = [20, 30, 60].map(|interval| {
        let seen = seen.clone();
        Entry {
            prepare: None,
            expected: false,
            schedule: Schedule::every(secs(interval), secs(0)).unwrap(),
            delay: Duration::ZERO,
            run_in_progress: false,
            counters: Arc::default(),
            start: Arc::new(move |start| {
                let edge = start.cycle.start;
                seen.try_send((edge, "start")).unwrap();
                let seen = seen.clone();
                Some(Box::new(move || seen.try_send((edge, "work")).unwrap()))
            }),
        }
    });
    scheduler.set(entries.into()).await;
    let mut of_the_minute = Vec::new();
    while of_the_minute.len() < 6 {
        let (edge, step) = steps.recv().await.unwrap();
        if edge == at(60.0) {
            of_the_minute.push(step);
        }
    }
    stop.cancel();
    let expected = ["start", "start", "start", "work", "work", "work"];
    assert_eq!(of_the_minute, expected);
}
