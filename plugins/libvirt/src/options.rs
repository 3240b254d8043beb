//! The options under `plugins: {libvirt: ...}`.

use std::time::Duration;

use nephoscope_plugin::{HumanDuration, OptionsError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Discovery and measurement of this host's instances.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Options {
    /// The libvirt URI of the hypervisor: `qemu:///system`, `qemu+unix:///system?socket=/run/libvirt/virtqemud-sock-ro`,
    /// `qemu+tls://host/system`, `test:///default`. The connection is read-only.
    pub(crate) uri: String,
    /// The source of instances and their attributes: Nova's metadata in the domains (`libvirt_metadata`), or Nova's API
    /// (`naive` and `workload_partitioning`, which are equivalent), which requires `plugins: {openstack: ...}`.
    pub(crate) instance_discovery_method: Method,
    /// The minimum interval between requests to Nova for changed servers. 0: every cycle.
    pub(crate) resource_update_interval: HumanDuration,
    /// After this time everything is requested from Nova again, not only changes: servers, flavors and images.
    pub(crate) resource_cache_expiry: HumanDuration,
    /// Whether user metadata of instances (`user_metadata`) is requested from Nova, also with `libvirt_metadata`.
    pub(crate) fetch_extra_metadata: bool,
    /// Metadata of an instance whose keys have these prefixes is published as `user_metadata`, without the prefix.
    pub(crate) reserved_metadata_namespace: Vec<String>,
    /// Metadata of an instance with these keys is published as `user_metadata` too.
    pub(crate) reserved_metadata_keys: Vec<String>,
    /// The maximum length of texts in `user_metadata`, in characters; longer ones are truncated.
    pub(crate) reserved_metadata_length: u32,
    /// Whether instances that are shut off have samples of `power.state`, `vcpus`, `memory` and
    /// `disk.device.{capacity,allocation,usage}`. The disk sizes of the flavor are always sampled.
    pub(crate) report_stopped_instance_metrics: bool,
    /// Whether `cpu` includes steal time, in which a vCPU was runnable and the host ran something else, as in ceilometer.
    pub(crate) count_steal_time: bool,
    /// Whether the meters `cpu_l3_cache` and `memory.bandwidth.{total,local}`, which ceilometer had until 2024, are sampled if
    /// a domain's perf events are enabled.
    pub(crate) legacy_meters: bool,
    /// The maximum age of a cached definition of a domain if libvirt sends no event about a change.
    pub(crate) definition_check: HumanDuration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            uri: "qemu:///system".to_owned(),
            instance_discovery_method: Method::LibvirtMetadata,
            resource_update_interval: HumanDuration(Duration::ZERO),
            resource_cache_expiry: HumanDuration(Duration::from_secs(3600)),
            fetch_extra_metadata: false,
            reserved_metadata_namespace: vec!["metering.".to_owned()],
            reserved_metadata_keys: Vec::new(),
            reserved_metadata_length: 256,
            report_stopped_instance_metrics: false,
            count_steal_time: true,
            legacy_meters: false,
            definition_check: HumanDuration(Duration::from_secs(3600)),
        }
    }
}

/// The source of instances, with ceilometer's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Method {
    /// Nova's metadata in the definitions of the domains.
    LibvirtMetadata,
    /// Nova's API.
    Naive,
    /// Nova's API.
    WorkloadPartitioning,
}

impl Options {
    /// Checks the URI.
    ///
    /// # Errors
    ///
    /// The URI is invalid.
    pub(crate) fn check_uri(&self) -> Result<(), OptionsError> {
        let has_scheme = self.uri.split_once("://").is_some_and(|(scheme, _)| {
            !scheme.is_empty()
                && scheme
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'+')
        });
        if has_scheme && !self.uri.contains('\0') {
            return Ok(());
        }
        Err(OptionsError::new(
            "uri",
            "expected a libvirt URI, for example `qemu:///system`",
        ))
    }
}
