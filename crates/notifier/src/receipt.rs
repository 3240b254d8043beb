//! The outcome of a batch: a ticket for each publisher, and a receipt for all of them.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The outcome of a batch, ordered from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Every publisher delivered it.
    Delivered,
    /// Every publisher delivered it or stored it in its spool, as durably as the spool's `fsync` option provides.
    Stored,
    /// At least one publisher lost it: it was dropped at the queue's limit or at a stop, rejected by the destination, or the
    /// spool could not make it durable.
    Dropped,
}

/// The pending outcome of a batch. It may be dropped to ignore the outcome.
///
/// A receipt stays open as long as a publisher retries: use a deadline when waiting for it.
#[derive(Debug)]
#[must_use = "drop it to ignore the outcome"]
pub struct Receipt(Arc<Shared>);

impl Receipt {
    /// Creates an open receipt and its first ticket.
    pub(crate) fn open() -> (Self, Ticket) {
        let shared = Arc::new(Shared(Mutex::new(Stage::Open {
            tickets: 1,
            worst: Outcome::Delivered,
            listener: Listener::None,
        })));
        (Self(shared.clone()), Ticket(Some(shared)))
    }

    /// Waits for the outcome: [`Outcome::Delivered`] or [`Outcome::Stored`] when every publisher has delivered or stored the
    /// batch, [`Outcome::Dropped`] as soon as one has lost it.
    pub async fn outcome(self) -> Outcome {
        poll_fn(|context| self.0.poll(context)).await
    }

    /// The outcome, if it is already known.
    pub fn known(&self) -> Option<Outcome> {
        match *self.0.0.lock() {
            Stage::Open { .. } => None,
            Stage::Resolved(outcome) => Some(outcome),
        }
    }
}

/// One publisher's part of a receipt. Dropping a ticket without resolving it marks the batch as lost, so that no receipt stays
/// open without an owner.
#[derive(Debug)]
pub(crate) struct Ticket(Option<Arc<Shared>>);

impl Ticket {
    /// Creates another ticket of the same receipt.
    pub(crate) fn another(&self) -> Self {
        if let Some(shared) = &self.0
            && let Stage::Open { tickets, .. } = &mut *shared.0.lock()
        {
            *tickets += 1;
        }
        Self(self.0.clone())
    }

    /// Resolves the ticket as delivered.
    pub(crate) fn confirm(mut self) {
        if let Some(shared) = self.0.take() {
            shared.settle(Outcome::Delivered);
        }
    }

    /// Resolves the ticket as stored in the publisher's spool.
    pub(crate) fn store(mut self) {
        if let Some(shared) = self.0.take() {
            shared.settle(Outcome::Stored);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(shared) = self.0.take() {
            shared.settle(Outcome::Dropped);
        }
    }
}

#[derive(Debug)]
struct Shared(Mutex<Stage>);

#[derive(Debug)]
enum Stage {
    Open {
        tickets: usize,
        worst: Outcome,
        listener: Listener,
    },
    Resolved(Outcome),
}

/// The waiter of a receipt; at most one, since waiting consumes the receipt.
#[derive(Debug)]
enum Listener {
    None,
    Task(Waker),
    Set(Arc<SetShared>),
}

impl Shared {
    fn settle(&self, outcome: Outcome) {
        let (listener, outcome) = {
            let mut stage = self.0.lock();
            let Stage::Open {
                tickets,
                worst,
                listener,
            } = &mut *stage
            else {
                return;
            };
            *tickets -= 1;
            let outcome = outcome.max(*worst);
            if outcome != Outcome::Dropped && *tickets > 0 {
                *worst = outcome;
                return;
            }
            let listener = std::mem::replace(listener, Listener::None);
            *stage = Stage::Resolved(outcome);
            (listener, outcome)
        };
        match listener {
            Listener::None => {}
            Listener::Task(waker) => waker.wake(),
            Listener::Set(set) => set.settle(outcome),
        }
    }

    fn poll(&self, context: &Context<'_>) -> Poll<Outcome> {
        match &mut *self.0.lock() {
            Stage::Resolved(outcome) => Poll::Ready(*outcome),
            Stage::Open { listener, .. } => {
                *listener = Listener::Task(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// A set of receipts. It holds a count and the worst outcome instead of the receipts, so that its size does not grow.
#[derive(Debug)]
pub struct ReceiptSet(Arc<SetShared>);

#[derive(Debug)]
struct SetShared {
    state: Mutex<SetState>,
    settled: Notify,
}

#[derive(Debug)]
struct SetState {
    open: usize,
    worst: Outcome,
}

impl Default for ReceiptSet {
    fn default() -> Self {
        Self::new()
    }
}

impl ReceiptSet {
    /// An empty set; its outcome is [`Outcome::Delivered`].
    pub fn new() -> Self {
        Self(Arc::new(SetShared {
            state: Mutex::new(SetState {
                open: 0,
                worst: Outcome::Delivered,
            }),
            settled: Notify::new(),
        }))
    }

    /// Adds a receipt.
    pub fn add(&self, receipt: Receipt) {
        // Counted first: the receipt may resolve on another thread as soon as its listener is set.
        self.0.state.lock().open += 1;
        let known = match &mut *receipt.0.0.lock() {
            Stage::Resolved(outcome) => Some(*outcome),
            Stage::Open { listener, .. } => {
                *listener = Listener::Set(self.0.clone());
                None
            }
        };
        if let Some(outcome) = known {
            self.0.settle(outcome);
        }
    }

    /// The number of open receipts.
    pub fn open(&self) -> usize {
        self.0.state.lock().open
    }

    /// Waits until no receipt is open and returns the worst outcome. Use a deadline, as for a single receipt.
    pub async fn outcome(&self) -> Outcome {
        loop {
            let mut settled = std::pin::pin!(self.0.settled.notified());
            // Enabled before the check, so that no notification in between is missed.
            settled.as_mut().enable();
            {
                let state = self.0.state.lock();
                if state.open == 0 {
                    return state.worst;
                }
            }
            settled.await;
        }
    }
}

impl SetShared {
    fn settle(&self, outcome: Outcome) {
        let last = {
            let mut state = self.state.lock();
            state.open -= 1;
            state.worst = state.worst.max(outcome);
            state.open == 0
        };
        if last {
            self.settled.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn a_batch_is_delivered_when_every_publisher_has_confirmed_it() {
        let (receipt, first) = Receipt::open();
        let second = first.another();
        first.confirm();
        assert_eq!(receipt.known(), None);
        second.confirm();
        assert_eq!(receipt.outcome().await, Outcome::Delivered);
    }

    #[tokio::test]
    async fn one_loss_resolves_the_receipt() {
        let (receipt, first) = Receipt::open();
        let second = first.another();
        drop(first);
        assert_eq!(receipt.known(), Some(Outcome::Dropped));
        second.confirm();
        assert_eq!(receipt.outcome().await, Outcome::Dropped);
    }

    #[tokio::test]
    async fn stored_ranks_between_delivered_and_dropped() {
        for (last, expected) in [(true, Outcome::Stored), (false, Outcome::Dropped)] {
            let (receipt, first) = Receipt::open();
            let (second, third) = (first.another(), first.another());
            first.confirm();
            second.store();
            assert_eq!(receipt.known(), None);
            if last {
                third.confirm();
            } else {
                drop(third);
            }
            assert_eq!(receipt.outcome().await, expected);
        }
    }

    #[tokio::test]
    async fn a_waiting_task_is_woken() {
        let (receipt, ticket) = Receipt::open();
        let waiting = tokio::spawn(receipt.outcome());
        tokio::task::yield_now().await;
        ticket.confirm();
        assert_eq!(waiting.await.unwrap(), Outcome::Delivered);
    }

    #[tokio::test]
    async fn a_receipt_may_be_dropped() {
        let (receipt, ticket) = Receipt::open();
        drop(receipt);
        ticket.confirm();
    }

    #[tokio::test]
    async fn a_set_returns_the_worst_outcome_when_all_receipts_are_resolved() {
        let set = ReceiptSet::new();
        assert_eq!(set.outcome().await, Outcome::Delivered, "an empty set");
        let (receipts, mut tickets): (Vec<_>, Vec<_>) = (0..100).map(|_| Receipt::open()).unzip();
        tickets.remove(0).confirm();
        receipts.into_iter().for_each(|receipt| set.add(receipt));
        assert_eq!(set.open(), 99);
        drop(tickets.remove(0));
        assert_eq!(set.outcome().now_or_never(), None, "others are still open");
        let mut waiting = std::pin::pin!(set.outcome());
        assert_eq!(waiting.as_mut().now_or_never(), None);
        tickets.into_iter().for_each(Ticket::confirm);
        assert_eq!(waiting.await, Outcome::Dropped);
    }
}
