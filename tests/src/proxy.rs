//! A proxy that simulates a slow, cut or stalled network between a client and a server.

use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::deadline::PATIENCE;

/// The size of one read.
const BUFFER: usize = 64 * 1024;

/// The bytes in flight in one direction of a connection. When it is reached, the sender waits.
const IN_FLIGHT: usize = 16 * 1024 * 1024;

/// The behaviour of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// All bytes pass.
    Normal,
    /// All bytes pass, each delayed by this much.
    Slow(Duration),
    /// No bytes pass, but connections stay open. The bytes pass when the behaviour changes.
    HalfOpen,
    /// Connections break, and new ones break immediately.
    Cut,
}

/// A proxy to one local port. It runs on a separate thread, also for sync tests, and ends when the value is dropped.
#[derive(Debug)]
pub struct Proxy {
    /// Its port on 127.0.0.1.
    pub port: u16,
    network: watch::Sender<Network>,
    sent: Arc<Mutex<Vec<u8>>>,
    ended: watch::Receiver<usize>,
    /// Dropping it ends the thread.
    _alive: watch::Sender<()>,
}

impl Proxy {
    /// Starts a proxy to a local port. It records the bytes that pass to the server ([`Proxy::sent`]).
    #[must_use]
    pub fn to(target: u16) -> Self {
        Self::new(target, true, None)
    }

    /// Starts a proxy to a port in another network namespace (`/proc/N/ns/net`). This requires root.
    #[must_use]
    pub fn into(namespace: File, target: u16) -> Self {
        Self::new(target, false, Some(namespace))
    }

    /// Starts a proxy that records nothing, for long runs.
    #[must_use]
    pub fn without_record(target: u16) -> Self {
        Self::new(target, false, None)
    }

    fn new(target: u16, keeps: bool, namespace: Option<File>) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        listener
            .set_nonblocking(true)
            .expect("a socket can be made not to block");
        let port = listener.local_addr().expect("a socket has an address").port();
        let (network, changes) = watch::channel(Network::Normal);
        let (ending, ended) = watch::channel(0);
        let (alive, mut dropped) = watch::channel(());
        let sent = Arc::new(Mutex::new(Vec::new()));
        let record = keeps.then(|| sent.clone());
        let run = move || {
            if let Some(namespace) = namespace {
                // A socket belongs to the network namespace of the thread that creates it; the listener exists already.
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                    .expect("root may move a thread");
            }
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime can be made").block_on(async {
                let listener = TcpListener::from_std(listener).expect("a socket can be used");
                tokio::select! {
                    () = accept(listener, target, changes, record, ending) => {}
                    // Nothing is ever sent: the sender is dropped.
                    _ = dropped.changed() => {}
                }
            });
        };
        thread::Builder::new()
            .name("proxy".to_owned())
            .spawn(run)
            .expect("a thread can be started");
        Self {
            port,
            network,
            sent,
            ended,
            _alive: alive,
        }
    }

    /// Changes the behaviour, for open connections too.
    pub fn set(&self, network: Network) {
        self.network.send_replace(network);
    }

    /// Waits until a side closes a connection, or the proxy breaks one.
    ///
    /// # Panics
    ///
    /// Panics if no connection ends.
    pub async fn a_connection_ends(&self) {
        let mut ended = self.ended.clone();
        let end = timeout(PATIENCE, ended.wait_for(|ended| *ended > 0)).await;
        end.expect("a connection is closed")
            .expect("the network is there");
    }

    /// Returns all bytes that passed to the server.
    #[must_use]
    pub fn sent(&self) -> Vec<u8> {
        self.sent.lock().clone()
    }
}

async fn accept(
    listener: TcpListener,
    target: u16,
    network: watch::Receiver<Network>,
    record: Option<Arc<Mutex<Vec<u8>>>>,
    ended: watch::Sender<usize>,
) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        let (network, record, ended) = (network.clone(), record.clone(), ended.clone());
        // Drop ended connections.
        while connections.try_join_next().is_some() {}
        connections.spawn(async move {
            let Ok(far) = TcpStream::connect(("127.0.0.1", target)).await else {
                return;
            };
            // Nagle's algorithm would add a delay.
            let _ = (near.set_nodelay(true), far.set_nodelay(true));
            let (near_read, near_write) = near.into_split();
            let (far_read, far_write) = far.into_split();
            let cut = {
                let mut network = network.clone();
                async move { network.wait_for(|network| *network == Network::Cut).await.is_ok() }
            };
            tokio::select! {
                _ = cut => {}
                () = carry(near_read, far_write, network.clone(), record) => {}
                () = carry(far_read, near_write, network, None) => {}
            }
            ended.send_modify(|ended| *ended += 1);
        });
    }
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut network: watch::Receiver<Network>,
    record: Option<Arc<Mutex<Vec<u8>>>>,
) {
    let mut buffer = vec![0; BUFFER];
    // The received bytes and their times.
    let mut pending: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    loop {
        let delay = match *network.borrow_and_update() {
            Network::Normal => Some(Duration::ZERO),
            Network::Slow(delay) => Some(delay),
            Network::HalfOpen | Network::Cut => None,
        };
        let due = delay.and_then(|delay| pending.front().map(|(came, _)| *came + delay));
        let in_flight: usize = pending.iter().map(|(_, bytes)| bytes.len()).sum();
        tokio::select! {
            biased;
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                let (_, bytes) = pending.pop_front().expect("something is due");
                if let Some(record) = &record {
                    record.lock().extend_from_slice(&bytes);
                }
                if to.write_all(&bytes).await.is_err() {
                    return;
                }
            },
            read = from.read(&mut buffer), if in_flight < IN_FLIGHT => match read {
                Ok(count @ 1..) => pending.push_back((Instant::now(), buffer[..count].to_vec())),
                _ => return,
            },
            changed = network.changed() => if changed.is_err() {
                return;
            },
        }
    }
}
