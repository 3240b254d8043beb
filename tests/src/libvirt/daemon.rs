//! A libvirtd for a test: with separate folders, sockets and network; stopped when the value is dropped.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::geteuid;
use tempfile::TempDir;

use crate::certificates::Certificates;
use crate::proxy::Proxy;
use crate::skip::{has_mount_namespaces, report_skipped};

use super::guest::{Guest, MEDIUM};

/// The programs that must be installed.
const PROGRAMS: [&str; 3] = [
    "/usr/sbin/libvirtd",
    "/usr/bin/virsh",
    "/usr/bin/qemu-system-x86_64",
];

/// Prepares the daemon's mounts. The daemon has separate namespaces for mounts, processes and the network: it uses the
/// installed paths and creates network devices, and its processes end with the test. Adds the account that it requires.
const SCRIPT: &str = r#"
set -e
for place in /run/libvirt /etc/libvirt /var/lib/libvirt /var/cache/libvirt /var/log/libvirt; do
    mkdir -p "$place" "$1$place"
    mount --bind "$1$place" "$place"
done
for file in passwd group; do
    cp "/etc/$file" "$1/$file"
    grep -q '^libvirt-qemu:' "$1/$file" || case $file in
        passwd) echo 'libvirt-qemu:x:64055:64055::/:/usr/sbin/nologin' ;;
        group) echo 'libvirt-qemu:x:64055:' ;;
    esac >>"$1/$file"
    mount --bind "$1/$file" "/etc/$file"
done
cp "$1/qemu.conf" /etc/libvirt/qemu.conf
echo ready
# The first process reaps orphans: unreaped, they would seem to run for ever.
sleep infinity &
wait
"#;

/// The TLS port in the daemon's network namespace.
const TLS_PORT: u16 = 16_514;

/// Kills a daemon and waits for its end.
const KILL: &str = r#"
process=$(cat "$1")
kill -KILL "$process"
while kill -0 "$process" 2>/dev/null; do sleep 0.05; done
"#;

const QEMU: &str = r#"
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
security_default_confined = 0
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
"#;

/// A libvirtd, running or killed. Dropping it ends the daemon and its domains.
#[derive(Debug)]
pub struct Daemon {
    folder: TempDir,
    /// The parent of the first process in the namespaces.
    holder: Child,
}

impl Daemon {
    /// Starts a daemon. Returns `None` and reports the test as skipped if it cannot: it requires root, libvirt's daemon and client, QEMU, and mount namespaces.
    ///
    /// # Panics
    ///
    /// If mount namespaces are not permitted and `CI` is `true`.
    #[must_use]
    pub fn start() -> Option<Self> {
        if !geteuid().is_root() || PROGRAMS.iter().any(|program| !Path::new(program).exists()) {
            report_skipped("no libvirtd: it requires root, libvirtd, virsh and QEMU");
            return None;
        }
        if !has_mount_namespaces() {
            return None;
        }
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let write = |name: &str, text: &[u8]| {
            fs::write(folder.path().join(name), text).expect("a file can be written");
        };
        let at = folder.path().display();
        let settings = format!(
            "unix_sock_dir = \"{at}\"\nauth_unix_ro = \"none\"\nauth_unix_rw = \"none\"\n\
             host_uuid = \"00000000-1111-4111-8111-000000000001\"\nlog_outputs = \"3:file:{at}/log\"\n"
        );
        write("libvirtd.conf", settings.as_bytes());
        write("qemu.conf", QEMU.as_bytes());
        write("medium.iso", &MEDIUM);
        let mut holder = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "unshare", "--mount"])
            .args(["--propagation", "private", "--net", "--pid", "--fork"])
            .args(["--kill-child", "--mount-proc", "sh", "-c", SCRIPT, "sh"])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("setpriv and unshare come with util-linux");
        let mut line = String::new();
        let output = holder.stdout.take().expect("it is a pipe");
        BufReader::new(output)
            .read_line(&mut line)
            .expect("a pipe can be read");
        assert_eq!(line, "ready\n", "the namespaces cannot be made");
        let daemon = Self { folder, holder };
        daemon.restart();
        Some(daemon)
    }

    /// Starts the daemon again after it was killed; its domains keep running.
    pub fn restart(&self) {
        self.run(&[]);
    }

    /// Restarts the daemon with TLS. Clients connect through the returned proxy, with a certificate.
    #[must_use]
    pub fn listen(&self, certificates: &Certificates) -> Proxy {
        self.kill();
        let settings = format!(
            "{}listen_tls = 1\nlisten_addr = \"127.0.0.1\"\ntls_port = \"{TLS_PORT}\"\ntls_no_sanity_certificate = 1\n\
             ca_file = \"{}\"\ncert_file = \"{}\"\nkey_file = \"{}\"\n",
            fs::read_to_string(self.path("libvirtd.conf")).expect("it was written at the start"),
            certificates.ca.display(),
            certificates.server.display(),
            certificates.server_key.display(),
        );
        fs::write(self.path("libvirtd.conf"), settings).expect("a file can be written");
        let loopback = self.inside("ip").args(["link", "set", "lo", "up"]).status();
        assert!(loopback.expect("iproute2 is installed").success());
        self.run(&["--listen"]);
        let namespace = fs::File::open(format!("/proc/{}/ns/net", self.first()));
        Proxy::into(namespace.expect("the namespaces are there"), TLS_PORT)
    }

    fn run(&self, more: &[&str]) {
        let _ = fs::remove_file(self.path("libvirt-sock-ro"));
        let mut command = self.inside("libvirtd");
        command
            .arg("--daemon")
            .arg("--config")
            .arg(self.path("libvirtd.conf"));
        command.arg("--pid-file").arg(self.path("pid")).args(more);
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        // The sockets exist when this returns.
        assert!(
            status.expect("nsenter comes with util-linux").success(),
            "libvirtd does not start:\n{}",
            fs::read_to_string(self.path("log")).unwrap_or_default()
        );
    }

    /// Returns the id of the first process in the namespaces.
    fn first(&self) -> String {
        let holder = self.holder.id();
        let children = fs::read_to_string(format!("/proc/{holder}/task/{holder}/children"));
        children.expect("the namespaces are there").trim().to_owned()
    }

    /// Returns a command that runs in the daemon's namespaces.
    fn inside(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args([
                "--target",
                &self.first(),
                "--mount",
                "--net",
                "--pid",
                "--",
                program,
            ])
            .stdin(Stdio::null());
        command
    }

    /// Returns a path in its folder, which contains `medium.iso` for drives.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns its read-only socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.path("libvirt-sock-ro")
    }

    /// Returns the URI of a socket.
    #[must_use]
    pub fn uri_of(socket: &Path) -> String {
        format!("qemu+unix:///system?socket={}", socket.display())
    }

    /// Returns the URI of its read-only socket.
    #[must_use]
    pub fn uri(&self) -> String {
        Self::uri_of(&self.socket())
    }

    /// Returns its process id outside of its namespaces.
    #[must_use]
    pub fn process(&self) -> u32 {
        let folder = self.folder.path().to_str().expect("the path is text");
        let processes = fs::read_dir("/proc").expect("there are processes");
        let mut numbers = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let is_daemon = |number: &u32| {
            let text = fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            text.starts_with("libvirtd") && text.contains(folder)
        };
        numbers.find(is_daemon).expect("the daemon runs")
    }

    /// Runs `virsh`, which must succeed, and returns its output.
    #[must_use]
    pub fn virsh_output(&self, arguments: &[&str]) -> String {
        let output = self
            .virsh_command()
            .args(arguments)
            .output()
            .expect("virsh can be run");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "virsh {arguments:?}: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        text
    }

    /// Runs `virsh`, which must succeed.
    pub fn virsh(&self, arguments: &[&str]) {
        let _ = self.virsh_output(arguments);
    }

    /// Starts a `virsh` that runs commands in order and continues after a failure.
    #[must_use]
    pub fn shell(&self, commands: &str) -> Child {
        let file = self.path("commands");
        fs::write(&file, commands).expect("a file can be written");
        self.virsh_command()
            .stdin(fs::File::open(file).expect("it was just written"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("virsh can be run")
    }

    fn virsh_command(&self) -> Command {
        let mut command = Command::new("virsh");
        command
            .args(["--quiet", "--connect"])
            .arg(Self::uri_of(&self.path("libvirt-sock")))
            .stdin(Stdio::null());
        command
    }

    /// Defines a domain.
    pub fn define(&self, guest: &Guest) {
        self.virsh(&["define", &self.write(guest)]);
    }

    /// Writes the disks and the definition of a domain; returns the path of the definition.
    fn write(&self, guest: &Guest) -> String {
        guest.write_disks(self.folder.path());
        let file = self.path(&format!("{}.xml", guest.name()));
        fs::write(&file, guest.definition(self.folder.path())).expect("a file can be written");
        file.display().to_string()
    }

    /// Defines and starts domains.
    pub fn start_guests(&self, guests: &[Guest]) {
        let mut commands = String::new();
        for guest in guests {
            commands += &format!("define {}\nstart {}\n", self.write(guest), guest.name());
        }
        let status = self.shell(&commands).wait().expect("virsh ends");
        assert!(status.success());
        let running = self.virsh_output(&["list", "--name"]);
        let is_running = |guest: &&Guest| running.contains(&guest.name());
        assert_eq!(guests.iter().filter(is_running).count(), guests.len());
    }

    /// Sends a signal to the process of a domain: `STOP`, `CONT`.
    pub fn signal_guest(&self, signal: &str, guest: &Guest) {
        self.signal(signal, &format!("/run/libvirt/qemu/{}.pid", guest.name()));
    }

    /// Sends a signal to the daemon.
    pub fn signal_daemon(&self, signal: &str) {
        self.signal(signal, self.path("pid").to_str().expect("the path is text"));
    }

    fn signal(&self, signal: &str, file: &str) {
        self.script("kill -$2 $(cat $1)", file, signal);
    }

    /// Kills the daemon with SIGKILL; its domains keep running.
    pub fn kill(&self) {
        self.script(KILL, self.path("pid").to_str().expect("the path is text"), "KILL");
    }

    fn script(&self, script: &str, file: &str, signal: &str) {
        let mut command = self.inside("sh");
        let status = command.args(["-c", script, "sh", file, signal]).status();
        assert!(status.expect("a shell is installed").success(), "{signal} {file}");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // The end of the first process of a namespace ends all others.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
