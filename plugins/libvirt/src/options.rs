//! The options under `plugins: {libvirt: ...}`.

use std::time::Duration;

use nephoscope_plugin::{HumanDuration, OptionsError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the instances of this host are found and measured.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Options {
    /// The hypervisor, as libvirt names it: `qemu:///system`, `qemu+unix:///system?socket=/run/libvirt/virtqemud-sock-ro`,
    /// `qemu+tls://host/system`, `test:///default`. The connection is read-only.
    pub(crate) uri: String,
    /// Who says which instances there are, and what is known of them: their domains, by what Nova wrote into them
    /// (`libvirt_metadata`), or Nova itself (`naive` and `workload_partitioning`, which are the same), by `plugins: {openstack: ...}`.
    pub(crate) instance_discovery_method: Method,
    /// How long the last answer of Nova's is good enough. With 0 it is asked for what has changed in every cycle.
    pub(crate) resource_update_interval: HumanDuration,
    /// After this time Nova is asked for everything again, and not for changes alone: servers, flavors and images.
    pub(crate) resource_cache_expiry: HumanDuration,
    /// Asks Nova for what owners have noted on their instances (`user_metadata`), also with `libvirt_metadata`.
    pub(crate) fetch_extra_metadata: bool,
    /// What is noted on an instance under keys that begin so is published as `user_metadata`, without that beginning.
    pub(crate) reserved_metadata_namespace: Vec<String>,
    /// What is noted on an instance under these keys is, too.
    pub(crate) reserved_metadata_keys: Vec<String>,
    /// Longer texts in `user_metadata` are cut to so many characters.
    pub(crate) reserved_metadata_length: u32,
    /// Samples of `power.state`, `vcpus`, `memory` and `disk.device.{capacity,allocation,usage}` of instances that are shut
    /// off, too. Sizes of disks by the flavor are always sampled.
    pub(crate) report_stopped_instance_metrics: bool,
    /// `cpu` counts the time in which a virtual CPU had work and the host did something else, as ceilometer does.
    /// Without, it is the time that was used.
    pub(crate) count_steal_time: bool,
    /// Samples of `cpu_l3_cache` and `memory.bandwidth.{total,local}`, which ceilometer had until 2024, where a domain counts
    /// them.
    pub(crate) meters_of_19: bool,
    /// How long the definition of a domain is taken for unchanged where no event of libvirt's says that it has changed.
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
            meters_of_19: false,
            definition_check: HumanDuration(Duration::from_secs(3600)),
        }
    }
}

/// Ceilometer's names for how instances are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Method {
    /// By what Nova wrote into the definitions of the domains.
    LibvirtMetadata,
    /// By asking Nova.
    Naive,
    /// By asking Nova.
    WorkloadPartitioning,
}

impl Options {
    /// That the URI is one.
    ///
    /// # Errors
    ///
    /// It is none.
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
            "a URI of libvirt's is expected, `qemu:///system` for example",
        ))
    }
}
