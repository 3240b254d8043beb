//! A proxy between a client and a libvirtd that counts calls.
//!
//! A packet is a length of four bytes (itself included), then program, version, procedure, type, serial and status, four
//! bytes each, big-endian (`virnetprotocol.x`, `remote_protocol.x`).

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The program number of hypervisor calls.
const REMOTE: u32 = 0x2000_8086;

/// `REMOTE_PROC_CONNECT_GET_ALL_DOMAIN_STATS`.
const ALL_DOMAIN_STATS: u32 = 344;

const TYPE_CALL: u32 = 0;

/// The length field and the fields up to the status.
const HEADER: usize = 28;

/// The maximum length of a packet, far above libvirt's.
const LONGEST: usize = 64 << 20;

/// A socket in front of a daemon's socket.
#[derive(Debug)]
pub struct Wire {
    socket: PathBuf,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    /// The called procedures.
    calls: Vec<u32>,
    /// Unanswered bulk calls: connection, serial, and time of the call.
    open: Vec<(u64, u32, Instant)>,
    /// The daemon's duration of each bulk call.
    took: Vec<Duration>,
}

impl Wire {
    /// Creates a socket in front of another.
    #[must_use]
    pub fn new(socket: PathBuf, daemon: &Path) -> Self {
        let listener = UnixListener::bind(&socket).expect("a socket can be created in a test's folder");
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (noting, daemon) = (seen.clone(), daemon.to_owned());
        thread::spawn(move || {
            for (number, client) in (0..).zip(listener.incoming()) {
                let Ok(client) = client else { return };
                // The client notices that the daemon is unavailable.
                let Ok(server) = UnixStream::connect(&daemon) else {
                    continue;
                };
                join(number, &client, &server, &noting);
            }
        });
        Self { socket, seen }
    }

    /// Returns the socket for clients.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Returns the numbers of bulk calls and of all calls since the last call of this function.
    #[must_use]
    pub fn calls(&self) -> (usize, usize) {
        let calls = std::mem::take(&mut self.seen.lock().calls);
        let bulk = calls.iter().filter(|call| **call == ALL_DOMAIN_STATS).count();
        (bulk, calls.len())
    }

    /// Returns the daemon's durations of the bulk calls since the last call of this function.
    #[must_use]
    pub fn took(&self) -> Vec<Duration> {
        std::mem::take(&mut self.seen.lock().took)
    }
}

/// Forwards packets in both directions until one side ends.
fn join(number: u64, client: &UnixStream, server: &UnixStream, seen: &Arc<Mutex<Seen>>) {
    for (from, to) in [(client, server), (server, client)] {
        let (mut from, mut to) = (
            from.try_clone().expect("a descriptor can be duplicated"),
            to.try_clone().expect("a descriptor can be duplicated"),
        );
        let seen = seen.clone();
        thread::spawn(move || {
            while let Some(packet) = read(&mut from) {
                seen.lock().note(number, &packet);
                if to.write_all(&packet).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(Shutdown::Both);
            let _ = from.shutdown(Shutdown::Both);
        });
    }
}

fn read(from: &mut UnixStream) -> Option<Vec<u8>> {
    let mut packet = vec![0; HEADER];
    from.read_exact(&mut packet).ok()?;
    let length = usize::try_from(word(&packet, 0)).ok()?;
    if !(HEADER..=LONGEST).contains(&length) {
        return None;
    }
    packet.resize(length, 0);
    from.read_exact(&mut packet[HEADER..]).ok()?;
    Some(packet)
}

/// Returns a word of a packet.
fn word(packet: &[u8], index: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&packet[index * 4..index * 4 + 4]);
    u32::from_be_bytes(bytes)
}

impl Seen {
    #[allow(
        clippy::disallowed_methods,
        reason = "the daemon runs on the real clock, and so does the measurement"
    )]
    fn note(&mut self, connection: u64, packet: &[u8]) {
        let (program, procedure, kind, serial) =
            (word(packet, 1), word(packet, 3), word(packet, 4), word(packet, 5));
        if program != REMOTE {
            return;
        }
        if kind == TYPE_CALL {
            self.calls.push(procedure);
            if procedure == ALL_DOMAIN_STATS {
                self.open.push((connection, serial, Instant::now()));
            }
            return;
        }
        let is_answered = |(of, number, _): &(u64, u32, Instant)| (*of, *number) == (connection, serial);
        if procedure == ALL_DOMAIN_STATS
            && let Some(index) = self.open.iter().position(is_answered)
        {
            let (.., since) = self.open.remove(index);
            self.took.push(since.elapsed());
        }
    }
}
