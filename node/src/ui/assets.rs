//! The files that pages load: one style sheet, one script, one icon. The name of a file changes with its contents, so
//! that it can be kept for a year.

use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use tocsin_service::web::Body;

use super::frame::{gzip, never_kept};

const ICON: &[u8] = include_bytes!("assets/favicon.ico");

/// A file under its name.
pub(super) struct Asset {
    pub(super) name: String,
    kind: &'static str,
    plain: &'static str,
    packed: Bytes,
}

impl Asset {
    fn new(stem: &str, extension: &str, kind: &'static str, plain: &'static str) -> Self {
        let hash = xxhash_rust::xxh3::xxh3_64(plain.as_bytes());
        let name = format!("{stem}-{hash:016x}.{extension}");
        Self { name, kind, plain, packed: gzip(plain.as_bytes(), 9) }
    }
}

pub(super) static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("style", "css", "text/css; charset=utf-8", include_str!("assets/style.css"))
});

pub(super) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    let kind = "text/javascript; charset=utf-8";
    Asset::new("script", "js", kind, include_str!("assets/script.js"))
});

/// A file that pages load.
pub(crate) fn asset(name: &str, head: &http::request::Parts) -> Option<Response<Body>> {
    let asset = [&*STYLE, &*SCRIPT].into_iter().find(|asset| asset.name == name)?;
    let packs = super::frame::accepts_gzip(head);
    let body = if packs { Body::full(asset.packed.clone()) } else { Body::full(asset.plain) };
    let mut answer = Response::new(body);
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if packs {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
    headers.insert(header::CACHE_CONTROL, forever);
    Some(answer)
}

/// The icon.
pub(crate) fn favicon() -> Response<Body> {
    let mut answer = Response::new(Body::full(ICON));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("image/vnd.microsoft.icon"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    never_kept(headers);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn script_and_style_are_small() {
        assert!(SCRIPT.packed.len() < 6 * 1024, "script: {} bytes packed", SCRIPT.packed.len());
        assert!(STYLE.packed.len() < 8 * 1024, "style: {} bytes packed", STYLE.packed.len());
    }
}
