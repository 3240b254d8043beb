//! A Keystone of the Debian package, with SQLite, on the loopback interface.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

/// The time limit for Keystone's answers. Python needs seconds to load it, and minutes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(150);

/// A key as `keystone-manage fernet_setup` makes it: 32 bytes in base64.
const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// The administrator's password.
pub(crate) const PASSWORD: &str = "telescope";

/// A running Keystone; dropping it stops it and deletes its directory.
pub(crate) struct Keystone {
    url: String,
    server: Child,
    http: reqwest::Client,
    folder: tempfile::TempDir,
}

impl Keystone {
    /// Creates the database and starts the server.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        for keys in ["fernet", "credential"] {
            std::fs::create_dir(path.join(keys)).unwrap();
            std::fs::write(path.join(keys).join("1"), KEY).unwrap();
        }
        let config = format!(
            "[DEFAULT]\nuse_stderr = true\n\
             [database]\nconnection = sqlite:///{0}/keystone.db\n\
             [fernet_tokens]\nkey_repository = {0}/fernet\n\
             [fernet_receipts]\nkey_repository = {0}/fernet\n\
             [credential]\nkey_repository = {0}/credential\n\
             [cache]\nenabled = false\n",
            path.display()
        );
        std::fs::write(path.join("keystone.conf"), config).unwrap();
        let port = free_port();
        let url = format!("http://127.0.0.1:{port}/v3");
        run(
            path,
            "keystone-manage",
            &["--config-file", "keystone.conf", "db_sync"],
        );
        // Keystone leaves read transactions open, which block writers unless SQLite uses a write-ahead log.
        let log = "import sqlite3; sqlite3.connect('keystone.db').execute('PRAGMA journal_mode=WAL')";
        run(path, "python3", &["-c", log]);
        let bootstrap = [
            "--config-file",
            "keystone.conf",
            "bootstrap",
            "--bootstrap-password",
            PASSWORD,
            "--bootstrap-public-url",
            &url,
            "--bootstrap-region-id",
            "RegionOne",
        ];
        run(path, "keystone-manage", &bootstrap);
        let log = std::fs::File::create(path.join("log")).unwrap();
        let server = command(path, "keystone-wsgi-public")
            .args(["--host", "127.0.0.1", "--port", &port.to_string(), "--"])
            .args(["--config-file", "keystone.conf"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("keystone-wsgi-public is installed (tests/run setup)");
        let keystone = Self {
            url,
            server,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            folder,
        };
        keystone.wait().await;
        keystone
    }

    /// `http://127.0.0.1:PORT/v3`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Returns the options for a project-scoped token of the administrator.
    pub(crate) fn options(&self) -> Value {
        json!({ "auth_url": self.url, "username": "admin", "password": PASSWORD, "user_domain_id": "default",
            "project_name": "admin", "project_domain_name": "Default" })
    }

    /// Sends a request as the administrator and returns the answer's body.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Value) -> Value {
        let password =
            json!({ "user": { "name": "admin", "domain": { "id": "default" }, "password": PASSWORD } });
        let identity = json!({ "methods": ["password"], "password": password });
        let scope = json!({ "project": { "name": "admin", "domain": { "id": "default" } } });
        let login = json!({ "auth": { "identity": identity, "scope": scope } });
        let answer = self.send("POST", "/auth/tokens", None, &login).await;
        let token = answer.headers()["x-subject-token"].to_str().unwrap().to_owned();
        let answer = self.send(method, path, Some(&token), &body).await;
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(
            status.is_success(),
            "{method} {path}: {status} {text}\n{}",
            self.log()
        );
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// Returns the end of the server's log.
    fn log(&self) -> String {
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    async fn send(&self, method: &str, path: &str, token: Option<&str>, body: &Value) -> reqwest::Response {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.url))
            .header("content-type", "application/json");
        if let Some(token) = token {
            request = request.header("x-auth-token", token);
        }
        if !body.is_null() {
            request = request.body(body.to_string());
        }
        tokio::time::timeout(PATIENCE, request.send())
            .await
            .expect("Keystone answers in time")
            .expect("Keystone answers")
    }

    /// Waits until the port is open: the server opens it when it is ready to serve.
    async fn wait(&self) {
        let address = self.url.trim_start_matches("http://").trim_end_matches("/v3");
        let open = async {
            let mut retry = tokio::time::interval(Duration::from_millis(100));
            while tokio::net::TcpStream::connect(address).await.is_err() {
                retry.tick().await;
            }
        };
        tokio::time::timeout(PATIENCE, open)
            .await
            .expect("Keystone opens its port in time");
    }
}

impl Drop for Keystone {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A program of the Debian package, which uses the system's Python.
fn command(folder: &Path, program: &str) -> Command {
    let mut command = Command::new(format!("/usr/bin/{program}"));
    command
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", folder)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null());
    command
}

fn run(folder: &Path, program: &str, arguments: &[&str]) {
    let output = command(folder, program)
        .args(arguments)
        .output()
        .expect("keystone-manage is installed (tests/run setup)");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}:\n{text}");
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}
