//! How full a file system is.

use std::path::Path;

/// How full a file system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Space {
    /// In KiB.
    pub(crate) total: u64,
    /// In KiB; what is kept back for root is not used.
    pub(crate) used: u64,
    /// `None` where they are made as they are needed (btrfs, vfat).
    pub(crate) inodes: Option<Inodes>,
}

/// How many inodes a file system has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inodes {
    pub(crate) total: u64,
    pub(crate) used: u64,
}

impl Space {
    /// Asks the kernel.
    pub(crate) fn ask(path: &Path) -> rustix::io::Result<Self> {
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
