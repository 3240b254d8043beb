//! What this crate registers: the family, its discovery and its pollsters.

use std::sync::Arc;

use nephoscope_plugin::{
    BuildContext, BuildError, Call, CallRate, DiscoveryPlugin, Family, OptionsSpec, PartitionMode, Pollster,
    PollsterPlugin, Registration, Scope, register,
};

use crate::cpu::Cpu;
use crate::discovery::HostDiscovery;
use crate::disk::Disks;
use crate::file_system::FileSystems;
use crate::machine::Machine;
use crate::memory::Memory;
use crate::network::Network;
use crate::options::Options;
use crate::pollster::{Area, HostPollster};

/// The family, its namespace and its discovery have one name.
const HOST: &str = "host";

const NAMESPACES: &[&str] = &[HOST];

register!(Registration::Family(Family {
    name: HOST,
    description: "This machine: CPU, load, memory, disks, file systems, network interfaces",
    opt_in: false,
    options: Some(OptionsSpec::of::<Options>()),
}));

register!(Registration::Discovery(DiscoveryPlugin {
    name: HOST,
    family: HOST,
    namespaces: NAMESPACES,
    description: "Lists this machine, as one resource whose key is the host's name",
    scope: Scope::Host,
    partition: PartitionMode::Listing,
    calls: &[],
    build: |context| Ok(Arc::new(HostDiscovery::new(context.host().clone()))),
}));

register!(Registration::Pollster(PollsterPlugin {
    name: "host.cpu",
    family: HOST,
    namespaces: NAMESPACES,
    description: "CPU time, load, processes and uptime",
    meters: Cpu::METERS,
    default_discovery: Some(HOST),
    endpoint: None,
    calls: &[
        read("procfs", "/proc/stat"),
        read("procfs", "/proc/loadavg"),
        read("procfs", "/proc/uptime"),
    ],
    build: |context| build(context, Cpu::default()),
}));

register!(Registration::Pollster(PollsterPlugin {
    name: "host.memory",
    family: HOST,
    namespaces: NAMESPACES,
    description: "Memory and swap",
    meters: Memory::METERS,
    default_discovery: Some(HOST),
    endpoint: None,
    calls: &[read("procfs", "/proc/meminfo")],
    build: |context| build(context, Memory),
}));

register!(Registration::Pollster(PollsterPlugin {
    name: "host.disk",
    family: HOST,
    namespaces: NAMESPACES,
    description: "Reads and writes of disks and partitions",
    meters: Disks::METERS,
    default_discovery: Some(HOST),
    endpoint: None,
    calls: &[read("procfs", "/proc/diskstats"), read("procfs", "/proc/vmstat")],
    build: |context| build(context, Disks),
}));

register!(Registration::Pollster(PollsterPlugin {
    name: "host.file_system",
    family: HOST,
    namespaces: NAMESPACES,
    description: "Sizes of mounted file systems",
    meters: FileSystems::METERS,
    default_discovery: Some(HOST),
    endpoint: None,
    calls: &[
        read("procfs", "/proc/self/mountinfo"),
        Call {
            service: "vfs",
            method: "statvfs",
            path: "<mount point>",
            role: "none",
            rate: CallRate::PerCycle,
        },
    ],
    build: |context| build(context, FileSystems),
}));

register!(Registration::Pollster(PollsterPlugin {
    name: "host.network",
    family: HOST,
    namespaces: NAMESPACES,
    description: "Traffic of network interfaces and of the internet protocol",
    meters: Network::METERS,
    default_discovery: Some(HOST),
    endpoint: None,
    calls: &[
        read("procfs", "/proc/net/dev"),
        read("procfs", "/proc/net/snmp"),
        read("sysfs", "/sys/class/net/<name>/address"),
        read("sysfs", "/sys/class/net/<name>/speed"),
        Call {
            service: "netlink",
            method: "RTM_GETADDR",
            path: "route",
            role: "none",
            rate: CallRate::PerCycle,
        },
    ],
    build: |context| build(context, Network),
}));

const fn read(service: &'static str, path: &'static str) -> Call {
    Call {
        service,
        method: "read",
        path,
        role: "none",
        rate: CallRate::PerCycle,
    }
}

fn build<A: Area>(context: &BuildContext, area: A) -> Result<Arc<dyn Pollster>, BuildError> {
    let options = context.options::<Options>()?;
    let machine =
        context.shared(|| Machine::new(context.host().clone(), options, context.blocking().clone()));
    Ok(Arc::new(HostPollster::new(machine, area)))
}
