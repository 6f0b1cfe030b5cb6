//! `web.yml`: TLS, HTTP headers, users and a rate limit, in the format of Prometheus' exporter
//! toolkit. Reading and checking; what it means for a connection is in `gate.rs` and `tls.rs`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use http::{HeaderName, HeaderValue};

use crate::{
    mistake::{Mistake, Mistakes},
    secret::Secret,
    yaml::{self, Field, Section},
};

/// What `web.yml` says, checked.
#[derive(Debug, Clone, Default)]
pub struct WebSettings {
    /// Absent: plain HTTP.
    pub tls: Option<TlsSettings>,
    /// HTTP/2 over TLS.
    pub http2: bool,
    /// Added to every answer.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Names and bcrypt hashes; empty: everybody.
    pub users: Vec<(String, Secret)>,
    /// Those of the users who may look and not change anything.
    pub read_only: BTreeSet<String>,
    /// Absent: no limit.
    pub rate_limit: Option<RateLimit>,
    /// Files that this depends on, `web.yml` first.
    pub files: Vec<PathBuf>,
}

/// How often requests may come, all clients together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Time in which one request more is allowed.
    pub interval: Duration,
    /// Requests allowed at once.
    pub burst: u32,
}

/// `tls_server_config`, with files already read.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    /// PEM.
    pub certificate: Vec<u8>,
    /// PEM.
    pub key: Secret,
    /// What clients must show.
    pub client_auth: ClientAuth,
    /// PEM of those who sign clients' certificates.
    pub client_ca: Option<Vec<u8>>,
    /// One of these must be a name in the client's certificate; empty: any.
    pub client_allowed_sans: Vec<String>,
    /// TLS 1.2 is allowed.
    pub allows_12: bool,
    /// TLS 1.3 is allowed.
    pub allows_13: bool,
    /// Go's names of suites for TLS 1.2, in order; empty: the library's.
    pub cipher_suites: Vec<String>,
    /// Go's names of key exchange groups, in order; empty: the library's.
    pub curves: Vec<String>,
}

/// `client_auth_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// Not asked for.
    None,
    /// Asked for, not looked at.
    Request,
    /// Must be there, not looked at.
    RequireAny,
    /// If there, must be signed by the CA.
    VerifyIfGiven,
    /// Must be there and signed by the CA.
    RequireAndVerify,
}

/// Reads and checks a file, and the files that it names.
///
/// # Errors
/// Every mistake at once.
pub(super) fn load(path: &Path) -> Result<WebSettings, Mistakes> {
    let shown = path.display().to_string();
    let failed = |error| Mistakes::from(Mistake::of_file(shown.as_str(), format!("{error}")));
    let text = fs::read_to_string(path).map_err(failed)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let document = yaml::parse(&text, &shown)?;
    let reading = document.read(|section| read(section, folder))?;
    for warning in &reading.warnings {
        tracing::warn!(file = %shown, "{}", warning.headline());
    }
    let mut settings = reading.value;
    settings.files.insert(0, path.to_owned());
    Ok(settings)
}

fn read(root: &Section<'_>, folder: &Path) -> WebSettings {
    let mut files = Vec::new();
    let tls =
        root.section("tls_server_config").and_then(|section| tls(&section, folder, &mut files));
    let (mut http2, mut headers) = (true, Vec::new());
    if let Some(server) = root.section("http_server_config") {
        http2 = server.bool_or("http2", true);
        if let Some(field) = server.given("headers") {
            headers = field.entries().into_iter().filter_map(header).collect();
        }
    }
    let entries = root.given("basic_auth_users").map(|field| field.entries()).unwrap_or_default();
    let names: Vec<&str> = entries.iter().map(|(name, _)| *name).collect();
    let read_only = read_only(root, &names);
    let users = entries.into_iter().filter_map(user).collect();
    let rate_limit = root.section("rate_limit").and_then(|section| rate_limit(&section));
    WebSettings { tls, http2, headers, users, read_only, rate_limit, files }
}

fn header((name, value): (&str, Field<'_>)) -> Option<(HeaderName, HeaderValue)> {
    let text = value.text()?;
    let allowed: Option<&[&str]> = match name {
        "X-Frame-Options" => Some(&["deny", "sameorigin"]),
        "X-Content-Type-Options" => Some(&["nosniff"]),
        "Content-Security-Policy" | "X-XSS-Protection" | "Strict-Transport-Security" => None,
        other => {
            value.mistake(format!("HTTP header {other:?} can not be configured"));
            return None;
        }
    };
    let fits = |allowed: &[&str]| allowed.iter().any(|one| text.eq_ignore_ascii_case(one));
    if allowed.is_some_and(|allowed| !fits(allowed)) {
        value.mistake(format!("invalid value for {name}, expected one of {:?}", allowed?));
        return None;
    }
    match (name.parse(), HeaderValue::from_str(&text)) {
        (Ok(name), Ok(value)) => Some((name, value)),
        _ => {
            value.mistake("not a value for an HTTP header");
            None
        }
    }
}

fn user((name, hash): (&str, Field<'_>)) -> Option<(String, Secret)> {
    let secret = hash.secret()?;
    if !super::is_hash(&secret) {
        hash.mistake("not a bcrypt hash");
        return None;
    }
    Some((name.to_owned(), secret))
}

/// `read_only_users`, a key that upstream's format does not have: names out of `basic_auth_users`.
fn read_only(root: &Section<'_>, users: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for field in root.list("read_only_users") {
        let Some(name) = field.text() else { continue };
        if users.contains(&name.as_str()) {
            found.insert(name);
        } else {
            let message = format!("user {name:?} is not in basic_auth_users");
            field.mistake_near(message, &name, users.iter().copied());
        }
    }
    if !found.is_empty() && users.iter().all(|user| found.contains(*user)) {
        root.warn("every user may only read: alerts and silences are refused");
    }
    found
}

fn rate_limit(section: &Section<'_>) -> Option<RateLimit> {
    let interval = section.given("interval").and_then(|field| field.strict_go_duration());
    let burst = section.given("burst").and_then(|field| field.unsigned()).unwrap_or(0);
    let interval: Duration = interval?.try_into().ok()?;
    let burst = u32::try_from(burst).unwrap_or(u32::MAX);
    (!interval.is_zero()).then_some(RateLimit { interval, burst })
}

/// The text of a key or of the file that another key names.
fn material(
    section: &Section<'_>,
    inline: &'static str,
    file: &'static str,
    folder: &Path,
    files: &mut Vec<PathBuf>,
) -> Option<Vec<u8>> {
    let text = section.text_or(inline, "");
    let path = section.given(file);
    let path_text = path.as_ref().and_then(Field::text).filter(|text| !text.is_empty());
    match (text.is_empty(), path.zip(path_text)) {
        (false, Some((field, _))) => {
            field.mistake(format!("at most one of {inline} and {file} must be configured"));
            None
        }
        (false, None) => Some(text.into_bytes()),
        (true, Some((field, path))) => {
            let path = folder.join(path);
            let read = fs::read(&path);
            files.push(path.clone());
            read.inspect_err(|error| field.mistake(format!("open {}: {error}", path.display())))
                .ok()
        }
        (true, None) => None,
    }
}

fn tls(section: &Section<'_>, folder: &Path, files: &mut Vec<PathBuf>) -> Option<TlsSettings> {
    let certificate = material(section, "cert", "cert_file", folder, files);
    let key = material(section, "key", "key_file", folder, files);
    let client_ca = material(section, "client_ca", "client_ca_file", folder, files);
    let client_auth = client_auth(section);
    let client_allowed_sans = section.texts("client_allowed_sans");
    let versions = versions(section);
    let cipher_suites = section.texts("cipher_suites");
    for field in section.list("cipher_suites") {
        let name = field.text().unwrap_or_default();
        if super::tls::suite(&name).is_none() {
            field.mistake(format!("unknown cipher: {name}"));
        }
    }
    let curves = section.texts("curve_preferences");
    for field in section.list("curve_preferences") {
        let name = field.text().unwrap_or_default();
        match (super::tls::group(&name), name.as_str()) {
            (Some(_), _) => {}
            (None, "CurveP521") => field.warn("CurveP521 is not offered"),
            (None, _) => field.mistake(format!("unknown curve: {name}")),
        }
    }
    // The server always prefers its own order.
    let _ = section.bool_or("prefer_server_cipher_suites", true);
    if section.is_empty() {
        return None;
    }
    let (allows_12, allows_13) = versions;
    let (Some(certificate), Some(key)) = (certificate, key) else {
        if !has_any(section, ["cert", "cert_file"]) {
            section.mistake("missing one of cert or cert_file");
        }
        if !has_any(section, ["key", "key_file"]) {
            section.mistake("missing one of key or key_file");
        }
        return None;
    };
    if client_auth == ClientAuth::None && client_ca.is_some() {
        section.mistake("Client CA's have been configured without a Client Auth Policy");
    }
    let verifies = matches!(client_auth, ClientAuth::VerifyIfGiven | ClientAuth::RequireAndVerify);
    if verifies && client_ca.is_none() {
        section.mistake("client certificates are to be verified and there is no client_ca_file");
    }
    let requires = matches!(client_auth, ClientAuth::RequireAny | ClientAuth::RequireAndVerify);
    if !client_allowed_sans.is_empty() && !requires {
        section.mistake("client_allowed_sans needs client certificates to be required");
    }
    let key = Secret::new(String::from_utf8_lossy(&key).into_owned());
    Some(TlsSettings {
        certificate,
        key,
        client_auth,
        client_ca,
        client_allowed_sans,
        allows_12,
        allows_13,
        cipher_suites,
        curves,
    })
}

fn has_any(section: &Section<'_>, keys: [&'static str; 2]) -> bool {
    keys.into_iter().any(|key| !section.text_or(key, "").is_empty())
}

fn client_auth(section: &Section<'_>) -> ClientAuth {
    let Some(field) = section.given("client_auth_type") else { return ClientAuth::None };
    match field.text().unwrap_or_default().as_str() {
        "" | "NoClientCert" => ClientAuth::None,
        "RequestClientCert" => ClientAuth::Request,
        "RequireAnyClientCert" | "RequireClientCert" => ClientAuth::RequireAny,
        "VerifyClientCertIfGiven" => ClientAuth::VerifyIfGiven,
        "RequireAndVerifyClientCert" => ClientAuth::RequireAndVerify,
        other => {
            field.mistake(format!("invalid ClientAuth: {other}"));
            ClientAuth::None
        }
    }
}

/// Whether TLS 1.2 and 1.3 are allowed.
fn versions(section: &Section<'_>) -> (bool, bool) {
    const NAMES: [&str; 4] = ["TLS10", "TLS11", "TLS12", "TLS13"];
    let place = |key: &'static str, default: usize| {
        let Some(field) = section.given(key) else { return default };
        let name = field.text().unwrap_or_default();
        let found = NAMES.iter().position(|known| *known == name);
        if found.is_none() {
            field.mistake(format!("unknown TLS version: {name}"));
        } else if matches!(found, Some(0 | 1)) {
            field.warn(format!("{name} is not offered; TLS 1.2 and 1.3 are"));
        }
        found.unwrap_or(default)
    };
    let (least, most) = (place("min_version", 2), place("max_version", 3));
    let allowed = (least <= 2 && 2 <= most, least <= 3 && 3 <= most);
    if allowed == (false, false) {
        section.mistake("no TLS version is left between min_version and max_version");
    }
    allowed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.yml");
        fs::write(&path, text).unwrap();
        let said = load(&path).map_or_else(|mistakes| mistakes.to_string(), |_| "fine".to_owned());
        assert!(said.contains(expected), "{said}\ndoes not contain\n{expected}");
    }

    #[test]
    fn mistakes_are_upstreams() {
        check("", "fine");
        check("rate_limit: {interval: 1s, burst: 5}\n", "fine");
        check("tls_server_config: {}\n", "fine");
        check("tls_server_config: {min_version: TLS12}\n", "missing one of cert or cert_file");
        check("tls_server_config: {cert: x}\n", "missing one of key or key_file");
        check(
            "tls_server_config: {client_auth_type: x, cert: x, key: y}\n",
            "invalid ClientAuth: x",
        );
        check("tls_server_config: {cert_file: nope.pem, key: y}\n", "nope.pem");
        check("http_server_config: {headers: {X-Other: a}}\n", "\"X-Other\" can not be configured");
        check("basic_auth_users: {ann: plain}\n", "not a bcrypt hash");
        check(
            "tls_server_config: {cert: x, key: y, max_version: TLS11}\n",
            "no TLS version is left",
        );
        check("tls_server_config: {cert: x, key: y, cipher_suites: [x]}\n", "unknown cipher: x");
        check("tls_server_confg: {}\n", "tls_server_config");
    }

    #[test]
    fn read_only_users_must_be_users() {
        let hash = bcrypt::hash("secret", 4).unwrap();
        let users = format!("basic_auth_users: {{ann: {hash}, eve: {hash}}}\n");
        check(&format!("{users}read_only_users: [eve]\n"), "fine");
        check(&format!("{users}read_only_users:\n"), "fine");
        check(&format!("{users}read_only_users: [ann, eve]\n"), "fine");
        let near = format!("{users}read_only_users:\n- eve\n- anne\n");
        check(&near, "web.yml:4:3: read_only_users[1]: user \"anne\" is not in basic_auth_users");
        check(&near, "did you mean \"ann\"?");
        check("read_only_users: [eve]\n", "user \"eve\" is not in basic_auth_users");
        check(
            &format!("{users}read_only_users: {{eve: true}}\n"),
            "read_only_users: must be a list",
        );
        check(&format!("{users}read_only_users: [[eve]]\n"), "read_only_users[0]: must be a text");
        check(&format!("{users}read_only_user: [eve]\n"), "did you mean \"read_only_users\"?");
    }

    #[test]
    fn users_headers_and_limit_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.yml");
        let hash = bcrypt::hash("secret", 4).unwrap();
        let text = format!(
            "basic_auth_users:\n  ann: {hash}\nhttp_server_config:\n  headers:\n    \
             X-Frame-Options: deny\nrate_limit:\n  interval: 10ms\n  burst: 3\n"
        );
        fs::write(&path, text).unwrap();
        let settings = load(&path).unwrap();
        assert_eq!(settings.users[0].0, "ann");
        assert_eq!(settings.headers[0].0, "x-frame-options");
        let limit = RateLimit { interval: Duration::from_millis(10), burst: 3 };
        assert_eq!(settings.rate_limit, Some(limit));
        assert!(settings.tls.is_none());
        assert!(!format!("{settings:?}").contains(&hash));
    }
}
