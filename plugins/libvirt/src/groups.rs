//! Groups of statistics: a call requests only the groups of enabled meters from QEMU.

use std::ffi::c_uint;
use std::ops::BitOr;

/// A set of `virDomainStatsTypes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Groups(c_uint);

impl Groups {
    /// The domain's state. It costs nothing, and is always requested.
    pub(crate) const STATE: Self = Self(1);
    /// CPU time of the whole domain.
    pub(crate) const CPU: Self = Self(1 << 1);
    /// Memory; needs QEMU.
    pub(crate) const BALLOON: Self = Self(1 << 2);
    /// CPU time of each virtual CPU.
    pub(crate) const VCPU: Self = Self(1 << 3);
    /// Network interfaces.
    pub(crate) const INTERFACE: Self = Self(1 << 4);
    /// Disks; needs QEMU.
    pub(crate) const BLOCK: Self = Self(1 << 5);
    /// Performance events.
    pub(crate) const PERF: Self = Self(1 << 6);

    /// Returns the bits of libvirt's flags.
    pub(crate) fn bits(self) -> c_uint {
        self.0
    }

    /// Returns the union.
    #[must_use]
    pub(crate) const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether the set contains all of `others`.
    pub(crate) fn contains(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }
}

impl BitOr for Groups {
    type Output = Self;

    fn bitor(self, others: Self) -> Self {
        self.and(others)
    }
}
