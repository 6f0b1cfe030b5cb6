//! The access log: one line a stream in HAProxy's format or as JSON. Workers fill buffers, one thread writes them; what it cannot take is dropped and counted.

use std::io::Write;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::config::{Log, LogFormat, LogLevel};
use crate::head::push_int;

/// A buffer is handed over from this size on.
const FULL: usize = 32 << 10;
/// Buffers that may wait for the writer.
const WAITING: usize = 64;
/// Bytes of a request line that are shown.
const LINE_MAX: usize = 1024;

/// One finished stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    /// Client address and port.
    pub client: (&'a str, u16),
    /// Uptime in microseconds of the first byte.
    pub at_us: u64,
    /// Frontend, and whether the client side is TLS.
    pub frontend: (&'a str, bool),
    /// Backend, or the frontend where none was reached.
    pub backend: &'a str,
    /// Server, `<NOSRV>` or `<STATS>`.
    pub server: &'a str,
    /// Microseconds: request header, queue, connect, response header, all.
    pub times: [Option<u64>; 5],
    /// Status told to the client.
    pub status: u16,
    /// Bytes from the client.
    pub bytes_in: u64,
    /// Bytes to the client.
    pub bytes_out: u64,
    /// How it ended.
    pub term: [u8; 2],
    /// Connections of process, frontend, streams of backend, server.
    pub active: [u64; 4],
    /// Further attempts.
    pub retries: u32,
    /// Whether another server took it.
    pub redispatched: bool,
    /// Whether the server connection was used before.
    pub reused: bool,
    /// Requests ahead when it was queued.
    pub queue: u64,
    /// Request line, empty where there was none that could be read.
    pub request: &'a [u8],
}

impl Line<'_> {
    fn went_wrong(&self) -> bool {
        self.term[0] != b'-' && self.term[0] != b'L' || self.retries > 0 || self.status >= 500
    }
}

/// Where lines go.
#[derive(Debug)]
pub(crate) struct AccessLog {
    options: Log,
    buffers: Box<[Mutex<Buffer>]>,
    offset_us: AtomicI64,
    zone: TimeZone,
    dropped: AtomicU64,
    to_writer: SyncSender<Vec<u8>>,
}

#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    second: i64,
    date: Vec<u8>,
}

/// The thread that writes; it ends when the log is dropped.
#[derive(Debug)]
pub(crate) struct Writer(JoinHandle<()>);

impl Writer {
    /// Waits until all was written.
    pub(crate) fn join(self) {
        let _ = self.0.join();
    }
}

/// Starts a log of `workers` buffers that is written to `to`; `now` is the wall time at uptime zero.
/// # Errors
/// Whatever keeps the thread from starting.
pub(crate) fn start(
    options: Log,
    workers: usize,
    now: Timestamp,
    to: impl Write + Send + 'static,
) -> std::io::Result<(AccessLog, Writer)> {
    let (to_writer, lines) = sync_channel(WAITING);
    let thread =
        std::thread::Builder::new().name("access-log".to_owned()).spawn(|| write(lines, to))?;
    let log = AccessLog {
        options,
        buffers: (0..=workers).map(|_| Mutex::default()).collect(),
        offset_us: AtomicI64::new(now.as_microsecond()),
        zone: TimeZone::system(),
        dropped: AtomicU64::new(0),
        to_writer,
    };
    Ok((log, Writer(thread)))
}

fn write(lines: Receiver<Vec<u8>>, mut to: impl Write) {
    for bytes in lines {
        if to.write_all(&bytes).and_then(|()| to.flush()).is_err() {
            return;
        }
    }
}

impl AccessLog {
    /// Lines that could not be written.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Sets the wall time at which uptime was zero: a clock that was set is followed.
    pub(crate) fn anchor(&self, zero: Timestamp) {
        self.offset_us.store(zero.as_microsecond(), Relaxed);
    }

    fn buffer(&self, worker: usize) -> MutexGuard<'_, Buffer> {
        let buffer = &self.buffers[worker.min(self.buffers.len() - 1)];
        buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes one line for `worker`.
    pub(crate) fn line(&self, worker: usize, line: &Line<'_>) {
        if self.options.level >= LogLevel::Warn && !line.went_wrong() {
            return;
        }
        let at_us = self.offset_us.load(Relaxed).saturating_add_unsigned(line.at_us);
        let mut buffer = self.buffer(worker);
        buffer.date(at_us, &self.zone, self.options.format);
        match self.options.format {
            LogFormat::Httplog => httplog(&mut buffer, line, at_us),
            LogFormat::Json => json(&mut buffer, line, at_us),
        }
        if buffer.bytes.len() >= FULL {
            self.hand_over(&mut buffer);
        }
    }

    /// Writes a sentence as it is, such as a server's change of state.
    pub(crate) fn sentence(&self, text: &str) {
        let mut buffer = self.buffer(self.buffers.len() - 1);
        match self.options.format {
            LogFormat::Httplog => buffer.bytes.extend_from_slice(text.as_bytes()),
            LogFormat::Json => {
                buffer.bytes.extend_from_slice(b"{\"event\":");
                json_text(&mut buffer.bytes, text.as_bytes());
                buffer.bytes.push(b'}');
            }
        }
        buffer.bytes.push(b'\n');
        self.hand_over(&mut buffer);
    }

    /// Hands every buffer to the writer; ten times a second and at the end.
    pub(crate) fn flush(&self) {
        for worker in 0..self.buffers.len() {
            self.hand_over(&mut self.buffer(worker));
        }
    }

    fn hand_over(&self, buffer: &mut Buffer) {
        if buffer.bytes.is_empty() {
            return;
        }
        let bytes = std::mem::replace(&mut buffer.bytes, Vec::with_capacity(FULL + 2048));
        if let Err(error) = self.to_writer.try_send(bytes) {
            let (std::sync::mpsc::TrySendError::Full(bytes)
            | std::sync::mpsc::TrySendError::Disconnected(bytes)) = error;
            let lines = memchr::memchr_iter(b'\n', &bytes).count();
            self.dropped.fetch_add(lines as u64, Relaxed);
        }
    }
}

impl Buffer {
    /// Keeps the text of the present second.
    fn date(&mut self, at_us: i64, zone: &TimeZone, format: LogFormat) {
        let second = at_us.div_euclid(1_000_000);
        if second == self.second && !self.date.is_empty() {
            return;
        }
        self.second = second;
        let time = Timestamp::from_second(second).unwrap_or_default();
        let text = match format {
            LogFormat::Httplog => {
                time.to_zoned_datetime(zone.clone()).strftime("%d/%b/%Y:%H:%M:%S").to_string()
            }
            LogFormat::Json => time.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
        };
        self.date = text.into_bytes();
    }
}

fn httplog(buffer: &mut Buffer, line: &Line<'_>, at_us: i64) {
    let out = &mut buffer.bytes;
    out.extend_from_slice(line.client.0.as_bytes());
    out.push(b':');
    push_int(out, u64::from(line.client.1));
    out.extend_from_slice(b" [");
    out.extend_from_slice(&buffer.date);
    out.push(b'.');
    push_padded(out, at_us.rem_euclid(1_000_000).unsigned_abs() / 1000, 3);
    out.extend_from_slice(b"] ");
    out.extend_from_slice(line.frontend.0.as_bytes());
    out.extend_from_slice(if line.frontend.1 { b"~ " } else { b" " });
    out.extend_from_slice(line.backend.as_bytes());
    out.push(b'/');
    out.extend_from_slice(line.server.as_bytes());
    for (at, time) in line.times.iter().enumerate() {
        out.push(if at == 0 { b' ' } else { b'/' });
        match time {
            Some(us) => push_int(out, us / 1000),
            None => out.extend_from_slice(b"-1"),
        }
    }
    out.push(b' ');
    push_int(out, u64::from(line.status));
    out.push(b' ');
    push_int(out, line.bytes_out);
    out.extend_from_slice(b" - - ");
    out.extend_from_slice(&line.term);
    out.extend_from_slice(b"--");
    for (at, count) in line.active.iter().enumerate() {
        out.push(if at == 0 { b' ' } else { b'/' });
        push_int(out, *count);
    }
    out.extend_from_slice(if line.redispatched { b"/+" } else { b"/" });
    push_int(out, u64::from(line.retries));
    out.extend_from_slice(b" 0/");
    push_int(out, line.queue);
    out.extend_from_slice(b" \"");
    push_request(out, line.request);
    out.extend_from_slice(b"\"\n");
}

/// The request line with everything that could end or forge a log line as `#XX`.
fn push_request(out: &mut Vec<u8>, request: &[u8]) {
    if request.is_empty() {
        out.extend_from_slice(b"<BADREQ>");
    }
    for byte in &request[..request.len().min(LINE_MAX)] {
        match byte {
            b' '..=b'~' if !matches!(byte, b'"' | b'#') => out.push(*byte),
            _ => {
                let digit = |n: u8| b"0123456789ABCDEF"[usize::from(n & 15)];
                out.extend_from_slice(&[b'#', digit(byte >> 4), digit(*byte)]);
            }
        }
    }
}

fn push_padded(out: &mut Vec<u8>, n: u64, width: u32) {
    for place in (0..width).rev() {
        out.push(b'0' + (n / 10u64.pow(place) % 10) as u8);
    }
}

fn json(buffer: &mut Buffer, line: &Line<'_>, at_us: i64) {
    let out = &mut buffer.bytes;
    out.extend_from_slice(b"{\"ts\":\"");
    out.extend_from_slice(&buffer.date);
    out.push(b'.');
    push_padded(out, at_us.rem_euclid(1_000_000).unsigned_abs(), 6);
    out.extend_from_slice(b"Z\",\"client\":\"");
    out.extend_from_slice(format!("{}:{}", line.client.0, line.client.1).as_bytes());
    out.push(b'"');
    let mut parts = line.request.splitn(3, |b| *b == b' ');
    let texts = [
        ("frontend", Some(line.frontend.0.as_bytes())),
        ("backend", Some(line.backend.as_bytes())),
        ("server", Some(line.server.as_bytes())),
        ("method", parts.next()),
        ("target", parts.next()),
        ("version", parts.next()),
        ("term", Some(&line.term)),
    ];
    for (name, text) in texts {
        json_name(out, name);
        match text.filter(|t| !t.is_empty()) {
            Some(text) => json_text(out, &text[..text.len().min(LINE_MAX)]),
            None => out.extend_from_slice(b"null"),
        }
    }
    let numbers = [
        ("status", Some(u64::from(line.status))),
        ("bytes_in", Some(line.bytes_in)),
        ("bytes_out", Some(line.bytes_out)),
        ("tr_us", line.times[0]),
        ("tw_us", line.times[1]),
        ("tc_us", line.times[2]),
        ("tresp_us", line.times[3]),
        ("ta_us", line.times[4]),
        ("retries", Some(u64::from(line.retries))),
    ];
    for (name, number) in numbers {
        json_name(out, name);
        match number {
            Some(n) => push_int(out, n),
            None => out.extend_from_slice(b"null"),
        }
    }
    let flags =
        [("redispatched", line.redispatched), ("reused", line.reused), ("tls", line.frontend.1)];
    for (name, flag) in flags {
        json_name(out, name);
        out.extend_from_slice(if flag { b"true" } else { b"false" });
    }
    out.extend_from_slice(b"}\n");
}

fn json_name(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Appends `text` as a JSON string; bytes that are no UTF-8 become the replacement character.
pub(crate) fn json_text(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for c in String::from_utf8_lossy(text).chars() {
        match c {
            '"' | '\\' => out.extend_from_slice(&[b'\\', c as u8]),
            '\u{0}'..='\u{1f}' | '\u{7f}' | '\u{2028}' | '\u{2029}' => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes());
            }
            _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    const LINE: Line<'_> = Line {
        client: ("10.0.0.1", 4321),
        at_us: 1_234_567,
        frontend: ("f", false),
        backend: "b",
        server: "s1",
        times: [Some(1999), Some(0), Some(0), Some(12_000), Some(14_001)],
        status: 200,
        bytes_in: 80,
        bytes_out: 700,
        term: *b"--",
        active: [1, 1, 0, 0],
        retries: 1,
        redispatched: true,
        reused: false,
        queue: 0,
        request: b"GET /a?\"#\n HTTP/1.1",
    };

    fn written(format: LogFormat, level: LogLevel, line: &Line<'_>) -> String {
        let options = Log { format, level, ..crate::Config::default().log };
        let sink = Sink::default();
        let (mut log, writer) =
            start(options, 1, "2026-11-22T19:13:12Z".parse().unwrap(), sink.clone()).unwrap();
        log.zone = TimeZone::UTC;
        log.line(0, line);
        log.flush();
        drop(log);
        writer.join();
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn httplog_is_haproxys() {
        let want = "10.0.0.1:4321 [22/Nov/2026:19:13:13.234] f b/s1 1/0/0/12/14 200 700 - - ---- \
                    1/1/0/0/+1 0/0 \"GET /a?#22#23#0A HTTP/1.1\"\n";
        assert_eq!(written(LogFormat::Httplog, LogLevel::Info, &LINE), want);
        let bad = Line { times: [None, None, None, None, Some(9)], request: b"", ..LINE };
        assert!(
            written(LogFormat::Httplog, LogLevel::Info, &bad).contains(" -1/-1/-1/-1/0 200 700")
        );
        assert!(written(LogFormat::Httplog, LogLevel::Info, &bad).ends_with("\"<BADREQ>\"\n"));
    }

    #[test]
    fn json_holds_the_same_and_quiet_levels_hold_only_what_went_wrong() {
        let text = written(LogFormat::Json, LogLevel::Info, &LINE);
        assert!(
            text.starts_with(
                "{\"ts\":\"2026-11-22T19:13:13.234567Z\",\"client\":\"10.0.0.1:4321\""
            )
        );
        assert!(text.contains("\"target\":\"/a?\\\"#\\u000a\",\"version\":\"HTTP/1.1\""), "{text}");
        assert!(text.contains("\"ta_us\":14001") && text.contains("\"redispatched\":true"));
        let fine = Line { retries: 0, ..LINE };
        assert_eq!(written(LogFormat::Json, LogLevel::Warn, &fine), "");
        assert_ne!(written(LogFormat::Json, LogLevel::Warn, &LINE), "");
    }
}
