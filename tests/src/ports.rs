//! Ports for servers that tests start.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

/// The first port that is given, and how many there are: below those that the system gives to connections
/// (`/proc/sys/net/ipv4/ip_local_port_range` begins at 32768), so that no connection takes one between its choice and
/// the start of its server, or while its server is down.
const FIRST: u32 = 10_000;
const COUNT: u32 = 22_000;

/// How many ports in a row belong to one process.
const BLOCK: u32 = 40;

/// Ports of 127.0.0.1 on which nobody listens. Each test process has its own, and gives none twice.
///
/// # Panics
///
/// If there are none.
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
