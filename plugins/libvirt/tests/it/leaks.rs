//! Repeated calls into libvirt: `tests/run leaks` runs this test under valgrind, which detects leaks.

use std::fs;
use std::time::Duration;

use nephoscope_plugin::testing::Kit;
use nephoscope_tests::libvirt::Guest;

use crate::clock::until;
use crate::setup::{daemon, kit_of};

/// The number of connections of each kind.
const CONNECTIONS: usize = 3;

/// The number of cycles per connection.
const CYCLES: i64 = 5;

/// Waits for the threads that close connections.
async fn closed() {
    until("the end of all connections", || {
        let threads = fs::read_dir("/proc/self/task").unwrap();
        let names = threads.filter_map(|thread| fs::read_to_string(thread.unwrap().path().join("comm")).ok());
        !names.into_iter().any(|name| name.starts_with("libvirt-close"))
    })
    .await;
}

/// Returns the number of open file descriptors of this process.
fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

async fn cycles(kit: &Kit) -> usize {
    let mut samples = 0;
    for cycle in 1..=CYCLES {
        let setup = kit.pollster("compute").resources_from("local_instances");
        samples += setup.cycle(cycle).poll().await.samples.len();
    }
    samples
}

#[tokio::test]
async fn a_driver_within_the_library_leaks_nothing() {
    for _ in 0..CONNECTIONS {
        let kit = kit_of("test:///default");
        assert_eq!(cycles(&kit).await, 0, "its domain is not Nova's");
        drop(kit);
        closed().await;
    }
}

#[tokio::test]
async fn a_daemon_leaks_nothing() {
    let Some(daemon) = daemon() else {
        return;
    };
    daemon.start_guests(&Guest::some(3));
    // Loads the library and initializes its event loop.
    cycles(&kit_of("test:///default")).await;
    closed().await;
    let before = open_files();
    for _ in 0..CONNECTIONS {
        let kit = kit_of(&daemon.uri());
        assert!(cycles(&kit).await > 100);
        let nowhere = kit_of("qemu+unix:///system?socket=/nowhere");
        let setup = nowhere
            .discovery("local_instances")
            .deadline(Duration::from_secs(1));
        assert!(setup.list().await.is_err());
        drop(kit);
        closed().await;
    }
    // Events arrive, and a domain is removed.
    let kit = kit_of(&daemon.uri());
    cycles(&kit).await;
    daemon.virsh(&["destroy", &Guest::new(1).name()]);
    daemon.virsh(&["undefine", &Guest::new(1).name()]);
    cycles(&kit).await;
    drop(kit);
    closed().await;
    until("the end of all sockets", || open_files() == before).await;
}
