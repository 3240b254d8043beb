//! One request over the unix socket of an agent, and its response.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::time::timeout;

/// The timeout of a request.
const PATIENCE: Duration = Duration::from_secs(20);

/// The maximum size of a response in bytes.
const LARGEST: usize = 64 << 20;

/// An error of a request to a running agent. The text completes "failed to query the running agent: ...".
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The connection failed, or the response did not arrive in time.
    #[error("no response from `{}`", path.display())]
    Connection {
        /// The socket.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The agent returned an error status.
    #[error("status {status} from `{target}`: {text}")]
    Status {
        /// The status.
        status: u16,
        /// The path and query of the request.
        target: String,
        /// The body of the response.
        text: String,
    },
    /// The response cannot be parsed. The agent may have another version.
    #[error("cannot parse the response from `{target}`; the agent may have another version")]
    Answer {
        /// The path and query of the request.
        target: String,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
}

/// Sends a request and parses its response. Must be called within a runtime.
pub(super) async fn ask<T: DeserializeOwned>(
    socket: &Path,
    method: Method,
    target: &str,
) -> Result<T, ClientError> {
    let failed = |source| ClientError::Connection {
        path: socket.to_owned(),
        source,
    };
    let exchange = timeout(PATIENCE, exchange(socket, method, target));
    let (status, bytes) = match exchange.await {
        Ok(answer) => answer.map_err(failed)?,
        Err(_) => return Err(failed(io::ErrorKind::TimedOut.into())),
    };
    if status != 200 {
        let text = String::from_utf8_lossy(&bytes).trim().to_owned();
        let target = target.to_owned();
        return Err(ClientError::Status { status, target, text });
    }
    serde_json::from_slice(&bytes).map_err(|source| ClientError::Answer {
        target: target.to_owned(),
        source,
    })
}

async fn exchange(socket: &Path, method: Method, target: &str) -> io::Result<(u16, Vec<u8>)> {
    let stream = UnixStream::connect(socket).await?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header("host", "localhost")
        .body(Body::empty())
        .map_err(io::Error::other)?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        let status = response.status().as_u16();
        let body = to_bytes(Body::new(response.into_body()), LARGEST).await;
        Ok((status, body.map_err(io::Error::other)?.to_vec()))
    };
    let mut answer = std::pin::pin!(answer);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        ended = &mut connection => {
            ended.map_err(io::Error::other)?;
            // The response may have been read before the connection ended.
            answer.await
        }
    }
}
