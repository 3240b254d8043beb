//! The figures and their budgets.

use std::num::NonZeroUsize;
use std::thread::available_parallelism;
use std::time::Duration;

use nephoscope_cloud::{Cloud, Fault, FaultKind, Service, Size};
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

use super::peer::{AGENTS, Work};
use super::pool::{Busy, Cycle, INTERVAL, METERS, Pool, Record};
use super::single;
use crate::bench::Effort;
use crate::error::{BenchError, Context};
use crate::figure::{Budget, Figure, Unit};
use crate::stats::median;
use crate::table;

/// The latency of the cloud.
const LATENCY: Duration = Duration::from_millis(20);

/// The lifetime of tokens: several pass during the measurement of the pool.
const TOKEN_LIFETIME: Duration = Duration::from_secs(60);

/// The defaults of `concurrency`, `retries` and the page size.
const CONCURRENCY: u64 = 8;
const RETRIES: u64 = 2;
const PAGE: usize = 1000;

/// The number of resources of one kind for the memory of an agent.
const MANY: usize = 100_000;

/// The size of the cloud whose requests are counted.
fn size() -> Size {
    Size {
        volumes: 10_000,
        floating_ips: 10_000,
        images: 1_000,
        projects: 1_000,
        zones: 500,
        record_sets: 200,
        ..Size::of(0)
    }
}

/// Measures requests, time, faults and memory.
pub(crate) fn run(effort: Effort) -> Result<Vec<Figure>, BenchError> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("start a runtime")?;
    let mut figures = shared(&runtime, effort)?;
    figures.extend(large(&runtime, effort)?);
    Ok(figures)
}

/// Measures the pool.
fn shared(runtime: &Runtime, effort: Effort) -> Result<Vec<Figure>, BenchError> {
    let size = size();
    let cloud = runtime.block_on(Cloud::start(size.clone()));
    cloud.latency(LATENCY);
    cloud.token_lifetime(TOKEN_LIFETIME);
    let began = Instant::now();
    let pool = Pool::start(runtime, &cloud, AGENTS)?;
    let mut cycles = Vec::new();
    for _ in 0..effort.of(5, 2) {
        cycles.push(pool.cycle(&cloud, || ())?);
    }
    let lifetimes = (began.elapsed().as_secs_f64() / TOKEN_LIFETIME.as_secs_f64()).ceil();
    let mut figures = requests(&size, &cycles)?;
    figures.push(declared(&pool, &size, &cycles)?);
    figures.push(Figure::new(
        "tokens, of 10 agents",
        Unit::Count,
        Budget::AtMost((lifetimes + 1.0) * AGENTS as f64),
        cloud.tokens_given() as f64,
        format!(
            "all tokens since the start of the agents; they last {} s, and {lifetimes} lifetimes have started",
            TOKEN_LIFETIME.as_secs()
        ),
    ));
    figures.extend(times(&size, &cycles));
    figures.extend(busy(&cycles));
    figures.extend(faults(&pool, &cloud, &cycles)?);
    drop(pool);
    figures.extend(alone(runtime, &cloud, &size, effort)?);
    Ok(figures)
}

/// Requests of a cycle, compared with ceilometer's.
fn requests(size: &Size, cycles: &[Cycle]) -> Result<Vec<Figure>, BenchError> {
    let how = format!(
        "requests a cycle that ceilometer makes / that this makes, by the counts of a simulated cloud with {} volumes, {} \
         floating IPs, {} images, {} projects and {} zones of {} record sets; {AGENTS} agents of the release program on an \
         etcd, mean of {} cycles",
        size.volumes,
        size.floating_ips,
        size.images,
        size.projects,
        size.zones,
        size.record_sets,
        cycles.len()
    );
    let counted = cycles.iter().flat_map(|cycle| &cycle.requests);
    if let Some(other) = counted
        .clone()
        .find(|counted| Work::of(counted.service, &counted.path).is_none())
    {
        return Err(BenchError::new(format!("unexpected request: {other:?}")));
    }
    let mut figures = Vec::new();
    let (mut all_theirs, mut all_ours) = (0, 0.0);
    for work in Work::ALL {
        let own = counted
            .clone()
            .filter(|counted| Work::of(counted.service, &counted.path) == Some(work));
        let ours = own.map(|counted| counted.count).sum::<u64>() as f64 / cycles.len() as f64;
        let theirs = work.of_ceilometer(size);
        all_theirs += theirs;
        all_ours += ours;
        table::print_error(&format!("  {}: ceilometer {theirs}, here {ours:.1}", work.name()));
        if let Some(least) = work.least_ratio() {
            figures.push(Figure::new(
                format!("{}: {theirs} requests / {ours:.1}", work.name()),
                Unit::Times,
                Budget::AtLeast(least),
                theirs as f64 / ours,
                how.clone(),
            ));
        }
    }
    figures.push(Figure::new(
        format!("all requests: {all_theirs} / {all_ours:.1}"),
        Unit::Times,
        Budget::AtLeast(5.0),
        all_theirs as f64 / all_ours,
        how,
    ));
    Ok(figures)
}

/// The difference between the counted requests and `nephoscope check --cost`.
fn declared(pool: &Pool<'_>, size: &Size, cycles: &[Cycle]) -> Result<Figure, BenchError> {
    let declared = pool.declared(size)?;
    let now_and_then = [Some(Work::Tokens), Some(Work::Versions)];
    let counted = |cycle: &Cycle| -> u64 {
        let requests = cycle.requests.iter();
        let own =
            requests.filter(|counted| !now_and_then.contains(&Work::of(counted.service, &counted.path)));
        own.map(|counted| counted.count).sum()
    };
    let off = cycles.iter().map(|cycle| counted(cycle).abs_diff(declared)).max();
    Ok(Figure::new(
        format!("  difference to {declared} of check --cost"),
        Unit::Count,
        Budget::AtMost(0.0),
        off.unwrap_or_default() as f64,
        "the cycle furthest from what `nephoscope check --cost --members 10` computes, without tokens and versions",
    ))
}

/// The duration of a cycle, compared with the latency alone.
fn times(size: &Size, cycles: &[Cycle]) -> Vec<Figure> {
    let how = format!(
        "the longest of {AGENTS} agents; an answer takes {} ms, an agent has {CONCURRENCY} requests to a service in flight, `rate: 0`; \
         latency alone: the longer of the slowest chain of pages, and calls / {CONCURRENCY} of the agent with most; \
         medians of {} cycles",
        LATENCY.as_millis(),
        cycles.len()
    );
    let longest = |cycle: &Cycle| {
        let durations = cycle.records.iter().map(|record| record.duration);
        durations.fold(0.0, f64::max) * 1e3
    };
    let measured = median(cycles.iter().map(longest).collect());
    let alone = median(cycles.iter().map(|cycle| latency_alone(size, cycle)).collect());
    beside_latency("a cycle of the pool", measured, alone, how).into()
}

/// The processor time of a cycle of the pool: all processes share the same processors.
fn busy(cycles: &[Cycle]) -> [Figure; 2] {
    let processors = available_parallelism().map_or(1, NonZeroUsize::get);
    let how = format!(
        "user and system time in an interval of {INTERVAL} s, means of {} cycles; all ran on the {processors} processors of one machine",
        cycles.len()
    );
    let time = |name: String, of: fn(&Busy) -> Duration| {
        let all: Duration = cycles.iter().map(|cycle| of(&cycle.busy)).sum();
        let measured = all.as_secs_f64() / cycles.len() as f64 * 1e3;
        Figure::new(name, Unit::Milliseconds, Budget::None, measured, how.clone())
    };
    [
        time(format!("  processor time of the {AGENTS} agents"), |busy| {
            busy.agents
        }),
        time("  processor time of the cloud".to_owned(), |busy| busy.cloud),
    ]
}

/// The same for a single agent, which does all the work: ten on a small machine wait for its processors.
fn alone(runtime: &Runtime, cloud: &Cloud, size: &Size, effort: Effort) -> Result<Vec<Figure>, BenchError> {
    let cycles = effort.of(4, 2);
    let found = single::measure(runtime, cloud, METERS, cycles)?.cycles;
    let how = format!(
        "the same cloud and meters, one agent of the release program without etcd; median of {cycles} cycles"
    );
    let measured = median(found.iter().map(|record| record.duration * 1e3).collect());
    let alone = median(found.iter().map(|record| of_one(size, record)).collect());
    Ok(beside_latency("a cycle of one agent", measured, alone, how).into())
}

/// A measured duration in milliseconds, compared with the latency alone.
fn beside_latency(name: &str, measured: f64, alone: f64, how: String) -> [Figure; 3] {
    let time = |name: &str, value| Figure::new(name, Unit::Milliseconds, Budget::None, value, how.clone());
    [
        time(name, measured),
        time("latency alone", alone),
        Figure::new(
            "the first / the second",
            Unit::Times,
            Budget::AtMost(1.3),
            measured / alone,
            how.clone(),
        ),
    ]
}

/// In milliseconds.
fn latency_alone(size: &Size, cycle: &Cycle) -> f64 {
    let records = cycle.records.iter();
    records.map(|record| of_one(size, record)).fold(0.0, f64::max)
}

fn of_one(size: &Size, record: &Record) -> f64 {
    let chain = size.volumes.div_ceil(PAGE) as u64;
    let calls = record
        .resources("storage")
        .max(record.resources("dns.zone.recordsets"));
    chain.max(calls.div_ceil(CONCURRENCY)) as f64 * LATENCY.as_secs_f64() * 1e3
}

/// A cycle in which a service responds with 503.
fn faults(pool: &Pool<'_>, cloud: &Cloud, whole: &[Cycle]) -> Result<Vec<Figure>, BenchError> {
    let how = "one cycle in which all responses of the service are 503; at most the requests of its listing, the retries, and one probe, of each agent that uses it".to_owned();
    let usual = median(whole.iter().map(samples).collect());
    let mut figures = Vec::new();
    for (service, own, agents) in [
        (Service::Cinder, "volume", 1),
        (Service::Swift, "storage", AGENTS as u64),
    ] {
        let cycle = pool.cycle(cloud, || cloud.fault(Fault::of(service, FaultKind::Status(503))))?;
        cloud.heal();
        let got = of_service(&cycle, service);
        let usually = whole.last().map_or(0, |cycle| of_service(cycle, service));
        let all = usually + agents * (RETRIES + 1);
        figures.push(Figure::new(
            format!("requests to {} while it is unavailable", service.name()),
            Unit::Count,
            Budget::AtMost(all as f64),
            got as f64,
            how.clone(),
        ));
        let lost = usual - whole.last().map_or(0.0, |cycle| samples_of(cycle, own)) - samples(&cycle);
        figures.push(Figure::new(
            "  samples of others that are missing",
            Unit::Count,
            Budget::AtMost(0.0),
            lost,
            how.clone(),
        ));
    }
    Ok(figures)
}

fn of_service(cycle: &Cycle, service: Service) -> u64 {
    let own = cycle
        .requests
        .iter()
        .filter(|counted| counted.service == service.name());
    own.map(|counted| counted.count).sum()
}

fn samples(cycle: &Cycle) -> f64 {
    cycle.records.iter().map(|record| record.samples).sum::<u64>() as f64
}

fn samples_of(cycle: &Cycle, pollster: &str) -> f64 {
    cycle
        .records
        .iter()
        .map(|record| record.samples_of(pollster))
        .sum::<u64>() as f64
}

/// Measures an agent with many resources of one kind.
fn large(runtime: &Runtime, effort: Effort) -> Result<Vec<Figure>, BenchError> {
    let cycles = effort.of(2, 1);
    let mut figures = Vec::new();
    for (meter, size, what) in [
        ("[volume.size]", single::size_of(MANY, 0), "volumes, in pages"),
        (
            "[ip.floating]",
            single::size_of(0, MANY),
            "floating IPs, in one response",
        ),
    ] {
        let cloud = runtime.block_on(Cloud::start(size));
        cloud.latency(LATENCY);
        let found = single::measure(runtime, &cloud, meter, cycles)?;
        if found.cycles.iter().any(|cycle| cycle.samples != MANY as u64) {
            return Err(BenchError::new(format!(
                "a cycle does not have {MANY} samples of {meter}"
            )));
        }
        figures.push(Figure::new(
            format!("memory (PSS), {MANY} {what}"),
            Unit::Megabytes,
            Budget::AtMost(60.0),
            found.memory / 1e6,
            format!("the peak during {cycles} cycles of one agent of the release program, to `discard:`, read every 20 ms"),
        ));
    }
    Ok(figures)
}
