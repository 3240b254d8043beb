//! The publisher that appends JSON lines to a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use nephoscope_model::{Batch, Encoding, JsonLines, PayloadKind};
use nephoscope_plugin::{
    Accepted, OptionsSpec, PublishError, Publisher, PublisherPlugin, Registration, register,
};
use rustix::fs::OFlags;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::url;
use crate::writer::{Target, Writer};

register!(Registration::Publisher(
    PublisherPlugin::new(
        &["file"],
        "Appends samples to a file as JSON lines in ceilometer's message form",
        |context| {
            let options: FileOptions = context.options()?;
            let path = url::file_path(context.url())?;
            let make = move || Appender::new(path.clone(), options.fsync);
            Ok(Arc::new(FilePublisher(Writer::new(context.name(), make))))
        }
    )
    .options(OptionsSpec::of::<FileOptions>())
));

/// Options of `file://`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct FileOptions {
    /// Syncs the file (fdatasync) before a batch counts as delivered, so that a power failure loses no delivered batch. Without
    /// it, data in the kernel's cache is lost.
    fsync: bool,
}

struct FilePublisher(Writer<Appender>);

#[async_trait]
impl Publisher for FilePublisher {
    async fn publish(&self, batch: Arc<Batch>) -> Result<Accepted, PublishError> {
        self.0.write(batch).await?;
        Ok(Accepted::all())
    }

    fn encoding(&self) -> Option<Arc<dyn Encoding>> {
        Some(Arc::new(JsonLines))
    }

    fn accepts(&self, kind: PayloadKind) -> bool {
        JsonLines.accepts(kind)
    }

    async fn close(&self) {
        self.0.close();
    }
}

/// Appends batches to the file at a path.
///
/// - The file is opened with the first batch, created with mode 0600, and not opened if the last component of the path is a
///   symbolic link.
/// - Before each batch the path is checked: after the file was moved or removed (log rotation), the path is opened again.
/// - A batch is one write. When it fails in the middle (a full disk), the file is truncated to its previous length, so that
///   readers see complete lines and the batch can be retried.
/// - When the file ends with an incomplete line of another writer, a line break is written first.
pub(crate) struct Appender {
    path: PathBuf,
    fsync: bool,
    open: Option<Open>,
}

struct Open {
    file: File,
    /// Device and inode.
    identity: (u64, u64),
    /// Whether the last line may be incomplete.
    incomplete: bool,
}

impl Appender {
    pub(crate) fn new(path: PathBuf, fsync: bool) -> Self {
        Self {
            path,
            fsync,
            open: None,
        }
    }

    fn failure(&self, what: &str, error: io::Error) -> PublishError {
        PublishError::retry_because(format!("cannot {what} {}", self.path.display()), error)
    }

    /// Returns the file at the path, and opens it if necessary.
    fn current(&mut self) -> Result<&mut Open, PublishError> {
        let at_path = std::fs::symlink_metadata(&self.path)
            .ok()
            .map(|found| identity(&found));
        let same = self.open.take().filter(|open| Some(open.identity) == at_path);
        let open = match same {
            Some(open) => open,
            None => self.open_path().map_err(|error| self.failure("open", error))?,
        };
        Ok(self.open.insert(open))
    }

    fn open_path(&self) -> io::Result<Open> {
        // Without NONBLOCK, opening a named pipe would wait for its reader.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(flags.bits().cast_signed())
            .open(&self.path)
            .map_err(|error| {
                if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) {
                    return io::Error::other("it is a symbolic link, which is not followed");
                }
                error
            })?;
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let mut last = [b'\n'];
        if found.len() > 0 {
            file.seek(SeekFrom::End(-1))?;
            // If the last byte cannot be read, the file gets an empty line.
            if file.read(&mut last)? == 0 {
                last = [0];
            }
        }
        Ok(Open {
            identity: identity(&found),
            incomplete: last != [b'\n'],
            file,
        })
    }
}

impl Target for Appender {
    fn write(&mut self, batch: &Batch) -> Result<(), PublishError> {
        let lines = batch.encoded(&JsonLines)?;
        if lines.is_empty() {
            return Ok(());
        }
        let fsync = self.fsync;
        let result = self.current()?.append(lines, fsync);
        result.map_err(|error| self.failure("write to", error))
    }
}

impl Open {
    fn append(&mut self, lines: &[u8], fsync: bool) -> io::Result<()> {
        if self.incomplete {
            self.file.write_all(b"\n")?;
            self.incomplete = false;
        }
        let start = self.file.metadata()?.len();
        let mut written = 0;
        let result = loop {
            let Some(rest) = lines.get(written..).filter(|rest| !rest.is_empty()) else {
                break Ok(());
            };
            match self.file.write(rest) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        if let Err(error) = result {
            self.undo(start, written);
            return Err(error);
        }
        if fsync { self.file.sync_data() } else { Ok(()) }
    }

    /// Removes the `written` bytes that a failed batch left after `start`, unless another process has written to the file since.
    fn undo(&mut self, start: u64, written: usize) {
        let end = start.checked_add(written as u64);
        let is_ours = self.file.metadata().is_ok_and(|found| Some(found.len()) == end);
        self.incomplete = written > 0 && !(is_ours && self.file.set_len(start).is_ok());
    }
}

fn identity(found: &std::fs::Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nephoscope_model::{Event, MessageId, Timestamp, TraitValue};
    use nephoscope_plugin::testing::{batch, publisher, publisher_conformance};
    use serde_json::json;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    fn appender(path: &Path) -> Appender {
        Appender::new(path.to_owned(), true)
    }

    fn text(samples: usize) -> String {
        String::from_utf8(batch(samples).encoded(&JsonLines).unwrap().to_vec()).unwrap()
    }

    fn chain(error: PublishError) -> String {
        assert!(matches!(error, PublishError::Retry { .. }), "{error:?}");
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        format!("{error}: {}", cause.unwrap_or_default())
    }

    #[tokio::test]
    async fn the_publisher_conforms() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("file://{}/samples.json", folder.path().display());
        publisher_conformance(&url, json!(null)).await;
        publisher_conformance(&url, json!({ "fsync": true })).await;
    }

    #[tokio::test]
    async fn lines_are_appended_to_a_private_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("samples.json");
        let publisher = publisher(&format!("file://{}", path.display()), json!({})).unwrap();
        assert!(!path.exists(), "nothing is opened before the first batch");
        assert_eq!(publisher.publish(batch(2)).await.unwrap(), Accepted::all());
        assert_eq!(publisher.publish(batch(1)).await.unwrap(), Accepted::all());
        publisher.close().await;
        assert_eq!(fs::read_to_string(&path).unwrap(), text(2) + &text(1));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn events_are_written_as_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.json");
        let publisher = publisher(&format!("file://{}", path.display()), json!({})).unwrap();
        assert!(publisher.accepts(PayloadKind::Events) && publisher.accepts(PayloadKind::Samples));
        let event = |name: &str| {
            Event::new(MessageId::upstream(name), name, Timestamp::from_millis(0))
                .with("memory_mb", TraitValue::Int(512))
        };
        let batch = Batch::of_events(vec![event("a"), event("b")], "openstack".into());
        assert_eq!(publisher.publish(Arc::new(batch)).await.unwrap(), Accepted::all());
        publisher.close().await;
        let lines = fs::read_to_string(&path).unwrap();
        let types: Vec<_> = lines
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["event_type"].clone())
            .collect();
        assert_eq!(types, ["a", "b"]);
    }

    #[test]
    fn a_moved_file_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("samples.json");
        let moved = folder.path().join("samples.json.1");
        let mut appender = appender(&path);
        appender.write(&batch(1)).unwrap();
        fs::rename(&path, &moved).unwrap();
        appender.write(&batch(2)).unwrap();
        fs::remove_file(&path).unwrap();
        appender.write(&batch(3)).unwrap();
        assert_eq!(fs::read_to_string(&moved).unwrap(), text(1));
        assert_eq!(fs::read_to_string(&path).unwrap(), text(3));
        // Truncated in place (`copytruncate`): the next batch begins at the start.
        File::create(&path).unwrap();
        appender.write(&batch(1)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text(1));
    }

    #[test]
    fn symbolic_links_and_special_files_are_rejected() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        fs::write(&target, "").unwrap();
        let link = folder.path().join("link");
        symlink(&target, &link).unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
        let mut errors = String::new();
        for path in [&link, &pipe, folder.path(), &folder.path().join("no/such/folder")] as [&Path; 4] {
            let error = chain(appender(path).write(&batch(1)).unwrap_err());
            errors.push_str(&error.replace(folder.path().to_str().unwrap(), "DIR"));
            errors.push('\n');
        }
        insta::assert_snapshot!(errors, @r"
        cannot open DIR/link: it is a symbolic link, which is not followed
        cannot open DIR/pipe: it is not a regular file
        cannot open DIR: Is a directory (os error 21)
        cannot open DIR/no/such/folder: No such file or directory (os error 2)
        ");
        assert_eq!(fs::read_to_string(&target).unwrap(), "");
    }

    #[test]
    fn an_incomplete_line_is_ended_before_the_next_batch() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("samples.json");
        fs::write(&path, "{\"half").unwrap();
        appender(&path).write(&batch(1)).unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            format!("{{\"half\n{}", text(1))
        );
    }

    #[test]
    fn a_batch_that_fails_in_the_middle_leaves_complete_lines() {
        // `/dev/full` is not a regular file; instead the test writes to the open file after the batch.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("samples.json");
        let mut appender = appender(&path);
        appender.write(&batch(1)).unwrap();
        let whole = fs::read_to_string(&path).unwrap();
        let open = appender.open.as_mut().unwrap();
        open.file.write_all(b"{\"half").unwrap();
        open.undo(whole.len() as u64, 6);
        assert_eq!(
            (fs::read_to_string(&path).unwrap(), open.incomplete),
            (whole.clone(), false)
        );
        // Another process has written since: nothing is truncated.
        open.file.write_all(b"{\"halftheirs\n").unwrap();
        open.undo(whole.len() as u64, 6);
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            format!("{whole}{{\"halftheirs\n")
        );
        assert!(open.incomplete);
    }

    #[test]
    fn a_batch_on_a_full_disk_is_written_when_there_is_room_again() {
        // A limit on file sizes simulates the full disk: the kernel writes what fits and rejects the rest. The limit applies to
        // the process, so the test runs itself in a child process.
        const CHILD: &str = "NEPHOSCOPE_TEST_FULL_DISK";
        if let Some(path) = std::env::var_os(CHILD) {
            return full_disk(Path::new(&path));
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("samples.json");
        let name = "file::tests::a_batch_on_a_full_disk_is_written_when_there_is_room_again";
        // The kernel sends SIGXFSZ at the limit, which ends the process unless it is ignored.
        let child = std::process::Command::new("sh")
            .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, &path)
            .output()
            .unwrap();
        assert!(
            child.status.success(),
            "{}",
            String::from_utf8_lossy(&child.stderr)
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), text(1) + &text(5));
    }

    fn full_disk(path: &Path) {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let mut appender = appender(path);
        appender.write(&batch(1)).unwrap();
        let before = getrlimit(Resource::Fsize);
        let room = text(1).len() as u64 + 700;
        setrlimit(
            Resource::Fsize,
            Rlimit {
                current: Some(room),
                ..before
            },
        )
        .unwrap();
        let error = chain(appender.write(&batch(5)).unwrap_err());
        assert!(error.contains("File too large"), "{error}");
        assert_eq!(fs::read_to_string(path).unwrap(), text(1));
        setrlimit(Resource::Fsize, before).unwrap();
        appender.write(&batch(5)).unwrap();
    }
}
