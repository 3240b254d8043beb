//! The HTTP server: bounds the number of connections and the duration of each. A connection serves one request.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use futures::future::Either;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::gate::Gate;
use crate::listener::{Connection, Listener};
use crate::routes::{Surface, router};
use crate::state::AdminState;

/// The maximum number of connections of a listener. Further connections wait until one of these ends, at the latest
/// after [`EXCHANGE_TIMEOUT`].
pub(crate) const MAX_CONNECTIONS: usize = 32;

/// The timeout for receiving a request.
pub(crate) const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// The timeout for a connection, including the response.
pub(crate) const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(15);

/// The maximum size of a request head in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// The maximum number of headers of a request.
const MAX_HEADERS: usize = 64;

/// The grace period for open requests when the agent stops.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// The pause after a failed accept, which mostly means that no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves `surface` on `listener` until `stop` is cancelled. Then finishes open requests, and returns within a second.
pub(crate) async fn serve(listener: Listener, surface: Surface, state: AdminState, stop: CancellationToken) {
    let names: Option<Arc<[String]>> = match &surface {
        Surface::Full { host_names, .. } => Some(
            host_names
                .iter()
                .map(String::as_str)
                .chain(listener.host())
                .map(str::to_owned)
                .collect(),
        ),
        Surface::MetricsOnly => None,
    };
    let router = router(surface, state);
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // The connections end when this set is dropped.
    let mut connections = JoinSet::new();
    let mut failing = false;
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = stop.run_until_cancelled(async {
            // The semaphore is never closed, so that `acquire_owned` does not fail.
            let slot = slots.clone().acquire_owned().await.ok();
            (slot, listener.accept().await)
        });
        let Some((slot, accepted)) = accepted.await else {
            break;
        };
        match accepted {
            Ok(connection) => {
                failing = false;
                let serving = serve_connection(connection, names.clone(), router.clone(), stop.clone());
                connections.spawn(async move {
                    serving.await;
                    drop(slot);
                });
            }
            Err(error) => {
                // One log line until an accept succeeds again.
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(address = listener.address(), %error, "the admin API cannot accept connections");
                }
                let _ = stop.run_until_cancelled(sleep(ACCEPT_PAUSE)).await;
            }
        }
    }
    drop(listener);
    let _ = timeout(LAST_ANSWERS, async {
        while connections.join_next().await.is_some() {}
    })
    .await;
}

async fn serve_connection(
    connection: Connection,
    names: Option<Arc<[String]>>,
    router: Router,
    stop: CancellationToken,
) {
    match connection {
        Connection::Unix(stream) => exchange(stream, Gate::local(), router, stop).await,
        Connection::Tcp(stream) => {
            let gate = match names {
                Some(names) => Gate::guarded(names, stream.local_addr().ok()),
                None => Gate::open(),
            };
            exchange(stream, gate, router, stop).await;
        }
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    gate: Gate,
    router: Router,
    stop: CancellationToken,
) {
    let inner = TowerToHyperService::new(router);
    let service = service_fn(move |request: Request<Incoming>| answer(&gate, &inner, request));
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .keep_alive(false)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let serving = async {
        tokio::select! {
            // Errors of clients are not logged.
            _ = connection.as_mut() => return,
            () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    };
    let _ = timeout(EXCHANGE_TIMEOUT, serving).await;
}

fn answer(
    gate: &Gate,
    inner: &TowerToHyperService<Router>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<Body>, Infallible>> + use<> {
    match gate.reject(&request) {
        Some(refused) => Either::Left(ready(Ok(refused))),
        None => Either::Right(inner.call(request)),
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::task::JoinHandle;

    use super::*;

    /// The size of the transport's buffer.
    const BUFFER: usize = 1024;

    fn served() -> (DuplexStream, JoinHandle<()>) {
        let (client, server) = duplex(BUFFER);
        let router = Router::new().route("/large", get(|| async { "x".repeat(1_000_000) }));
        let serving = tokio::spawn(exchange(server, Gate::open(), router, CancellationToken::new()));
        (client, serving)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_sends_no_complete_request_is_disconnected() {
        let (mut client, serving) = served();
        client.write_all(b"GET /large HT").await.unwrap();
        timeout(HEADER_TIMEOUT * 2, serving)
            .await
            .expect("the server disconnects")
            .unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert!(!answer.starts_with(b"HTTP/1.1 200"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_its_response_is_disconnected() {
        let (mut client, serving) = served();
        client
            .write_all(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        timeout(EXCHANGE_TIMEOUT * 2, serving)
            .await
            .expect("the server disconnects")
            .unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_serves_one_request() {
        let (mut client, serving) = served();
        client
            .write_all(b"GET /none HTTP/1.1\r\nhost: x\r\n\r\nGET /none HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        let mut answers = String::new();
        client.read_to_string(&mut answers).await.unwrap();
        assert_eq!(answers.matches("HTTP/1.1 404").count(), 1, "{answers}");
        serving.await.unwrap();
    }
}
