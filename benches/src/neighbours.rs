//! Other host agents, as Debian packages them, for comparison of memory.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::error::{BenchError, Context};
use crate::process::{self, Memory};

/// Their interval, which is the program's with the default file.
const INTERVAL: Duration = Duration::from_secs(10);

/// The timeout until an exporter answers.
const PATIENCE: Duration = Duration::from_secs(10);

/// An agent that measures its host.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Neighbour {
    Collectd,
    NodeExporter,
}

impl Neighbour {
    pub(crate) const ALL: [Self; 2] = [Self::Collectd, Self::NodeExporter];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Collectd => "collectd",
            Self::NodeExporter => "node_exporter",
        }
    }

    /// Returns Debian's package.
    pub(crate) fn package(self) -> &'static str {
        match self {
            Self::Collectd => "collectd-core",
            Self::NodeExporter => "prometheus-node-exporter",
        }
    }

    /// Returns how it is started.
    pub(crate) fn about(self) -> &'static str {
        match self {
            Self::Collectd => {
                "Debian's collectd-core: cpu, load, memory, swap, df, disk and interface every 10 s, csv to stdout"
            }
            Self::NodeExporter => {
                "Debian's prometheus-node-exporter with its usual collectors, scraped every 10 s"
            }
        }
    }

    fn program(self) -> &'static Path {
        Path::new(match self {
            Self::Collectd => "/usr/sbin/collectd",
            Self::NodeExporter => "/usr/bin/prometheus-node-exporter",
        })
    }

    /// Starts it; `None` if it is not installed.
    pub(crate) fn start(self) -> Result<Option<Running>, BenchError> {
        if !self.program().exists() {
            return Ok(None);
        }
        let folder = tempfile::tempdir().context("make a folder")?;
        let mut command = Command::new(self.program());
        let scraped = match self {
            Self::Collectd => {
                let file = folder.path().join("collectd.conf");
                std::fs::write(&file, collectd(folder.path()))
                    .context("write a configuration for collectd")?;
                command.args(["-f", "-C"]).arg(file);
                None
            }
            Self::NodeExporter => {
                let address = free_address()?;
                command.arg(format!("--web.listen-address={address}"));
                Some(address)
            }
        };
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("start another agent")?;
        Ok(Some(Running {
            child,
            scraped,
            _folder: folder,
        }))
    }
}

/// A running agent; dropping it stops it.
pub(crate) struct Running {
    child: Child,
    /// The address to scrape, for an agent that measures only on a scrape.
    scraped: Option<SocketAddr>,
    _folder: TempDir,
}

impl Running {
    /// Returns its memory after a time, in which it measures as often as the program.
    pub(crate) async fn after(&self, time: Duration) -> Result<Memory, BenchError> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            if let Some(address) = self.scraped {
                scrape(address).await?;
            }
            sleep(INTERVAL.min(end - Instant::now())).await;
        }
        process::memory(self.child.id())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already; other code reports that.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Scrapes the metrics.
async fn scrape(address: SocketAddr) -> Result<(), BenchError> {
    let end = Instant::now() + PATIENCE;
    let mut stream = loop {
        match TcpStream::connect(address).await {
            Ok(stream) => break stream,
            Err(_) if Instant::now() < end => sleep(Duration::from_millis(50)).await,
            Err(error) => return Err(error).context("connect to an exporter"),
        }
    };
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .await
        .context("send a request to an exporter")?;
    let mut answer = Vec::new();
    stream
        .read_to_end(&mut answer)
        .await
        .context("read the response of an exporter")?;
    if answer.starts_with(b"HTTP/1.1 200") {
        return Ok(());
    }
    Err(BenchError::new("an exporter returned no metrics"))
}

fn free_address() -> Result<SocketAddr, BenchError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .context("find a free port")
}

fn collectd(folder: &Path) -> String {
    let mut text = format!(
        "Hostname bench\nInterval {}\nBaseDir \"{1}\"\nPIDFile \"{1}/collectd.pid\"\n\
         PluginDir \"/usr/lib/collectd\"\nTypesDB \"/usr/share/collectd/types.db\"\n",
        INTERVAL.as_secs(),
        folder.display(),
    );
    for plugin in ["cpu", "load", "memory", "swap", "df", "disk", "interface", "csv"] {
        text.push_str(&format!("LoadPlugin {plugin}\n"));
    }
    text.push_str("<Plugin csv>\nDataDir \"stdout\"\n</Plugin>\n");
    text
}
