//! Requests that two parsers could frame differently: the server never sees one that the balancer did not count.

use crate::harness::*;

/// Header lines about framing, none of which is plainly right for the bodies below.
const FRAMINGS: [&str; 42] = [
    "Content-Length: 5\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nContent-Length: 5",
    "Content-Length: 5\r\nContent-Length: 6",
    "Content-Length: 5, 6",
    "Content-Length: +5",
    "Content-Length: -5",
    "Content-Length: 0x5",
    "Content-Length: 5 5",
    "Content-Length: 5;",
    "Content-Length: 05x",
    "Content-Length: ",
    "Content-Length: 99999999999999999999",
    "Content-Length : 5",
    "Content-Length\t: 5",
    " Content-Length: 5",
    "Content-Length: 5\r\n folded",
    "Content-Length: 5\n",
    "Content-Length: 5\rX: y",
    "Content-Length: 5\0",
    "Content\0-Length: 5",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding\t: chunked",
    " Transfer-Encoding: chunked",
    "X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: 3",
    "Transfer-Encoding: \x0bchunked",
    "Transfer-Encoding: \x00chunked",
    "Transfer-Encoding: \"chunked\"",
    "Transfer-Encoding: chunked;x",
    "Transfer-Encoding:\r\n chunked",
    "Transfer-Encoding: chunked\n",
    "Transfer-Encoding: chunked\rX: y",
    "X: y\nTransfer-Encoding: chunked",
    "Connection: Content-Length\r\nContent-Length: 5",
    "Host: other\r\nContent-Length: 5",
];

const BODIES: [&str; 4] = [
    "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n",
    "5\r\nabcde\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n",
    "abcdeGET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n",
    "GET /smuggled HTTP/1.1\r\nHost: t\r\nX: y",
];

/// Chunked bodies that are wrong in themselves. An empty line before a size is let pass by the parser; the server gets it without.
const CHUNKS: [&str; 13] = [
    "5\nabcde\n0\n\n",
    "5 \r\nabcdeX\r\n0\r\n\r\n",
    "+5\r\nabcde\r\n0\r\n\r\n",
    "-5\r\nabcde\r\n0\r\n\r\n",
    "0x5\r\nabcde\r\n0\r\n\r\n",
    "5\r\nabcdef\r\n0\r\n\r\n",
    "5\r\nabcde0\r\n\r\n",
    "fffffffffffffffff\r\nabcde\r\n0\r\n\r\n",
    "g\r\nabcde\r\n0\r\n\r\n",
    "5\r\nabc\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n",
    "5\rabcde\r0\r\r",
    "\x005\r\nabcde\r\n0\r\n\r\n",
    "5\r\nabcde\n0\r\n\r\n",
];

/// Request lines and what follows them.
const LINES: [&str; 14] = [
    "GET /smuggled HTTP/1.1\nHost: t\n\n",
    "GET /smuggled HTTP/1.1\r\nHost: t\n\r\n",
    "GET  /smuggled HTTP/1.1\r\nHost: t\r\n\r\n",
    "GET /smuggled HTTP/1.1 \r\nHost: t\r\n\r\n",
    "GET /smuggled x HTTP/1.1\r\nHost: t\r\n\r\n",
    " GET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n",
    "GET\t/smuggled\tHTTP/1.1\r\nHost: t\r\n\r\n",
    "GET /smuggled\x0b HTTP/1.1\r\nHost: t\r\n\r\n",
    "GET /smuggled HTTP/1.2\r\nHost: t\r\n\r\n",
    "GET /smuggled HTTP/2.0\r\nHost: t\r\n\r\n",
    "GET /smuggled\r\n\r\n",
    "G\x7fT /smuggled HTTP/1.1\r\nHost: t\r\n\r\n",
    "GET http://other/smuggled HTTP/1.1\r\nHost: t\r\n\r\n",
    "GET /smuggled HTTP/1.1\r\nHost: a@t\r\n\r\n",
];

#[test]
fn no_server_sees_a_request_that_was_not_counted() {
    let fake = Fake::new(|_| ok("x"));
    let lb = Lb::over(&[&fake]);
    let mut sent = 0;
    let mut refuse = |request: &str| {
        sent += 1;
        let mut talk = lb.connect();
        talk.send(request);
        let _ = talk.stream.shutdown(std::net::Shutdown::Write);
        let text = talk.rest();
        assert!(text.starts_with("HTTP/1.1 4"), "{request:?}\n{text}");
        assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{request:?}\n{text}");
    };
    for method in ["POST", "GET"] {
        for framing in FRAMINGS {
            for body in BODIES {
                refuse(&format!("{method} /x HTTP/1.1\r\nHost: t\r\n{framing}\r\n\r\n{body}"));
            }
        }
    }
    for line in LINES {
        refuse(line);
    }
    for (path, chunks) in CHUNKS.iter().flat_map(|c| [("/api/v2/alerts", c), ("/x", c)]) {
        refuse(&format!(
            "POST {path} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"
        ));
    }
    assert!(sent >= 150, "{sent}");
    for seen in fake.seen() {
        assert!(!seen.line().contains("smuggled"), "{seen:?}");
    }
    let counted: usize = lb.field("BACKEND", "req_tot").parse().unwrap();
    assert!(fake.seen().len() <= counted, "{} of {counted}", fake.seen().len());
    assert_eq!(lb.get("/").status, 200);
}
