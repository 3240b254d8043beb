//! Samples that are handed to publishers together.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use uuid::Uuid;

use crate::json::Compact;
use crate::message::MessageWriter;
use crate::notification::{self, Envelope};
use crate::{Form, Sample, Signer, Timestamp};

/// A batch: what one hand-over of a pollster run gives to every publisher.
///
/// Publishers share it by reference; a form is encoded once, by the first publisher that asks for it, and stays
/// the same however often it is sent.
///
/// ```
/// use nephoscope_model::{Batch, Signer};
///
/// let signer = Signer::new("secret").map(std::sync::Arc::new);
/// let batch = Batch::new(Vec::new(), "openstack".into()).signed_by(signer);
/// assert!(batch.notification().starts_with(br#"{"oslo.version": "2.0""#));
/// ```
#[derive(Debug)]
pub struct Batch {
    samples: Vec<Sample>,
    count: usize,
    source: Arc<str>,
    signer: Option<Arc<Signer>>,
    made_at: Option<Timestamp>,
    json_lines: OnceLock<Vec<u8>>,
    notification: OnceLock<Notification>,
}

/// An encoded notification.
#[derive(Debug)]
struct Notification {
    body: Vec<u8>,
    unique_id: Uuid,
}

impl Batch {
    /// A batch of samples whose `source` is `source` (unless their subject says otherwise), without signatures.
    pub fn new(samples: Vec<Sample>, source: Arc<str>) -> Self {
        Self {
            count: samples.len(),
            samples,
            source,
            signer: None,
            made_at: None,
            json_lines: OnceLock::new(),
            notification: OnceLock::new(),
        }
    }

    /// A batch of which only one form is known, such as one that was stored: `bytes` are what [`Batch::encoded`]
    /// gave, `samples` says how many there are. [`Batch::samples`] is empty, and so are other forms.
    pub fn from_encoded(form: Form, bytes: Vec<u8>, samples: usize) -> Self {
        let mut batch = Self::new(Vec::new(), Arc::from(""));
        batch.count = samples;
        batch.json_lines = OnceLock::from(Vec::new());
        batch.notification = OnceLock::from(Notification {
            body: Vec::new(),
            unique_id: Uuid::nil(),
        });
        match form {
            Form::JsonLines => batch.json_lines = OnceLock::from(bytes),
            Form::Notification => {
                let unique_id = notification::unique_id(&bytes).unwrap_or_else(Uuid::new_v4);
                batch.notification = OnceLock::from(Notification {
                    body: bytes,
                    unique_id,
                });
            }
        }
        batch
    }

    /// How many samples it has, also where [`Batch::samples`] does not know them.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether it has no samples.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The samples in a form; [`Batch::from_encoded`] makes a batch of it again.
    pub fn encoded(&self, form: Form) -> &[u8] {
        match form {
            Form::JsonLines => self.json_lines(),
            Form::Notification => self.notification(),
        }
    }

    /// Whether [`Batch::encoded`] has the form already.
    pub fn is_encoded(&self, form: Form) -> bool {
        match form {
            Form::JsonLines => self.json_lines.get().is_some(),
            Form::Notification => self.notification.get().is_some(),
        }
    }

    /// Signs the samples in every form. Only before the first form is asked for.
    #[must_use]
    pub fn signed_by(mut self, signer: Option<Arc<Signer>>) -> Self {
        self.signer = signer;
        self
    }

    /// Sets the time that [`Batch::notification`] bears; without, it is that of the latest sample.
    /// Only before that form is asked for.
    #[must_use]
    pub fn made_at(mut self, time: Timestamp) -> Self {
        self.made_at = Some(time);
        self
    }

    /// The samples, in the order in which they were reported; none where only an encoded form is known.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// The `source` of samples whose subject does not name one.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The samples in ceilometer's message form, one JSON object a line.
    pub fn json_lines(&self) -> &[u8] {
        self.json_lines.get_or_init(|| {
            let mut out = Vec::new();
            MessageWriter::<Compact>::new(&self.source, self.signer.as_deref()).write_all(
                &self.samples,
                b"\n",
                &mut out,
            );
            if !out.is_empty() {
                out.push(b'\n');
            }
            out
        })
    }

    /// The samples as one notification of ceilometer's polling agent: the body of an oslo.messaging 2.0 message,
    /// content type `application/json`, content encoding `utf-8`, ASCII only.
    ///
    /// Its `message_id` and `_unique_id` are random, made once for the batch: a consumer can tell the second
    /// arrival of a notification that was sent twice.
    pub fn notification(&self) -> &[u8] {
        &self.encoded_notification().body
    }

    /// The notification for one of several topics, counted from 0: the same but for its `_unique_id`, as
    /// oslo.messaging sends it, so that who listens to several topics takes all. The first is [`Batch::notification`].
    pub fn notification_for(&self, topic: usize) -> Cow<'_, [u8]> {
        let Notification { body, unique_id } = self.encoded_notification();
        if topic == 0 {
            return Cow::Borrowed(body);
        }
        // The last bits are random, and neither version nor variant.
        let unique_id = Uuid::from_u128(unique_id.as_u128() ^ topic as u128);
        Cow::Owned(notification::with_unique_id(body, unique_id))
    }

    fn encoded_notification(&self) -> &Notification {
        self.notification.get_or_init(|| {
            let latest = || self.samples.iter().map(|sample| sample.timestamp).max();
            let envelope = Envelope {
                message_id: Uuid::new_v4(),
                unique_id: Uuid::new_v4(),
                timestamp: self.made_at.or_else(latest).unwrap_or(Timestamp::from_micros(0)),
            };
            Notification {
                body: notification::body(&self.samples, &self.source, self.signer.as_deref(), envelope),
                unique_id: envelope.unique_id,
            }
        })
    }
}
