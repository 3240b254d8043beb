//! The options under `plugins: {host: ...}`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::filter::NameFilter;

/// What is measured of this machine, and where the kernel's files are.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Options {
    /// Measures file systems that another machine or program serves too (NFS, CIFS, Ceph, FUSE ...). One that
    /// hangs costs its own samples, and one thread.
    pub(crate) network_file_systems: bool,
    /// Mount points to measure: names, or beginnings of names with a trailing `*`; `!` in front leaves out.
    /// If no entry includes, all but those left out are measured.
    #[schemars(with = "Vec<String>")]
    pub(crate) file_systems: NameFilter,
    /// Disks and partitions to measure, in the same form, for example `["sd*", "!sdz"]`.
    #[schemars(with = "Vec<String>")]
    pub(crate) disks: NameFilter,
    /// Network interfaces to measure, in the same form, for example `["!tap*", "!veth*"]`.
    #[schemars(with = "Vec<String>")]
    pub(crate) interfaces: NameFilter,
    /// Where the proc file system is mounted. With another one than `/proc` (in a container that has the host's
    /// under another name), mounts and interfaces are those of its process 1.
    pub(crate) proc: PathBuf,
    /// Where the sys file system is mounted.
    pub(crate) sys: PathBuf,
    /// Where the root of the measured machine's file systems is mounted.
    pub(crate) root: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            network_file_systems: false,
            file_systems: NameFilter::default(),
            disks: NameFilter::without(&["loop", "ram"]),
            interfaces: NameFilter::default(),
            proc: "/proc".into(),
            sys: "/sys".into(),
            root: "/".into(),
        }
    }
}
