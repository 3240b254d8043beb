//! A fake hypervisor with a test's domains, used by the real plugins.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use nephoscope_model::{CycleId, Meter, Resource, RunIds, Sample, ScheduleId, Timestamp};
use nephoscope_plugin::{
    BlockingPool, BuildContext, CallCounts, CycleCache, Discovery as _, DiscoveryRun, DiscoveryRunParts,
    Failure, Families, MeterTable, Page, PollContext, PollRun, Pollster as _, RunObserver, SampleSink,
};
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use crate::changes::Changes;
use crate::discovery::LocalInstances;
use crate::family::Family;
use crate::groups::Groups;
use crate::hypervisor::Hypervisor;
use crate::identity;
use crate::meter::METERS;
use crate::nova::NovaClients;
use crate::options::Options;
use crate::pollster::ComputePollster;
use crate::session::{Error, Opener, Session};
use crate::stats::DomainStats;
use crate::testing::recorded;

/// Longer than any call of a test that should answer.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A domain of the fake hypervisor.
#[derive(Debug, Clone)]
pub(crate) struct FakeDomain {
    pub(crate) uuid: Uuid,
    pub(crate) name: String,
    pub(crate) id: Option<u32>,
    /// In the form of `virsh domstats`.
    pub(crate) stats: Vec<(String, String)>,
    pub(crate) definition: Result<String, Error>,
}

impl FakeDomain {
    /// Creates a domain from the output of `virsh domstats` and its definition.
    pub(crate) fn new(uuid: &str, name: &str, stats: &str, definition: &str) -> Self {
        let pairs = stats.lines().filter_map(|line| line.trim().split_once('='));
        Self {
            uuid: identity::uuid(uuid).unwrap(),
            name: name.to_owned(),
            id: Some(1),
            stats: pairs
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            definition: Ok(definition.to_owned()),
        }
    }

    /// Sets a statistic.
    pub(crate) fn set(&mut self, name: &str, value: impl ToString) {
        self.remove(name);
        self.stats.push((name.to_owned(), value.to_string()));
    }

    /// Removes the statistics whose names have this prefix.
    pub(crate) fn remove(&mut self, prefix: &str) {
        self.stats.retain(|(name, _)| !name.starts_with(prefix));
    }

    /// Replaces a part of the definition, which must contain it.
    pub(crate) fn define(&mut self, from: &str, to: &str) {
        let definition = self.definition.as_mut().unwrap();
        assert!(definition.contains(from), "{from}");
        *definition = definition.replacen(from, to, 1);
    }

    fn stats(&self, groups: Groups) -> DomainStats {
        let mut stats = DomainStats::new(self.uuid, self.name.clone(), self.id);
        for (name, value) in &self.stats {
            recorded::read(&format!("{name}={value}"), groups, &mut stats);
        }
        stats
    }
}

/// The effect of the next call of a kind.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It fails.
    Fails(&'static str),
    /// It hangs until the other end is dropped, and then fails.
    Hangs(Receiver<()>),
}

impl Fault {
    /// Returns a hang, and a sender whose drop ends it.
    pub(crate) fn hang() -> (Self, SyncSender<()>) {
        let (end, hang) = sync_channel(0);
        (Self::Hangs(hang), end)
    }

    fn into_error(self) -> Error {
        match self {
            Self::Fails(message) => Error::new(message),
            Self::Hangs(hang) => {
                let _ = hang.recv();
                Error::new("the call was ended")
            }
        }
    }
}

/// The state of the fake hypervisor.
#[derive(Debug, Default)]
pub(crate) struct Host {
    pub(crate) domains: Vec<FakeDomain>,
    /// Every call: `open`, `stats`, `stats nowait`, `definition NAME`.
    pub(crate) calls: Vec<String>,
    pub(crate) at_open: VecDeque<Fault>,
    pub(crate) at_stats: VecDeque<Fault>,
    pub(crate) at_definition: VecDeque<Fault>,
    /// The groups of the last statistics call.
    pub(crate) groups: Option<Groups>,
}

struct FakeSession(Arc<Mutex<Host>>);

impl Session for FakeSession {
    fn stats(&mut self, groups: Groups, nowait: bool) -> Result<Vec<DomainStats>, Error> {
        let fault = {
            let mut host = self.0.lock();
            host.calls
                .push(if nowait { "stats nowait" } else { "stats" }.to_owned());
            host.groups = Some(groups);
            host.at_stats.pop_front()
        };
        if let Some(fault) = fault {
            return Err(fault.into_error());
        }
        let host = self.0.lock();
        Ok(host.domains.iter().map(|domain| domain.stats(groups)).collect())
    }

    fn definition(&mut self, uuid: &Uuid) -> Result<String, Error> {
        let (fault, definition) = {
            let mut host = self.0.lock();
            let domain = host.domains.iter().find(|domain| domain.uuid == *uuid).cloned();
            let domain = domain.unwrap();
            host.calls.push(format!("definition {}", domain.name));
            (host.at_definition.pop_front(), domain.definition)
        };
        match fault {
            Some(fault) => Err(fault.into_error()),
            None => definition,
        }
    }
}

/// The plugins of an agent with a fake hypervisor.
pub(crate) struct Lab {
    pub(crate) host: Arc<Mutex<Host>>,
    pub(crate) changes: Arc<Changes>,
    pub(crate) family: Arc<Family>,
    pub(crate) blocking: BlockingPool,
}

impl Lab {
    pub(crate) fn new(domains: impl IntoIterator<Item = FakeDomain>) -> Self {
        Self::with(Options::default(), domains)
    }

    pub(crate) fn with(options: Options, domains: impl IntoIterator<Item = FakeDomain>) -> Self {
        Self::on_host("cmp-a", json!({}), options, domains)
    }

    /// Creates a lab on a host of this name, in a cloud with these options.
    pub(crate) fn on_host(
        name: &str,
        openstack: serde_json::Value,
        options: Options,
        domains: impl IntoIterator<Item = FakeDomain>,
    ) -> Self {
        let host = Arc::new(Mutex::new(Host {
            domains: domains.into_iter().collect(),
            ..Host::default()
        }));
        let (changes, blocking) = (Arc::new(Changes::default()), BlockingPool::default());
        let opened = host.clone();
        let opener: Arc<Opener> = Arc::new(move || {
            let fault = {
                let mut host = opened.lock();
                host.calls.push("open".to_owned());
                host.at_open.pop_front()
            };
            match fault {
                Some(fault) => Err(fault.into_error()),
                None => Ok(Box::new(FakeSession(opened.clone())) as Box<dyn Session>),
            }
        });
        let hypervisor = Hypervisor::new(&options, opener, changes.clone(), blocking.clone());
        let families = Families::new(
            [("openstack".to_owned(), openstack)].into(),
            CallCounts::default(),
        );
        let context = BuildContext::new(name.into(), "libvirt", families, blocking.clone());
        let nova = NovaClients::of(&context, &options).unwrap();
        Self {
            family: Arc::new(Family::new(name.into(), options, hypervisor, nova)),
            host,
            changes,
            blocking,
        }
    }

    /// Returns and clears the calls.
    pub(crate) fn calls(&self) -> String {
        std::mem::take(&mut self.host.lock().calls).join(", ")
    }

    /// Discovers and polls all meters, as the engine does in a cycle.
    pub(crate) async fn cycle(&self, number: i64) -> Polled {
        self.cycle_within(number, LONG, |_| true).await
    }

    /// As [`Lab::cycle`], with a deadline and a selection of meters.
    pub(crate) async fn cycle_within(
        &self,
        number: i64,
        within: Duration,
        wants: fn(&str) -> bool,
    ) -> Polled {
        let cycle = CycleId::new(
            ScheduleId::new("every:10:0"),
            Timestamp::from_millis(number * 10_000),
            number,
        );
        let (deadline, cache) = (Instant::now() + within, CycleCache::default());
        let meters: Vec<_> = METERS.iter().filter(|meter| wants(meter.name)).collect();
        let wanted = meters.iter().map(|meter| Arc::from(meter.name)).collect();
        let (pages, mut listed) = mpsc::channel(16);
        let mut run = DiscoveryRun::new(
            DiscoveryRunParts::new(cycle.clone(), deadline, Default::default(), cache.clone(), pages)
                .wanted(Arc::new(wanted)),
        );
        let listing = LocalInstances(self.family.clone());
        let polled = Arc::new(Mutex::new(Polled::default()));
        if let Err(failure) = listing.discover(&mut run).await {
            polled.lock().error = Some(failure.chain());
        }
        run.flush().await.unwrap();
        drop(run);
        let context = PollContext::new(cycle.clone(), deadline, Default::default(), cache);
        let table = METERS
            .iter()
            .map(|meter| (Arc::new(Meter::from(meter)), wants(meter.name)));
        let (batches, mut received) = mpsc::channel(1024);
        let (sink, output) = SampleSink::new(
            Arc::new(MeterTable::new(table)),
            RunIds::new("cmp-a", &cycle, "compute"),
            cycle.start,
            50,
            batches,
            Arc::new(Observer(polled.clone())),
        );
        let (pages, waiting) = mpsc::channel(16);
        while let Some(page) = listed.recv().await {
            pages.send(Page::all(Arc::new(page))).await.unwrap();
        }
        drop(pages);
        let mut run = PollRun::new(context, waiting, sink);
        if let Err(failure) = ComputePollster(self.family.clone()).poll(&mut run).await {
            polled.lock().error = Some(failure.chain());
        }
        drop(run);
        let mut polled = std::mem::take(&mut *polled.lock());
        while let Some(batch) = received.recv().await {
            polled.samples.extend(batch.samples);
        }
        polled
            .samples
            .extend(output.take().into_iter().flat_map(|reported| reported.samples));
        polled
    }
}

/// The results of a cycle.
#[derive(Debug, Default)]
pub(crate) struct Polled {
    pub(crate) samples: Vec<Sample>,
    /// Resources and their failures.
    pub(crate) failures: Vec<String>,
    pub(crate) error: Option<String>,
}

impl Polled {
    /// Returns a line for each sample, then the errors.
    pub(crate) fn lines(&self) -> Vec<String> {
        let samples = self.samples.iter();
        let mut lines: Vec<_> = samples
            .map(|sample| {
                let (name, volume) = (&sample.meter.name, serde_json::to_string(&sample.volume).unwrap());
                format!("{name} {volume} {}", sample.subject.resource_id)
            })
            .collect();
        lines.extend(self.failures.iter().cloned());
        lines.extend(self.error.as_ref().map(|error| format!("error: {error}")));
        lines
    }

    /// Returns the differences to another result: the missing samples per resource, and the new or changed ones.
    pub(crate) fn against(&self, usual: &Self) -> String {
        let has = |polled: &Self, like: &Sample| polled.samples.iter().any(|sample| same(sample, like));
        let mut resources: Vec<&str> = Vec::new();
        for sample in &usual.samples {
            if !resources.contains(&&*sample.subject.resource_id) {
                resources.push(&sample.subject.resource_id);
            }
        }
        let mut lines = Vec::new();
        for resource in resources {
            let all = usual
                .samples
                .iter()
                .filter(|sample| *sample.subject.resource_id == *resource);
            let gone: Vec<_> = all
                .clone()
                .filter(|sample| !has(self, sample))
                .map(|sample| &*sample.meter.name)
                .collect();
            if gone.len() == all.count() {
                lines.push(format!("- {resource}: all"));
            } else if !gone.is_empty() {
                lines.push(format!("- {resource}: {}", gone.join(", ")));
            }
        }
        let usual = usual.lines();
        let new = self.lines().into_iter().filter(|line| !usual.contains(line));
        lines.extend(new.map(|line| format!("+ {line}")));
        lines
            .join("\n")
            .replace("11111111-1111-1111-1111-111111111111", "ID")
    }

    /// Returns the metadata of the instance as JSON.
    pub(crate) fn metadata(&self) -> String {
        let sample = self
            .samples
            .iter()
            .find(|sample| sample.meter.name == "disk.root.size");
        let metadata = nephoscope_model::Value::Map(sample.unwrap().subject.metadata.clone());
        serde_json::to_string(&metadata).unwrap()
    }
}

/// Whether both have the same meter and resource.
fn same(one: &Sample, other: &Sample) -> bool {
    (&one.meter.name, &one.subject.resource_id) == (&other.meter.name, &other.subject.resource_id)
}

struct Observer(Arc<Mutex<Polled>>);

impl RunObserver for Observer {
    fn reported(&self, _: &Resource) {}

    fn failed(&self, resource: &Resource, failure: Failure) {
        let line = format!("{}: {}: {}", resource.key(), failure.kind(), failure.chain());
        self.0.lock().failures.push(line);
    }

    fn defect(&self, message: String) {
        panic!("{message}");
    }
}

/// The instance of ceilometer's recorded samples, with two disks and two interfaces.
pub(crate) fn instance() -> FakeDomain {
    FakeDomain::new(
        "11111111-1111-1111-1111-111111111111",
        "instance-0000000a",
        include_str!("../../tests/instance/domstats.txt"),
        include_str!("../../tests/instance/domain.xml"),
    )
}
