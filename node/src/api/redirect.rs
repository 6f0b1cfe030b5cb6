//! Paths that are not quite those of the table: cleaned, prefixed, with a slash too many or
//! letters of the wrong case. Where upstream redirects, so do we.

use http::{HeaderValue, Method, Response, StatusCode, header, request};
use tocsin_service::web::Body;

use super::{
    App, Place,
    error::{ApiError, plain_response},
    place,
};

/// The path below the prefix, with its slash in front.
///
/// # Errors
/// The answer, when the path is not clean or not below the prefix.
pub(super) fn below_prefix<'a>(
    prefix: &str,
    path: &'a str,
    head: &request::Parts,
) -> Result<&'a str, Box<Response<Body>>> {
    if !is_clean(path) && head.method != Method::CONNECT {
        return Err(Box::new(redirect(StatusCode::MOVED_PERMANENTLY, &clean(path), head)));
    }
    if prefix.is_empty() {
        return Ok(path);
    }
    if path == "/" && head.method == Method::GET {
        return Err(Box::new(redirect(StatusCode::FOUND, prefix, head)));
    }
    if path == prefix {
        return Err(Box::new(redirect(moved(&head.method), &format!("{prefix}/"), head)));
    }
    match path.strip_prefix(prefix) {
        Some(below) if below.starts_with('/') => Ok(below),
        _ => Err(Box::new(ApiError::not_found().response())),
    }
}

/// The answer for a path that is not in the table.
pub(super) fn unknown(
    app: &App,
    below: &str,
    parts: &[&str],
    head: &request::Parts,
) -> Response<Body> {
    let mut answer = match parts {
        ["api", "v1" | "v2"] if !below.ends_with('/') => {
            let path = format!("{}{below}/", app.prefix);
            return redirect(StatusCode::MOVED_PERMANENTLY, &path, head);
        }
        ["api", "v1", ..] if !app.engine.options().web.api_v1 => return super::v1::gone(),
        ["api", "v2", ..] => {
            let shown = below.strip_suffix('/').filter(|_| parts.len() > 2).unwrap_or(below);
            ApiError::framework(404, format!("path {}{shown} was not found", app.prefix)).response()
        }
        ["debug", "pprof", ..] => {
            plain_response(StatusCode::NOT_IMPLEMENTED, "this profile is not offered\n")
        }
        _ => {
            let lower: Vec<String> = parts.iter().map(|part| part.to_ascii_lowercase()).collect();
            let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
            match place(&lower).filter(|place| place.methods.contains(&head.method)) {
                Some(_) if lower.first() != Some(&"api") => {
                    let path = format!("{}/{}", app.prefix, lower.join("/"));
                    return redirect(moved(&head.method), &path, head);
                }
                _ => ApiError::not_found().response(),
            }
        }
    };
    if let ["api", "v2", ..] = parts {
        let headers = answer.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        super::origin::allow(app, head, headers);
    }
    answer
}

/// A redirect to the path as it is in the table, if it was written with a slash at its end.
pub(super) fn to_canonical(
    prefix: &str,
    below: &str,
    parts: &[&str],
    place: &Place,
    head: &request::Parts,
) -> Option<Response<Body>> {
    let has_slash = below.len() > 1 && below.ends_with('/');
    match parts {
        // API v2 takes both, and this one is written with it.
        ["api", "v2", ..] | ["debug", "pprof"] => None,
        _ if has_slash && place.methods.contains(&head.method) => {
            let path = format!("{prefix}/{}", parts.join("/"));
            Some(redirect(moved(&head.method), &path, head))
        }
        _ if has_slash => Some(ApiError::not_found().response()),
        _ => None,
    }
}

fn moved(method: &Method) -> StatusCode {
    if *method == Method::GET {
        StatusCode::MOVED_PERMANENTLY
    } else {
        StatusCode::PERMANENT_REDIRECT
    }
}

/// As Go's `http.Redirect`; the query goes along.
fn redirect(status: StatusCode, path: &str, head: &request::Parts) -> Response<Body> {
    let escaped = escape(path);
    let location = match head.uri.query() {
        Some(query) => format!("{escaped}?{query}"),
        None => escaped,
    };
    let reason = status.canonical_reason().unwrap_or("");
    let shown = location.replace('&', "&amp;").replace('"', "&#34;").replace('<', "&lt;");
    let shows = matches!(head.method, Method::GET | Method::HEAD);
    let body = if shows { format!("<a href=\"{shown}\">{reason}</a>.\n\n") } else { String::new() };
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    if let Ok(location) = HeaderValue::from_str(&location) {
        headers.insert(header::LOCATION, location);
    }
    if shows {
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        headers.insert(header::CONTENT_TYPE, html);
    }
    answer
}

fn escape(path: &str) -> String {
    use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
    const SET: &AsciiSet =
        &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'?').add(b'#').add(b'%').add(b'\\');
    utf8_percent_encode(path, SET).to_string()
}

fn is_clean(path: &str) -> bool {
    let may_be = path.starts_with('/') && !path.contains("//") && !path.contains("/.");
    may_be || clean(path) == path
}

/// Go's `path.Clean`, with the slash at the end kept.
fn clean(path: &str) -> String {
    if path == "*" {
        return path.to_owned();
    }
    let mut kept: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            part => kept.push(part),
        }
    }
    let mut clean = String::with_capacity(path.len() + 1);
    for part in &kept {
        clean.push('/');
        clean.push_str(part);
    }
    if kept.is_empty() || path.ends_with('/') {
        clean.push('/');
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned() {
        for (path, expected) in [
            ("/", "/"),
            ("//x", "/x"),
            ("/a//b/", "/a/b/"),
            ("/a/./b/../c", "/a/c"),
            ("/a/.b", "/a/.b"),
            ("/../..", "/"),
            ("", "/"),
            ("x", "/x"),
        ] {
            assert_eq!(clean(path), expected, "{path}");
            assert_eq!(is_clean(path), path == expected, "{path}");
        }
    }
}
