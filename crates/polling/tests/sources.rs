//! The polled resources: sources, discoveries, duplicates, fallbacks, and changes while the engine runs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Bench, BenchOptions, Doubles, secs, source, start_of};
use nephoscope_model::Resource;
use nephoscope_plugin::{Failure, FailureKind, Scope};

fn doubles() -> Doubles {
    Doubles::default()
        .fixed_discovery("volumes", Scope::Shared, &["v1", "v2"])
        .fixed_discovery("other", Scope::Shared, &["v2", "o1"])
        .fixed_discovery("nothing", Scope::Shared, &[])
        .healthy("volume", &["volume.size", "volume.status"], Some("volumes"))
        .healthy("extra", &["extra"], Some("volumes"))
}

async fn once(sources: Vec<common::SourceText>) -> Vec<(String, String)> {
    let mut bench = Bench::new(BenchOptions::default());
    bench.apply(&Arc::new(doubles().0), sources).await;
    bench.cycle().await;
    bench
        .samples()
        .await
        .into_iter()
        .map(|(meter, resource, _)| (meter, resource))
        .collect()
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter()
        .map(|(meter, resource)| ((*meter).to_owned(), (*resource).to_owned()))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn without_resources_and_discovery_the_pollsters_default_is_used() {
    let samples = once(vec![source("s", 10, &["volume.size"])]).await;
    assert_eq!(samples, pairs(&[("volume.size", "v1"), ("volume.size", "v2")]));
}

#[tokio::test(start_paused = true)]
async fn resources_and_discovery_of_a_source_replace_the_default_without_duplicates() {
    let samples = once(vec![
        source("s", 10, &["extra"])
            .resources(&["r1", "v2", "r1"])
            .discovery(&["other", "other"]),
    ])
    .await;
    assert_eq!(
        samples,
        pairs(&[("extra", "o1"), ("extra", "r1"), ("extra", "v2")])
    );
}

#[tokio::test(start_paused = true)]
async fn a_source_with_an_empty_discovery_falls_back_to_the_default() {
    let samples = once(vec![source("s", 10, &["extra"]).discovery(&["nothing"])]).await;
    assert_eq!(samples, pairs(&[("extra", "v1"), ("extra", "v2")]));
    let samples = once(vec![source("s", 10, &["extra"]).discovery(&["not.loaded"])]).await;
    assert_eq!(samples, pairs(&[("extra", "v1"), ("extra", "v2")]));
}

#[tokio::test(start_paused = true)]
async fn a_source_with_a_failed_discovery_has_no_fallback() {
    let doubles = Doubles::default()
        .fixed_discovery("volumes", Scope::Shared, &["v1"])
        .discovery("broken", Scope::Shared, |_| {
            Box::pin(async { Err(Failure::unreachable("connection refused")) })
        })
        .healthy("extra", &["extra"], Some("volumes"));
    let mut bench = Bench::new(BenchOptions::default());
    let sources = [source("s", 10, &["extra"]).discovery(&["broken"])];
    bench.apply(&Arc::new(doubles.0), sources).await;
    let record = bench.cycle().await;
    assert_eq!(record.failures.get(FailureKind::Unreachable), 1);
    assert_eq!(record.samples, 0, "the default discovery is not used");
}

#[tokio::test(start_paused = true)]
async fn backed_off_resources_of_a_removed_source_are_dropped() {
    let doubles = Doubles::default()
        .fixed_discovery("volumes", Scope::Shared, &["v1"])
        .healthy("extra", &["extra"], Some("volumes"))
        .pollster("broken", &["broken"], Some("volumes"), |run| {
            Box::pin(async move {
                while let Some(page) = run.next_page().await {
                    for resource in page.iter() {
                        run.fail(resource, Failure::permanent("it is gone"));
                    }
                }
                Ok(())
            })
        });
    let plugins = Arc::new(doubles.0);
    let mut bench = Bench::new(BenchOptions::default());
    let both = [source("s", 10, &["extra"]), source("t", 10, &["broken"])];
    bench.apply(&plugins, both).await;
    bench.cycle().await;
    assert_eq!(bench.engine.backed_off().len(), 1);
    bench.apply(&plugins, [source("s", 10, &["extra"])]).await;
    // Shared work changes with the next plan.
    bench.cycle().await;
    assert!(bench.engine.backed_off().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_same_meter_in_two_sources_polls_each_resource_once() {
    let samples = once(vec![
        source("a", 10, &["volume.size"]),
        source("b", 10, &["volume.*"]).discovery(&["other"]),
    ])
    .await;
    let expected = pairs(&[
        ("volume.size", "o1"),
        ("volume.size", "v1"),
        ("volume.size", "v2"),
        ("volume.status", "o1"),
        ("volume.status", "v2"),
    ]);
    assert_eq!(samples, expected);
}

#[tokio::test(start_paused = true)]
async fn a_discovery_receives_the_meters_of_all_its_readers() {
    let doubles = Doubles::default()
        .discovery("volumes", Scope::Shared, |run| {
            let wanted = ["volume.size", "volume.status", "extra", "elsewhere"];
            let keys = wanted.into_iter().filter(|meter| run.wants(meter));
            let keys = keys.map(Resource::new).collect();
            Box::pin(async move { Ok(run.send(keys).await?) })
        })
        .fixed_discovery("other", Scope::Shared, &[])
        .healthy("volume", &["volume.size", "volume.status"], Some("volumes"))
        .healthy("extra", &["extra"], Some("volumes"))
        .healthy("elsewhere", &["elsewhere"], Some("other"));
    let mut bench = Bench::new(BenchOptions::default());
    let sources = [
        source("a", 10, &["volume.size"]),
        source("b", 10, &["extra", "elsewhere"]),
    ];
    bench.apply(&Arc::new(doubles.0), sources).await;
    bench.cycle().await;
    let samples = bench.samples().await;
    let resources: Vec<_> = samples.into_iter().map(|(meter, key, _)| (meter, key)).collect();
    let expected = [
        ("extra", "extra"),
        ("extra", "volume.size"),
        ("volume.size", "extra"),
        ("volume.size", "volume.size"),
    ];
    assert_eq!(resources, pairs(&expected));
}

#[tokio::test(start_paused = true)]
async fn meters_of_two_sources_on_the_same_resources_share_a_poll_and_a_discovery_run() {
    let (discovered, polled) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, runs) = (discovered.clone(), polled.clone());
    let doubles = Doubles::default()
        .discovery("volumes", Scope::Shared, move |run| {
            counted.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move { Ok(run.send(vec![Resource::new("v1")]).await?) })
        })
        .pollster(
            "volume",
            &["volume.size", "volume.status"],
            Some("volumes"),
            move |run| {
                runs.fetch_add(1, Ordering::SeqCst);
                Box::pin(async move { common::measure(run, &["volume.size", "volume.status"]).await })
            },
        )
        .healthy("extra", &["extra"], Some("volumes"));
    let mut bench = Bench::new(BenchOptions::default());
    let sources = [
        source("a", 10, &["volume.size"]),
        source("b", 10, &["volume.status", "extra"]),
    ];
    bench.apply(&Arc::new(doubles.0), sources).await;
    bench.cycle().await;
    assert_eq!(bench.samples().await.len(), 3);
    assert_eq!(
        (discovered.load(Ordering::SeqCst), polled.load(Ordering::SeqCst)),
        (1, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_pollster_without_resources_is_not_called() {
    let doubles = Doubles::default()
        .fixed_discovery("nothing", Scope::Shared, &[])
        .pollster("idle", &["idle"], Some("nothing"), |_| {
            Box::pin(async { panic!("called") })
        });
    let mut bench = Bench::new(BenchOptions::default());
    bench.apply(&Arc::new(doubles.0), [source("s", 10, &["*"])]).await;
    assert_eq!(bench.cycle().await.failures.total(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_message_id_contains_the_host_only_for_host_resources() {
    let doubles = Doubles::default()
        .fixed_discovery("own", Scope::Host, &["r"])
        .healthy("host", &["host"], Some("own"))
        .fixed_discovery("shared", Scope::Shared, &["r"])
        .healthy("pool", &["pool"], Some("shared"));
    let mut bench = Bench::new(BenchOptions::default());
    bench.apply(&Arc::new(doubles.0), [source("s", 10, &["*"])]).await;
    let cycle = bench.cycle().await.cycle.clone();
    bench.delivered().await;
    for sample in bench.stored.0.lock().iter() {
        let (host, pollster) = if sample.meter.name == "host" {
            ("node1", "host")
        } else {
            ("", "pool")
        };
        let expected = nephoscope_model::RunIds::new(host, &cycle, pollster);
        assert_eq!(
            sample.id,
            expected.resource("r").sample(&sample.meter.name, "r", 0)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_reload_of_one_of_a_hundred_sources_neither_misses_nor_repeats_cycles_of_others() {
    let sources = |changed: &'static str| {
        (0..100).map(move |index| {
            let meter = if index == 42 { changed } else { "volume.size" };
            source(&format!("s{index}"), 10 + index, &[meter])
        })
    };
    let plugins = Arc::new(doubles().0);
    let mut bench = Bench::new(BenchOptions {
        start: -0.5,
        ..BenchOptions::default()
    });
    bench.apply(&plugins, sources("volume.size")).await;
    let mut last = std::collections::HashMap::new();
    let mut changed = 0;
    for round in 0..2000 {
        // Reloads while cycles start, run and end.
        if round % 10 == 5 {
            changed += 1;
            bench
                .apply(
                    &plugins,
                    sources(if changed % 2 == 1 { "extra" } else { "volume.size" }),
                )
                .await;
        }
        let record = bench.cycle().await;
        if let Some(before) = last.insert(record.cycle.schedule.clone(), record.cycle.number) {
            assert_eq!(record.cycle.number, before + 1, "{}", record.schedule);
        }
    }
    assert_eq!(last.len(), 100);
    assert!(
        bench.counts().await["extra"] > 0,
        "the changed source took effect"
    );
}

#[tokio::test(start_paused = true)]
async fn a_reload_adds_and_removes_schedules_without_aborting_running_polls() {
    let doubles = Doubles::default()
        .fixed_discovery("own", Scope::Host, &["r"])
        .pollster("slow", &["slow"], Some("own"), |run| {
            Box::pin(async move {
                tokio::time::sleep(secs(5)).await;
                common::measure(run, &["slow"]).await
            })
        });
    let plugins = Arc::new(doubles.0);
    let mut bench = Bench::new(BenchOptions::default());
    bench.apply(&plugins, [source("old", 10, &["slow"])]).await;
    // Wait until the first cycle runs.
    while !bench.engine.tasks()[0].running {
        tokio::time::sleep(secs(1)).await;
    }
    bench.apply(&plugins, [source("new", 20, &["slow"])]).await;
    let record = bench.cycle().await;
    assert_eq!(
        (start_of(&record), record.samples, record.failures.total()),
        (0, 1, 0)
    );
    assert_eq!(
        bench.starts(2).await,
        [20, 40],
        "the new schedule starts at its next edge; the old one is removed"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_cycles_and_then_aborts_them() {
    let doubles = Doubles::default()
        .fixed_discovery("own", Scope::Host, &["r"])
        .pollster("slow", &["slow"], Some("own"), |run| {
            Box::pin(async move {
                tokio::time::sleep(secs(3)).await;
                common::measure(run, &["slow"]).await
            })
        });
    for (patience, samples, failures) in [(5, 1, 0), (1, 0, 1)] {
        let mut bench = Bench::new(BenchOptions {
            start: 0.5,
            ..BenchOptions::default()
        });
        bench
            .apply(&Arc::new(clone_plugins(&doubles.0)), [source("s", 10, &["slow"])])
            .await;
        while !bench.engine.tasks()[0].running {
            tokio::task::yield_now().await;
        }
        let started = tokio::time::Instant::now();
        bench.engine.stop(started + secs(patience)).await;
        assert!(started.elapsed() <= secs(patience) + secs(1));
        let record = bench.cycle().await;
        assert_eq!(
            (record.samples, record.failures.total()),
            (samples, failures),
            "with {patience} s"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_a_part_of_a_cycle_that_has_not_started() {
    let doubles = Doubles::default()
        .fixed_discovery("own", Scope::Host, &["r"])
        .healthy("host", &["host"], Some("own"))
        .fixed_discovery("shared", Scope::Shared, &["s"])
        .healthy("pool", &["pool"], Some("shared"));
    let mut bench = Bench::new(BenchOptions {
        start: -200.0,
        splay: true,
        ..BenchOptions::default()
    });
    bench
        .apply(&Arc::new(doubles.0), [source("s", 3600, &["*"])])
        .await;
    while bench.counts().await.is_empty() {
        tokio::time::sleep(secs(1)).await;
    }
    let started = tokio::time::Instant::now();
    bench.engine.stop(started + secs(30)).await;
    assert!(started.elapsed() < secs(1), "{:?}", started.elapsed());
    let record = bench.cycle().await;
    assert_eq!((record.samples, record.failures.total()), (1, 0));
}

fn clone_plugins(plugins: &nephoscope_polling::plugins::Plugins) -> nephoscope_polling::plugins::Plugins {
    nephoscope_polling::plugins::Plugins {
        discoveries: plugins.discoveries.clone(),
        pollsters: plugins.pollsters.clone(),
        names_calls: plugins.names_calls.clone(),
        catalog: plugins.catalog.clone(),
        unavailable: Vec::new(),
        blocking: plugins.blocking.clone(),
        calls: plugins.calls.clone(),
    }
}

/// On several threads, because a run may read its listing to the end before the next run is created.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_run_of_a_cycle_receives_the_resources_of_an_immediate_discovery() {
    const NAMES: [&str; 30] = [
        "m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9", "n0", "n1", "n2", "n3", "n4", "n5", "n6",
        "n7", "n8", "n9", "o0", "o1", "o2", "o3", "o4", "o5", "o6", "o7", "o8", "o9",
    ];
    for scope in [Scope::Host, Scope::Shared] {
        let doubles = NAMES.iter().fold(Doubles::default(), |doubles, name| {
            doubles.healthy(name, &[name], Some("all"))
        });
        let plugins = doubles.fixed_discovery("all", scope, &["one"]).0;
        for _ in 0..20 {
            let bench = Bench::new(BenchOptions::default());
            let (options, parts) = bench.options_and_parts();
            let records = nephoscope_polling::engine::once(
                options,
                parts,
                &[source("s", 3600, &["*"]).source],
                &plugins,
                &tokio_util::sync::CancellationToken::new(),
            )
            .await;
            let samples: u64 = records.iter().map(|record| record.samples).sum();
            assert_eq!(samples, 30, "{scope:?}");
        }
    }
}
