//! A RabbitMQ for a test: with separate node, ports, folders and cookie; stopped when the value is dropped.
//!
//! Its methods must be called within a tokio runtime.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::certificates::Certificates;
use crate::ports::free_ports;

/// Debian's folder of the scripts that read all settings from the environment.
const SCRIPTS: &str = "/usr/lib/rabbitmq/bin";

/// The timeout of a broker's start, on a loaded machine.
const START: Duration = Duration::from_secs(90);

/// The timeout of one command to a broker.
const COMMAND: Duration = Duration::from_secs(60);

/// A broker, running or killed.
#[derive(Debug)]
pub struct Broker {
    folder: TempDir,
    node: String,
    /// Its AMQP port on 127.0.0.1.
    pub port: u16,
    /// Its port for AMQP over TLS.
    pub tls_port: u16,
    distribution_port: u16,
    epmd_port: u16,
    /// The certificates of the broker and of a client, with their authority.
    pub certificates: Certificates,
    server: Option<Child>,
    /// The name server of Erlang. It belongs to the test, so that no daemon survives.
    _epmd: Child,
}

impl Broker {
    /// Starts a broker with the virtual host `/` only.
    pub async fn start() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        assert!(
            Path::new(SCRIPTS).join("rabbitmq-server").exists(),
            "RabbitMQ is not installed, and these tests need it: apt-get install rabbitmq-server (on a machine where \
             it must not start as a service, with a /usr/sbin/policy-rc.d that exits with 101)"
        );
        let folder = tempfile::tempdir().unwrap();
        let certificates = Certificates::write_to(folder.path());
        let ports: [u16; 4] = free_ports(4).try_into().unwrap();
        let [port, tls_port, distribution_port, epmd_port] = ports;
        let home = folder.path().join("home");
        fs::create_dir(&home).unwrap();
        write_configuration(folder.path(), port, tls_port, &certificates);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let epmd = tied("epmd")
            .args(["-address", "127.0.0.1", "-port", &epmd_port.to_string()])
            .env("HOME", &home)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("epmd comes with erlang-base");
        let mut broker = Self {
            node: format!("nephoscope-{}-{count}@localhost", std::process::id()),
            folder,
            port,
            tls_port,
            distribution_port,
            epmd_port,
            certificates,
            server: None,
            _epmd: epmd,
        };
        broker.restart().await;
        broker
    }

    /// Starts the server again with its data.
    pub async fn restart(&mut self) {
        let mut command = tied(&script("rabbitmq-server"));
        self.environment(&mut command);
        // Without a shell that would outlive the server, and without reading commands.
        command.env("RABBITMQ_ALLOW_INPUT", "true").arg("-noinput");
        let mut server = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        let mut log = String::new();
        let started = async {
            while let Ok(Some(line)) = lines.next_line().await {
                log.push_str(&line);
                log.push('\n');
                if line.contains("Starting broker... completed") {
                    return true;
                }
            }
            false
        };
        let started = timeout(START, started).await;
        assert!(matches!(started, Ok(true)), "the broker did not start:\n{log}");
        // The server continues to write.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        self.server = Some(server);
    }

    /// Returns the URL for publishers.
    #[must_use]
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/", self.port)
    }

    /// Kills the server with SIGKILL.
    pub async fn kill(&mut self) {
        let mut server = self.server.take().expect("the broker runs");
        server.kill().await.unwrap();
    }

    /// Runs `rabbitmqctl`, which must succeed, and returns its output.
    pub async fn control(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(script("rabbitmqctl"));
        self.environment(&mut command);
        command
            .arg("--quiet")
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = timeout(COMMAND, command.output())
            .await
            .unwrap_or_else(|_| panic!("rabbitmqctl {arguments:?} does not end"))
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "rabbitmqctl {arguments:?}: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        text
    }

    /// Creates virtual hosts with permissions for `guest`.
    pub async fn add_vhosts(&self, vhosts: &[&str]) {
        use std::fmt::Write as _;
        let mut names = String::new();
        for vhost in vhosts {
            write!(names, "<<\"{vhost}\">>,").unwrap();
        }
        let names = names.trim_end_matches(',');
        // One command for all: each starts a separate Erlang VM.
        let expression = format!(
            "[begin rabbit_vhost:add(V, <<\"test\">>), rabbit_auth_backend_internal:set_permissions(<<\"guest\">>, V, \
             <<\".*\">>, <<\".*\">>, <<\".*\">>, <<\"test\">>) end || V <- [{names}]]."
        );
        self.control(&["eval", &expression]).await;
    }

    fn environment(&self, command: &mut Command) {
        let at = |name: &str| self.folder.path().join(name);
        command
            .env("HOME", at("home"))
            .env("RABBITMQ_NODENAME", &self.node)
            .env("RABBITMQ_MNESIA_BASE", at("mnesia"))
            .env("RABBITMQ_LOG_BASE", at("log"))
            .env("RABBITMQ_CONFIG_FILE", at("rabbitmq.conf"))
            .env("RABBITMQ_ADVANCED_CONFIG_FILE", at("advanced.config"))
            .env("RABBITMQ_GENERATED_CONFIG_DIR", at("config"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", at("enabled_plugins"))
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_DIST_PORT", self.distribution_port.to_string())
            // For a machine with few cores that runs other tests.
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none",
            )
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("ERL_EPMD_PORT", self.epmd_port.to_string());
    }
}

/// Returns a command whose process is killed when the thread that started it ends.
fn tied(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", program]);
    command
}

fn script(name: &str) -> String {
    PathBuf::from(SCRIPTS).join(name).display().to_string()
}

fn write_configuration(folder: &Path, port: u16, tls_port: u16, certificates: &Certificates) {
    let (ca, certificate, key) = (
        certificates.ca.display(),
        certificates.server.display(),
        certificates.server_key.display(),
    );
    let configuration = format!(
        "listeners.tcp.1 = 127.0.0.1:{port}\n\
         listeners.ssl.1 = 127.0.0.1:{tls_port}\n\
         ssl_options.cacertfile = {ca}\n\
         ssl_options.certfile = {certificate}\n\
         ssl_options.keyfile = {key}\n\
         ssl_options.verify = verify_peer\n\
         ssl_options.fail_if_no_peer_cert = false\n\
         ssl_cert_login_from = common_name\n\
         auth_mechanisms.1 = PLAIN\n\
         auth_mechanisms.2 = AMQPLAIN\n\
         auth_mechanisms.3 = EXTERNAL\n\
         max_message_size = 1048576\n\
         vm_memory_high_watermark.absolute = 2GB\n\
         disk_free_limit.absolute = 1MB\n"
    );
    fs::write(folder.join("rabbitmq.conf"), configuration).unwrap();
    fs::write(folder.join("enabled_plugins"), "[rabbitmq_auth_mechanism_ssl].\n").unwrap();
    fs::write(folder.join("advanced.config"), "[].\n").unwrap();
}
