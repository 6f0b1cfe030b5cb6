//! TLS of the server over real sockets, with certificates made on the spot.

use std::{fs, net::SocketAddr, path::Path};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::*;

/// An authority, and what it signs.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Certificate and key for a name, as PEM.
    fn sign(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    fn write(&self, folder: &Path, name: &str) {
        let (certificate, key) = self.sign(name);
        fs::write(folder.join("cert.pem"), certificate).unwrap();
        fs::write(folder.join("key.pem"), key).unwrap();
        fs::write(folder.join("ca.pem"), self.0.pem()).unwrap();
    }
}

const FILES: &str = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n";

async fn start(folder: &Path, settings: &str) -> SocketAddr {
    async fn hello(request: http::Request<Incoming>, peer: Peer) -> http::Response<Body> {
        Response::new(Body::from(format!("{:?} {}", request.version(), peer.encrypted)))
    }
    let path = folder.join("web.yml");
    fs::write(&path, settings).unwrap();
    let gate = Some(Arc::new(Gate::open(&path).unwrap()));
    let listener = bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let settings = Settings { gate, ..Settings::default() };
    tokio::spawn(serve(vec![listener], settings, hello, CancellationToken::new()));
    address
}

/// One request as `name`, with a client certificate if there is one; the answer or why not.
async fn ask(
    server: SocketAddr,
    authority: &Authority,
    name: &str,
    own: Option<(String, String)>,
    protocol: Option<&[u8]>,
) -> Result<String, String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.0.pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap(),
    };
    config.alpn_protocols.extend(protocol.map(<[u8]>::to_vec));
    let socket = TcpStream::connect(server).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await;
    let mut stream = stream.map_err(|error| error.to_string())?;
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        return Ok(h2(stream).await);
    }
    let request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// HTTP/2 by hand: preface, settings, GET / on stream 1; the data of the answer.
async fn h2(mut stream: tokio_rustls::client::TlsStream<TcpStream>) -> String {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend_from_slice(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
    // :method GET, :scheme https, :path /, :authority x
    let head = [0x82, 0x87, 0x84, 0x41, 0x01, b'x'];
    bytes.extend_from_slice(&[0, 0, 6, 1, 5, 0, 0, 0, 1]);
    bytes.extend_from_slice(&head);
    stream.write_all(&bytes).await.unwrap();
    loop {
        let mut frame = [0; 9];
        stream.read_exact(&mut frame).await.unwrap();
        let length =
            usize::from(frame[0]) << 16 | usize::from(frame[1]) << 8 | usize::from(frame[2]);
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await.unwrap();
        if frame[3] == 0 && !payload.is_empty() {
            return String::from_utf8(payload).unwrap();
        }
    }
}

#[tokio::test]
async fn tls_speaks_both_versions_of_http() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    authority.write(folder.path(), "a.example");
    let server = start(folder.path(), FILES).await;
    let answer = ask(server, &authority, "a.example", None, None).await.unwrap();
    assert!(answer.ends_with("HTTP/1.1 true"), "{answer}");
    let answer = ask(server, &authority, "a.example", None, Some(b"h2")).await.unwrap();
    assert_eq!(answer, "HTTP/2.0 true");
    let server =
        start(folder.path(), &format!("{FILES}http_server_config: {{http2: false}}\n")).await;
    assert!(ask(server, &authority, "a.example", None, Some(b"h2")).await.is_err());
}

#[tokio::test]
async fn new_certificate_is_used_for_the_next_handshake() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    authority.write(folder.path(), "a.example");
    let server = start(folder.path(), FILES).await;
    assert!(ask(server, &authority, "a.example", None, None).await.is_ok());
    authority.write(folder.path(), "longer-name.example");
    assert!(ask(server, &authority, "longer-name.example", None, None).await.is_ok());
    // A key that does not fit changes nothing.
    fs::write(folder.path().join("key.pem"), "nonsense").unwrap();
    assert!(ask(server, &authority, "longer-name.example", None, None).await.is_ok());
}

#[tokio::test]
async fn clients_show_what_is_asked_of_them() {
    let (folder, authority, stranger) =
        (tempfile::tempdir().unwrap(), Authority::new(), Authority::new());
    authority.write(folder.path(), "a.example");
    let passes = async |settings: &str, own: Option<(String, String)>| {
        let server = start(folder.path(), &format!("{FILES}{settings}")).await;
        ask(server, &authority, "a.example", own, None).await.is_ok()
    };
    let good = || Some(authority.sign("client.example"));
    let foreign = || Some(stranger.sign("client.example"));
    let verify = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n";
    assert!(passes(verify, good()).await);
    assert!(!passes(verify, foreign()).await);
    assert!(!passes(verify, None).await);
    let if_given = "  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: ca.pem\n";
    assert!(passes(if_given, None).await);
    assert!(!passes(if_given, foreign()).await);
    let any = "  client_auth_type: RequireAnyClientCert\n";
    assert!(passes(any, foreign()).await);
    assert!(!passes(any, None).await);
    let named = format!("{verify}  client_allowed_sans: [other.example, client.example]\n");
    assert!(passes(&named, good()).await);
    let others = format!("{verify}  client_allowed_sans: [other.example]\n");
    assert!(!passes(&others, good()).await);
}
