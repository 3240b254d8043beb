//! Free ports for servers of tests.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

/// The range of ports. It is below the ephemeral ports of the system (`/proc/sys/net/ipv4/ip_local_port_range` starts at
/// 32768), so that no connection occupies a port before its server starts or while it is down.
const FIRST: u32 = 10_000;
const COUNT: u32 = 22_000;

/// The number of consecutive ports of one process.
const BLOCK: u32 = 40;

/// Returns free ports of 127.0.0.1. Each test process has its own range and returns no port twice.
///
/// # Panics
///
/// Panics if there are none.
#[must_use]
pub fn free_ports(count: usize) -> Vec<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let block = std::process::id().wrapping_mul(BLOCK);
    let candidates = std::iter::repeat_with(|| block.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)));
    let ports: Vec<u16> = candidates
        .take(COUNT as usize)
        .filter_map(|candidate| u16::try_from(FIRST + candidate % COUNT).ok())
        .filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .take(count)
        .collect();
    assert_eq!(ports.len(), count, "there are no free ports");
    ports
}
