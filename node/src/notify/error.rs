//! Why a notification did not arrive, and whether the same one may pass later.

use std::error::Error as StdError;
use std::fmt::Write;

type BoxError = Box<dyn StdError + Send + Sync>;

/// Class of a failed notification: the label `reason` of `alertmanager_notifications_failed_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailureReason {
    /// Anything that the others do not name: network, templates, all of e-mail.
    Other,
    /// 4xx, or an answer that says no.
    ClientError,
    /// 5xx.
    ServerError,
    /// The server stops or has loaded another configuration.
    ContextCanceled,
    /// The flush had no time left.
    ContextDeadlineExceeded,
    /// 401, 403.
    AuthError,
    /// 429.
    RateLimited,
}

impl FailureReason {
    /// All of them, in the order in which their metrics are made at start.
    pub const ALL: [Self; 7] = [
        Self::Other,
        Self::ClientError,
        Self::ServerError,
        Self::ContextCanceled,
        Self::ContextDeadlineExceeded,
        Self::AuthError,
        Self::RateLimited,
    ];

    /// The value of the metric label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::ClientError => "clientError",
            Self::ServerError => "serverError",
            Self::ContextCanceled => "contextCanceled",
            Self::ContextDeadlineExceeded => "contextDeadlineExceeded",
            Self::AuthError => "authError",
            Self::RateLimited => "rateLimited",
        }
    }

    /// The class of an answer that is not a success.
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        match status {
            401 | 403 => Self::AuthError,
            429 => Self::RateLimited,
            400..=499 => Self::ClientError,
            500..=599 => Self::ServerError,
            _ => Self::Other,
        }
    }
}

/// Why a message did not reach its receiver.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// No answer, or one that promises nothing: the same message may pass later.
    #[error("{what}")]
    Unavailable {
        /// What was tried; names no URL, because many carry secrets.
        what: String,
        /// Class for the metric.
        reason: FailureReason,
        /// The network's own words.
        source: Option<BoxError>,
    },
    /// The receiver understood and said no: it will say so again.
    #[error("{what}")]
    Refused {
        /// The answer.
        what: String,
        /// Class for the metric.
        reason: FailureReason,
    },
    /// The message or its address cannot be made: a template, a file, a limit.
    #[error("{what}")]
    Unmade {
        /// Which part.
        what: String,
        /// The template's or the system's own words.
        source: Option<BoxError>,
    },
}

impl SendError {
    /// Whether the same message may pass later.
    #[must_use]
    pub fn retry(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// The class for the metric.
    #[must_use]
    pub fn reason(&self) -> FailureReason {
        match self {
            Self::Unavailable { reason, .. } | Self::Refused { reason, .. } => *reason,
            Self::Unmade { .. } => FailureReason::Other,
        }
    }

    /// A failure below the receiver's protocol: worth trying again.
    pub(crate) fn network(what: &str, source: impl Into<BoxError>) -> Self {
        let source = Some(source.into());
        Self::Unavailable { what: what.to_owned(), reason: FailureReason::Other, source }
    }

    /// An answer worth trying again.
    pub(crate) fn unavailable(what: impl Into<String>, reason: FailureReason) -> Self {
        Self::Unavailable { what: what.into(), reason, source: None }
    }

    /// An answer that is final.
    pub(crate) fn refused(what: impl Into<String>, reason: FailureReason) -> Self {
        Self::Refused { what: what.into(), reason }
    }

    /// A message that cannot be made, with the cause.
    pub(crate) fn unmade(what: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self::Unmade { what: what.into(), source: Some(source.into()) }
    }

    /// A message that cannot be made; `what` says why.
    pub(crate) fn invalid(what: impl Into<String>) -> Self {
        Self::Unmade { what: what.into(), source: None }
    }

    /// The same failure with `prefix` and a colon before its text.
    pub(crate) fn prefixed(mut self, prefix: &str) -> Self {
        let (Self::Unavailable { what, .. }
        | Self::Refused { what, .. }
        | Self::Unmade { what, .. }) = &mut self;
        *what = format!("{prefix}: {what}");
        self
    }
}

/// Why an integration cannot be built from its configuration: the configuration is not loaded.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct BuildError {
    what: String,
    source: Option<BoxError>,
}

impl BuildError {
    /// A failure with its cause.
    pub(crate) fn new(what: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self { what: what.into(), source: Some(source.into()) }
    }

    /// A failure whose text says all.
    pub(crate) fn plain(what: impl Into<String>) -> Self {
        Self { what: what.into(), source: None }
    }
}

/// The error with its causes after colons, on one line.
#[must_use]
pub fn report(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        if !part.is_empty() && !text.ends_with(&part) {
            let _ = write!(text, ": {part}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_class() {
        let cases = [(401, "authError"), (403, "authError"), (429, "rateLimited")];
        let more = [(404, "clientError"), (503, "serverError"), (302, "other"), (101, "other")];
        for (status, expected) in cases.into_iter().chain(more) {
            assert_eq!(FailureReason::of_status(status).as_str(), expected, "{status}");
        }
    }

    #[test]
    fn a_report_names_the_causes_once() {
        let cause = std::io::Error::other("connection refused");
        let error = SendError::network("post <redacted>", cause).prefixed("#ops");
        assert_eq!(report(&error), "#ops: post <redacted>: connection refused");
        assert!(error.retry());
    }
}
