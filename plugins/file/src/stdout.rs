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
        "Prints samples on standard output, as lines for people or as JSON lines",
        |context| {
            let options: StdoutOptions = context.options()?;
            url::nothing_behind(context.url())?;
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
    /// How samples are printed; unless said, `text` on a terminal and `json` elsewhere.
    format: Option<Format>,
}

/// How samples are printed.
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
/// Output that was closed (`nephoscope | head`) never comes back: every further batch is refused, and the
/// notifier counts what is lost. After any other failure the batch is tried again.
struct Printer {
    out: io::Result<File>,
    format: Format,
    lines: Lines,
    /// A write failed half-way: the next one begins on a line of its own.
    torn: bool,
}

impl Printer {
    fn new(out: io::Result<OwnedFd>, format: Format) -> Self {
        Self {
            out: out.map(File::from),
            format,
            lines: Lines::default(),
            torn: false,
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
                    "standard output cannot be used: {error}"
                )));
            }
        };
        let result = if self.torn { print(out, b"\n") } else { Ok(()) };
        result.and_then(|()| print(out, bytes)).map_err(|error| {
            self.torn = true;
            match error.kind() {
                io::ErrorKind::BrokenPipe => PublishError::rejected("standard output was closed"),
                _ => PublishError::retry_because("cannot write to standard output", error),
            }
        })?;
        self.torn = false;
        Ok(())
    }
}

/// Writes all bytes, however slowly they are read; also where somebody who shares the descriptor has made
/// it non-blocking.
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
    fn a_format_that_does_not_exist_is_refused() {
        let error = publisher("stdout:", json!({ "format": "xml" })).err().unwrap();
        assert_eq!(
            error.to_string(),
            "option `format`: unknown variant `xml`, expected `json` or `text`"
        );
    }

    #[test]
    fn json_lines_are_printed_whole_through_a_pipe_that_does_not_block() {
        let (mut reader, writer) = pipe().unwrap();
        rustix::io::ioctl_fionbio(&writer, true).unwrap();
        let mut printer = Printer::new(Ok(writer.into()), Format::Json);
        // Several times what a pipe holds.
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
    fn closed_output_refuses_batches() {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let mut printer = Printer::new(Ok(writer.into()), Format::Text);
        for _ in 0..2 {
            let error = printer.write(&batch(1)).unwrap_err();
            assert!(matches!(error, PublishError::Rejected { .. }), "{error:?}");
            assert_eq!(error.to_string(), "standard output was closed");
        }
    }

    #[test]
    fn a_full_device_is_tried_again_on_a_line_of_its_own() {
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
