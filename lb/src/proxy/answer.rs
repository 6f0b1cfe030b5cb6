//! Answers of the balancer itself.

use super::{Client, Exchange};
use crate::access::json_text;
use crate::head::push_int;

/// Reason phrase of the statuses that the balancer gives.
pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        303 => "See Other",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        409 => "Conflict",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        422 => "Unprocessable Content",
        431 => "Request Header Fields Too Large",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Internal Server Error",
    }
}

impl Client {
    /// Answers with a short text, under `/api/` as a JSON string like the API's own errors. Says whether it was written.
    pub(crate) async fn reply(
        &mut self,
        x: &mut Exchange,
        raw: &[u8],
        status: u16,
        text: &str,
        keep: bool,
    ) -> bool {
        self.reply_with(x, raw, status, text, keep, "").await
    }

    /// Answers like [`Client::reply`] with more header fields, each ended.
    pub(super) async fn reply_with(
        &mut self,
        x: &mut Exchange,
        raw: &[u8],
        status: u16,
        text: &str,
        keep: bool,
        fields: &str,
    ) -> bool {
        (x.status, x.own) = (status, true);
        let target = if raw.is_empty() { "" } else { self.head.target(raw) };
        let mut body = Vec::with_capacity(text.len() + 3);
        let json = target.starts_with("/api/");
        if json {
            json_text(&mut body, text.as_bytes());
        } else {
            body.extend_from_slice(text.as_bytes());
        }
        body.push(b'\n');
        let out = &mut self.out;
        out.clear();
        out.extend_from_slice(b"HTTP/1.1 ");
        push_int(out, u64::from(status));
        out.push(b' ');
        out.extend_from_slice(reason(status).as_bytes());
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(fields.as_bytes());
        out.extend_from_slice(b"Cache-Control: no-store\r\nContent-Type: ");
        let kind: &[u8] = if json { b"application/json" } else { b"text/plain; charset=utf-8" };
        out.extend_from_slice(kind);
        out.extend_from_slice(b"\r\nContent-Length: ");
        push_int(out, body.len() as u64);
        let connection: &[u8] = match (keep, self.head.is_11) {
            (true, true) => b"\r\n\r\n",
            (true, false) => b"\r\nConnection: keep-alive\r\n\r\n",
            (false, _) => b"\r\nConnection: close\r\n\r\n",
        };
        out.extend_from_slice(connection);
        if raw.is_empty() || self.head.method(raw) != "HEAD" {
            out.extend_from_slice(&body);
        }
        self.watch.enter(crate::watch::Phase::Client, self.frontend.options.timeouts.client);
        self.wire.send::<&[u8]>(&self.out, &[]).await.is_ok()
    }
}
