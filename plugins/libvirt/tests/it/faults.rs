//! Tests of faults: domains and daemons that hang, die and change.
//!
//! They need a real libvirtd; unit tests cover the plugin's behavior for hanging and failing calls without one.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use nephoscope_plugin::testing::{Kit, Outcome};
use nephoscope_plugin::{Failure, FailureKind};
use nephoscope_tests::libvirt::{Daemon, Guest, Wire};

use crate::clock::until;
use crate::random::Random;
use crate::setup::{daemon, kit_of};

/// The deadline of a cycle with a hang.
const SHORT: Duration = Duration::from_secs(9);

/// The samples of a domain with one disk and one interface in any cycle after the first; its guest reports nothing.
const USUAL: usize = 28;

/// Without the nine samples of the disk and the resident memory, which need QEMU.
const LOCKED: usize = 18;

async fn poll(kit: &Kit, cycle: i64) -> Outcome {
    let setup = kit.pollster("compute").resources_from("local_instances");
    setup.cycle(cycle).deadline(SHORT).poll().await
}

/// Returns why the instances cannot be listed.
async fn failure(kit: &Kit, cycle: i64) -> Failure {
    let setup = kit.discovery("local_instances").cycle(cycle).deadline(SHORT);
    setup.list().await.unwrap_err()
}

/// Returns the number of an instance's samples.
fn samples_of(outcome: &Outcome, guest: &Guest) -> usize {
    let uuid = guest.uuid();
    let is_its = |id: &str| id.contains(&uuid);
    outcome
        .samples
        .iter()
        .filter(|sample| is_its(&sample.subject.resource_id))
        .count()
}

/// Returns the number of threads in libvirt calls.
fn calls() -> usize {
    let threads = fs::read_dir("/proc/self/task").unwrap();
    let names = threads.filter_map(|thread| fs::read_to_string(thread.unwrap().path().join("comm")).ok());
    names.filter(|name| name.starts_with("call-libvirt")).count()
}

#[tokio::test]
async fn a_locked_domain_affects_no_other_domain() {
    let Some(daemon) = daemon() else {
        return;
    };
    let guests: Vec<_> = (1..=4).map(Guest::new).collect();
    daemon.start_guests(&guests);
    let wire = Wire::new(daemon.path("wire"), &daemon.socket());
    let kit = kit_of(&Daemon::uri_of(wire.socket()));
    poll(&kit, 1).await;
    assert_eq!(wire.calls().0, 1);
    let usual = poll(&kit, 2).await;
    usual.assert_clean();
    assert_eq!(samples_of(&usual, &guests[0]), USUAL);
    assert_eq!(wire.calls(), (1, 1), "one call in total");

    daemon.signal_guest("STOP", &guests[1]);
    for cycle in 3..6 {
        let outcome = poll(&kit, cycle).await;
        for guest in [&guests[0], &guests[2], &guests[3]] {
            assert_eq!(samples_of(&outcome, guest), USUAL, "cycle {cycle}");
        }
        assert_eq!(samples_of(&outcome, &guests[1]), LOCKED, "cycle {cycle}");
        insta::allow_duplicates! {
            insta::assert_snapshot!(outcome.problems(), @"11111111-1111-4111-8111-000000000002.qemu: transient: locked: the instance's QEMU does not respond, so values of disks and memory are missing");
        }
        // One call hangs, and never a second one.
        until("the end of all calls except one", || calls() == 1).await;
        assert_eq!(wire.calls().0, if cycle == 3 { 2 } else { 1 }, "cycle {cycle}");
    }
    daemon.signal_guest("CONT", &guests[1]);
    until("the end of the hanging call", || calls() == 0).await;
    let outcome = poll(&kit, 6).await;
    outcome.assert_clean();
    assert_eq!(samples_of(&outcome, &guests[1]), USUAL);
    assert_eq!(wire.calls().0, 1);
}

#[tokio::test]
async fn a_daemon_that_hangs_or_dies_is_polled_again_when_it_recovers() {
    let Some(daemon) = daemon() else {
        return;
    };
    let guests: Vec<_> = (1..=2).map(Guest::new).collect();
    daemon.start_guests(&guests);
    let kit = kit_of(&daemon.uri());
    poll(&kit, 1).await;
    let count = poll(&kit, 2).await.samples.len();

    daemon.signal_daemon("STOP");
    for cycle in 3..6 {
        let failure = failure(&kit, cycle).await;
        assert_eq!(failure.kind(), FailureKind::Unreachable);
        assert!(
            failure.chain().starts_with("libvirt does not respond"),
            "{}",
            failure.chain()
        );
        assert!(calls() <= 2, "{}", calls());
    }
    daemon.signal_daemon("CONT");
    until("the end of the hanging calls", || calls() == 0).await;
    let outcome = poll(&kit, 6).await;
    outcome.assert_clean();
    assert_eq!(outcome.samples.len(), count);

    daemon.kill();
    let failure = failure(&kit, 7).await;
    assert_eq!(failure.kind(), FailureKind::Unreachable);
    assert!(
        failure.chain().contains("cannot be reached"),
        "{}",
        failure.chain()
    );
    daemon.restart();
    let outcome = poll(&kit, 8).await;
    outcome.assert_clean();
    assert_eq!(outcome.samples.len(), count, "the domains have kept running");
}

#[tokio::test]
async fn changed_definitions_are_used_in_the_next_cycle() {
    let Some(daemon) = daemon() else {
        return;
    };
    let guest = Guest::new(1);
    daemon.start_guests(std::slice::from_ref(&guest));
    let kit = kit_of(&daemon.uri());
    poll(&kit, 1).await;
    let project = |outcome: &Outcome| outcome.samples[0].subject.project_id.clone();
    assert_eq!(project(&poll(&kit, 2).await).as_deref(), Some("p-1"));

    // Only an event reports this change.
    let metadata = daemon
        .virsh_output(&["metadata", &guest.name(), "--uri", Guest::NAMESPACE])
        .replace("p-1", "p-2");
    let arguments = [
        "metadata",
        &guest.name(),
        "--uri",
        Guest::NAMESPACE,
        "--key",
        "nova",
    ];
    daemon.virsh(&[&arguments[..], &["--live", "--set", &metadata]].concat());
    let mut cycle = 2;
    // The event may arrive just after a cycle's call.
    let mut seen = false;
    while !seen && cycle < 100 {
        cycle += 1;
        seen = project(&poll(&kit, cycle).await).as_deref() == Some("p-2");
    }
    assert!(seen);

    let medium = daemon.path("medium.iso").display().to_string();
    let disks = |outcome: &Outcome| -> BTreeSet<String> {
        let ids = outcome
            .samples
            .iter()
            .filter(|sample| sample.meter.name == "disk.device.usage");
        ids.map(|sample| sample.subject.resource_id.rsplit('-').next().unwrap().to_owned())
            .collect()
    };
    daemon.virsh(&[
        "attach-disk",
        &guest.name(),
        &medium,
        "vdb",
        "--mode",
        "readonly",
        "--live",
    ]);
    let found = disks(&poll(&kit, 101).await);
    assert_eq!(found, BTreeSet::from(["vda".to_owned(), "vdb".to_owned()]));
    daemon.virsh(&[
        "change-media",
        &guest.name(),
        "sda",
        &medium,
        "--insert",
        "--live",
    ]);
    assert_eq!(disks(&poll(&kit, 102).await).len(), 3);
    daemon.virsh(&["change-media", &guest.name(), "sda", "--eject", "--live"]);
    assert_eq!(disks(&poll(&kit, 103).await).len(), 2);
}

/// The number of operations on domains during polls.
const OPERATIONS: usize = 1_000;

#[tokio::test]
async fn domains_that_come_and_go_during_cycles_affect_no_other_domain() {
    let Some(daemon) = daemon() else {
        return;
    };
    let steady: Vec<_> = (1..=3).map(Guest::new).collect();
    daemon.start_guests(&steady);
    let restless: Vec<_> = (11..=18).map(Guest::new).collect();
    for guest in &restless {
        daemon.define(guest);
    }
    let kit = kit_of(&daemon.uri());
    poll(&kit, 1).await;
    let mut shell = daemon.shell(&operations(&daemon, &restless));
    let known: BTreeSet<_> = steady.iter().chain(&restless).map(Guest::uuid).collect();
    let mut cycle = 1;
    while shell.try_wait().unwrap().is_none() {
        cycle += 1;
        let outcome = poll(&kit, cycle).await;
        assert!(
            outcome.defects.is_empty() && outcome.error.is_none(),
            "{}",
            outcome.problems()
        );
        // QEMU of a domain that is being removed may not respond for a moment; the steady domains are not affected.
        for failure in &outcome.failures {
            assert!(
                !steady.iter().any(|guest| failure.key.contains(&guest.uuid())),
                "{}",
                outcome.problems()
            );
        }
        assert!(outcome.reported.iter().all(|key| known.contains(key)));
        for guest in &steady {
            assert_eq!(samples_of(&outcome, guest), USUAL, "cycle {cycle}");
        }
    }
    assert!(cycle > 10, "only {cycle} cycles");
    // After the operations, the discovery lists the existing domains.
    let outcome = poll(&kit, cycle + 1).await;
    outcome.assert_clean();
    let listed: BTreeSet<_> = outcome.reported.iter().cloned().collect();
    let text = daemon.virsh_output(&["list", "--all", "--uuid"]);
    assert_eq!(listed, text.split_whitespace().map(str::to_owned).collect());
    let running = daemon.virsh_output(&["list", "--uuid"]);
    for guest in &restless {
        let is_running = running.contains(&guest.uuid());
        assert_eq!(samples_of(&outcome, guest) > 2, is_running, "{}", guest.name());
    }
}

/// Returns operations as `virsh` commands. Some fail because their object is missing, which is intended.
fn operations(daemon: &Daemon, guests: &[Guest]) -> String {
    let mut random = Random::new(1);
    let medium = daemon.path("medium.iso").display().to_string();
    let mut text = String::new();
    for _ in 0..OPERATIONS {
        let guest = &guests[random.below(guests.len())];
        let name = guest.name();
        let file = daemon.path(&format!("{name}.xml")).display().to_string();
        text += &match random.below(20) {
            0 => format!("start {name}\n"),
            1 => format!("destroy {name}\n"),
            2 | 3 => format!("suspend {name}\n"),
            4 | 5 => format!("resume {name}\n"),
            6..10 => format!("define {file}\n"),
            10..14 => format!("undefine {name}\n"),
            14 | 15 => format!("attach-disk {name} {medium} vdb --mode readonly --live\n"),
            16 => format!("detach-disk {name} vdb --live\n"),
            17 => format!("change-media {name} sda {medium} --insert --live\n"),
            18 => format!("change-media {name} sda --eject --live\n"),
            _ => format!(
                "desc {name} --config --new-desc 'number {}'\n",
                random.below(1000)
            ),
        };
    }
    text
}

#[tokio::test]
async fn one_locked_domain_of_a_hundred_loses_no_sample_of_the_others() {
    let Some(daemon) = daemon() else {
        return;
    };
    let guests: Vec<_> = (1..=100).map(Guest::new).collect();
    daemon.start_guests(&guests);
    let kit = kit_of(&daemon.uri());
    poll(&kit, 1).await;
    daemon.signal_guest("STOP", &guests[49]);
    let outcome = poll(&kit, 2).await;
    for guest in guests.iter().filter(|guest| guest.number != 50) {
        assert_eq!(samples_of(&outcome, guest), USUAL, "{}", guest.name());
    }
    assert_eq!(samples_of(&outcome, &guests[49]), LOCKED);
    assert_eq!(outcome.failures.len(), 1, "{}", outcome.problems());
}
