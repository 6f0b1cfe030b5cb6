//! Request and response headers as bytes: a strict look at what the parser has framed, and their way to the other side. Pure.
//! Refusing here is never looser than the parser: framing stays with it.

use std::net::IpAddr;

use crate::config::{ForwardFor, Limits};

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// 400, with the reason.
    Bad(&'static str),
    /// 405.
    Method,
    /// 414.
    TargetTooLong,
    /// 431.
    HeaderTooLarge,
}

impl Refusal {
    /// Status and text of the answer.
    pub(crate) fn answer(self) -> (u16, &'static str) {
        match self {
            Refusal::Bad(reason) => (400, reason),
            Refusal::Method => (405, "method not allowed"),
            Refusal::TargetTooLong => (414, "request target too long"),
            Refusal::HeaderTooLarge => (431, "request header too large"),
        }
    }
}

/// What a header field means to a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Host,
    Connection,
    ContentLength,
    TransferEncoding,
    Expect,
    /// Concerns this connection only.
    Hop,
    Other,
}

/// Place of a field in the raw header.
#[derive(Clone, Copy, Debug)]
struct Field {
    start: usize,
    colon: usize,
    end: usize,
    kind: Kind,
}

/// A header in its lines; its space is used again.
#[derive(Debug, Default)]
pub(crate) struct Head {
    fields: Vec<Field>,
    method: (usize, usize),
    target: (usize, usize),
    line_end: usize,
    /// The body's length, if it was told.
    pub content_length: Option<u64>,
    /// Whether the body is chunked.
    pub chunked: bool,
    /// Whether the client waits for a 100.
    pub expects_continue: bool,
    /// HTTP/1.1, not 1.0.
    pub is_11: bool,
    /// Whether the connection is to stay open.
    pub keep_alive: bool,
    /// `Connection` names further fields.
    nominates: bool,
    has_host: bool,
}

/// Bytes of names and methods.
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let others = b"!#$%&'*+-.^_`|~";
    let mut byte = 0u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
};

fn is_token(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

fn is_value(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

fn kind(name: &[u8]) -> Kind {
    let is = |text: &str| name.eq_ignore_ascii_case(text.as_bytes());
    match name.len() {
        2 if is("te") => Kind::Hop,
        4 if is("host") => Kind::Host,
        6 if is("expect") => Kind::Expect,
        7 if is("trailer") || is("upgrade") => Kind::Hop,
        10 if is("connection") => Kind::Connection,
        10 if is("keep-alive") => Kind::Hop,
        14 if is("content-length") => Kind::ContentLength,
        16 if is("proxy-connection") => Kind::Hop,
        17 if is("transfer-encoding") => Kind::TransferEncoding,
        _ => Kind::Other,
    }
}

fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Length of a `Content-Length` value: digits only, a list only of equal ones.
fn length(value: &[u8]) -> Option<u64> {
    let mut parts = value.split(|b| *b == b',').map(trim);
    let number = |part: &[u8]| {
        let digits = !part.is_empty() && part.iter().all(u8::is_ascii_digit);
        digits.then(|| std::str::from_utf8(part).ok()?.parse().ok()).flatten()
    };
    let first = number(parts.next()?)?;
    parts.all(|p| number(p) == Some(first)).then_some(first)
}

impl Head {
    /// Method, as it was sent.
    pub(crate) fn method<'a>(&self, raw: &'a [u8]) -> &'a str {
        std::str::from_utf8(&raw[self.method.0..self.method.1]).unwrap_or_default()
    }

    /// Target, as it was sent.
    pub(crate) fn target<'a>(&self, raw: &'a [u8]) -> &'a str {
        std::str::from_utf8(&raw[self.target.0..self.target.1]).unwrap_or_default()
    }

    /// Number of fields.
    pub(crate) fn len(&self) -> usize {
        self.fields.len()
    }

    /// The first line, without its end.
    pub(crate) fn first_line<'a>(&self, raw: &'a [u8]) -> &'a [u8] {
        &raw[self.method.0..self.line_end]
    }

    /// Values of the fields called `name`.
    pub(crate) fn values<'a>(
        &'a self,
        raw: &'a [u8],
        name: &'a str,
    ) -> impl Iterator<Item = &'a [u8]> {
        let named = move |f: &&Field| raw[f.start..f.colon].eq_ignore_ascii_case(name.as_bytes());
        self.fields.iter().filter(named).map(|f| trim(&raw[f.colon + 1..f.end]))
    }

    fn clear(&mut self) {
        let mut fields = std::mem::take(&mut self.fields);
        fields.clear();
        *self = Head { fields, ..Head::default() };
    }

    /// Reads a request header strictly.
    /// # Errors
    /// The [`Refusal`] with which it is answered.
    pub(crate) fn read_request(&mut self, raw: &[u8], limits: &Limits) -> Result<(), Refusal> {
        self.clear();
        let mut start = 0;
        while raw[start..].starts_with(b"\r\n") {
            start += 2;
        }
        if raw.len() - start > limits.header_bytes {
            return Err(Refusal::HeaderTooLarge);
        }
        let end = self.line(raw, start, true)?;
        self.request_line(raw, start, end, limits)?;
        self.fields(raw, end + 2, true, limits.headers)?;
        self.request_rules(raw)
    }

    /// End of the line that begins at `start`, before its CRLF; a strict reader takes no bare LF and no other control byte.
    fn line(&self, raw: &[u8], start: usize, strict: bool) -> Result<usize, Refusal> {
        let rest = raw.get(start..).unwrap_or_default();
        let lf = memchr::memchr(b'\n', rest).ok_or(Refusal::Bad("incomplete header"))?;
        let line = &rest[..lf];
        let text = line.strip_suffix(b"\r");
        if strict && text.is_none() {
            return Err(Refusal::Bad("line ends without CR"));
        }
        let text = text.unwrap_or(line);
        if !text.iter().all(|b| is_value(*b)) {
            return Err(Refusal::Bad("control byte in header"));
        }
        Ok(start + text.len())
    }

    fn request_line(
        &mut self,
        raw: &[u8],
        start: usize,
        end: usize,
        limits: &Limits,
    ) -> Result<(), Refusal> {
        let line = &raw[start..end];
        let bad = Refusal::Bad("bad request line");
        let method_end = memchr::memchr(b' ', line).ok_or(bad)?;
        let target_end = memchr::memrchr(b' ', line).ok_or(bad)?;
        if target_end <= method_end + 1 {
            return Err(bad);
        }
        let (method, target) = (&line[..method_end], &line[method_end + 1..target_end]);
        if method.is_empty() || !method.iter().all(|b| is_token(*b)) {
            return Err(bad);
        }
        self.is_11 = match &line[target_end + 1..] {
            b"HTTP/1.1" => true,
            b"HTTP/1.0" => false,
            _ => return Err(Refusal::Bad("unsupported HTTP version")),
        };
        self.method = (start, start + method_end);
        self.target = (start + method_end + 1, start + target_end);
        self.line_end = end;
        self.keep_alive = self.is_11;
        if matches!(method, b"CONNECT" | b"TRACE") {
            return Err(Refusal::Method);
        }
        if target.len() > limits.uri_bytes {
            return Err(Refusal::TargetTooLong);
        }
        let legal = |b: &u8| (0x21..=0x7e).contains(b) && *b != b'#';
        let asterisk = target == b"*" && method == b"OPTIONS";
        let absolute = absolute_authority(target).is_some();
        if !target.iter().all(legal) || !(target.starts_with(b"/") || asterisk || absolute) {
            return Err(Refusal::Bad("bad request target"));
        }
        Ok(())
    }

    fn fields(
        &mut self,
        raw: &[u8],
        mut start: usize,
        strict: bool,
        most: usize,
    ) -> Result<(), Refusal> {
        loop {
            let end = self.line(raw, start, strict)?;
            if end == start {
                return Ok(());
            }
            let line = &raw[start..end];
            let colon = memchr::memchr(b':', line).ok_or(Refusal::Bad("header without colon"))?;
            let name = &line[..colon];
            if name.is_empty() || !name.iter().all(|b| is_token(*b)) {
                return Err(Refusal::Bad("bad header name"));
            }
            if self.fields.len() == most {
                return Err(Refusal::HeaderTooLarge);
            }
            let field = Field { start, colon: start + colon, end, kind: kind(name) };
            self.fields.push(field);
            self.note(field, trim(&line[colon + 1..]))?;
            start = end + if raw[end] == b'\r' { 2 } else { 1 };
        }
    }

    /// What one field says about framing and connection.
    fn note(&mut self, field: Field, value: &[u8]) -> Result<(), Refusal> {
        match field.kind {
            Kind::Host if self.has_host => return Err(Refusal::Bad("more than one Host")),
            Kind::Host => self.has_host = true,
            Kind::ContentLength => {
                let length = length(value).ok_or(Refusal::Bad("bad Content-Length"))?;
                if self.content_length.is_some_and(|l| l != length) {
                    return Err(Refusal::Bad("different Content-Length"));
                }
                self.content_length = Some(length);
            }
            Kind::TransferEncoding => {
                if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Refusal::Bad("unsupported Transfer-Encoding"));
                }
                self.chunked = true;
            }
            Kind::Expect => self.expects_continue = value.eq_ignore_ascii_case(b"100-continue"),
            Kind::Connection => self.connection(value),
            Kind::Hop | Kind::Other => {}
        }
        Ok(())
    }

    fn connection(&mut self, value: &[u8]) {
        for token in value.split(|b| *b == b',').map(trim) {
            if token.eq_ignore_ascii_case(b"close") {
                self.keep_alive = false;
            } else if token.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = self.keep_alive || !self.is_11;
            } else if !token.is_empty() {
                self.nominates = true;
            }
        }
    }

    fn request_rules(&self, raw: &[u8]) -> Result<(), Refusal> {
        if self.chunked && self.content_length.is_some() {
            return Err(Refusal::Bad("both Transfer-Encoding and Content-Length"));
        }
        if self.chunked && !self.is_11 {
            return Err(Refusal::Bad("Transfer-Encoding in HTTP/1.0"));
        }
        if self.is_11 && !self.has_host {
            return Err(Refusal::Bad("no Host"));
        }
        if let Some(authority) = absolute_authority(self.target(raw).as_bytes())
            && self.values(raw, "host").any(|h| h != authority)
        {
            return Err(Refusal::Bad("Host differs from target"));
        }
        let kept = |token: &[u8]| {
            let lower = token.to_ascii_lowercase();
            lower.starts_with(b"x-forwarded-")
                || matches!(&lower[..], b"host" | b"content-length" | b"authorization")
        };
        if self.nominates && self.nominated(raw).any(kept) {
            return Err(Refusal::Bad("Connection names a field that must stay"));
        }
        Ok(())
    }

    fn nominated<'a>(&'a self, raw: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let values = self.values(raw, "connection");
        values.flat_map(|v| v.split(|b| *b == b',')).map(trim).filter(|t| !t.is_empty())
    }

    /// Whether a field travels on, framing and `Host` aside.
    fn travels(&self, raw: &[u8], field: &Field) -> bool {
        match field.kind {
            Kind::Hop | Kind::Connection | Kind::TransferEncoding | Kind::ContentLength => false,
            Kind::Host | Kind::Expect => true,
            Kind::Other if self.nominates => {
                let name = &raw[field.start..field.colon];
                !self.nominated(raw).any(|t| t.eq_ignore_ascii_case(name))
            }
            Kind::Other => true,
        }
    }

    fn copy_fields(&self, raw: &[u8], out: &mut Vec<u8>, skip: impl Fn(&[u8], Kind) -> bool) {
        for field in &self.fields {
            if self.travels(raw, field) && !skip(&raw[field.start..field.colon], field.kind) {
                out.extend_from_slice(&raw[field.start..field.end]);
                out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Writes the request for a server into `out`.
    pub(crate) fn forward(&self, raw: &[u8], to: &Forward<'_>, out: &mut Vec<u8>) {
        let target = self.target(raw).as_bytes();
        out.extend_from_slice(&raw[self.method.0..self.method.1]);
        out.push(b' ');
        match absolute_authority(target) {
            Some(authority) => {
                let path = &target[7 + authority.len()..];
                if !path.starts_with(b"/") {
                    out.push(b'/');
                }
                out.extend_from_slice(path);
            }
            None => out.extend_from_slice(target),
        }
        out.extend_from_slice(b" HTTP/1.1\r\n");
        if !self.has_host {
            field(out, "Host", to.host.as_bytes());
        }
        self.copy_fields(raw, out, |name, kind| {
            (kind == Kind::Expect && to.drop_expect)
                || (to.proto.is_some() && name.eq_ignore_ascii_case(b"x-forwarded-proto"))
                || to.strips.iter().any(|s| name.eq_ignore_ascii_case(s.as_bytes()))
        });
        match (self.chunked, to.length.or(self.content_length)) {
            (_, Some(length)) if to.length.is_some() || !self.chunked => {
                out.extend_from_slice(b"Content-Length: ");
                push_int(out, length);
                out.extend_from_slice(b"\r\n");
            }
            (true, _) => field(out, "Transfer-Encoding", b"chunked"),
            (false, _) => {}
        }
        let rule = to.forward_for;
        if let Some(client) = to.client.filter(|_| rule.enabled)
            && !(rule.if_none && self.values(raw, &rule.header).next().is_some())
        {
            field(out, &rule.header, client.as_bytes());
        }
        if let Some((name, value)) = to.identity {
            field(out, name, value.as_bytes());
        }
        via(out, to.via);
        if let Some(proto) = to.proto {
            field(out, "X-Forwarded-Proto", proto.as_bytes());
        }
        if to.close {
            field(out, "Connection", b"close");
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Reads an answer's header: as strict as framing needs, bare LF allowed.
    pub(crate) fn read_response(&mut self, raw: &[u8]) -> Result<(), Refusal> {
        self.clear();
        let end = self.line(raw, 0, false)?;
        self.method = (0, 0);
        self.line_end = end;
        self.is_11 = raw.starts_with(b"HTTP/1.1");
        self.keep_alive = self.is_11;
        let next = end + if raw[end] == b'\r' { 2 } else { 1 };
        self.fields(raw, next, false, 256)
    }

    /// Writes the answer for the client into `out`: its status line under HTTP/1.1 and the fields that travel.
    pub(crate) fn answer(
        &self,
        raw: &[u8],
        framing: Framing,
        connection: Option<&str>,
        by: &str,
        out: &mut Vec<u8>,
    ) {
        let line = &raw[..self.line_end];
        out.extend_from_slice(b"HTTP/1.1");
        out.extend_from_slice(line.get(8..).unwrap_or_default());
        out.extend_from_slice(b"\r\n");
        self.copy_fields(raw, out, |_, _| false);
        match framing {
            Framing::Length(length) => {
                out.extend_from_slice(b"Content-Length: ");
                push_int(out, length);
                out.extend_from_slice(b"\r\n");
            }
            Framing::Chunked => field(out, "Transfer-Encoding", b"chunked"),
            Framing::UntilClose | Framing::Nothing => {}
        }
        via(out, by);
        if let Some(connection) = connection {
            field(out, "Connection", connection.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// After so many bytes.
    Length(u64),
    /// With the last chunk.
    Chunked,
    /// With the connection.
    UntilClose,
    /// There is none, and nothing is said about it.
    Nothing,
}

/// How a request goes on to a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Forward<'a> {
    /// The client's address, unless it is not to be told.
    pub client: Option<&'a str>,
    /// For `Host`, where the client sent none.
    pub host: &'a str,
    /// The forwarding header.
    pub forward_for: &'a ForwardFor,
    /// `X-Forwarded-Proto`, if it is set here.
    pub proto: Option<&'a str>,
    /// The connection is for this request only.
    pub close: bool,
    /// The body was read here: its length, and no `Expect`.
    pub length: Option<u64>,
    /// Whether `Expect` was answered here.
    pub drop_expect: bool,
    /// Fields of the client that servers must not see.
    pub strips: &'a [String],
    /// A field that is told here, with its value.
    pub identity: Option<(&'a str, &'a str)>,
    /// Name for `Via`, empty for none.
    pub via: &'a str,
}

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends who passed the message on, if that is told.
fn via(out: &mut Vec<u8>, name: &str) {
    if !name.is_empty() {
        out.extend_from_slice(b"Via: 1.1 ");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends a number in decimal.
pub(crate) fn push_int(out: &mut Vec<u8>, mut n: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends the size line of a chunk.
pub(crate) fn push_chunk_size(out: &mut Vec<u8>, n: usize) {
    out.extend_from_slice(format!("{n:x}\r\n").as_bytes());
}

/// Authority of a target in absolute form.
fn absolute_authority(target: &[u8]) -> Option<&[u8]> {
    let rest = target.get(7..).filter(|_| target[..7].eq_ignore_ascii_case(b"http://"))?;
    let end = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
    Some(&rest[..end]).filter(|a| !a.is_empty())
}

/// A client's address as headers and logs show it: IPv4 also where it came over an IPv6 socket.
pub(crate) fn client_text(ip: IpAddr) -> String {
    ip.to_canonical().to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(raw: &str) -> Result<Head, Refusal> {
        let mut head = Head::default();
        head.read_request(raw.as_bytes(), &Limits::default()).map(|()| head)
    }

    fn forward(raw: &str) -> String {
        forward_with(raw, &[], "")
    }

    fn forward_with(raw: &str, strips: &[String], via: &str) -> String {
        let rule = ForwardFor {
            enabled: true,
            header: "X-Forwarded-For".into(),
            if_none: false,
            except: Vec::new(),
        };
        let to = Forward {
            client: Some("10.0.0.9"),
            host: "node:1",
            forward_for: &rule,
            proto: None,
            close: false,
            length: None,
            drop_expect: false,
            strips,
            identity: None,
            via,
        };
        let mut out = Vec::new();
        read(raw).unwrap().forward(raw.as_bytes(), &to, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[track_caller]
    fn refused(raw: &str, reason: &'static str) {
        assert_eq!(read(raw).map(|_| ()), Err(Refusal::Bad(reason)), "{raw:?}");
    }

    #[test]
    fn fields_travel_and_those_of_the_connection_do_not() {
        let raw = "POST /a?b=%22 HTTP/1.1\r\nHost: h\r\nConnection: close, X-Secret\r\nx-secret: 1\r\n\
                   TE: trailers\r\nUpgrade: h2c\r\nX-Forwarded-For: 1.1.1.1\r\nCONTENT-LENGTH: 3, 3\r\n\r\n";
        assert_eq!(
            forward(raw),
            "POST /a?b=%22 HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1.1.1.1\r\nContent-Length: 3\r\n\
             X-Forwarded-For: 10.0.0.9\r\n\r\n"
        );
        assert!(!read(raw).unwrap().keep_alive);
    }

    #[test]
    fn what_was_proved_here_is_not_passed_on() {
        let raw = "GET / HTTP/1.1\r\nHost: h\r\nauthorization: Basic eA==\r\n\r\n";
        let want = "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 10.0.0.9\r\nVia: 1.1 lb\r\n\r\n";
        assert_eq!(forward_with(raw, &["Authorization".to_owned()], "lb"), want);
        assert!(forward(raw).contains("authorization: Basic"));
    }

    #[test]
    fn absolute_targets_and_old_clients_become_ordinary() {
        let raw = "GET http://h/x?y HTTP/1.1\r\nhost: h\r\n\r\n";
        assert!(forward(raw).starts_with("GET /x?y HTTP/1.1\r\nhost: h\r\n"));
        let query = "GET http://h?y HTTP/1.1\r\nhost: h\r\n\r\n";
        assert!(forward(query).starts_with("GET /?y HTTP/1.1\r\n"));
        let old = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
        assert!(forward(old).starts_with("GET / HTTP/1.1\r\nHost: node:1\r\n"));
        assert!(read(old).unwrap().keep_alive);
    }

    #[test]
    fn doubtful_requests_are_refused() {
        let with = |fields: &str| format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        refused(
            &with("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"),
            "both Transfer-Encoding and Content-Length",
        );
        refused(&with("Content-Length: 1\r\nContent-Length: 2\r\n"), "different Content-Length");
        refused(&with("Content-Length: +1\r\n"), "bad Content-Length");
        refused(&with("Content-Length:\r\n"), "bad Content-Length");
        refused(&with("Transfer-Encoding: gzip, chunked\r\n"), "unsupported Transfer-Encoding");
        refused(
            &with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
            "unsupported Transfer-Encoding",
        );
        refused(&with("X : 1\r\n"), "bad header name");
        refused(&with("X: 1\n"), "line ends without CR");
        refused(&with("X: a\0b\r\n"), "control byte in header");
        refused(&with("X: a\rb\r\n"), "control byte in header");
        refused(&with("X: a\r\n folded\r\n"), "header without colon");
        refused(&with("X: a\r\n fol:ded\r\n"), "bad header name");
        refused(&with("Host: g\r\n"), "more than one Host");
        refused(&with("Connection: host\r\n"), "Connection names a field that must stay");
        refused("GET / HTTP/1.1\r\n\r\n", "no Host");
        refused("GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", "bad request target");
        refused("GET /\u{e9} HTTP/1.1\r\nHost: h\r\n\r\n", "bad request target");
        refused("GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", "bad request target");
        refused("GET http://g/ HTTP/1.1\r\nHost: h\r\n\r\n", "Host differs from target");
        refused("GET / HTTP/2.0\r\nHost: h\r\n\r\n", "unsupported HTTP version");
        refused(
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            "Transfer-Encoding in HTTP/1.0",
        );
        assert_eq!(read("CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n").err(), Some(Refusal::Method));
        let long = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(9000));
        assert_eq!(read(&long).err(), Some(Refusal::TargetTooLong));
        assert_eq!(read(&with(&"X: 1\r\n".repeat(100))).err(), Some(Refusal::HeaderTooLarge));
        assert!(read(&with(&"X: 1\r\n".repeat(99))).is_ok());
    }

    #[test]
    fn answers_lose_what_concerns_the_connection() {
        let raw = b"HTTP/1.0 200 Fine\nServer: x\nConnection: keep-alive\nContent-Length: 2\n\n";
        let mut head = Head::default();
        head.read_response(raw).unwrap();
        let mut out = Vec::new();
        head.answer(raw, Framing::Length(2), Some("close"), "lb", &mut out);
        let want = "HTTP/1.1 200 Fine\r\nServer: x\r\nContent-Length: 2\r\nVia: 1.1 lb\r\nConnection: close\r\n\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(raw: Vec<u8>) {
            let mut head = Head::default();
            let _ = head.read_request(&raw, &Limits::default());
            let _ = head.read_response(&raw);
        }

        #[test]
        fn what_passes_passes_again(path in "/[!-\"$-~]{0,20}", name in "[A-Za-z-]{1,12}", value in "[ -~]{0,20}") {
            let raw = format!("GET {path} HTTP/1.1\r\nHost: h\r\n{name}: {value}\r\n\r\n");
            if read(&raw).is_ok() {
                prop_assert!(read(&forward(&raw)).is_ok());
            }
        }
    }
}
