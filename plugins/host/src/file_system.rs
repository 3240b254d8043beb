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

/// How long a file system that another machine or program serves may take to answer. One that does not hangs,
/// or is so slow that programs which use it hang as well.
const SERVED_TIMEOUT: Duration = Duration::from_secs(5);

/// How many of those are asked at once, each on a thread of its own.
const SERVED_AT_ONCE: usize = 8;

const INODES: [MeterDef; 2] = [INODES_TOTAL, INODES_USED];

/// The area.
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
        let (mounts, odd) = mounts(&text);
        findings.fail_odd("file_systems", "/proc/self/mountinfo", &odd);
        let (served, local): (Vec<_>, Vec<_>) = mounts
            .into_iter()
            .filter(|mount| machine.options.file_systems.passes(&name(&mount.path)))
            .partition(|mount| mount.is_served);
        let mut measured = Measured::default();
        for mount in local {
            // The kernel answers out of memory: this does not wait for a disk.
            let space = (machine.calls.statvfs)(&machine.tree.rooted(&mount.path));
            measured.add(
                &mount,
                space.map_err(|error| cannot_ask(&mount, error)),
                machine,
                findings,
            );
        }
        if machine.options.network_file_systems {
            let now = Instant::now();
            let time = context.deadline.saturating_duration_since(now) / 2;
            let until = now + time.min(SERVED_TIMEOUT);
            let mut answers = futures::stream::iter(served)
                .map(|mount| async {
                    let space = ask_served(machine, &mount, until).await;
                    (mount, space)
                })
                .buffered(SERVED_AT_ONCE);
            while let Some((mount, space)) = answers.next().await {
                measured.add(&mount, space, machine, findings);
            }
        }
        measured.explain(findings);
    }
}

/// Asks a file system that may hang, on a thread of its own.
async fn ask_served(machine: &Machine, mount: &Mount, until: Instant) -> Result<Space, Failure> {
    if Instant::now() >= until {
        let message = format!("{} was not asked: others took all the time", name(&mount.path));
        return Err(Failure::transient(message));
    }
    let path: PathBuf = machine.tree.rooted(&mount.path);
    let call = format!("statvfs {}", path.display());
    let statvfs = machine.calls.statvfs;
    let answer = machine.blocking.call(&call, until, move || statvfs(&path)).await;
    match answer {
        Ok(space) => space.map_err(|error| cannot_ask(mount, error)),
        Err(error @ (BlockingError::TimedOut | BlockingError::StillRunning)) => {
            let message = format!("{} does not answer", name(&mount.path));
            Err(Failure::transient(message).caused_by(error))
        }
        Err(error) => {
            let message = format!("{} could not be asked", name(&mount.path));
            Err(Failure::transient(message).caused_by(error))
        }
    }
}

fn cannot_ask(mount: &Mount, error: rustix::io::Errno) -> Failure {
    Failure::transient(format!("{} does not tell its size", name(&mount.path))).caused_by(error)
}

/// What became of the file systems.
#[derive(Default)]
struct Measured {
    /// Whether there was any.
    any: bool,
    /// Whether one failed.
    failed: bool,
}

impl Measured {
    fn add(
        &mut self,
        mount: &Mount,
        space: Result<Space, Failure>,
        machine: &Machine,
        findings: &mut Findings<'_>,
    ) {
        let device = name(&mount.device);
        match space {
            // It only looks like one that holds data.
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

    /// Gives the reason where there are no samples and no failure says why.
    fn explain(&self, findings: &mut Findings<'_>) {
        if !self.any {
            let message = "there is no file system to measure";
            findings.fail("file_systems", Failure::not_supported(message));
        } else if !self.failed && findings.want(&INODES) && !findings.have(&INODES) {
            let message = "no file system has a fixed number of inodes";
            findings.fail("inodes", Failure::not_supported(message));
        }
    }
}
