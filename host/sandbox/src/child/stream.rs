//! Frames for whoever has something else to do while one comes.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::frame::{HEAD_BYTES, Kind, head, head_of};

/// How much is read at once, in bytes.
const PIECE_BYTES: usize = 64 << 10;

/// Reads frames. What has come of one that is not whole is kept: dropping the future loses nothing.
#[derive(Debug)]
pub(crate) struct FrameReader<R> {
    stream: R,
    come: Vec<u8>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(crate) const fn new(stream: R) -> Self {
        Self { stream, come: Vec::new() }
    }

    /// The next frame, of at most that length.
    ///
    /// # Errors
    /// If the other side is gone or breaks the rules.
    pub(crate) async fn next(&mut self, bytes_max: usize) -> io::Result<(Kind, Vec<u8>)> {
        loop {
            if let Some(frame) = self.take_whole(bytes_max)? {
                return Ok(frame);
            }
            self.come.reserve(PIECE_BYTES);
            if self.stream.read_buf(&mut self.come).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn take_whole(&mut self, bytes_max: usize) -> io::Result<Option<(Kind, Vec<u8>)>> {
        let Some(bytes) = self.come.first_chunk::<HEAD_BYTES>() else { return Ok(None) };
        let (kind, length) = head(*bytes, bytes_max)?;
        let end = HEAD_BYTES + length;
        if self.come.len() < end {
            return Ok(None);
        }
        let rest = self.come.split_off(end);
        let mut content = std::mem::replace(&mut self.come, rest);
        content.drain(..HEAD_BYTES);
        Ok(Some((kind, content)))
    }
}

/// Writes a frame.
///
/// # Errors
/// If the other side is gone.
pub(crate) async fn write(stream: &mut (impl AsyncWrite + Unpin), kind: Kind, content: &[u8]) -> io::Result<()> {
    stream.write_all(&head_of(kind, content.len())?).await?;
    stream.write_all(content).await
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use tokio::io::duplex;

    use super::*;

    #[tokio::test]
    async fn a_frame_that_comes_in_pieces_is_whole_however_often_one_looks() {
        let (mut one, other) = duplex(1 << 10);
        let mut reader = FrameReader::new(other);
        let mut bytes = Vec::new();
        super::super::frame::write(&mut bytes, Kind::Refused, b"because").unwrap();
        super::super::frame::write(&mut bytes, Kind::Panicked, b"").unwrap();

        for byte in &bytes[..bytes.len() - 6] {
            assert!(reader.next(7).now_or_never().is_none());
            one.write_all(&[*byte]).await.unwrap();
        }
        one.write_all(&bytes[bytes.len() - 6..]).await.unwrap();

        assert_eq!(reader.next(7).await.unwrap(), (Kind::Refused, b"because".to_vec()));
        assert_eq!(reader.next(7).await.unwrap(), (Kind::Panicked, Vec::new()));
        drop(one);
        assert_eq!(reader.next(7).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn a_frame_that_is_too_long_is_refused_before_it_has_come() {
        let (mut one, other) = duplex(1 << 10);
        one.write_all(&[Kind::Refused as u8, 8, 0, 0, 0]).await.unwrap();

        let refused = FrameReader::new(other).next(7).await;

        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
