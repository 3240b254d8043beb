//! A real libvirtd with QEMU domains that need no KVM.

mod daemon;
mod guest;
mod wire;

pub use daemon::Daemon;
pub use guest::Guest;
pub use wire::Wire;
