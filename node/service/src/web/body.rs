//! Bodies: of answers, whole or in chunks made when the client has room for them; of requests,
//! read whole within a limit.

use std::{
    any::Any,
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use tokio::sync::mpsc;

use super::pulse::Pulse;

/// The body of an answer.
pub struct Body {
    source: Source,
    /// Dropped when the last byte is with the connection, or the client has gone.
    held: Option<Box<dyn Any + Send>>,
    ends: Option<Ending>,
}

enum Source {
    Full(Option<Bytes>),
    Made(Box<dyn FnMut() -> Option<Bytes> + Send>),
    Received(mpsc::Receiver<Bytes>),
}

/// Tells the connection that the answer is out when the body is dropped.
struct Ending(Arc<Pulse>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end_answer();
    }
}

impl Body {
    /// No bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self::of(Source::Full(None))
    }

    /// These bytes, with a `Content-Length`.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::of(Source::Full((!bytes.is_empty()).then_some(bytes)))
    }

    /// Chunks asked for one at a time, when the client has taken most of those before: a large
    /// answer never stands in memory whole. `next` must be quick; empty chunks are passed over.
    pub fn made(next: impl FnMut() -> Option<Bytes> + Send + 'static) -> Self {
        Self::of(Source::Made(Box::new(next)))
    }

    /// Chunks from a task. The channel's bound is the answer's; the sender waits when it is full
    /// and learns from the channel when the client has gone away. Ends when the sender is dropped.
    #[must_use]
    pub fn received(chunks: mpsc::Receiver<Bytes>) -> Self {
        Self::of(Source::Received(chunks))
    }

    /// Keeps `what` until the answer is out or the client has gone.
    #[must_use]
    pub fn holding(mut self, what: impl Send + 'static) -> Self {
        self.held = match self.held.take() {
            None => Some(Box::new(what)),
            Some(before) => Some(Box::new((before, what))),
        };
        self
    }

    fn of(source: Source) -> Self {
        Self { source, held: None, ends: None }
    }

    pub(super) fn with_ending(mut self, pulse: Arc<Pulse>) -> Self {
        self.ends = Some(Ending(pulse));
        self
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let chunk = match &mut self.source {
            Source::Full(bytes) => bytes.take(),
            Source::Made(next) => loop {
                match next() {
                    Some(chunk) if chunk.is_empty() => {}
                    chunk => break chunk,
                }
            },
            Source::Received(chunks) => std::task::ready!(chunks.poll_recv(context)),
        };
        Poll::Ready(chunk.map(|chunk| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.source, Source::Full(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Full(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Source::Made(_) | Source::Received(_) => SizeHint::default(),
        }
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::full(text)
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Self::full(text)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Body").field("size", &self.size_hint().exact()).finish()
    }
}

/// Why a request's body could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// More bytes than allowed: answer 413.
    #[error("request body larger than {max_bytes} bytes")]
    TooLarge {
        /// The limit.
        max_bytes: usize,
    },
    /// The client went away or framed its body wrongly: nobody will read the answer.
    #[error("request body ended early")]
    Broken {
        /// What the connection says.
        source: hyper::Error,
    },
}

/// Reads a body of at most `max_bytes`. Its time is bounded by the connection's idle time.
///
/// # Errors
/// [`BodyError`]; after `TooLarge` some more of the body is read and dropped, so that the client
/// can read the answer.
pub async fn read_body(mut body: Incoming, max_bytes: usize) -> Result<Bytes, BodyError> {
    let announced = body.size_hint().lower();
    if announced > max_bytes as u64 {
        discard(body).await;
        return Err(BodyError::TooLarge { max_bytes });
    }
    let mut first: Option<Bytes> = None;
    let mut rest = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|source| BodyError::Broken { source })?;
        let Ok(chunk) = frame.into_data() else { continue };
        let have = first.as_ref().map_or(rest.len(), Bytes::len);
        if have + chunk.len() > max_bytes {
            discard(body).await;
            return Err(BodyError::TooLarge { max_bytes });
        }
        match first.take() {
            None if rest.is_empty() => first = Some(chunk),
            before => {
                if let Some(before) = before {
                    // What is announced is believed only up to a size that costs nothing.
                    let announced = usize::try_from(announced).unwrap_or(0).min(1 << 20);
                    rest.reserve(announced.max(before.len() + chunk.len()));
                    rest.extend_from_slice(&before);
                }
                rest.extend_from_slice(&chunk);
            }
        }
    }
    Ok(first.unwrap_or_else(|| rest.into()))
}

const DISCARDED_MAX_BYTES: usize = 64 << 20;
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);

/// Takes what the client is still sending: closing with unread bytes resets the connection, and
/// the client would lose the answer that explains it.
async fn discard(mut body: Incoming) {
    let drain = async {
        let mut left = DISCARDED_MAX_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let size = frame.data_ref().map_or(0, Bytes::len);
            let Some(rest) = left.checked_sub(size) else { break };
            left = rest;
        }
    };
    let _ = tokio::time::timeout(DISCARD_TIMEOUT, drain).await;
}
