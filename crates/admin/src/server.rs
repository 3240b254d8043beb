//! Serves clients: a bounded number at once, one request a connection, each for a bounded time.

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

/// How many clients one listener serves at once. Further ones wait until one of these is done, which
/// [`EXCHANGE_TIMEOUT`] bounds.
pub(crate) const MAX_CONNECTIONS: usize = 32;

/// How long a client may take to send its request.
pub(crate) const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection may last in all, the answer included.
pub(crate) const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(15);

/// How large the head of a request may be, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// How many headers a request may have.
const MAX_HEADERS: usize = 64;

/// How long answers that are under way may take when the agent ends.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// The pause after the kernel could not accept, most often for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves `surface` on `listener` until `stop` is cancelled; then answers what was asked, and returns within a
/// second.
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
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // Connections end with this, whatever happens.
    let mut connections = JoinSet::new();
    let mut failing = false;
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = stop.run_until_cancelled(async {
            // The semaphore is never closed.
            let place = places.clone().acquire_owned().await.ok();
            (place, listener.accept().await)
        });
        let Some((place, accepted)) = accepted.await else {
            break;
        };
        match accepted {
            Ok(connection) => {
                failing = false;
                let serving = serve_connection(connection, names.clone(), router.clone(), stop.clone());
                connections.spawn(async move {
                    serving.await;
                    drop(place);
                });
            }
            Err(error) => {
                // Once, until it works again.
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(place = listener.place(), %error, "the admin API cannot accept connections");
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
            // What a client does wrong is the client's business.
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
    match gate.refuse(&request) {
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

    /// What a slow network holds.
    const BUFFER: usize = 1024;

    fn served() -> (DuplexStream, JoinHandle<()>) {
        let (client, server) = duplex(BUFFER);
        let router = Router::new().route("/large", get(|| async { "x".repeat(1_000_000) }));
        let serving = tokio::spawn(exchange(server, Gate::open(), router, CancellationToken::new()));
        (client, serving)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_finish_its_request_is_left() {
        let (mut client, serving) = served();
        client.write_all(b"GET /large HT").await.unwrap();
        timeout(HEADER_TIMEOUT * 2, serving)
            .await
            .expect("it is left")
            .unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert!(!answer.starts_with(b"HTTP/1.1 200"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_its_answer_is_left() {
        let (mut client, serving) = served();
        client
            .write_all(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        timeout(EXCHANGE_TIMEOUT * 2, serving)
            .await
            .expect("it is left")
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
