//! A hand-over that waits for room in a lane.

use std::sync::Arc;

use nephoscope_model::Batch;
use tokio::time::{Instant, timeout_at};

use super::Lane;
use crate::receipt::Ticket;

/// A batch that found no room yet.
#[must_use = "a batch that is not waited for is lost"]
pub(crate) struct Offered {
    lane: Arc<Lane>,
    batch: Arc<Batch>,
    /// Taken when the batch is queued or lost.
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

    /// Waits for room: as long as the publisher takes batches, and then for [`NotifierOptions::patience`]. After that
    /// the publisher counts as blocked and its oldest batches make room.
    ///
    /// [`NotifierOptions::patience`]: crate::NotifierOptions::patience
    pub(crate) async fn wait(mut self) {
        let lane = self.lane.clone();
        loop {
            let mut room = std::pin::pin!(lane.room.notified());
            // Registered before looking: room that is made in between is not missed.
            room.as_mut().enable();
            let Some(patient_until) = self.try_enter() else {
                return;
            };
            if timeout_at(patient_until, room).await.is_err() {
                let began = self.began;
                lane.act(|machine, _, now| machine.lose_patience(began, now));
            }
        }
    }

    /// Queues the batch if there is room, or if there is no use in waiting; else says how long to wait.
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
    /// Whoever handed the batch over went away: the batch is lost to this publisher, and counted.
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        let samples = self.batch.len();
        self.lane
            .act(|machine, _, now| machine.withdraw(samples, ticket, now));
    }
}
