//! What our amtool has and upstream's has not, and that mistakes are one clear line.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use super::{Kind, Server, files};
use crate::harness::process::Process;
use crate::harness::sink::Sink;
use crate::harness::tocsin::tocsin;
use crate::harness::{eventually, free_port};

fn run(server: &Server, words: &[&str]) -> Output {
    tocsin()
        .arg("amtool")
        .arg(format!("--alertmanager.url=http://127.0.0.1:{}", server.port))
        .arg("--no-version-check")
        .args(words)
        .current_dir(server.directory.path())
        .env("HOME", server.directory.path().join("home"))
        .output()
        .expect("the binary runs")
}

#[track_caller]
fn said(server: &Server, words: &[&str]) -> String {
    let output = run(server, words);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && error.is_empty(), "{words:?}: {error}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn dry_run_shows_what_would_be_silenced_and_adds_nothing() {
    let server = Server::start(Kind::Ours);
    said(&server, &["alert", "add", "Disk", "node=a"]);
    said(&server, &["alert", "add", "Disk", "node=b"]);
    said(&server, &["alert", "add", "Other", "node=a"]);
    let shown = said(&server, &["silence", "add", "--dry-run", "-o", "extended", "Disk", "node=a"]);
    assert_eq!(shown.lines().count(), 2, "{shown}");
    assert!(shown.contains(r#"alertname="Disk" node="a""#), "{shown}");
    assert_eq!(said(&server, &["silence", "query", "-q"]), "");
}

#[test]
fn explanation_names_receiver_group_and_silence() {
    let server = Server::start(Kind::Ours);
    said(&server, &["alert", "add", "Disk", "severity=critical", "team=db"]);
    let id =
        said(&server, &["silence", "add", "Disk", "-a", "ann", "-c", "new disk comes", "-d", "1d"]);
    let shown = said(&server, &["alert", "explain", "Disk"]);
    let silenced = format!("silenced by {} of ann until ", id.trim());
    for part in [
        "suppressed since",
        "\n    nobody was told in the last 24 hours\n",
        "goes to db-pager by route {}/{severity=\"critical\"}/{env!=\"dev\",team=~\"db|cache\"}",
        "is one of 1 in group {alertname=\"Disk\"} of db-pager",
        &silenced,
        ": new disk comes",
    ] {
        assert!(shown.contains(part), "no {part:?} in:\n{shown}");
    }
    said(&server, &["alert", "add", "Slow", "severity=warning"]);
    let shown = said(&server, &["alert", "explain", "Slow"]);
    let source = r#" alertname="Disk" severity="critical" team="db""#;
    assert!(shown.contains("inhibited by the alert ") && shown.contains(source), "{shown}");
    assert!(said(&server, &["alert", "explain", "Nosuch"]).contains("no such alert"));
}

#[test]
fn explanation_tells_who_was_told_and_who_was_not() {
    let sink = Sink::start();
    let directory = files::directory();
    let config = format!(
        "route: {{receiver: web, group_by: [alertname], group_wait: 0s}}\n\
         receivers: [{{name: web, webhook_configs: [{{url: '{}'}}, {{url: 'http://127.0.0.1:1/'}}]}}]\n",
        sink.url()
    );
    std::fs::write(directory.path().join("am.yml"), config).expect("writable");
    let server = Server::start_in(Kind::Ours, directory);
    said(&server, &["alert", "add", "Disk", "node=a"]);
    let parts = [
        "  goes to web by route {} ",
        "\n    told by webhook at ",
        ": first notification, 1 firing, 0 resolved\n",
        "\n    not told yet by webhook 2 at ",
        ": first notification, 1 firing, 0 resolved; will be tried again: ",
        "refused",
    ];
    eventually("both attempts are told", Duration::from_secs(30), || {
        let shown = said(&server, &["alert", "explain", "Disk"]);
        parts.iter().all(|part| shown.contains(part)).then_some(())
    });
}

#[test]
fn server_without_history_is_named() {
    let server = Server::start(Kind::Debian);
    said(&server, &["alert", "add", "Disk", "severity=critical", "team=db"]);
    let shown = said(&server, &["alert", "explain", "Disk"]);
    assert!(shown.contains("  goes to db-pager by route "), "{shown}");
    assert!(shown.contains("keeps no history"), "{shown}");
}

#[test]
fn watching_tells_each_change() {
    let server = Server::start(Kind::Ours);
    let mut watch = Process::start(
        "amtool --watch",
        tocsin()
            .arg("amtool")
            .arg(format!("--alertmanager.url=http://127.0.0.1:{}", server.port))
            .args(["alert", "--watch", "--watch.interval=50ms"]),
    );
    watch.wait_line("shows the head", |line| line.starts_with("Alertname  ").then_some(()));
    said(&server, &["alert", "add", "Late"]);
    watch.wait_line("shows the new alert", |line| line.starts_with("Late ").then_some(()));
    let shown = said(&server, &["alert", "add", "Later"]);
    watch.wait_line("shows the next alert", |line| line.starts_with("Later ").then_some(()));
    let heads = watch.output().iter().filter(|line| line.starts_with("Alertname")).count();
    assert!(heads == 3 && shown.is_empty(), "what has not changed is not repeated: {heads}");
}

#[test]
fn bad_file_is_told_with_place_line_and_hint() {
    let server = Server::start(Kind::Ours);
    for command in [&["check-config"][..], &["config", "check"]] {
        let output = run(&server, &[command, &["unknown-key.yml"]].concat());
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        for part in [
            "Checking 'unknown-key.yml'  FAILED: ",
            "unknown-key.yml:1:9: route.reciever: unknown key; did you mean \"receiver\"?",
            "  1 | route: {reciever:",
        ] {
            assert!(text.contains(part), "no {part:?} in:\n{text}");
        }
    }
}

/// The words end with 1, nothing on standard output, and one line with `part` on standard error.
#[track_caller]
fn check_refused(server: &Server, words: &[&str], part: &str) {
    let output = run(server, words);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{words:?}: {error}");
    assert!(output.stdout.is_empty(), "{words:?}");
    assert!(error.starts_with("amtool: error: ") && error.contains(part), "{words:?}: {error}");
    assert_eq!(error.lines().count(), 1, "{words:?}: {error}");
}

#[test]
fn mistakes_are_one_clear_line() {
    let server = Server::start(Kind::Ours);
    check_refused(
        &server,
        &["alert", "query", "foo", "bar"],
        "GET /api/v2/alerts: HTTP 400: bad matcher format: bar",
    );
    check_refused(&server, &["silence", "add", "a=b", "c=~[", "-c", "x"], "missing closing ]");
    check_refused(&server, &["silence", "add", "a=b", "-d", "5 parsecs", "-c", "x"], "5 parsecs");
    check_refused(&server, &["silence", "expire", "../alerts"], "not a silence ID");
    check_refused(&server, &["check-config", "nosuch.yml"], "path 'nosuch.yml' does not exist");
    check_refused(&server, &["check-config", "t"], "'t' is a directory");
    check_refused(&server, &["--enable-feature=nosuch", "alert"], "unknown option 'nosuch'");
    check_refused(
        &server,
        &["--enable-feature=utf8-strict-mode", "silence", "add", "a=b", "c=d e", "-c", "x"],
        "expected a comma or close brace",
    );
    check_refused(
        &server,
        &["--http.config.file=bad-http.yml", "alert"],
        "bad-http.yml:1:1: nosuch",
    );
}

#[track_caller]
fn check_unreachable(url: &str, part: &str) {
    let output = tocsin()
        .args(["amtool", "--alertmanager.url", url, "--timeout=2s", "alert"])
        .output()
        .expect("the binary runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{url}: {error}");
    assert!(error.contains(part) && error.lines().count() == 1, "{url}: {error}");
    assert!(!error.contains("secret"), "{error}");
}

#[test]
fn server_that_is_none_is_one_clear_line() {
    let server = Server::start(Kind::Ours);
    let port = server.port;
    check_unreachable("http://me:secret@127.0.0.1:1", "connect: connection refused");
    check_unreachable(&format!("https://127.0.0.1:{port}"), "the server does not speak TLS");
    check_unreachable(&format!("http://127.0.0.1:{port}/elsewhere"), "HTTP 404");
    check_unreachable("ftp://a", "not the address of a server");
    let silent = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let address = silent.local_addr().expect("bound");
    check_unreachable(&format!("http://{address}"), "context deadline exceeded");
}

/// A node with TLS and this certificate, kept as `cert.pem` beside `http.yml`, which trusts it.
fn secured(directory: &Path, params: rcgen::CertificateParams) -> (Process, u16) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    let port = free_port();
    let path = |name: &str| directory.join(name).display().to_string();
    let write =
        |name: &str, text: &str| std::fs::write(directory.join(name), text).expect("writable");
    write("cert.pem", &certificate.pem());
    write("key.pem", &key.serialize_pem());
    write("web.yml", "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n");
    write("http.yml", &format!("tls_config: {{ca_file: '{}'}}\n", path("cert.pem")));
    let mut node = Process::start(
        "node with TLS",
        tocsin()
            .arg("node")
            .arg(format!("--config.file={}", path("am.yml")))
            .arg(format!("--storage.path={}", path("data")))
            .arg(format!("--web.config.file={}", path("web.yml")))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--cluster.listen-address="),
    );
    node.wait_line("speaks TLS", |line| line.contains("TLS is enabled").then_some(()));
    (node, port)
}

#[test]
fn certificate_that_is_not_trusted_is_one_clear_line() {
    let directory = files::directory();
    let params = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
    let (_node, port) = secured(directory.path(), params);
    check_unreachable(
        &format!("https://me:secret@127.0.0.1:{port}"),
        "the server's certificate is signed by no authority known here: ",
    );
    let ask = |host: &str| {
        tocsin()
            .args(["amtool", "--no-version-check", "--http.config.file=http.yml", "-o", "json"])
            .args([format!("--alertmanager.url=https://{host}:{port}"), "alert".to_owned()])
            .current_dir(directory.path())
            .output()
            .expect("the binary runs")
    };
    let trusted = ask("127.0.0.1");
    let error = String::from_utf8_lossy(&trusted.stderr);
    assert_eq!((String::from_utf8_lossy(&trusted.stdout).as_ref(), error.as_ref()), ("[]\n", ""));
    let other = ask("localhost");
    let error = String::from_utf8_lossy(&other.stderr);
    assert_eq!((other.status.code(), error.lines().count()), (Some(1), 1), "{error}");
    assert!(error.contains("certificate not valid for name \"localhost\""), "{error}");
}

#[test]
fn certificate_of_an_authority_is_named_as_such() {
    let directory = files::directory();
    let mut params = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let (_node, port) = secured(directory.path(), params);
    check_unreachable(&format!("https://127.0.0.1:{port}"), "is that of an authority (CA:TRUE)");
}

#[test]
fn credentials_of_a_file_or_an_address_are_sent() {
    let server = Server::start(Kind::Ours);
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let port = listener.local_addr().expect("bound").port();
    let heads = std::thread::spawn(move || {
        let mut heads = Vec::new();
        for stream in listener.incoming().flatten().take(2) {
            heads.push(answer(stream, "200 OK", "", "[]"));
        }
        heads
    });
    let by_address = format!("--alertmanager.url=http://u:p@127.0.0.1:{port}");
    let by_file = format!("--alertmanager.url=http://127.0.0.1:{port}");
    for words in [&[by_address.as_str()][..], &[&by_file, "--http.config.file=http.yml"]] {
        let output = tocsin()
            .arg("amtool")
            .args(words)
            .args(["--no-version-check", "alert", "-o", "json"])
            .current_dir(server.directory.path())
            .output()
            .expect("the binary runs");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "[]\n");
    }
    for head in heads.join().expect("two requests came") {
        assert!(head.to_lowercase().contains("authorization: basic dtpw"), "{head}");
    }
}

/// Reads a request without body, answers it, and gives its head.
fn answer(mut stream: TcpStream, status: &str, header: &str, body: &str) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a whole request");
        head.extend(byte);
    }
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nConnection: close\r\n{header}Content-Length: {length}\r\n\r\n{body}"
    )
    .expect("the tool reads the answer");
    String::from_utf8(head).expect("ASCII")
}

#[test]
fn redirect_is_followed() {
    let server = Server::start(Kind::Ours);
    said(&server, &["alert", "add", "Moved"]);
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let old = listener.local_addr().expect("bound");
    let location = format!("Location: http://127.0.0.1:{}/api/v2/alerts\r\n", server.port);
    // The first answer is read without following it, the second is followed.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            answer(stream, "302 Found", &location, "");
        }
    });
    let output = tocsin()
        .args([
            "amtool",
            "--no-version-check",
            "--alertmanager.url",
            &format!("http://{old}"),
            "alert",
        ])
        .output()
        .expect("the binary runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("\nMoved "), "{text}{}", String::from_utf8_lossy(&output.stderr));
}
