//! The space of a file system.

use std::path::Path;

/// The space of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Space {
    /// In KiB.
    pub(crate) total: u64,
    /// In KiB; blocks reserved for root count as free.
    pub(crate) used: u64,
    /// `None` if the file system allocates inodes dynamically (btrfs, vfat).
    pub(crate) inodes: Option<Inodes>,
}

/// The inodes of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inodes {
    pub(crate) total: u64,
    pub(crate) used: u64,
}

/// The types of file systems in memory (linux/magic.h): tmpfs and ramfs.
const IN_MEMORY: [rustix::fs::FsWord; 2] = [0x0102_1994, 0x8584_58f6];

/// Returns the device id (`major:minor`) of the file system at a path; `None` for one in memory.
pub(crate) fn device_id(path: &Path) -> rustix::io::Result<Option<Vec<u8>>> {
    if IN_MEMORY.contains(&rustix::fs::statfs(path)?.f_type) {
        return Ok(None);
    }
    let device = rustix::fs::stat(path)?.st_dev;
    let id = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    Ok(Some(id.into_bytes()))
}

impl Space {
    /// Queries the kernel.
    pub(crate) fn query(path: &Path) -> rustix::io::Result<Self> {
        rustix::fs::statvfs(path).map(|stat| Self::of(&stat))
    }

    fn of(stat: &rustix::fs::StatVfs) -> Self {
        let kib = |blocks: u64| {
            let kib = u128::from(blocks) * u128::from(stat.f_frsize) / 1024;
            u64::try_from(kib).unwrap_or(u64::MAX)
        };
        Self {
            total: kib(stat.f_blocks),
            used: kib(stat.f_blocks.saturating_sub(stat.f_bfree)),
            inodes: (stat.f_files > 0).then(|| Inodes {
                total: stat.f_files,
                used: stat.f_files.saturating_sub(stat.f_ffree),
            }),
        }
    }
}
