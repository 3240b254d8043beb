//! Network services of Neutron: floating IPs, VPN, firewalls, and its load balancers from before Octavia.
//!
//! Names, units, ids, metadata and status numbers are those of ceilometer's discoveries `fip_services`,
//! `vpn_services`, `ipsec_connections`, `fw_services`, `fw_policy`, `lb_*` and of its meters `ip.floating` and
//! `network.services.*`, with these corrections:
//!
//! - The pre-shared key of an IPsec connection is shown as `***`. (Ceilometer publishes it.)
//! - Discoveries are complete. (Ceilometer omits entries with the lower-case status `error`, which Neutron never uses.)
//! - A missing extension is not an empty list: it is logged once, and requested again after ten minutes.
//! - The statuses of load balancers' parts take one request per balancer, not one or two per part. A part that is in no
//!   status tree affects no other part. (It ends ceilometer's discovery.)

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

/// The numbers of the statuses of floating IPs, VPN services and firewall groups; -1 for others.
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

/// Neutron lists everything in one answer unless pages are requested.
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
    "Neutron network services"
)));
