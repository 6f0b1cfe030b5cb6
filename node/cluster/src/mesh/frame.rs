//! Frames on a connection: `u32 length | u8 type | payload`, big-endian. Knows no message.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// No frame is longer.
pub(crate) const FRAME_MAX: usize = 4 * 1024 * 1024;
/// Before the handshake is done.
pub(crate) const HELLO_MAX: usize = 16 * 1024;
const HEAD: usize = 5;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) payload: Bytes,
}

/// A length beyond what is allowed: the other side is no node, or broken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("frame of {0} bytes is too long")]
pub(crate) struct TooLong(usize);

/// Takes one frame from the front of `buffer`, if it is whole.
/// # Errors
/// [`TooLong`].
pub(crate) fn parse(buffer: &mut BytesMut, max: usize) -> Result<Option<Frame>, TooLong> {
    let Some((head, _)) = buffer.split_first_chunk::<HEAD>() else { return Ok(None) };
    let [l0, l1, l2, l3, kind] = *head;
    let length = usize::try_from(u32::from_be_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
    if max < length {
        return Err(TooLong(length));
    }
    if buffer.len() < HEAD + length {
        buffer.reserve(HEAD + length - buffer.len());
        return Ok(None);
    }
    buffer.advance(HEAD);
    Ok(Some(Frame { kind, payload: buffer.split_to(length).freeze() }))
}

/// Appends a frame to `out`.
pub(crate) fn put(kind: u8, payload: &[u8], out: &mut BytesMut) {
    out.reserve(HEAD + payload.len());
    out.put_u32(u32::try_from(payload.len()).unwrap_or(u32::MAX));
    out.put_u8(kind);
    out.put_slice(payload);
}

/// Reads frames; may be cancelled at any point without losing bytes.
pub(crate) struct FrameReader<R> {
    io: R,
    buffer: BytesMut,
    pub(crate) max: usize,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(crate) fn new(io: R, max: usize) -> Self {
        Self { io, buffer: BytesMut::with_capacity(8 * 1024), max }
    }

    /// The next frame; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Frame>> {
        loop {
            let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
            if let Some(frame) = parse(&mut self.buffer, self.max).map_err(invalid)? {
                return Ok(Some(frame));
            }
            if self.io.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn frames_survive_any_cut(frames in proptest::collection::vec((any::<u8>(), proptest::collection::vec(any::<u8>(), 0..100)), 0..10), step in 1usize..50) {
            let mut bytes = BytesMut::new();
            for (kind, payload) in &frames {
                put(*kind, payload, &mut bytes);
            }
            let (mut buffer, mut read) = (BytesMut::new(), Vec::new());
            for chunk in bytes.chunks(step) {
                buffer.extend_from_slice(chunk);
                while let Some(frame) = parse(&mut buffer, 100).unwrap() {
                    read.push((frame.kind, frame.payload.to_vec()));
                }
            }
            prop_assert_eq!(read, frames);
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(Some(frame)) = parse(&mut buffer, 64) {
                let _ = crate::mesh::message::Message::decode(frame);
            }
        }
    }

    #[test]
    fn a_long_frame_is_refused_before_it_is_read() {
        let mut buffer = BytesMut::from(&[0, 1, 0, 0, 9][..]);
        assert_eq!(parse(&mut buffer, HELLO_MAX), Err(TooLong(65_536)));
    }
}
