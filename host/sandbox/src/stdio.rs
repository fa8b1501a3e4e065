//! Standard output and error of a cell: they end in its log.
//!
//! The stream never waits and keeps nothing itself, so empty writes cost nothing and no write grows host memory past
//! the log's quota.

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

use crate::budget::STDIO_PERMIT_BYTES;
use crate::log::{AttemptLog, Stream};

/// A standard stream that ends in the log.
#[derive(Clone, Debug)]
pub(crate) struct LogStream {
    log: AttemptLog,
    stream: Stream,
}

impl LogStream {
    pub(crate) const fn new(log: AttemptLog, stream: Stream) -> Self {
        Self { log, stream }
    }
}

impl IsTerminal for LogStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogStream {
    /// Only the parts of WASI that are not linked would ask for this one; what it is given is lost.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for LogStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.len() > STDIO_PERMIT_BYTES {
            return Err(StreamError::trap("a write is longer than its permit"));
        }
        self.log.print(self.stream, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(STDIO_PERMIT_BYTES)
    }
}

#[async_trait::async_trait]
impl Pollable for LogStream {
    async fn ready(&mut self) {}
}
