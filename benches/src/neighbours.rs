//! Other agents of a host, as Debian packages them: what the program's memory is shown beside.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::process::{self, Memory};
use crate::trouble::{During, Trouble};

/// How often they measure, as the program does with the default file.
const INTERVAL: Duration = Duration::from_secs(10);

/// How long an exporter may take until it answers.
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

    /// Debian's package.
    pub(crate) fn package(self) -> &'static str {
        match self {
            Self::Collectd => "collectd-core",
            Self::NodeExporter => "prometheus-node-exporter",
        }
    }

    /// How it is started.
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

    /// Starts it; none where it is not installed.
    pub(crate) fn start(self) -> Result<Option<Running>, Trouble> {
        if !self.program().exists() {
            return Ok(None);
        }
        let folder = tempfile::tempdir().during("make a folder")?;
        let mut command = Command::new(self.program());
        let scraped = match self {
            Self::Collectd => {
                let file = folder.path().join("collectd.conf");
                std::fs::write(&file, collectd(folder.path()))
                    .during("write a configuration for collectd")?;
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
            .during("start an agent beside the program")?;
        Ok(Some(Running {
            child,
            scraped,
            _folder: folder,
        }))
    }
}

/// It runs; it is stopped when this is dropped.
pub(crate) struct Running {
    child: Child,
    /// Where it has to be asked for its metrics, if it measures only then.
    scraped: Option<SocketAddr>,
    _folder: TempDir,
}

impl Running {
    /// Its memory after this time, in which it measures as often as the program.
    pub(crate) async fn after(&self, time: Duration) -> Result<Memory, Trouble> {
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
        // It may have ended by itself; that is seen elsewhere.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks for the metrics, and takes them.
async fn scrape(address: SocketAddr) -> Result<(), Trouble> {
    let end = Instant::now() + PATIENCE;
    let mut stream = loop {
        match TcpStream::connect(address).await {
            Ok(stream) => break stream,
            Err(_) if Instant::now() < end => sleep(Duration::from_millis(50)).await,
            Err(error) => return Err(error).during("connect to an exporter"),
        }
    };
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .await
        .during("ask an exporter")?;
    let mut answer = Vec::new();
    stream
        .read_to_end(&mut answer)
        .await
        .during("read what an exporter says")?;
    if answer.starts_with(b"HTTP/1.1 200") {
        return Ok(());
    }
    Err(Trouble::new("an exporter does not give its metrics"))
}

fn free_address() -> Result<SocketAddr, Trouble> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .during("find a free port")
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
