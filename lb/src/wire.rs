//! A connection under pingora's sessions. The sessions read through it; the proxy writes through its own handle, so that both directions run at once.
//! It counts bytes, limits request headers, percent-encodes quotes in a request line, and ends a wait when its watch fires.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::errors;
use crate::tls::TlsClient;
use crate::watch::{Phase, Watch};

/// Bytes on their way in both directions.
trait Duplex: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Duplex for T {}

enum Io {
    Tcp(TcpStream),
    Other(Box<dyn Duplex>),
}

/// A handle on a connection; clones share it.
#[derive(Clone)]
pub(crate) struct Wire(Arc<Mutex<Inner>>);

struct Inner {
    io: Io,
    watch: Arc<Watch>,
    head: HeadReader,
    read_bytes: u64,
    written_bytes: u64,
    /// What was read first since the counts were taken, for those who look for errors.
    seen: Vec<u8>,
}

/// What is done to the bytes of a request header on their way to the parser.
#[derive(Default)]
struct HeadReader {
    on: bool,
    in_first_line: bool,
    too_large: bool,
    illegal: bool,
    spaces: usize,
    bytes: usize,
    limit: usize,
    deadline: Duration,
    first_byte: Option<Instant>,
    /// Bytes for which the reader's buffer had no room.
    rest: BytesMut,
}

impl Wire {
    /// A connection over TCP.
    pub(crate) fn tcp(stream: TcpStream, watch: Arc<Watch>) -> Self {
        Wire::new(Io::Tcp(stream), watch)
    }

    /// A connection over something else, such as TLS.
    pub(crate) fn other(
        io: impl AsyncRead + AsyncWrite + Send + Sync + Unpin + 'static,
        watch: Arc<Watch>,
    ) -> Self {
        Wire::new(Io::Other(Box::new(io)), watch)
    }

    fn new(io: Io, watch: Arc<Watch>) -> Self {
        let head = HeadReader::default();
        let (read_bytes, written_bytes, seen) = (0, 0, Vec::new());
        let inner = Inner { io, watch, head, read_bytes, written_bytes, seen };
        Wire(Arc::new(Mutex::new(inner)))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on another watch can end its waits.
    pub(crate) fn watched_by(&self, watch: &Arc<Watch>) {
        self.lock().watch = watch.clone();
    }

    /// A request header comes: at most `limit` bytes, complete `deadline` after its first byte. `prefix` is what of it was read already.
    pub(crate) fn begin_head(
        &self,
        limit: usize,
        deadline: Duration,
        prefix: Option<&mut BytesMut>,
    ) {
        let mut inner = self.lock();
        let rest = std::mem::take(&mut inner.head.rest);
        inner.head = HeadReader {
            on: true,
            in_first_line: true,
            limit,
            deadline,
            rest,
            ..Default::default()
        };
        if let Some(prefix) = prefix {
            inner.head.bytes = prefix.len();
            inner.head.first_byte = Some(Instant::now());
            inner.watch.enter(Phase::Head, deadline);
            if let Some(encoded) = inner.head.encode(prefix) {
                *prefix = encoded;
            }
        }
    }

    /// The header is there. Returns when its first byte came.
    pub(crate) fn end_head(&self) -> Option<Instant> {
        let mut inner = self.lock();
        inner.head.on = false;
        inner.head.first_byte
    }

    /// Whether a header was cut because it is too large.
    pub(crate) fn head_too_large(&self) -> bool {
        self.lock().head.too_large
    }

    /// Whether the request line holds bytes or spaces that the parser would quietly mend.
    pub(crate) fn head_illegal(&self) -> bool {
        self.lock().head.illegal
    }

    /// Bytes of the present header so far, and when the first came.
    pub(crate) fn head_progress(&self) -> (usize, Option<Instant>) {
        let inner = self.lock();
        (inner.head.bytes, inner.head.first_byte)
    }

    /// Whether any byte was read since the counts were taken.
    pub(crate) fn has_read(&self) -> bool {
        self.lock().read_bytes > 0
    }

    /// Bytes read and written since the last call.
    pub(crate) fn take_counts(&self) -> (u64, u64) {
        let mut inner = self.lock();
        inner.seen.clear();
        (std::mem::take(&mut inner.read_bytes), std::mem::take(&mut inner.written_bytes))
    }

    /// The first bytes read since the counts were taken.
    pub(crate) fn seen(&self) -> Vec<u8> {
        self.lock().seen.clone()
    }

    /// Writes all of `head` and `pieces` in as few packets as fit.
    pub(crate) async fn send<P: AsRef<[u8]>>(&self, head: &[u8], pieces: &[P]) -> io::Result<()> {
        let mut done = 0;
        let total = head.len() + pieces.iter().map(|p| p.as_ref().len()).sum::<usize>();
        poll_fn(|cx| {
            let mut inner = self.lock();
            while done < total {
                let n = ready!(inner.poll_write_from(cx, head, pieces, done))?;
                if n == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                done += n;
            }
            inner.poll_flush(cx)
        })
        .await
    }

    /// Whether a pooled connection is still silent and open. A byte that came or an end makes it useless.
    pub(crate) fn is_fresh(&self) -> bool {
        let mut byte = [0];
        let mut buffer = ReadBuf::new(&mut byte);
        let mut cx = Context::from_waker(Waker::noop());
        self.lock().poll_io(&mut cx, &mut buffer).is_pending()
    }

    /// Sends the end of the stream.
    pub(crate) async fn close(&self) {
        let _ = poll_fn(|cx| match &mut self.lock().io {
            Io::Tcp(io) => Pin::new(io).poll_shutdown(cx),
            Io::Other(io) => Pin::new(io).poll_shutdown(cx),
        })
        .await;
    }

    /// Reads and forgets until the peer closes; the caller limits it.
    pub(crate) async fn discard(&self) {
        let mut space = [0; 4096];
        loop {
            let read = poll_fn(|cx| {
                let mut buffer = ReadBuf::new(&mut space);
                ready!(self.lock().poll_io(cx, &mut buffer))?;
                Poll::Ready(Ok::<_, io::Error>(buffer.filled().len()))
            })
            .await;
            if !matches!(read, Ok(n) if n > 0) {
                return;
            }
        }
    }
}

impl Inner {
    fn poll_io(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Tcp(io) => Pin::new(io).poll_read(cx, buffer),
            Io::Other(io) => Pin::new(io).poll_read(cx, buffer),
        }
    }

    /// Pending, unless the watch ends the wait.
    fn wait<T>(&self, cx: &Context<'_>) -> Poll<io::Result<T>> {
        self.watch.register(cx.waker());
        match self.watch.fired() {
            Some(_) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            None => Poll::Pending,
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.head.rest.is_empty() {
            let n = out.remaining().min(self.head.rest.len());
            out.put_slice(&self.head.rest[..n]);
            self.head.rest.advance(n);
            return Poll::Ready(Ok(()));
        }
        if self.head.on && self.head.bytes >= self.head.limit {
            self.head.too_large = true;
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        let before = out.filled().len();
        match self.poll_io(cx, out) {
            Poll::Pending => return self.wait(cx),
            Poll::Ready(result) => result?,
        }
        let n = out.filled().len() - before;
        if n > 0 {
            self.read_bytes += n as u64;
            let room = errors::KEPT.saturating_sub(self.seen.len());
            if room > 0 {
                self.seen.extend_from_slice(&out.filled()[before..before + n.min(room)]);
            }
            if self.head.on {
                self.head_bytes(out, before);
            } else {
                self.watch.progress();
            }
        }
        Poll::Ready(Ok(()))
    }

    fn head_bytes(&mut self, out: &mut ReadBuf<'_>, before: usize) {
        if self.head.first_byte.is_none() {
            self.head.first_byte = Some(Instant::now());
            if self.watch.is_idle() {
                self.watch.enter(Phase::Head, self.head.deadline);
            }
        }
        self.head.bytes += out.filled().len() - before;
        if let Some(mut encoded) = self.head.encode(&out.filled()[before..]) {
            out.set_filled(before);
            let n = out.remaining().min(encoded.len());
            out.put_slice(&encoded.split_to(n));
            self.head.rest = encoded;
        }
    }

    fn poll_write_from<P: AsRef<[u8]>>(
        &mut self,
        cx: &mut Context<'_>,
        head: &[u8],
        pieces: &[P],
        mut skip: usize,
    ) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); 16];
        let mut used = 0;
        for part in std::iter::once(head).chain(pieces.iter().map(AsRef::as_ref)) {
            let dropped = skip.min(part.len());
            skip -= dropped;
            if dropped < part.len() && used < slices.len() {
                slices[used] = IoSlice::new(&part[dropped..]);
                used += 1;
            }
        }
        let wrote = match &mut self.io {
            Io::Tcp(io) if used == 1 => Pin::new(io).poll_write(cx, &slices[0]),
            Io::Tcp(io) => Pin::new(io).poll_write_vectored(cx, &slices[..used]),
            Io::Other(io) => Pin::new(io).poll_write_vectored(cx, &slices[..used]),
        };
        match wrote {
            Poll::Pending => self.wait(cx),
            Poll::Ready(Ok(n)) => {
                self.written_bytes += n as u64;
                self.watch.progress();
                Poll::Ready(Ok(n))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Tcp(_) => Poll::Ready(Ok(())),
            Io::Other(io) => match Pin::new(io).poll_flush(cx) {
                Poll::Pending => self.wait(cx),
                done @ Poll::Ready(_) => done,
            },
        }
    }
}

impl HeadReader {
    /// Percent-encodes `"`, `<` and `>` in what of the first line is in `bytes`: HAProxy passes them, the parser would not.
    fn encode(&mut self, bytes: &[u8]) -> Option<BytesMut> {
        if !self.in_first_line {
            return None;
        }
        let empty = bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
        let end = memchr::memchr(b'\n', &bytes[empty..]).map(|n| n + empty);
        self.in_first_line = end.is_none();
        let line = &bytes[..end.unwrap_or(bytes.len())];
        let text = &line[empty..];
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        self.spaces += memchr::memchr_iter(b' ', text).count();
        self.illegal |= self.spaces > 2 || !text.iter().all(|b| (b' '..=b'~').contains(b));
        memchr::memchr3(b'"', b'<', b'>', line)?;
        let mut encoded = BytesMut::with_capacity(bytes.len() + 32);
        for byte in line {
            match byte {
                b'"' => encoded.extend_from_slice(b"%22"),
                b'<' => encoded.extend_from_slice(b"%3C"),
                b'>' => encoded.extend_from_slice(b"%3E"),
                other => encoded.extend_from_slice(&[*other]),
            }
        }
        encoded.extend_from_slice(&bytes[line.len()..]);
        Some(encoded)
    }
}

/// Opens a connection to a server, with TLS if it is to have that.
pub(crate) async fn connect(
    address: SocketAddr,
    tls: Option<Arc<TlsClient>>,
    limit: Duration,
    watch: &Arc<Watch>,
) -> io::Result<Wire> {
    let connecting = async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        match tls {
            None => Ok(Wire::tcp(stream, watch.clone())),
            Some(tls) => {
                let stream = tls.connector.connect(tls.name.clone(), stream).await?;
                Ok(Wire::other(stream, watch.clone()))
            }
        }
    };
    let connected = tokio::time::timeout(limit, connecting).await;
    connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.lock().poll_read(cx, out)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.lock().poll_write_from::<&[u8]>(cx, bytes, &[], 0)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.lock().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.lock().io {
            Io::Tcp(io) => Pin::new(io).poll_shutdown(cx),
            Io::Other(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}

impl Shutdown for Wire {
    fn shutdown<'life0, 'async_trait>(
        &'life0 mut self,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(self.close())
    }
}

impl UniqueID for Wire {
    fn id(&self) -> UniqueIDType {
        0
    }
}

impl Ssl for Wire {}

impl Peek for Wire {}

impl GetTimingDigest for Wire {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Wire {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Wire {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wire")
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn quotes_of_the_first_line_are_encoded_wherever_the_bytes_are_cut() {
        let text = b"GET /a?f=x=\"<y>\" HTTP/1.1\r\nHost: \"h\"\r\n\r\n";
        let want = b"GET /a?f=x=%22%3Cy%3E%22 HTTP/1.1\r\nHost: \"h\"\r\n\r\n";
        for cut in 0..text.len() {
            let (mut client, server) = tokio::io::duplex(256);
            let mut wire = Wire::other(server, Arc::default());
            wire.begin_head(1000, Duration::from_secs(1), None);
            let mut got = vec![0; want.len()];
            let (front, back) = text.split_at(cut);
            client.write_all(front).await.unwrap();
            let mut n = if cut == 0 { 0 } else { wire.read(&mut got[..5]).await.unwrap() };
            client.write_all(back).await.unwrap();
            drop(client);
            while let Ok(more @ 1..) = wire.read(&mut got[n..]).await {
                n += more;
            }
            assert_eq!(&got[..n], want, "cut at {cut}");
        }
    }

    #[tokio::test]
    async fn a_header_has_a_limit_and_a_fired_watch_ends_the_wait() {
        let (mut client, server) = tokio::io::duplex(256);
        let watch = Arc::<Watch>::default();
        let mut wire = Wire::other(server, watch.clone());
        wire.begin_head(10, Duration::from_secs(1), None);
        client.write_all(&[b'x'; 12]).await.unwrap();
        let mut space = [0; 32];
        assert_eq!(wire.read(&mut space).await.unwrap(), 12);
        assert!(wire.read(&mut space).await.is_err() && wire.head_too_large());
        wire.end_head();
        let reading = tokio::spawn(async move { wire.read(&mut [0; 8]).await });
        tokio::task::yield_now().await;
        watch.fire(crate::watch::Fired::Timeout);
        assert_eq!(reading.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn all_pieces_are_sent_though_the_peer_takes_little() {
        let (mut client, server) = tokio::io::duplex(7);
        let wire = Wire::other(server, Arc::default());
        let pieces: Vec<_> = (0..40u8).map(|i| Bytes::from(vec![i; usize::from(i) % 5])).collect();
        let want: Vec<u8> = b"head".iter().copied().chain(pieces.concat()).collect();
        let reading = tokio::spawn(async move {
            let mut got = Vec::new();
            client.read_to_end(&mut got).await.unwrap();
            got
        });
        wire.send(b"head", &pieces).await.unwrap();
        drop(wire);
        assert_eq!(reading.await.unwrap(), want);
    }
}
