//! Which web sites may use a visitor's browser to talk to this node.
//!
//! Reading is open to every origin, as upstream is; `--web.cors.origin` narrows it. Writing is
//! refused to pages of other origins unless that flag lists them. Programs send no `Origin` and
//! are not concerned.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header, request};
use tocsin_service::web::Body;

use super::{App, error::plain_response};

/// The answer to a request that must not come any further: preflights too.
pub(super) fn refuse(app: &App, head: &request::Parts) -> Option<Response<Body>> {
    let hosts = &app.engine.options().web.allowed_hosts;
    if !hosts.is_empty() && !hosts.iter().any(|host| is_host(host, text(head, header::HOST))) {
        let text = "this host is not among --web.allowed-hosts\n";
        return Some(plain_response(StatusCode::MISDIRECTED_REQUEST, text));
    }
    if head.method == Method::OPTIONS {
        let asks = head.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        let is_v2 = head.uri.path().contains("/api/v2/");
        return (asks && is_v2).then(|| preflight(app, head));
    }
    let writes = !matches!(head.method, Method::GET | Method::HEAD);
    (writes && is_foreign(app, head)).then(|| {
        let text = "requests from pages of other sites are refused, see --web.cors.origin\n";
        plain_response(StatusCode::FORBIDDEN, text)
    })
}

/// Compares without the port when the flag names none.
fn is_host(allowed: &str, host: &str) -> bool {
    let bare = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    allowed.eq_ignore_ascii_case(host)
        || bare.is_some_and(|(name, _)| allowed.eq_ignore_ascii_case(name))
}

fn text(head: &request::Parts, name: HeaderName) -> &str {
    head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}

/// Whether a browser says that another site's page made it send this.
fn is_foreign(app: &App, head: &request::Parts) -> bool {
    let origin = text(head, header::ORIGIN);
    if !origin.is_empty() && app.origins.as_ref().is_some_and(|regex| regex.is_match(origin)) {
        return false;
    }
    match text(head, HeaderName::from_static("sec-fetch-site")) {
        "same-origin" | "none" => return false,
        "cross-site" => return true,
        _ => {}
    }
    let Some((_, origin_host)) = origin.split_once("://") else { return !origin.is_empty() };
    let external = app.engine.external_url().split_once("://").map_or("", |(_, rest)| rest);
    let external = external.split('/').next().unwrap_or("");
    let forwarded = text(head, HeaderName::from_static("x-forwarded-host"));
    let own = [text(head, header::HOST), external, forwarded];
    !own.iter().any(|host| !host.is_empty() && origin_host.eq_ignore_ascii_case(host))
}

/// Lets a page of another origin read the answer.
pub(super) fn allow(app: &App, head: &request::Parts, headers: &mut HeaderMap) {
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    let origin = text(head, header::ORIGIN);
    let readable = matches!(head.method, Method::GET | Method::HEAD | Method::POST);
    if !origin.is_empty() && readable {
        allow_origin(app, origin, headers);
    }
}

fn allow_origin(app: &App, origin: &str, headers: &mut HeaderMap) -> bool {
    let value = match &app.origins {
        None => HeaderValue::from_static("*"),
        Some(regex) if regex.is_match(origin) => match HeaderValue::from_str(origin) {
            Ok(value) => value,
            Err(_) => return false,
        },
        Some(_) => return false,
    };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, value);
    true
}

fn preflight(app: &App, head: &request::Parts) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let headers = answer.headers_mut();
    for name in ["Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"] {
        headers.append(header::VARY, HeaderValue::from_static(name));
    }
    let method = text(head, header::ACCESS_CONTROL_REQUEST_METHOD);
    let wanted = text(head, header::ACCESS_CONTROL_REQUEST_HEADERS);
    let known = ["accept", "content-type", "x-requested-with", "origin"];
    let mut wanted_each = wanted.split(',').map(|name| name.trim().to_ascii_lowercase());
    let headers_fit = wanted.is_empty() || wanted_each.all(|name| known.contains(&name.as_str()));
    let origin = text(head, header::ORIGIN);
    if origin.is_empty() || !matches!(method, "GET" | "POST" | "HEAD") || !headers_fit {
        return answer;
    }
    if allow_origin(app, origin, headers) {
        if let Ok(method) = HeaderValue::from_str(method) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, method);
        }
        if !wanted.is_empty()
            && let Ok(wanted) = HeaderValue::from_str(wanted)
        {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted);
        }
    }
    answer
}
