//! The access log: one line a stream in HAProxy's format or as JSON. Workers fill buffers, which a sink writes.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::config::{LogFormat, LogLevel};
use crate::head::push_int;
use crate::sink::{Severity, Sink, Writer};

/// A buffer is handed over from this size on.
const FULL: usize = 32 << 10;
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
    /// Requests ahead when it was queued: for the server, for the backend.
    pub queue: (u64, u64),
    /// Request line, empty where there was none that could be read.
    pub request: &'a [u8],
    /// Who the client proved to be.
    pub user: Option<&'a str>,
    /// Number of the connection, and of the request on it.
    pub id: (u64, u32),
    /// Where copies of the request went: server, status, microseconds.
    pub copies: &'a [(String, u16, u64)],
}

impl Line<'_> {
    fn went_wrong(&self) -> bool {
        self.term[0] != b'-' && self.term[0] != b'L' || self.retries > 0 || self.status >= 500
    }
}

/// Where lines go.
#[derive(Debug)]
pub(crate) struct AccessLog {
    buffers: Box<[Mutex<Buffer>]>,
    offset_us: AtomicI64,
    zone: TimeZone,
    dropped: AtomicU64,
    writer: Mutex<Option<Writer>>,
}

/// Lines of one worker that were not yet handed over.
#[derive(Debug)]
struct Buffer {
    sink: Arc<Sink>,
    /// Lines for each target.
    parts: Vec<Vec<u8>>,
    stamp: Stamp,
}

/// Texts of the present second.
#[derive(Debug, Default)]
struct Stamp {
    second: i64,
    local: String,
    utc: String,
    syslog: String,
}

impl AccessLog {
    /// A log of `workers` buffers that goes to `sink`; `now` is the wall time at uptime zero.
    pub(crate) fn new(sink: Sink, writer: Writer, workers: usize, now: Timestamp) -> Self {
        let sink = Arc::new(sink);
        let buffer = || {
            let parts = vec![Vec::new(); sink.targets().len()];
            Mutex::new(Buffer { sink: sink.clone(), parts, stamp: Stamp::default() })
        };
        AccessLog {
            buffers: (0..=workers).map(|_| buffer()).collect(),
            offset_us: AtomicI64::new(now.as_microsecond()),
            zone: TimeZone::system(),
            dropped: AtomicU64::new(0),
            writer: Mutex::new(Some(writer)),
        }
    }

    /// Lines go to `sink` from now on; what was written goes where it was meant to.
    pub(crate) fn switch(&self, sink: Sink, writer: Writer) {
        let sink = Arc::new(sink);
        for buffer in &self.buffers {
            let mut buffer = lock(buffer);
            self.hand_over(&mut buffer);
            buffer.parts = vec![Vec::new(); sink.targets().len()];
            buffer.sink = sink.clone();
        }
        // The old one ends by itself when it has written what is left.
        *lock(&self.writer) = Some(writer);
    }

    /// The thread that writes; to be waited for when the log was dropped.
    pub(crate) fn take_writer(&self) -> Option<Writer> {
        lock(&self.writer).take()
    }

    /// Lines that could not be written.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Sets the wall time at which uptime was zero: a clock that was set is followed.
    pub(crate) fn anchor(&self, zero: Timestamp) {
        self.offset_us.store(zero.as_microsecond(), Relaxed);
    }

    fn buffer(&self, worker: usize) -> MutexGuard<'_, Buffer> {
        lock(&self.buffers[worker.min(self.buffers.len() - 1)])
    }

    /// Writes one line for `worker`.
    pub(crate) fn line(&self, worker: usize, line: &Line<'_>) {
        let at_us = self.offset_us.load(Relaxed).saturating_add_unsigned(line.at_us);
        let mut buffer = self.buffer(worker);
        let Buffer { sink, parts, stamp } = &mut *buffer;
        let mut is_full = false;
        for (target, out) in sink.targets().iter().zip(parts) {
            let log = &target.options;
            let raised = log.separate_errors || log.level >= LogLevel::Warn;
            let severity =
                if raised && line.went_wrong() { Severity::Error } else { Severity::Info };
            if !severity.passes(log.level) {
                continue;
            }
            stamp.renew(at_us, &self.zone);
            target.prefix(severity, at_us, stamp.texts(), out);
            match log.format {
                LogFormat::Httplog => httplog(out, &stamp.local, line, at_us),
                LogFormat::Json => json(out, &stamp.utc, line, at_us),
            }
            is_full |= out.len() >= FULL;
        }
        if is_full {
            self.hand_over(&mut buffer);
        }
    }

    /// Writes a sentence as it is, such as a server's change of state.
    pub(crate) fn sentence(&self, severity: Severity, text: &str) {
        let mut buffer = self.buffer(self.buffers.len() - 1);
        let at_us = Timestamp::now().as_microsecond();
        let Buffer { sink, parts, stamp } = &mut *buffer;
        for (target, out) in sink.targets().iter().zip(parts) {
            if !severity.passes(target.options.level) {
                continue;
            }
            stamp.renew(at_us, &self.zone);
            target.prefix(severity, at_us, stamp.texts(), out);
            match target.options.format {
                LogFormat::Httplog => out.extend_from_slice(text.as_bytes()),
                LogFormat::Json => {
                    out.extend_from_slice(b"{\"event\":");
                    json_text(out, text.as_bytes());
                    out.push(b'}');
                }
            }
            out.push(b'\n');
        }
        self.hand_over(&mut buffer);
    }

    /// Hands every buffer to the writer; ten times a second and at the end.
    pub(crate) fn flush(&self) {
        for worker in 0..self.buffers.len() {
            self.hand_over(&mut self.buffer(worker));
        }
    }

    fn hand_over(&self, buffer: &mut Buffer) {
        let Buffer { sink, parts, .. } = buffer;
        for (target, part) in parts.iter_mut().enumerate().filter(|(_, p)| !p.is_empty()) {
            let bytes = std::mem::replace(part, Vec::with_capacity(FULL + 2048));
            self.dropped.fetch_add(sink.write(target, bytes), Relaxed);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stamp {
    /// Makes the texts anew when a second has passed.
    fn renew(&mut self, at_us: i64, zone: &TimeZone) {
        let second = at_us.div_euclid(1_000_000);
        if second == self.second && !self.local.is_empty() {
            return;
        }
        self.second = second;
        let time = Timestamp::from_second(second).unwrap_or_default();
        let local = zone.to_datetime(time);
        self.local = local.strftime("%d/%b/%Y:%H:%M:%S").to_string();
        self.syslog = local.strftime("%b %e %H:%M:%S").to_string();
        self.utc = time.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    }

    /// The texts for a syslog prefix: local, and UTC.
    fn texts(&self) -> (&str, &str) {
        (&self.syslog, &self.utc)
    }
}

fn httplog(out: &mut Vec<u8>, date: &str, line: &Line<'_>, at_us: i64) {
    out.extend_from_slice(line.client.0.as_bytes());
    out.push(b':');
    push_int(out, u64::from(line.client.1));
    out.extend_from_slice(b" [");
    out.extend_from_slice(date.as_bytes());
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
    match line.status {
        0 => out.extend_from_slice(b"-1"),
        status => push_int(out, u64::from(status)),
    }
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
    out.push(b' ');
    push_int(out, line.queue.0);
    out.push(b'/');
    push_int(out, line.queue.1);
    out.extend_from_slice(b" \"");
    push_request(out, line.request);
    out.extend_from_slice(b"\"\n");
}

/// One stream's line in both formats, for the fuzzer.
pub(crate) fn both_forms(request: &[u8]) -> [Vec<u8>; 2] {
    let line = Line {
        client: ("192.0.2.1", 1),
        at_us: 0,
        frontend: ("f", true),
        backend: "b",
        server: "s",
        times: [Some(1), None, None, None, Some(2)],
        status: 200,
        bytes_in: 1,
        bytes_out: 2,
        term: *b"--",
        active: [1; 4],
        retries: 0,
        redispatched: false,
        reused: false,
        queue: (0, 0),
        request,
        user: None,
        id: (1, 1),
        copies: &[],
    };
    [LogFormat::Httplog, LogFormat::Json].map(|format| {
        let mut out = Vec::new();
        match format {
            LogFormat::Httplog => httplog(&mut out, "01/Jan/1970:00:00:00", &line, 0),
            LogFormat::Json => json(&mut out, "1970-01-01T00:00:00", &line, 0),
        }
        out
    })
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

pub(crate) fn push_padded(out: &mut Vec<u8>, n: u64, width: u32) {
    for place in (0..width).rev() {
        out.push(b'0' + (n / 10u64.pow(place) % 10) as u8);
    }
}

fn json(out: &mut Vec<u8>, date: &str, line: &Line<'_>, at_us: i64) {
    out.extend_from_slice(b"{\"ts\":\"");
    out.extend_from_slice(date.as_bytes());
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
        ("user", line.user.map(str::as_bytes)),
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
    out.extend_from_slice(b",\"fanout\":[");
    for (at, (server, status, us)) in line.copies.iter().enumerate() {
        out.extend_from_slice(if at == 0 { b"{\"server\":" } else { b",{\"server\":" });
        json_text(out, server.as_bytes());
        out.extend_from_slice(format!(",\"status\":{status},\"us\":{us}}}").as_bytes());
    }
    let (connection, request) = line.id;
    out.extend_from_slice(format!("],\"request_id\":\"{connection:x}-{request}\"}}\n").as_bytes());
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
            // Control characters, and those that reorder or hide what a terminal shows.
            '\u{0}'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}' => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes());
            }
            _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Log;

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
        queue: (0, 0),
        request: b"GET /a?\"#\n HTTP/1.1",
        user: None,
        id: (255, 2),
        copies: &[],
    };

    fn written_to(log: Log, line: &Line<'_>) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        let to = crate::config::LogTo::File(file.path().to_owned());
        let (sink, writer) = Sink::open(&[Log { to, ..log }]).unwrap();
        let mut log = AccessLog::new(sink, writer, 1, "2026-11-22T19:13:12Z".parse().unwrap());
        log.zone = TimeZone::UTC;
        log.line(0, line);
        log.flush();
        let writer = log.take_writer().unwrap();
        drop(log);
        writer.join();
        std::fs::read_to_string(file.path()).unwrap()
    }

    fn written(format: LogFormat, level: LogLevel, line: &Line<'_>) -> String {
        written_to(Log { format, level, ..Log::default() }, line)
    }

    #[test]
    fn a_prefix_is_syslogs() {
        use crate::config::LogPrefix;
        let log = |prefix, separate_errors| Log {
            prefix,
            separate_errors,
            tag: "haproxy".into(),
            ..Log::default()
        };
        let text = written_to(log(LogPrefix::Rfc3164, false), &LINE);
        let want = format!("<134>Nov 22 19:13:13 haproxy[{}]: 10.0.0.1:4321 [", std::process::id());
        assert!(text.starts_with(&want), "{text}");
        let text = written_to(log(LogPrefix::Rfc5424, true), &LINE);
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let pid = std::process::id();
        let want = format!("<131>1 2026-11-22T19:13:13.234567+00:00 {host} haproxy {pid} - - 10.0");
        assert!(text.starts_with(&want), "{text}");
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
        assert!(text.ends_with(",\"fanout\":[],\"request_id\":\"ff-2\"}\n"), "{text}");
        let copies = [("a\"".to_owned(), 200, 5), ("b".to_owned(), 503, 6)];
        let copied = Line { copies: &copies, user: Some("ann"), ..LINE };
        let text = written(LogFormat::Json, LogLevel::Info, &copied);
        assert!(text.contains("{\"server\":\"a\\\"\",\"status\":200,\"us\":5},{"), "{text}");
        assert!(text.contains("\"user\":\"ann\""), "{text}");
        let fine = Line { retries: 0, ..LINE };
        assert_eq!(written(LogFormat::Json, LogLevel::Warn, &fine), "");
        assert_eq!(written(LogFormat::Json, LogLevel::Notice, &LINE), "");
        assert_ne!(written(LogFormat::Json, LogLevel::Warn, &LINE), "");
    }
}
