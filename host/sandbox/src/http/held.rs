//! The bodies that an attempt makes the host hold at once: those that it writes, and those that it has not read yet.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use wasmtime_wasi_http::Error;

/// How many bytes of bodies an attempt holds, and may hold.
#[derive(Debug)]
pub(crate) struct HeldBytes {
    bytes: AtomicU64,
    bytes_max: u64,
}

/// Some of those bytes; given back with it.
#[derive(Debug)]
pub(crate) struct Hold {
    of: Arc<HeldBytes>,
    bytes: u64,
}

impl HeldBytes {
    pub(crate) fn up_to(bytes_max: u64) -> Arc<Self> {
        Arc::new(Self { bytes: AtomicU64::new(0), bytes_max })
    }

    /// A hold of nothing yet.
    pub(crate) fn hold(self: &Arc<Self>) -> Hold {
        Hold { of: Arc::clone(self), bytes: 0 }
    }
}

impl Hold {
    /// Takes more, and says whether there was enough left.
    #[must_use]
    pub(crate) fn grow(&mut self, by: usize) -> bool {
        let by = by as u64;
        let taken = self.of.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
            held.checked_add(by).filter(|held| *held <= self.of.bytes_max)
        });
        if taken.is_ok() {
            self.bytes += by;
        }
        taken.is_ok()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.of.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A whole body that counts as held until it is dropped.
#[derive(Debug)]
pub(crate) struct HeldBody {
    rest: Bytes,
    _hold: Hold,
}

impl HeldBody {
    /// A body, if the attempt may hold that much more.
    pub(crate) fn new(bytes: Bytes, held: &Arc<HeldBytes>) -> Option<Self> {
        let mut hold = held.hold();
        hold.grow(bytes.len()).then_some(Self { rest: bytes, _hold: hold })
    }
}

impl Body for HeldBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let rest = std::mem::take(&mut self.rest);
        Poll::Ready((!rest.is_empty()).then(|| Ok(Frame::data(rest))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_bounded_and_given_back() {
        let held = HeldBytes::up_to(10);
        let mut hold = held.hold();

        assert!(hold.grow(6) && !hold.grow(5) && hold.grow(4));
        assert!(HeldBody::new(Bytes::from_static(b"a"), &held).is_none());
        drop(hold);
        let body = HeldBody::new(Bytes::from_static(b"0123456789"), &held);
        assert!(body.is_some() && !held.hold().grow(1));
        drop(body);
        assert!(held.hold().grow(10));
    }
}
