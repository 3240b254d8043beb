//! The publisher that prints samples.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use async_trait::async_trait;
use nephoscope_model::{Batch, JsonLines};
use nephoscope_plugin::{
    Accepted, OptionsSpec, PublishError, Publisher, PublisherPlugin, Registration, register,
};
use rustix::event::{PollFd, PollFlags, poll};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::text::Lines;
use crate::url;
use crate::writer::{Target, Writer};

register!(Registration::Publisher(
    PublisherPlugin::new(
        &["stdout"],
        "Prints samples on standard output, as readable lines or as JSON lines",
        |context| {
            let options: StdoutOptions = context.options()?;
            url::scheme_only(context.url())?;
            let format = options.format.unwrap_or_else(|| {
                if io::stdout().is_terminal() {
                    Format::Text
                } else {
                    Format::Json
                }
            });
            let make = move || Printer::new(io::stdout().as_fd().try_clone_to_owned(), format);
            Ok(Arc::new(StdoutPublisher(Writer::new(context.name(), make))))
        }
    )
    .options(OptionsSpec::of::<StdoutOptions>())
));

/// Options of `stdout:`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct StdoutOptions {
    /// The format of the output. Default: `text` on a terminal, otherwise `json`.
    format: Option<Format>,
}

/// The format of the output.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    /// JSON lines in ceilometer's message form.
    Json,
    /// Aligned lines: time, meter, resource id, value, unit.
    Text,
}

struct StdoutPublisher(Writer<Printer>);

#[async_trait]
impl Publisher for StdoutPublisher {
    async fn publish(&self, batch: Arc<Batch>) -> Result<Accepted, PublishError> {
        self.0.write(batch).await?;
        Ok(Accepted::all())
    }

    async fn close(&self) {
        self.0.close();
    }
}

/// Prints batches on a descriptor.
///
/// Closed output (`nephoscope | head`) cannot be reopened: every further batch is rejected, and the notifier counts the lost
/// samples. After any other failure the batch is retried.
struct Printer {
    out: io::Result<File>,
    format: Format,
    lines: Lines,
    /// Whether a write failed in the middle: the next one starts with a line break.
    incomplete: bool,
}

impl Printer {
    fn new(out: io::Result<OwnedFd>, format: Format) -> Self {
        Self {
            out: out.map(File::from),
            format,
            lines: Lines::default(),
            incomplete: false,
        }
    }
}

impl Target for Printer {
    fn write(&mut self, batch: &Batch) -> Result<(), PublishError> {
        let text;
        let bytes = match self.format {
            Format::Json => batch.encoded(&JsonLines)?,
            Format::Text => {
                text = self.lines.of(batch);
                text.as_bytes()
            }
        };
        let out = match &mut self.out {
            Ok(out) => out,
            Err(error) => {
                return Err(PublishError::rejected(format!(
                    "cannot use standard output: {error}"
                )));
            }
        };
        let result = if self.incomplete {
            print(out, b"\n")
        } else {
            Ok(())
        };
        result.and_then(|()| print(out, bytes)).map_err(|error| {
            self.incomplete = true;
            match error.kind() {
                io::ErrorKind::BrokenPipe => PublishError::rejected("standard output is closed"),
                _ => PublishError::retry_because("cannot write to standard output", error),
            }
        })?;
        self.incomplete = false;
        Ok(())
    }
}

/// Writes all bytes, however slowly they are read, even if another process has made the shared descriptor non-blocking.
fn print(out: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut ready = [PollFd::new(out, PollFlags::OUT)];
                match poll(&mut ready, None) {
                    Ok(_) | Err(rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nephoscope_plugin::testing::{batch, publisher, publisher_conformance};
    use serde_json::json;
    use std::io::{Read, pipe};

    #[tokio::test]
    async fn the_publishers_conform() {
        publisher_conformance("stdout:", json!({ "format": "json" })).await;
        publisher_conformance("stdout:", json!({ "format": "text" })).await;
        publisher_conformance("discard:", json!(null)).await;
    }

    #[test]
    fn an_unknown_format_is_rejected() {
        let error = publisher("stdout:", json!({ "format": "xml" })).err().unwrap();
        assert_eq!(
            error.to_string(),
            "option `format`: unknown variant `xml`, expected `json` or `text`"
        );
    }

    #[test]
    fn json_lines_are_printed_completely_through_a_non_blocking_pipe() {
        let (mut reader, writer) = pipe().unwrap();
        rustix::io::ioctl_fionbio(&writer, true).unwrap();
        let mut printer = Printer::new(Ok(writer.into()), Format::Json);
        // Several times the capacity of a pipe.
        let big = batch(2000);
        let reading = std::thread::spawn(move || {
            let mut text = Vec::new();
            reader.read_to_end(&mut text).map(|_| text)
        });
        printer.write(&big).unwrap();
        drop(printer);
        assert!(reading.join().unwrap().unwrap() == big.encoded(&JsonLines).unwrap());
    }

    #[test]
    fn closed_output_rejects_batches() {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let mut printer = Printer::new(Ok(writer.into()), Format::Text);
        for _ in 0..2 {
            let error = printer.write(&batch(1)).unwrap_err();
            assert!(matches!(error, PublishError::Rejected { .. }), "{error:?}");
            assert_eq!(error.to_string(), "standard output is closed");
        }
    }

    #[test]
    fn a_full_device_is_retried_on_a_new_line() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut printer = Printer::new(Ok(full.into()), Format::Json);
        let error = printer.write(&batch(1)).unwrap_err();
        assert!(matches!(error, PublishError::Retry { .. }), "{error:?}");
        let (mut reader, writer) = pipe().unwrap();
        printer.out = Ok(File::from(OwnedFd::from(writer)));
        printer.write(&batch(1)).unwrap();
        printer.write(&batch(1)).unwrap();
        drop(printer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        let line = String::from_utf8(batch(1).encoded(&JsonLines).unwrap().to_vec()).unwrap();
        assert_eq!(text, format!("\n{line}{line}"));
    }
}
