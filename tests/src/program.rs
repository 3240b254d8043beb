//! A running program: its output, its API and its end.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};
use serde_json::Value;

use crate::deadline::{Deadline, PATIENCE};
use crate::http::{Answer, request};
use crate::launch::Finished;
use crate::sample::Sample;

pub use rustix::process::Signal;

/// Lines of the program that the test has not read. The program blocks when the queue is full.
const QUEUE: usize = 1 << 16;

/// A running program. Dropping it kills the program.
#[derive(Debug)]
pub struct Program {
    child: Child,
    /// Refers to the process even after its id was reused.
    handle: OwnedFd,
    admin: PathBuf,
    events: Receiver<Event>,
    open: usize,
    /// Lines of standard output, or of the terminal.
    out: Lines,
    /// Lines of standard error.
    log: Lines,
}

#[derive(Debug)]
enum Event {
    Out(String),
    Log(String),
    Closed,
}

/// Lines, and the position of the test.
#[derive(Debug, Default)]
struct Lines {
    all: Vec<String>,
    next: usize,
}

impl Lines {
    /// Returns the first unread line for which `wanted` returns a value.
    fn find<T>(&mut self, mut wanted: impl FnMut(&str) -> Option<T>) -> Option<T> {
        while let Some(line) = self.all.get(self.next) {
            self.next += 1;
            if let Some(found) = wanted(line) {
                return Some(found);
            }
        }
        None
    }

    fn text(&self) -> String {
        self.all
            .iter()
            .fold(String::new(), |text, line| text + line + "\n")
    }
}

impl Program {
    pub(crate) fn new(mut child: Child, terminal: Option<File>, admin: PathBuf) -> Self {
        let pid = Pid::from_child(&child);
        let handle = pidfd_open(pid, PidfdFlags::empty()).expect("a child has a handle");
        let (sender, events) = sync_channel(QUEUE);
        let mut open = 0;
        if let Some(terminal) = terminal {
            open += 1;
            read(terminal, Event::Out, sender.clone());
        }
        if let Some(stdout) = child.stdout.take() {
            open += 1;
            read(stdout, Event::Out, sender.clone());
        }
        if let Some(stderr) = child.stderr.take() {
            open += 1;
            read(stderr, Event::Log, sender);
        }
        Self {
            child,
            handle,
            admin,
            events,
            open,
            out: Lines::default(),
            log: Lines::default(),
        }
    }

    /// Returns the process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the next line on standard error that contains `text`.
    pub fn log(&mut self, text: &str) -> String {
        let wanted = |line: &str| line.contains(text).then(|| line.to_owned());
        self.until(&format!("`{text}` on standard error"), |program| {
            program.log.find(wanted)
        })
    }

    /// Waits for the next line on standard output that contains `text`.
    pub fn line(&mut self, text: &str) -> String {
        let wanted = |line: &str| line.contains(text).then(|| line.to_owned());
        self.until(&format!("`{text}` on standard output"), |program| {
            program.out.find(wanted)
        })
    }

    /// Waits for the next matching sample on standard output.
    pub fn sample(&mut self, what: &str, wanted: impl Fn(&Sample) -> bool) -> Sample {
        let wanted = |line: &str| Sample::parse(line).filter(&wanted);
        self.until(&format!("a sample: {what}"), |program| program.out.find(wanted))
    }

    /// Waits for the end of this many further cycles.
    pub fn cycles(&mut self, count: usize) {
        for _ in 0..count {
            self.log("cycle ended");
        }
    }

    /// Waits until `found` returns a value. It is called now and after each line of the program: at level debug the program
    /// writes a line at the end of each cycle.
    pub fn until<T>(&mut self, what: &str, mut found: impl FnMut(&mut Self) -> Option<T>) -> T {
        let deadline = Deadline::start();
        loop {
            if let Some(found) = found(self) {
                return found;
            }
            if !self.next_event(deadline) {
                let ended = if self.open == 0 {
                    "the program closed its output"
                } else {
                    "time is up"
                };
                panic!("waited for {what}, and {ended}\n{}", self.output());
            }
        }
    }

    /// Lets the program run for this long, for tests that end it at a chosen time.
    pub fn let_run(&mut self, time: Duration) {
        let deadline = Deadline::after(time);
        while self.next_event(deadline) {}
    }

    /// Reads the next event. Returns false at the end of the output or at the deadline.
    fn next_event(&mut self, deadline: Deadline) -> bool {
        if self.open == 0 {
            return false;
        }
        match self.events.recv_timeout(deadline.left()) {
            Ok(Event::Out(line)) => self.out.all.push(line),
            Ok(Event::Log(line)) => self.log.all.push(line),
            Ok(Event::Closed) => self.open -= 1,
            Err(RecvTimeoutError::Timeout) => return false,
            Err(RecvTimeoutError::Disconnected) => self.open = 0,
        }
        true
    }

    /// Returns all standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.out.text()
    }

    /// Returns all standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.log.text()
    }

    fn output(&self) -> String {
        format!(
            "--- standard output:\n{}--- standard error:\n{}",
            self.out.text(),
            self.log.text()
        )
    }

    /// Sends a request to the admin API on the unix socket.
    #[must_use]
    pub fn get(&self, target: &str) -> Answer {
        let stream = UnixStream::connect(&self.admin).unwrap_or_else(|error| {
            panic!(
                "no admin API at {}: {error}\n{}",
                self.admin.display(),
                self.output()
            )
        });
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a socket has a timeout");
        request(
            stream,
            &format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
        )
    }

    /// Returns the admin API's response with status 200 as JSON.
    #[must_use]
    pub fn json(&self, target: &str) -> Value {
        let answer = self.get(target);
        assert_eq!(answer.status, 200, "{target}: {}", answer.body);
        answer.json()
    }

    /// Returns the path of the admin socket.
    #[must_use]
    pub fn admin(&self) -> &Path {
        &self.admin
    }

    /// Waits until the admin API reports the agent as ready.
    pub fn ready(&mut self) {
        self.log("started");
        let admin = self.admin.clone();
        self.until("the admin socket", |_| admin.exists().then_some(()));
        self.until("an agent that is ready", |program| {
            (program.get("/readyz").status == 200).then_some(())
        });
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        pidfd_send_signal(&self.handle, signal).expect("a signal can be sent to a child");
    }

    /// Returns the program's peak memory in bytes.
    #[must_use]
    pub fn peak_memory(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("the program runs");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .expect("the kernel reports the peak");
        let kilobytes: u64 = line
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .expect("the peak is a number");
        kilobytes * 1024
    }

    /// Returns the number of open file descriptors.
    #[must_use]
    pub fn open_files(&self) -> usize {
        self.entries("fd")
    }

    /// Returns the number of threads.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.entries("task")
    }

    fn entries(&self, folder: &str) -> usize {
        std::fs::read_dir(format!("/proc/{}/{folder}", self.id()))
            .expect("the program runs")
            .count()
    }

    /// Returns whether the program is running.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !self.has_ended(Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        })
    }

    fn has_ended(&self, timeout: Timespec) -> bool {
        let mut handle = [PollFd::new(&self.handle, PollFlags::IN)];
        poll(&mut handle, Some(&timeout)).expect("a handle can be polled") > 0
    }

    /// Waits until the program ends.
    #[must_use]
    pub fn finish(mut self) -> Finished {
        let deadline = Deadline::start();
        while self.next_event(deadline) {}
        let timeout = Timespec::try_from(deadline.left()).expect("a minute is a time");
        assert!(
            self.has_ended(timeout),
            "the program does not end\n{}",
            self.output()
        );
        let status = self.child.wait().expect("a child can be waited for");
        Finished {
            status,
            stdout: self.out.text(),
            stderr: self.log.text(),
        }
    }

    /// Sends SIGTERM and waits until the program ends.
    #[must_use]
    pub fn stop(self) -> Finished {
        self.signal(Signal::TERM);
        self.finish()
    }

    /// Kills the program with SIGKILL.
    #[must_use]
    pub fn kill(self) -> Finished {
        self.signal(Signal::KILL);
        self.finish()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads lines on a separate thread, until the stream ends or the receiver is dropped.
fn read(stream: impl Read + Send + 'static, event: fn(String) -> Event, sender: SyncSender<Event>) {
    let mut stream = BufReader::new(stream);
    let lines = move || {
        let mut line = Vec::new();
        // The stream of a terminal ends with an error.
        while let Ok(1..) = stream.read_until(b'\n', &mut line) {
            let text = String::from_utf8_lossy(&line);
            let text = text.strip_suffix('\n').unwrap_or(&text);
            let text = text.strip_suffix('\r').unwrap_or(text).to_owned();
            if sender.send(event(text)).is_err() {
                return;
            }
            line.clear();
        }
        let _ = sender.send(Event::Closed);
    };
    thread::Builder::new()
        .name("reader".to_owned())
        .spawn(lines)
        .expect("a thread can be spawned");
}
