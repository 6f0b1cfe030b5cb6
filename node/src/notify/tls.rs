//! `tls_config` as a rustls client configuration. It knows no protocol above TLS.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedProtocolVersion,
};

use super::BuildError;
use crate::config::http::{Source, TlsConfig, TlsVersion};

/// PEM texts of one `tls_config`, as they are now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Material {
    ca: Option<Vec<u8>>,
    cert: Option<Vec<u8>>,
    key: Option<Hidden>,
}

/// A private key that does not print.
#[derive(Clone, PartialEq, Eq)]
struct Hidden(Vec<u8>);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<secret>")
    }
}

impl Material {
    /// Reads the files of `config`.
    /// # Errors
    /// Names the file that cannot be read.
    pub(crate) fn read(config: &TlsConfig) -> Result<Self, BuildError> {
        Ok(Self {
            ca: pem(&config.ca)?,
            cert: pem(&config.cert)?,
            key: pem(&config.key)?.map(Hidden),
        })
    }

    /// The configured roots, if any.
    pub(crate) fn ca(&self) -> Option<&[u8]> {
        self.ca.as_deref()
    }

    /// The configured client certificate and key, if both are there.
    pub(crate) fn identity(&self) -> Option<(&[u8], &[u8])> {
        Some((self.cert.as_deref()?, &self.key.as_ref()?.0))
    }
}

/// Whether anything may change while the program runs.
pub(crate) fn has_files(config: &TlsConfig) -> bool {
    [&config.ca, &config.cert, &config.key].into_iter().any(|s| matches!(s, Source::File(_)))
}

fn pem(source: &Source) -> Result<Option<Vec<u8>>, BuildError> {
    match source {
        Source::None => Ok(None),
        Source::Inline(secret) => Ok(Some(secret.reveal().as_bytes().to_vec())),
        Source::File(path) => read_file(path).map(Some),
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, BuildError> {
    std::fs::read(path).map_err(|error| BuildError::new(format!("read {}", path.display()), error))
}

/// The client configuration, without ALPN. A given CA replaces the system's roots.
/// # Errors
/// On texts that are no certificate or key, and on versions that exclude each other.
pub(crate) fn client_config(
    config: &TlsConfig,
    material: &Material,
) -> Result<ClientConfig, BuildError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(config)?)
        .map_err(|error| BuildError::new("TLS versions", error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier(config, material, provider)?);
    let Some((cert, key)) = material.identity() else {
        return Ok(builder.with_no_client_auth());
    };
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|error| BuildError::new("TLS client key", error))?;
    builder
        .with_client_auth_cert(certificates(cert, "TLS client certificate")?, key)
        .map_err(|error| BuildError::new("TLS client certificate", error))
}

/// All certificates of a PEM text, at least one.
/// # Errors
/// On a text that is none.
pub(super) fn certificates(
    pem: &[u8],
    what: &str,
) -> Result<Vec<CertificateDer<'static>>, BuildError> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| BuildError::new(what, error))?;
    if all.is_empty() {
        return Err(BuildError::plain(format!("{what}: no certificate in the PEM text")));
    }
    Ok(all)
}

/// TLS 1.0 and 1.1 do not exist here: as a lower bound they mean 1.2, as an upper one nothing.
fn versions(config: &TlsConfig) -> Result<Vec<&'static SupportedProtocolVersion>, BuildError> {
    let min = config.min_version.unwrap_or(TlsVersion::Tls12);
    let max = config.max_version.unwrap_or(TlsVersion::Tls13);
    if max < min {
        return Err(BuildError::plain("tls_config: max_version is lower than min_version"));
    }
    let all = [
        (TlsVersion::Tls12, &rustls::version::TLS12),
        (TlsVersion::Tls13, &rustls::version::TLS13),
    ];
    let usable: Vec<_> = all
        .into_iter()
        .filter(|(version, _)| min <= *version && *version <= max)
        .map(|(_, supported)| supported)
        .collect();
    if usable.is_empty() {
        return Err(BuildError::plain("tls_config: TLS 1.0 and 1.1 are not supported"));
    }
    Ok(usable)
}

fn verifier(
    config: &TlsConfig,
    material: &Material,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, BuildError> {
    if config.insecure_skip_verify {
        return Ok(Arc::new(Unverified(provider)));
    }
    let inner: Arc<dyn ServerCertVerifier> = match material.ca() {
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(pem, "TLS CA")? {
                roots.add(certificate).map_err(|error| BuildError::new("TLS CA", error))?;
            }
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| BuildError::new("TLS CA", error))?
        }
        None => Arc::new(SystemRoots(provider)),
    };
    if config.server_name.is_empty() {
        return Ok(inner);
    }
    let name = ServerName::try_from(config.server_name.clone())
        .map_err(|error| BuildError::new("tls_config: server_name", error))?;
    Ok(Arc::new(Renamed { inner, name }))
}

/// Checks against the operating system's roots. They are read at the first handshake: a receiver without TLS never
/// needs them, and reading them costs more than all the rest of a start.
#[derive(Debug)]
struct SystemRoots(Arc<CryptoProvider>);

impl SystemRoots {
    /// `None` on a machine that trusts nobody.
    fn verifier(&self) -> Option<Arc<WebPkiServerVerifier>> {
        static VERIFIER: OnceLock<Option<Arc<WebPkiServerVerifier>>> = OnceLock::new();
        let load = || {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            let provider = Arc::clone(&self.0);
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().ok()
        };
        VERIFIER.get_or_init(load).clone()
    }
}

/// Checks the certificate against the configured name instead of the URL's host.
#[derive(Debug)]
struct Renamed {
    inner: Arc<dyn ServerCertVerifier>,
    name: ServerName<'static>,
}

/// Accepts any certificate: `insecure_skip_verify`.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

macro_rules! signatures {
    ($kind:ty, $provider:expr) => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            let provider: fn(&$kind) -> &CryptoProvider = $provider;
            let algorithms = &provider(self).signature_verification_algorithms;
            verify_tls12_signature(message, cert, dss, algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            let provider: fn(&$kind) -> &CryptoProvider = $provider;
            let algorithms = &provider(self).signature_verification_algorithms;
            verify_tls13_signature(message, cert, dss, algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            let provider: fn(&$kind) -> &CryptoProvider = $provider;
            provider(self).signature_verification_algorithms.supported_schemes()
        }
    };
}

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    signatures!(Unverified, |this| &this.0);
}

impl ServerCertVerifier for SystemRoots {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(verifier) = self.verifier() else {
            return Err(rustls::Error::General(
                "this system has no trusted certificates".to_owned(),
            ));
        };
        verifier.verify_server_cert(end_entity, intermediates, name, ocsp_response, now)
    }

    signatures!(SystemRoots, |this| &this.0);
}

impl ServerCertVerifier for Renamed {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.inner.verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
