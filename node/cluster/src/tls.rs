//! Who is trusted on the cluster port. Always TLS 1.3 with a certificate on both sides; only the root of trust differs.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ED25519,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::cluster::ClusterError;
use crate::options::{Certificates, Trust};

/// Name in every certificate that is made from a secret.
const NODE_NAME: &str = "node.tocsin";
/// The "secret" of a cluster without one: everybody knows it.
const PUBLIC: &str = "tocsin public cluster key: encrypted, not authenticated";
/// A shorter secret could be guessed from a certificate that anybody can fetch.
const SECRET_BYTES_MIN: usize = 32;
/// DER before the 32 bytes of an Ed25519 seed, PKCS #8 version 1 (RFC 8410).
const ED25519_PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// Both ends of a connection.
#[derive(Clone)]
pub(crate) struct Tls {
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) connector: TlsConnector,
    /// Name to expect of those who are dialled; `None`: the dialled host.
    name: Option<ServerName<'static>>,
    /// One of these must be in the certificate of who dials us; empty: any.
    allowed: Arc<Vec<ServerName<'static>>>,
}

fn trust_error(error: impl std::fmt::Display) -> ClusterError {
    ClusterError::Trust(error.to_string())
}

impl Tls {
    /// Makes keys and certificates, or reads those that were given.
    /// # Errors
    /// [`ClusterError::Trust`] on secrets that are too short and on certificates that cannot be used.
    pub(crate) fn new(trust: &Trust, label: &str) -> Result<Self, ClusterError> {
        match trust {
            Trust::Anyone => Self::from_secrets(&[PUBLIC.as_bytes()], label),
            Trust::Secrets(secrets) => {
                let short = |secret: &String| secret.trim().len() < SECRET_BYTES_MIN;
                if secrets.is_empty() || secrets.iter().any(short) {
                    return Err(trust_error("a secret needs at least 32 bytes"));
                }
                let secrets: Vec<_> = secrets.iter().map(|text| text.trim().as_bytes()).collect();
                Self::from_secrets(&secrets, label)
            }
            Trust::Certificates(given) => Self::from_certificates(given),
        }
    }

    fn from_secrets(secrets: &[&[u8]], label: &str) -> Result<Self, ClusterError> {
        let mut roots = RootCertStore::empty();
        let mut issuer = None;
        for secret in secrets {
            let key = ca_key(secret, label)?;
            let params = ca_params();
            let root = params.self_signed(&key).map_err(trust_error)?;
            roots.add(root.der().clone()).map_err(trust_error)?;
            issuer.get_or_insert_with(|| Issuer::new(params, key));
        }
        let issuer = issuer.ok_or_else(|| trust_error("no secret"))?;
        let key = KeyPair::generate_for(&PKCS_ED25519).map_err(trust_error)?;
        let leaf = CertificateParams::new(vec![NODE_NAME.to_owned()]).map_err(trust_error)?;
        let leaf = leaf.signed_by(&key, &issuer).map_err(trust_error)?;
        let key = || PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let chain = vec![leaf.der().clone()];
        let name = ServerName::try_from(NODE_NAME).map_err(trust_error)?;
        let server = server(roots.clone(), chain.clone(), key())?;
        let client = client(Roots::These(roots), chain, key())?;
        Ok(Self::build(server, client, Some(name)))
    }

    fn from_certificates(given: &Certificates) -> Result<Self, ClusterError> {
        // Both sides always show a certificate; what one section lacks the other one has.
        let or = |one: &'_ str, other: &'_ str| if one.is_empty() { other } else { one }.to_owned();
        let client_ca = or(&given.server_client_ca, &given.client_ca);
        if client_ca.is_empty() {
            return Err(trust_error("tls_server_config needs client_ca_file"));
        }
        let client_cert = or(&given.client_cert, &given.server_cert);
        let client_key = or(&given.client_key, &given.server_key);
        let server = server(
            roots(&client_ca)?,
            chain(&given.server_cert)?,
            private_key(&given.server_key)?,
        )?;
        let trusted = match (given.client_skip_verify, given.client_ca.is_empty()) {
            (true, _) => Roots::Any,
            (false, false) => Roots::These(roots(&given.client_ca)?),
            (false, true) => Roots::These(system_roots()?),
        };
        let client = client(trusted, chain(&client_cert)?, private_key(&client_key)?)?;
        let name = match given.client_server_name.as_str() {
            "" => None,
            name => Some(ServerName::try_from(name.to_owned()).map_err(trust_error)?),
        };
        let allowed: Result<Vec<_>, _> =
            given.client_allowed_sans.iter().cloned().map(ServerName::try_from).collect();
        let allowed = allowed.map_err(trust_error)?;
        Ok(Self { allowed: Arc::new(allowed), ..Self::build(server, client, name) })
    }

    fn build(
        server: ServerConfig,
        client: ClientConfig,
        name: Option<ServerName<'static>>,
    ) -> Self {
        Self {
            acceptor: TlsAcceptor::from(Arc::new(server)),
            connector: TlsConnector::from(Arc::new(client)),
            name,
            allowed: Arc::default(),
        }
    }

    /// Whether who dialled us shows a name that is allowed.
    pub(crate) fn allows(&self, chain: Option<&[CertificateDer<'_>]>) -> bool {
        if self.allowed.is_empty() {
            return true;
        }
        let Some(certificate) = chain.and_then(<[_]>::first) else { return false };
        ParsedCertificate::try_from(certificate).is_ok_and(|certificate| {
            self.allowed.iter().any(|name| verify_server_name(&certificate, name).is_ok())
        })
    }

    /// The name to expect in the certificate of whoever answers at `host`.
    pub(crate) fn name_for(&self, host: std::net::IpAddr) -> ServerName<'static> {
        self.name.clone().unwrap_or_else(|| ServerName::from(host))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

struct SeedLength;

impl ring::hkdf::KeyType for SeedLength {
    fn len(&self) -> usize {
        32
    }
}

/// The signing key that all who know `secret` share.
fn ca_key(secret: &[u8], label: &str) -> Result<KeyPair, ClusterError> {
    let salt = ring::hkdf::Salt::new(ring::hkdf::HKDF_SHA256, b"tocsin cluster ca v1");
    let mut der = [0; 48];
    der[..16].copy_from_slice(&ED25519_PKCS8);
    salt.extract(secret)
        .expand(&[label.as_bytes()], SeedLength)
        .and_then(|okm| okm.fill(&mut der[16..]))
        .map_err(trust_error)?;
    let der = PrivatePkcs8KeyDer::from(der.as_slice());
    KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ED25519).map_err(trust_error)
}

fn ca_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params.distinguished_name.push(DnType::CommonName, "tocsin cluster");
    params
}

fn server(
    roots: RootCertStore,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, ClusterError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(trust_error)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(trust_error)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(trust_error)?;
    config.send_tls13_tickets = 0;
    Ok(config)
}

enum Roots {
    These(RootCertStore),
    Any,
}

fn client(
    roots: Roots,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ClientConfig, ClusterError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(trust_error)?;
    let builder = match roots {
        Roots::These(roots) => builder.with_root_certificates(roots),
        Roots::Any => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer(provider())))
        }
    };
    let mut config = builder.with_client_auth_cert(chain, key).map_err(trust_error)?;
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn roots(pem: &str) -> Result<RootCertStore, ClusterError> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(pem)? {
        roots.add(certificate).map_err(trust_error)?;
    }
    Ok(roots)
}

fn system_roots() -> Result<RootCertStore, ClusterError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(trust_error("tls_client_config has no ca and the system has none either"));
    }
    Ok(roots)
}

fn chain(pem: &str) -> Result<Vec<CertificateDer<'static>>, ClusterError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match chain.map_err(trust_error)? {
        chain if chain.is_empty() => Err(trust_error("no certificate in the PEM text")),
        chain => Ok(chain),
    }
}

fn private_key(pem: &str) -> Result<PrivateKeyDer<'static>, ClusterError> {
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(trust_error)
}

/// `insecure_skip_verify`: takes any certificate, as upstream does when told so.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 is not offered".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "0123456789abcdef0123456789abcdef-a";
    const B: &str = "0123456789abcdef0123456789abcdef-b";

    fn secrets(secrets: &[&str]) -> Trust {
        Trust::Secrets(secrets.iter().map(|text| (*text).to_owned()).collect())
    }

    /// Whether a handshake between the two succeeds, as both sides see it.
    async fn agree(dialler: (&Trust, &str), listener: (&Trust, &str)) -> bool {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let dialler = Tls::new(dialler.0, dialler.1).unwrap();
        let listener = Tls::new(listener.0, listener.1).unwrap();
        let (near, far) = tokio::io::duplex(64 * 1024);
        let name = dialler.name_for([127, 0, 0, 1].into());
        let dial = async {
            let mut stream = dialler.connector.connect(name, near).await?;
            stream.write_all(b"x").await?;
            stream.read_u8().await
        };
        let listen = async {
            let mut stream = listener.acceptor.accept(far).await?;
            let byte = stream.read_u8().await?;
            stream.write_all(&[byte]).await
        };
        let (dialled, listened) = tokio::join!(dial, listen);
        dialled.is_ok() && listened.is_ok()
    }

    #[tokio::test]
    async fn only_who_knows_the_secret_is_let_in() {
        let (a, b, none) = (secrets(&[A]), secrets(&[B]), Trust::Anyone);
        assert!(agree((&a, ""), (&a, "")).await);
        assert!(agree((&none, ""), (&none, "")).await);
        assert!(!agree((&a, ""), (&b, "")).await);
        assert!(!agree((&none, ""), (&a, "")).await);
        assert!(!agree((&a, ""), (&none, "")).await);
        assert!(!agree((&a, "blue"), (&a, "green")).await);
    }

    #[tokio::test]
    async fn two_secrets_let_a_cluster_change_over() {
        let (old, new) = (secrets(&[A]), secrets(&[B]));
        let (signs_old, signs_new) = (secrets(&[A, B]), secrets(&[B, A]));
        assert!(agree((&old, ""), (&signs_old, "")).await);
        assert!(agree((&signs_old, ""), (&signs_new, "")).await);
        assert!(agree((&new, ""), (&signs_new, "")).await);
        assert!(!agree((&old, ""), (&new, "")).await);
    }

    /// Certificates for `name` under one authority, as the two sections of a file would give them.
    fn certificates(name: &str, allowed: &[&str]) -> Trust {
        let authority = ca_key(b"authority of a test", "").unwrap();
        let params = ca_params();
        let root = params.self_signed(&authority).unwrap();
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &Issuer::new(params, authority)).unwrap();
        Trust::Certificates(Box::new(Certificates {
            server_cert: leaf.pem(),
            server_key: key.serialize_pem(),
            server_client_ca: root.pem(),
            client_allowed_sans: allowed.iter().map(|name| (*name).to_owned()).collect(),
            client_cert: leaf.pem(),
            client_key: key.serialize_pem(),
            client_ca: root.pem(),
            client_server_name: "b.example".into(),
            client_skip_verify: false,
        }))
    }

    #[tokio::test]
    async fn certificates_must_have_the_right_authority_and_name() {
        let (a, b) = (certificates("a.example", &[]), certificates("b.example", &[]));
        assert!(agree((&a, ""), (&b, "")).await);
        assert!(!agree((&b, ""), (&a, "")).await, "the name is another one");
        assert!(!agree((&Trust::Anyone, ""), (&b, "")).await);
    }

    #[test]
    fn only_allowed_names_may_dial() {
        let Trust::Certificates(given) = certificates("a.example", &["b.example"]) else {
            unreachable!("made above")
        };
        let tls = Tls::new(&Trust::Certificates(given.clone()), "").unwrap();
        let chain = chain(&given.client_cert).unwrap();
        assert!(!tls.allows(Some(&chain)) && !tls.allows(None));
        let given = Certificates { client_allowed_sans: vec!["a.example".into()], ..*given };
        let tls = Tls::new(&Trust::Certificates(Box::new(given)), "").unwrap();
        assert!(tls.allows(Some(&chain)));
    }

    #[test]
    fn short_secrets_are_refused() {
        assert!(Tls::new(&secrets(&["short"]), "").is_err());
        assert!(Tls::new(&secrets(&[]), "").is_err());
    }
}
