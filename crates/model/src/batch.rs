//! What is handed to publishers together: samples or events.

use std::sync::{Arc, OnceLock};

use crate::encoded::EncodedForms;
use crate::{
    DecodeError, Encoding, EncodingId, Event, Payload, PayloadKind, ReportedResource, Run, Sample, Signer,
    Timestamp, WrongEncoding,
};

/// A batch: what one hand-over of a pollster run gives to publishers.
///
/// Publishers share it by reference. Each encoding is applied once, by the first publisher that asks for it, and its
/// bytes stay the same however often they are sent.
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
    /// Where not all sources of the run want the samples.
    wanted_by: Option<Arc<[Arc<str>]>>,
    resources: Vec<ReportedResource>,
    encoded: EncodedForms,
}

/// What is known of a batch.
#[derive(Debug)]
enum Content {
    /// What it carries.
    Live(Payload),
    /// What a spool stored of it.
    Stored(Stored),
}

/// A batch that comes from a spool.
#[derive(Debug)]
struct Stored {
    encoding: EncodingId,
    bytes: Vec<u8>,
    kind: PayloadKind,
    /// How many samples or events.
    count: usize,
    /// The payload, once somebody has asked for it.
    decoded: OnceLock<Result<Payload, DecodeError>>,
}

impl Batch {
    /// A batch of samples whose `source` is `source` (unless their subject says otherwise), without signatures.
    pub fn new(samples: Vec<Sample>, source: Arc<str>) -> Self {
        Self::of(Content::Live(Payload::Samples(samples)), source)
    }

    /// A batch of events.
    pub fn of_events(events: Vec<Event>, source: Arc<str>) -> Self {
        Self::of(Content::Live(Payload::Events(events)), source)
    }

    /// A batch that was stored: `bytes` are what [`Batch::encoded`] gave with the encoding `encoding`, and `count`
    /// says how many samples or events they stand for.
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
            wanted_by: None,
            resources: Vec::new(),
            encoded: EncodedForms::default(),
        }
    }

    /// Signs the samples in every encoding. Only before the first one is asked for.
    #[must_use]
    pub fn signed_by(mut self, signer: Option<Arc<Signer>>) -> Self {
        self.signer = signer;
        self
    }

    /// Sets the time of [`Batch::made_at_or_latest`]. Only before the first encoding is asked for.
    #[must_use]
    pub fn made_at(mut self, time: Timestamp) -> Self {
        self.made_at = Some(time);
        self
    }

    /// Sets the run that it comes from.
    #[must_use]
    pub fn of_run(mut self, run: Arc<Run>) -> Self {
        self.run = Some(run);
        self
    }

    /// Sets the sources that want its samples, where not all sources of its run do.
    #[must_use]
    pub fn for_sources(mut self, sources: Arc<[Arc<str>]>) -> Self {
        self.wanted_by = Some(sources);
        self
    }

    /// Sets of which resources its samples are, in their order.
    #[must_use]
    pub fn of_resources(mut self, resources: Vec<ReportedResource>) -> Self {
        self.resources = resources;
        self
    }

    /// The samples or events for which `keep` is true, in a batch of their own that has everything else in common with this
    /// one. `keep` has one value for each; what it has no value for is left out. A batch that comes from a spool gives an empty
    /// one: what it carries is not known.
    #[must_use]
    pub fn filtered(&self, keep: &[bool]) -> Self {
        fn kept<T: Clone>(all: &[T], keep: &[bool]) -> Vec<T> {
            let count = keep.iter().filter(|keep| **keep).count();
            let mut kept = Vec::with_capacity(count);
            kept.extend(
                all.iter()
                    .zip(keep)
                    .filter(|(_, keep)| **keep)
                    .map(|(item, _)| item.clone()),
            );
            kept
        }
        let payload = match &self.content {
            Content::Live(Payload::Samples(samples)) => Payload::Samples(kept(samples, keep)),
            Content::Live(Payload::Events(events)) => Payload::Events(kept(events, keep)),
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
            // The time of the latest sample would be another one.
            made_at: Some(self.made_at_or_latest()),
            run: self.run.clone(),
            wanted_by: self.wanted_by.clone(),
            encoded: EncodedForms::default(),
        }
    }

    /// How many samples or events it has, also where it comes from a spool.
    pub fn len(&self) -> usize {
        match &self.content {
            Content::Live(payload) => payload.len(),
            Content::Stored(stored) => stored.count,
        }
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it carries samples or events.
    pub fn kind(&self) -> PayloadKind {
        match &self.content {
            Content::Live(payload) => payload.kind(),
            Content::Stored(stored) => stored.kind,
        }
    }

    /// The encoding of a batch that comes from a spool.
    pub fn stored_encoding(&self) -> Option<&EncodingId> {
        match &self.content {
            Content::Live(_) => None,
            Content::Stored(stored) => Some(&stored.encoding),
        }
    }

    /// The stored bytes of a batch that comes from a spool.
    pub fn stored_bytes(&self) -> Option<&[u8]> {
        match &self.content {
            Content::Live(_) => None,
            Content::Stored(stored) => Some(&stored.bytes),
        }
    }

    /// The samples, in the order in which they were reported; none where the batch has events or comes from a spool.
    pub fn samples(&self) -> &[Sample] {
        match &self.content {
            Content::Live(Payload::Samples(samples)) => samples,
            _ => &[],
        }
    }

    /// The events; none where the batch has samples or comes from a spool.
    pub fn events(&self) -> &[Event] {
        match &self.content {
            Content::Live(Payload::Events(events)) => events,
            _ => &[],
        }
    }

    /// What it carries. A batch that comes from a spool is decoded, once.
    ///
    /// # Errors
    ///
    /// Where the batch comes from a spool: its bytes are of another encoding, or do not decode.
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

    /// The `source` of samples whose subject does not name one.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The run that it comes from; none where it comes from a spool, or from no pollster.
    pub fn run(&self) -> Option<&Arc<Run>> {
        self.run.as_ref()
    }

    /// The names of the sources that want its samples. None are known where the batch comes from a spool, or from no pollster.
    pub fn sources(&self) -> &[Arc<str>] {
        match (&self.wanted_by, &self.run) {
            (Some(sources), _) => sources,
            (None, Some(run)) => &run.sources,
            (None, None) => &[],
        }
    }

    /// Of which resources its samples are, in their order: one entry for each report. It is known only where a publisher follows
    /// runs.
    pub fn resources(&self) -> &[ReportedResource] {
        &self.resources
    }

    /// What signs its samples.
    pub fn signer(&self) -> Option<&Signer> {
        self.signer.as_deref()
    }

    /// When it was made; without [`Batch::made_at`], the time of its latest sample or event.
    pub fn made_at_or_latest(&self) -> Timestamp {
        let latest = || match &self.content {
            Content::Live(Payload::Samples(samples)) => samples.iter().map(|sample| sample.timestamp).max(),
            Content::Live(Payload::Events(events)) => events.iter().map(|event| event.generated).max(),
            Content::Stored(_) => None,
        };
        self.made_at.or_else(latest).unwrap_or(Timestamp::from_micros(0))
    }

    /// The batch in an encoding; [`Batch::stored`] makes a batch of it again. It is encoded once.
    ///
    /// # Errors
    ///
    /// The batch comes from a spool and was stored in another encoding.
    pub fn encoded(&self, encoding: &dyn Encoding) -> Result<&[u8], WrongEncoding> {
        match &self.content {
            Content::Live(_) => Ok(self.encoded.get_or_encode(encoding, || encoding.encode(self))),
            Content::Stored(stored) => stored.bytes_of(encoding),
        }
    }

    /// Whether [`Batch::encoded`] has the bytes already.
    pub fn is_encoded(&self, encoding: &dyn Encoding) -> bool {
        match &self.content {
            Content::Live(_) => self.encoded.has(encoding),
            Content::Stored(stored) => stored.encoding == encoding.id(),
        }
    }
}

impl Stored {
    fn bytes_of(&self, encoding: &dyn Encoding) -> Result<&[u8], WrongEncoding> {
        let wanted = encoding.id();
        if self.encoding == wanted {
            return Ok(&self.bytes);
        }
        Err(WrongEncoding {
            stored: self.encoding.clone(),
            wanted,
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
                _ => Err(DecodeError::Malformed("no number".to_owned())),
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
    fn a_filtered_batch_keeps_everything_but_what_is_left_out() {
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
    fn an_encoding_is_applied_once_and_options_keep_encodings_apart() {
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
    fn a_stored_batch_has_its_own_encoding_and_no_other() {
        let encoding = Counting::default();
        let stored = Batch::stored(encoding.id(), b"0".to_vec(), PayloadKind::Samples, 7);
        assert_eq!((stored.len(), stored.encoded(&encoding).unwrap()), (7, &b"0"[..]));
        assert!(stored.is_encoded(&encoding) && !stored.is_encoded(&JsonLines));
        let error = stored.encoded(&JsonLines).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the batch is stored as counting/3, not as json-lines/1"
        );
        assert!(stored.payload(&encoding).unwrap().is_empty());
        assert!(stored.payload(&encoding).is_ok());
        assert_eq!(encoding.decoded.into_inner(), 1);
    }

    #[test]
    fn bytes_that_do_not_decode_are_an_error_each_time() {
        let encoding = Counting::default();
        let stored = Batch::stored(encoding.id(), b"?".to_vec(), PayloadKind::Samples, 7);
        let error = stored.payload(&encoding).unwrap_err();
        assert_eq!(error.to_string(), "the bytes do not decode: no number");
        assert_eq!(stored.payload(&encoding).unwrap_err(), error);
        assert_eq!(
            Batch::stored(JsonLines::ID, Vec::new(), PayloadKind::Samples, 0)
                .payload(&JsonLines)
                .unwrap_err(),
            DecodeError::NotSupported
        );
    }
}
