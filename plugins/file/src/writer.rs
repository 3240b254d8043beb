//! A thread that writes batches one after the other, and the publisher's way to it.
//!
//! Starting a thread for each batch would cost more than the write. A write that hangs holds up this thread
//! alone; batches that come meanwhile are turned away after [`TURN`], unwritten.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use nephoscope_model::Batch;
use nephoscope_plugin::PublishError;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

/// How long a batch waits for the write before it, which the notifier has given up. An operator who reads
/// that this was reached should look at what is written to: a dead NFS server, a reader that stands still.
const TURN: Duration = Duration::from_secs(5);

/// What batches are written to.
pub(crate) trait Target: Send + 'static {
    /// Writes a batch. May block.
    fn write(&mut self, batch: &Batch) -> Result<(), PublishError>;
}

/// Writes batches to a target on a thread of its own, which starts with the first batch.
pub(crate) struct Writer<T: Target> {
    name: String,
    make: Box<dyn Fn() -> T + Send + Sync>,
    /// Held by the batch that is written.
    turn: Arc<Semaphore>,
    jobs: Mutex<Option<SyncSender<Job>>>,
}

/// A batch and who waits for it.
struct Job {
    batch: Arc<Batch>,
    done: oneshot::Sender<Result<(), PublishError>>,
    _turn: OwnedSemaphorePermit,
}

impl<T: Target> Writer<T> {
    /// `name` is the publisher's; `make` gives the target, once for each thread.
    pub(crate) fn new(name: &str, make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        Self {
            name: format!("publish-{name}"),
            make: Box::new(make),
            turn: Arc::new(Semaphore::new(1)),
            jobs: Mutex::new(None),
        }
    }

    /// Has a batch written. When this future is dropped before the batch's turn, it is not written.
    pub(crate) async fn write(&self, batch: Arc<Batch>) -> Result<(), PublishError> {
        let Ok(Ok(turn)) = timeout(TURN, self.turn.clone().acquire_owned()).await else {
            return Err(PublishError::retry("the write before still hangs"));
        };
        let (done, result) = oneshot::channel();
        self.hand_over(Job {
            batch,
            done,
            _turn: turn,
        })?;
        match result.await {
            Ok(result) => result,
            Err(_) => Err(PublishError::retry("the writing thread ended in a panic")),
        }
    }

    /// Lets the thread end after the batch in hand.
    pub(crate) fn close(&self) {
        self.jobs.lock().take();
    }

    fn hand_over(&self, job: Job) -> Result<(), PublishError> {
        let mut jobs = self.jobs.lock();
        let job = match &*jobs {
            None => job,
            Some(thread) => match thread.try_send(job) {
                Ok(()) => return Ok(()),
                // The thread panicked; the next one starts afresh. (Whose turn it is finds the queue empty.)
                Err(TrySendError::Disconnected(job) | TrySendError::Full(job)) => job,
            },
        };
        let (thread, queue) = sync_channel(1);
        let target = (self.make)();
        std::thread::Builder::new()
            .name(self.name.clone())
            .spawn(move || work(target, &queue))
            .map_err(|error| PublishError::retry_because("no thread could be started", error))?;
        // A new queue has a place.
        let _ = thread.try_send(job);
        *jobs = Some(thread);
        Ok(())
    }
}

fn work(mut target: impl Target, queue: &Receiver<Job>) {
    while let Ok(job) = queue.recv() {
        // Nobody waits any more: the notifier will come with this batch again.
        if job.done.is_closed() {
            continue;
        }
        let result = target.write(&job.batch);
        let _ = job.done.send(result);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nephoscope_plugin::testing::batch;

    /// Writes when the test lets it, and says how many samples it wrote.
    struct Gate {
        open: Receiver<()>,
        wrote: SyncSender<usize>,
    }

    impl Target for Gate {
        fn write(&mut self, batch: &Batch) -> Result<(), PublishError> {
            self.open.recv().unwrap();
            self.wrote.send(batch.samples().len()).unwrap();
            Ok(())
        }
    }

    fn gate() -> (Writer<Gate>, SyncSender<()>, Receiver<usize>) {
        let (open, gate) = sync_channel(8);
        let (wrote, written) = sync_channel(8);
        let made = Mutex::new(Some(Gate { open: gate, wrote }));
        let writer = Writer::new("test", move || made.lock().take().unwrap());
        (writer, open, written)
    }

    #[tokio::test(start_paused = true)]
    async fn a_hung_write_turns_the_batches_behind_it_away() {
        let (writer, open, written) = gate();
        let writer = Arc::new(writer);
        let first = tokio::spawn({
            let writer = writer.clone();
            async move { writer.write(batch(1)).await }
        });
        while writer.turn.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let second = writer.write(batch(2)).await.unwrap_err();
        assert_eq!(second.to_string(), "the write before still hangs");
        // The notifier gives the first up; it is written all the same when the file system comes back.
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        open.send(()).unwrap();
        open.send(()).unwrap();
        while writer.turn.available_permits() == 0 {
            tokio::task::yield_now().await;
        }
        writer.write(batch(3)).await.unwrap();
        assert_eq!(written.try_iter().collect::<Vec<_>>().last(), Some(&3));
    }

    #[tokio::test]
    async fn after_a_panic_the_next_batch_finds_a_new_thread() {
        struct Fragile(bool);
        impl Target for Fragile {
            fn write(&mut self, _: &Batch) -> Result<(), PublishError> {
                assert!(self.0, "boom");
                Ok(())
            }
        }
        let second = std::sync::atomic::AtomicBool::new(false);
        let writer = Writer::new("test", move || {
            Fragile(second.swap(true, std::sync::atomic::Ordering::SeqCst))
        });
        let error = writer.write(batch(1)).await.unwrap_err();
        assert_eq!(error.to_string(), "the writing thread ended in a panic");
        // The reply was dropped while the thread unwinds: its queue may live a moment longer.
        while writer.write(batch(1)).await.is_err() {}
    }
}
