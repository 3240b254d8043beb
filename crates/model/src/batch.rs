//! Batches of samples or events, and their encodings.

use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::encoded::EncodedForms;
use crate::{
    DecodeError, EncodingId, Event, Payload, PayloadKind, ReportedResource, Run, Sample, Signer, Timestamp,
    WrongEncoding,
};

/// Encodes batches as bytes, and decodes bytes from a spool.
///
/// A publisher declares the encoding that its spool stores. Publishers whose encodings have the same id and the same
/// parameters share the bytes of a batch, which is encoded once for all of them.
///
/// ```
/// use nephoscope_model::{Batch, Encoding, EncodingId};
///
/// /// The names of the meters, one per line.
/// #[derive(Debug)]
/// struct Names;
///
/// impl Encoding for Names {
///     fn id(&self) -> EncodingId {
///         EncodingId::new("names", 1)
///     }
///
///     fn encode(&self, batch: &Batch) -> Vec<u8> {
///         let names = batch.samples().iter().map(|sample| format!("{}\n", sample.meter.name));
///         names.collect::<String>().into_bytes()
///     }
/// }
///
/// let batch = Batch::new(Vec::new(), "openstack".into());
/// assert_eq!(batch.encoded(&Names)?, b"");
/// # Ok::<(), nephoscope_model::WrongEncoding>(())
/// ```
pub trait Encoding: fmt::Debug + Send + Sync + 'static {
    /// Its name and version.
    fn id(&self) -> EncodingId;

    /// Distinguishes encodings with the same id whose options produce different bytes. It is not stored, since the bytes of all
    /// of them are read equally.
    fn parameters(&self) -> &str {
        ""
    }

    /// Whether it encodes batches of this kind. Default: only samples.
    fn accepts(&self, kind: PayloadKind) -> bool {
        kind == PayloadKind::Samples
    }

    /// Encodes the payload of `batch`. Only called with batches that have their payload, of an accepted kind.
    fn encode(&self, batch: &Batch) -> Vec<u8>;

    /// Decodes bytes of [`Encoding::encode`], for publishers that need the samples after a spool stored them.
    ///
    /// # Errors
    ///
    /// [`DecodeError::NotSupported`] by default, or an error if `encode` did not produce the bytes.
    fn decode(&self, bytes: &[u8]) -> Result<Payload, DecodeError> {
        let _ = bytes;
        Err(DecodeError::NotSupported)
    }
}

/// Samples or events that are submitted to publishers together.
///
/// Publishers share a batch by reference. Each encoding is applied once, by the first publisher that uses it, and its bytes do
/// not change on later sends.
///
/// ```
/// use nephoscope_model::{Batch, OsloNotification, Signer};
///
/// let signer = Signer::new("secret").map(std::sync::Arc::new);
/// let batch = Batch::new(Vec::new(), "openstack".into()).signed_by(signer);
/// assert!(batch.encoded(&OsloNotification)?.starts_with(br#"{"oslo.version": "2.0""#));
/// # Ok::<(), nephoscope_model::WrongEncoding>(())
/// ```
#[derive(Debug)]
pub struct Batch {
    content: Content,
    source: Arc<str>,
    signer: Option<Arc<Signer>>,
    made_at: Option<Timestamp>,
    run: Option<Arc<Run>>,
    /// The sources of its samples, if they are not all sources of the run.
    sources: Option<Arc<[Arc<str>]>>,
    resources: Vec<ReportedResource>,
    encoded: EncodedForms,
}

/// The content of a batch.
#[derive(Debug)]
enum Content {
    Live(Payload),
    /// Read from a spool.
    Stored(Stored),
}

/// A batch from a spool.
#[derive(Debug)]
struct Stored {
    encoding: EncodingId,
    bytes: Vec<u8>,
    kind: PayloadKind,
    /// The number of samples or events.
    count: usize,
    /// The payload, decoded on first use.
    decoded: OnceLock<Result<Payload, DecodeError>>,
}

impl Batch {
    /// Creates an unsigned batch of samples. `source` is their `source` unless their subject has its own.
    pub fn new(samples: Vec<Sample>, source: Arc<str>) -> Self {
        Self::of(Content::Live(Payload::Samples(samples)), source)
    }

    /// Creates a batch of events.
    pub fn of_events(events: Vec<Event>, source: Arc<str>) -> Self {
        Self::of(Content::Live(Payload::Events(events)), source)
    }

    /// Creates a batch from a spool: `bytes` is the result of [`Batch::encoded`] with the encoding `encoding`, and `count` the
    /// number of samples or events.
    pub fn stored(encoding: EncodingId, bytes: Vec<u8>, kind: PayloadKind, count: usize) -> Self {
        let stored = Stored {
            encoding,
            bytes,
            kind,
            count,
            decoded: OnceLock::new(),
        };
        Self::of(Content::Stored(stored), Arc::from(""))
    }

    fn of(content: Content, source: Arc<str>) -> Self {
        Self {
            content,
            source,
            signer: None,
            made_at: None,
            run: None,
            sources: None,
            resources: Vec::new(),
            encoded: EncodedForms::default(),
        }
    }

    /// Signs the samples in every encoding. Must precede the first encoding.
    #[must_use]
    pub fn signed_by(mut self, signer: Option<Arc<Signer>>) -> Self {
        self.signer = signer;
        self
    }

    /// Sets the time of [`Batch::made_at_or_latest`]. Must precede the first encoding.
    #[must_use]
    pub fn made_at(mut self, time: Timestamp) -> Self {
        self.made_at = Some(time);
        self
    }

    /// Sets its run.
    #[must_use]
    pub fn of_run(mut self, run: Arc<Run>) -> Self {
        self.run = Some(run);
        self
    }

    /// Sets the sources of its samples, if they are not all sources of the run.
    #[must_use]
    pub fn for_sources(mut self, sources: Arc<[Arc<str>]>) -> Self {
        self.sources = Some(sources);
        self
    }

    /// Sets the resources of its samples, in order.
    #[must_use]
    pub fn of_resources(mut self, resources: Vec<ReportedResource>) -> Self {
        self.resources = resources;
        self
    }

    /// Returns a new batch with the samples or events for which `keep` is true; everything else is equal. Items without a flag
    /// are left out. For a batch from a spool the result is empty, since its payload is unknown.
    #[must_use]
    pub fn filtered(&self, keep: &[bool]) -> Self {
        fn select<T: Clone>(all: &[T], keep: &[bool]) -> Vec<T> {
            let count = keep.iter().filter(|keep| **keep).count();
            let mut selected = Vec::with_capacity(count);
            selected.extend(
                all.iter()
                    .zip(keep)
                    .filter(|(_, keep)| **keep)
                    .map(|(item, _)| item.clone()),
            );
            selected
        }
        let payload = match &self.content {
            Content::Live(Payload::Samples(samples)) => Payload::Samples(select(samples, keep)),
            Content::Live(Payload::Events(events)) => Payload::Events(select(events, keep)),
            Content::Stored(_) => Payload::Samples(Vec::new()),
        };
        let mut flags = keep.iter();
        let resources = self.resources.iter().filter_map(|resource| {
            let samples = flags
                .by_ref()
                .take(resource.samples)
                .filter(|keep| **keep)
                .count();
            (samples > 0).then(|| ReportedResource::new(resource.key.clone(), samples))
        });
        Self {
            resources: resources.collect(),
            content: Content::Live(payload),
            source: self.source.clone(),
            signer: self.signer.clone(),
            // The time of the latest sample may change.
            made_at: Some(self.made_at_or_latest()),
            run: self.run.clone(),
            sources: self.sources.clone(),
            encoded: EncodedForms::default(),
        }
    }

    /// The number of samples or events.
    pub fn len(&self) -> usize {
        match &self.content {
            Content::Live(payload) => payload.len(),
            Content::Stored(stored) => stored.count,
        }
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The kind of its payload.
    pub fn kind(&self) -> PayloadKind {
        match &self.content {
            Content::Live(payload) => payload.kind(),
            Content::Stored(stored) => stored.kind,
        }
    }

    /// The encoding of a batch from a spool.
    pub fn stored_encoding(&self) -> Option<&EncodingId> {
        match &self.content {
            Content::Live(_) => None,
            Content::Stored(stored) => Some(&stored.encoding),
        }
    }

    /// The stored bytes of a batch from a spool.
    pub fn stored_bytes(&self) -> Option<&[u8]> {
        match &self.content {
            Content::Live(_) => None,
            Content::Stored(stored) => Some(&stored.bytes),
        }
    }

    /// The samples, in the order in which they were reported; empty for events and for a batch from a spool.
    pub fn samples(&self) -> &[Sample] {
        match &self.content {
            Content::Live(Payload::Samples(samples)) => samples,
            _ => &[],
        }
    }

    /// The events; empty for samples and for a batch from a spool.
    pub fn events(&self) -> &[Event] {
        match &self.content {
            Content::Live(Payload::Events(events)) => events,
            _ => &[],
        }
    }

    /// The payload. A batch from a spool is decoded on first use.
    ///
    /// # Errors
    ///
    /// Fails for a batch from a spool whose bytes have another encoding or cannot be decoded.
    pub fn payload(&self, encoding: &dyn Encoding) -> Result<&Payload, DecodeError> {
        match &self.content {
            Content::Live(payload) => Ok(payload),
            Content::Stored(stored) => {
                let bytes = stored.bytes_of(encoding)?;
                let decoded = stored.decoded.get_or_init(|| encoding.decode(bytes));
                decoded.as_ref().map_err(DecodeError::clone)
            }
        }
    }

    /// The `source` of samples whose subject has none.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The run of the batch; `None` for a batch from a spool or without a pollster.
    pub fn run(&self) -> Option<&Arc<Run>> {
        self.run.as_ref()
    }

    /// The sources of its samples; empty for a batch from a spool or without a pollster.
    pub fn sources(&self) -> &[Arc<str>] {
        match (&self.sources, &self.run) {
            (Some(sources), _) => sources,
            (None, Some(run)) => &run.sources,
            (None, None) => &[],
        }
    }

    /// The resources of its samples, in order: one entry for each report. Only set if a publisher follows runs.
    pub fn resources(&self) -> &[ReportedResource] {
        &self.resources
    }

    /// The signer of its samples.
    pub fn signer(&self) -> Option<&Signer> {
        self.signer.as_deref()
    }

    /// Its creation time; without [`Batch::made_at`], the time of its latest sample or event.
    pub fn made_at_or_latest(&self) -> Timestamp {
        let latest = || match &self.content {
            Content::Live(Payload::Samples(samples)) => samples.iter().map(|sample| sample.timestamp).max(),
            Content::Live(Payload::Events(events)) => events.iter().map(|event| event.generated).max(),
            Content::Stored(_) => None,
        };
        self.made_at.or_else(latest).unwrap_or(Timestamp::from_micros(0))
    }

    /// Encodes the batch, once for each encoding. [`Batch::stored`] reverses it.
    ///
    /// # Errors
    ///
    /// Fails for a batch from a spool with another encoding.
    pub fn encoded(&self, encoding: &dyn Encoding) -> Result<&[u8], WrongEncoding> {
        match &self.content {
            Content::Live(_) => {
                let (id, parameters) = (encoding.id(), encoding.parameters());
                Ok(self
                    .encoded
                    .get_or_encode(&id, parameters, || encoding.encode(self)))
            }
            Content::Stored(stored) => stored.bytes_of(encoding),
        }
    }

    /// Whether [`Batch::encoded`] returns without encoding.
    pub fn is_encoded(&self, encoding: &dyn Encoding) -> bool {
        match &self.content {
            Content::Live(_) => self.encoded.has(&encoding.id(), encoding.parameters()),
            Content::Stored(stored) => stored.encoding == encoding.id(),
        }
    }
}

impl Stored {
    fn bytes_of(&self, encoding: &dyn Encoding) -> Result<&[u8], WrongEncoding> {
        let requested = encoding.id();
        if self.encoding == requested {
            return Ok(&self.bytes);
        }
        Err(WrongEncoding {
            stored: self.encoding.clone(),
            requested,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::{CycleId, JsonLines, MessageId, ScheduleId};

    #[derive(Debug, Default)]
    struct Counting {
        parameters: &'static str,
        encoded: AtomicUsize,
        decoded: AtomicUsize,
    }

    impl Encoding for Counting {
        fn id(&self) -> EncodingId {
            EncodingId::new("counting", 3)
        }

        fn parameters(&self) -> &str {
            self.parameters
        }

        fn encode(&self, batch: &Batch) -> Vec<u8> {
            self.encoded.fetch_add(1, Ordering::Relaxed);
            format!("{}{}", self.parameters, batch.len()).into_bytes()
        }

        fn decode(&self, bytes: &[u8]) -> Result<Payload, DecodeError> {
            self.decoded.fetch_add(1, Ordering::Relaxed);
            match bytes {
                b"0" => Ok(Payload::Samples(Vec::new())),
                _ => Err(DecodeError::Malformed("not a number".to_owned())),
            }
        }
    }

    fn live() -> Batch {
        Batch::new(Vec::new(), "openstack".into())
    }

    fn event(name: &str) -> Event {
        Event::new(MessageId::upstream(name), name, Timestamp::from_micros(7))
    }

    #[test]
    fn a_filtered_batch_keeps_its_other_properties() {
        let cycle = CycleId::new(ScheduleId::new("every:10:0"), Timestamp::from_micros(0), 0);
        let sources: Arc<[Arc<str>]> = ["one".into(), "two".into()].into();
        let run = Run::new(cycle, std::time::Duration::from_secs(10), "p").sources(sources);
        let run = Arc::new(run);
        let events = ["a", "b", "c", "d"].map(event).to_vec();
        let batch = Batch::of_events(events, "openstack".into())
            .of_run(run.clone())
            .for_sources(["one".into()].into())
            .of_resources(vec![
                ReportedResource::new("r".into(), 1),
                ReportedResource::new("s".into(), 3),
            ]);
        let filtered = batch.filtered(&[false, true, false, true]);
        let names: Vec<_> = filtered.events().iter().map(|event| &*event.event_type).collect();
        assert_eq!(names, ["b", "d"]);
        assert_eq!(filtered.resources(), [ReportedResource::new("s".into(), 2)]);
        assert!(Arc::ptr_eq(filtered.run().unwrap(), &run));
        assert_eq!(
            (filtered.sources(), filtered.source()),
            (&["one".into()][..], "openstack")
        );
        assert_eq!(filtered.made_at_or_latest(), batch.made_at_or_latest());
        assert_eq!(batch.len(), 4);
    }

    #[test]
    fn a_batch_is_encoded_once_for_each_encoding_and_its_parameters() {
        let (plain, other) = (
            Counting::default(),
            Counting {
                parameters: "x",
                ..Counting::default()
            },
        );
        let batch = live();
        assert!(!batch.is_encoded(&plain));
        let first = batch.encoded(&plain).unwrap().as_ptr();
        assert_eq!(batch.encoded(&other).unwrap(), b"x0");
        assert_eq!(batch.encoded(&JsonLines).unwrap(), b"");
        assert_eq!(batch.encoded(&Counting::default()).unwrap().as_ptr(), first);
        assert!(batch.is_encoded(&plain) && batch.is_encoded(&other));
        assert_eq!(plain.encoded.into_inner() + other.encoded.into_inner(), 2);
    }

    #[test]
    fn a_stored_batch_supports_only_its_own_encoding() {
        let encoding = Counting::default();
        let stored = Batch::stored(encoding.id(), b"0".to_vec(), PayloadKind::Samples, 7);
        assert_eq!((stored.len(), stored.encoded(&encoding).unwrap()), (7, &b"0"[..]));
        assert!(stored.is_encoded(&encoding) && !stored.is_encoded(&JsonLines));
        let error = stored.encoded(&JsonLines).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the batch is stored as counting/3, but json-lines/1 was requested"
        );
        assert!(stored.payload(&encoding).unwrap().is_empty());
        assert!(stored.payload(&encoding).is_ok());
        assert_eq!(encoding.decoded.into_inner(), 1);
    }

    #[test]
    fn a_decoding_error_is_returned_each_time() {
        let encoding = Counting::default();
        let stored = Batch::stored(encoding.id(), b"?".to_vec(), PayloadKind::Samples, 7);
        let error = stored.payload(&encoding).unwrap_err();
        assert_eq!(error.to_string(), "cannot decode the bytes: not a number");
        assert_eq!(stored.payload(&encoding).unwrap_err(), error);
        assert_eq!(
            Batch::stored(JsonLines::ID, Vec::new(), PayloadKind::Samples, 0)
                .payload(&JsonLines)
                .unwrap_err(),
            DecodeError::NotSupported
        );
    }
}
