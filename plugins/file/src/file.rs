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
    /// Whether a batch counts as delivered only when the disk has it (fdatasync): a power failure then
    /// loses none. Without it, what the kernel had not written yet is lost.
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

    fn takes(&self, kind: PayloadKind) -> bool {
        JsonLines.takes(kind)
    }

    async fn close(&self) {
        self.0.close();
    }
}

/// Appends whole batches to the file at a path, whichever file that is at the time.
///
/// - The file is opened with the first batch, created with mode 0600, and never through a symbolic
///   link as its last component.
/// - Before each batch the path is looked at: when the file was moved away or removed (log rotation), the
///   path is opened anew.
/// - A batch is one write. When it fails half-way (a full disk), the file is cut back to where the batch
///   began, so that readers see whole lines and the batch can be tried again.
/// - When the file does not end with a line break (somebody's torn line), one is put first.
pub(crate) struct Appender {
    path: PathBuf,
    fsync: bool,
    open: Option<Open>,
}

struct Open {
    file: File,
    /// Device and inode.
    identity: (u64, u64),
    /// Whether the last line may be torn.
    torn: bool,
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

    /// The file that stands at the path now.
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
            // A reader that cannot see the last byte only costs an empty line.
            if file.read(&mut last)? == 0 {
                last = [0];
            }
        }
        Ok(Open {
            identity: identity(&found),
            torn: last != [b'\n'],
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
        if self.torn {
            self.file.write_all(b"\n")?;
            self.torn = false;
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
            self.take_back(start, written);
            return Err(error);
        }
        if fsync { self.file.sync_data() } else { Ok(()) }
    }

    /// Removes the `written` bytes that a failed batch left behind `start`, unless somebody else has
    /// written to the file since.
    fn take_back(&mut self, start: u64, written: usize) {
        let end = start.checked_add(written as u64);
        let is_ours = self.file.metadata().is_ok_and(|found| Some(found.len()) == end);
        self.torn = written > 0 && !(is_ours && self.file.set_len(start).is_ok());
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
    async fn events_are_lines_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.json");
        let publisher = publisher(&format!("file://{}", path.display()), json!({})).unwrap();
        assert!(publisher.takes(PayloadKind::Events) && publisher.takes(PayloadKind::Samples));
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
    fn a_file_that_was_moved_away_is_opened_anew() {
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
        // Cut off in place (`copytruncate`): the next batch stands at the start.
        File::create(&path).unwrap();
        appender.write(&batch(1)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text(1));
    }

    #[test]
    fn links_and_things_that_are_no_files_are_not_written_to() {
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
    fn a_torn_line_is_ended_before_the_next_batch() {
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
    fn a_batch_that_fails_half_way_leaves_whole_lines() {
        // `/dev/full` cannot stand for a file here; a file opened by another hand can be written to
        // behind the batch.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("samples.json");
        let mut appender = appender(&path);
        appender.write(&batch(1)).unwrap();
        let whole = fs::read_to_string(&path).unwrap();
        let open = appender.open.as_mut().unwrap();
        open.file.write_all(b"{\"half").unwrap();
        open.take_back(whole.len() as u64, 6);
        assert_eq!(
            (fs::read_to_string(&path).unwrap(), open.torn),
            (whole.clone(), false)
        );
        // Somebody else has written since: nothing of theirs is cut off.
        open.file.write_all(b"{\"halftheirs\n").unwrap();
        open.take_back(whole.len() as u64, 6);
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            format!("{whole}{{\"halftheirs\n")
        );
        assert!(open.torn);
    }

    #[test]
    fn a_full_disk_takes_the_batch_when_there_is_room_again() {
        // A limit on file sizes is the full disk that a test may have: the kernel writes what fits and
        // refuses the rest. The limit is the process's, so the test runs itself once more.
        const CHILD: &str = "NEPHOSCOPE_TEST_FULL_DISK";
        if let Some(path) = std::env::var_os(CHILD) {
            return full_disk(Path::new(&path));
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("samples.json");
        let name = "file::tests::a_full_disk_takes_the_batch_when_there_is_room_again";
        // The kernel sends SIGXFSZ at the limit, which would end the process unless it is ignored.
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
