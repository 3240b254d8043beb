//! A full disk: samples stay in memory, and the spool is used again when there is space.

use std::path::{Path, PathBuf};
use std::process::Command;

use nephoscope_tests::rabbitmq::{Broker, Network};
use nephoscope_tests::report_skipped;

use crate::account::{Account, Arrived};
use crate::independent;
use crate::scene::{Scene, Setting, publisher, stop, until_delivered};

/// A small file system, mounted until this is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Returns `None` and reports the test as skipped if it cannot be mounted, which requires root and the permission to mount.
    fn at(path: &Path) -> Option<Self> {
        std::fs::create_dir(path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=512k,mode=0700", "small"])
            .arg(path)
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(path.to_owned()));
        }
        report_skipped("a tmpfs cannot be mounted");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: it may still be in use.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_disk() {
    let broker = Broker::start().await;
    let setting = Setting {
        spool: "{mode: always, path: $LAB/disk/bus}".to_owned(),
        queue: 100_000,
        ..Setting::default()
    };
    let scene = Scene::new(&broker, &setting).await;
    let Some(_disk) = SmallDisk::at(&scene.lab.path("disk")) else {
        return;
    };
    nothing_is_lost_while_the_queue_has_space(&scene, &broker).await;
    let setting = Setting {
        queue: 500,
        ..setting
    };
    scene.configure(&setting);
    samples_without_space_are_counted(&scene, &broker).await;
}

async fn nothing_is_lost_while_the_queue_has_space(scene: &Scene, broker: &Broker) {
    let mut account = Account::default();
    scene.network.set(Network::Cut);
    let mut program = scene.start();
    program.log("cannot write to the spool: samples stay in memory");
    program.cycles(2);
    let ready = program.get("/readyz");
    assert_eq!(ready.status, 200, "{}", ready.body);
    assert!(ready.body.contains("spool_failing"), "{}", ready.body);
    let full = publisher(&program);
    assert!(full["queue"]["samples"].as_u64() > Some(0), "{full}");
    scene.network.set(Network::Normal);
    program.log("the spool is writable again");
    until_delivered(&mut program);
    let after = publisher(&program);
    assert_eq!(after["samples"]["dropped"], 0, "{after}");
    stop(program, &mut account);
    let arrived = Arrived::of(&independent::take_all(broker).await);
    account.assert_all_arrived(&arrived);
}

async fn samples_without_space_are_counted(scene: &Scene, broker: &Broker) {
    scene.network.set(Network::Cut);
    let mut program = scene.start();
    program.log("samples are lost: the queue is full");
    program.until("an unready agent", |program| {
        let ready = program.get("/readyz");
        (ready.status == 503 && ready.body.contains("nothing_published")).then_some(())
    });
    scene.network.set(Network::Normal);
    until_delivered(&mut program);
    program.until("a ready agent", |program| {
        (program.get("/readyz").status == 200).then_some(())
    });
    let finished = program.stop().expect(0);
    assert!(
        finished
            .stderr
            .contains("samples were lost: the queue no longer drops samples"),
        "{finished}"
    );
    let arrived = independent::take_all(broker).await;
    assert!(!arrived.is_empty());
}
