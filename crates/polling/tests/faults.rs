//! Faults are isolated: hanging, panicking, blocking and misbehaving plugins run together with healthy ones.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{Bench, BenchOptions, Doubles, measure, secs, source, start_of};
use nephoscope_model::{Resource, Subject};
use nephoscope_plugin::{BlockingPool, Failure, FailureKind, Scope, Stopped};
use nephoscope_polling::record::CycleRecord;
use parking_lot::Mutex;

/// A healthy pollster `good` on three resources, together with which faulty plugins run.
fn healthy() -> Doubles {
    Doubles::default()
        .fixed_discovery("things", Scope::Shared, &["a", "b", "c"])
        .healthy("good", &["good"], Some("things"))
}

async fn bench_of(doubles: Doubles) -> Bench {
    let bench = Bench::new(BenchOptions::default());
    bench
        .apply(&Arc::new(doubles.0), [source("all", 10, &["*"])])
        .await;
    bench
}

fn kinds(record: &CycleRecord, pollster: &str) -> Vec<(&'static str, u64)> {
    let poll = record
        .polls
        .iter()
        .find(|poll| &*poll.pollster == pollster)
        .expect("the pollster ran");
    poll.failures
        .iter()
        .map(|(kind, count)| (kind.as_str(), count))
        .collect()
}

fn note(record: &CycleRecord, pollster: &str) -> String {
    let poll = record
        .polls
        .iter()
        .find(|poll| &*poll.pollster == pollster)
        .expect("the pollster ran");
    poll.notes
        .first()
        .map(|note| note.message.clone())
        .unwrap_or_default()
}

/// Checks that the healthy pollster's samples of `cycles` cycles arrived, and that no cycle was skipped.
async fn assert_undisturbed(bench: &Bench, cycles: usize) {
    assert_eq!(bench.counts().await.get("good"), Some(&(3 * cycles)));
    assert_eq!(bench.engine.tasks()[0].overruns, 0);
}

#[tokio::test(start_paused = true)]
async fn samples_of_a_slow_poll_are_submitted_before_it_ends() {
    let doubles = healthy().pollster("slow", &["slow"], Some("things"), |run| {
        Box::pin(async move {
            while let Some(page) = run.next_page().await {
                for resource in page.iter() {
                    let subject = Subject::new(resource.key().clone()).shared();
                    let mut report = run.report(resource);
                    report.add("slow", &subject, 1);
                    report.send().await?;
                    tokio::time::sleep(secs(3)).await;
                }
            }
            Ok(())
        })
    });
    let mut bench = bench_of(doubles).await;
    let arrived = async |count: usize| {
        tokio::time::timeout(secs(60), async {
            while bench.counts().await.get("slow") < Some(&count) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
        .expect("the samples arrive");
        bench.engine.tasks()[0].running
    };
    assert!(arrived(1).await, "the poll is still running");
    assert!(arrived(2).await);
    assert_eq!(bench.cycle().await.samples, 6);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_poll_is_aborted_and_its_earlier_reports_are_delivered() {
    let doubles = healthy().pollster("hang", &["hang"], Some("things"), |run| {
        Box::pin(async move {
            let page = run.next_page().await.expect("a page");
            for resource in page.iter().take(1) {
                let subject = Subject::new(resource.key().clone()).shared();
                let mut report = run.report(resource);
                report.add("hang", &subject, 1);
                report.send().await?;
            }
            std::future::pending().await
        })
    });
    let mut bench = bench_of(doubles).await;
    for expected in [0, 10, 20] {
        let record = bench.cycle().await;
        assert_eq!(start_of(&record), expected);
        assert!(
            record.duration < secs(10),
            "it ends before the next edge: {:?}",
            record.duration
        );
        assert_eq!(kinds(&record, "hang"), [("stopped", 1)]);
        assert!(record.lateness.unwrap() <= Duration::from_millis(1));
    }
    assert_undisturbed(&bench, 3).await;
    assert_eq!(bench.counts().await.get("hang"), Some(&3));
}

#[tokio::test(start_paused = true)]
async fn a_source_limits_the_time_without_a_result() {
    let doubles = healthy().pollster("slow", &["slow"], Some("things"), |run| {
        Box::pin(async move {
            let page = run.next_page().await.expect("a page");
            for (index, resource) in page.iter().enumerate() {
                // 1 s, then 1 s, then 60 s: each result restarts the timeout.
                tokio::time::sleep(secs(if index < 2 { 1 } else { 60 })).await;
                let subject = Subject::new(resource.key().clone()).shared();
                let mut report = run.report(resource);
                report.add("slow", &subject, 1);
                report.send().await?;
            }
            Ok(())
        })
    });
    let mut bench = Bench::new(BenchOptions {
        start: -100.0,
        ..BenchOptions::default()
    });
    let sources = [
        source("good", 300, &["good"]),
        source("slow", 300, &["slow"]).timeout(2),
    ];
    bench.apply(&Arc::new(doubles.0), sources).await;
    let record = bench.cycle().await;
    assert!(
        record.duration >= secs(4) && record.duration < secs(5),
        "{:?}",
        record.duration
    );
    assert!(
        note(&record, "slow").contains("the source's timeout"),
        "{}",
        note(&record, "slow")
    );
    assert_eq!(bench.counts().await.get("slow"), Some(&2));
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_isolated_to_its_poll_and_the_next_cycle_retries() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let doubles = healthy().pollster("boom", &["boom"], Some("things"), move |run| {
        let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
        Box::pin(async move {
            assert!(!first, "boom");
            measure(run, &["boom"]).await
        })
    });
    let mut bench = bench_of(doubles).await;
    let record = bench.cycle().await;
    assert_eq!(kinds(&record, "boom"), [("defect", 1)]);
    assert_eq!(note(&record, "boom"), "the plugin panicked: boom");
    assert_eq!(kinds(&*bench.cycle().await, "boom"), []);
    assert_undisturbed(&bench, 2).await;
    assert_eq!(bench.counts().await.get("boom"), Some(&3));
}

#[tokio::test(start_paused = true)]
async fn a_hung_blocking_call_is_not_started_again() {
    let (release, hang) = std::sync::mpsc::sync_channel::<()>(0);
    let (pool, hang, started) = (
        BlockingPool::default(),
        Arc::new(Mutex::new(hang)),
        Arc::new(AtomicUsize::new(0)),
    );
    let counted = started.clone();
    let doubles = healthy().pollster("block", &["block"], Some("things"), move |run| {
        let (pool, hang, started) = (pool.clone(), hang.clone(), counted.clone());
        Box::pin(async move {
            let deadline = run.context().deadline;
            let call = move || {
                started.fetch_add(1, Ordering::SeqCst);
                let _ = hang.lock().recv();
            };
            pool.call("block.call", deadline, call)
                .await
                .map_err(|error| Failure::transient(error.to_string()))
        })
    });
    let mut bench = bench_of(doubles).await;
    let first = bench.cycle().await;
    assert!(!kinds(&first, "block").is_empty());
    let second = bench.cycle().await;
    assert_eq!(note(&second, "block"), "an earlier call still hangs");
    assert!(second.duration < secs(1), "the cycle does not wait for it");
    // Paused time advances without waiting for the thread.
    while started.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let third = bench.cycle().await;
    assert_eq!(note(&third, "block"), "an earlier call still hangs");
    assert_eq!(started.load(Ordering::SeqCst), 1);
    assert_undisturbed(&bench, 3).await;
    drop(release);
}

#[tokio::test(start_paused = true)]
async fn undeclared_meters_and_values_that_are_not_numbers_are_defects_and_other_samples_count() {
    let doubles = healthy().pollster("faulty", &["faulty"], Some("things"), |run| {
        Box::pin(async move {
            while let Some(page) = run.next_page().await {
                for resource in page.iter() {
                    let subject = Subject::new(resource.key().clone()).shared();
                    let mut report = run.report(resource);
                    report.add("never.declared", &subject, 1);
                    report.add("faulty", &subject, f64::NAN);
                    report.add("faulty", &subject, 2);
                    report.send().await?;
                }
            }
            Ok(())
        })
    });
    let mut bench = bench_of(doubles).await;
    let record = bench.cycle().await;
    assert_eq!(kinds(&record, "faulty"), [("defect", 6)]);
    assert_eq!(
        note(&record, "faulty"),
        "the meter `never.declared` is not declared"
    );
    assert_eq!(bench.counts().await.get("faulty"), Some(&3));
    assert_undisturbed(&bench, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_million_samples_of_one_resource_all_arrive() {
    let doubles = healthy().pollster("flood", &["flood"], Some("things"), |run| {
        Box::pin(async move {
            let page = run.next_page().await.expect("a page");
            for resource in page.iter().take(1) {
                let subject = Subject::new(resource.key().clone()).shared();
                let mut report = run.report(resource);
                for value in 0..1_000_000 {
                    report.add("flood", &subject, value);
                }
                report.send().await?;
            }
            Ok(())
        })
    });
    let mut bench = bench_of(doubles).await;
    assert_eq!(kinds(&*bench.cycle().await, "flood"), []);
    bench.delivered().await;
    let mut ids: Vec<_> = bench
        .stored
        .0
        .lock()
        .iter()
        .map(|sample| sample.id.clone())
        .collect();
    assert_eq!(ids.len(), 1_000_003);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 1_000_003, "every sample has a unique id");
    assert_undisturbed(&bench, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_permanently_failing_resource_is_backed_off_until_a_success() {
    let fails = Arc::new(AtomicUsize::new(2));
    let doubles = healthy().pollster("picky", &["picky"], Some("things"), move |run| {
        let fails = fails.clone();
        Box::pin(async move {
            while let Some(page) = run.next_page().await {
                for resource in page.iter() {
                    let bad = &**resource.key() == "b"
                        && fails
                            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
                            .is_ok();
                    if bad {
                        run.fail(resource, Failure::permanent("no such disk"));
                        continue;
                    }
                    let subject = Subject::new(resource.key().clone()).shared();
                    let mut report = run.report(resource);
                    report.add("picky", &subject, 1);
                    report.send().await?;
                }
            }
            Ok(())
        })
    });
    let mut bench = bench_of(doubles).await;
    let mut polled = Vec::new();
    for cycle in 0..10 {
        let record = bench.cycle().await;
        let poll = record
            .polls
            .iter()
            .find(|poll| &*poll.pollster == "picky")
            .unwrap();
        polled.push((
            poll.resources,
            poll.failures.get(FailureKind::Permanent),
            poll.backed_off,
        ));
        if cycle == 0 {
            let list = bench.engine.backed_off();
            assert_eq!(
                (&*list[0].resources[0].key, &*list[0].resources[0].reason),
                ("b", "no such disk")
            );
        }
    }
    let (fail, skip, good) = ((2, 1, 0), (2, 0, 1), (3, 0, 0));
    assert_eq!(
        polled,
        [fail, skip, skip, fail, skip, skip, skip, skip, good, good]
    );
    assert!(bench.engine.backed_off().is_empty());
    assert_undisturbed(&bench, 10).await;
}

#[tokio::test(start_paused = true)]
async fn an_endless_discovery_is_aborted_and_disturbs_no_other_plugin() {
    let doubles = healthy()
        .discovery("endless", Scope::Shared, |run| {
            Box::pin(async move {
                for index in 0u64.. {
                    run.push(Resource::new(format!("r-{index}"))).await?;
                    if index % 500 == 0 {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
                Ok(())
            })
        })
        .healthy("many", &["many"], Some("endless"));
    let mut bench = bench_of(doubles).await;
    for _ in 0..2 {
        let record = bench.cycle().await;
        assert!(record.duration < secs(10));
        let endless = record
            .discovery_runs
            .iter()
            .find(|run| &*run.discovery == "endless")
            .unwrap();
        assert_eq!(
            endless.failure.as_ref().map(|failure| failure.kind),
            Some("stopped")
        );
        assert!(
            endless.resources > 40_000,
            "resources found before the abort count: {}",
            endless.resources
        );
    }
    assert_undisturbed(&bench, 2).await;
    assert!(bench.counts().await["many"] > 80_000);
}

#[tokio::test(start_paused = true)]
async fn the_resources_of_a_discovery_run_are_bounded() {
    let mut doubles = healthy();
    doubles = doubles
        .discovery("flood", Scope::Shared, |run| {
            Box::pin(async move {
                for index in 0u64.. {
                    run.push(Resource::new(format!("r-{index}"))).await?;
                }
                Ok(())
            })
        })
        .healthy("many", &["many"], Some("flood"));
    let limits = nephoscope_polling::limits::LimitOptions {
        max_resources_per_discovery: 5_000,
        ..Default::default()
    };
    let mut bench = Bench::new(BenchOptions {
        limits,
        ..BenchOptions::default()
    });
    bench
        .apply(&Arc::new(doubles.0), [source("all", 10, &["*"])])
        .await;
    let record = bench.cycle().await;
    let flood = record
        .discovery_runs
        .iter()
        .find(|run| &*run.discovery == "flood")
        .unwrap();
    let message = &flood.failure.as_ref().unwrap().message;
    assert!(
        message.contains("more than 5000 resources (agent.limits.max_resources_per_discovery)"),
        "{message}"
    );
    assert_undisturbed(&bench, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_does_not_reduce_the_resources_of_a_fast_one() {
    let doubles = healthy()
        .discovery("large", Scope::Shared, |run| {
            Box::pin(async move {
                for index in 0..100_000 {
                    run.push(Resource::new(format!("r-{index}"))).await?;
                }
                Ok(())
            })
        })
        .healthy("fast", &["fast"], Some("large"))
        .pollster("hang", &["hang"], Some("large"), |run| {
            Box::pin(async move {
                let _page = run.next_page().await;
                std::future::pending().await
            })
        });
    let mut bench = bench_of(doubles).await;
    let record = bench.cycle().await;
    let fast = record
        .polls
        .iter()
        .find(|poll| &*poll.pollster == "fast")
        .unwrap();
    assert_eq!((fast.resources, fast.failures.total()), (100_000, 0));
    assert!(
        fast.duration < secs(2),
        "it waits only a second for the slow reader: {:?}",
        fast.duration
    );
    assert_undisturbed(&bench, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_failing_discovery_runs_once_per_cycle_and_fails_only_its_pollsters() {
    let discovery_runs = Arc::new(AtomicUsize::new(0));
    let counted = discovery_runs.clone();
    let doubles = healthy()
        .discovery("broken", Scope::Shared, move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            Box::pin(async { Err(Failure::unreachable("connection refused")) })
        })
        .healthy("one", &["one"], Some("broken"))
        .healthy("two", &["two"], Some("broken"));
    let mut bench = bench_of(doubles).await;
    let record = bench.cycle().await;
    assert_eq!(discovery_runs.load(Ordering::SeqCst), 1);
    assert_eq!(record.failures.get(FailureKind::Unreachable), 1);
    assert_undisturbed(&bench, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_panicking_discovery_is_contained_and_its_earlier_pages_count() {
    let doubles = healthy()
        .discovery("boom", Scope::Shared, |run| {
            Box::pin(async move {
                run.send(vec![Resource::new("before")]).await?;
                panic!("boom")
            })
        })
        .healthy("one", &["one"], Some("boom"));
    let mut bench = bench_of(doubles).await;
    let record = bench.cycle().await;
    assert_eq!(record.failures.get(FailureKind::Defect), 1);
    assert_eq!(bench.counts().await.get("one"), Some(&1));
    assert_undisturbed(&bench, 1).await;
}

#[tokio::test(start_paused = true)]
async fn polls_beyond_the_limit_wait_and_a_cycle_still_ends_in_time() {
    let mut doubles = healthy();
    for name in ["hang.1", "hang.2", "hang.3"] {
        doubles = doubles.pollster(name, &[], Some("things"), |_| Box::pin(std::future::pending()));
    }
    let mut plugins = doubles.0;
    for (pollster, meter) in plugins
        .pollsters
        .iter_mut()
        .skip(1)
        .zip(["hang.1", "hang.2", "hang.3"])
    {
        let pollster = Arc::get_mut(pollster).unwrap();
        pollster.endpoint = Some("slow.example".into());
        let def = nephoscope_model::MeterDef::gauge(meter, "unit", "a double");
        pollster.meters = vec![Arc::new((&def).into())];
    }
    let limits = nephoscope_polling::limits::LimitOptions {
        max_concurrent_polls_per_endpoint: 2,
        max_concurrent_polls: 3,
        ..Default::default()
    };
    let mut bench = Bench::new(BenchOptions {
        limits,
        ..BenchOptions::default()
    });
    bench.apply(&Arc::new(plugins), [source("all", 10, &["*"])]).await;
    let record = bench.cycle().await;
    assert!(record.duration < secs(10));
    let waited = record.polls.iter().filter(|poll| {
        poll.notes
            .iter()
            .any(|note| note.message.contains("no other poll ended in time"))
    });
    assert_eq!(
        waited.count(),
        1,
        "two polls hang at the endpoint, the third waits"
    );
    assert_undisturbed(&bench, 1).await;
}

#[tokio::test(start_paused = true)]
async fn each_target_of_a_pollster_has_its_own_limit() {
    /// The number of concurrent requests to each target.
    #[derive(Default)]
    struct Targets(Mutex<BTreeMap<String, usize>>);
    impl Targets {
        async fn request(&self, target: &str) {
            let concurrent = {
                let mut targets = self.0.lock();
                let requests = targets.entry(target.to_owned()).or_default();
                *requests += 1;
                *requests
            };
            assert_eq!(concurrent, 1, "{target} receives two concurrent requests");
            tokio::time::sleep(Duration::from_millis(10)).await;
            self.0.lock().insert(target.to_owned(), 0);
        }
    }
    let keys: Vec<String> = (0..100)
        .map(|index| format!("target-{}/{index}", index % 2))
        .collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let measured = Arc::new(Mutex::new(Duration::ZERO));
    let duration = measured.clone();
    let doubles = Doubles::default()
        .fixed_discovery("all", Scope::Host, &keys)
        .pollster("snmp", &["m"], Some("all"), move |run| {
            let duration = duration.clone();
            Box::pin(async move {
                let started = tokio::time::Instant::now();
                let targets = Targets::default();
                while let Some(page) = run.next_page().await {
                    let context = run.context().clone();
                    let requests = page.iter().map(|resource| async {
                        let target = resource.key().split('/').next().unwrap();
                        let _permit = context.admit(target).await?;
                        targets.request(target).await;
                        Ok::<_, Stopped>(())
                    });
                    futures::future::try_join_all(requests).await?;
                    for resource in page.iter() {
                        let subject = Subject::new(resource.key().clone()).shared();
                        let mut report = run.report(resource);
                        report.add("m", &subject, 1);
                        report.send().await?;
                    }
                }
                *duration.lock() = started.elapsed();
                Ok(())
            })
        });
    let limits = nephoscope_polling::limits::LimitOptions {
        max_concurrent_polls_per_endpoint: 1,
        ..Default::default()
    };
    let mut bench = Bench::new(BenchOptions {
        limits,
        ..BenchOptions::default()
    });
    bench.apply(&Arc::new(doubles.0), [source("s", 10, &["*"])]).await;
    let record = bench.cycle().await;
    assert_eq!((record.samples, record.failures.total()), (100, 0));
    let measured = *measured.lock();
    assert!(
        measured < Duration::from_millis(600),
        "the targets are polled concurrently: {measured:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_hanging_target_does_not_affect_others_and_its_waiters_end_with_the_run() {
    let doubles = Doubles::default()
        .fixed_discovery("all", Scope::Host, &["good/1", "bad/1", "bad/2", "good/2"])
        .pollster("snmp", &["m"], Some("all"), |run| {
            Box::pin(async move {
                let page = run.next_page().await.unwrap();
                let context = run.context().clone();
                let (sender, mut good) = tokio::sync::mpsc::channel(10);
                let requests = page.iter().map(|resource| {
                    let (context, sender) = (context.clone(), sender.clone());
                    async move {
                        let target = resource.key().split('/').next().unwrap();
                        let _permit = context.admit(target).await?;
                        if target == "bad" {
                            context.cancellation.cancelled().await;
                            return Err(Stopped);
                        }
                        sender.send(resource).await.unwrap();
                        Ok(())
                    }
                });
                let mut requests = std::pin::pin!(futures::future::join_all(requests));
                let mut waited = 0;
                loop {
                    tokio::select! {
                        Some(resource) = good.recv() => {
                            let subject = Subject::new(resource.key().clone()).shared();
                            let mut report = run.report(resource);
                            report.add("m", &subject, 1);
                            report.send().await?;
                        }
                        ended = &mut requests => {
                            waited += ended.iter().filter(|ended| ended.is_err()).count();
                            break;
                        }
                    }
                }
                assert_eq!(waited, 2);
                Ok(())
            })
        });
    let limits = nephoscope_polling::limits::LimitOptions {
        max_concurrent_polls_per_endpoint: 1,
        ..Default::default()
    };
    let mut bench = Bench::new(BenchOptions {
        limits,
        ..BenchOptions::default()
    });
    bench.apply(&Arc::new(doubles.0), [source("s", 10, &["*"])]).await;
    assert_eq!(bench.cycle().await.samples, 2);
    assert_eq!(
        bench.cycle().await.samples,
        2,
        "no permit of the previous cycle is left"
    );
}
