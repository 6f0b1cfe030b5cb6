//! TLS on both sides: what is offered to clients, and how servers are believed.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::config::{ClientVerify, TlsBind, TlsServer};

/// Why TLS cannot be used as configured.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing or no PEM of its kind.
    #[error("{file} cannot be read")]
    Pem {
        /// Its path.
        file: String,
        /// Where it fails.
        source: rustls::pki_types::pem::Error,
    },
    /// The parts do not fit together.
    #[error("certificate, key or settings do not fit")]
    Rustls(#[from] rustls::Error),
    /// The CA cannot be used to verify clients.
    #[error("client CA cannot be used")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// The name is no host name and no address.
    #[error("{0:?} is no name that a certificate could have")]
    Name(String),
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| TlsError::Pem { file: path.display().to_string(), source };
    CertificateDer::pem_file_iter(path).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let failed = |source| TlsError::Pem { file: path.display().to_string(), source };
    PrivateKeyDer::from_pem_file(path).map_err(failed)
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

/// What an address offers to clients.
#[derive(Clone)]
pub(crate) struct Offer {
    /// Makes connections.
    pub acceptor: TlsAcceptor,
    /// Header that tells the server who the client is.
    pub client_header: Option<String>,
}

/// A certificate with its key, and what tells whether it fits a name.
struct Certificate {
    key: Arc<CertifiedKey>,
    leaf: CertificateDer<'static>,
}

impl Certificate {
    fn load(chain: &Path, key_file: &Path) -> Result<Self, TlsError> {
        let chain = certificates(chain)?;
        let leaf = chain.first().cloned();
        let key = CertifiedKey::from_der(chain, key(key_file)?, &provider())?;
        let leaf = leaf.ok_or(rustls::Error::NoCertificatesPresented)?;
        Ok(Certificate { key: Arc::new(key), leaf })
    }

    fn fits(&self, name: &ServerName<'_>) -> bool {
        let parsed = rustls::server::ParsedCertificate::try_from(&self.leaf);
        parsed.is_ok_and(|cert| rustls::client::verify_server_name(&cert, name).is_ok())
    }
}

/// Chooses by the name that the client asks for; the first certificate where none fits.
struct ByName(Vec<Certificate>);

impl std::fmt::Debug for ByName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ByName({})", self.0.len())
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let fitting = name.and_then(|name| self.0.iter().find(|c| c.fits(&name)));
        fitting.or(self.0.first()).map(|certificate| certificate.key.clone())
    }
}

/// What an address offers: TLS 1.2 and 1.3, HTTP/1.1 and, if wanted, HTTP/2.
/// # Errors
/// [`TlsError`] names the file.
pub(crate) fn offer(options: &TlsBind, http2: bool) -> Result<Offer, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider());
    let builder = match options.only_13 {
        true => builder.with_protocol_versions(&[&rustls::version::TLS13])?,
        false => builder.with_safe_default_protocol_versions()?,
    };
    let builder = match (&options.client_ca, options.verify) {
        (Some(ca), ClientVerify::Optional | ClientVerify::Required) => {
            let roots = Arc::new(roots(ca)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
            let verifier = match options.verify {
                ClientVerify::Required => verifier,
                _ => verifier.allow_unauthenticated(),
            };
            builder.with_client_cert_verifier(verifier.build()?)
        }
        _ => builder.with_no_client_auth(),
    };
    let first = std::iter::once((&options.certificate, &options.key));
    let more = options.more.iter().map(|(certificate, key)| (certificate, key));
    let all = first.chain(more).map(|(c, k)| Certificate::load(c, k)).collect::<Result<_, _>>()?;
    let mut config = builder.with_cert_resolver(Arc::new(ByName(all)));
    config.alpn_protocols = match http2 {
        true => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        false => vec![b"http/1.1".to_vec()],
    };
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Ok(Offer { acceptor, client_header: options.client_header.clone() })
}

/// How one server is spoken to.
#[derive(Clone)]
pub(crate) struct TlsClient {
    /// Makes connections.
    pub connector: TlsConnector,
    /// The name that its certificate must have.
    pub name: ServerName<'static>,
}

impl std::fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TlsClient({:?})", self.name)
    }
}

/// How the server at `address` (`HOST:PORT`) is spoken to. Its certificate is verified unless that was switched off.
/// # Errors
/// [`TlsError`] names the file.
pub(crate) fn client(options: &TlsServer, address: &str) -> Result<TlsClient, TlsError> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let name = options.server_name.as_deref().unwrap_or(host);
    let name =
        ServerName::try_from(name.to_owned()).map_err(|_| TlsError::Name(name.to_owned()))?;
    let builder =
        ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = match (&options.ca, options.verify) {
        (_, false) => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider())))
        }
        (Some(ca), true) => builder.with_root_certificates(roots(ca)?),
        (None, true) => {
            let mut roots = RootCertStore::empty();
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
            builder.with_root_certificates(roots)
        }
    };
    let config = match (&options.certificate, &options.key) {
        (Some(certificate), Some(path)) => {
            builder.with_client_auth_cert(certificates(certificate)?, key(path)?)?
        }
        _ => builder.with_no_client_auth(),
    };
    Ok(TlsClient { connector: TlsConnector::from(Arc::new(config)), name })
}

/// Believes any certificate, for `verify: false`.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
