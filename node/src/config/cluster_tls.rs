//! The file of `--cluster.tls-config`: certificates by which the nodes of a cluster know each other.

use std::path::Path;

use tocsin_cluster::Certificates;
use tocsin_service::mistake::Mistakes;
use tocsin_service::yaml::{self, Section};

use super::load::{File, file, reason};
use super::source::rebase;

/// Reads the file and those that it names; relative paths are relative to it.
/// # Errors
/// All mistakes in it, or why a file could not be read.
pub fn cluster_tls(path: &Path) -> Result<Certificates, Mistakes> {
    let File { text, name, directory } = file(path)?;
    let document = yaml::parse(&text, &name)?;
    Ok(document.read(|root| parts(root, &directory))?.value)
}

fn parts(root: &Section<'_>, directory: &Path) -> Certificates {
    let mut certificates = Certificates::default();
    match root.section("tls_server_config") {
        None => root.mistake("missing 'tls_server_config' entry in the TLS configuration"),
        Some(server) => {
            certificates.server_cert = pem(&server, "cert", "cert_file", directory);
            certificates.server_key = pem(&server, "key", "key_file", directory);
            certificates.server_client_ca = pem(&server, "client_ca", "client_ca_file", directory);
            needed(&server, &certificates.server_cert, "cert", "cert_file");
            needed(&server, &certificates.server_key, "key", "key_file");
            certificates.client_allowed_sans = server.texts("client_allowed_sans");
            server_words(&server);
        }
    }
    match root.section("tls_client_config") {
        None => root.mistake("missing 'tls_client_config' entry in the TLS configuration"),
        Some(client) => {
            certificates.client_ca = pem(&client, "ca", "ca_file", directory);
            certificates.client_cert = pem(&client, "cert", "cert_file", directory);
            certificates.client_key = pem(&client, "key", "key_file", directory);
            certificates.client_server_name = client.text_or("server_name", "");
            certificates.client_skip_verify = client.bool_or("insecure_skip_verify", false);
            versions(&client);
            if certificates.client_cert.is_empty() != certificates.client_key.is_empty() {
                client.mistake("a certificate and its key must be given together");
            }
        }
    }
    certificates
}

/// The text of the key, or of the file that its twin names.
fn pem(section: &Section<'_>, key: &'static str, file_key: &'static str, home: &Path) -> String {
    let inline = section.text_or(key, "");
    let Some(field) = section.given(file_key) else { return inline };
    let name = field.text().unwrap_or_default();
    if name.is_empty() {
        return inline;
    }
    if !inline.is_empty() {
        field.mistake(format!("at most one of {key} & {file_key} must be configured"));
        return inline;
    }
    let path = rebase(home, &name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| {
        field.mistake(format!("open {}: {}", path.display(), reason(&error)));
        "unreadable".to_owned()
    })
}

fn needed(section: &Section<'_>, text: &str, key: &'static str, file_key: &'static str) {
    if text.is_empty() {
        section.mistake(format!("missing one of {key} or {file_key}"));
    }
}

/// What is checked and then decided by us: nodes always show certificates, by TLS 1.2 or later.
fn server_words(section: &Section<'_>) {
    const KINDS: [&str; 6] = [
        "NoClientCert",
        "RequestClientCert",
        "RequireAnyClientCert",
        "RequireClientCert",
        "VerifyClientCertIfGiven",
        "RequireAndVerifyClientCert",
    ];
    if let Some(field) = section.given("client_auth_type")
        && let Some(kind) = field.text()
        && !KINDS.contains(&kind.as_str())
    {
        field.mistake_near(format!("invalid ClientAuth: {kind}"), &kind, KINDS);
    }
    section.texts("cipher_suites");
    section.texts("curve_preferences");
    section.bool_or("prefer_server_cipher_suites", true);
    versions(section);
}

fn versions(section: &Section<'_>) {
    for key in ["min_version", "max_version"] {
        if let Some(field) = section.given(key)
            && let Some(version) = field.text()
            && !matches!(version.as_str(), "TLS10" | "TLS11" | "TLS12" | "TLS13")
        {
            field.mistake(format!("unknown TLS version: {version}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, words: &[&str]) {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("c.pem"), "PEM").unwrap();
        let path = home.path().join("tls.yml");
        std::fs::write(&path, text).unwrap();
        match cluster_tls(&path) {
            Ok(certificates) => {
                assert!(words.is_empty(), "{words:?}");
                assert_eq!(certificates.server_cert, "PEM");
            }
            Err(mistakes) => {
                let text = mistakes.to_string();
                assert!(words.iter().all(|word| text.contains(word)), "{text}");
                assert_eq!(mistakes.len(), words.len(), "{text}");
            }
        }
    }

    #[test]
    fn both_sides_are_read() {
        check(
            "tls_server_config: {cert_file: c.pem, key: k}\ntls_client_config: {ca_file: c.pem, insecure_skip_verify: true}",
            &[],
        );
        check("{}", &["missing 'tls_server_config'", "missing 'tls_client_config'"]);
        check(
            "tls_server_config: {cert_file: nope.pem, client_auth_type: Maybe}\ntls_client_config: {cert: c, nonsense: 1}",
            &[
                "no such file",
                "missing one of key or key_file",
                "invalid ClientAuth",
                "given together",
                "unknown key",
            ],
        );
    }
}
