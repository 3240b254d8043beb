//! A thread that writes batches in order, and its interface for the publisher.
//!
//! Starting a thread for each batch would cost more than the write. A hung write blocks only this thread; later batches fail
//! after [`TURN_TIMEOUT`] without being written.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use nephoscope_model::Batch;
use nephoscope_plugin::PublishError;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

/// How long a batch waits for the previous write, which the notifier has timed out. When it is reached, check the destination: a
/// dead NFS server, or a reader that does not read.
const TURN_TIMEOUT: Duration = Duration::from_secs(5);

/// The destination of batches.
pub(crate) trait Target: Send + 'static {
    /// Writes a batch. May block.
    fn write(&mut self, batch: &Batch) -> Result<(), PublishError>;
}

/// Writes batches to a target on its own thread, which starts with the first batch.
pub(crate) struct Writer<T: Target> {
    name: String,
    make: Box<dyn Fn() -> T + Send + Sync>,
    /// Acquired by the batch that is written.
    turn: Arc<Semaphore>,
    jobs: Mutex<Option<SyncSender<Job>>>,
}

/// A batch to write, and the channel for the result.
struct Job {
    batch: Arc<Batch>,
    done: oneshot::Sender<Result<(), PublishError>>,
    _turn: OwnedSemaphorePermit,
}

impl<T: Target> Writer<T> {
    /// Creates a writer. `name` is the publisher's name; `make` creates the target of a new thread.
    pub(crate) fn new(name: &str, make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        Self {
            name: format!("publish-{name}"),
            make: Box::new(make),
            turn: Arc::new(Semaphore::new(1)),
            jobs: Mutex::new(None),
        }
    }

    /// Writes a batch. It is not written if this future is dropped before its turn.
    pub(crate) async fn write(&self, batch: Arc<Batch>) -> Result<(), PublishError> {
        let Ok(Ok(turn)) = timeout(TURN_TIMEOUT, self.turn.clone().acquire_owned()).await else {
            return Err(PublishError::retry("the previous write still hangs"));
        };
        let (done, result) = oneshot::channel();
        self.send(Job {
            batch,
            done,
            _turn: turn,
        })?;
        match result.await {
            Ok(result) => result,
            Err(_) => Err(PublishError::retry("the writing thread panicked")),
        }
    }

    /// Ends the thread after the current batch.
    pub(crate) fn close(&self) {
        self.jobs.lock().take();
    }

    fn send(&self, job: Job) -> Result<(), PublishError> {
        let mut jobs = self.jobs.lock();
        let job = match &*jobs {
            None => job,
            Some(thread) => match thread.try_send(job) {
                Ok(()) => return Ok(()),
                // The thread panicked; start a new one. (The batch whose turn it is finds the queue empty.)
                Err(TrySendError::Disconnected(job) | TrySendError::Full(job)) => job,
            },
        };
        let (thread, queue) = sync_channel(1);
        let target = (self.make)();
        std::thread::Builder::new()
            .name(self.name.clone())
            .spawn(move || work(target, &queue))
            .map_err(|error| PublishError::retry_because("cannot start a thread", error))?;
        // A new queue is empty.
        let _ = thread.try_send(job);
        *jobs = Some(thread);
        Ok(())
    }
}

fn work(mut target: impl Target, queue: &Receiver<Job>) {
    while let Ok(job) = queue.recv() {
        // The publish was cancelled: the notifier will retry this batch.
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

    /// Writes when the test allows it, and reports the number of samples.
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
    async fn batches_behind_a_hung_write_fail() {
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
        assert_eq!(second.to_string(), "the previous write still hangs");
        // The notifier cancels the first batch; it is still written when the file system recovers.
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
    async fn the_next_batch_after_a_panic_starts_a_new_thread() {
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
        assert_eq!(error.to_string(), "the writing thread panicked");
        // The reply was dropped while the thread unwinds: its queue may still exist for a moment.
        while writer.write(batch(1)).await.is_err() {}
    }
}
