//! Errors of the API, with the codes, words and shapes that upstream's clients know.

use http::{HeaderValue, Response, StatusCode, header};
use tocsin_service::web::{Body, BodyError};

use super::json::{self, JsonError};

/// Go's `strconv.Quote`.
pub(super) use tocsin_core::quote::quoted as go_quote;

/// An answer that is not the one asked for. The text is for the client; a cause that it should
/// not see is logged where the error is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ApiError {
    /// API v2, found before the request's meaning was looked at: `{"code":N,"message":"..."}`.
    Framework {
        /// From 600 on the status is 422.
        code: u16,
        /// For the client.
        message: String,
        /// Value of `Allow`, for 405.
        allow: Option<&'static str>,
    },
    /// API v2, found by its meaning: a JSON string.
    Said {
        /// Status of the answer.
        status: StatusCode,
        /// For the client.
        text: String,
    },
    /// API v2, where upstream says nothing.
    Bare(StatusCode),
    /// Outside of the API: text, as Go's `http.Error` sends it.
    Plain {
        /// Status of the answer.
        status: StatusCode,
        /// For the client, with the line break at its end.
        text: String,
    },
    /// API v1, `bad_data`.
    BadData(String),
    /// API v1, `server_error`.
    Internal(String),
}

impl ApiError {
    /// A status of 400 with a JSON string.
    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self::Said { status: StatusCode::BAD_REQUEST, text: text.into() }
    }

    /// A code of the v2 framework.
    pub(super) fn framework(code: u16, message: impl Into<String>) -> Self {
        Self::Framework { code, message: message.into(), allow: None }
    }

    /// A v2 body that is no JSON, or JSON of the wrong shape.
    pub(super) fn parsing(body: &str, error: &JsonError) -> Self {
        Self::framework(400, format!("parsing {body} body from \"\" failed, because {error}"))
    }

    /// A v2 field that must be there.
    pub(super) fn required(field: &str) -> Self {
        Self::framework(602, format!("{field} in body is required"))
    }

    /// Go's answer for paths that nobody serves.
    pub(super) fn not_found() -> Self {
        let text = "404 page not found\n".to_owned();
        Self::Plain { status: StatusCode::NOT_FOUND, text }
    }

    /// A body that could not be read.
    pub(super) fn body(error: &BodyError) -> Self {
        let status = match error {
            BodyError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::Broken { .. } => StatusCode::BAD_REQUEST,
        };
        Self::Plain { status, text: format!("{error}\n") }
    }

    /// The answer.
    pub(super) fn response(self) -> Response<Body> {
        match self {
            Self::Framework { code, message, allow } => {
                let status = if code < 600 { code } else { 422 };
                let status =
                    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let body = format!("{{\"code\":{code},\"message\":{}}}", json::string(&message));
                let mut response = json_response(status, body);
                if let Some(allow) = allow {
                    let allow = HeaderValue::from_static(allow);
                    response.headers_mut().insert(header::ALLOW, allow);
                }
                response
            }
            Self::Said { status, text } => json_response(status, json::string(&text) + "\n"),
            Self::Bare(status) => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = status;
                response
            }
            Self::Plain { status, text } => plain_response(status, text),
            Self::BadData(text) => v1_response(StatusCode::BAD_REQUEST, "bad_data", &text),
            Self::Internal(text) => {
                v1_response(StatusCode::INTERNAL_SERVER_ERROR, "server_error", &text)
            }
        }
    }
}

fn v1_response(status: StatusCode, kind: &str, text: &str) -> Response<Body> {
    let text = json::string(text);
    let body = format!("{{\"status\":\"error\",\"errorType\":\"{kind}\",\"error\":{text}}}");
    json_response(status, body)
}

/// An answer of JSON.
pub(super) fn json_response(status: StatusCode, body: impl Into<bytes::Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::full(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// An answer of text that no browser may take for anything else.
pub(super) fn plain_response(status: StatusCode, text: impl Into<bytes::Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::full(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
