//! What a lane asks of its spool.

use std::sync::Arc;

use nephoscope_model::{Batch, Encoding};

use crate::receipt::Ticket;
use crate::spool::{Next, Order, Spool, SpoolMode, Takes};

/// The part of a [`Spool`] that decides with a lane where a batch goes. Every call returns at once.
pub(crate) trait Storage {
    /// Whether it takes batches at present.
    fn takes(&self) -> bool;
    /// Which batches go through it.
    fn mode(&self) -> SpoolMode;
    /// In which order batches leave it.
    fn order(&self) -> Order;
    /// Takes a batch, and its ticket, if there is room: up to `bound` samples may be on their way into it.
    fn offer(
        &self,
        batch: &Arc<Batch>,
        encoding: &Arc<dyn Encoding>,
        ticket: &mut Option<Ticket>,
        bound: usize,
    ) -> bool;
    /// Whether it has something that is not under way.
    fn has_backlog(&self) -> bool;
    /// What leaves next.
    fn next(&self) -> Next;
    /// How many batches should be ready, and which. Where others are wanted than before, `under_way` gives the numbers of
    /// those that were read and are not delivered.
    fn serve(&self, want: usize, takes: &Takes, under_way: &mut dyn FnMut() -> Vec<u64>);
    /// A batch that was stored is delivered.
    fn done(&self, number: u64, samples: usize);
    /// A batch is rejected for good.
    fn refuse(
        &self,
        number: Option<u64>,
        batch: Arc<Batch>,
        encoding: Option<Arc<dyn Encoding>>,
        reason: String,
    );
    /// An outage has ended.
    fn turn_over(&self);
}

impl Storage for Spool {
    fn takes(&self) -> bool {
        Spool::takes(self)
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

    fn serve(&self, want: usize, takes: &Takes, under_way: &mut dyn FnMut() -> Vec<u64>) {
        Spool::serve(self, want, takes.clone(), under_way);
    }

    fn done(&self, number: u64, samples: usize) {
        Spool::done(self, number, samples);
    }

    fn refuse(
        &self,
        number: Option<u64>,
        batch: Arc<Batch>,
        encoding: Option<Arc<dyn Encoding>>,
        reason: String,
    ) {
        Spool::refuse(self, number, batch, encoding, reason);
    }

    fn turn_over(&self) {
        Spool::turn_over(self);
    }
}
