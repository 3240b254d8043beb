//! One connection with one channel: sends batches, and matches the broker's answers to them.

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

use crate::options::Settings;
use crate::topology;
use crate::transport::{self, Transport};
use crate::trouble::Trouble;
use crate::url::Host;

/// How long the broker may take to answer a goodbye, well inside the notifier's second.
const GOODBYE: Duration = Duration::from_millis(700);

/// How often an idle link is looked at: the library does not tell of every end. Nothing is lost by a late look, the
/// next batch only has to be tried again.
const GLANCE: Duration = Duration::from_secs(5);

/// How long the reason of an end may come after the end.
const REASON: Duration = Duration::from_millis(100);

/// How much longer than the link itself a publish waits, so that the link's words are heard.
const GRACE: Duration = Duration::from_millis(250);

/// A batch on its way, and where to say what came of it.
struct Order {
    batch: Arc<Batch>,
    /// The confirm must be there by then.
    until: Instant,
    done: oneshot::Sender<Result<(), PublishError>>,
}

/// Hands batches to a link that is up.
#[derive(Clone)]
pub(crate) struct LinkHandle {
    host: Arc<str>,
    orders: mpsc::Sender<Order>,
    blocked: watch::Receiver<Option<Arc<str>>>,
}

impl LinkHandle {
    /// Sends a batch and waits for the broker's answer, for at most about `limit`.
    ///
    /// May be dropped at any time: the link goes on, and nobody hears of the answer.
    pub(crate) async fn deliver(&self, batch: Arc<Batch>, limit: Duration) -> Result<(), PublishError> {
        let (done, answer) = oneshot::channel();
        let until = Instant::now() + limit;
        let broken = || Trouble::Broken {
            host: self.host.to_string(),
            reason: "it ended before the batch was sent".to_owned(),
        };
        let exchange = async {
            let order = Order { batch, until, done };
            if self.orders.send(order).await.is_err() {
                return Err(broken().into());
            }
            answer.await.unwrap_or_else(|_| Err(broken().into()))
        };
        if let Ok(result) = timeout_at(until + GRACE, exchange).await {
            return result;
        }
        let trouble = match self.blocked.borrow().clone() {
            Some(reason) => Trouble::Blocked { reason },
            None => Trouble::Unconfirmed {
                host: self.host.to_string(),
                limit,
            },
        };
        Err(trouble.into())
    }
}

/// How a link ended.
pub(crate) struct End {
    /// `None`: it was told to.
    pub(crate) trouble: Option<Trouble>,
    /// Whether the broker confirmed a batch before.
    pub(crate) delivered: bool,
}

/// What remains of an order whose messages are with the broker.
struct Waiting {
    batch: Arc<Batch>,
    done: oneshot::Sender<Result<(), PublishError>>,
    /// Messages without an answer.
    left: usize,
    trouble: Option<Trouble>,
}

/// A message that is with the broker.
struct Message {
    /// Its order.
    order: u64,
    /// Index of its queue.
    queue: usize,
    returned: Option<String>,
}

type Confirm = Pin<Box<dyn Future<Output = (u64, lapin::Result<Confirmation>)> + Send>>;

/// A connection whose exchange and queues are declared.
pub(crate) struct Link {
    settings: Arc<Settings>,
    host: Host,
    channel: Channel,
    events: Pin<Box<dyn Stream<Item = Event> + Send>>,
    orders: mpsc::Receiver<Order>,
    blocked: watch::Sender<Option<Arc<str>>>,
    /// By number, in the order of sending: the first has the earliest deadline.
    waiting: BTreeMap<u64, (Instant, Waiting)>,
    messages: HashMap<u64, Message>,
    confirms: FuturesUnordered<Confirm>,
    next: u64,
    delivered: bool,
    // The last field: everything else lets go of the connection before.
    transport: Transport,
}

impl Link {
    /// Connects to `host`, logs in and declares, within `connect_timeout`.
    pub(crate) async fn open(
        settings: &Arc<Settings>,
        host: &Host,
        differs: impl FnMut(&'static str, &str),
    ) -> Result<(Self, LinkHandle), Trouble> {
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
        let (orders_sender, orders) = mpsc::channel(settings.pipelining);
        let (blocked, blocked_receiver) = watch::channel(None);
        let handle = LinkHandle {
            host: host.shown().into(),
            orders: orders_sender,
            blocked: blocked_receiver,
        };
        let link = Self {
            settings: settings.clone(),
            host: host.clone(),
            channel,
            events,
            orders,
            blocked,
            waiting: BTreeMap::new(),
            messages: HashMap::new(),
            confirms: FuturesUnordered::new(),
            next: 0,
            delivered: false,
            transport,
        };
        Ok((link, handle))
    }

    /// Delivers what comes until the connection ends or `stop` is cancelled; nothing is taken afterwards.
    pub(crate) async fn run(&mut self, stop: &CancellationToken) -> End {
        let trouble = self.serve(stop).await;
        let told = trouble.clone().unwrap_or(Trouble::Closed);
        let waiting = std::mem::take(&mut self.waiting);
        let alone = waiting.len() == 1;
        for (_, waiting) in waiting.into_values() {
            let error = match &told {
                // It would never be taken.
                Trouble::TooLarge { .. } if alone => PublishError::rejected(told.to_string()),
                told => told.clone().into(),
            };
            // Whoever waited may have gone.
            let _ = waiting.done.send(Err(error));
        }
        // None of these was sent.
        self.orders.close();
        while let Ok(order) = self.orders.try_recv() {
            let _ = order.done.send(Err(told.clone().into()));
        }
        End {
            trouble,
            delivered: self.delivered,
        }
    }

    /// Says goodbye to the broker, unless it has shown that it does not answer.
    pub(crate) async fn leave(self, end: &End) {
        if matches!(end.trouble, Some(Trouble::Unconfirmed { .. })) {
            return;
        }
        let goodbye = self.transport.connection.close(200, "nephoscope leaves".into());
        if timeout(GOODBYE, goodbye).await.is_err() {
            debug!(host = self.host.shown(), "the broker did not say goodbye");
        }
    }

    /// `None` when it was told to stop.
    async fn serve(&mut self, stop: &CancellationToken) -> Option<Trouble> {
        loop {
            let is_blocked = self.blocked.borrow().is_some();
            // The broker answers in its own time while it is blocked.
            let deadline = match self.waiting.first_key_value() {
                Some((_, (until, _))) if !is_blocked => Some(*until),
                _ => None,
            };
            let has_room = self.waiting.len() < self.settings.pipelining && !is_blocked;
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                event = self.events.next() => match event {
                    Some(Event::ConnectionBlocked(reason)) => self.block(&reason),
                    Some(Event::ConnectionUnblocked) => self.unblock(),
                    // One that the declarations gave up for another channel leaves its error here, too.
                    Some(Event::Error(_)) if self.is_alive() => {}
                    Some(Event::Error(error)) => {
                        return Some(Trouble::of(&error, &self.host, &self.settings));
                    }
                    Some(_) => {}
                    None => return Some(self.broken("it ended")),
                },
                Some(answer) = self.confirms.next() => {
                    let answers = self.ready(answer);
                    if let Err(trouble) = self.settle(answers).await {
                        return Some(trouble);
                    }
                }
                () = at(deadline) => return Some(Trouble::Unconfirmed {
                    host: self.host.shown(),
                    limit: self.settings.confirm_timeout,
                }),
                Some(order) = self.orders.recv(), if has_room => self.send(order),
                () = tokio::time::sleep(GLANCE), if self.waiting.is_empty() => {
                    if !self.is_alive() {
                        return Some(self.broken("it ended while there was nothing to send"));
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

    /// The broker has time again from now on.
    fn unblock(&mut self) {
        self.blocked.send_replace(None);
        let until = Instant::now() + self.settings.confirm_timeout;
        for (deadline, _) in self.waiting.values_mut() {
            *deadline = until;
        }
    }

    fn send(&mut self, order: Order) {
        let Order { batch, until, done } = order;
        // Nobody waits: the batch comes again, or was given up.
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
                    order: number,
                    queue: index,
                    returned: None,
                },
            );
        }
        let waiting = Waiting {
            batch,
            done,
            left: self.settings.queues.len(),
            trouble: None,
        };
        self.waiting.insert(number, (until, waiting));
    }

    /// This answer and all others that are there.
    ///
    /// The library gives a returned message to whichever confirm comes next, which may be another message's. That one
    /// was resolved before the right one, so that it is among these, or was among earlier ones.
    fn ready(
        &mut self,
        first: (u64, lapin::Result<Confirmation>),
    ) -> Vec<(u64, lapin::Result<Confirmation>)> {
        let mut answers = vec![first];
        // Twice: a stream of many futures may pause once though more are ready.
        for _ in 0..2 {
            while let Some(Some(answer)) = self.confirms.next().now_or_never() {
                answers.push(answer);
            }
        }
        answers
    }

    async fn settle(&mut self, answers: Vec<(u64, lapin::Result<Confirmation>)>) -> Result<(), Trouble> {
        let mut settled = Vec::with_capacity(answers.len());
        let mut failed = None;
        for (message, answer) in answers {
            match answer {
                Ok(confirmation) => {
                    let taken = confirmation.is_ack();
                    if let Some(returned) = confirmation.take_message() {
                        self.note_return(&returned)?;
                    }
                    settled.push((message, taken));
                }
                Err(error) => failed = Some(error),
            }
        }
        let mut returned = None;
        for (message, taken) in settled {
            if let Some(trouble) = self.settle_one(message, taken) {
                returned = Some(trouble);
            }
        }
        if let Some(error) = failed {
            return Err(reason(&error, &mut self.events, &self.host, &self.settings).await);
        }
        // A new connection declares and binds again.
        returned.map_or(Ok(()), Err)
    }

    /// Marks the message that came back.
    fn note_return(&mut self, returned: &BasicReturnMessage) -> Result<(), Trouble> {
        let delivery = &returned.delivery;
        let answer = format!("{} {}", returned.reply_code, returned.reply_text);
        let owner = self.messages.values_mut().find(|message| {
            let queue = self.settings.queues.get(message.queue);
            let batch = self
                .waiting
                .get(&message.order)
                .map(|(_, waiting)| &waiting.batch);
            message.returned.is_none()
                && queue.is_some_and(|queue| *queue == delivery.routing_key.as_str())
                && batch.is_some_and(|batch| *notification(batch, message.queue) == *delivery.data)
        });
        match owner {
            Some(message) => {
                message.returned = Some(answer);
                Ok(())
            }
            // Whose it is cannot be told: nothing that is under way counts as delivered.
            None => Err(Trouble::Returned {
                exchange: self.settings.exchange.clone(),
                queue: delivery.routing_key.to_string(),
                answer,
            }),
        }
    }

    /// Takes a message's answer down; the trouble if it had come back.
    fn settle_one(&mut self, message: u64, taken: bool) -> Option<Trouble> {
        let Message {
            order,
            queue,
            returned,
        } = self.messages.remove(&message)?;
        let queue = self.settings.queues.get(queue).cloned().unwrap_or_default();
        let returned = returned.map(|answer| Trouble::Returned {
            exchange: self.settings.exchange.clone(),
            queue: queue.clone(),
            answer,
        });
        let (_, waiting) = self.waiting.get_mut(&order)?;
        waiting.left = waiting.left.saturating_sub(1);
        if returned.is_some() {
            waiting.trouble.clone_from(&returned);
        } else if !taken {
            waiting.trouble = Some(Trouble::Rejected { queue });
        }
        if waiting.left == 0
            && let Some((_, waiting)) = self.waiting.remove(&order)
        {
            self.delivered |= waiting.trouble.is_none();
            // Whoever waited may have gone.
            let _ = waiting
                .done
                .send(waiting.trouble.map_or(Ok(()), |trouble| Err(trouble.into())));
        }
        returned
    }

    fn broken(&self, reason: &str) -> Trouble {
        Trouble::Broken {
            host: self.host.shown(),
            reason: reason.to_owned(),
        }
    }
}

/// Sends one message; resolves with the broker's answer.
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

/// The body for one of the topics. Only batches that have it are sent.
fn notification(batch: &Batch, topic: usize) -> Cow<'_, [u8]> {
    let body = batch.encoded(&OsloNotification).unwrap_or_default();
    OsloNotification::for_topic(body, topic)
}

/// As oslo.messaging sets them.
fn properties() -> BasicProperties {
    const PERSISTENT: u8 = 2;
    BasicProperties::default()
        .with_content_type("application/json".into())
        .with_content_encoding("utf-8".into())
        .with_headers(FieldTable::default())
        .with_delivery_mode(PERSISTENT)
        .with_priority(0)
}

/// What an error means. The broker's own words may come a moment later than the error that they cause.
async fn reason(
    error: &lapin::Error,
    events: &mut Pin<Box<dyn Stream<Item = Event> + Send>>,
    host: &Host,
    settings: &Settings,
) -> Trouble {
    if matches!(
        error.kind(),
        ErrorKind::InvalidChannelState(..) | ErrorKind::InvalidConnectionState(_)
    ) {
        let until = Instant::now() + REASON;
        while let Ok(Some(event)) = timeout_at(until, events.next()).await {
            if let Event::Error(error) = event {
                return Trouble::of(&error, host, settings);
            }
        }
    }
    Trouble::of(error, host, settings)
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Tells people, once for each thing, that something is there with other properties.
pub(crate) fn warn_differs(publisher: &str, kind: &str, name: &str) {
    warn!(
        publisher,
        "the {kind} `{name}` exists with other properties and is used as it is: set `durable`, `auto_delete` and \
         `quorum` as those who consume have them"
    );
}
