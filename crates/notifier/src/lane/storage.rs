//! The interface between a lane and its spool.

use std::sync::Arc;

use nephoscope_model::{Batch, Encoding};

use crate::receipt::Ticket;
use crate::spool::{AcceptedContents, Next, Order, Spool, SpoolMode};

/// The part of a [`Spool`] that a lane uses to decide where to send a batch. No call blocks.
pub(crate) trait Storage {
    /// Whether it accepts batches now.
    fn accepts(&self) -> bool;
    /// Which batches it stores.
    fn mode(&self) -> SpoolMode;
    /// The order in which it returns batches.
    fn order(&self) -> Order;
    /// Accepts a batch and takes its ticket, if there is room: at most `bound` samples may wait to be written.
    fn offer(
        &self,
        batch: &Arc<Batch>,
        encoding: &Arc<dyn Encoding>,
        ticket: &mut Option<Ticket>,
        bound: usize,
    ) -> bool;
    /// Whether it has a batch that is not in flight.
    fn has_backlog(&self) -> bool;
    /// Returns its next batch.
    fn next(&self) -> Next;
    /// Sets how many batches to prefetch, and with which contents. If the contents change, `in_flight` returns the numbers of
    /// the batches that were read and are not delivered.
    fn set_demand(
        &self,
        prefetch: usize,
        accepts: &AcceptedContents,
        in_flight: &mut dyn FnMut() -> Vec<u64>,
    );
    /// Records the delivery of a stored batch.
    fn done(&self, number: u64, samples: usize);
    /// Records the permanent rejection of a batch.
    fn reject(
        &self,
        number: Option<u64>,
        batch: Arc<Batch>,
        encoding: Option<Arc<dyn Encoding>>,
        reason: String,
    );
    /// Records the end of an outage: everything stored so far is backlog.
    fn move_to_backlog(&self);
}

impl Storage for Spool {
    fn accepts(&self) -> bool {
        Spool::accepts(self)
    }

    fn mode(&self) -> SpoolMode {
        self.options().mode
    }

    fn order(&self) -> Order {
        self.options().order
    }

    fn offer(
        &self,
        batch: &Arc<Batch>,
        encoding: &Arc<dyn Encoding>,
        ticket: &mut Option<Ticket>,
        bound: usize,
    ) -> bool {
        Spool::offer(self, batch, encoding, ticket, bound)
    }

    fn has_backlog(&self) -> bool {
        Spool::has_backlog(self)
    }

    fn next(&self) -> Next {
        Spool::next(self)
    }

    fn set_demand(
        &self,
        prefetch: usize,
        accepts: &AcceptedContents,
        in_flight: &mut dyn FnMut() -> Vec<u64>,
    ) {
        Spool::set_demand(self, prefetch, accepts.clone(), in_flight);
    }

    fn done(&self, number: u64, samples: usize) {
        Spool::done(self, number, samples);
    }

    fn reject(
        &self,
        number: Option<u64>,
        batch: Arc<Batch>,
        encoding: Option<Arc<dyn Encoding>>,
        reason: String,
    ) {
        Spool::reject(self, number, batch, encoding, reason);
    }

    fn move_to_backlog(&self) {
        Spool::move_to_backlog(self);
    }
}
