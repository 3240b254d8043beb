//! Calls to etcd, each with a deadline, at any endpoint that answers.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use etcd_client::{Client, Error, GetOptions, LeaseGrantOptions, LeaseTimeToLiveOptions, ResponseHeader};
use futures::stream::{FuturesUnordered, StreamExt as _};
use nephoscope_model::Histogram;
use nephoscope_plugin::Backoff;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use uuid::Uuid;

use super::endpoint::{Connection, Endpoint};
use super::entry::{Entry, Snapshot};
use super::error::{self, Failed, Retry, StoreError};
use super::history::{Baseline, History};
use super::numbers::{LeaseId, Revision};
use super::options::StoreOptions;
use super::transaction::{Outcome, Transaction, Write};

/// The maximum number of keys in one read. A pool of a thousand members on a hundred schedules has fewer.
pub const MAX_READ_KEYS: usize = 250_000;

/// The maximum number of bytes of keys and values in one read.
pub const MAX_READ_BYTES: usize = 64 * 1024 * 1024;

/// The number of keys in one page; fewer, if they do not fit into a message.
const PAGE: i64 = 1_000;

/// The number of attempts at a read whose revision is compacted between two pages.
const MAX_READ_ATTEMPTS: usize = 3;

/// The time without an answer after which the next endpoint is tried in parallel. The first answer to a read is used.
const HEDGE_DELAY: Duration = Duration::from_millis(200);

/// The pauses between two rounds through all endpoints.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));

/// A client of etcd. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: Arc<StoreOptions>,
    endpoints: Vec<Arc<Endpoint>>,
    /// The index of the endpoint that answered last.
    preferred: AtomicUsize,
    history: History,
    /// The durations of requests. A request waits for the network, so that this lock costs nothing.
    durations: Mutex<Histogram>,
}

/// An answer of etcd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    /// The result.
    pub value: T,
    /// The revision of the store.
    pub revision: Revision,
}

/// A running attempt: the endpoint's index and the result.
type Attempt<'a, T> = Pin<Box<dyn Future<Output = (usize, Result<(Connection, T), Failed>)> + Send + 'a>>;

impl Store {
    /// Creates a store without opening a connection.
    pub fn new(options: StoreOptions) -> Self {
        let endpoints: Vec<_> = options
            .endpoints
            .iter()
            .map(|url| Arc::new(Endpoint::new(url)))
            .collect();
        // Distributes agents over the endpoints.
        let first = Uuid::new_v4().as_u128() as usize % endpoints.len().max(1);
        Self {
            shared: Arc::new(Shared {
                options: Arc::new(options),
                endpoints,
                preferred: AtomicUsize::new(first),
                history: History::new(),
                durations: Mutex::new(Histogram::of_durations()),
            }),
        }
    }

    /// Returns the time limit of one call.
    pub fn request_timeout(&self) -> Duration {
        self.shared.options.request_timeout
    }

    /// Returns the id of etcd's cluster, once etcd has answered.
    pub fn cluster(&self) -> Option<u64> {
        self.shared.history.cluster()
    }

    /// Returns the durations of requests, each from its first attempt to its response or its failure at the last endpoint.
    pub fn request_durations(&self) -> Histogram {
        self.shared.durations.lock().clone()
    }

    /// Reads a key (linearizable).
    ///
    /// # Errors
    ///
    /// [`StoreError`]
    pub async fn get(&self, key: &[u8]) -> Result<Answer<Option<Entry>>, StoreError> {
        let before = self.baseline();
        let get = |mut client: Client| async move { client.get(key, None).await };
        let (_, mut response) = self.send(get).await?;
        let revision = self.check(before, response.header(), true)?;
        let value = response.take_kvs().into_iter().next().map(Entry::from);
        Ok(Answer { value, revision })
    }

    /// Reads all entries under a prefix at one revision (linearizable), in as many pages as needed.
    ///
    /// # Errors
    ///
    /// [`StoreError::TooLarge`] beyond [`MAX_READ_KEYS`] or [`MAX_READ_BYTES`].
    pub async fn range(&self, prefix: &[u8]) -> Result<Snapshot, StoreError> {
        self.ranges(&[prefix]).await
    }

    /// Reads all entries under several prefixes, none of which contains another, at one revision. See [`Store::range`].
    ///
    /// # Errors
    ///
    /// As [`Store::range`]; the limits apply to each prefix.
    pub async fn ranges(&self, prefixes: &[impl AsRef<[u8]> + Sync]) -> Result<Snapshot, StoreError> {
        let mut outcome = Err(StoreError::Compacted);
        for _ in 0..MAX_READ_ATTEMPTS {
            outcome = self.consistent_ranges(prefixes).await;
            if !matches!(outcome, Err(StoreError::Compacted)) {
                break;
            }
        }
        outcome
    }

    async fn consistent_ranges(&self, prefixes: &[impl AsRef<[u8]> + Sync]) -> Result<Snapshot, StoreError> {
        let mut all = Snapshot::default();
        for prefix in prefixes {
            let part = self.pages(prefix.as_ref(), all.revision).await?;
            all.revision = part.revision;
            all.entries.extend(part.entries);
        }
        Ok(all)
    }

    /// Reads at a revision, or at the current one if it is 0.
    async fn pages(&self, prefix: &[u8], revision: Revision) -> Result<Snapshot, StoreError> {
        let end = end_of(prefix);
        let mut snapshot = Snapshot {
            entries: Vec::new(),
            revision,
        };
        let (mut start, mut page, mut bytes) = (prefix.to_vec(), PAGE, 0_usize);
        let too_large = |limit| StoreError::TooLarge {
            under: String::from_utf8_lossy(prefix).into_owned(),
            limit,
        };
        loop {
            let before = self.baseline();
            let mut options = GetOptions::new().with_range(end.clone()).with_limit(page);
            if snapshot.revision > 0 {
                options = options.with_revision(snapshot.revision);
            }
            let get = |mut client: Client| {
                let (start, options) = (start.clone(), options.clone());
                async move { client.get(start, Some(options)).await }
            };
            let mut response = match self.send(get).await {
                Ok((_, response)) => response,
                // The values are large: use smaller pages.
                Err(StoreError::TooLarge { .. }) if page > 1 => {
                    page = (page / 4).max(1);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let revision = self.check(before, response.header(), true)?;
            if snapshot.revision == 0 {
                snapshot.revision = revision;
            }
            let more = response.more();
            for entry in response.take_kvs().into_iter().map(Entry::from) {
                bytes += entry.key.len() + entry.value.len();
                if bytes > MAX_READ_BYTES {
                    return Err(too_large("64 MiB"));
                }
                if snapshot.entries.len() == MAX_READ_KEYS {
                    return Err(too_large("250,000 keys"));
                }
                snapshot.entries.push(entry);
            }
            match snapshot.entries.last() {
                Some(last) if more => {
                    start = last.key.clone();
                    start.push(0);
                }
                _ => return Ok(snapshot),
            }
        }
    }

    /// Writes a value unconditionally.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the write may still have been executed ([`StoreError::may_have_happened`]).
    pub async fn put(
        &self,
        key: &[u8],
        value: &[u8],
        lease: Option<LeaseId>,
    ) -> Result<Revision, StoreError> {
        let write = Write::Put {
            key: key.to_vec(),
            value: value.to_vec(),
            lease,
        };
        let transaction = Transaction {
            writes: vec![write],
            ..Transaction::default()
        };
        Ok(self.transact(transaction).await?.revision)
    }

    /// Executes writes in one transaction if its conditions hold.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the writes may still have been executed ([`StoreError::may_have_happened`]).
    pub async fn transact(&self, transaction: Transaction) -> Result<Answer<Outcome>, StoreError> {
        let before = self.baseline();
        let response = self.write(|mut client| {
            let transaction = transaction.clone();
            async move { client.txn(transaction.into()).await }
        });
        let response = response.await?;
        let revision = self.check(before, response.header(), true)?;
        let value = Outcome::from(&response);
        Ok(Answer { value, revision })
    }

    /// Grants a lease. Returns it and its TTL: at least the requested one, in whole seconds.
    ///
    /// # Errors
    ///
    /// [`StoreError`]
    pub async fn grant(&self, ttl: Duration) -> Result<(LeaseId, Duration), StoreError> {
        let before = self.baseline();
        // With a client-chosen id the grant can be repeated: it is the same lease.
        let id = LeaseId((Uuid::new_v4().as_u128() as i64 & i64::MAX).max(1));
        let seconds = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
        let granted = self.send(move |mut client| async move {
            let options = LeaseGrantOptions::new().with_id(id.0);
            let requested = i64::try_from(seconds).unwrap_or(i64::MAX);
            match client.lease_grant(requested, Some(options)).await {
                Err(error) if error::lease_exists(&error) => Ok((None, requested)),
                Err(error) => Err(error),
                Ok(mut granted) => Ok((granted.take_header(), granted.ttl())),
            }
        });
        let (_, (header, granted)) = granted.await?;
        self.check(before, header.as_ref(), false)?;
        Ok((id, Duration::from_secs(u64::try_from(granted).unwrap_or(seconds))))
    }

    /// Revokes a lease and deletes its keys. A missing lease is not an error.
    ///
    /// # Errors
    ///
    /// [`StoreError`]
    pub async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        let revoked = self.send(move |mut client| async move { client.lease_revoke(lease.0).await });
        match revoked.await {
            Ok(_) | Err(StoreError::LeaseGone) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Returns the remaining time of a lease in whole seconds; `None` if it does not exist.
    ///
    /// # Errors
    ///
    /// [`StoreError`]
    pub async fn time_to_live(&self, lease: LeaseId) -> Result<Option<Duration>, StoreError> {
        let before = self.baseline();
        let answer = self.send(move |mut client| async move {
            client
                .lease_time_to_live(lease.0, Some(LeaseTimeToLiveOptions::new()))
                .await
        });
        match answer.await {
            Ok((_, answer)) => {
                self.check(before, answer.header(), false)?;
                Ok(u64::try_from(answer.ttl()).ok().map(Duration::from_secs))
            }
            Err(StoreError::LeaseGone) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the time since a lease was granted or kept alive, in whole seconds; `None` if it does not exist.
    ///
    /// # Errors
    ///
    /// [`StoreError`]
    pub async fn lease_age(&self, lease: LeaseId) -> Result<Option<Duration>, StoreError> {
        let answer = self.send(move |mut client| async move {
            client
                .lease_time_to_live(lease.0, Some(LeaseTimeToLiveOptions::new()))
                .await
        });
        match answer.await {
            Ok((_, answer)) if answer.ttl() >= 0 => {
                let age = answer.granted_ttl().saturating_sub(answer.ttl());
                Ok(Some(Duration::from_secs(u64::try_from(age).unwrap_or(0))))
            }
            Ok(_) | Err(StoreError::LeaseGone) => Ok(None),
            Err(error) => Err(error),
        }
    }

    // ---- for the store's other modules

    pub(super) fn baseline(&self) -> Baseline {
        self.shared.history.baseline()
    }

    pub(super) fn history(&self) -> watch::Receiver<u64> {
        self.shared.history.number()
    }

    /// Compares an answer with the known history and returns its revision.
    pub(super) fn check(
        &self,
        before: Baseline,
        header: Option<&ResponseHeader>,
        linearizable: bool,
    ) -> Result<Revision, StoreError> {
        self.shared.history.check(before, header, linearizable)?;
        Ok(header.map_or(0, ResponseHeader::revision))
    }

    pub(super) fn has_several_endpoints(&self) -> bool {
        self.shared.endpoints.len() > 1
    }

    /// Classifies a stream's error, and marks the connection as broken if it is.
    pub(super) fn failed(&self, connection: &Connection, error: &Error) -> StoreError {
        let failed = error::failed(error, self.url(connection.endpoint));
        if matches!(failed.retry, Retry::Reconnect | Retry::Authenticate) {
            connection.broken.cancel();
        }
        failed.error
    }

    pub(super) fn url(&self, endpoint: usize) -> &str {
        self.shared
            .endpoints
            .get(endpoint)
            .map_or("etcd", |endpoint| &endpoint.url)
    }

    /// Sends an idempotent request to one endpoint after the other, starting with the one that answered last, until one
    /// answers or the time is over.
    pub(super) async fn send<T, F, R>(&self, request: F) -> Result<(Connection, T), StoreError>
    where
        T: Send,
        F: Fn(Client) -> R + Send + Sync,
        R: Future<Output = Result<T, Error>> + Send,
    {
        let began = Instant::now();
        let result = self.send_until(began + self.request_timeout(), request).await;
        self.count_request(began);
        result
    }

    fn count_request(&self, began: Instant) {
        self.shared.durations.lock().add(began.elapsed().as_secs_f64());
    }

    pub(super) async fn send_until<T, F, R>(
        &self,
        deadline: Instant,
        request: F,
    ) -> Result<(Connection, T), StoreError>
    where
        T: Send,
        F: Fn(Client) -> R + Send + Sync,
        R: Future<Output = Result<T, Error>> + Send,
    {
        let count = self.shared.endpoints.len();
        let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
        let mut errors = EndpointErrors::default();
        for round in 1.. {
            let first = self.shared.preferred.load(Ordering::Relaxed);
            let mut running: FuturesUnordered<Attempt<'_, T>> = FuturesUnordered::new();
            let mut waiting = (0..count).map(|offset| (first + offset) % count);
            running.extend(
                waiting
                    .next()
                    .map(|index| self.attempt(index, deadline, &request)),
            );
            let mut next_at = Instant::now() + HEDGE_DELAY;
            while !running.is_empty() {
                let (index, result) = tokio::select! {
                    Some(ended) = running.next() => ended,
                    () = sleep_until(next_at), if waiting.len() > 0 => {
                        running.extend(waiting.next().map(|index| self.attempt(index, deadline, &request)));
                        next_at = Instant::now() + HEDGE_DELAY;
                        continue;
                    }
                };
                match result {
                    Ok(answer) => {
                        self.shared.preferred.store(index, Ordering::Relaxed);
                        return Ok(answer);
                    }
                    Err(Failed {
                        error,
                        retry: Retry::Never,
                    }) => return Err(error),
                    Err(Failed { error, .. }) => errors.add(error),
                }
                if running.is_empty() {
                    running.extend(
                        waiting
                            .next()
                            .map(|index| self.attempt(index, deadline, &request)),
                    );
                }
            }
            let pause = backoff.pause(round);
            if Instant::now() + pause >= deadline {
                break;
            }
            sleep(pause).await;
        }
        Err(errors.into_error())
    }

    /// Sends one request to one endpoint, and once more if its token has expired.
    fn attempt<'a, T, F, R>(&'a self, index: usize, deadline: Instant, request: &'a F) -> Attempt<'a, T>
    where
        T: Send + 'a,
        F: Fn(Client) -> R + Send + Sync,
        R: Future<Output = Result<T, Error>> + Send + 'a,
    {
        Box::pin(async move {
            let mut result = self.request(index, deadline, request).await;
            if matches!(&result, Err(failed) if failed.retry == Retry::Authenticate) {
                result = self.request(index, deadline, request).await;
            }
            (index, result)
        })
    }

    async fn request<T, F, R>(
        &self,
        index: usize,
        deadline: Instant,
        request: &F,
    ) -> Result<(Connection, T), Failed>
    where
        F: Fn(Client) -> R,
        R: Future<Output = Result<T, Error>>,
    {
        let connection = self.connection(index, deadline).await?;
        let began = Instant::now();
        match timeout_at(deadline, request(connection.client.clone())).await {
            Ok(Ok(answer)) => Ok((connection, answer)),
            Ok(Err(error)) => {
                let failed = error::failed(&error, self.url(index));
                if matches!(failed.retry, Retry::Reconnect | Retry::Authenticate) {
                    connection.broken.cancel();
                }
                Err(failed)
            }
            Err(_) => {
                connection.broken.cancel();
                Err(Failed {
                    error: StoreError::timed_out(self.url(index), began.elapsed()),
                    retry: Retry::Reconnect,
                })
            }
        }
    }

    async fn connection(&self, index: usize, deadline: Instant) -> Result<Connection, Failed> {
        let shared = &self.shared;
        let Some(endpoint) = shared.endpoints.get(index) else {
            let reason = "no endpoint is configured".to_owned();
            return Err(Failed {
                error: StoreError::Unreachable { reason },
                retry: Retry::Never,
            });
        };
        let connection = endpoint.connection(index, &shared.options, deadline).await;
        connection.map_err(|error| {
            // A wrong password is wrong at every endpoint, and each attempt is expensive for etcd.
            let retry = if matches!(error, StoreError::Credentials { .. }) {
                Retry::Never
            } else {
                Retry::Reconnect
            };
            Failed { error, retry }
        })
    }

    /// Sends a write and counts its duration.
    async fn write<T, F, R>(&self, request: F) -> Result<T, StoreError>
    where
        T: Send,
        F: Fn(Client) -> R + Send + Sync,
        R: Future<Output = Result<T, Error>> + Send,
    {
        let began = Instant::now();
        let result = self.write_until(began + self.request_timeout(), request).await;
        self.count_request(began);
        result
    }

    /// Sends a write once, over a connection that is known to work. Tries another endpoint only if the write was certainly
    /// not executed.
    async fn write_until<T, F, R>(&self, deadline: Instant, request: F) -> Result<T, StoreError>
    where
        T: Send,
        F: Fn(Client) -> R + Send + Sync,
        R: Future<Output = Result<T, Error>> + Send,
    {
        let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
        let mut authenticated = false;
        for round in 1.. {
            let (connection, ()) = self.send_until(deadline, |_| async { Ok(()) }).await?;
            let index = connection.endpoint;
            let Failed { error, retry } = match self.request(index, deadline, &request).await {
                Ok((_, answer)) => return Ok(answer),
                Err(failed) => failed,
            };
            let retry_write = match retry {
                Retry::Never => false,
                Retry::Authenticate => !std::mem::replace(&mut authenticated, true),
                Retry::OtherEndpoint | Retry::Reconnect => !error.may_have_happened(),
            };
            let pause = backoff.pause(round);
            if !retry_write || Instant::now() + pause >= deadline {
                return Err(error);
            }
            if retry != Retry::Authenticate {
                self.shared.preferred.store(
                    (index + 1) % self.shared.endpoints.len().max(1),
                    Ordering::Relaxed,
                );
                sleep(pause).await;
            }
        }
        Err(EndpointErrors::default().into_error())
    }
}

/// The errors of several endpoints, of which the most informative one is reported.
#[derive(Debug, Default)]
struct EndpointErrors {
    worst: Option<StoreError>,
    unreachable: Vec<String>,
}

impl EndpointErrors {
    fn add(&mut self, error: StoreError) {
        if let StoreError::Unreachable { reason } = &error {
            if !self.unreachable.contains(reason) {
                self.unreachable.push(reason.clone());
            }
            return;
        }
        let weight = |error: &StoreError| match error {
            StoreError::Unanswered { .. } => 2,
            StoreError::NoLeader { .. } => 1,
            _ => 3,
        };
        if self
            .worst
            .as_ref()
            .is_none_or(|worst| weight(worst) < weight(&error))
        {
            self.worst = Some(error);
        }
    }

    fn into_error(self) -> StoreError {
        self.worst.unwrap_or_else(|| StoreError::Unreachable {
            reason: self.unreachable.join("; "),
        })
    }
}

/// Returns the end of the range of keys that begin with `prefix`.
pub(super) fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return end;
        }
    }
    // All keys from the prefix on.
    vec![0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd::options::TlsFiles;

    #[tokio::test(start_paused = true)]
    async fn the_duration_of_a_request_is_in_its_bucket() {
        let store = Store::new(StoreOptions {
            endpoints: Vec::new(),
            user: None,
            tls: TlsFiles::default(),
            request_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(1),
        });
        // Without an endpoint, the store retries until the timeout is over, with pauses of at most 0.5 s.
        store.get(b"a").await.unwrap_err();
        let durations = store.request_durations();
        let filled: Vec<_> = durations.buckets().filter(|(_, count)| *count > 0).collect();
        assert_eq!(filled, [(5.0, 1)]);
    }

    #[test]
    fn a_range_ends_after_the_last_key_with_the_prefix() {
        assert_eq!(end_of(b"a/"), b"a0");
        assert_eq!(end_of(&[b'a', 0xff]), b"b");
        assert_eq!(end_of(&[0xff]), [0]);
        assert_eq!(end_of(b""), [0]);
    }
}
