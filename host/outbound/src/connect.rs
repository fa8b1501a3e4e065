//! From a checked address to a connection.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Both directions of a connection.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// Opens connections.
#[async_trait]
pub trait Connector: Send + Sync {
    /// Connects to an address that may be reached.
    ///
    /// # Errors
    /// Whatever stands in the way; the author of the request is told its kind.
    async fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn Connection>>;
}

/// Connects by TCP, directly.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpConnector;

#[async_trait]
impl Connector for TcpConnector {
    async fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn Connection>> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}

/// More came over the wire than an answer of the size that is allowed needs.
#[derive(Debug, thiserror::Error)]
#[error("the answer is larger than {bytes_max} bytes on the wire")]
pub(crate) struct WireUsedUp {
    pub(crate) bytes_max: u64,
}

/// A connection that gives a bounded number of bytes.
///
/// Head and body have limits of their own. This one is for what belongs to neither and could go on until the time is up:
/// interim responses, extensions of chunks, records of TLS with nothing in them.
pub(crate) struct Bounded {
    inner: Box<dyn Connection>,
    bytes_left: u64,
    bytes_max: u64,
}

impl Bounded {
    pub(crate) fn new(inner: Box<dyn Connection>, bytes_max: u64) -> Self {
        Self { inner, bytes_left: bytes_max, bytes_max }
    }
}

impl AsyncRead for Bounded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let bytes_max = self.bytes_max;
        if self.bytes_left == 0 {
            return Poll::Ready(Err(io::Error::other(WireUsedUp { bytes_max })));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        let read = buf.filled().len().saturating_sub(before);
        self.bytes_left = self.bytes_left.saturating_sub(read as u64);
        polled
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
