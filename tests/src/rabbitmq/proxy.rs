//! A network between publisher and broker that can be cut, and hold its breath.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use crate::deadline::PATIENCE;

/// What the network does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Weather {
    /// Everything passes.
    Fair,
    /// Nothing passes, and nobody is told: connections are open, and bytes get nowhere.
    HalfOpen,
    /// Connections break, and new ones break at once.
    Cut,
}

/// A network to one port, which does as it is told.
#[derive(Debug)]
pub struct Proxy {
    /// Where it takes connections, on 127.0.0.1.
    pub port: u16,
    weather: watch::Sender<Weather>,
    sent: Arc<Mutex<Vec<u8>>>,
    ended: watch::Sender<usize>,
    task: AbortHandle,
}

impl Proxy {
    /// A network to a port of this machine.
    pub async fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (weather, forecast) = watch::channel(Weather::Fair);
        let sent = Arc::new(Mutex::new(Vec::new()));
        let (ended, _) = watch::channel(0);
        let accepting = accept(listener, target, forecast, sent.clone(), ended.clone());
        let task = tokio::spawn(accepting).abort_handle();
        Self {
            port,
            weather,
            sent,
            ended,
            task,
        }
    }

    /// Changes the weather.
    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// Waits until one of the sides has closed a connection.
    pub async fn a_connection_ends(&self) {
        let mut ended = self.ended.subscribe();
        let end = timeout(PATIENCE, ended.wait_for(|ended| *ended > 0)).await;
        end.expect("a connection is closed").unwrap();
    }

    /// All bytes that went to the broker.
    #[must_use]
    pub fn sent(&self) -> Vec<u8> {
        self.sent.lock().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    target: u16,
    weather: watch::Receiver<Weather>,
    sent: Arc<Mutex<Vec<u8>>>,
    ended: watch::Sender<usize>,
) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        let (weather, sent, ended) = (weather.clone(), sent.clone(), ended.clone());
        connections.spawn(async move {
            let Ok(far) = TcpStream::connect(("127.0.0.1", target)).await else {
                return;
            };
            let (near_read, near_write) = near.into_split();
            let (far_read, far_write) = far.into_split();
            let cut = {
                let mut weather = weather.clone();
                async move { weather.wait_for(|weather| *weather == Weather::Cut).await.is_ok() }
            };
            tokio::select! {
                _ = cut => {}
                () = carry(near_read, far_write, weather.clone(), Some(sent)) => {}
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
    let mut buffer = vec![0; 64 * 1024];
    let mut held = Vec::new();
    loop {
        if *weather.borrow_and_update() == Weather::Fair && !held.is_empty() {
            if let Some(record) = &record {
                record.lock().extend_from_slice(&held);
            }
            if to.write_all(&held).await.is_err() {
                return;
            }
            held.clear();
        }
        tokio::select! {
            read = from.read(&mut buffer) => match read {
                Ok(count) if count > 0 => held.extend_from_slice(&buffer[..count]),
                _ => return,
            },
            changed = weather.changed() => if changed.is_err() {
                return;
            },
        }
    }
}
