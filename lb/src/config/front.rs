//! Frontends of the YAML file: addresses, TLS, users, what is done to requests.

use std::path::PathBuf;
use std::time::Duration;

use tocsin_service::secret::Secret;
use tocsin_service::yaml::{Field, Section};

use super::read::{name, number, path, size, timeouts, word};
use super::{
    BadCidr, BasicAuth, BindOptions, Cidr, ClientVerify, ForwardFor, FrontendOptions, Limits,
    Timeouts, TlsBind,
};

/// One frontend.
pub(super) fn frontend(field: &Field<'_>, inherited: Timeouts) -> Option<FrontendOptions> {
    let section = field.section()?;
    let default = FrontendOptions::named(&name(&section, "frontend"));
    let proxy_from = blocks(&section, "proxy_from");
    let bind = binds(&section, default.bind);
    if proxy_from.is_empty() && section.list("bind").iter().any(asks_for_proxy) {
        section.mistake("accept_proxy needs proxy_from: whose PROXY header is believed");
    }
    let via = section.text_or("via", "");
    if !via.bytes().all(is_token) {
        section.mistake("via is a name of letters, digits and -_.");
    }
    Some(FrontendOptions {
        bind,
        tls: section.section("tls").and_then(|s| tls_bind(&s)),
        maxconn: number(&section, "maxconn", default.maxconn),
        forward_for: forward_for(&section.section_or_empty("forward_for"), default.forward_for),
        forwarded_proto: section.bool_or("forwarded_proto", false),
        via,
        basic_auth: section.section("basic_auth").and_then(|s| basic_auth(&s, &default.name)),
        dont_log_null: section.bool_or("dont_log_null", true),
        limits: limits(&section.section_or_empty("limits")),
        timeouts: timeouts(&section.section_or_empty("timeouts"), inherited),
        allow: blocks(&section, "allow"),
        proxy_from,
        default_backend: section.text_or("default_backend", ""),
        shutdown_delay: section.duration_or("shutdown_delay", Duration::ZERO),
        name: default.name,
    })
}

fn asks_for_proxy(field: &Field<'_>) -> bool {
    if field.is_scalar() {
        return false;
    }
    let section = field.section_or_empty();
    section.ignore_unknown();
    section.has("accept_proxy") && section.bool_or("accept_proxy", false)
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)
}

fn forward_for(section: &Section<'_>, default: ForwardFor) -> ForwardFor {
    let header = section.text_or("header", &default.header);
    if header.is_empty() || !header.bytes().all(is_token) {
        section.mistake(format!("{header:?} is no name of a header"));
    }
    ForwardFor {
        enabled: section.bool_or("enabled", true),
        header,
        if_none: section.bool_or("if_none", false),
        except: blocks(section, "except"),
    }
}

fn limits(section: &Section<'_>) -> Limits {
    let most = Limits::default();
    let bytes = |key, default: usize| {
        usize::try_from(size(section, key, default as u64)).unwrap_or(default)
    };
    Limits {
        header_bytes: bytes("header_bytes", most.header_bytes),
        headers: number(section, "headers", most.headers),
        uri_bytes: bytes("uri_bytes", most.uri_bytes),
        body_bytes: size(section, "body_bytes", most.body_bytes),
        requests_per_connection: number(section, "requests_per_connection", 0),
    }
}

fn blocks(section: &Section<'_>, key: &'static str) -> Vec<Cidr> {
    let block = |field: &Field<'_>| match field.text()?.parse() {
        Ok(block) => Some(block),
        Err(error @ BadCidr) => {
            field.mistake(error.to_string());
            None
        }
    };
    section.list(key).iter().filter_map(block).collect()
}

/// The addresses of a listener: texts, or mappings with `address`.
pub(super) fn binds(section: &Section<'_>, default: Vec<BindOptions>) -> Vec<BindOptions> {
    if !section.has("bind") {
        return default;
    }
    section.list("bind").iter().filter_map(bind).collect()
}

fn bind(field: &Field<'_>) -> Option<BindOptions> {
    if field.is_scalar() {
        return address(field);
    }
    let section = field.section()?;
    let tls = section.section("tls").and_then(|s| tls_bind(&s));
    let accept_proxy = section.bool_or("accept_proxy", true);
    let http2 = section.bool_or("http2", true);
    let v6only = section.bool_or("v6only", false);
    let Some(given) = section.given("address") else {
        section.mistake("a bind needs an address");
        return None;
    };
    Some(BindOptions { tls, accept_proxy, http2, v6only, ..address(&given)? })
}

fn address(field: &Field<'_>) -> Option<BindOptions> {
    let address = field.text()?;
    let good = address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if !good {
        field.mistake(format!("{address:?} is not an address such as *:9093"));
    }
    Some(BindOptions::new(&address))
}

/// Users of a section with `users_file`, `users` or both; nothing without either.
pub(super) fn basic_auth(section: &Section<'_>, realm: &str) -> Option<BasicAuth> {
    let users_file = path(section, "users_file");
    let users: Vec<_> = match section.given("users") {
        Some(field) => field.entries().into_iter().filter_map(user).collect(),
        None => Vec::new(),
    };
    let realm = section.text_or("realm", realm);
    if !realm.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'"' && b != b'\\') {
        section.mistake("realm has characters that cannot be told to a client");
    }
    (users_file.is_some() || !users.is_empty()).then_some(BasicAuth { users_file, users, realm })
}

fn user((name, hash): (&str, Field<'_>)) -> Option<(String, Secret)> {
    let secret = hash.secret()?;
    if !tocsin_service::web::is_hash(&secret) {
        hash.mistake("not a bcrypt hash");
        return None;
    }
    Some((name.to_owned(), secret))
}

fn tls_bind(section: &Section<'_>) -> Option<TlsBind> {
    let verifies = [
        ("none", ClientVerify::None),
        ("optional", ClientVerify::Optional),
        ("required", ClientVerify::Required),
    ];
    let verify = word(section, "verify", &verifies, ClientVerify::None);
    let client_ca = path(section, "client_ca");
    if verify != ClientVerify::None && client_ca.is_none() {
        section.mistake("verify needs client_ca");
    }
    let client_header = section.given("client_cert_header").and_then(|f| f.text());
    if client_header.as_ref().is_some_and(|h| h.is_empty() || !h.bytes().all(is_token)) {
        section.mistake("client_cert_header is the name of a header");
    }
    if client_header.is_some() && verify == ClientVerify::None {
        section.mistake("client_cert_header needs verify: optional or required");
    }
    let only_13 = word(section, "min_version", &[("TLS12", false), ("TLS13", true)], false);
    let more = section.list("certificates").iter().filter_map(|f| pair(&f.section()?)).collect();
    let (certificate, key) = pair(section)?;
    Some(TlsBind { certificate, key, more, client_ca, verify, only_13, client_header })
}

/// A certificate and its key.
fn pair(section: &Section<'_>) -> Option<(PathBuf, PathBuf)> {
    let both = path(section, "cert_file").zip(path(section, "key_file"));
    if both.is_none() {
        section.mistake("TLS needs cert_file and key_file");
    }
    both
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    const SERVERS: &str = "backends: [{name: b, servers: ['a:1']}]\n";
    const HASH: &str = "$2b$10$abcdefghijklmnopqrstuu5Tz0eyRXa8p1J0nGv7kF8tqQkMeSmIa";

    fn read(front: &str) -> Result<FrontendOptions, String> {
        let text = format!("frontends:\n  - name: f\n{front}{SERVERS}");
        parse(&text, "lb.yml").map(|c| c.frontends[0].clone()).map_err(|e| e.to_string())
    }

    #[track_caller]
    fn refused(front: &str, why: &str) {
        let error = read(front).expect_err(front);
        assert!(error.contains(why), "{why:?} not in {error}");
    }

    #[test]
    fn an_address_may_have_settings_of_its_own() {
        let front = read(
            "    bind:\n      - '*:80'\n      - {address: '*:443', http2: false, v6only: true, \
             tls: {cert_file: /c, key_file: /k, min_version: TLS13, certificates: [{cert_file: /d, key_file: /l}]}}\n",
        )
        .unwrap();
        assert_eq!(front.bind[0], BindOptions::new("*:80"));
        let tls = front.bind[1].tls.as_ref().unwrap();
        assert!(tls.only_13 && !front.bind[1].http2 && front.bind[1].v6only);
        assert_eq!(tls.more, [("/d".into(), "/l".into())]);
    }

    #[test]
    fn users_are_kept_secret() {
        let front = read(&format!("    basic_auth: {{users: {{ann: {HASH}}}}}\n")).unwrap();
        let auth = front.basic_auth.unwrap();
        assert_eq!((auth.users.len(), auth.realm.as_str()), (1, "f"));
        assert!(!format!("{auth:?}").contains("$2b"));
        refused("    basic_auth: {users: {ann: plain}}\n", "not a bcrypt hash");
    }

    #[test]
    fn what_does_not_fit_is_told() {
        refused("    bind: [{address: '*:1', accept_proxy: true}]\n", "needs proxy_from");
        refused("    bind: [{tls: {}}]\n", "needs an address");
        refused("    tls: {cert_file: /c}\n", "needs cert_file and key_file");
        refused("    tls: {cert_file: /c, key_file: /k, verify: required}\n", "needs client_ca");
        let header = "    tls: {cert_file: /c, key_file: /k, client_cert_header: X-CN}\n";
        refused(header, "needs verify");
        refused("    via: 'a b'\n", "via is a name");
        refused("    forward_for: {except: [ten]}\n", "not an address");
        refused("    forward_for: {header: 'a:'}\n", "no name of a header");
    }
}
