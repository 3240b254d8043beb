//! What this crate registers: the family, its discoveries and its pollster.

use std::sync::Arc;

use nephoscope_openstack::TOKEN;
use nephoscope_plugin::{
    Call, CallRate, DiscoveryPlugin, Family as FamilyPlugin, OptionsSpec, PartitionMode, PollsterPlugin,
    Registration, Scope, register,
};

use crate::discovery::{LocalInstances, LocalNode};
use crate::family::Family;
use crate::meter::METERS;
use crate::nova::{FLAVOR, FLAVORS, IMAGE, SERVERS};
use crate::options::Options;
use crate::pollster::ComputePollster;
use crate::session::LIBVIRT;

const FAMILY: &str = "libvirt";

const NAMESPACES: &[&str] = &["compute"];

const LOCAL_INSTANCES: &str = "local_instances";

/// What is measured at: polls of one hypervisor share a limit.
const ENDPOINT: &str = "libvirt";

const STATS: Call = Call {
    service: LIBVIRT,
    method: "virConnectGetAllDomainStats",
    path: "all domains",
    role: "read-only socket",
    rate: CallRate::PerCycle,
};

register!(Registration::Family(FamilyPlugin {
    name: FAMILY,
    description: "The instances of this host, measured by libvirt",
    opt_in: false,
    options: Some(OptionsSpec::of::<Options>()),
}));

register!(Registration::Discovery(DiscoveryPlugin {
    name: LOCAL_INSTANCES,
    family: FAMILY,
    namespaces: NAMESPACES,
    description: "Lists the instances of this host: by what Nova wrote into their domains, or by asking Nova",
    scope: Scope::Host,
    partition: PartitionMode::Listing,
    calls: &[
        STATS,
        Call {
            service: LIBVIRT,
            method: "virDomainGetXMLDesc",
            path: "a domain, when its definition has changed",
            role: "read-only socket",
            rate: CallRate::PerResource,
        },
        // As far as the options want it.
        SERVERS,
        FLAVOR,
        FLAVORS,
        IMAGE,
        TOKEN,
    ],
    build: |context| Ok(Arc::new(LocalInstances(Family::build(context)?))),
}));

register!(Registration::Discovery(DiscoveryPlugin {
    name: "local_node",
    family: FAMILY,
    namespaces: NAMESPACES,
    description: "Lists this host, as one resource whose key is the host's name",
    scope: Scope::Host,
    partition: PartitionMode::Listing,
    calls: &[],
    build: |context| Ok(Arc::new(LocalNode(context.host().clone()))),
}));

register!(Registration::Pollster(PollsterPlugin {
    name: "compute",
    family: FAMILY,
    namespaces: NAMESPACES,
    description: "CPU, memory, disks and network interfaces of the instances of this host",
    meters: &METERS,
    default_discovery: Some(LOCAL_INSTANCES),
    endpoint: Some(ENDPOINT),
    // The discovery's, which brings what is wanted.
    calls: &[STATS],
    build: |context| Ok(Arc::new(ComputePollster(Family::build(context)?))),
}));
