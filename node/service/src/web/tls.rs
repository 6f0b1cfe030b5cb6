//! TLS for the web server: rustls made from `web.yml`, and what a client's certificate must be.

use std::sync::Arc;

use rustls::{
    CipherSuite, DigitallySignedStruct, DistinguishedName, Error, NamedGroup, RootCertStore,
    ServerConfig, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{
        CryptoProvider, SupportedKxGroup, ring, verify_tls12_signature, verify_tls13_signature,
    },
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use super::settings::{ClientAuth, TlsSettings};

/// Why TLS cannot be offered as `web.yml` says.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A certificate or key is no PEM of that kind.
    #[error("{what} cannot be read")]
    Pem {
        /// Which.
        what: &'static str,
        /// Where it fails.
        source: rustls::pki_types::pem::Error,
    },
    /// There is no certificate in the text.
    #[error("{0} holds no certificate")]
    Empty(&'static str),
    /// The parts do not fit together.
    #[error("certificate, key or settings do not fit")]
    Rustls(#[from] Error),
    /// The CA cannot be used to verify clients.
    #[error("client CA cannot be used")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// The library's configuration for these settings.
///
/// # Errors
/// [`TlsError`].
pub(super) fn server_config(settings: &TlsSettings, http2: bool) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(provider(settings));
    let mut versions = Vec::new();
    if settings.allows_13 {
        versions.push(&rustls::version::TLS13);
    }
    if settings.allows_12 {
        versions.push(&rustls::version::TLS12);
    }
    let chain = certificates(&settings.certificate, "certificate")?;
    let key = PrivateKeyDer::from_pem_slice(settings.key.reveal().as_bytes())
        .map_err(|source| TlsError::Pem { what: "key", source })?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions)?;
    let mut config = match verifier(settings, provider)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    }
    .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    if http2 {
        config.alpn_protocols.insert(0, b"h2".to_vec());
    }
    Ok(config)
}

fn certificates(pem: &[u8], what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|source| TlsError::Pem { what, source })?;
    if chain.is_empty() { Err(TlsError::Empty(what)) } else { Ok(chain) }
}

/// Ring's provider with the suites for TLS 1.2 and the groups that the settings name.
fn provider(settings: &TlsSettings) -> CryptoProvider {
    let mut provider = ring::default_provider();
    if !settings.cipher_suites.is_empty() {
        let wanted: Vec<_> = settings.cipher_suites.iter().filter_map(|name| suite(name)).collect();
        provider
            .cipher_suites
            .retain(|offered| offered.tls13().is_some() || wanted.contains(&offered.suite()));
        let place = |offered: &rustls::SupportedCipherSuite| {
            wanted.iter().position(|suite| *suite == offered.suite())
        };
        provider.cipher_suites.sort_by_key(place);
    }
    let wanted: Vec<_> = settings.curves.iter().filter_map(|name| group(name)).collect();
    if !wanted.is_empty() {
        let place = |offered: &&'static dyn SupportedKxGroup| {
            wanted.iter().position(|group| *group == offered.name())
        };
        provider.kx_groups.retain(|offered| place(offered).is_some());
        provider.kx_groups.sort_by_key(place);
    }
    provider
}

/// The suite of a Go name, if it is offered.
pub(super) fn suite(name: &str) -> Option<CipherSuite> {
    Some(match name {
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256" => {
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
        }
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384" => {
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
        }
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"
        | "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305" => {
            CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
        }
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" => {
            CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
        }
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384" => {
            CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
        }
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256" | "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305" => {
            CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
        }
        "TLS_AES_128_GCM_SHA256" => CipherSuite::TLS13_AES_128_GCM_SHA256,
        "TLS_AES_256_GCM_SHA384" => CipherSuite::TLS13_AES_256_GCM_SHA384,
        "TLS_CHACHA20_POLY1305_SHA256" => CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
        _ => return None,
    })
}

/// The group of a Go name, if it is offered.
pub(super) fn group(name: &str) -> Option<NamedGroup> {
    Some(match name {
        "X25519" => NamedGroup::X25519,
        "CurveP256" => NamedGroup::secp256r1,
        "CurveP384" => NamedGroup::secp384r1,
        _ => return None,
    })
}

fn verifier(
    settings: &TlsSettings,
    provider: Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    let mandatory =
        matches!(settings.client_auth, ClientAuth::RequireAny | ClientAuth::RequireAndVerify);
    let signed: Option<Arc<dyn ClientCertVerifier>> =
        match (settings.client_auth, &settings.client_ca) {
            (ClientAuth::None, _) => return Ok(None),
            (ClientAuth::VerifyIfGiven | ClientAuth::RequireAndVerify, Some(pem)) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(pem, "client CA")? {
                    roots.add(certificate)?;
                }
                let builder = WebPkiClientVerifier::builder_with_provider(
                    Arc::new(roots),
                    Arc::clone(&provider),
                );
                let builder = if mandatory { builder } else { builder.allow_unauthenticated() };
                Some(builder.build()?)
            }
            _ => None,
        };
    let sans = settings.client_allowed_sans.clone();
    Ok(Some(Arc::new(ClientCheck { signed, mandatory, sans, provider })))
}

/// What is asked of a client's certificate.
#[derive(Debug)]
struct ClientCheck {
    /// It must be signed by the CA; absent: nobody looks who signed it.
    signed: Option<Arc<dyn ClientCertVerifier>>,
    mandatory: bool,
    /// One of these must be a name in it; empty: any.
    sans: Vec<String>,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for ClientCheck {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.signed.as_ref().map_or(&[], |signed| signed.root_hint_subjects())
    }

    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(signed) = &self.signed {
            signed.verify_client_cert(end_entity, intermediates, now)?;
        }
        let names = super::san::names(end_entity).unwrap_or_default();
        if self.sans.is_empty() || names.iter().any(|name| self.sans.contains(name)) {
            return Ok(ClientCertVerified::assertion());
        }
        Err(Error::General("no name in the client's certificate is allowed".to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
