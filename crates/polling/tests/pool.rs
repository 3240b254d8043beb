//! Shared work: the division of a cycle, the fence, finished and abandoned units, takeovers, and reloads.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::pool::{Pool, cycle};
use common::{Bench, BenchOptions, Doubles, at, measure, secs, source, start_of};
use nephoscope_coordination::{BootTime, Work};
use nephoscope_model::{Resource, Subject};
use nephoscope_plugin::{Failure, PartitionMode, Scope};
use nephoscope_polling::record::CycleRecord;
use tokio::time::{Instant, sleep, sleep_until};

/// Three shared resources with a pollster `good`, and the host with a pollster `host`.
fn pooled() -> Doubles {
    Doubles::default()
        .fixed_discovery("things", Scope::Shared, &["a", "b", "c"])
        .healthy("good", &["good"], Some("things"))
        .fixed_discovery("own", Scope::Host, &["node1"])
        .healthy("host", &["host"], Some("own"))
}

fn options(pool: &Arc<Pool>) -> BenchOptions {
    BenchOptions {
        coordinator: pool.clone(),
        // As with etcd: only the host's own resources are polled in the cycle in progress at the start.
        shared_in_progress: false,
        ..BenchOptions::default()
    }
}

async fn bench_in(pool: &Arc<Pool>, doubles: Doubles) -> Bench {
    let bench = Bench::new(options(pool));
    bench
        .apply(&Arc::new(doubles.0), [source("all", 10, &["*"])])
        .await;
    pool.calls();
    bench
}

/// Stops within 5 s, and returns the coordinator calls until the end.
async fn stopped(bench: &Bench, pool: &Pool) -> Vec<String> {
    let deadline = Instant::now() + secs(5);
    bench.engine.stop(deadline).await;
    bench.notifier.shutdown(deadline).await;
    bench.engine.settle(deadline).await;
    pool.calls()
}

/// The delivered samples as `meter resource`, sorted.
async fn delivered(bench: &Bench) -> Vec<String> {
    let samples = bench.samples().await.into_iter();
    samples
        .map(|(meter, resource, _)| format!("{meter} {resource}"))
        .collect()
}

/// Waits until this many seconds after the edge.
async fn until(bench: &Bench, seconds: f64) {
    use nephoscope_polling::clock::Clock;
    let left = at(seconds).as_micros() - bench.clock.wall().as_micros();
    sleep(Duration::from_micros(u64::try_from(left).expect("a future time"))).await;
}

/// Waits until all tasks are idle: paused time advances only then.
async fn all_idle() {
    sleep(Duration::from_millis(1)).await;
}

/// Adds a pollster that reports a sample of its first resource immediately, and then hangs.
fn hanging(doubles: Doubles, name: &'static str, listing: &str) -> Doubles {
    doubles.pollster(name, &[name], Some(listing), move |run| {
        Box::pin(async move {
            if let Some(page) = run.next_page().await {
                for resource in page.iter().take(1) {
                    let subject = Subject::new(resource.key().clone()).shared();
                    let mut report = run.report(resource);
                    report.add(name, &subject, 1);
                    report.send().await?;
                }
            }
            std::future::pending().await
        })
    })
}

fn note(record: &CycleRecord, pollster: &str) -> String {
    let poll = record.polls.iter().find(|poll| &*poll.pollster == pollster);
    let notes = &poll.expect("the pollster ran").notes;
    notes.first().map(|note| note.message.clone()).unwrap_or_default()
}

// ---- division

#[tokio::test(start_paused = true)]
async fn an_agent_polls_its_share_and_its_hosts_resources() {
    let pool = Pool::with(&["b"]);
    let mut bench = bench_in(&pool, pooled()).await;
    bench.cycle().await;
    assert_eq!(delivered(&bench).await, ["good b", "host node1"]);
    assert_eq!(
        stopped(&bench, &pool).await,
        ["finished things of 0", "stopping", "leave"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_discovery_of_another_agent_is_not_run() {
    for (mine, listed, samples) in [(&[][..], false, None), (&["things"][..], true, Some(&3))] {
        let pool = Pool::with(mine);
        let mut bench = Bench::new(options(&pool));
        let sources = [source("all", 10, &["*"]).partition(PartitionMode::Listing)];
        bench.apply(&Arc::new(pooled().0), sources).await;
        let record = bench.cycle().await;
        let was_listed = record
            .discovery_runs
            .iter()
            .any(|run| &*run.discovery == "things");
        assert_eq!(was_listed, listed);
        assert_eq!(bench.counts().await.get("good"), samples);
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_whose_share_is_empty_does_not_fall_back_to_other_resources() {
    let pool = Pool::with(&["x"]);
    let doubles = Doubles::default()
        .fixed_discovery("things", Scope::Shared, &["a", "b"])
        .fixed_discovery("nothing", Scope::Shared, &[])
        .fixed_discovery("default", Scope::Shared, &["x", "y"])
        .healthy("good", &["good"], Some("default"));
    let mut bench = Bench::new(options(&pool));
    let source = |listing: &str| source("all", 10, &["*"]).discovery(&[listing]);
    let plugins = Arc::new(doubles.0);
    bench.apply(&plugins, [source("things")]).await;
    bench.cycle().await;
    assert_eq!(delivered(&bench).await, [""; 0]);
    bench.apply(&plugins, [source("nothing")]).await;
    bench.cycle().await;
    assert_eq!(delivered(&bench).await, ["good x"]);
}

#[tokio::test(start_paused = true)]
async fn the_owner_of_the_fallback_checks_whether_it_is_needed() {
    for (listing, expected) in [("nothing", &["good x", "good y"][..]), ("things", &[])] {
        let pool = Pool::with(&["default"]);
        let doubles = Doubles::default()
            .fixed_discovery("nothing", Scope::Shared, &[])
            .fixed_discovery("things", Scope::Shared, &["a"])
            .fixed_discovery("default", Scope::Shared, &["x", "y"])
            .healthy("good", &["good"], Some("default"));
        let mut bench = Bench::new(options(&pool));
        let all = source("all", 10, &["*"]).discovery(&[listing]);
        bench
            .apply(&Arc::new(doubles.0), [all.partition(PartitionMode::Listing)])
            .await;
        bench.cycle().await;
        assert_eq!(delivered(&bench).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_plan_no_shared_resources_are_polled_and_the_record_has_the_reason() {
    let pool = Pool::with(&["a"]);
    pool.no_plan(Some("etcd does not answer"));
    let mut bench = bench_in(&pool, pooled()).await;
    assert_eq!(
        bench.cycle().await.no_plan.as_deref(),
        Some("etcd does not answer")
    );
    assert_eq!(delivered(&bench).await, ["host node1"]);
    assert_eq!(
        pool.calls(),
        [""; 0],
        "units that were not started are neither finished nor given up"
    );
}

#[tokio::test(start_paused = true)]
async fn the_hosts_resources_do_not_wait_for_the_plan() {
    let pool = Pool::with(&["a"]);
    pool.delay_plans(Duration::from_millis(900));
    let bench = bench_in(&pool, pooled()).await;
    until(&bench, 0.5).await;
    assert_eq!(delivered(&bench).await, ["host node1"]);
    until(&bench, 1.0).await;
    assert_eq!(delivered(&bench).await, ["good a", "host node1"]);
}

#[tokio::test(start_paused = true)]
async fn an_unresponsive_coordinator_affects_only_the_shared_part_of_its_cycle() {
    let pool = Pool::with(&["a"]);
    pool.delay_plans(secs(3600));
    let mut bench = bench_in(&pool, pooled()).await;
    let record = bench.cycle().await;
    assert_eq!(
        record.no_plan.as_deref(),
        Some("the coordinator did not answer before the deadline")
    );
    assert!(record.duration < secs(10));
    pool.delay_plans(Duration::ZERO);
    assert_eq!(start_of(&*bench.cycle().await), 10);
    assert_eq!(bench.counts().await.get("good"), Some(&1));
}

#[tokio::test(start_paused = true)]
async fn a_run_on_own_and_shared_resources_gets_both_even_with_a_late_plan() {
    let pool = Pool::with(&["a"]);
    pool.delay_plans(Duration::from_millis(900));
    let mut bench = Bench::new(options(&pool));
    let sources = [
        source("mixed", 10, &["good"]).discovery(&["own", "things"]),
        source("own", 10, &["host"]),
    ];
    bench.apply(&Arc::new(pooled().0), sources).await;
    let record = bench.cycle().await;
    assert_eq!(delivered(&bench).await, ["good a", "good node1", "host node1"]);
    assert_eq!(record.discovery_runs.len(), 2, "each discovery runs once");
}

#[tokio::test(start_paused = true)]
async fn a_cycle_that_other_agents_rely_on_is_run_even_if_late() {
    let pool = Pool::with(&["a"]);
    let mut bench = bench_in(&pool, pooled()).await;
    until(&bench, -0.5).await;
    // The process is stopped until little time of the cycle is left.
    tokio::time::advance(secs(8)).await;
    let record = bench.cycle().await;
    assert_eq!((start_of(&record), record.samples), (0, 2));
    assert!(record.lateness.unwrap() >= secs(7));
    assert_eq!(bench.engine.tasks()[0].missed, 0);
}

#[tokio::test(start_paused = true)]
async fn an_edge_is_announced_in_time_for_a_plan_and_only_for_shared_work() {
    let pool = Pool::with(&["a"]);
    let mut bench = Bench::new(options(&pool));
    let sources = [source("shared", 10, &["good"]), source("own", 5, &["host"])];
    bench.apply(&Arc::new(pooled().0), sources).await;
    while start_of(&*bench.cycle().await) < 20 {}
    let prepared = pool.prepared();
    let starts: Vec<_> = prepared.iter().map(|(start, ..)| *start).take(3).collect();
    assert_eq!(starts, [0, 10, 20]);
    for (_, then, edge, interval) in prepared {
        let ahead = edge - then;
        assert!(
            (secs(1)..=Duration::from_millis(2100)).contains(&ahead),
            "{ahead:?}"
        );
        assert_eq!(interval, secs(10));
    }
}

#[tokio::test(start_paused = true)]
async fn plugins_know_how_many_agents_share_their_resources() {
    let seen = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let mut doubles = Doubles::default();
    for (listing, scope) in [("things", Scope::Shared), ("own", Scope::Host)] {
        let seen = seen.clone();
        doubles = doubles.discovery(listing, scope, move |run| {
            seen.lock().push(format!("list {listing} {}", run.members()));
            Box::pin(async move { Ok(run.send(vec![Resource::new("a")]).await?) })
        });
    }
    for (pollster, listing) in [("good", "things"), ("host", "own")] {
        let seen = seen.clone();
        doubles = doubles.pollster(pollster, &[pollster], Some(listing), move |run| {
            seen.lock()
                .push(format!("poll {listing} {}", run.context().members));
            Box::pin(async move { measure(run, &[pollster]).await })
        });
    }
    let plugins = Arc::new(doubles.0);
    let members = |mode: PartitionMode| {
        let (seen, plugins) = (seen.clone(), plugins.clone());
        async move {
            let pool = Pool::with(&["a", "things"]);
            let mut bench = Bench::new(options(&pool));
            let sources = [source("all", 10, &["*"]).partition(mode)];
            bench.apply(&plugins, sources).await;
            bench.cycle().await;
            let mut seen = std::mem::take(&mut *seen.lock());
            seen.sort();
            seen
        }
    };
    let by_resource = ["list own 1", "list things 3", "poll own 1", "poll things 3"];
    assert_eq!(members(PartitionMode::Resource).await, by_resource);
    let by_listing = ["list own 1", "list things 1", "poll own 1", "poll things 1"];
    assert_eq!(members(PartitionMode::Listing).await, by_listing);
}

#[tokio::test(start_paused = true)]
async fn agents_with_different_meters_of_the_same_units_are_distinguished() {
    let pool = Pool::with(&[]);
    let bench = Bench::new(options(&pool));
    let doubles = Doubles::default()
        .fixed_discovery("things", Scope::Shared, &["a"])
        .healthy("one", &["one"], Some("things"))
        .healthy("two", &["two"], Some("things"))
        .fixed_discovery("own", Scope::Host, &["node1"])
        .healthy("host", &["host"], Some("own"));
    let plugins = Arc::new(doubles.0);
    let one = || source("one", 10, &["one"]);
    let two = || source("two", 10, &["two"]);
    bench.apply(&plugins, [one(), two()]).await;
    bench
        .apply(&plugins, [two(), one(), source("own", 10, &["host"])])
        .await;
    bench.apply(&plugins, [one()]).await;
    let meters = pool.meters();
    assert_eq!(
        meters[0], meters[1],
        "the order and the host's own meters do not matter"
    );
    assert_ne!(meters[0], meters[2]);
}

// ---- fence

#[tokio::test(start_paused = true)]
async fn a_closed_fence_blocks_shared_samples_and_not_the_hosts_own() {
    let pool = Pool::with(&["a", "b", "c"]);
    pool.fence(|_, _, _| false);
    let mut bench = bench_in(&pool, pooled()).await;
    let record = bench.cycle().await;
    assert_eq!(delivered(&bench).await, ["host node1"]);
    let poll = record
        .polls
        .iter()
        .find(|poll| &*poll.pollster == "good")
        .unwrap();
    assert_eq!((poll.samples, poll.fenced), (0, 3), "blocked samples are counted");
    assert_eq!(pool.calls(), ["gave up things of 0"], "other agents may poll it");
}

#[tokio::test(start_paused = true)]
async fn the_fence_receives_the_work_its_units_and_the_end_of_each_batch() {
    let pool = Pool::with(&["a", "b"]);
    let requests = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let seen = requests.clone();
    pool.fence(move |work, units, finished| {
        let units: Vec<_> = units.iter().map(ToString::to_string).collect();
        seen.lock().push((
            work.to_string(),
            units.join(", "),
            finished.since_boot().as_millis(),
        ));
        true
    });
    // The second resource is measured 3 s later, too late for the batch of the first.
    let doubles = Doubles::default()
        .fixed_discovery("things", Scope::Shared, &["a", "b"])
        .pollster("slow", &["slow"], Some("things"), |run| {
            Box::pin(async move {
                let page = run.next_page().await.expect("a page");
                for resource in page.iter() {
                    let subject = Subject::new(resource.key().clone()).shared();
                    let mut report = run.report(resource);
                    for n in 0..50 {
                        report.add("slow", &subject, n);
                    }
                    report.send().await?;
                    sleep(secs(3)).await;
                }
                Ok(())
            })
        });
    let mut bench = bench_in(&pool, doubles).await;
    bench.cycle().await;
    // The simulated machine started 4 s before the edge.
    let (work, unit) = (
        "every:10:0@2026-01-02T03:00:00Z",
        "things on every:10:0 by resource",
    );
    let expected = [4000, 7000].map(|millis| (work.to_owned(), unit.to_owned(), millis));
    let millis = |list: &[(String, String, u128)]| list.iter().map(|one| one.2).collect::<Vec<_>>();
    let requests = requests.lock().clone();
    assert_eq!(millis(&requests), millis(&expected));
    assert_eq!(requests[0].1, unit);
    assert!(requests[0].0.starts_with("every:10:0@"), "{}", requests[0].0);
}

#[tokio::test(start_paused = true)]
async fn a_temporary_doubt_blocks_only_the_samples_reported_during_it() {
    let pool = Pool::with(&["a", "b", "c"]);
    // In doubt from 1 s to 3 s after the edge; the simulated machine started 4 s before it.
    pool.fence(|_, _, finished| !(secs(5)..secs(7)).contains(&finished.since_boot()));
    let doubles = Doubles::default()
        .fixed_discovery("things", Scope::Shared, &["a", "b", "c"])
        .pollster("slow", &["slow"], Some("things"), |run| {
            Box::pin(async move {
                let page = run.next_page().await.expect("a page");
                for resource in page.iter() {
                    let subject = Subject::new(resource.key().clone()).shared();
                    let mut report = run.report(resource);
                    for n in 0..50 {
                        report.add("slow", &subject, n);
                    }
                    report.send().await?;
                    sleep(secs(2)).await;
                }
                Ok(())
            })
        });
    let mut bench = bench_in(&pool, doubles).await;
    let record = bench.cycle().await;
    assert_eq!((record.samples, record.polls[0].fenced), (100, 50));
    assert_eq!(pool.calls(), ["gave up things of 0"]);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_plan_aborts_polls_and_earlier_samples_are_submitted() {
    let pool = Pool::with(&["a", "b", "c"]);
    // The lease ends 2 s after the edge; the simulated machine started 4 s before it.
    pool.fence(|_, _, finished| finished <= BootTime::after_boot(secs(6)));
    let doubles = hanging(pooled(), "hang", "things").pollster("late", &["late"], Some("things"), |run| {
        Box::pin(async move {
            let page = run.next_page().await.expect("a page");
            sleep(Duration::from_millis(2500)).await;
            for resource in page.iter() {
                let subject = Subject::new(resource.key().clone()).shared();
                let mut report = run.report(resource);
                report.add("late", &subject, 1);
                report.send().await?;
            }
            std::future::pending().await
        })
    });
    let mut bench = bench_in(&pool, doubles).await;
    until(&bench, 3.0).await;
    pool.cancel();
    let record = bench.cycle().await;
    assert!(
        record.duration < Duration::from_millis(3200),
        "{:?}",
        record.duration
    );
    assert!(
        note(&record, "hang").contains("have taken over this agent's part"),
        "{}",
        note(&record, "hang")
    );
    let expected = ["good a", "good b", "good c", "hang a", "host node1"];
    assert_eq!(delivered(&bench).await, expected, "`late` was too late");
    assert_eq!(pool.calls(), ["gave up things of 0"]);
}

// ---- finished and abandoned units

#[tokio::test(start_paused = true)]
async fn a_unit_is_finished_as_soon_as_its_own_polls_end() {
    let pool = Pool::with(&["a", "x"]);
    let doubles = pooled().fixed_discovery("others", Scope::Shared, &["x"]);
    let mut bench = bench_in(&pool, hanging(doubles, "hang", "others")).await;
    until(&bench, 1.0).await;
    assert_eq!(pool.calls(), ["finished things of 0"]);
    bench.cycle().await;
    bench.delivered().await;
    all_idle().await;
    assert_eq!(
        pool.calls(),
        ["finished others of 0"],
        "a failed poll is finished"
    );
}

#[tokio::test(start_paused = true)]
async fn a_unit_is_finished_when_its_samples_are_delivered() {
    let pool = Pool::with(&["a"]);
    let bench = Bench::new(BenchOptions {
        publish: secs(3),
        ..options(&pool)
    });
    bench
        .apply(&Arc::new(pooled().0), [source("all", 10, &["good"])])
        .await;
    pool.calls();
    until(&bench, 2.5).await;
    assert_eq!(pool.calls(), [""; 0]);
    until(&bench, 3.5).await;
    assert_eq!(pool.calls(), ["finished things of 0"]);
}

#[tokio::test(start_paused = true)]
async fn a_unit_with_an_unreachable_service_is_given_up() {
    let pool = Pool::with(&["a"]);
    let doubles = Doubles::default()
        .fixed_discovery("things", Scope::Shared, &["a"])
        .pollster("away", &["away"], Some("things"), |_| {
            Box::pin(async { Err(Failure::unreachable("no route")) })
        })
        .discovery("gone", Scope::Shared, |_| {
            Box::pin(async { Err(Failure::unreachable("connection refused")) })
        })
        .healthy("one", &["one"], Some("gone"))
        .discovery("broken", Scope::Shared, |_| {
            Box::pin(async { Err(Failure::transient("error 500")) })
        })
        .healthy("two", &["two"], Some("broken"));
    let mut bench = bench_in(&pool, doubles).await;
    bench.cycle().await;
    let mut calls = pool.calls();
    calls.sort();
    assert_eq!(
        calls,
        ["finished broken of 0", "gave up gone of 0", "gave up things of 0"],
        "any response of the service counts as a poll"
    );
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_discovery_gives_up_only_its_own_unit() {
    let pool = Pool::with(&["a"]);
    let doubles = Doubles::default()
        .fixed_discovery("things", Scope::Shared, &["a"])
        .discovery("gone", Scope::Shared, |_| {
            Box::pin(async { Err(Failure::unreachable("connection refused")) })
        })
        .healthy("good", &["good"], None);
    let mut bench = Bench::new(options(&pool));
    let both = source("all", 10, &["*"]).discovery(&["gone", "things"]);
    bench.apply(&Arc::new(doubles.0), [both]).await;
    pool.calls();
    bench.cycle().await;
    assert_eq!(delivered(&bench).await, ["good a"]);
    assert_eq!(pool.calls(), ["gave up gone of 0", "finished things of 0"]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_gives_up_unfinished_units() {
    let pool = Pool::with(&["a", "x"]);
    let doubles = pooled().fixed_discovery("others", Scope::Shared, &["x"]);
    let bench = bench_in(&pool, hanging(doubles, "hang", "others")).await;
    until(&bench, 1.0).await;
    assert_eq!(
        stopped(&bench, &pool).await,
        ["finished things of 0", "stopping", "gave up others of 0", "leave"]
    );
    assert!(
        delivered(&bench).await.contains(&"hang x".to_owned()),
        "samples reported before the stop are delivered"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stop_gives_up_units_without_receipts() {
    let pool = Pool::with(&["a"]);
    let mut bench = Bench::new(BenchOptions {
        publish: secs(3600),
        ..options(&pool)
    });
    bench
        .apply(&Arc::new(pooled().0), [source("all", 10, &["good"])])
        .await;
    pool.calls();
    bench.cycle().await;
    let deadline = Instant::now() + secs(2);
    bench.engine.stop(deadline).await;
    bench.engine.settle(deadline).await;
    assert_eq!(pool.calls(), ["stopping", "gave up things of 0", "leave"]);
}

#[tokio::test(start_paused = true)]
async fn a_skipped_cycle_is_reported() {
    // 40 batches at 0.9 s each: submitting them takes longer than three cycles.
    let keys: Vec<_> = (0..2000).map(|index| format!("r{index}")).collect();
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    let pool = Pool::with(&["a"]);
    let doubles = Doubles::default()
        .fixed_discovery("things", Scope::Shared, &["a"])
        .healthy("good", &["good"], Some("things"))
        .fixed_discovery("many", Scope::Host, &keys)
        .healthy("load", &["load"], Some("many"));
    let mut bench = Bench::new(BenchOptions {
        queue: 100,
        publish: Duration::from_millis(900),
        ..options(&pool)
    });
    bench
        .apply(&Arc::new(doubles.0), [source("all", 10, &["*"])])
        .await;
    pool.calls();
    bench.cycle().await;
    let calls = pool.calls();
    let skipped: Vec<_> = calls.iter().filter(|line| line.starts_with("skipped")).collect();
    assert_eq!(skipped, ["skipped 10", "skipped 20", "skipped 30"]);
}

// ---- work outside the edges

#[tokio::test(start_paused = true)]
async fn a_takeover_polls_concurrently_with_a_running_cycle() {
    let pool = Pool::with(&["a", "x"]);
    let doubles = pooled()
        .fixed_discovery("others", Scope::Shared, &["x", "y"])
        .healthy("more", &["more"], Some("others"));
    let mut bench = bench_in(&pool, hanging(doubles, "hang", "things")).await;
    until(&bench, 3.0).await;
    assert!(bench.engine.tasks()[0].running);
    pool.takeover(1, 0, &["others"], &["y"], 5).await;
    let record = bench.cycle().await;
    assert_eq!((start_of(&record), record.takeover), (0, Some(1)));
    assert_eq!(
        (record.resources, record.lateness),
        (1, None),
        "only the share of the assigned units"
    );
    let listed: Vec<_> = record.discovery_runs.iter().map(|run| &*run.discovery).collect();
    assert_eq!(listed, ["others"], "only the assigned discovery runs again");
    assert_eq!(
        delivered(&bench).await,
        ["good a", "hang a", "host node1", "more x", "more y"],
        "samples of the hanging poll do not wait for its end"
    );
    let record = bench.cycle().await;
    assert_eq!(
        (start_of(&record), record.takeover),
        (0, None),
        "the regular cycle is not affected"
    );
    let task = &bench.engine.tasks()[0];
    assert_eq!((task.cycles, task.takeovers, task.overruns), (1, 1, 0));
    let calls = pool.calls();
    assert!(calls.contains(&"finished others of 0".to_owned()), "{calls:?}");
    assert!(calls.contains(&"finished others of 0/1".to_owned()), "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn samples_of_a_takeover_have_the_same_ids_as_the_owners() {
    let mut ids = Vec::new();
    for share in [&["b"][..], &[][..]] {
        let pool = Pool::with(share);
        let mut bench = bench_in(&pool, pooled()).await;
        bench.cycle().await;
        if share.is_empty() {
            pool.takeover(7, 0, &["things"], &["b"], 5).await;
            bench.cycle().await;
        }
        bench.delivered().await;
        let stored = bench.stored.0.lock();
        let of_b = stored.iter().filter(|sample| &*sample.subject.resource_id == "b");
        ids.push(of_b.map(|sample| sample.id.clone()).collect::<Vec<_>>());
    }
    assert_eq!(ids[0].len(), 1);
    assert_eq!(ids[0], ids[1]);
}

#[tokio::test(start_paused = true)]
async fn a_takeover_finds_new_resources() {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    let doubles = Doubles::default()
        .discovery("things", Scope::Shared, move |run| {
            let keys = if counted.fetch_add(1, Ordering::SeqCst) == 0 {
                &["a"][..]
            } else {
                &["a", "new"]
            };
            let page = keys.iter().map(|key| Resource::new(*key)).collect();
            Box::pin(async move { Ok(run.send(page).await?) })
        })
        .healthy("good", &["good"], Some("things"));
    let pool = Pool::with(&["a"]);
    let mut bench = bench_in(&pool, doubles).await;
    bench.cycle().await;
    pool.takeover(1, 0, &["things"], &["new"], 5).await;
    bench.cycle().await;
    assert_eq!(delivered(&bench).await, ["good a", "good new"]);
    assert_eq!(runs.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_hung_poll_of_a_takeover_ends_with_it_and_delays_no_cycle() {
    let pool = Pool::with(&["a"]);
    let mut bench = bench_in(&pool, hanging(pooled(), "hang", "things")).await;
    // The takeover lasts until the end of the cycle plus a lease, so it overlaps the next cycle.
    until(&bench, 8.0).await;
    let until = Instant::now() + secs(7);
    pool.takeover(1, 0, &["things"], &["b"], 7).await;
    let records = [bench.cycle().await, bench.cycle().await];
    let of: Vec<_> = records
        .iter()
        .map(|record| (start_of(record), record.takeover))
        .collect();
    assert_eq!(of, [(0, None), (0, Some(1))]);
    assert!(Instant::now() <= until + Duration::from_millis(200));
    assert!(records[1].duration >= secs(6), "{:?}", records[1].duration);
    let next = bench.cycle().await;
    assert_eq!(start_of(&next), 10);
    assert!(next.lateness.unwrap() <= Duration::from_millis(1));
    assert_eq!(bench.engine.tasks()[0].overruns, 0);
    bench.delivered().await;
    let calls = pool.calls();
    assert!(
        calls.contains(&"finished things of 0/1".to_owned()),
        "a failed poll is finished: {calls:?}"
    );
    let delivered = delivered(&bench).await;
    assert!(delivered.contains(&"hang b".to_owned()), "{delivered:?}");
}

#[tokio::test(start_paused = true)]
async fn hung_polls_of_a_takeover_use_no_permits_of_regular_cycles() {
    let pool = Pool::with(&["a"]);
    let limits = nephoscope_polling::limits::LimitOptions {
        max_concurrent_polls: 1,
        ..Default::default()
    };
    let mut bench = Bench::new(BenchOptions {
        limits,
        ..options(&pool)
    });
    // The poll hangs on the resource `b`.
    let doubles = Doubles::default()
        .fixed_discovery("things", Scope::Shared, &["a", "b"])
        .pollster("picky", &["picky"], Some("things"), |run| {
            Box::pin(async move {
                let page = run.next_page().await.expect("a page");
                for resource in page.iter() {
                    if &**resource.key() == "b" {
                        std::future::pending::<()>().await;
                    }
                    let subject = Subject::new(resource.key().clone()).shared();
                    let mut report = run.report(resource);
                    report.add("picky", &subject, 1);
                    report.send().await?;
                }
                Ok(())
            })
        });
    bench
        .apply(&Arc::new(doubles.0), [source("all", 10, &["*"])])
        .await;
    bench.cycle().await;
    pool.takeover(1, 0, &["things"], &["b"], 15).await;
    let next = bench.cycle().await;
    assert_eq!((start_of(&next), next.takeover, next.samples), (10, None, 1));
}

#[tokio::test(start_paused = true)]
async fn a_takeover_is_given_up_when_it_is_lost_or_the_agent_stops() {
    for stops in [false, true] {
        let pool = Pool::with(&["a"]);
        let doubles = Doubles::default().fixed_discovery("things", Scope::Shared, &["a", "b"]);
        let mut bench = bench_in(&pool, hanging(doubles, "hang", "things")).await;
        bench.cycle().await;
        pool.calls();
        let lost = pool.takeover(3, 0, &["things"], &["b"], 9).await;
        sleep(secs(1)).await;
        if stops {
            let calls = stopped(&bench, &pool).await;
            assert!(calls.contains(&"gave up things of 0/3".to_owned()), "{calls:?}");
        } else {
            lost.cancel();
            while bench.cycle().await.takeover.is_none() {}
            let calls = pool.calls();
            assert!(calls.contains(&"gave up things of 0/3".to_owned()), "{calls:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn units_that_are_not_configured_are_given_up_immediately() {
    let pool = Pool::with(&["a"]);
    let mut bench = bench_in(&pool, pooled()).await;
    bench.cycle().await;
    bench.delivered().await;
    pool.calls();
    pool.takeover(1, 0, &["things", "unknown"], &["b"], 5).await;
    bench.cycle().await;
    bench.delivered().await;
    all_idle().await;
    assert_eq!(pool.calls(), ["gave up unknown of 0/1", "finished things of 0/1"]);
    // The deadline has passed.
    pool.takeover(2, 0, &["things"], &["b"], 0).await;
    all_idle().await;
    assert_eq!(pool.calls(), ["gave up things of 0/2"]);
}

#[tokio::test(start_paused = true)]
async fn the_cycle_in_progress_runs_once_when_its_plan_arrives() {
    let pool = Pool::with(&["a"]);
    pool.no_plan(Some("no plan yet"));
    let mut bench = bench_in(&pool, pooled()).await;
    let record = bench.cycle().await;
    assert_eq!((start_of(&record), record.no_plan.is_some()), (0, true));
    pool.no_plan(None);
    let edge = Instant::now();
    let in_progress = || Work::InProgress {
        cycle: cycle(0),
        edge,
        interval: secs(10),
    };
    pool.assign(in_progress()).await;
    let record = bench.cycle().await;
    assert_eq!(
        (start_of(&record), record.takeover, record.lateness),
        (0, None, None)
    );
    assert_eq!(
        delivered(&bench).await,
        ["good a", "host node1"],
        "the host's resources were polled before"
    );
    pool.assign(in_progress()).await;
    assert_eq!(start_of(&*bench.cycle().await), 10, "it runs only once");
    assert_eq!(pool.calls()[0], "finished things of 0");
}

#[tokio::test(start_paused = true)]
async fn at_the_start_only_the_hosts_part_of_the_cycle_in_progress_is_polled() {
    let pool = Pool::with(&["a"]);
    let mut bench = Bench::new(BenchOptions {
        start: 2.0,
        ..options(&pool)
    });
    let sources = [source("all", 10, &["*"]), source("shared", 20, &["good"])];
    bench.apply(&Arc::new(pooled().0), sources).await;
    let record = bench.cycle().await;
    assert_eq!((start_of(&record), &record.no_plan), (0, &None));
    assert_eq!(delivered(&bench).await, ["host node1"]);
    assert_eq!(start_of(&*bench.cycle().await), 10);
}

#[tokio::test(start_paused = true)]
async fn a_cycle_in_progress_past_its_deadline_is_reported_as_skipped() {
    let pool = Pool::with(&["a"]);
    let bench = bench_in(&pool, pooled()).await;
    sleep_until(Instant::now() + secs(2)).await;
    pool.assign(Work::InProgress {
        cycle: cycle(-10),
        edge: Instant::now() - secs(10),
        interval: secs(10),
    })
    .await;
    all_idle().await;
    assert_eq!(pool.calls(), ["skipped -10"]);
    drop(bench);
}

// ---- reloads

/// `old` and `new` are shared units, `own` belongs to the host.
fn two_units() -> Doubles {
    Doubles::default()
        .fixed_discovery("old", Scope::Shared, &["o"])
        .healthy("one", &["one"], Some("old"))
        .fixed_discovery("new", Scope::Shared, &["n"])
        .healthy("two", &["two"], Some("new"))
        .fixed_discovery("own", Scope::Host, &["node1"])
        .healthy("host", &["host"], Some("own"))
        .healthy("host.more", &["host.more"], Some("own"))
}

/// The samples since the last call.
async fn new_samples(bench: &Bench) -> Vec<String> {
    let all = delivered(bench).await;
    bench.stored.0.lock().clear();
    all
}

#[tokio::test(start_paused = true)]
async fn shared_work_changes_with_the_first_plan_that_lists_it_and_the_hosts_own_immediately() {
    let pool = Pool::with(&["o", "n"]);
    pool.lists(Some(&["old"]));
    let mut bench = Bench::new(options(&pool));
    let plugins = Arc::new(two_units().0);
    bench.apply(&plugins, [source("s", 10, &["one", "host"])]).await;
    bench.cycle().await;
    assert_eq!(new_samples(&bench).await, ["host node1", "one o"]);

    bench
        .apply(&plugins, [source("s", 10, &["two", "host", "host.more"])])
        .await;
    bench.cycle().await;
    assert_eq!(
        new_samples(&bench).await,
        ["host node1", "host.more node1", "one o"]
    );

    pool.lists(Some(&["new"]));
    bench.cycle().await;
    assert_eq!(
        new_samples(&bench).await,
        ["host node1", "host.more node1", "two n"]
    );
    // A plan from before the reload is no longer used.
    pool.lists(Some(&["old"]));
    bench.cycle().await;
    assert_eq!(
        new_samples(&bench).await,
        ["host node1", "host.more node1", "two n"]
    );
}

#[tokio::test(start_paused = true)]
async fn each_of_two_reloads_waits_for_its_own_plan() {
    let pool = Pool::with(&["o", "n"]);
    pool.lists(Some(&["old"]));
    let mut bench = Bench::new(options(&pool));
    let plugins = Arc::new(two_units().0);
    for meters in [&["one"][..], &["one", "two"], &["two"]] {
        bench.apply(&plugins, [source("s", 10, meters)]).await;
    }
    for (listed, expected) in [
        (&["old"][..], &["one o"][..]),
        (&["old", "new"], &["one o", "two n"]),
        (&["new"], &["two n"]),
    ] {
        pool.lists(Some(listed));
        bench.cycle().await;
        assert_eq!(new_samples(&bench).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_of_meters_only_takes_effect_immediately() {
    let pool = Pool::with(&["o"]);
    pool.lists(Some(&["old"]));
    let mut bench = Bench::new(options(&pool));
    let doubles = two_units().healthy("three", &["three"], Some("old"));
    let plugins = Arc::new(doubles.0);
    bench.apply(&plugins, [source("s", 10, &["one"])]).await;
    bench.cycle().await;
    bench.apply(&plugins, [source("s", 10, &["three"])]).await;
    new_samples(&bench).await;
    bench.cycle().await;
    assert_eq!(new_samples(&bench).await, ["three o"]);
}

#[tokio::test(start_paused = true)]
async fn a_removed_schedule_continues_shared_work_until_a_plan_drops_it() {
    let pool = Pool::with(&["o", "n"]);
    pool.lists(Some(&["old"]));
    let mut bench = Bench::new(options(&pool));
    let plugins = Arc::new(two_units().0);
    bench
        .apply(
            &plugins,
            [source("s", 10, &["one", "host"]), source("other", 60, &["host"])],
        )
        .await;
    bench.cycle().await;
    new_samples(&bench).await;
    let applied = bench
        .engine
        .apply(&[source("other", 60, &["host"]).source], plugins)
        .await;
    assert_eq!((applied.unchanged, applied.removed), (1, 1));
    assert_eq!(bench.engine.tasks().len(), 1, "it is no longer listed");
    let mut starts = vec![start_of(&*bench.cycle().await)];
    if starts == [0] {
        // The other schedule has an edge at 0 as well.
        starts = vec![start_of(&*bench.cycle().await)];
    }
    assert_eq!(starts, [10]);
    let polled = new_samples(&bench).await;
    assert!(polled.contains(&"one o".to_owned()), "{polled:?}");
    pool.lists(Some(&[]));
    assert_eq!(start_of(&*bench.cycle().await), 60, "it is removed");
    let prepared: Vec<_> = pool.prepared().iter().map(|(start, ..)| *start).collect();
    assert_eq!(prepared, [0, 10, 20], "it has no further edges");
    assert_eq!(new_samples(&bench).await, ["host node1"]);
}

#[tokio::test(start_paused = true)]
async fn a_removed_schedule_without_a_plan_is_dropped_immediately_and_can_return() {
    let pool = Pool::with(&["o"]);
    let mut bench = Bench::new(options(&pool));
    let plugins = Arc::new(two_units().0);
    let with = [source("s", 10, &["one"]), source("other", 60, &["host"])];
    bench.apply(&plugins, with.clone()).await;
    while start_of(&*bench.cycle().await) < 10 {}
    pool.no_plan(Some("no agent polls it"));
    bench.apply(&plugins, [source("other", 60, &["host"])]).await;
    let record = bench.cycle().await;
    assert_eq!((start_of(&record), &record.no_plan), (60, &None), "it is dropped");
    pool.no_plan(None);
    bench.apply(&plugins, with).await;
    assert_eq!(start_of(&*bench.cycle().await), 70);
    assert_eq!(bench.engine.tasks().len(), 2);
}
