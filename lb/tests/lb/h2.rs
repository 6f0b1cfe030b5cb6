//! Clients that speak HTTP/2: curl, and one that knows only how to be a nuisance.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tocsin_lb::config::{Config, TlsBind};

use crate::harness::*;
use crate::tls::{Pems, pems};

struct Secure {
    lb: Lb,
    own: Pems,
}

fn secure(fakes: &[&Fake], change: impl FnOnce(&mut Config)) -> Secure {
    let own = pems("lb.example");
    let mut config = config(&fakes.iter().map(|f| f.address).collect::<Vec<_>>());
    config.frontends[0].tls = Some(TlsBind::new(own.certificate.clone(), own.key.clone()));
    change(&mut config);
    Secure { lb: Lb::start(config), own }
}

impl Secure {
    /// What curl says: the version, the status and the body, parted by blanks.
    fn curl(&self, words: &[&str], path: &str) -> String {
        let port = self.lb.address.port();
        let output = Command::new("curl")
            .args(["-s", "-m", "20", "--resolve", &format!("lb.example:{port}:127.0.0.1")])
            .arg("--cacert")
            .arg(&self.own.certificate)
            .args(["-w", "%{stderr}%{http_version} %{http_code} "])
            .args(words)
            .arg(format!("https://lb.example:{port}{path}"))
            .output()
            .expect("curl runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        text(&output.stderr) + &text(&output.stdout)
    }
}

#[test]
fn streams_are_served_like_requests() {
    let fake = Fake::new(|seen| ok(&format!("{}{}", seen.body.len(), "y".repeat(200_000))));
    let s = secure(&[&fake], |config| config.frontends[0].forwarded_proto = true);
    let text = s.curl(&["--http2", "-H", "Cookie: a=1"], "/a?b");
    assert!(text.starts_with("2 200 0yyy") && text.len() > 200_000, "{}", &text[..40]);
    let seen = &fake.seen()[0];
    assert_eq!(seen.line(), "GET /a?b HTTP/1.1");
    assert_eq!(seen.values("host"), [format!("lb.example:{}", s.lb.address.port())]);
    assert_eq!(
        (seen.values("x-forwarded-for"), seen.values("x-forwarded-proto")),
        (vec!["127.0.0.1"], vec!["https"])
    );
    assert_eq!(seen.values("cookie"), ["a=1"]);
    assert!(s.lb.log(1)[0].contains(" alertmanager_frontend~ "), "{:?}", s.lb.log(1));
    assert!(s.lb.log(1)[0].ends_with("\"GET /a?b HTTP/2.0\""), "{:?}", s.lb.log(1));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "z".repeat(300_000)).unwrap();
    let data = format!("@{}", file.path().display());
    let post = s.curl(&["--http2", "--data-binary", &data], "/api/v2/alerts");
    assert!(post.starts_with("2 200 300000y"), "{}", &post[..40]);
    let chunked = ["--http2", "-T", file.path().to_str().unwrap(), "-H", "Content-Length:"];
    assert!(s.curl(&chunked, "/up").starts_with("2 200 300000y"));
    assert_eq!(s.curl(&["--http2", "-I", "-o", "/dev/null"], "/h"), "2 200 ");
    assert_eq!(s.lb.field("FRONTEND", "req_tot"), "4");
    assert_eq!(s.lb.field("FRONTEND", "stot"), "4");
}

#[test]
fn the_same_rules_hold() {
    let fake = Fake::new(|_| ok("x"));
    let s = secure(&[&fake], |config| config.frontends[0].limits.body_bytes = 1000);
    let big = format!("X-Big: {}", "x".repeat(20_000));
    assert!(s.curl(&["--http2", "-H", &big], "/").contains(" 431 "));
    assert!(s.curl(&["--http2", "-d", &"x".repeat(2000)], "/").contains(" 413 "));
    assert!(s.curl(&["--http2", "-X", "TRACE"], "/").contains(" 405 "));
    assert!(s.curl(&["--http2", "-H", "Host: other"], "/").contains(" 200 "));
    let first = fake.seen();
    assert_eq!((first.len(), first[0].values("host")), (1, vec!["other"]));
}

#[test]
fn it_is_not_spoken_where_it_is_not_offered() {
    let fake = Fake::new(|_| ok("x"));
    let s = secure(&[&fake], |config| config.frontends[0].bind[0].http2 = false);
    assert_eq!(s.curl(&["--http2"], "/"), "1.1 200 x");
    let plain = Lb::over(&[&fake]);
    let url = format!("http://{}/", plain.address);
    let output =
        Command::new("curl").args(["-s", "-m", "10", "--http2-prior-knowledge", &url]).output();
    assert!(!output.unwrap().status.success());
}

#[test]
fn a_failing_server_costs_no_stream() {
    let fakes = [Fake::new(|_| Act::Close), Fake::new(|_| ok("good"))];
    let s = secure(&fakes.each_ref(), |_| {});
    for _ in 0..4 {
        assert_eq!(s.curl(&["--http2"], "/"), "2 200 good");
    }
    let cut =
        Fake::new(|_| Act::Last(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".to_vec()));
    let s = secure(&[&cut], |_| {});
    // The stream is reset: curl does not take half for the whole.
    let port = s.lb.address.port();
    let output = Command::new("curl")
        .args(["-sk", "--http2", "-m", "10", &format!("https://127.0.0.1:{port}/")])
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(s.lb.log(1)[0].contains(" SD-- "), "{:?}", s.lb.log(1));
}

/// Opens `count` streams at once and reads each answer.
async fn streams(s: &Secure, count: usize) -> Result<(), h2::Error> {
    let mut roots = rustls::RootCertStore::empty();
    let pem = std::fs::read(&s.own.certificate).unwrap();
    use rustls::pki_types::pem::PemObject;
    roots.add(rustls::pki_types::CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let tcp = tokio::net::TcpStream::connect(s.lb.address).await.unwrap();
    let name = "lb.example".try_into().unwrap();
    let tls = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
    let (client, connection) = h2::client::handshake(tls).await?;
    tokio::spawn(connection);
    let mut client = client;
    let mut answers = Vec::new();
    for _ in 0..count {
        client = client.ready().await?;
        let request = http::Request::get("https://lb.example/").body(()).unwrap();
        answers.push(client.send_request(request, true)?.0);
    }
    for answer in answers {
        let mut body = answer.await?.into_body();
        while let Some(piece) = body.data().await {
            let piece: Bytes = piece?;
            let _ = body.flow_control().release_capacity(piece.len());
        }
    }
    Ok(())
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[test]
fn many_streams_share_a_connection() {
    let fake = Fake::new(|_| {
        std::thread::sleep(Duration::from_millis(20));
        ok(&"x".repeat(1000))
    });
    let s = secure(&[&fake], |_| {});
    run(streams(&s, 90)).unwrap();
    assert_eq!(fake.seen().len(), 90);
    eventually("no stream is left", || (s.lb.field("BACKEND", "scur") == "0").then_some(()));
    assert!(s.curl(&["--http2"], "/").starts_with("2 200 xxx"));
}
