//! The byte stream to a broker, plain or TLS, in the form that lapin requires.
//!
//! lapin's own TLS adds a second PKCS #12 and X.509 stack of some forty crates, which are not needed. Instead, lapin accepts any
//! stream whose type its runtime declares. The runtime here is that of tokio with [`BrokerStream`] as this type.

use std::future::Future;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_rs::Tokio;
use async_rs::traits::Reactor;
use async_rs::util::RuntimeParts;
use futures::{AsyncRead, AsyncWrite, Stream};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt as _};
use tokio_util::either::Either;

/// A connection to a broker.
pub(crate) struct BrokerStream(Compat<Either<TcpStream, TlsStream<TcpStream>>>);

impl BrokerStream {
    pub(crate) fn plain(stream: TcpStream) -> Self {
        Self(Either::Left(stream).compat())
    }

    pub(crate) fn tls(stream: TlsStream<TcpStream>) -> Self {
        Self(Either::Right(stream).compat())
    }
}

impl AsyncRead for BrokerStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for BrokerStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}

/// The reactor of tokio with [`BrokerStream`] connections.
#[derive(Clone, Debug)]
pub(crate) struct BrokerReactor(Tokio);

/// Returns the runtime for lapin, on the current tokio runtime.
pub(crate) fn runtime() -> RuntimeParts<Tokio, BrokerReactor> {
    let tokio = Tokio::current();
    RuntimeParts::new(tokio.clone(), BrokerReactor(tokio))
}

impl Reactor for BrokerReactor {
    type TcpStream = BrokerStream;
    type Sleep = <Tokio as Reactor>::Sleep;

    fn register<H: Read + Write + AsFd + AsRawFd + Send + 'static>(
        &self,
        socket: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        self.0.register(socket)
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.0.sleep(duration)
    }

    fn interval(&self, duration: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(duration)
    }

    #[allow(
        clippy::manual_async_fn,
        reason = "the future of an `async fn` would borrow `self`, which the trait forbids"
    )]
    fn tcp_connect_addr(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        async move { Ok(BrokerStream::plain(TcpStream::connect(address).await?)) }
    }
}
