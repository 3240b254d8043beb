//! States of Cinder's services.

use nephoscope_openstack::{List, Metadata, TOKEN, Table};
use nephoscope_plugin::model::MeterDef;
use nephoscope_plugin::{
    CallRate, DiscoveryPlugin, PartitionMode, PollsterPlugin, Registration, Scope, register,
};

use crate::{CINDER, FAMILY, NAMESPACES, VERSIONS, get};

static SERVICES: Table = Table {
    service: &CINDER,
    call: get("/v3/os-services", CallRate::PerCycle),
    list: List::Member("services"),
    request: |request| request,
    key: |service| Some(format!("{}@{}", service.text("binary")?, service.text("host")?)),
    project: &[],
    user: &[],
    metadata: &[
        Metadata::of("binary"),
        Metadata::of("host"),
        Metadata::of("zone"),
        Metadata::of("status"),
    ],
    members: &["state"],
    meters: &[(
        MeterDef::gauge(
            "volume.service.health",
            "health",
            "1 if the service is up, 0 if it is down",
        ),
        |service| match service.text("state") {
            Some(state) if state.eq_ignore_ascii_case("up") => Ok(Some(1_i64.into())),
            Some(state) if state.eq_ignore_ascii_case("down") => Ok(Some(0_i64.into())),
            _ => Err("the state of the service is neither `up` nor `down`".to_owned()),
        },
    )],
};

register!(Registration::Discovery(
    DiscoveryPlugin::new("volume_services", FAMILY, |context| SERVICES.discovery(context))
        .namespaces(NAMESPACES)
        .description("Lists Cinder's services")
        .scope(Scope::Shared)
        .partition(PartitionMode::Listing)
        .calls(&[SERVICES.call, VERSIONS, TOKEN])
));

register!(Registration::Pollster(
    PollsterPlugin::new("volume.service", FAMILY, |context| SERVICES.pollster(context))
        .namespaces(NAMESPACES)
        .description("Whether Cinder's services are up")
        .meters(&const { SERVICES.meter_defs::<1>() })
        .default_discovery("volume_services")
));
