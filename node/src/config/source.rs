//! Values that stand in the file or in another file: secrets, addresses, host and port.

use std::fmt;
use std::path::{Path, PathBuf};

use tocsin_service::secret::Secret;
use url::Url;

/// A value that is given inline or by the name of a file that holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// Not given.
    #[default]
    None,
    /// The value itself.
    Inline(Secret),
    /// The file that holds it; a relative path is already resolved where upstream resolves it.
    File(PathBuf),
}

impl Source {
    /// Whether it is not given.
    #[must_use]
    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Whether it is the placeholder of a shown configuration.
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        matches!(self, Self::Inline(secret) if secret.is_hidden())
    }
}

/// An address of http or https with the text as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The address.
    pub url: Url,
    /// As written.
    pub text: String,
}

impl Link {
    /// Reads an address of http or https with a host.
    /// # Errors
    /// What is wrong with it; the text itself is not in it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        check_link(text)?;
        let url = Url::parse(text).map_err(|_| "is not a URL")?;
        Ok(Self { url, text: text.to_owned() })
    }

    /// The same with a slash at the end of its path.
    #[must_use]
    pub fn with_slash(mut self) -> Self {
        if !self.url.path().ends_with('/') {
            let path = format!("{}/", self.url.path());
            self.url.set_path(&path);
        }
        let end = self.text.find(['?', '#']).unwrap_or(self.text.len());
        if !self.text[..end].ends_with('/') {
            self.text.insert(end, '/');
        }
        self
    }

    /// For a place whose mistake is already noted, so that reading can go on.
    pub(crate) fn nowhere() -> Self {
        let url = Url::parse("http://invalid/").expect("a fixed URL");
        Self { url, text: String::new() }
    }
}

/// Go's rules for an address: a scheme of http or https, a host, no control characters or blanks in the host.
pub(crate) fn check_link(text: &str) -> Result<(), &'static str> {
    const SCHEME: &str = "must begin with http:// or https://";
    if text.chars().any(char::is_control) {
        return Err("must not have control characters");
    }
    let (scheme, rest) = text.split_once(':').ok_or(SCHEME)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(SCHEME);
    }
    let rest = rest.strip_prefix("//").ok_or("must have a host")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
    let host = authority.rsplit('@').next().unwrap_or("");
    if host.is_empty() {
        return Err("must have a host");
    }
    if host.contains([' ', '"', '<', '>']) {
        return Err("must not have blanks, quotes or angle brackets in its host");
    }
    if bad_escape(rest) {
        return Err("has a % that is followed by no two hexadecimal digits");
    }
    Ok(())
}

/// Whether a `%` is followed by anything but two hexadecimal digits; the query is not looked at.
pub(crate) fn bad_escape(text: &str) -> bool {
    let path = text.split(['?', '#']).next().unwrap_or("");
    let is_hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let bytes = path.as_bytes();
    bytes.iter().enumerate().any(|(at, byte)| {
        *byte == b'%' && !(is_hex(bytes.get(at + 1)) && is_hex(bytes.get(at + 2)))
    })
}

/// A host and a port, both as text; empty when not given. The port may be the name of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostPort {
    /// The host without brackets.
    pub host: String,
    /// The port.
    pub port: String,
}

impl HostPort {
    /// Whether it is not given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.host.is_empty() && self.port.is_empty()
    }

    /// Reads `host:port` or `[address]:port`; the empty text is none.
    /// # Errors
    /// What is wrong with it.
    /// Source: Go, `net.SplitHostPort`.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let (host, port) = text.rsplit_once(':').ok_or("has no port")?;
        let host = if let Some(inner) = host.strip_prefix('[') {
            inner.strip_suffix(']').ok_or("has a bracket that is not closed, or no port")?
        } else if host.contains(':') {
            return Err("has too many colons; an IPv6 address stands in brackets");
        } else {
            host
        };
        if host.contains(['[', ']']) || port.contains(['[', ']']) {
            return Err("has a bracket in a wrong place");
        }
        if port.is_empty() {
            return Err("has an empty port");
        }
        Ok(Self { host: host.to_owned(), port: port.to_owned() })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            Ok(())
        } else if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A relative path below the directory, any other as it is.
#[must_use]
pub(crate) fn rebase(directory: &Path, path: &str) -> PathBuf {
    if path.is_empty() || directory.as_os_str().is_empty() {
        path.into()
    } else {
        directory.join(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_host(text: &str, expected: Option<(&str, &str, &str)>) {
        let found = HostPort::parse(text).ok();
        let shown = found.map(|found| (found.host.clone(), found.port.clone(), found.to_string()));
        let expected = expected
            .map(|(host, port, shown)| (host.to_owned(), port.to_owned(), shown.to_owned()));
        assert_eq!(shown, expected, "{text}");
    }

    /// spec/config.md 3.4
    #[test]
    fn host_and_port() {
        check_host("", Some(("", "", "")));
        check_host("localhost:25", Some(("localhost", "25", "localhost:25")));
        check_host(":25", Some(("", "25", ":25")));
        check_host("mail:smtp", Some(("mail", "smtp", "mail:smtp")));
        check_host("[::1]:25", Some(("::1", "25", "[::1]:25")));
        check_host("localhost", None);
        check_host("localhost:", None);
        check_host("::1:25", None);
        check_host("[::1]", None);
    }

    #[track_caller]
    fn check_link(text: &str, valid: bool) {
        assert_eq!(Link::parse(text).is_ok(), valid, "{text}");
    }

    /// spec/config.md 3.3
    #[test]
    fn addresses() {
        check_link("http://example.com", true);
        check_link("https://user:pw@example.com:8080/a?b=c", true);
        check_link("HTTP://example.com/", true);
        check_link("http://[::1]:9093/", true);
        check_link("http://a_b.example/%41", true);
        check_link("", false);
        check_link("example.com", false);
        check_link("ftp://example.com", false);
        check_link("http://", false);
        check_link("http:///path", false);
        check_link("http://exa mple.com/", false);
        check_link("http://example.com/%zz", false);
    }

    #[test]
    fn a_slash_is_added_to_the_path_only() {
        let link = |text: &str| Link::parse(text).unwrap().with_slash();
        assert_eq!(link("http://a/b?c=d").text, "http://a/b/?c=d");
        assert_eq!(link("http://a/b?c=d").url.as_str(), "http://a/b/?c=d");
        assert_eq!(link("http://a").text, "http://a/");
        assert_eq!(link("http://a/").text, "http://a/");
    }
}
