//! What agents share: the division of a cycle, the fence, what is finished and what is given up, work that others have left
//! undone, and reloads.

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

/// Three shared things with a pollster `good`, and the host itself with a pollster `host`.
fn pooled() -> Doubles {
    Doubles::default()
        .listing("things", Scope::Shared, &["a", "b", "c"])
        .healthy("good", &["good"], Some("things"))
        .listing("own", Scope::Host, &["node1"])
        .healthy("host", &["host"], Some("own"))
}

fn options(pool: &Arc<Pool>) -> BenchOptions {
    BenchOptions {
        coordinator: pool.clone(),
        // As with etcd: only what is the host's own is polled in the cycle in progress at the start.
        shared_in_progress: false,
        ..BenchOptions::default()
    }
}

async fn bench_in(pool: &Arc<Pool>, doubles: Doubles) -> Bench {
    let bench = Bench::new(options(pool));
    bench
        .apply(&Arc::new(doubles.0), [source("all", 10, &["*"])])
        .await;
    pool.told();
    bench
}

/// Stops within 5 s, and gives what the pool was told until the end.
async fn stopped(bench: &Bench, pool: &Pool) -> Vec<String> {
    let deadline = Instant::now() + secs(5);
    bench.engine.stop(deadline).await;
    bench.notifier.shutdown(deadline).await;
    bench.engine.settle(deadline).await;
    pool.told()
}

/// What the publisher has: `meter resource`, sorted.
async fn delivered(bench: &Bench) -> Vec<String> {
    let samples = bench.samples().await.into_iter();
    samples
        .map(|(meter, resource, _)| format!("{meter} {resource}"))
        .collect()
}

/// Waits until so many seconds after the edge.
async fn until(bench: &Bench, seconds: f64) {
    use nephoscope_polling::clock::Clock;
    let left = at(seconds).as_micros() - bench.clock.wall().as_micros();
    sleep(Duration::from_micros(
        u64::try_from(left).expect("a time to come"),
    ))
    .await;
}

/// Waits until nobody has anything to do but to wait: only then paused time goes on.
async fn all_idle() {
    sleep(Duration::from_millis(1)).await;
}

/// A pollster that reports a sample of its first resource at once, and then hangs.
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

// ---- the division

#[tokio::test(start_paused = true)]
async fn an_agent_polls_its_share_and_all_that_is_its_hosts() {
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
async fn a_listing_that_another_agent_owns_is_not_even_asked_for() {
    for (mine, listed, samples) in [(&[][..], false, None), (&["things"][..], true, Some(&3))] {
        let pool = Pool::with(mine);
        let mut bench = Bench::new(options(&pool));
        let sources = [source("all", 10, &["*"]).partition(PartitionMode::Listing)];
        bench.apply(&Arc::new(pooled().0), sources).await;
        let record = bench.cycle().await;
        let was_listed = record
            .listings
            .iter()
            .any(|listing| &*listing.listing == "things");
        assert_eq!(was_listed, listed);
        assert_eq!(bench.counts().await.get("good"), samples);
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_whose_share_is_empty_does_not_fall_back_to_other_resources() {
    let pool = Pool::with(&["x"]);
    let doubles = Doubles::default()
        .listing("things", Scope::Shared, &["a", "b"])
        .listing("nothing", Scope::Shared, &[])
        .listing("default", Scope::Shared, &["x", "y"])
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
async fn who_owns_the_fallback_looks_whether_it_is_needed_even_if_the_rest_is_others() {
    for (listing, expected) in [("nothing", &["good x", "good y"][..]), ("things", &[])] {
        let pool = Pool::with(&["default"]);
        let doubles = Doubles::default()
            .listing("nothing", Scope::Shared, &[])
            .listing("things", Scope::Shared, &["a"])
            .listing("default", Scope::Shared, &["x", "y"])
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
async fn without_a_plan_nothing_shared_is_polled_and_the_record_says_why() {
    let pool = Pool::with(&["a"]);
    pool.no_plan(Some("etcd does not answer"));
    let mut bench = bench_in(&pool, pooled()).await;
    assert_eq!(
        bench.cycle().await.no_plan.as_deref(),
        Some("etcd does not answer")
    );
    assert_eq!(delivered(&bench).await, ["host node1"]);
    assert_eq!(
        pool.told(),
        [""; 0],
        "what was not begun is neither finished nor given up"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_the_hosts_own_does_not_wait_for_the_plan() {
    let pool = Pool::with(&["a"]);
    pool.slow(Duration::from_millis(900));
    let bench = bench_in(&pool, pooled()).await;
    until(&bench, 0.5).await;
    assert_eq!(delivered(&bench).await, ["host node1"]);
    until(&bench, 1.0).await;
    assert_eq!(delivered(&bench).await, ["good a", "host node1"]);
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_never_answers_costs_the_shared_part_of_its_cycle() {
    let pool = Pool::with(&["a"]);
    pool.slow(secs(3600));
    let mut bench = bench_in(&pool, pooled()).await;
    let record = bench.cycle().await;
    assert_eq!(
        record.no_plan.as_deref(),
        Some("the coordinator did not answer in time")
    );
    assert!(record.duration < secs(10));
    pool.slow(Duration::ZERO);
    assert_eq!(start_of(&*bench.cycle().await), 10);
    assert_eq!(bench.counts().await.get("good"), Some(&1));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_mixes_the_hosts_own_with_what_is_shared_gets_both_however_late_the_plan_comes() {
    let pool = Pool::with(&["a"]);
    pool.slow(Duration::from_millis(900));
    let mut bench = Bench::new(options(&pool));
    let sources = [
        source("mixed", 10, &["good"]).discovery(&["own", "things"]),
        source("own", 10, &["host"]),
    ];
    bench.apply(&Arc::new(pooled().0), sources).await;
    let record = bench.cycle().await;
    assert_eq!(delivered(&bench).await, ["good a", "good node1", "host node1"]);
    assert_eq!(record.listings.len(), 2, "each is listed once");
}

#[tokio::test(start_paused = true)]
async fn a_cycle_that_others_count_on_is_run_however_late_it_begins() {
    let pool = Pool::with(&["a"]);
    let mut bench = bench_in(&pool, pooled()).await;
    until(&bench, -0.5).await;
    // The process is stopped until little of the cycle is left.
    tokio::time::advance(secs(8)).await;
    let record = bench.cycle().await;
    assert_eq!((start_of(&record), record.samples), (0, 2));
    assert!(record.lateness.unwrap() >= secs(7));
    assert_eq!(bench.engine.tasks()[0].missed, 0);
}

#[tokio::test(start_paused = true)]
async fn an_edge_is_announced_in_time_for_a_plan_and_only_where_agents_share_something() {
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
async fn plugins_learn_how_many_agents_share_their_resources() {
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
async fn agents_that_want_other_meters_of_the_same_units_can_be_told_apart() {
    let pool = Pool::with(&[]);
    let bench = Bench::new(options(&pool));
    let doubles = Doubles::default()
        .listing("things", Scope::Shared, &["a"])
        .healthy("one", &["one"], Some("things"))
        .healthy("two", &["two"], Some("things"))
        .listing("own", Scope::Host, &["node1"])
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
        "neither order nor the host's own meters count"
    );
    assert_ne!(meters[0], meters[2]);
}

// ---- the fence

#[tokio::test(start_paused = true)]
async fn behind_a_closed_fence_nothing_shared_is_handed_over_and_the_hosts_own_goes_on() {
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
    assert_eq!(
        (poll.samples, poll.fenced),
        (0, 3),
        "what is kept back is counted"
    );
    assert_eq!(pool.told(), ["gave up things of 0"], "others may poll it");
}

#[tokio::test(start_paused = true)]
async fn the_fence_is_asked_with_the_work_its_units_and_the_end_of_each_batch() {
    let pool = Pool::with(&["a", "b"]);
    let asked = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let seen = asked.clone();
    pool.fence(move |work, units, finished| {
        let units: Vec<_> = units.iter().map(ToString::to_string).collect();
        seen.lock().push((
            work.to_string(),
            units.join(", "),
            finished.since_boot().as_millis(),
        ));
        true
    });
    // The second resource is measured 3 s later: too late for the first one's batch.
    let doubles = Doubles::default()
        .listing("things", Scope::Shared, &["a", "b"])
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
    // The simulated machine was started 4 s before the edge.
    let (work, unit) = (
        "every:10:0@2026-01-02T03:00:00Z",
        "things on every:10:0 by resource",
    );
    let expected = [4000, 7000].map(|millis| (work.to_owned(), unit.to_owned(), millis));
    let millis = |list: &[(String, String, u128)]| list.iter().map(|one| one.2).collect::<Vec<_>>();
    let asked = asked.lock().clone();
    assert_eq!(millis(&asked), millis(&expected));
    assert_eq!(asked[0].1, unit);
    assert!(asked[0].0.starts_with("every:10:0@"), "{}", asked[0].0);
}

#[tokio::test(start_paused = true)]
async fn a_doubt_that_goes_costs_only_what_came_while_it_was_there() {
    let pool = Pool::with(&["a", "b", "c"]);
    // In doubt from 1 s to 3 s after the edge; the simulated machine was started 4 s before it.
    pool.fence(|_, _, finished| !(secs(5)..secs(7)).contains(&finished.since_boot()));
    let doubles = Doubles::default()
        .listing("things", Scope::Shared, &["a", "b", "c"])
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
    assert_eq!(pool.told(), ["gave up things of 0"]);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_plan_ends_polls_at_once_and_what_was_finished_before_still_goes() {
    let pool = Pool::with(&["a", "b", "c"]);
    // The lease ends 2 s after the edge, the simulated machine was started 4 s before it.
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
        note(&record, "hang").contains("lost its part of the work"),
        "{}",
        note(&record, "hang")
    );
    let expected = ["good a", "good b", "good c", "hang a", "host node1"];
    assert_eq!(delivered(&bench).await, expected, "`late` was too late");
    assert_eq!(pool.told(), ["gave up things of 0"]);
}

// ---- what is finished, and what is given up

#[tokio::test(start_paused = true)]
async fn a_unit_is_finished_as_soon_as_its_own_polls_are() {
    let pool = Pool::with(&["a", "x"]);
    let doubles = pooled().listing("others", Scope::Shared, &["x"]);
    let mut bench = bench_in(&pool, hanging(doubles, "hang", "others")).await;
    until(&bench, 1.0).await;
    assert_eq!(pool.told(), ["finished things of 0"]);
    bench.cycle().await;
    bench.delivered().await;
    all_idle().await;
    assert_eq!(
        pool.told(),
        ["finished others of 0"],
        "a poll that failed is done"
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
    pool.told();
    until(&bench, 2.5).await;
    assert_eq!(pool.told(), [""; 0]);
    until(&bench, 3.5).await;
    assert_eq!(pool.told(), ["finished things of 0"]);
}

#[tokio::test(start_paused = true)]
async fn a_unit_whose_service_cannot_be_reached_is_given_up() {
    let pool = Pool::with(&["a"]);
    let doubles = Doubles::default()
        .listing("things", Scope::Shared, &["a"])
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
    let mut told = pool.told();
    told.sort();
    assert_eq!(
        told,
        ["finished broken of 0", "gave up gone of 0", "gave up things of 0"],
        "any answer is a poll"
    );
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_listing_gives_up_its_own_unit_and_not_those_beside_it() {
    let pool = Pool::with(&["a"]);
    let doubles = Doubles::default()
        .listing("things", Scope::Shared, &["a"])
        .discovery("gone", Scope::Shared, |_| {
            Box::pin(async { Err(Failure::unreachable("connection refused")) })
        })
        .healthy("good", &["good"], None);
    let mut bench = Bench::new(options(&pool));
    let both = source("all", 10, &["*"]).discovery(&["gone", "things"]);
    bench.apply(&Arc::new(doubles.0), [both]).await;
    pool.told();
    bench.cycle().await;
    assert_eq!(delivered(&bench).await, ["good a"]);
    assert_eq!(pool.told(), ["gave up gone of 0", "finished things of 0"]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_gives_up_what_did_not_finish() {
    let pool = Pool::with(&["a", "x"]);
    let doubles = pooled().listing("others", Scope::Shared, &["x"]);
    let bench = bench_in(&pool, hanging(doubles, "hang", "others")).await;
    until(&bench, 1.0).await;
    assert_eq!(
        stopped(&bench, &pool).await,
        ["finished things of 0", "stopping", "gave up others of 0", "leave"]
    );
    assert!(
        delivered(&bench).await.contains(&"hang x".to_owned()),
        "what it had counts"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stop_gives_up_what_was_not_confirmed() {
    let pool = Pool::with(&["a"]);
    let mut bench = Bench::new(BenchOptions {
        publish: secs(3600),
        ..options(&pool)
    });
    bench
        .apply(&Arc::new(pooled().0), [source("all", 10, &["good"])])
        .await;
    pool.told();
    bench.cycle().await;
    let deadline = Instant::now() + secs(2);
    bench.engine.stop(deadline).await;
    bench.engine.settle(deadline).await;
    assert_eq!(pool.told(), ["stopping", "gave up things of 0", "leave"]);
}

#[tokio::test(start_paused = true)]
async fn a_cycle_that_is_skipped_is_told() {
    // 40 batches, and a publisher that takes one in 0.9 s: the hand-over takes longer than three cycles.
    let keys: Vec<_> = (0..2000).map(|index| format!("r{index}")).collect();
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    let pool = Pool::with(&["a"]);
    let doubles = Doubles::default()
        .listing("things", Scope::Shared, &["a"])
        .healthy("good", &["good"], Some("things"))
        .listing("many", Scope::Host, &keys)
        .healthy("load", &["load"], Some("many"));
    let mut bench = Bench::new(BenchOptions {
        queue: 100,
        publish: Duration::from_millis(900),
        ..options(&pool)
    });
    bench
        .apply(&Arc::new(doubles.0), [source("all", 10, &["*"])])
        .await;
    pool.told();
    bench.cycle().await;
    let told = pool.told();
    let skipped: Vec<_> = told.iter().filter(|line| line.starts_with("skipped")).collect();
    assert_eq!(skipped, ["skipped 10", "skipped 20", "skipped 30"]);
}

// ---- work outside of the edges

#[tokio::test(start_paused = true)]
async fn a_takeover_polls_what_others_left_beside_a_cycle_that_runs() {
    let pool = Pool::with(&["a", "x"]);
    let doubles =
        pooled()
            .listing("others", Scope::Shared, &["x", "y"])
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
        "only what is named, only its share"
    );
    let listed: Vec<_> = record.listings.iter().map(|listing| &*listing.listing).collect();
    assert_eq!(listed, ["others"], "it lists again, and nothing else");
    assert_eq!(
        delivered(&bench).await,
        ["good a", "hang a", "host node1", "more x", "more y"],
        "what the hanging poll has reported does not wait for its end"
    );
    let record = bench.cycle().await;
    assert_eq!(
        (start_of(&record), record.takeover),
        (0, None),
        "the cycle itself was not touched"
    );
    let task = &bench.engine.tasks()[0];
    assert_eq!((task.cycles, task.takeovers, task.overruns), (1, 1, 0));
    let told = pool.told();
    assert!(told.contains(&"finished others of 0".to_owned()), "{told:?}");
    assert!(told.contains(&"finished others of 0/1".to_owned()), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn samples_of_a_takeover_have_the_ids_that_the_owner_gives_them() {
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
        let kept = bench.kept.0.lock();
        let of_b = kept.iter().filter(|sample| &*sample.subject.resource_id == "b");
        ids.push(of_b.map(|sample| sample.id.clone()).collect::<Vec<_>>());
    }
    assert_eq!(ids[0].len(), 1);
    assert_eq!(ids[0], ids[1]);
}

#[tokio::test(start_paused = true)]
async fn a_takeover_finds_resources_that_its_cycle_did_not_know() {
    let listings = Arc::new(AtomicUsize::new(0));
    let counted = listings.clone();
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
    assert_eq!(listings.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_hung_poll_in_a_takeover_ends_with_it_and_delays_no_cycle() {
    let pool = Pool::with(&["a"]);
    let mut bench = bench_in(&pool, hanging(pooled(), "hang", "things")).await;
    // The end of the cycle and the time of a lease: it reaches into the next one.
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
    let told = pool.told();
    assert!(
        told.contains(&"finished things of 0/1".to_owned()),
        "a poll that failed is done: {told:?}"
    );
    let delivered = delivered(&bench).await;
    assert!(delivered.contains(&"hang b".to_owned()), "{delivered:?}");
}

#[tokio::test(start_paused = true)]
async fn hung_polls_of_a_takeover_take_no_places_from_a_cycle() {
    let pool = Pool::with(&["a"]);
    let limits = nephoscope_polling::limits::LimitOptions {
        polls: 1,
        ..Default::default()
    };
    let mut bench = Bench::new(BenchOptions {
        limits,
        ..options(&pool)
    });
    // It hangs when it is asked for `b`.
    let doubles = Doubles::default()
        .listing("things", Scope::Shared, &["a", "b"])
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
async fn a_takeover_ends_when_it_is_lost_or_the_agent_stops_and_is_given_up() {
    for stops in [false, true] {
        let pool = Pool::with(&["a"]);
        let doubles = Doubles::default().listing("things", Scope::Shared, &["a", "b"]);
        let mut bench = bench_in(&pool, hanging(doubles, "hang", "things")).await;
        bench.cycle().await;
        pool.told();
        let lost = pool.takeover(3, 0, &["things"], &["b"], 9).await;
        sleep(secs(1)).await;
        if stops {
            let told = stopped(&bench, &pool).await;
            assert!(told.contains(&"gave up things of 0/3".to_owned()), "{told:?}");
        } else {
            lost.cancel();
            while bench.cycle().await.takeover.is_none() {}
            let told = pool.told();
            assert!(told.contains(&"gave up things of 0/3".to_owned()), "{told:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_configuration_does_not_name_is_given_up_at_once() {
    let pool = Pool::with(&["a"]);
    let mut bench = bench_in(&pool, pooled()).await;
    bench.cycle().await;
    bench.delivered().await;
    pool.told();
    pool.takeover(1, 0, &["things", "strangers"], &["b"], 5).await;
    bench.cycle().await;
    bench.delivered().await;
    all_idle().await;
    assert_eq!(
        pool.told(),
        ["gave up strangers of 0/1", "finished things of 0/1"]
    );
    // Its time is over.
    pool.takeover(2, 0, &["things"], &["b"], 0).await;
    all_idle().await;
    assert_eq!(pool.told(), ["gave up things of 0/2"]);
}

#[tokio::test(start_paused = true)]
async fn the_cycle_in_progress_is_run_once_when_its_plan_comes() {
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
    pool.give(in_progress()).await;
    let record = bench.cycle().await;
    assert_eq!(
        (start_of(&record), record.takeover, record.lateness),
        (0, None, None)
    );
    assert_eq!(
        delivered(&bench).await,
        ["good a", "host node1"],
        "the host's own was polled before"
    );
    pool.give(in_progress()).await;
    assert_eq!(start_of(&*bench.cycle().await), 10, "it comes once");
    assert_eq!(pool.told()[0], "finished things of 0");
}

#[tokio::test(start_paused = true)]
async fn at_the_start_only_the_hosts_own_part_of_the_cycle_in_progress_is_polled() {
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
async fn a_cycle_in_progress_that_is_over_is_told_as_skipped() {
    let pool = Pool::with(&["a"]);
    let bench = bench_in(&pool, pooled()).await;
    sleep_until(Instant::now() + secs(2)).await;
    pool.give(Work::InProgress {
        cycle: cycle(-10),
        edge: Instant::now() - secs(10),
        interval: secs(10),
    })
    .await;
    all_idle().await;
    assert_eq!(pool.told(), ["skipped -10"]);
    drop(bench);
}

// ---- reloads

/// `old` and `new` are shared, `host` is the host's own.
fn two_units() -> Doubles {
    Doubles::default()
        .listing("old", Scope::Shared, &["o"])
        .healthy("one", &["one"], Some("old"))
        .listing("new", Scope::Shared, &["n"])
        .healthy("two", &["two"], Some("new"))
        .listing("own", Scope::Host, &["node1"])
        .healthy("host", &["host"], Some("own"))
        .healthy("host.more", &["host.more"], Some("own"))
}

/// What came since the last call.
async fn fresh(bench: &Bench) -> Vec<String> {
    let all = delivered(bench).await;
    bench.kept.0.lock().clear();
    all
}

#[tokio::test(start_paused = true)]
async fn what_is_shared_changes_with_the_first_plan_that_lists_it_and_the_hosts_own_at_once() {
    let pool = Pool::with(&["o", "n"]);
    pool.lists(Some(&["old"]));
    let mut bench = Bench::new(options(&pool));
    let plugins = Arc::new(two_units().0);
    bench.apply(&plugins, [source("s", 10, &["one", "host"])]).await;
    bench.cycle().await;
    assert_eq!(fresh(&bench).await, ["host node1", "one o"]);

    bench
        .apply(&plugins, [source("s", 10, &["two", "host", "host.more"])])
        .await;
    bench.cycle().await;
    assert_eq!(fresh(&bench).await, ["host node1", "host.more node1", "one o"]);

    pool.lists(Some(&["new"]));
    bench.cycle().await;
    assert_eq!(fresh(&bench).await, ["host node1", "host.more node1", "two n"]);
    // A plan from before the reload cannot come any more.
    pool.lists(Some(&["old"]));
    bench.cycle().await;
    assert_eq!(fresh(&bench).await, ["host node1", "host.more node1", "two n"]);
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
        assert_eq!(fresh(&bench).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_of_meters_alone_waits_for_nothing() {
    let pool = Pool::with(&["o"]);
    pool.lists(Some(&["old"]));
    let mut bench = Bench::new(options(&pool));
    let doubles = two_units().healthy("three", &["three"], Some("old"));
    let plugins = Arc::new(doubles.0);
    bench.apply(&plugins, [source("s", 10, &["one"])]).await;
    bench.cycle().await;
    bench.apply(&plugins, [source("s", 10, &["three"])]).await;
    fresh(&bench).await;
    bench.cycle().await;
    assert_eq!(fresh(&bench).await, ["three o"]);
}

#[tokio::test(start_paused = true)]
async fn a_schedule_that_is_removed_polls_what_others_count_on_and_is_gone_then() {
    let pool = Pool::with(&["o", "n"]);
    pool.lists(Some(&["old"]));
    let mut bench = Bench::new(options(&pool));
    let plugins = Arc::new(two_units().0);
    bench
        .apply(
            &plugins,
            [source("s", 10, &["one", "host"]), source("kept", 60, &["host"])],
        )
        .await;
    bench.cycle().await;
    fresh(&bench).await;
    let applied = bench
        .engine
        .apply(&[source("kept", 60, &["host"]).source], plugins)
        .await;
    assert_eq!((applied.kept, applied.removed), (1, 1));
    assert_eq!(bench.engine.tasks().len(), 1, "it is not shown any more");
    let mut starts = vec![start_of(&*bench.cycle().await)];
    if starts == [0] {
        // The other schedule has an edge at 0, too.
        starts = vec![start_of(&*bench.cycle().await)];
    }
    assert_eq!(starts, [10]);
    let polled = fresh(&bench).await;
    assert!(polled.contains(&"one o".to_owned()), "{polled:?}");
    pool.lists(Some(&[]));
    assert_eq!(start_of(&*bench.cycle().await), 60, "it is gone");
    let prepared: Vec<_> = pool.prepared().iter().map(|(start, ..)| *start).collect();
    assert_eq!(prepared, [0, 10, 20], "its edges come no more");
    assert_eq!(fresh(&bench).await, ["host node1"]);
}

#[tokio::test(start_paused = true)]
async fn a_removed_schedule_without_a_plan_is_gone_at_once_and_may_come_back() {
    let pool = Pool::with(&["o"]);
    let mut bench = Bench::new(options(&pool));
    let plugins = Arc::new(two_units().0);
    let with = [source("s", 10, &["one"]), source("kept", 60, &["host"])];
    bench.apply(&plugins, with.clone()).await;
    while start_of(&*bench.cycle().await) < 10 {}
    pool.no_plan(Some("nobody polls it"));
    bench.apply(&plugins, [source("kept", 60, &["host"])]).await;
    let record = bench.cycle().await;
    assert_eq!(
        (start_of(&record), &record.no_plan),
        (60, &None),
        "nobody misses it"
    );
    pool.no_plan(None);
    bench.apply(&plugins, with).await;
    assert_eq!(start_of(&*bench.cycle().await), 70);
    assert_eq!(bench.engine.tasks().len(), 2);
}
