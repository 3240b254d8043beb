//! A network between a client and a server that can be slow, be cut, and hold its breath.

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

/// What is read at once.
const BUFFER: usize = 64 * 1024;

/// What is under way in one direction of one connection. A network that holds more makes its sender wait.
const UNDER_WAY: usize = 16 * 1024 * 1024;

/// What the network does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Everything passes.
    Fair,
    /// Everything passes, each byte this much later than it came.
    Slow(Duration),
    /// Nothing passes, and nobody is told: connections are open, and bytes get nowhere. They pass when the weather changes.
    HalfOpen,
    /// Connections break, and new ones break at once.
    Cut,
}

/// A network to one port of this machine. It has a thread of its own, so it works beside a test of any kind; it is gone with this.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    weather: watch::Sender<Weather>,
    sent: Arc<Mutex<Vec<u8>>>,
    ended: watch::Receiver<usize>,
    /// Dropped with this, which ends the thread.
    _alive: watch::Sender<()>,
}

impl Proxy {
    /// A network to a port of this machine. It keeps what passes to the server ([`Proxy::sent`]).
    #[must_use]
    pub fn to(target: u16) -> Self {
        Self::new(target, true, None)
    }

    /// A network to a port of the machine's other network, which `namespace` is (`/proc/N/ns/net`). That takes root.
    #[must_use]
    pub fn into(namespace: File, target: u16) -> Self {
        Self::new(target, false, Some(namespace))
    }

    /// A network that keeps nothing, for runs that are long.
    #[must_use]
    pub fn forgetful(target: u16) -> Self {
        Self::new(target, false, None)
    }

    fn new(target: u16, keeps: bool, namespace: Option<File>) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        listener
            .set_nonblocking(true)
            .expect("a socket can be made not to block");
        let port = listener.local_addr().expect("a socket has an address").port();
        let (weather, forecast) = watch::channel(Weather::Fair);
        let (ending, ended) = watch::channel(0);
        let (alive, mut dropped) = watch::channel(());
        let sent = Arc::new(Mutex::new(Vec::new()));
        let record = keeps.then(|| sent.clone());
        let run = move || {
            if let Some(namespace) = namespace {
                // Sockets belong to the network of the thread that makes them; the one that listens is made already.
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                    .expect("root may move a thread");
            }
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime can be made").block_on(async {
                let listener = TcpListener::from_std(listener).expect("a socket can be used");
                tokio::select! {
                    () = accept(listener, target, forecast, record, ending) => {}
                    // Nothing is ever sent: the sender is gone.
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
            weather,
            sent,
            ended,
            _alive: alive,
        }
    }

    /// Changes the weather, for open connections too.
    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// Waits until one of the sides has closed a connection, or the network has broken one.
    ///
    /// # Panics
    ///
    /// If that does not happen.
    pub async fn a_connection_ends(&self) {
        let mut ended = self.ended.clone();
        let end = timeout(PATIENCE, ended.wait_for(|ended| *ended > 0)).await;
        end.expect("a connection is closed")
            .expect("the network is there");
    }

    /// All bytes that passed to the server.
    #[must_use]
    pub fn sent(&self) -> Vec<u8> {
        self.sent.lock().clone()
    }
}

async fn accept(
    listener: TcpListener,
    target: u16,
    weather: watch::Receiver<Weather>,
    record: Option<Arc<Mutex<Vec<u8>>>>,
    ended: watch::Sender<usize>,
) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        let (weather, record, ended) = (weather.clone(), record.clone(), ended.clone());
        // Those that have ended are not kept.
        while connections.try_join_next().is_some() {}
        connections.spawn(async move {
            let Ok(far) = TcpStream::connect(("127.0.0.1", target)).await else {
                return;
            };
            // What a kernel holds back to save packets would be a delay of its own.
            let _ = (near.set_nodelay(true), far.set_nodelay(true));
            let (near_read, near_write) = near.into_split();
            let (far_read, far_write) = far.into_split();
            let cut = {
                let mut weather = weather.clone();
                async move { weather.wait_for(|weather| *weather == Weather::Cut).await.is_ok() }
            };
            tokio::select! {
                _ = cut => {}
                () = carry(near_read, far_write, weather.clone(), record) => {}
                () = carry(far_read, near_write, weather, None) => {}
            }
            ended.send_modify(|ended| *ended += 1);
        });
    }
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut weather: watch::Receiver<Weather>,
    record: Option<Arc<Mutex<Vec<u8>>>>,
) {
    let mut buffer = vec![0; BUFFER];
    // What has come, and when.
    let mut held: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    loop {
        let delay = match *weather.borrow_and_update() {
            Weather::Fair => Some(Duration::ZERO),
            Weather::Slow(delay) => Some(delay),
            Weather::HalfOpen | Weather::Cut => None,
        };
        let due = delay.and_then(|delay| held.front().map(|(came, _)| *came + delay));
        let under_way: usize = held.iter().map(|(_, bytes)| bytes.len()).sum();
        tokio::select! {
            biased;
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                let (_, bytes) = held.pop_front().expect("something is due");
                if let Some(record) = &record {
                    record.lock().extend_from_slice(&bytes);
                }
                if to.write_all(&bytes).await.is_err() {
                    return;
                }
            },
            read = from.read(&mut buffer), if under_way < UNDER_WAY => match read {
                Ok(count @ 1..) => held.push_back((Instant::now(), buffer[..count].to_vec())),
                _ => return,
            },
            changed = weather.changed() => if changed.is_err() {
                return;
            },
        }
    }
}
