//! A libvirtd of the test's own: its folders, sockets and network; no service, gone with the test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nephoscope_plugin::testing::Kit;
use serde_json::json;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::domain::{Guest, MEDIUM};

/// How long the daemon may take to start: it asks QEMU for all that it can do.
const START: Duration = Duration::from_secs(120);

/// How often it is looked whether something that has to happen has happened.
const LOOK: Duration = Duration::from_millis(20);

/// What must be installed.
const PROGRAMS: [&str; 3] = [
    "/usr/sbin/libvirtd",
    "/usr/bin/virsh",
    "/usr/bin/qemu-system-x86_64",
];

/// Prepares namespaces of the daemon's own, for mounts, processes and the network: it takes its folders from where it was
/// installed to, and makes network devices; and whatever runs there ends with the test. The account that it wants to
/// know need not be there.
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
touch "$1/ready"
# The first process takes in those whose parent has gone: what nobody waits for would seem to run for ever.
sleep infinity &
wait
"#;

/// A libvirtd that runs, or was killed. It ends with this, and its domains too.
pub(crate) struct Daemon {
    folder: TempDir,
    /// Who has started the first process of the namespaces.
    holder: Child,
}

impl Daemon {
    /// Starts a daemon; nothing where there cannot be one, which is said.
    pub(crate) async fn start() -> Option<Self> {
        let missing = PROGRAMS.iter().any(|program| !Path::new(program).exists());
        if missing || !rustix::process::geteuid().is_root() {
            eprintln!(
                "no real libvirtd, which takes root and {PROGRAMS:?}: recorded answers are compared instead"
            );
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &[u8]| fs::write(folder.path().join(name), text).unwrap();
        let at = folder.path().display();
        let settings = format!(
            "unix_sock_dir = \"{at}\"\nauth_unix_ro = \"none\"\nauth_unix_rw = \"none\"\n\
             host_uuid = \"00000000-1111-4111-8111-000000000001\"\nlog_outputs = \"3:file:{at}/log\"\n"
        );
        write("libvirtd.conf", settings.as_bytes());
        write(
            "qemu.conf",
            b"user = \"root\"\ngroup = \"root\"\ndynamic_ownership = 0\nremember_owner = 0\n\
              security_driver = \"none\"\nsecurity_default_confined = 0\ncgroup_controllers = []\n\
              namespaces = []\nstdio_handler = \"file\"\n",
        );
        write("medium.iso", &MEDIUM);
        let holder = Command::new("setpriv")
            .args([
                "--pdeathsig",
                "KILL",
                "--",
                "unshare",
                "--mount",
                "--propagation",
                "private",
            ])
            .args(["--net", "--pid", "--fork", "--kill-child", "--mount-proc"])
            .args(["sh", "-c", SCRIPT, "sh"])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut daemon = Self { folder, holder };
        let ready = daemon.path("ready");
        until("the namespaces", START, || ready.exists()).await;
        daemon.restart().await;
        Some(daemon)
    }

    /// Starts the daemon again; domains of before go on.
    pub(crate) async fn restart(&mut self) {
        let socket = self.path("libvirt-sock-ro");
        let _ = fs::remove_file(&socket);
        let mut command = self.inside("libvirtd");
        command
            .arg("--daemon")
            .arg("--config")
            .arg(self.path("libvirtd.conf"));
        command.arg("--pid-file").arg(self.path("pid"));
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        let log = || fs::read_to_string(self.path("log")).unwrap_or_default();
        assert!(status.unwrap().success(), "libvirtd does not start:\n{}", log());
        until("the daemon's socket", START, || socket.exists()).await;
    }

    /// A program in the daemon's namespaces.
    fn inside(&self, program: &str) -> Command {
        let holder = self.holder.id();
        let children = format!("/proc/{holder}/task/{holder}/children");
        let first = fs::read_to_string(children).unwrap();
        let mut command = Command::new("nsenter");
        command
            .args([
                "--target",
                first.trim(),
                "--mount",
                "--net",
                "--pid",
                "--",
                program,
            ])
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where the plugin connects to.
    pub(crate) fn uri(&self) -> String {
        format!(
            "qemu+unix:///system?socket={}",
            self.path("libvirt-sock-ro").display()
        )
    }

    /// The plugins, as an agent would have them.
    pub(crate) fn kit(&self) -> Kit {
        Kit::new("libvirt")
            .host("cmp-a")
            .options(json!({ "uri": self.uri() }))
    }

    /// What `virsh` prints; it must succeed.
    pub(crate) fn virsh(&self, arguments: &[&str]) -> String {
        let (succeeded, text) = self.try_virsh(arguments);
        assert!(succeeded, "virsh {arguments:?}: {text}");
        text
    }

    /// What `virsh` prints, and whether it succeeded.
    pub(crate) fn try_virsh(&self, arguments: &[&str]) -> (bool, String) {
        let socket = self.path("libvirt-sock");
        let output = Command::new("virsh")
            .args(["--quiet", "--connect"])
            .arg(format!("qemu+unix:///system?socket={}", socket.display()))
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        match output.status.success() {
            true => (true, text),
            false => (false, text + &String::from_utf8_lossy(&output.stderr)),
        }
    }

    /// Defines a domain.
    pub(crate) fn define(&self, guest: &Guest) {
        let file = self.write(guest);
        self.virsh(&["define", &file]);
    }

    /// Writes what a domain is made of; its definition's file.
    fn write(&self, guest: &Guest) -> String {
        guest.write_disks(self.folder.path());
        let file = self.path(&format!("{}.xml", guest.name()));
        fs::write(&file, guest.definition(self.folder.path())).unwrap();
        file.display().to_string()
    }

    /// Defines and starts domains.
    pub(crate) fn start_guests(&self, guests: &[Guest]) {
        let mut commands = String::new();
        for guest in guests {
            commands += &format!("define {}\nstart {}\n", self.write(guest), guest.name());
        }
        let status = self.shell(&commands).wait().unwrap();
        assert!(status.success());
        let running = self.virsh(&["list", "--name"]);
        let is_running = |guest: &&Guest| running.contains(&guest.name());
        assert_eq!(guests.iter().filter(is_running).count(), guests.len());
    }

    /// A `virsh` that does one command after the other, also after one has failed.
    pub(crate) fn shell(&self, commands: &str) -> Child {
        let file = self.path("commands");
        fs::write(&file, commands).unwrap();
        let socket = self.path("libvirt-sock");
        Command::new("virsh")
            .args(["--quiet", "--connect"])
            .arg(format!("qemu+unix:///system?socket={}", socket.display()))
            .stdin(fs::File::open(file).unwrap())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Sends a signal to the process of a domain: `STOP`, `CONT`.
    pub(crate) fn signal_guest(&self, signal: &str, guest: &Guest) {
        self.signal(signal, &format!("/run/libvirt/qemu/{}.pid", guest.name()));
    }

    /// Sends a signal to the daemon.
    pub(crate) fn signal_daemon(&self, signal: &str) {
        self.signal(signal, self.path("pid").to_str().unwrap());
    }

    fn signal(&self, signal: &str, file: &str) {
        assert!(self.try_signal(signal, file), "{signal} {file}");
    }

    fn try_signal(&self, signal: &str, file: &str) -> bool {
        let script = "kill -$1 $(cat $2)";
        let mut command = self.inside("sh");
        command
            .args(["-c", script, "sh", signal, file])
            .stderr(Stdio::null());
        command.status().unwrap().success()
    }

    /// Kills the daemon, as `kill -9` does; domains go on.
    pub(crate) async fn kill(&mut self) {
        self.signal_daemon("KILL");
        let file = self.path("pid").display().to_string();
        until("the daemon's end", START, || !self.try_signal("0", &file)).await;
    }
}

/// Waits until something has happened.
pub(crate) async fn until(what: &str, patience: Duration, mut has_happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !has_happened() {
        assert!(Instant::now() < deadline, "waited for {what} in vain");
        sleep(LOOK).await;
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // With the first process of a namespace end all others.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
