//! A connection with one channel: sends batches, and matches the broker's answers to them.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, Stream, StreamExt as _};
use lapin::message::BasicReturnMessage;
use lapin::options::BasicPublishOptions;
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, ErrorKind, Event};
use nephoscope_model::{Batch, OsloNotification};
use nephoscope_plugin::PublishError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::error::BrokerError;
use crate::options::Settings;
use crate::topology;
use crate::transport::{self, Transport};
use crate::url::Host;

/// The timeout for closing a connection, well below the notifier's timeout of a second.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(700);

/// The interval between checks of an idle link: the library does not report every end. A late check loses nothing, the next batch
/// is only retried.
const IDLE_CHECK: Duration = Duration::from_secs(5);

/// How long after an end its reason may arrive.
const REASON_DELAY: Duration = Duration::from_millis(100);

/// How much longer than the link itself a publish waits, so that it receives the link's result.
const GRACE: Duration = Duration::from_millis(250);

/// A batch to send, and the channel for the result.
struct PublishRequest {
    batch: Arc<Batch>,
    /// The deadline of the confirm.
    until: Instant,
    done: oneshot::Sender<Result<(), PublishError>>,
}

/// Submits batches to an open link.
#[derive(Clone)]
pub(crate) struct LinkHandle {
    host: Arc<str>,
    requests: mpsc::Sender<PublishRequest>,
    blocked: watch::Receiver<Option<Arc<str>>>,
}

impl LinkHandle {
    /// Sends a batch and waits for the broker's answer, for at most about `limit`.
    ///
    /// May be dropped at any time: the link continues, and the answer is ignored.
    pub(crate) async fn deliver(&self, batch: Arc<Batch>, limit: Duration) -> Result<(), PublishError> {
        let (done, answer) = oneshot::channel();
        let until = Instant::now() + limit;
        let broken = || BrokerError::Broken {
            host: self.host.to_string(),
            reason: "it ended before the batch was sent".to_owned(),
        };
        let exchange = async {
            let request = PublishRequest { batch, until, done };
            if self.requests.send(request).await.is_err() {
                return Err(broken().into());
            }
            answer.await.unwrap_or_else(|_| Err(broken().into()))
        };
        if let Ok(result) = timeout_at(until + GRACE, exchange).await {
            return result;
        }
        let failure = match self.blocked.borrow().clone() {
            Some(reason) => BrokerError::Blocked { reason },
            None => BrokerError::Unconfirmed {
                host: self.host.to_string(),
                limit,
            },
        };
        Err(failure.into())
    }
}

/// The end of a link.
pub(crate) struct LinkEnd {
    /// `None`: it was stopped.
    pub(crate) failure: Option<BrokerError>,
    /// Whether the broker confirmed a batch.
    pub(crate) delivered: bool,
}

/// A batch whose messages were sent.
struct Pending {
    batch: Arc<Batch>,
    done: oneshot::Sender<Result<(), PublishError>>,
    /// The number of messages without an answer.
    unconfirmed: usize,
    failure: Option<BrokerError>,
}

/// A sent message.
struct Message {
    /// The number of its request.
    request: u64,
    /// The index of its queue.
    queue: usize,
    returned: Option<String>,
}

type Confirm = Pin<Box<dyn Future<Output = (u64, lapin::Result<Confirmation>)> + Send>>;

/// A connection with declared exchange and queues.
pub(crate) struct Link {
    settings: Arc<Settings>,
    host: Host,
    channel: Channel,
    events: Pin<Box<dyn Stream<Item = Event> + Send>>,
    requests: mpsc::Receiver<PublishRequest>,
    blocked: watch::Sender<Option<Arc<str>>>,
    /// By number, in the order of sending: the first one has the earliest deadline.
    pending: BTreeMap<u64, (Instant, Pending)>,
    messages: HashMap<u64, Message>,
    confirms: FuturesUnordered<Confirm>,
    next: u64,
    delivered: bool,
    // The last field: the others release the connection first.
    transport: Transport,
}

impl Link {
    /// Connects to `host`, logs in and declares exchange and queues, within `connect_timeout`.
    pub(crate) async fn open(
        settings: &Arc<Settings>,
        host: &Host,
        differs: impl FnMut(&'static str, &str),
    ) -> Result<(Self, LinkHandle), BrokerError> {
        let until = Instant::now() + settings.connect_timeout;
        let transport = transport::open(settings, host, until).await?;
        let mut events: Pin<Box<dyn Stream<Item = Event> + Send>> =
            Box::pin(transport.connection.events_listener());
        let declared = timeout_at(until, topology::declare(&transport.connection, settings, differs)).await;
        let channel = match declared {
            Ok(Ok(channel)) => channel,
            Ok(Err(error)) => return Err(reason(&error, &mut events, host, settings).await),
            Err(_) => return Err(transport::not_ready(settings, host)),
        };
        let (request_sender, requests) = mpsc::channel(settings.pipelining);
        let (blocked, blocked_receiver) = watch::channel(None);
        let handle = LinkHandle {
            host: host.shown().into(),
            requests: request_sender,
            blocked: blocked_receiver,
        };
        let link = Self {
            settings: settings.clone(),
            host: host.clone(),
            channel,
            events,
            requests,
            blocked,
            pending: BTreeMap::new(),
            messages: HashMap::new(),
            confirms: FuturesUnordered::new(),
            next: 0,
            delivered: false,
            transport,
        };
        Ok((link, handle))
    }

    /// Delivers batches until the connection ends or `stop` is cancelled. Later batches fail.
    pub(crate) async fn run(&mut self, stop: &CancellationToken) -> LinkEnd {
        let failure = self.serve(stop).await;
        let cause = failure.clone().unwrap_or(BrokerError::Closed);
        let pending = std::mem::take(&mut self.pending);
        let is_only = pending.len() == 1;
        for (_, pending) in pending.into_values() {
            let error = match &cause {
                // It would never be accepted.
                BrokerError::TooLarge { .. } if is_only => PublishError::rejected(cause.to_string()),
                cause => cause.clone().into(),
            };
            // The publish may have been cancelled.
            let _ = pending.done.send(Err(error));
        }
        // None of these was sent.
        self.requests.close();
        while let Ok(request) = self.requests.try_recv() {
            let _ = request.done.send(Err(cause.clone().into()));
        }
        LinkEnd {
            failure,
            delivered: self.delivered,
        }
    }

    /// Closes the connection, unless the broker no longer answers.
    pub(crate) async fn close(self, end: &LinkEnd) {
        if matches!(end.failure, Some(BrokerError::Unconfirmed { .. })) {
            return;
        }
        let closing = self
            .transport
            .connection
            .close(200, "nephoscope closes the connection".into());
        if timeout(CLOSE_TIMEOUT, closing).await.is_err() {
            debug!(
                host = self.host.shown(),
                "the broker did not confirm the close of the connection"
            );
        }
    }

    /// Runs until the link fails; `None` when it was stopped.
    async fn serve(&mut self, stop: &CancellationToken) -> Option<BrokerError> {
        loop {
            let is_blocked = self.blocked.borrow().is_some();
            // While it is blocked, the broker may delay its answers.
            let deadline = match self.pending.first_key_value() {
                Some((_, (until, _))) if !is_blocked => Some(*until),
                _ => None,
            };
            let has_room = self.pending.len() < self.settings.pipelining && !is_blocked;
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                event = self.events.next() => match event {
                    Some(Event::ConnectionBlocked(reason)) => self.block(&reason),
                    Some(Event::ConnectionUnblocked) => self.unblock(),
                    // Declarations also report the error of a channel that they replaced here.
                    Some(Event::Error(_)) if self.is_alive() => {}
                    Some(Event::Error(error)) => {
                        return Some(BrokerError::of(&error, &self.host, &self.settings));
                    }
                    Some(_) => {}
                    None => return Some(self.broken("it ended")),
                },
                Some(answer) = self.confirms.next() => {
                    let answers = self.ready(answer);
                    if let Err(failure) = self.settle(answers).await {
                        return Some(failure);
                    }
                }
                () = at(deadline) => return Some(BrokerError::Unconfirmed {
                    host: self.host.shown(),
                    limit: self.settings.confirm_timeout,
                }),
                Some(request) = self.requests.recv(), if has_room => self.send(request),
                () = tokio::time::sleep(IDLE_CHECK), if self.pending.is_empty() => {
                    if !self.is_alive() {
                        return Some(self.broken("it ended while it was idle"));
                    }
                }
            }
        }
    }

    fn is_alive(&self) -> bool {
        self.transport.connection.status().connected() && self.channel.status().connected()
    }

    fn block(&self, reason: &str) {
        self.blocked.send_replace(Some(reason.into()));
    }

    /// Restarts the deadlines when the broker accepts messages again.
    fn unblock(&mut self) {
        self.blocked.send_replace(None);
        let until = Instant::now() + self.settings.confirm_timeout;
        for (deadline, _) in self.pending.values_mut() {
            *deadline = until;
        }
    }

    fn send(&mut self, request: PublishRequest) {
        let PublishRequest { batch, until, done } = request;
        // The publish was cancelled: the batch is retried or was dropped.
        if done.is_closed() {
            return;
        }
        if let Err(error) = batch.encoded(&OsloNotification) {
            let _ = done.send(Err(error.into()));
            return;
        }
        let number = self.next;
        self.next += 1;
        for (index, queue) in self.settings.queues.iter().enumerate() {
            let message = self.next;
            self.next += 1;
            let confirm = publish(
                self.channel.clone(),
                self.settings.exchange.as_str().into(),
                queue.as_str().into(),
                batch.clone(),
                index,
            );
            self.confirms
                .push(Box::pin(confirm.map(move |answer| (message, answer))));
            self.messages.insert(
                message,
                Message {
                    request: number,
                    queue: index,
                    returned: None,
                },
            );
        }
        let pending = Pending {
            batch,
            done,
            unconfirmed: self.settings.queues.len(),
            failure: None,
        };
        self.pending.insert(number, (until, pending));
    }

    /// Returns this answer and all others that are ready.
    ///
    /// The library attaches a returned message to whichever confirm comes next, possibly that of another message. That confirm
    /// was resolved before the right one, so that it is among these answers or earlier ones.
    fn ready(
        &mut self,
        first: (u64, lapin::Result<Confirmation>),
    ) -> Vec<(u64, lapin::Result<Confirmation>)> {
        let mut answers = vec![first];
        // Twice: a stream of many futures may pause although more are ready.
        for _ in 0..2 {
            while let Some(Some(answer)) = self.confirms.next().now_or_never() {
                answers.push(answer);
            }
        }
        answers
    }

    async fn settle(&mut self, answers: Vec<(u64, lapin::Result<Confirmation>)>) -> Result<(), BrokerError> {
        let mut settled = Vec::with_capacity(answers.len());
        let mut failed = None;
        for (message, answer) in answers {
            match answer {
                Ok(confirmation) => {
                    let acked = confirmation.is_ack();
                    if let Some(returned) = confirmation.take_message() {
                        self.record_return(&returned)?;
                    }
                    settled.push((message, acked));
                }
                Err(error) => failed = Some(error),
            }
        }
        let mut returned = None;
        for (message, acked) in settled {
            if let Some(failure) = self.settle_one(message, acked) {
                returned = Some(failure);
            }
        }
        if let Some(error) = failed {
            return Err(reason(&error, &mut self.events, &self.host, &self.settings).await);
        }
        // A new connection declares and binds again.
        returned.map_or(Ok(()), Err)
    }

    /// Marks the returned message.
    fn record_return(&mut self, returned: &BasicReturnMessage) -> Result<(), BrokerError> {
        let delivery = &returned.delivery;
        let answer = format!("{} {}", returned.reply_code, returned.reply_text);
        let owner = self.messages.values_mut().find(|message| {
            let queue = self.settings.queues.get(message.queue);
            let batch = self
                .pending
                .get(&message.request)
                .map(|(_, pending)| &pending.batch);
            message.returned.is_none()
                && queue.is_some_and(|queue| *queue == delivery.routing_key.as_str())
                && batch.is_some_and(|batch| *notification(batch, message.queue) == *delivery.data)
        });
        match owner {
            Some(message) => {
                message.returned = Some(answer);
                Ok(())
            }
            // Its batch is unknown: no batch in flight counts as delivered.
            None => Err(BrokerError::Returned {
                exchange: self.settings.exchange.clone(),
                queue: delivery.routing_key.to_string(),
                answer,
            }),
        }
    }

    /// Records a message's answer; returns an error if the message was returned.
    fn settle_one(&mut self, message: u64, acked: bool) -> Option<BrokerError> {
        let Message {
            request,
            queue,
            returned,
        } = self.messages.remove(&message)?;
        let queue = self.settings.queues.get(queue).cloned().unwrap_or_default();
        let returned = returned.map(|answer| BrokerError::Returned {
            exchange: self.settings.exchange.clone(),
            queue: queue.clone(),
            answer,
        });
        let (_, pending) = self.pending.get_mut(&request)?;
        pending.unconfirmed = pending.unconfirmed.saturating_sub(1);
        if returned.is_some() {
            pending.failure.clone_from(&returned);
        } else if !acked {
            pending.failure = Some(BrokerError::Rejected { queue });
        }
        if pending.unconfirmed == 0
            && let Some((_, pending)) = self.pending.remove(&request)
        {
            self.delivered |= pending.failure.is_none();
            // The publish may have been cancelled.
            let _ = pending
                .done
                .send(pending.failure.map_or(Ok(()), |failure| Err(failure.into())));
        }
        returned
    }

    fn broken(&self, reason: &str) -> BrokerError {
        BrokerError::Broken {
            host: self.host.shown(),
            reason: reason.to_owned(),
        }
    }
}

/// Sends one message and waits for the broker's answer.
async fn publish(
    channel: Channel,
    exchange: ShortString,
    queue: ShortString,
    batch: Arc<Batch>,
    topic: usize,
) -> lapin::Result<Confirmation> {
    let options = BasicPublishOptions {
        mandatory: true,
        ..Default::default()
    };
    let body = notification(&batch, topic);
    channel
        .basic_publish(exchange, queue, options, &body, properties())
        .await?
        .await
}

/// Returns the body for one of the topics. Only batches with an encoded body are sent.
fn notification(batch: &Batch, topic: usize) -> Cow<'_, [u8]> {
    let body = batch.encoded(&OsloNotification).unwrap_or_default();
    OsloNotification::for_topic(body, topic)
}

/// The properties that oslo.messaging sets.
fn properties() -> BasicProperties {
    const PERSISTENT: u8 = 2;
    BasicProperties::default()
        .with_content_type("application/json".into())
        .with_content_encoding("utf-8".into())
        .with_headers(FieldTable::default())
        .with_delivery_mode(PERSISTENT)
        .with_priority(0)
}

/// Returns the error with its reason. The broker's message may arrive shortly after the error that it causes.
async fn reason(
    error: &lapin::Error,
    events: &mut Pin<Box<dyn Stream<Item = Event> + Send>>,
    host: &Host,
    settings: &Settings,
) -> BrokerError {
    if matches!(
        error.kind(),
        ErrorKind::InvalidChannelState(..) | ErrorKind::InvalidConnectionState(_)
    ) {
        let until = Instant::now() + REASON_DELAY;
        while let Ok(Some(event)) = timeout_at(until, events.next()).await {
            if let Event::Error(error) = event {
                return BrokerError::of(&error, host, settings);
            }
        }
    }
    BrokerError::of(error, host, settings)
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Logs that an object exists with other properties; the caller does this once for each object.
pub(crate) fn warn_differs(publisher: &str, kind: &str, name: &str) {
    warn!(
        publisher,
        "the {kind} `{name}` exists with other properties and is used unchanged: set `durable`, `auto_delete` and \
         `quorum` like its consumers"
    );
}
