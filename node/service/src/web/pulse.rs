//! What a connection is doing and since when, so that one that stands still can be ended.
//!
//! The stream notes bytes that move, the service notes requests that begin and end; the
//! connection's task asks for the deadline. No timer is set when a byte moves.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Notify,
    time::Instant,
};

const WAITING: u8 = 0;
const HEAD: u8 = 1;
const ANSWERING: u8 = 2;

/// Shared by the connection's task, its stream, its service and the bodies of its answers.
#[derive(Debug)]
pub(super) struct Pulse {
    start: Instant,
    phase: AtomicU8,
    /// When the phase began, or a byte last moved; the former only while a head is read.
    since_ms: AtomicU64,
    header_timeout: Duration,
    idle_timeout: Duration,
    /// HTTP/2: heads come in frames among those of other requests, so they have no time of their own.
    is_framed: AtomicBool,
    /// The connection must make room for another.
    leaving: Notify,
}

impl Pulse {
    pub(super) fn new(header_timeout: Duration, idle_timeout: Duration) -> Self {
        Self {
            start: Instant::now(),
            phase: AtomicU8::new(WAITING),
            since_ms: AtomicU64::new(0),
            header_timeout,
            idle_timeout,
            is_framed: AtomicBool::new(false),
            leaving: Notify::new(),
        }
    }

    /// The connection speaks HTTP/2.
    pub(super) fn set_framed(&self) {
        self.is_framed.store(true, Ordering::Relaxed);
    }

    /// Since when nothing is being answered; nothing while something is.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let idle = self.phase.load(Ordering::Relaxed) != ANSWERING;
        let since = Duration::from_millis(self.since_ms.load(Ordering::Relaxed));
        idle.then(|| self.start + since)
    }

    /// Tells the connection to make room.
    pub(super) fn leave(&self) {
        self.leaving.notify_one();
    }

    /// Until the connection must make room.
    pub(super) async fn told_to_leave(&self) {
        self.leaving.notified().await;
    }

    /// A request's head is complete.
    pub(super) fn begin_answer(&self) {
        self.phase.store(ANSWERING, Ordering::Relaxed);
        self.touch();
    }

    /// The answer's last byte is with the stream.
    pub(super) fn end_answer(&self) {
        self.phase.store(WAITING, Ordering::Relaxed);
        self.touch();
    }

    /// When the connection has stood still for too long, unless something moves before.
    pub(super) fn deadline(&self) -> Instant {
        let since = self.start + Duration::from_millis(self.since_ms.load(Ordering::Relaxed));
        match self.phase.load(Ordering::Relaxed) {
            HEAD => since + self.header_timeout,
            _ => since + self.idle_timeout,
        }
    }

    /// How long the task may sleep without looking: a phase with a shorter time may begin.
    pub(super) fn longest_sleep(&self) -> Duration {
        self.header_timeout.min(self.idle_timeout)
    }

    fn moved(&self, read: bool) {
        match self.phase.load(Ordering::Relaxed) {
            WAITING if read && !self.is_framed.load(Ordering::Relaxed) => {
                self.phase.store(HEAD, Ordering::Relaxed);
                self.touch();
            }
            // A head has one time for all of its bytes, however often they drip.
            HEAD => {}
            _ => self.touch(),
        }
    }

    fn touch(&self) {
        let elapsed = self.start.elapsed().as_millis();
        self.since_ms.store(u64::try_from(elapsed).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// A stream that notes when bytes move.
pub(super) struct Watched<S> {
    pub(super) stream: S,
    pub(super) pulse: Arc<Pulse>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.pulse.moved(true);
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(1..)) = result {
            self.pulse.moved(false);
        }
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        if let Poll::Ready(Ok(1..)) = result {
            self.pulse.moved(false);
        }
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
