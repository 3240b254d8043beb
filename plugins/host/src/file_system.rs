//! Sizes of mounted file systems.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use nephoscope_model::MeterDef;
use nephoscope_plugin::{BlockingError, Failure, PollContext};
use tokio::time::Instant;

use crate::findings::Findings;
use crate::machine::Machine;
use crate::meter::*;
use crate::mount::{Mount, mounts};
use crate::pollster::Area;
use crate::space::Space;
use crate::text::name;
use crate::tree::read;

/// The time limit of a remote file system. One that does not respond hangs, or is so slow that programs that use it
/// hang too.
const REMOTE_TIMEOUT: Duration = Duration::from_secs(5);

/// How many remote file systems are queried at once, each on its own thread.
const REMOTE_CONCURRENCY: usize = 8;

const INODES: [MeterDef; 2] = [INODES_TOTAL, INODES_USED];

/// The area of file system meters.
pub(crate) struct FileSystems;

#[async_trait]
impl Area for FileSystems {
    const METERS: &'static [MeterDef] = FILE_SYSTEM_METERS;

    async fn measure(&self, machine: &Machine, context: &PollContext, findings: &mut Findings<'_>) {
        let mut text = Vec::new();
        if let Err(error) = read(machine.tree.process("mountinfo"), &mut text) {
            findings.fail("file_systems", error);
            return;
        }
        let mut table = mounts(&text);
        findings.fail_lines("file_systems", "/proc/self/mountinfo", &table.invalid);
        if !table.has_root && machine.options.file_systems.passes("/") {
            match (machine.calls.device_id)(&machine.tree.rooted(b"/")) {
                Ok(Some(id)) => table.add_root(id),
                Ok(None) => {}
                Err(error) => {
                    let failure = Failure::transient("cannot get the file system of /").caused_by(error);
                    findings.fail("rootfs", failure);
                }
            }
        }
        let (remote, local): (Vec<_>, Vec<_>) = table
            .mounts
            .into_iter()
            .filter(|mount| machine.options.file_systems.passes(&name(&mount.path)))
            .partition(|mount| mount.is_remote);
        let mut summary = Summary::default();
        for mount in local {
            // The kernel answers from memory: this does not wait for a disk.
            let space = (machine.calls.statvfs)(&machine.tree.rooted(&mount.path));
            summary.add(
                &mount,
                space.map_err(|error| size_error(&mount, error)),
                machine,
                findings,
            );
        }
        if machine.options.network_file_systems {
            let now = Instant::now();
            let time = context.deadline.saturating_duration_since(now) / 2;
            let until = now + time.min(REMOTE_TIMEOUT);
            let mut answers = futures::stream::iter(remote)
                .map(|mount| async {
                    let space = query_remote(machine, &mount, until).await;
                    (mount, space)
                })
                .buffered(REMOTE_CONCURRENCY);
            while let Some((mount, space)) = answers.next().await {
                summary.add(&mount, space, machine, findings);
            }
        }
        summary.report_missing(findings);
    }
}

/// Queries a file system that may hang, on its own thread.
async fn query_remote(machine: &Machine, mount: &Mount, until: Instant) -> Result<Space, Failure> {
    if Instant::now() >= until {
        let message = format!(
            "{} was not queried: other file systems used up the time",
            name(&mount.path)
        );
        return Err(Failure::transient(message));
    }
    let path: PathBuf = machine.tree.rooted(&mount.path);
    let call = format!("statvfs {}", path.display());
    let statvfs = machine.calls.statvfs;
    let answer = machine.blocking.call(&call, until, move || statvfs(&path)).await;
    match answer {
        Ok(space) => space.map_err(|error| size_error(mount, error)),
        Err(error @ (BlockingError::TimedOut | BlockingError::StillRunning)) => {
            let message = format!("{} does not respond", name(&mount.path));
            Err(Failure::transient(message).caused_by(error))
        }
        Err(error) => {
            let message = format!("cannot query {}", name(&mount.path));
            Err(Failure::transient(message).caused_by(error))
        }
    }
}

fn size_error(mount: &Mount, error: rustix::io::Errno) -> Failure {
    Failure::transient(format!("cannot get the size of {}", name(&mount.path))).caused_by(error)
}

/// A summary of the measured file systems.
#[derive(Default)]
struct Summary {
    /// Whether there is any.
    any: bool,
    /// Whether one failed.
    failed: bool,
}

impl Summary {
    fn add(
        &mut self,
        mount: &Mount,
        space: Result<Space, Failure>,
        machine: &Machine,
        findings: &mut Findings<'_>,
    ) {
        let device = name(&mount.device);
        match space {
            // It contains no data, in spite of its type.
            Ok(space) if space.total == 0 => {}
            Ok(space) => {
                self.any = true;
                let subject = machine.device(&device, |subject| {
                    subject
                        .metadata("path", name(&mount.path))
                        .metadata("device", device.clone())
                });
                findings.add(&SIZE_TOTAL, &subject, space.total);
                findings.add(&SIZE_USED, &subject, space.used);
                if let Some(inodes) = space.inodes {
                    findings.add(&INODES_TOTAL, &subject, inodes.total);
                    findings.add(&INODES_USED, &subject, inodes.used);
                }
            }
            Err(failure) => {
                self.any = true;
                self.failed = true;
                findings.fail(device, failure);
            }
        }
    }

    /// Reports the reason if samples are missing without a failure.
    fn report_missing(&self, findings: &mut Findings<'_>) {
        if !self.any {
            let message = "the machine has no file system that is measured";
            findings.fail("file_systems", Failure::not_supported(message));
        } else if !self.failed && findings.want(&INODES) && !findings.has_sample(&INODES) {
            let message = "no file system has a fixed number of inodes";
            findings.fail("inodes", Failure::not_supported(message));
        }
    }
}
