//! The publisher `tally:///PATH`: appends a line `ID METER=VALUE` per sample to a file. Its spool has its own encoding.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nephoscope_plugin::model::{
    Batch, DecodeError, Encoding, EncodingId, MessageId, Meter, MeterKind, Payload, Sample, Subject,
    Timestamp,
};
use nephoscope_plugin::{
    Accepted, OptionsError, OptionsSpec, PublishError, Publisher, PublisherPlugin, Registration, async_trait,
    register,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

register!(Registration::Publisher(
    PublisherPlugin::new(
        &["tally"],
        "Appends meters and their values to a file",
        |context| {
            let Options {} = context.options()?;
            let path = context.url().strip_prefix("tally://").map(Path::new);
            let path = path.filter(|path| path.is_absolute()).ok_or_else(|| {
                OptionsError::new("url", "an absolute path is expected: `tally:///srv/tally`")
            })?;
            Ok(Arc::new(Tally { path: path.into() }))
        }
    )
    .options(OptionsSpec::of::<Options>())
    .spool()
));

/// The options of `tally://`: none.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {}

struct Tally {
    path: PathBuf,
}

#[async_trait]
impl Publisher for Tally {
    async fn publish(&self, batch: Arc<Batch>) -> Result<Accepted, PublishError> {
        // A batch from the spool is decoded.
        let payload = batch
            .payload(&Records)
            .map_err(|error| PublishError::rejected(error.to_string()))?;
        let Payload::Samples(samples) = payload else {
            return Err(PublishError::rejected("only samples are tallied"));
        };
        let line = |sample: &Sample| format!("{} {}={}\n", sample.id, sample.meter.name, sample.volume);
        let lines: String = samples.iter().map(line).collect();
        let path = self.path.clone();
        let append = move || {
            OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)?
                .write_all(lines.as_bytes())
        };
        match tokio::task::spawn_blocking(append).await {
            Ok(Ok(())) => Ok(Accepted::all()),
            Ok(Err(error)) => Err(PublishError::retry_because("cannot append to the tally", error)),
            Err(error) => Err(PublishError::retry_because(
                "appending to the tally did not end",
                error,
            )),
        }
    }

    fn encoding(&self) -> Option<Arc<dyn Encoding>> {
        Some(Arc::new(Records))
    }
}

/// The encoding: a JSON array per sample, with the fields that a tally needs.
#[derive(Debug)]
struct Records;

#[derive(Serialize, Deserialize)]
struct Record(Id, Microseconds, ResourceId, Name, Number);

type Id = String;
type Microseconds = i64;
type ResourceId = String;
type Name = String;
/// Text, so that it is read unchanged.
type Number = String;

impl Encoding for Records {
    fn id(&self) -> EncodingId {
        EncodingId::new("tally", 1)
    }

    fn encode(&self, batch: &Batch) -> Vec<u8> {
        let records: Vec<_> = batch.samples().iter().map(Record::of).collect();
        serde_json::to_vec(&records).unwrap_or_default()
    }

    fn decode(&self, bytes: &[u8]) -> Result<Payload, DecodeError> {
        let malformed = |error: serde_json::Error| DecodeError::Malformed(error.to_string());
        let records: Vec<Record> = serde_json::from_slice(bytes).map_err(malformed)?;
        let samples: Result<Vec<_>, _> = records.into_iter().map(Record::sample).collect();
        Ok(Payload::Samples(samples?))
    }
}

impl Record {
    fn of(sample: &Sample) -> Self {
        Self(
            sample.id.to_string(),
            sample.timestamp.as_micros(),
            sample.subject.resource_id.to_string(),
            sample.meter.name.to_string(),
            sample.volume.to_string(),
        )
    }

    /// A tally needs no types and units: they are not stored.
    fn sample(self) -> Result<Sample, DecodeError> {
        let Self(id, time, resource, meter, number) = self;
        let number: f64 = number
            .parse()
            .map_err(|error| DecodeError::Malformed(format!("`{number}`: {error}")))?;
        Ok(Sample::new(
            Subject::new(resource).shared(),
            Arc::new(Meter::new(MeterKind::Gauge, meter, "", "")),
            number,
            Timestamp::from_micros(time),
            MessageId::upstream(id),
        ))
    }
}
