//! The instances of a compute host: the program compared with collectd's virt plugin, on real QEMU domains.
//!
//! A proxy between the program and libvirtd counts the calls. The time of a call is from its packet to that of the reply. A
//! cycle is compared with the same call, alone and on an open connection.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use nephoscope_tests::libvirt::{Daemon, Guest, Wire};
use tokio::runtime::Builder;
use tokio::time::sleep;

use crate::bench::Effort;
use crate::error::{BenchError, Context};
use crate::figure::{Budget, Figure, Unit};
use crate::process::{cpu, pss};
use crate::stats::median;

/// The number of domains at the start and at the end.
const FEW: u32 = 10;
const MANY: u32 = 100;

/// Seconds between cycles, of the program and of collectd.
const INTERVAL: u64 = 10;

/// The timeout of a cycle.
const PATIENCE: Duration = Duration::from_secs(60);

/// The CPU time of ceilometer 19.0.0 for a cycle of 100 domains, in milliseconds.
const CEILOMETER: f64 = 650.0;

/// The path of Debian's collectd-core.
const COLLECTD: &str = "/usr/sbin/collectd";

pub(crate) fn run(effort: Effort) -> Result<Vec<Figure>, BenchError> {
    let cycles = effort.of(12, 4);
    let daemon = Daemon::start()
        .ok_or_else(|| BenchError::new("start libvirtd: it requires root, libvirtd, virsh and QEMU"))?;
    let guests: Vec<_> = (1..=MANY).map(Guest::new).collect();
    let (few, others) = guests.split_at(FEW as usize);
    daemon.start_guests(few);
    let wire = Wire::new(daemon.path("wire"), &daemon.socket());
    let small = Agent::start(&daemon, &wire)?.cycles(cycles)?;

    daemon.start_guests(others);
    let mut agent = Agent::start(&daemon, &wire)?;
    agent.cycles(2)?;
    let _ = (wire.calls(), wire.took());
    let busy = cpu(daemon.process())?;
    let large = agent.cycles(cycles)?;
    let daemon_with_us = per_cycle(cpu(daemon.process())?.saturating_sub(busy), cycles);
    let (bulk, calls) = wire.calls();
    let alone = median(wire.took().iter().map(|took| took.as_secs_f64() * 1e3).collect());
    let memory = agent.pss()?;

    let locked = &guests[MANY as usize / 2];
    daemon.signal_guest("STOP", locked);
    let first = agent.cycles(1)?;
    let first_calls = wire.calls().0;
    let after = agent.cycles(2)?;
    let after_calls = wire.calls().0;
    daemon.signal_guest("CONT", locked);
    drop(agent);

    let collectd = Collectd::measure(&daemon, &wire, cycles)?;
    let how = format!(
        "{MANY} running QEMU domains without KVM, one disk and one interface each, all meters to `discard:` every \
         {INTERVAL} s; median or mean of {cycles} cycles of the release program"
    );
    let figure = |name: &str, unit, budget, measured| Figure::new(name, unit, budget, measured, how.clone());
    let exactly_one = Budget::AtMost(1.0);
    Ok(vec![
        figure(
            "bulk calls a cycle, 100 domains",
            Unit::Count,
            exactly_one,
            bulk as f64 / cycles as f64,
        ),
        figure(
            "all calls a cycle",
            Unit::Count,
            exactly_one,
            calls as f64 / cycles as f64,
        ),
        figure("cycle", Unit::Milliseconds, Budget::None, large.duration),
        figure("the bulk call alone", Unit::Milliseconds, Budget::None, alone),
        figure(
            "the first / the second",
            Unit::Times,
            Budget::AtMost(1.1),
            large.duration / alone,
        ),
        figure(
            "CPU a cycle",
            Unit::Milliseconds,
            Budget::AtMost(CEILOMETER / 30.0),
            large.cpu,
        ),
        figure(
            "collectd's virt plugin, the same",
            Unit::Milliseconds,
            Budget::None,
            collectd.cpu,
        ),
        figure(
            "memory (PSS)",
            Unit::Megabytes,
            Budget::AtMost(12.0),
            memory / 1e6,
        ),
        figure("collectd's", Unit::Megabytes, Budget::None, collectd.pss / 1e6),
        figure(
            "libvirtd's CPU a cycle",
            Unit::Milliseconds,
            Budget::AtMost(collectd.daemon),
            daemon_with_us,
        ),
        figure(
            "the same under collectd",
            Unit::Milliseconds,
            Budget::None,
            collectd.daemon,
        ),
        figure(
            "collectd's calls a cycle",
            Unit::Count,
            Budget::None,
            collectd.calls,
        ),
        figure(
            "cycle of 100 / cycle of 10 domains",
            Unit::Times,
            Budget::AtMost(f64::from(MANY / FEW)),
            large.duration / small.duration,
        ),
        figure(
            "one locked: bulk calls of its first cycle",
            Unit::Count,
            Budget::AtMost(2.0),
            first_calls as f64,
        ),
        figure(
            "bulk calls of later ones",
            Unit::Count,
            exactly_one,
            after_calls as f64 / 2.0,
        ),
        figure(
            "its first cycle",
            Unit::Milliseconds,
            Budget::AtMost(INTERVAL as f64 * 1e3),
            first.duration,
        ),
        figure(
            "samples missing in it, without those of the locked QEMU",
            Unit::Count,
            Budget::AtMost(0.0),
            missing(&large, &first),
        ),
        figure(
            "the same in later ones",
            Unit::Count,
            Budget::AtMost(0.0),
            missing(&large, &after),
        ),
    ])
}

/// Returns the number of missing samples, without those that only the locked QEMU knows: nine samples of its disk, and its
/// resident memory.
fn missing(usual: &Cycles, locked: &Cycles) -> f64 {
    (usual.samples - 10.0 - locked.samples).max(0.0)
}

fn per_cycle(time: Duration, cycles: usize) -> f64 {
    time.as_secs_f64() * 1e3 / cycles as f64
}

/// The polling program.
struct Agent {
    child: Child,
    lines: Receiver<String>,
}

/// The wall and CPU milliseconds of cycles, and the samples of the last.
struct Cycles {
    duration: f64,
    cpu: f64,
    samples: f64,
}

impl Agent {
    fn start(daemon: &Daemon, wire: &Wire) -> Result<Self, BenchError> {
        let configuration = daemon.path("polling.yaml");
        fs::write(&configuration, configuration_of(daemon, wire)).context("write a configuration")?;
        let mut child = Command::new(crate::program::binary()?)
            .args(["run", "--log-level", "debug", "--config"])
            .arg(&configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("start the program")?;
        let log = child
            .stderr
            .take()
            .ok_or_else(|| BenchError::new("the program has no log"))?;
        let (sender, lines) = sync_channel(1024);
        std::thread::spawn(move || {
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                if line.contains("cycle ended") && sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, lines })
    }

    /// Waits for this many cycles.
    fn cycles(&mut self, count: usize) -> Result<Cycles, BenchError> {
        let before = cpu(self.child.id())?;
        let (mut durations, mut samples) = (Vec::new(), 0.0);
        for _ in 0..count {
            let line = self
                .lines
                .recv_timeout(PATIENCE)
                .context("see a cycle end in time")?;
            durations.push(value(&line, "duration=")? * 1e3);
            samples = value(&line, "samples=")?;
        }
        Ok(Cycles {
            duration: median(durations),
            cpu: per_cycle(cpu(self.child.id())?.saturating_sub(before), count),
            samples,
        })
    }

    fn pss(&self) -> Result<f64, BenchError> {
        pss(self.child.id())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended already; other code reports that.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the number after a key in a line of the log.
fn value(line: &str, key: &str) -> Result<f64, BenchError> {
    let rest = line.split_once(key).map(|(_, rest)| rest);
    let word = rest.and_then(|rest| rest.split_whitespace().next());
    word.and_then(|word| word.parse().ok())
        .ok_or_else(|| BenchError::new(format!("the log has no `{key}`: {line}")))
}

fn configuration_of(daemon: &Daemon, wire: &Wire) -> String {
    format!(
        "agent: {{namespaces: [compute], state_dir: {}}}\n\
         notifier: {{publishers: [{{name: out, url: 'discard:'}}]}}\n\
         plugins: {{libvirt: {{uri: '{}'}}}}\n\
         sources: [{{name: all, interval: {INTERVAL}, meters: ['*']}}]\n",
        daemon.path("state").display(),
        Daemon::uri_of(wire.socket())
    )
}

/// The cost of collectd's virt plugin for the same domains.
struct Collectd {
    /// CPU milliseconds per cycle.
    cpu: f64,
    /// The same of the daemon.
    daemon: f64,
    pss: f64,
    calls: f64,
}

impl Collectd {
    fn measure(daemon: &Daemon, wire: &Wire, cycles: usize) -> Result<Self, BenchError> {
        if !Path::new(COLLECTD).exists() {
            return Err(BenchError::new(
                "collectd is missing: apt-get install collectd-core",
            ));
        }
        let configuration = daemon.path("collectd.conf");
        let text = format!(
            "Hostname bench\nInterval {INTERVAL}\nBaseDir \"{0}\"\nPIDFile \"{0}/collectd.pid\"\n\
             PluginDir \"/usr/lib/collectd\"\nTypesDB \"/usr/share/collectd/types.db\"\nLoadPlugin virt\n\
             <Plugin virt>\nConnection \"{1}\"\nRefreshInterval 60\nExtraStats \"cpu_util disk domain_state vcpu memory\"\n\
             </Plugin>\n",
            daemon.path("").display(),
            Daemon::uri_of(wire.socket())
        );
        fs::write(&configuration, text).context("write a configuration for collectd")?;
        let mut child = Command::new(COLLECTD)
            .args(["-f", "-C"])
            .arg(&configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("start collectd")?;
        let measured = Self::watch(&child, daemon, wire, cycles);
        let _ = child.kill();
        let _ = child.wait();
        measured
    }

    fn watch(child: &Child, daemon: &Daemon, wire: &Wire, cycles: usize) -> Result<Self, BenchError> {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .build()
            .context("start a runtime")?;
        let interval = Duration::from_secs(INTERVAL);
        // It has read everything once.
        runtime.block_on(async { sleep(2 * interval).await });
        let _ = wire.calls();
        let (own, others) = (cpu(child.id())?, cpu(daemon.process())?);
        let count = u32::try_from(cycles).unwrap_or(u32::MAX);
        runtime.block_on(async { sleep(interval * count).await });
        Ok(Self {
            cpu: per_cycle(cpu(child.id())?.saturating_sub(own), cycles),
            daemon: per_cycle(cpu(daemon.process())?.saturating_sub(others), cycles),
            pss: pss(child.id())?,
            calls: wire.calls().1 as f64 / cycles as f64,
        })
    }
}
