//! The registrations of the crate: the family, its discoveries and its pollster.

use std::sync::Arc;

use nephoscope_openstack::TOKEN;
use nephoscope_plugin::{
    CallDef, CallRate, DiscoveryPlugin, Family as FamilyPlugin, OptionsSpec, PartitionMode, PollsterPlugin,
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

/// The endpoint whose concurrency limit all polls of the hypervisor share.
const ENDPOINT: &str = "libvirt";

const STATS: CallDef =
    CallDef::new(LIBVIRT, "virConnectGetAllDomainStats", "all domains").role("read-only socket");

register!(Registration::Family(
    FamilyPlugin::new(FAMILY, "Instances of this host, measured by libvirt")
        .options(OptionsSpec::of::<Options>())
));

register!(Registration::Discovery(
    DiscoveryPlugin::new(LOCAL_INSTANCES, FAMILY, |context| Ok(Arc::new(LocalInstances(
        Family::build(context)?
    ))))
    .namespaces(NAMESPACES)
    .description("Lists the instances of this host, from Nova's metadata in their domains or from Nova's API")
    .scope(Scope::Host)
    .partition(PartitionMode::Listing)
    .calls(&[
        STATS,
        CallDef::new(
            LIBVIRT,
            "virDomainGetXMLDesc",
            "a domain, after a change of its definition"
        )
        .role("read-only socket")
        .rate(CallRate::PerResource),
        // Depending on the options.
        SERVERS,
        FLAVOR,
        FLAVORS,
        IMAGE,
        TOKEN,
    ])
));

register!(Registration::Discovery(
    DiscoveryPlugin::new("local_node", FAMILY, |context| Ok(Arc::new(LocalNode(
        context.host().clone()
    ))))
    .namespaces(NAMESPACES)
    .description("Lists this host as one resource, whose key is the host's name")
    .scope(Scope::Host)
    .partition(PartitionMode::Listing)
));

register!(Registration::Pollster(
    PollsterPlugin::new("compute", FAMILY, |context| Ok(Arc::new(ComputePollster(
        Family::build(context)?
    ))))
    .namespaces(NAMESPACES)
    .description("CPU, memory, disks and network interfaces of the instances of this host")
    .meters(&METERS)
    .default_discovery(LOCAL_INSTANCES)
    .endpoint(ENDPOINT)
    // The discovery makes this call for both.
    .calls(&[STATS])
));
