//! Which alerts a request of API v2 asks for: matchers, receivers and states of the query.

use tocsin_core::{
    matcher::{Matcher, Mode, parse_matcher},
    regex::Regex,
};
use tracing::warn;

use super::{error::ApiError, query::Query};
use crate::engine::{AlertQuery, GroupQuery};

/// Reads the query of `/alerts`.
///
/// # Errors
/// 400, on the first parameter that cannot be read.
pub(super) fn alert_query(query: &Query<'_>, mode: Mode) -> Result<AlertQuery, ApiError> {
    Ok(AlertQuery {
        matchers: matchers(query.all("filter"), mode).map_err(ApiError::bad)?,
        receiver: receiver(query.last("receiver")).map_err(ApiError::bad)?,
        receiver_matchers: receiver_matchers(query, mode)?,
        active: query.switch("active"),
        silenced: query.switch("silenced"),
        inhibited: query.switch("inhibited"),
    })
}

/// Reads the query of `/alerts/groups`.
///
/// # Errors
/// As [`alert_query`].
pub(super) fn group_query(query: &Query<'_>, mode: Mode) -> Result<GroupQuery, ApiError> {
    Ok(GroupQuery { alerts: alert_query(query, mode)?, muted: query.switch("muted") })
}

/// Reads an expression for names of receivers; the empty one asks for all.
///
/// # Errors
/// Upstream's words.
pub(super) fn receiver(expression: &str) -> Result<Option<Regex>, String> {
    if expression.is_empty() {
        return Ok(None);
    }
    let failed = |error| format!("failed to parse receiver param: {error}");
    Regex::anchored(expression).map(Some).map_err(failed)
}

/// Reads `receiver_matchers`.
///
/// # Errors
/// 400 with upstream's words.
pub(super) fn receiver_matchers(query: &Query<'_>, mode: Mode) -> Result<Vec<Matcher>, ApiError> {
    let failed = |error| format!("failed to parse receiver_matchers param: {error}");
    matchers(query.all("receiver_matchers"), mode).map_err(|error| ApiError::bad(failed(error)))
}

/// One matcher each.
///
/// # Errors
/// The parser's words about the first that is none.
pub(super) fn matchers<'a>(
    texts: impl Iterator<Item = &'a str>,
    mode: Mode,
) -> Result<Vec<Matcher>, String> {
    texts
        .map(|text| {
            let parsed = parse_matcher(text, mode).map_err(|error| error.to_string())?;
            if let Some(warning) = &parsed.warning {
                warn!(input = text, "{}", warning.message());
            }
            Ok(parsed.value)
        })
        .collect()
}
