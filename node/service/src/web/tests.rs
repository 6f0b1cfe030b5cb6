//! The server over real sockets.

use std::net::SocketAddr;

use bytes::Bytes;
use http::StatusCode;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};

use super::*;

struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

async fn start(limits: Limits, handler: impl Handler) -> Running {
    let listener = bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let task = tokio::spawn(serve(vec![listener], limits, handler, stop.clone()));
    Running { address, stop, task }
}

impl Running {
    /// Sends `request`, closes the sending half and reads to the end.
    async fn talk(&self, request: &[u8]) -> String {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        // A server that answers early may close before all is sent.
        let _ = socket.write_all(request).await;
        let _ = socket.shutdown().await;
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }
}

async fn echo(request: Request<Incoming>, _: Peer) -> Response<Body> {
    match read_body(request.into_body(), 16).await {
        Ok(bytes) => Response::new(Body::full(bytes)),
        Err(error) => {
            let mut response = Response::new(Body::from(error.to_string()));
            *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
            response
        }
    }
}

fn post(body: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into()
}

#[tokio::test]
async fn body_within_the_limit_is_read_and_a_larger_one_refused() {
    let server = start(Limits::default(), echo).await;
    assert!(server.talk(&post("hello")).await.ends_with("\r\n\r\nhello"));
    assert!(server.talk(&post(&"x".repeat(17))).await.starts_with("HTTP/1.1 413 "));
    let chunked = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
        9\r\n123456789\r\n9\r\n123456789\r\n0\r\n\r\n";
    assert!(server.talk(chunked).await.starts_with("HTTP/1.1 413 "));
    let chunked = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
        4\r\n1234\r\n4\r\n5678\r\n2\r\n90\r\n0\r\n\r\n";
    assert!(server.talk(chunked).await.ends_with("\r\n\r\n1234567890"));
}

#[tokio::test]
async fn large_or_many_headers_are_refused() {
    let server = start(Limits::default(), echo).await;
    let large = format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "a".repeat(70_000));
    assert!(server.talk(large.as_bytes()).await.starts_with("HTTP/1.1 431 "));
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: a\r\n".repeat(200));
    assert!(server.talk(many.as_bytes()).await.starts_with("HTTP/1.1 431 "));
}

#[tokio::test]
async fn chunks_are_made_only_as_the_client_takes_them() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static MADE: AtomicUsize = AtomicUsize::new(0);
    async fn endless(_: Request<Incoming>, _: Peer) -> Response<Body> {
        Response::new(Body::made(|| {
            MADE.fetch_add(1, Ordering::Relaxed);
            Some(Bytes::from_static(&[b'x'; 65_536]))
        }))
    }
    let server = start(Limits::default(), endless).await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut before = usize::MAX;
    // The client reads nothing: production must come to rest by itself.
    while before != MADE.load(Ordering::Relaxed) {
        before = MADE.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(before < 1_000, "{before} chunks made for a client that reads none");
    let mut taken = [0; 100_000];
    socket.read_exact(&mut taken).await.unwrap();
}

#[tokio::test]
async fn panic_takes_only_its_request_along() {
    async fn moody(request: Request<Incoming>, _: Peer) -> Response<Body> {
        assert!(request.uri().path() != "/panic", "as asked");
        Response::new(Body::from("fine"))
    }
    let server = start(Limits::default(), moody).await;
    let two = b"GET /panic HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let answers = server.talk(two).await;
    assert!(answers.starts_with("HTTP/1.1 500 "), "{answers}");
    assert!(answers.ends_with("\r\n\r\nfine"), "{answers}");
}

#[tokio::test]
async fn dripping_head_and_idle_connection_are_closed() {
    let limits = Limits {
        header_timeout: Duration::from_millis(100),
        idle_timeout: Duration::from_millis(400),
        ..Limits::default()
    };
    let server = start(limits, echo).await;
    let begun = tokio::time::Instant::now();
    let mut dripping = TcpStream::connect(server.address).await.unwrap();
    let drip = async {
        while dripping.write_all(b"G").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), drip).await.unwrap();
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(&post("hello")).await.unwrap();
    let mut answer = Vec::new();
    let read = idle.read_to_end(&mut answer);
    tokio::time::timeout(Duration::from_secs(10), read).await.unwrap().unwrap();
    assert!(answer.ends_with(b"hello"));
    assert!(begun.elapsed() > Duration::from_millis(450));
}

#[tokio::test]
async fn handler_can_see_that_nobody_waits() {
    let (tell, mut told) = tokio::sync::mpsc::channel(2);
    let handler = move |_: Request<Incoming>, peer: Peer| {
        let tell = tell.clone();
        async move {
            tell.send(peer.has_closed()).await.unwrap();
            while !peer.has_closed() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            tell.send(true).await.unwrap();
            Response::new(Body::empty())
        }
    };
    let server = start(Limits::default(), handler).await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert_eq!(told.recv().await, Some(false));
    drop(socket);
    let seen = tokio::time::timeout(Duration::from_secs(10), told.recv()).await;
    assert_eq!(seen.unwrap(), Some(true));
}

#[tokio::test]
async fn silent_connections_make_room_for_requests() {
    // Connections of one address take three quarters of all places at most.
    let server = start(Limits { connections_max: 10, ..Limits::default() }, echo).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(b"POST / HT").await.unwrap();
        silent.push(socket);
        assert!(server.talk(&post("hello")).await.ends_with("hello"));
    }
    // The first ones had to go.
    assert_eq!(silent[0].read_to_end(&mut Vec::new()).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn an_address_that_has_its_share_makes_room_among_its_own() {
    let limits = Limits { connections_max: 100, connections_of_one_max: 3, ..Limits::default() };
    let server = start(limits, echo).await;
    let other = tokio::net::TcpSocket::new_v4().unwrap();
    other.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = other.connect(server.address).await.unwrap();
    other.write_all(b"POST / HT").await.unwrap();
    let mut greedy = Vec::new();
    for _ in 0..20 {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(b"POST / HT").await.unwrap();
        greedy.push(socket);
        assert!(server.talk(&post("hello")).await.ends_with("hello"));
    }
    assert_eq!(greedy[0].read_to_end(&mut Vec::new()).await.unwrap_or(0), 0);
    other.write_all(b"TP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
    other.shutdown().await.unwrap();
    let mut answer = String::new();
    other.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("ok"), "the oldest of all, and not theirs: {answer:?}");
}

#[tokio::test]
async fn stop_lets_the_running_request_finish_and_closes_the_rest() {
    async fn slow(_: Request<Incoming>, _: Peer) -> Response<Body> {
        tokio::time::sleep(Duration::from_millis(200)).await;
        Response::new(Body::from("done"))
    }
    let server = start(Limits::default(), slow).await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    let mut busy = TcpStream::connect(server.address).await.unwrap();
    busy.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.stop.cancel();
    let mut answer = String::new();
    busy.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("done"), "{answer}");
    assert_eq!(idle.read_to_end(&mut Vec::new()).await.unwrap(), 0);
    server.task.await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn no_bytes_break_the_server() {
    use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
    let server = start(Limits::default(), echo).await;
    let mut runner = TestRunner::deterministic();
    let lines = prop::collection::vec(
        prop_oneof![
            Just(b"GET / HTTP/1.1\r\n".to_vec()),
            Just(b"POST /x?a=%zz HTTP/1.1\r\n".to_vec()),
            Just(b"Content-Length: 5\r\n".to_vec()),
            Just(b"Content-Length: 99999999999999999999\r\n".to_vec()),
            Just(b"Transfer-Encoding: chunked\r\n".to_vec()),
            Just(b"Expect: 100-continue\r\n".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(b"5\r\nhello\r\n0\r\n\r\n".to_vec()),
            prop::collection::vec(any::<u8>(), 0..40),
        ],
        0..8,
    );
    for _ in 0..300 {
        let bytes = lines.new_tree(&mut runner).unwrap().current().concat();
        let _ = server.talk(&bytes).await;
    }
    assert!(server.talk(&post("hello")).await.ends_with("hello"));
}
