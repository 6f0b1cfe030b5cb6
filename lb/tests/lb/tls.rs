//! TLS on both sides: one balancer speaks it to another.

use std::path::PathBuf;
use std::sync::atomic::Ordering::SeqCst;

use tocsin_lb::config::{ClientVerify, TlsBind, TlsServer};

use crate::harness::*;

pub(crate) struct Pems {
    _directory: tempfile::TempDir,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

pub(crate) fn pems(name: &str) -> Pems {
    let directory = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let (certificate, key) = (directory.path().join("cert"), directory.path().join("key"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    Pems { _directory: directory, certificate, key }
}

fn inner(fake: &Fake, own: &Pems, clients: Option<&Pems>) -> Lb {
    let mut config = config(&[fake.address]);
    config.frontends[0].tls = Some(TlsBind {
        client_ca: clients.map(|c| c.certificate.clone()),
        verify: clients.map_or(ClientVerify::None, |_| ClientVerify::Required),
        ..TlsBind::new(own.certificate.clone(), own.key.clone())
    });
    Lb::start(config)
}

fn outer(inner: &Lb, tls: TlsServer) -> Lb {
    let mut config = config(&[inner.address]);
    config.backends[0].servers[0].tls = Some(tls);
    Lb::start(config)
}

fn believing(ca: &Pems, name: &str) -> TlsServer {
    TlsServer {
        ca: Some(ca.certificate.clone()),
        server_name: Some(name.to_owned()),
        certificate: None,
        key: None,
        verify: true,
    }
}

#[test]
fn requests_and_checks_pass_over_tls() {
    let fake = Fake::new(|seen| ok(&"x".repeat(seen.body.len() + 100_000)));
    let own = pems("node.example");
    let inner = inner(&fake, &own, None);
    let outer = outer(&inner, believing(&own, "node.example"));
    eventually("the check passes", || (outer.field("n1", "status") == "UP").then_some(()));
    let mut talk = outer.connect();
    for _ in 0..3 {
        let reply = talk.ask("GET /a HTTP/1.1\r\nHost: t\r\n\r\n");
        assert_eq!((reply.status, reply.body.len()), (200, 100_000));
    }
    let body = "y".repeat(300_000);
    assert_eq!(outer.post("/api/v2/alerts", &body).body.len(), 400_000);
    eventually("it is logged as TLS", || {
        inner.whole_log().contains("alertmanager_frontend~ ").then_some(())
    });
    assert_ne!(outer.field("n1", "reuse"), "0");
}

/// What `openssl s_client` sees when it asks for `name`.
fn shown(lb: &Lb, name: &str, words: &[&str]) -> String {
    let output = std::process::Command::new("openssl")
        .args(["s_client", "-connect", &lb.address.to_string(), "-servername", name])
        .args(words)
        .stdin(std::process::Stdio::null())
        .output()
        .expect("openssl runs");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn the_certificate_fits_the_name_that_is_asked_for() {
    let fake = Fake::new(|_| ok("x"));
    let (first, second) = (pems("one.example"), pems("two.example"));
    let mut config = config(&[fake.address]);
    let mut tls = TlsBind::new(first.certificate.clone(), first.key.clone());
    tls.more = vec![(second.certificate.clone(), second.key.clone())];
    tls.only_13 = true;
    config.frontends[0].bind[0].tls = Some(tls);
    let lb = Lb::start(config);
    let fits = |name: &str, ca: &Pems| {
        let ca = ca.certificate.to_str().unwrap();
        let text = shown(&lb, name, &["-CAfile", ca, "-verify_hostname", name]);
        text.contains("Verify return code: 0 (ok)")
    };
    assert!(fits("one.example", &first) && fits("two.example", &second));
    assert!(!fits("two.example", &first));
    assert!(
        shown(&lb, "other.example", &["-CAfile", first.certificate.to_str().unwrap()])
            .contains("Verify return code: 0 (ok)")
    );
    assert!(shown(&lb, "one.example", &["-tls1_2"]).contains("alert"));
    assert!(shown(&lb, "one.example", &["-alpn", "h2"]).contains("ALPN protocol: h2"));
}

#[test]
fn a_server_is_told_who_the_client_is_and_believes_no_other() {
    let fake = Fake::new(|_| ok("x"));
    let own = pems("lb.example");
    let mut params = rcgen::CertificateParams::new(vec!["c".to_owned()]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, "prometheus");
    let pair = rcgen::KeyPair::generate().unwrap();
    let client = pems("x");
    std::fs::write(&client.certificate, params.self_signed(&pair).unwrap().pem()).unwrap();
    std::fs::write(&client.key, pair.serialize_pem()).unwrap();
    let mut config = config(&[fake.address]);
    config.frontends[0].tls = Some(TlsBind {
        client_ca: Some(client.certificate.clone()),
        verify: ClientVerify::Optional,
        client_header: Some("X-Client-CN".to_owned()),
        ..TlsBind::new(own.certificate.clone(), own.key)
    });
    let lb = Lb::start(config);
    let ask = |with: bool| {
        let mut curl = std::process::Command::new("curl");
        curl.args(["-sk", "-m", "20", "-H", "x-client-cn: root"]);
        if with {
            curl.arg("--cert").arg(&client.certificate).arg("--key").arg(&client.key);
        }
        let output = curl.arg(format!("https://{}/", lb.address)).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "x");
    };
    ask(true);
    ask(false);
    let told: Vec<_> = fake.seen().iter().map(|s| s.values("x-client-cn").join(",")).collect();
    assert_eq!(told, ["prometheus", ""]);
}

#[test]
fn a_certificate_of_another_name_is_not_believed() {
    let fake = Fake::new(|_| ok("x"));
    let own = pems("node.example");
    let inner = inner(&fake, &own, None);
    let wrong = outer(&inner, believing(&own, "other.example"));
    eventually("it is down", || (wrong.field("n1", "status") == "DOWN").then_some(()));
    assert_eq!(wrong.field("n1", "check_status"), "L6RSP");
    assert_eq!(wrong.get("/").status, 503);
    let blind = TlsServer { verify: false, ca: None, ..believing(&own, "other.example") };
    assert_eq!(outer(&inner, blind).get("/").status, 200);
}

#[test]
fn a_client_without_a_certificate_is_refused_where_one_is_required() {
    let fake = Fake::new(|_| ok("x"));
    let (own, client) = (pems("node.example"), pems("lb.example"));
    let inner = inner(&fake, &own, Some(&client));
    assert_ne!(outer(&inner, believing(&own, "node.example")).get("/").status, 200);
    let with = TlsServer {
        certificate: Some(client.certificate.clone()),
        key: Some(client.key),
        ..believing(&own, "node.example")
    };
    assert_eq!(outer(&inner, with).get("/").status, 200);
    assert!(fake.healthy.load(SeqCst));
    let mut plain = Talk::to(inner.address);
    assert_eq!(plain.ask("GET / HTTP/1.1\r\nHost: t\r\n\r\n").status, 0);
}
