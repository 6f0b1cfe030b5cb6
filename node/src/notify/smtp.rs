//! One mail to one server: connecting, TLS, authentication, envelope, data. Every step has its own
//! bound besides the deadline of the flush. It knows nothing of headers or alerts.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt as _;
use lettre::Address;
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, AsyncTokioStream, Certificate, CertificateStore, Identity, TlsParameters,
    TlsVersion,
};
use lettre::transport::smtp::extension::{ClientId, Extension};
use lettre::transport::smtp::response::Response;
use tracing::debug;

use super::http::CONNECT_TIMEOUT;
use super::tls::Material;
use super::{BuildError, Deny, FailureReason, SendError};
use crate::config::http::{TlsConfig, TlsVersion as MinVersion};
use crate::config::md5;

/// For the answer to one command.
const STEP_TIMEOUT: Duration = Duration::from_secs(30);
/// For the answer to the whole text: servers scan it first.
const DATA_TIMEOUT: Duration = Duration::from_secs(120);
const QUIT_TIMEOUT: Duration = Duration::from_secs(5);

/// How the connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Security {
    /// Not at all, even if the server offers it.
    None,
    /// By STARTTLS, which the server must offer.
    StartTls,
    /// From the first byte.
    Implicit,
}

/// Credentials; which are used depends on what the server offers first.
pub(super) struct Login {
    /// For all mechanisms.
    pub(super) username: String,
    /// For PLAIN.
    pub(super) identity: String,
    /// For PLAIN and LOGIN.
    pub(super) password: String,
    /// For CRAM-MD5.
    pub(super) secret: String,
}

/// Where and how to deliver.
pub(super) struct Server<'a> {
    pub(super) host: &'a str,
    pub(super) port: &'a str,
    pub(super) hello: &'a str,
    pub(super) security: Security,
    pub(super) tls: &'a TlsConfig,
    pub(super) login: Option<Login>,
}

/// Who has got the mail and who has not, with the server's answer.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    /// The server has taken the mail for them.
    pub(super) accepted: Vec<Address>,
    /// Refused with 5xx: it will happen again.
    pub(super) refused: Vec<(Address, String)>,
    /// Refused with 4xx: later.
    pub(super) postponed: Vec<(Address, String)>,
}

impl Server<'_> {
    /// Delivers to as many of the recipients as the server takes, perhaps none.
    /// # Errors
    /// Retryable, as everything an SMTP server says; not on a bad TLS configuration.
    pub(super) async fn deliver(
        &self,
        deny: &Deny,
        from: &Address,
        to: &[Address],
        mail: &[u8],
    ) -> Result<Delivery, SendError> {
        let dialogue = async {
            let mut connection = self.connect(deny).await?;
            let sent = self.converse(&mut connection, from, to, mail).await;
            match step("send QUIT command", QUIT_TIMEOUT, connection.quit()).await {
                Err(error) if sent.is_ok() => {
                    debug!(error = %super::report(&error), "mail server did not say goodbye");
                }
                _ => {}
            }
            sent
        };
        // A line of blanks in a greeting ends lettre, and the connection with it.
        let read = AssertUnwindSafe(dialogue).catch_unwind().await;
        read.unwrap_or_else(|_| Err(failure("the mail server's answer cannot be read")))
    }

    async fn connect(&self, deny: &Deny) -> Result<AsyncSmtpConnection, SendError> {
        if self.hello.contains(['\r', '\n']) {
            return Err(SendError::invalid("hello holds a line break"));
        }
        let hello = ClientId::Domain(self.hello.to_owned());
        let tls = (self.security != Security::None).then(|| tls_parameters(self.tls, self.host));
        let tls = tls.transpose().map_err(|error| SendError::unmade("email", error))?;
        let host = if self.host.is_empty() { "localhost" } else { self.host };
        let what = format!("establish connection to {host}:{}", self.port);
        let port = service_port(self.port)
            .ok_or_else(|| SendError::invalid(format!("unknown port {:?}", self.port)))?;
        let (starttls, implicit) = match self.security {
            Security::StartTls => (tls, None),
            _ => (None, tls),
        };
        let dial = async {
            let addresses = deny.lookup(host, port).await.map_err(lettre_io)?;
            let limit = Some(CONNECT_TIMEOUT);
            AsyncSmtpConnection::connect_tokio1(&addresses[..], limit, &hello, implicit, None)
                .await
                .map_err(BoxError::from)
        };
        let mut connection = match tokio::time::timeout(STEP_TIMEOUT, dial).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Err(SendError::network(&what, error)),
            Err(elapsed) => return Err(SendError::network(&what, elapsed)),
        };
        if let Some(tls) = starttls {
            if !connection.server_info().supports_feature(Extension::StartTls) {
                return Err(failure(
                    "'require_tls' is true but the server does not advertise STARTTLS",
                ));
            }
            step("send STARTTLS command", STEP_TIMEOUT, connection.starttls(tls, &hello)).await?;
        }
        Ok(connection)
    }

    async fn converse(
        &self,
        connection: &mut AsyncSmtpConnection,
        from: &Address,
        to: &[Address],
        mail: &[u8],
    ) -> Result<Delivery, SendError> {
        if let Some(login) = &self.login {
            self.authenticate(connection, login).await?;
        }
        let mut options = String::new();
        if connection.server_info().supports_feature(Extension::EightBitMime) {
            options.push_str(" BODY=8BITMIME");
        }
        if connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            options.push_str(" SMTPUTF8");
        }
        let command = format!("MAIL FROM:<{from}>{options}\r\n");
        ask(connection, "send MAIL command", command).await?;
        let mut delivery = Delivery::default();
        for address in to {
            let command = connection.command(format!("RCPT TO:<{address}>\r\n"));
            match tokio::time::timeout(STEP_TIMEOUT, command).await {
                Ok(Ok(_)) => delivery.accepted.push(address.clone()),
                Ok(Err(error)) if error.is_permanent() => {
                    delivery.refused.push((address.clone(), words(&error)));
                }
                Ok(Err(error)) if error.is_transient() => {
                    delivery.postponed.push((address.clone(), words(&error)));
                }
                Ok(Err(error)) => return Err(SendError::network("send RCPT command", error)),
                Err(elapsed) => return Err(SendError::network("send RCPT command", elapsed)),
            }
        }
        if delivery.accepted.is_empty() {
            return Ok(delivery);
        }
        ask(connection, "send DATA command", "DATA\r\n").await?;
        step("delivery failure", DATA_TIMEOUT, connection.message(mail)).await?;
        Ok(delivery)
    }

    /// The first mechanism that the server names and we can use; without any named, none.
    async fn authenticate(
        &self,
        connection: &mut AsyncSmtpConnection,
        login: &Login,
    ) -> Result<(), SendError> {
        // lettre keeps only the mechanisms it knows, without their order, so the server is asked again.
        let greeting =
            ask(connection, "send EHLO command", format!("EHLO {}\r\n", self.hello)).await?;
        let Some(offered) = mechanisms(&greeting) else { return Ok(()) };
        match choose(&offered, login)? {
            Mechanism::CramMd5 => cram_md5(connection, login).await,
            Mechanism::Plain => {
                let local = ["localhost", "127.0.0.1", "::1"].contains(&self.host);
                if self.security == Security::None && !local {
                    return Err(failure("PLAIN auth: unencrypted connection"));
                }
                let Login { identity, username, password, .. } = login;
                let token = STANDARD.encode(format!("{identity}\0{username}\0{password}"));
                ask(connection, "PLAIN auth", format!("AUTH PLAIN {token}\r\n")).await.map(drop)
            }
            Mechanism::Login => plain_login(connection, login).await,
        }
    }
}

/// Delivers to whatever is at the other end of `stream`: for the fuzzer.
pub(crate) async fn converse_with(
    stream: Box<dyn AsyncTokioStream>,
) -> Result<Delivery, SendError> {
    let hello = ClientId::Domain("localhost".to_owned());
    let mut connection = AsyncSmtpConnection::connect_with_transport(stream, &hello)
        .await
        .map_err(|error| SendError::network("greeting", error))?;
    let word = || "word".to_owned();
    let login =
        Login { username: word(), identity: String::new(), password: word(), secret: word() };
    let server = Server {
        host: "localhost",
        port: "25",
        hello: "localhost",
        security: Security::None,
        tls: &TlsConfig::default(),
        login: Some(login),
    };
    let address = |text: &str| text.parse().map_err(|_| SendError::invalid("address"));
    let (from, to) =
        (address("a@example.org")?, [address("b@example.org")?, address("c@example.org")?]);
    server.converse(&mut connection, &from, &to, b"Subject: x\r\n\r\nx\r\n").await
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mechanism {
    CramMd5,
    Plain,
    Login,
}

/// The words after `AUTH` in the answer to EHLO.
fn mechanisms(greeting: &Response) -> Option<Vec<String>> {
    greeting.message().find_map(|line| {
        let (name, rest) = line.split_once([' ', '='])?;
        let words = || rest.split_whitespace().map(str::to_uppercase).collect();
        name.eq_ignore_ascii_case("AUTH").then(words)
    })
}

/// The first usable one in the server's order.
fn choose(offered: &[String], login: &Login) -> Result<Mechanism, SendError> {
    let mut reasons = Vec::new();
    for name in offered {
        let (needed, what, mechanism) = match name.as_str() {
            "CRAM-MD5" => (&login.secret, "secret", Mechanism::CramMd5),
            "PLAIN" => (&login.password, "password", Mechanism::Plain),
            "LOGIN" => (&login.password, "password", Mechanism::Login),
            _ => {
                reasons.push(format!("unknown auth mechanism: {name}"));
                continue;
            }
        };
        if !needed.is_empty() {
            return Ok(mechanism);
        }
        reasons.push(format!("missing {what} for {name} auth mechanism"));
    }
    Err(failure(&format!("find auth mechanism: {}", reasons.join("; "))))
}

async fn cram_md5(connection: &mut AsyncSmtpConnection, login: &Login) -> Result<(), SendError> {
    let challenge = ask(connection, "CRAM-MD5 auth", "AUTH CRAM-MD5\r\n").await?;
    let challenge = decoded(&challenge)?;
    let digest = super::call::hex(&hmac_md5(login.secret.as_bytes(), &challenge));
    let answer = STANDARD.encode(format!("{} {digest}", login.username));
    ask(connection, "CRAM-MD5 auth", format!("{answer}\r\n")).await.map(drop)
}

async fn plain_login(connection: &mut AsyncSmtpConnection, login: &Login) -> Result<(), SendError> {
    let mut reply = ask(connection, "LOGIN auth", "AUTH LOGIN\r\n").await?;
    for _ in 0..3 {
        if !reply.has_code(334) {
            return Ok(());
        }
        let prompt = String::from_utf8_lossy(&decoded(&reply)?).to_lowercase();
        // Upstream knows only `username:` and `password:`; some servers ask for a `User Name`.
        let answer = match prompt.get(..4) {
            Some("user") => &login.username,
            Some("pass") => &login.password,
            _ => {
                let _ = ask(connection, "LOGIN auth", "*\r\n").await;
                return Err(failure(&format!(
                    "LOGIN auth: unexpected server challenge {prompt:?}"
                )));
            }
        };
        reply = ask(connection, "LOGIN auth", format!("{}\r\n", STANDARD.encode(answer))).await?;
    }
    if reply.has_code(334) { Err(failure("LOGIN auth: too many challenges")) } else { Ok(()) }
}

fn decoded(challenge: &Response) -> Result<Vec<u8>, SendError> {
    STANDARD
        .decode(challenge.first_line().unwrap_or("").trim())
        .map_err(|error| SendError::network("decode the server's challenge", error))
}

/// RFC 2104 over MD5.
fn hmac_md5(key: &[u8], message: &[u8]) -> [u8; 16] {
    let mut block = [0_u8; 64];
    let hashed = md5::digest(key);
    let key = if key.len() > block.len() { &hashed } else { key };
    block[..key.len()].copy_from_slice(key);
    let inner = md5::digest(&[&block.map(|byte| byte ^ 0x36), message].concat());
    md5::digest(&[&block.map(|byte| byte ^ 0x5c)[..], &inner].concat())
}

async fn ask(
    connection: &mut AsyncSmtpConnection,
    what: &str,
    command: impl std::fmt::Display,
) -> Result<Response, SendError> {
    step(what, STEP_TIMEOUT, connection.command(command)).await
}

async fn step<T>(
    what: &str,
    limit: Duration,
    work: impl Future<Output = Result<T, lettre::transport::smtp::Error>>,
) -> Result<T, SendError> {
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(SendError::network(what, error)),
        Err(elapsed) => Err(SendError::network(what, elapsed)),
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

fn lettre_io(error: std::io::Error) -> BoxError {
    error.into()
}

fn words(error: &lettre::transport::smtp::Error) -> String {
    super::report(error)
}

fn failure(what: &str) -> SendError {
    SendError::unavailable(what, FailureReason::Other)
}

/// A port as number or by the names that mail servers have.
fn service_port(text: &str) -> Option<u16> {
    match text {
        "smtp" => Some(25),
        "smtps" | "submissions" => Some(465),
        "submission" => Some(587),
        number => number.parse().ok(),
    }
}

/// The TLS settings of a server; the name to check is the server's unless configured.
/// # Errors
/// On texts that are no certificate or key.
pub(super) fn tls_parameters(config: &TlsConfig, host: &str) -> Result<TlsParameters, BuildError> {
    let material = Material::read(config)?;
    let bad = |error| BuildError::new("tls_config", error);
    let name = if config.server_name.is_empty() { host } else { &config.server_name };
    let mut builder = TlsParameters::builder(name.to_owned())
        .dangerous_accept_invalid_certs(config.insecure_skip_verify);
    if let Some(pem) = material.ca() {
        builder = builder.certificate_store(CertificateStore::None);
        builder = builder.add_root_certificate(Certificate::from_pem(pem).map_err(bad)?);
    }
    if let Some((cert, key)) = material.identity() {
        // lettre takes the certificate's text as it is for its bytes, so it gets the bytes; those of one certificate.
        let chain = super::tls::certificates(cert, "TLS client certificate")?;
        let leaf = chain.first().map(AsRef::as_ref).unwrap_or_default();
        builder = builder.identify_with(Identity::from_pem(leaf, key).map_err(bad)?);
    }
    if config.min_version == Some(MinVersion::Tls13) {
        builder = builder.set_min_tls_version(TlsVersion::Tlsv13);
    }
    builder.build().map_err(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmac_md5_is_rfc_2195s() {
        let challenge = b"<1896.697170952@postoffice.reston.mci.net>";
        let digest = hmac_md5(b"tanstaaftanstaaf", challenge);
        assert_eq!(super::super::call::hex(&digest), "b913a602c7eda7a495b4e6e7334d3890");
        let long = hmac_md5(&[0xaa; 80], b"Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(super::super::call::hex(&long), "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd");
    }

    #[track_caller]
    fn check(offered: &str, password: &str, secret: &str, expected: Result<Mechanism, &str>) {
        let offered: Vec<String> = offered.split(' ').map(str::to_owned).collect();
        let login = Login {
            username: "u".to_owned(),
            identity: String::new(),
            password: password.to_owned(),
            secret: secret.to_owned(),
        };
        let chosen = choose(&offered, &login).map_err(|error| error.to_string());
        assert_eq!(chosen.as_ref().map_err(String::as_str), expected.as_ref().map_err(|e| *e));
    }

    #[test]
    fn the_servers_order_decides() {
        check("CRAM-MD5 PLAIN", "p", "s", Ok(Mechanism::CramMd5));
        check("CRAM-MD5 LOGIN PLAIN", "p", "", Ok(Mechanism::Login));
        check("XOAUTH2 PLAIN", "p", "", Ok(Mechanism::Plain));
        let both = "find auth mechanism: unknown auth mechanism: XOAUTH2; \
                    missing password for PLAIN auth mechanism";
        check("XOAUTH2 PLAIN", "", "s", Err(both));
    }

    #[tokio::test]
    async fn an_answer_that_ends_the_library_is_a_failure_to_be_tried_again() {
        use tokio::io::AsyncWriteExt as _;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"220 x\r\n250-x\r\n250  \r\n").await.unwrap();
            std::future::pending::<()>().await;
        });
        let server = Server {
            host: "127.0.0.1",
            port: &port,
            hello: "localhost",
            security: Security::None,
            tls: &TlsConfig::default(),
            login: None,
        };
        let from: Address = "a@example.org".parse().unwrap();
        let sent = server.deliver(&Deny::default(), &from, std::slice::from_ref(&from), b"").await;
        let error = sent.unwrap_err();
        assert!(error.retry(), "{error}");
        assert_eq!(error.to_string(), "the mail server's answer cannot be read");
    }

    #[test]
    fn a_client_certificate_can_be_used() {
        let own = crate::notify::testing::authority("localhost", false);
        let config = TlsConfig {
            cert: crate::config::http::Source::Inline(own.ca.as_str().into()),
            key: crate::config::http::Source::Inline(own.key.serialize_pem().into()),
            ..TlsConfig::default()
        };
        tls_parameters(&config, "localhost").unwrap();
    }

    #[test]
    fn ports_have_names() {
        assert_eq!(service_port("submission"), Some(587));
        assert_eq!(service_port("2525"), Some(2525));
        assert_eq!(service_port("nope"), None);
    }
}
