//! Capacities of storage pools.

use nephoscope_openstack::{List, Measured, Metadata, Record, TOKEN, Table, number};
use nephoscope_plugin::model::{MeterDef, Value, Volume};
use nephoscope_plugin::{
    CallRate, DiscoveryPlugin, PartitionMode, PollsterPlugin, Registration, Scope, register,
};

use crate::{CINDER, FAMILY, NAMESPACES, VERSIONS, get};

static POOLS: Table = Table {
    service: &CINDER,
    call: get("/v3/scheduler-stats/get_pools", CallRate::PerCycle),
    list: List::Member("pools"),
    request: |request| request.query("detail", "True"),
    // `host@backend#pool`.
    key: |pool| pool.text("name").map(str::to_owned),
    project: &[],
    user: &[],
    metadata: &[Metadata::computed("pool_name", |pool| {
        capability(pool, "pool_name").clone()
    })],
    members: &["name", "capabilities"],
    meters: &[
        (
            MeterDef::gauge(
                "volume.provider.pool.capacity.total",
                "GiB",
                "Total capacity of the pool",
            ),
            |pool| capacity(pool, "total_capacity_gb"),
        ),
        (
            MeterDef::gauge(
                "volume.provider.pool.capacity.free",
                "GiB",
                "Free capacity of the pool",
            ),
            |pool| capacity(pool, "free_capacity_gb"),
        ),
        (
            MeterDef::gauge(
                "volume.provider.pool.capacity.provisioned",
                "GiB",
                "Capacity that is provisioned to volumes",
            ),
            provisioned,
        ),
        (
            MeterDef::gauge(
                "volume.provider.pool.capacity.virtual_free",
                "GiB",
                "Capacity that can still be provisioned to volumes, with the pool's over-subscription ratio",
            ),
            virtual_free,
        ),
        (
            MeterDef::gauge(
                "volume.provider.pool.capacity.allocated",
                "GiB",
                "Capacity that Cinder itself has allocated to volumes",
            ),
            |pool| capacity(pool, "allocated_capacity_gb"),
        ),
    ],
};

const NULL: &Value = &Value::Null;

fn capability<'a>(pool: &'a Record, name: &str) -> &'a Value {
    pool.get("capabilities").get(name).unwrap_or(NULL)
}

/// Returns a capacity; no sample if Cinder reports `unknown` or `infinite`.
fn capacity(pool: &Record, name: &str) -> Measured {
    match capability(pool, name) {
        Value::Text(word) if matches!(&**word, "unknown" | "infinite") => Ok(None),
        value => number(value),
    }
}

/// Returns the provisioned capacity; no sample if it is 0.
fn provisioned(pool: &Record) -> Measured {
    let promised = capacity(pool, "provisioned_capacity_gb")?;
    Ok(promised.filter(|promised| promised.as_f64() != 0.0))
}

/// Returns ratio x (total - reserved) - provisioned, as Cinder's scheduler computes it. No sample if nothing is
/// provisioned, or the total is unknown.
fn virtual_free(pool: &Record) -> Measured {
    let (Some(promised), Some(total)) = (provisioned(pool)?, capacity(pool, "total_capacity_gb")?) else {
        return Ok(None);
    };
    let total = total.as_f64();
    let reserved = (float(pool, "reserved_percentage")? / 100.0 * total).floor();
    let ratio = match capability(pool, "thin_provisioning_support") {
        Value::Bool(true) => float(pool, "max_over_subscription_ratio")?,
        Value::Null => return Err("the pool has no `thin_provisioning_support`".to_owned()),
        _ => 1.0,
    };
    let free = ratio * (total - reserved) - promised.as_f64();
    Ok(Some(Volume::Float(free)))
}

/// Returns a number that drivers report as a number or a string.
fn float(pool: &Record, name: &str) -> Result<f64, String> {
    let wrong = || format!("the pool's `{name}` is not a number");
    match capability(pool, name) {
        Value::Text(text) => text.trim().parse().map_err(|_| wrong()),
        value => Ok(number(value)?.ok_or_else(wrong)?.as_f64()),
    }
}

register!(Registration::Discovery(
    DiscoveryPlugin::new("volume_pools", FAMILY, |context| POOLS.discovery(context))
        .namespaces(NAMESPACES)
        .description("Lists the storage pools")
        .scope(Scope::Shared)
        .partition(PartitionMode::Listing)
        .calls(&[POOLS.call, VERSIONS, TOKEN])
));

register!(Registration::Pollster(
    PollsterPlugin::new("volume.provider.pool", FAMILY, |context| POOLS.pollster(context))
        .namespaces(NAMESPACES)
        .description("Capacities of storage pools")
        .meters(&const { POOLS.meter_defs::<5>() })
        .default_discovery("volume_pools")
));
