//! A real etcd for a test: on free ports of 127.0.0.1, in a temporary folder, stopped when the value is dropped.

use std::fs;
use std::future::Future;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;

use etcd_client::{
    AlarmAction, AlarmOptions, AlarmType, Certificate, Client, CompactionOptions, ConnectOptions,
    DeleteOptions, GetOptions, Identity, KeyValue, Permission, TlsOptions,
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::certificates::Certificates;
use crate::deadline::Deadline;
use crate::ports::free_ports;

/// The log line of a node that has found a leader and answers clients.
const READY: &str = "serving client traffic";

/// Log lines of a node that the test has not read. Further lines are dropped: a node never waits for the test.
const LINES: usize = 4096;

/// The user with all permissions, after [`Etcd::protect`].
const ROOT: (&str, &str) = ("root", "root's password");

/// Builds an etcd cluster.
#[derive(Debug, Clone)]
pub struct Build {
    nodes: usize,
    quota: Option<u64>,
    token_seconds: Option<u32>,
    tls: bool,
}

impl Build {
    /// Sets the number of nodes.
    #[must_use]
    pub fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes;
        self
    }

    /// Limits the size of the database, in bytes (`--quota-backend-bytes`).
    #[must_use]
    pub fn quota(mut self, bytes: u64) -> Self {
        self.quota = Some(bytes);
        self
    }

    /// Sets after how many seconds without use a token expires (`--auth-token-ttl`).
    #[must_use]
    pub fn token_seconds(mut self, seconds: u32) -> Self {
        self.token_seconds = Some(seconds);
        self
    }

    /// Enables TLS with client certificates.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Starts the cluster and waits until it answers.
    ///
    /// # Panics
    ///
    /// Panics if etcd is not installed or does not start.
    #[must_use]
    pub fn start(self) -> Etcd {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let certificates = self.tls.then(|| Certificates::write_to(folder.path()));
        let ports = free_ports(2 * self.nodes);
        let nodes = ports.chunks(2).enumerate().map(|(index, ports)| Node {
            name: format!("n{index}"),
            data: folder.path().join(format!("n{index}")),
            port: ports[0],
            peer_port: ports[1],
            arguments: Vec::new(),
            running: None,
        });
        let mut etcd = Etcd {
            nodes: nodes.collect(),
            certificates,
            build: self,
            protected: false,
            token: 0,
            folder,
        };
        etcd.describe();
        etcd.start_all();
        etcd
    }
}

/// An etcd cluster.
#[derive(Debug)]
pub struct Etcd {
    /// The nodes, running or not.
    pub nodes: Vec<Node>,
    /// The TLS files, with TLS.
    pub certificates: Option<Certificates>,
    build: Build,
    protected: bool,
    token: usize,
    folder: TempDir,
}

impl Etcd {
    /// Starts one node without authentication.
    #[must_use]
    pub fn start() -> Self {
        Self::build().start()
    }

    /// Starts three nodes.
    #[must_use]
    pub fn cluster() -> Self {
        Self::build().nodes(3).start()
    }

    /// Returns a builder. Its defaults are those of [`Etcd::start`].
    #[must_use]
    pub fn build() -> Build {
        Build {
            nodes: 1,
            quota: None,
            token_seconds: None,
            tls: false,
        }
    }

    /// Returns the URLs of all nodes.
    #[must_use]
    pub fn endpoints(&self) -> Vec<String> {
        self.nodes.iter().map(|node| self.url(node.port)).collect()
    }

    /// Returns a key prefix that no other test uses. Ports are free again when a node is killed, so an agent of this test may
    /// find the etcd of another test at its port.
    ///
    /// # Panics
    ///
    /// Panics if the folder has no name.
    #[must_use]
    pub fn prefix(&self) -> String {
        let name = self.folder.path().file_name().expect("a folder has a name");
        format!("nephoscope-{}/", name.display())
    }

    /// Returns the URL of this etcd at another local port: that of a proxy.
    #[must_use]
    pub fn url(&self, port: u16) -> String {
        // The certificate is for this name, which needs no lookup.
        match self.certificates {
            Some(_) => format!("https://localhost:{port}"),
            None => format!("http://127.0.0.1:{port}"),
        }
    }

    /// Starts all stopped nodes with their data, and waits until they answer.
    pub fn start_all(&mut self) {
        let mut started = Vec::new();
        for node in self.nodes.iter_mut().filter(|node| node.running.is_none()) {
            node.begin();
            started.push(node);
        }
        // A node answers once there is a majority: start all nodes before waiting for any.
        for node in started {
            node.wait_until_ready();
        }
    }

    /// Kills all nodes with SIGKILL.
    pub fn kill_all(&mut self) {
        self.nodes.iter_mut().for_each(Node::kill);
    }

    /// Suspends all nodes with SIGSTOP.
    pub fn freeze_all(&self) {
        self.nodes.iter().for_each(Node::freeze);
    }

    /// Resumes the nodes after [`Etcd::freeze_all`].
    pub fn thaw_all(&self) {
        self.nodes.iter().for_each(Node::thaw);
    }

    /// Kills all nodes, deletes their data and starts them again: an empty etcd with the same address and cluster name. Users
    /// are deleted too.
    pub fn wipe(&mut self) {
        self.kill_all();
        self.nodes.iter().for_each(Node::empty);
        self.protected = false;
        self.start_all();
    }

    /// Does the same as [`Etcd::wipe`], but the new cluster has another id.
    pub fn exchange(&mut self) {
        self.token += 1;
        self.describe();
        self.wipe();
    }

    /// Returns the index of the leader.
    ///
    /// # Panics
    ///
    /// Panics if there is no leader within a minute.
    #[must_use]
    pub fn leader(&self) -> usize {
        let deadline = Deadline::start();
        while !deadline.has_passed() {
            for (index, node) in self.nodes.iter().enumerate() {
                let Some(running) = &node.running else { continue };
                if running.frozen.get() {
                    continue;
                }
                let mut options = self.options();
                options = options.with_timeout(std::time::Duration::from_secs(1));
                let url = self.url(node.port);
                let status = run(async move { Client::connect([url], Some(options)).await?.status().await });
                if let Ok(status) = status
                    && status.leader() != 0
                    && status
                        .header()
                        .is_some_and(|header| header.member_id() == status.leader())
                {
                    return index;
                }
            }
        }
        panic!("etcd has no leader");
    }

    /// Enables authentication, with a root user for the harness and a user with this name and password who may read and write
    /// keys with `prefix`.
    pub fn protect(&mut self, name: &str, password: &str, prefix: &str) {
        let (name, password, prefix) = (name.to_owned(), password.to_owned(), prefix.to_owned());
        self.with(move |mut client| async move {
            client.user_add(ROOT.0, ROOT.1, None).await?;
            client.user_grant_role(ROOT.0, "root").await?;
            client.role_add(name.clone()).await?;
            let permission = Permission::read_write(prefix).with_prefix();
            client.role_grant_permission(name.clone(), permission).await?;
            client.user_add(name.clone(), password, None).await?;
            client.user_grant_role(name.clone(), name).await?;
            client.auth_enable().await
        });
        self.protected = true;
    }

    /// Revokes the permissions of a user of [`Etcd::protect`].
    pub fn forbid(&self, name: &str) {
        let name = name.to_owned();
        self.with(|mut client| async move { client.user_revoke_role(name.clone(), name).await });
    }

    /// Grants the permissions again.
    pub fn permit(&self, name: &str) {
        let name = name.to_owned();
        self.with(|mut client| async move { client.user_grant_role(name.clone(), name).await });
    }

    /// Changes a password, which invalidates the user's tokens.
    pub fn change_password(&self, name: &str, password: &str) {
        let (name, password) = (name.to_owned(), password.to_owned());
        self.with(|mut client| async move { client.user_change_password(name, password).await });
    }

    /// Returns all keys with this prefix.
    #[must_use]
    pub fn read(&self, prefix: &str) -> Vec<KeyValue> {
        let options = GetOptions::new().with_prefix();
        let prefix = prefix.to_owned();
        self.with(|mut client| async move { client.get(prefix, Some(options)).await })
            .take_kvs()
    }

    /// Writes a key.
    pub fn write(&self, key: &str, value: impl Into<Vec<u8>>) {
        let (key, value) = (key.to_owned(), value.into());
        self.with(|mut client| async move { client.put(key, value, None).await });
    }

    /// Deletes a key.
    pub fn delete(&self, key: &str) {
        let key = key.to_owned();
        self.with(|mut client| async move { client.delete(key, None).await });
    }

    /// Compacts all history.
    pub fn compact(&self) {
        self.with(|mut client| async move {
            let revision = client
                .get("\0", None)
                .await?
                .header()
                .map_or(0, |header| header.revision());
            let options = CompactionOptions::new().with_physical();
            client.compact(revision, Some(options)).await
        });
    }

    /// Frees space in an etcd that reached its quota: deletes all keys except those below `nephoscope/`, and disarms the
    /// alarm.
    pub fn relieve(&self) {
        self.with(|mut client| async move {
            let below = DeleteOptions::new().with_range("nephoscope/");
            client.delete("\0", Some(below)).await?;
            let above = DeleteOptions::new().with_from_key();
            client.delete("nephoscope0", Some(above)).await?;
            let present = client
                .get("\0", None)
                .await?
                .header()
                .map_or(0, |header| header.revision());
            let physical = CompactionOptions::new().with_physical();
            client.compact(present, Some(physical)).await?;
            client.defragment().await?;
            let alarms = client.alarm(AlarmAction::Get, AlarmType::Nospace, None).await?;
            for alarm in alarms.alarms() {
                let mut of = AlarmOptions::new();
                of.with_member(alarm.member_id());
                client
                    .alarm(AlarmAction::Deactivate, AlarmType::Nospace, Some(of))
                    .await?;
            }
            Ok(())
        });
    }

    /// Runs an action against etcd as the root user.
    ///
    /// # Panics
    ///
    /// Panics if the action fails.
    pub fn with<T, F, R>(&self, action: F) -> T
    where
        T: Send,
        F: FnOnce(Client) -> R + Send,
        R: Future<Output = Result<T, etcd_client::Error>> + Send,
    {
        // A node that is neither frozen nor dead.
        let node = self
            .nodes
            .iter()
            .find(|node| node.running.as_ref().is_some_and(|running| !running.frozen.get()));
        let url = self.url(node.expect("a node runs").port);
        let options = self.options();
        run(async move {
            let client = Client::connect([url], Some(options)).await?;
            action(client).await
        })
        .expect("etcd accepts the requests of the test")
    }

    /// Returns the options of a client with root permissions.
    ///
    /// # Panics
    ///
    /// Panics if the TLS files are missing.
    #[must_use]
    pub fn options(&self) -> ConnectOptions {
        let mut options = ConnectOptions::new().with_timeout(crate::deadline::PATIENCE);
        if self.protected {
            options = options.with_user(ROOT.0, ROOT.1);
        }
        if let Some(certificates) = &self.certificates {
            let read = |path: &PathBuf| fs::read(path).expect("a certificate can be read");
            let identity = Identity::from_pem(read(&certificates.client), read(&certificates.client_key));
            let tls = TlsOptions::new()
                .ca_certificate(Certificate::from_pem(read(&certificates.ca)))
                .identity(identity);
            options = options.with_tls(tls);
        }
        options
    }

    /// Passes the list of all nodes to each node.
    fn describe(&mut self) {
        let peer = |node: &Node| format!("{}=http://127.0.0.1:{}", node.name, node.peer_port);
        let all: Vec<String> = self.nodes.iter().map(peer).collect();
        let mut common = vec![
            format!("--initial-cluster={}", all.join(",")),
            format!("--initial-cluster-token=nephoscope-{}", self.token),
            "--logger=zap".to_owned(),
            "--log-outputs=stderr".to_owned(),
        ];
        if let Some(quota) = self.build.quota {
            common.push(format!("--quota-backend-bytes={quota}"));
        }
        if let Some(seconds) = self.build.token_seconds {
            common.push(format!("--auth-token-ttl={seconds}"));
        }
        if let Some(certificates) = &self.certificates {
            common.push("--client-cert-auth".to_owned());
            common.push(format!("--trusted-ca-file={}", certificates.ca.display()));
            common.push(format!("--cert-file={}", certificates.server.display()));
            common.push(format!("--key-file={}", certificates.server_key.display()));
        }
        let scheme = if self.certificates.is_some() {
            "https"
        } else {
            "http"
        };
        for node in &mut self.nodes {
            let client = format!("{scheme}://127.0.0.1:{}", node.port);
            let peer = format!("http://127.0.0.1:{}", node.peer_port);
            node.arguments = common.clone();
            node.arguments.extend([
                format!("--name={}", node.name),
                format!("--data-dir={}", node.data.display()),
                format!("--listen-client-urls={client}"),
                format!("--advertise-client-urls={client}"),
                format!("--listen-peer-urls={peer}"),
                format!("--initial-advertise-peer-urls={peer}"),
            ]);
        }
    }
}

/// A node of the cluster.
#[derive(Debug)]
pub struct Node {
    /// Its client port on 127.0.0.1.
    pub port: u16,
    name: String,
    data: PathBuf,
    peer_port: u16,
    arguments: Vec<String>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    lines: Receiver<String>,
    frozen: std::cell::Cell<bool>,
}

impl Node {
    /// Starts the node with its data and waits until it answers, which needs a majority.
    pub fn start(&mut self) {
        self.begin();
        self.wait_until_ready();
    }

    /// Starts the node without waiting.
    ///
    /// # Panics
    ///
    /// Panics if etcd is not installed.
    pub fn begin(&mut self) {
        // The kernel kills the node when the thread that started it ends.
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "etcd"])
            .args(&self.arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin:/usr/local/bin")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("setpriv is part of every system");
        let stream = BufReader::new(child.stderr.take().expect("the log is a pipe"));
        let (sender, lines) = sync_channel(LINES);
        let read = move || {
            for line in stream.lines().map_while(Result::ok) {
                // The node continues to write when the test no longer reads.
                let _ = sender.try_send(line);
            }
        };
        thread::Builder::new()
            .name(self.name.clone())
            .spawn(read)
            .expect("a thread can be started");
        self.running = Some(Running {
            child,
            lines,
            frozen: std::cell::Cell::new(false),
        });
    }

    /// Waits until the node answers.
    ///
    /// # Panics
    ///
    /// Panics if it does not.
    pub fn wait_until_ready(&self) {
        let running = self.running.as_ref().expect("the node was started");
        let deadline = Deadline::start();
        let mut log = String::new();
        loop {
            match running.lines.recv_timeout(deadline.left()) {
                Ok(line) => {
                    log.push_str(&line);
                    log.push('\n');
                    if line.contains(READY) {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("etcd is not ready:\n{log}"),
                Err(RecvTimeoutError::Disconnected) => panic!(
                    "etcd has ended; these tests need it: apt-get install etcd-server (on a machine where it must not start as a \
                     service, with a /usr/sbin/policy-rc.d that exits with 101):\n{log}"
                ),
            }
        }
    }

    /// Returns whether the node was started and not killed.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.running.is_some()
    }

    /// Kills the node with SIGKILL, if it runs.
    pub fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
    }

    /// Suspends the node with SIGSTOP.
    pub fn freeze(&self) {
        self.signal(Signal::STOP, true);
    }

    /// Resumes the node.
    pub fn thaw(&self) {
        self.signal(Signal::CONT, false);
    }

    /// Deletes the data of a stopped node.
    pub fn empty(&self) {
        assert!(
            self.running.is_none(),
            "the data of a running node cannot be deleted"
        );
        fs::remove_dir_all(&self.data).expect("its folder can be removed");
    }

    fn signal(&self, signal: Signal, frozen: bool) {
        let Some(running) = &self.running else { return };
        let id = Pid::from_child(&running.child);
        kill_process(id, signal).expect("a node can be signalled");
        running.frozen.set(frozen);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a future to completion, from a sync or an async test.
fn run<T: Send>(future: impl Future<Output = T> + Send) -> T {
    let work = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime can be created").block_on(future)
    };
    // On a separate thread: a thread of a runtime must not block on another runtime.
    thread::scope(|scope| scope.spawn(work).join()).expect("it does not panic")
}
