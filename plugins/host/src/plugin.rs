//! The registrations of the crate: the family, its discovery and its pollsters.

use std::sync::Arc;

use nephoscope_plugin::{
    BuildContext, BuildError, CallDef, DiscoveryPlugin, Family, OptionsSpec, PartitionMode, Pollster,
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

/// The name of the family, its namespace and its discovery.
const HOST: &str = "host";

const NAMESPACES: &[&str] = &[HOST];

register!(Registration::Family(
    Family::new(
        HOST,
        "This machine: CPU, load, memory, disks, file systems, network interfaces"
    )
    .options(OptionsSpec::of::<Options>())
));

register!(Registration::Discovery(
    DiscoveryPlugin::new(HOST, HOST, |context| Ok(Arc::new(HostDiscovery::new(
        context.host().clone()
    ))))
    .namespaces(NAMESPACES)
    .description("Lists this machine as one resource, whose key is the host's name")
    .scope(Scope::Host)
    .partition(PartitionMode::Listing)
));

register!(Registration::Pollster(
    PollsterPlugin::new("host.cpu", HOST, |context| build(context, Cpu::default()))
        .namespaces(NAMESPACES)
        .description("CPU time, load, processes and uptime")
        .meters(Cpu::METERS)
        .default_discovery(HOST)
        .calls(&[
            read("procfs", "/proc/stat"),
            read("procfs", "/proc/loadavg"),
            read("procfs", "/proc/uptime"),
        ])
));

register!(Registration::Pollster(
    PollsterPlugin::new("host.memory", HOST, |context| build(context, Memory))
        .namespaces(NAMESPACES)
        .description("Memory and swap")
        .meters(Memory::METERS)
        .default_discovery(HOST)
        .calls(&[read("procfs", "/proc/meminfo")])
));

register!(Registration::Pollster(
    PollsterPlugin::new("host.disk", HOST, |context| build(context, Disks))
        .namespaces(NAMESPACES)
        .description("I/O of disks and partitions")
        .meters(Disks::METERS)
        .default_discovery(HOST)
        .calls(&[read("procfs", "/proc/diskstats"), read("procfs", "/proc/vmstat")])
));

register!(Registration::Pollster(
    PollsterPlugin::new("host.file_system", HOST, |context| build(context, FileSystems))
        .namespaces(NAMESPACES)
        .description("Sizes and inodes of mounted file systems")
        .meters(FileSystems::METERS)
        .default_discovery(HOST)
        .calls(&[
            read("procfs", "/proc/self/mountinfo"),
            CallDef::new("vfs", "statvfs", "<mount point>").role("none"),
        ])
));

register!(Registration::Pollster(
    PollsterPlugin::new("host.network", HOST, |context| build(context, Network))
        .namespaces(NAMESPACES)
        .description("Traffic of network interfaces and of IP")
        .meters(Network::METERS)
        .default_discovery(HOST)
        .calls(&[
            read("procfs", "/proc/net/dev"),
            read("procfs", "/proc/net/snmp"),
            read("sysfs", "/sys/class/net/<name>/address"),
            read("sysfs", "/sys/class/net/<name>/speed"),
            CallDef::new("netlink", "RTM_GETADDR", "route").role("none"),
        ])
));

const fn read(service: &'static str, path: &'static str) -> CallDef {
    CallDef::new(service, "read", path).role("none")
}

fn build<A: Area>(context: &BuildContext, area: A) -> Result<Arc<dyn Pollster>, BuildError> {
    let options = context.options::<Options>()?;
    let machine =
        context.shared(|| Machine::new(context.host().clone(), options, context.blocking().clone()));
    Ok(Arc::new(HostPollster::new(machine, area)))
}
