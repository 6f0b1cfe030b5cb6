//! `--cluster.tls-config`: upstream's file format, with the files it names already read.

use std::fs;
use std::path::Path;

use tocsin_service::mistake::{Mistake, Mistakes};
use tocsin_service::yaml::{self, Section};

/// The parts of a `--cluster.tls-config` file, as PEM texts.
#[derive(Clone, Default)]
pub struct Certificates {
    /// Chain that this node shows to those who dial it.
    pub server_cert: String,
    /// Its key.
    pub server_key: String,
    /// Authorities of the certificates that dialling nodes must show.
    pub server_client_ca: String,
    /// One of these names must be in their certificates; empty: any.
    pub client_allowed_sans: Vec<String>,
    /// Chain that this node shows when it dials.
    pub client_cert: String,
    /// Its key.
    pub client_key: String,
    /// Authorities of the certificates of nodes that are dialled; the system's when empty.
    pub client_ca: String,
    /// Name to expect in their certificates; the dialled address when empty.
    pub client_server_name: String,
    /// Accept any certificate from nodes that are dialled.
    pub client_skip_verify: bool,
}

impl Certificates {
    /// Reads the file and what it names; relative paths start at its directory. Both sides must show certificates, whatever `client_auth_type` says.
    /// # Errors
    /// All mistakes of the file at once.
    pub fn load(path: &Path) -> Result<Self, Mistakes> {
        let file = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|error| {
            Mistakes::new(vec![Mistake::of_file(file.as_str(), format!("cannot be read: {error}"))])
        })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let document = yaml::parse(&text, &file)?;
        Ok(document.read(|root| read(root, folder))?.value)
    }
}

fn read(root: &Section<'_>, folder: &Path) -> Certificates {
    let mut all = Certificates::default();
    for part in ["tls_server_config", "tls_client_config"] {
        if !root.has(part) {
            root.mistake(format!("missing '{part}' entry in the TLS configuration"));
        }
    }
    if let Some(server) = root.section("tls_server_config") {
        all.server_cert = needed(&server, ["cert", "cert_file"], folder);
        all.server_key = needed(&server, ["key", "key_file"], folder);
        all.server_client_ca = needed(&server, ["client_ca", "client_ca_file"], folder);
        all.client_allowed_sans = server.texts("client_allowed_sans");
        // TLS 1.3 with its own suites, and certificates on both sides, are not a matter of choice.
        for key in ["client_auth_type", "min_version", "max_version"] {
            server.field(key);
        }
        for key in ["cipher_suites", "curve_preferences", "prefer_server_cipher_suites"] {
            server.field(key);
        }
    }
    if let Some(client) = root.section("tls_client_config") {
        all.client_cert = needed(&client, ["cert", "cert_file"], folder);
        all.client_key = needed(&client, ["key", "key_file"], folder);
        all.client_ca = given(&client, ["ca", "ca_file"], folder).unwrap_or_default();
        all.client_server_name = client.text_or("server_name", "");
        all.client_skip_verify = client.bool_or("insecure_skip_verify", false);
        for key in ["min_version", "max_version"] {
            client.field(key);
        }
    }
    all
}

fn needed(section: &Section<'_>, keys: [&'static str; 2], folder: &Path) -> String {
    given(section, keys, folder).unwrap_or_else(|| {
        section.mistake(format!("missing one of {} or {}", keys[0], keys[1]));
        String::new()
    })
}

/// The text under the first key, or of the file under the second.
fn given(section: &Section<'_>, keys: [&'static str; 2], folder: &Path) -> Option<String> {
    let (text, path) = (section.text_or(keys[0], ""), section.text_or(keys[1], ""));
    match (text.is_empty(), path.is_empty()) {
        (false, false) => {
            section.mistake(format!("only one of {} and {} may be given", keys[0], keys[1]));
            None
        }
        (false, true) => Some(text),
        (true, true) => None,
        (true, false) => Some(fs::read_to_string(folder.join(&path)).unwrap_or_else(|error| {
            section.mistake(format!("{}: cannot read {path}: {error}", keys[1]));
            String::new()
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_names_its_parts_and_their_files() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("ca.pem"), "the authority").unwrap();
        let path = dir.path().join("tls.yml");
        let text = "tls_server_config:\n  cert: c\n  key: k\n  client_ca_file: ca.pem\n  client_auth_type: NoClientCert\ntls_client_config:\n  cert: d\n  key: e\n  ca_file: ca.pem\n  server_name: node\n";
        fs::write(&path, text).unwrap();
        let read = Certificates::load(&path).unwrap();
        assert_eq!(
            (read.server_client_ca.as_str(), read.client_ca.as_str()),
            ("the authority", "the authority")
        );
        assert_eq!((read.client_cert.as_str(), read.client_server_name.as_str()), ("d", "node"));
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tls.yml");
        fs::write(&path, "tls_server_config:\n  cert: c\n  keys: k\n").unwrap();
        let mistakes = Certificates::load(&path).err().unwrap();
        let all = mistakes.iter().map(|mistake| mistake.message.as_str()).collect::<Vec<_>>();
        assert_eq!(all.len(), 4, "{all:?}");
        assert!(Certificates::load(&dir.path().join("absent")).is_err());
    }
}
