//! Network services of Neutron: floating IPs, VPN, firewalls, and the load balancers that it had before Octavia.
//!
//! Names, units, ids, metadata and the numbers for statuses are those of ceilometer's discoveries `fip_services`,
//! `vpn_services`, `ipsec_connections`, `fw_services`, `fw_policy`, `lb_*` and of its meters `ip.floating` and `network.services.*`,
//! with these corrections:
//!
//! - The pre-shared key of an IPsec connection shows as `***`. (Ceilometer publishes it.)
//! - Listings leave nothing out. (Ceilometer leaves out entries whose status is `error` in lower case, which Neutron never says.)
//! - An extension that is not there is no empty listing: that is said once, and asked again at a slow pace.
//! - The status of load balancers' parts costs a request for each balancer, not one or two for each part; a part that no balancer's
//!   status tree has costs itself alone. (Ceilometer's discovery ends there.)

mod firewalls;
mod floating_ips;
mod lb_balancers;
mod lb_operating;
mod lb_parts;
mod lb_statuses;
mod lb_traffic;
mod vpn;

use nephoscope_openstack::{Measured, Record, Root, ServiceDef, status};
use nephoscope_plugin::{CallDef, Family, Registration, register};

const FAMILY: &str = "neutron";
const NAMESPACES: &[&str] = &["central"];

/// The numbers for statuses of floating IPs, VPN services and firewall groups; another status is -1.
const STATUS: &[(&str, i64)] = &[
    ("inactive", 0),
    ("active", 1),
    ("pending_create", 2),
    ("down", 3),
    ("created", 4),
    ("pending_update", 5),
    ("pending_delete", 6),
    ("error", 7),
];

static NEUTRON: ServiceDef = ServiceDef {
    name: FAMILY,
    service_type: "network",
    root: Root::Endpoint,
    microversion: None,
};

/// Neutron lists everything in one answer unless it is asked for pages.
const fn get(path: &'static str) -> CallDef {
    CallDef::new(FAMILY, "GET", path).role("admin")
}

fn status_of(record: &Record) -> Measured {
    Ok(Some(status(record.text("status"), STATUS)))
}

fn one(_: &Record) -> Measured {
    Ok(Some(1_i64.into()))
}

register!(Registration::Family(Family::new(
    FAMILY,
    "Network services of Neutron"
)));
