//! TLS on both sides: what is offered to clients, and how servers are believed.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
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

/// What a frontend offers: TLS 1.2 and 1.3, HTTP/1.1.
/// # Errors
/// [`TlsError`] names the file.
pub(crate) fn acceptor(options: &TlsBind) -> Result<TlsAcceptor, TlsError> {
    let builder =
        ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
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
    let chain = certificates(&options.certificate)?;
    let mut config = builder.with_single_cert(chain, key(&options.key)?)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
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
