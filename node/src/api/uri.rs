//! What upstream takes for a URI: Go's `url.ParseRequestURI`.

/// Whether the text is an absolute URL or a path that starts with `/`.
pub(super) fn is_request_uri(text: &str) -> bool {
    if text.is_empty() || text.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return false;
    }
    if text == "*" {
        return true;
    }
    let Some((scheme, rest)) = split_scheme(text) else { return false };
    let rest = rest.split_once('?').map_or(rest, |(path, _)| path);
    if !rest.starts_with('/') {
        // An opaque address, such as mailto:a@b.
        return scheme;
    }
    match rest.strip_prefix("//").filter(|_| scheme) {
        Some(authority_and_path) => {
            let end = authority_and_path.find('/').unwrap_or(authority_and_path.len());
            let (authority, path) = authority_and_path.split_at(end);
            is_authority(authority) && escapes_are_right(path)
        }
        None => escapes_are_right(rest),
    }
}

/// Whether there is a scheme, and what follows it; nothing when the colon comes first.
fn split_scheme(text: &str) -> Option<(bool, &str)> {
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' => return (at > 0).then(|| (true, &text[at + 1..])),
            _ => break,
        }
    }
    Some((false, text))
}

fn is_authority(authority: &str) -> bool {
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (user, host),
        None => ("", authority),
    };
    let user_allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte);
    user.bytes().all(user_allowed) && escapes_are_right(user) && is_host(host)
}

fn is_host(host: &str) -> bool {
    let port = match host.strip_prefix('[') {
        Some(rest) => match rest.rsplit_once(']') {
            Some((_, port)) => port,
            None => return false,
        },
        None => host.rfind(':').map_or("", |colon| &host[colon..]),
    };
    let port_is_right = match port.strip_prefix(':') {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_digit()),
        None => port.is_empty(),
    };
    let allowed = |byte: u8| {
        byte >= 0x80 || byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:[]<>\"%".contains(&byte)
    };
    port_is_right && host.bytes().all(allowed) && escapes_are_right(host)
}

fn escapes_are_right(text: &str) -> bool {
    super::query::unescape(text, false).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_urls_and_absolute_paths_pass() {
        for text in [
            "http://p/g",
            "http://prometheus.example:9090/graph?g0.expr=up%3D%3D0&g0.tab=1",
            "/graph",
            "mailto:a@b",
            "http://user:pass@host:80/x",
            "http://[::1]:9090/",
            "HTTP://x",
            "*",
            "javascript:alert(1)",
        ] {
            assert!(is_request_uri(text), "{text}");
        }
    }

    #[test]
    fn everything_else_does_not() {
        for text in [
            "",
            "rel/path",
            "graph",
            ":x",
            "http://host:port/",
            "http://a b/",
            "http://x/%zz",
            "1http://x",
            "http://x/\n",
            "http://[::1/",
        ] {
            assert!(!is_request_uri(text), "{text}");
        }
    }
}
