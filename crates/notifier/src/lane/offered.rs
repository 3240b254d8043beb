//! A submission that waits for room in a lane.

use std::sync::Arc;

use nephoscope_model::Batch;
use tokio::time::{Instant, timeout_at};

use super::Lane;
use crate::receipt::Ticket;

/// A submitted batch without room yet.
#[must_use = "dropping it drops the batch"]
pub(crate) struct Offered {
    lane: Arc<Lane>,
    batch: Arc<Batch>,
    /// None once the batch is queued or lost.
    ticket: Option<Ticket>,
    began: Instant,
}

impl Offered {
    pub(super) fn new(lane: Arc<Lane>, batch: Arc<Batch>, ticket: Option<Ticket>, began: Instant) -> Self {
        Self {
            lane,
            batch,
            ticket,
            began,
        }
    }

    /// Waits for room: as long as the publisher makes progress, and then for [`NotifierOptions::full_queue_timeout`]. After
    /// that the publisher counts as blocked and its oldest batches are dropped to make room.
    ///
    /// [`NotifierOptions::full_queue_timeout`]: crate::NotifierOptions::full_queue_timeout
    pub(crate) async fn wait(mut self) {
        let lane = self.lane.clone();
        loop {
            let mut room = std::pin::pin!(lane.room.notified());
            // Enabled before the check, so that no notification in between is missed.
            room.as_mut().enable();
            let Some(wait_until) = self.try_enter() else {
                return;
            };
            if timeout_at(wait_until, room).await.is_err() {
                let began = self.began;
                lane.act(|machine, _, now| machine.wait_expired(began, now));
            }
        }
    }

    /// Queues the batch if there is room or the publisher is blocked; otherwise returns until when to wait.
    fn try_enter(&mut self) -> Option<Instant> {
        let lane = &self.lane;
        let (wait, effects) = lane.state.lock().machine.enter(
            &self.batch,
            &mut self.ticket,
            self.began,
            lane.storage(),
            Instant::now(),
        );
        lane.apply(effects);
        wait
    }
}

impl Drop for Offered {
    /// Drops the batch, and counts it as lost: the submitter was cancelled.
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        let samples = self.batch.len();
        self.lane
            .act(|machine, _, now| machine.withdraw(samples, ticket, now));
    }
}
