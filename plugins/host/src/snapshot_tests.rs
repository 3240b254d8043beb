//! Snapshot tests of machines of different kinds, whose files are in `tests/fixtures`.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use nephoscope_model::{CycleId, ScheduleId, Timestamp};
use nephoscope_plugin::{BlockingPool, CycleCache, PollContext};
use rustix::io::Errno;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cpu::Cpu;
use crate::disk::Disks;
use crate::file_system::FileSystems;
use crate::findings::Findings;
use crate::machine::{Calls, Machine};
use crate::memory::Memory;
use crate::network::Network;
use crate::options::Options;
use crate::pollster::Area;
use crate::space::{Inodes, Space};

fn machine(fixture: &str, options: serde_json::Value) -> Machine {
    let mut options: Options = serde_json::from_value(options).unwrap();
    let folder = Path::new("tests/fixtures").join(fixture);
    options.proc = folder.join("proc");
    options.sys = folder.join("sys");
    let mut machine = Machine::new("node1".into(), options, BlockingPool::default());
    machine.calls = Calls {
        statvfs: space,
        device_id: |_| Ok(Some(b"8:9".to_vec())),
        addresses: || Ok(vec![(b"eth0".to_vec(), Ipv4Addr::new(192, 0, 2, 7))]),
    };
    machine
}

/// Returns the space of a file system by its mount point.
fn space(path: &Path) -> rustix::io::Result<Space> {
    let inodes = Inodes {
        total: 1000,
        used: 10,
    };
    let space = Space {
        total: 20_000,
        used: 5_000,
        inodes: Some(inodes),
    };
    match path.to_str() {
        Some("/boot/efi" | "/etc/hosts") => Ok(Space {
            inodes: None,
            ..space
        }),
        Some("/gone") => Err(Errno::NOENT),
        // Tests do not wait for it: the thread hangs.
        Some("/hung") => loop {
            std::thread::park();
        },
        _ => Ok(space),
    }
}

fn context(number: i64) -> PollContext {
    PollContext::new(
        CycleId::new(
            ScheduleId::new("every:10:0"),
            Timestamp::from_millis(number * 10_000),
            number,
        ),
        Instant::now() + Duration::from_secs(60),
        CancellationToken::new(),
        CycleCache::default(),
    )
    .members(std::num::NonZeroUsize::MIN)
}

async fn measure<A: Area>(area: A, machine: &Machine) -> String {
    let wanted = A::METERS.iter().map(|meter| meter.name).collect();
    let mut findings = Findings::new(machine, wanted);
    area.measure(machine, &context(1), &mut findings).await;
    findings.describe()
}

/// Returns the findings of all areas.
async fn all(fixture: &str, options: serde_json::Value) -> String {
    let machine = machine(fixture, options);
    let mut text = measure(Cpu::default(), &machine).await;
    text += &measure(Memory, &machine).await;
    text += &measure(Disks, &machine).await;
    text += &measure(FileSystems, &machine).await;
    text += &measure(Network, &machine).await;
    text
}

#[tokio::test]
async fn a_server() {
    insta::assert_snapshot!(all("server", serde_json::json!({})).await);
}

#[tokio::test]
async fn a_container_without_disks_and_with_incomplete_files() {
    insta::assert_snapshot!(all("container", serde_json::json!({})).await);
}

#[tokio::test]
async fn an_old_kernel() {
    insta::assert_snapshot!(all("old", serde_json::json!({})).await);
}

#[tokio::test]
async fn invalid_entries_affect_only_what_depends_on_them() {
    insta::assert_snapshot!(all("invalid", serde_json::json!({})).await);
}

#[tokio::test]
async fn a_machine_without_files() {
    insta::assert_snapshot!(all("nowhere", serde_json::json!({})).await);
}

#[tokio::test]
async fn options_select_the_devices() {
    let options = serde_json::json!({
        "disks": ["sda*", "loop0"],
        "file_systems": ["!/boot*"],
        "interfaces": ["eth*"],
        "network_file_systems": true,
    });
    let found = all("server", options).await;
    let mut devices: Vec<_> = found
        .lines()
        .filter_map(|line| {
            line.split(" of ")
                .nth(1)?
                .split(' ')
                .next()?
                .strip_prefix("node1.")
        })
        .collect();
    devices.sort_unstable();
    devices.dedup();
    let expected = [
        "/dev/mapper/vg-srv",
        "/dev/sda1",
        "eth0",
        "filer.example.org:/home",
        "loop0",
        "sda",
        "sda1",
    ];
    assert_eq!(devices, expected);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_network_file_system_loses_its_own_samples_and_occupies_one_thread() {
    let folder = tempfile::tempdir().unwrap();
    let process = folder.path().join("proc/1");
    std::fs::create_dir_all(&process).unwrap();
    let mounts = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:50 / /hung rw - nfs filer:/hung rw\n";
    std::fs::write(process.join("mountinfo"), mounts).unwrap();
    let machine = machine(
        folder.path().to_str().unwrap(),
        serde_json::json!({ "network_file_systems": true }),
    );
    let measured = [
        measure(FileSystems, &machine).await,
        measure(FileSystems, &machine).await,
    ];
    insta::assert_snapshot!(measured.join("\n"), @r#"
    hardware.disk.size.total = 20000 of node1./dev/sda1 {"path":"/","device":"/dev/sda1","resource_url":"node1"}
    hardware.disk.size.used = 5000 of node1./dev/sda1 {"path":"/","device":"/dev/sda1","resource_url":"node1"}
    hardware.disk.inodes.total = 1000 of node1./dev/sda1 {"path":"/","device":"/dev/sda1","resource_url":"node1"}
    hardware.disk.inodes.used = 10 of node1./dev/sda1 {"path":"/","device":"/dev/sda1","resource_url":"node1"}
    filer:/hung: transient: /hung does not respond: the call did not end by its deadline

    hardware.disk.size.total = 20000 of node1./dev/sda1 {"path":"/","device":"/dev/sda1","resource_url":"node1"}
    hardware.disk.size.used = 5000 of node1./dev/sda1 {"path":"/","device":"/dev/sda1","resource_url":"node1"}
    hardware.disk.inodes.total = 1000 of node1./dev/sda1 {"path":"/","device":"/dev/sda1","resource_url":"node1"}
    hardware.disk.inodes.used = 10 of node1./dev/sda1 {"path":"/","device":"/dev/sda1","resource_url":"node1"}
    filer:/hung: transient: /hung does not respond: an earlier call still hangs
    "#);
    assert_eq!(machine.blocking.hung_calls(), ["statvfs /hung"]);
}

/// In a chroot to a directory, `/` is not a mount point.
#[tokio::test]
async fn in_a_chroot_the_file_system_of_the_root_directory_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let process = folder.path().join("proc/1");
    std::fs::create_dir_all(&process).unwrap();
    let mounts = "22 21 0:21 / /proc rw - proc proc rw\n23 21 0:22 / /sys rw - sysfs sysfs rw\n";
    std::fs::write(process.join("mountinfo"), mounts).unwrap();
    let folder = folder.path().to_str().unwrap();
    let found = measure(FileSystems, &machine(folder, serde_json::json!({}))).await;
    insta::assert_snapshot!(found, @r#"
    hardware.disk.size.total = 20000 of node1.rootfs {"path":"/","device":"rootfs","resource_url":"node1"}
    hardware.disk.size.used = 5000 of node1.rootfs {"path":"/","device":"rootfs","resource_url":"node1"}
    hardware.disk.inodes.total = 1000 of node1.rootfs {"path":"/","device":"rootfs","resource_url":"node1"}
    hardware.disk.inodes.used = 10 of node1.rootfs {"path":"/","device":"rootfs","resource_url":"node1"}
    "#);
    let excluded = machine(folder, serde_json::json!({ "file_systems": ["!/"] }));
    insta::assert_snapshot!(measure(FileSystems, &excluded).await, @"file_systems: not_supported: the machine has no file system that is measured");
    let mut in_memory = machine(folder, serde_json::json!({}));
    in_memory.calls.device_id = |_| Ok(None);
    insta::assert_snapshot!(measure(FileSystems, &in_memory).await, @"file_systems: not_supported: the machine has no file system that is measured");
    let mut failing = machine(folder, serde_json::json!({}));
    failing.calls.device_id = |_| Err(Errno::ACCESS);
    insta::assert_snapshot!(measure(FileSystems, &failing).await, @r"
    rootfs: transient: cannot get the file system of /: Permission denied (os error 13)
    file_systems: not_supported: the machine has no file system that is measured
    ");
}

#[tokio::test]
async fn a_file_without_wanted_meters_is_not_read() {
    let machine = machine("nowhere", serde_json::json!({}));
    let mut findings = Findings::new(&machine, vec!["hardware.uptime"]);
    Cpu::default().measure(&machine, &context(1), &mut findings).await;
    insta::assert_snapshot!(findings.describe(), @"uptime: not_supported: tests/fixtures/nowhere/proc/uptime does not exist");
}

#[tokio::test]
async fn truncated_files_lose_samples_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        "loadavg",
        "stat",
        "uptime",
        "meminfo",
        "diskstats",
        "vmstat",
        "1/net/dev",
        "1/net/snmp",
        "1/mountinfo",
    ];
    let whole = files.map(|file| std::fs::read(Path::new("tests/fixtures/invalid/proc").join(file)).unwrap());
    let longest = whole.iter().map(Vec::len).max().unwrap();
    std::fs::create_dir_all(folder.path().join("proc/1/net")).unwrap();
    let mut lengths = Vec::new();
    for length in (0..=longest).step_by(5) {
        for (file, text) in files.iter().zip(&whole) {
            let cut = text.get(..length).unwrap_or(text);
            std::fs::write(folder.path().join("proc").join(file), cut).unwrap();
        }
        lengths.push(
            all(folder.path().to_str().unwrap(), serde_json::json!({}))
                .await
                .len(),
        );
    }
    assert!(
        lengths.iter().max() > lengths.first(),
        "longer files have more findings"
    );
}
