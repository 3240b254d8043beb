//! An HTTP server that replays recorded exchanges instead of a real service.
//!
//! It is strict: a request that is not recorded is answered with status 500 and fails the test at
//! [`RecordedHttp::assert_all_used`], as does an exchange that was never requested.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// The maximum idle time between reads of a request body. A client that sends half a body fails its test.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// A recorded request with its response.
#[derive(Debug, Clone)]
pub struct Exchange {
    method: String,
    path: String,
    required: Vec<(String, String)>,
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    delay: Duration,
    ending: Ending,
    repeated: bool,
    used: usize,
}

/// How a response ends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Ending {
    /// Complete.
    Whole,
    /// The connection closes after this many bytes of the body.
    Cut(usize),
    /// The response is never sent.
    Never,
}

impl Exchange {
    /// A request with this method and exactly this path and query. Default response: status 200 and an empty body.
    pub fn new(method: &str, path_and_query: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path_and_query.to_owned(),
            required: Vec::new(),
            status: 200,
            headers: Vec::new(),
            body: Vec::new(),
            delay: Duration::ZERO,
            ending: Ending::Whole,
            repeated: false,
            used: 0,
        }
    }

    /// A `GET` request.
    pub fn get(path_and_query: &str) -> Self {
        Self::new("GET", path_and_query)
    }

    /// A `POST` request.
    pub fn post(path_and_query: &str) -> Self {
        Self::new("POST", path_and_query)
    }

    /// Requires this request header with this value.
    #[must_use]
    pub fn requiring(mut self, header: &str, value: &str) -> Self {
        self.required.push((header.to_owned(), value.to_owned()));
        self
    }

    /// Sets the response status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Adds a response header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the response body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets a JSON document as the response body.
    #[must_use]
    pub fn json(self, body: &serde_json::Value) -> Self {
        self.header("content-type", "application/json")
            .body(body.to_string())
    }

    /// Delays the response.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Never sends the response.
    #[must_use]
    pub fn hanging(mut self) -> Self {
        self.ending = Ending::Never;
        self
    }

    /// Announces the whole body and closes the connection after this many bytes of it.
    #[must_use]
    pub fn cut_after(mut self, bytes: usize) -> Self {
        self.ending = Ending::Cut(bytes);
        self
    }

    /// Serves any number of requests, at least one.
    #[must_use]
    pub fn repeated(mut self) -> Self {
        self.repeated = true;
        self
    }

    fn matches(&self, request: &ReceivedRequest) -> bool {
        (self.repeated || self.used == 0)
            && self.method == request.method
            && self.path == request.path
            && self.required.iter().all(|(name, value)| {
                request
                    .headers
                    .get(name)
                    .is_some_and(|seen| seen == value.as_str())
            })
    }
}

/// A request that the server received.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReceivedRequest {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// A running server on a free loopback port. It stops when this is dropped.
pub struct RecordedHttp {
    url: String,
    state: Arc<Mutex<State>>,
    server: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    exchanges: Vec<Exchange>,
    requests: Vec<ReceivedRequest>,
    unexpected: VecDeque<String>,
}

impl RecordedHttp {
    /// Starts a server for these exchanges. The first unused exchange that matches answers a request.
    ///
    /// # Panics
    ///
    /// When no port is available.
    pub async fn start(exchanges: impl IntoIterator<Item = Exchange>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await;
        let bound = listener.and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (address, listener) = match bound {
            Ok(bound) => bound,
            Err(error) => panic!("no port for the recorded server: {error}"),
        };
        let state = Arc::new(Mutex::new(State {
            exchanges: exchanges.into_iter().collect(),
            ..State::default()
        }));
        let server = tokio::spawn(serve(listener, state.clone()));
        Self {
            url: format!("http://{address}"),
            state,
            server,
        }
    }

    /// `http://127.0.0.1:PORT`, without a trailing slash.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The requests received so far, in order.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.state.lock().requests.clone()
    }

    /// Fails the test when a request was not recorded, or an exchange was not requested.
    ///
    /// # Panics
    ///
    /// With both lists.
    #[track_caller]
    pub fn assert_all_used(&self) {
        let state = self.state.lock();
        let mut text = String::new();
        for request in &state.unexpected {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "not recorded: {request}");
        }
        for exchange in state.exchanges.iter().filter(|exchange| exchange.used == 0) {
            let _ = writeln!(text, "not requested: {} {}", exchange.method, exchange.path);
        }
        assert!(text.is_empty(), "the requests differ from the recording:\n{text}");
    }
}

impl Drop for RecordedHttp {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    // Dropped with this task: the connections end with the server.
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        while connections.try_join_next().is_some() {}
        let state = state.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| answer(request, state.clone()));
            // A client that disconnects, or an intentionally cut body, is not an error of the server.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    state: Arc<Mutex<State>>,
) -> Result<Response<Answer>, Infallible> {
    let (head, body) = request.into_parts();
    let body = tokio::time::timeout(READ_TIMEOUT, read(body))
        .await
        .unwrap_or_default();
    let received = ReceivedRequest {
        method: head.method.to_string(),
        path: head
            .uri
            .path_and_query()
            .map_or_else(String::new, ToString::to_string),
        headers: head.headers,
        body,
    };
    let exchange = {
        let mut state = state.lock();
        let found = state
            .exchanges
            .iter_mut()
            .find(|exchange| exchange.matches(&received));
        let exchange = found.map(|exchange| {
            exchange.used += 1;
            exchange.clone()
        });
        if exchange.is_none() {
            state
                .unexpected
                .push_back(format!("{} {}", received.method, received.path));
        }
        state.requests.push(received);
        exchange
    };
    let Some(exchange) = exchange else {
        let mut response = Response::new(Answer::whole("not recorded"));
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        return Ok(response);
    };
    tokio::time::sleep(exchange.delay).await;
    if exchange.ending == Ending::Never {
        std::future::pending::<()>().await;
    }
    let mut response = Response::builder().status(exchange.status);
    for (name, value) in &exchange.headers {
        response = response.header(name, value);
    }
    match response.body(Answer::new(exchange.body, exchange.ending)) {
        Ok(response) => Ok(response),
        Err(error) => panic!("the recorded response is not valid HTTP: {error}"),
    }
}

async fn read(mut body: Incoming) -> Bytes {
    let mut all = Vec::new();
    while let Some(Ok(frame)) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await
    {
        if let Ok(data) = frame.into_data() {
            all.extend_from_slice(&data);
        }
    }
    all.into()
}

/// The body of a response.
struct Answer {
    data: Option<Bytes>,
    announced: u64,
    cut: bool,
    /// Whether the connection had the opportunity to send the data before the cut.
    sent: bool,
}

/// The intentional cut of a body.
#[derive(Debug, thiserror::Error)]
#[error("the body is cut here")]
struct Cut;

impl Answer {
    fn whole(text: &'static str) -> Self {
        Self::new(text.into(), Ending::Whole)
    }

    fn new(mut body: Vec<u8>, ending: Ending) -> Self {
        let announced = body.len() as u64;
        if let Ending::Cut(bytes) = ending {
            body.truncate(bytes);
        }
        Self {
            data: (!body.is_empty()).then(|| body.into()),
            announced,
            cut: ending != Ending::Whole,
            sent: false,
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if let Some(data) = self.data.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if self.cut && !std::mem::replace(&mut self.sent, true) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.cut.then_some(Err(Cut)))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && !self.cut
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.announced)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    /// Sends a request and returns the raw response, without its date.
    async fn send(server: &RecordedHttp, request: &str) -> String {
        let address = server.url().strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = request.replace('\n', "\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
            .lines()
            .filter(|line| !line.starts_with("date:"))
            .collect::<Vec<_>>()
            .join("\n")
    }

    const GET: &str = "GET /things?limit=2 HTTP/1.1\nhost: x\nx-token: t\nconnection: close\n\n";
    const POST: &str = "POST /login HTTP/1.1\nhost: x\nconnection: close\ncontent-length: 4\n\nbody";

    #[tokio::test]
    async fn recorded_requests_are_answered_once_and_stored() {
        let server = RecordedHttp::start([
            Exchange::get("/things?limit=2")
                .requiring("x-token", "t")
                .json(&serde_json::json!(["a"])),
            Exchange::post("/login")
                .status(201)
                .header("x-token", "t")
                .repeated(),
        ])
        .await;
        let answer = send(&server, GET).await;
        assert!(
            answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("\n[\"a\"]"),
            "{answer}"
        );
        for _ in 0..2 {
            let answer = send(&server, POST).await;
            assert!(
                answer.starts_with("HTTP/1.1 201 Created") && answer.contains("x-token: t"),
                "{answer}"
            );
        }
        server.assert_all_used();
        assert_eq!(server.requests()[1].body, "body");
        assert!(
            send(&server, GET).await.starts_with("HTTP/1.1 500"),
            "an exchange serves one request"
        );
    }

    #[tokio::test]
    async fn an_unrecorded_request_fails_the_test() {
        let server =
            RecordedHttp::start([Exchange::get("/things?limit=2").requiring("x-token", "other")]).await;
        assert!(send(&server, GET).await.starts_with("HTTP/1.1 500"));
        let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| server.assert_all_used()));
        let text = *failed.unwrap_err().downcast::<String>().unwrap();
        insta::assert_snapshot!(text, @r"
        the requests differ from the recording:
        not recorded: GET /things?limit=2
        not requested: GET /things?limit=2
        ");
    }

    #[tokio::test]
    async fn a_body_is_cut_where_the_recording_cuts_it() {
        let server =
            RecordedHttp::start([Exchange::get("/things?limit=2").body("0123456789").cut_after(4)]).await;
        let answer = send(&server, GET).await;
        assert!(
            answer.contains("content-length: 10") && answer.ends_with("\n0123"),
            "{answer}"
        );
    }

    #[tokio::test]
    async fn a_hanging_response_never_arrives() {
        let server = RecordedHttp::start([Exchange::get("/things?limit=2").hanging()]).await;
        let server = Arc::new(server);
        let sending = tokio::spawn({
            let server = server.clone();
            async move { send(&server, GET).await }
        });
        while server.requests().is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(!sending.is_finished());
        server.assert_all_used();
    }
}
