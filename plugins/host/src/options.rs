//! The options under `plugins: {host: ...}`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::filter::NameFilter;

/// Selection of devices and interfaces, and the locations of the kernel's files.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Options {
    /// Whether to measure remote file systems too (NFS, CIFS, Ceph, FUSE ...). One that hangs loses only its own samples,
    /// and occupies one thread.
    pub(crate) network_file_systems: bool,
    /// Mount points to measure: names, or prefixes of names with a trailing `*`; a leading `!` excludes. Without an
    /// including entry, all except the excluded ones are measured. A root directory that is not a mount point (in a chroot)
    /// is measured as the file system `rootfs`.
    #[schemars(with = "Vec<String>")]
    pub(crate) file_systems: NameFilter,
    /// Disks and partitions to measure, in the same form, for example `["sd*", "!sdz"]`.
    #[schemars(with = "Vec<String>")]
    pub(crate) disks: NameFilter,
    /// Network interfaces to measure, in the same form, for example `["!tap*", "!veth*"]`.
    #[schemars(with = "Vec<String>")]
    pub(crate) interfaces: NameFilter,
    /// The mount point of the proc file system. If it is not `/proc` (in a container with the host's proc file system
    /// elsewhere), mounts and interfaces are those of its process 1.
    pub(crate) proc: PathBuf,
    /// The mount point of the sys file system.
    pub(crate) sys: PathBuf,
    /// The root directory of the measured machine.
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
