//! Words that are matchers, labels or annotations, and how they look in tables.

use tocsin_core::matcher::{MatchOp, Matcher, Matchers, Parsed, Warning, parse_matcher};
use tocsin_core::quote::quoted;
use tracing::{debug, warn};

use super::context::Context;
use super::failure::Failure;
use super::wire::Pairs;

/// The words, where a first one that is no matcher is the name of an alert.
pub(super) fn with_alert_name(words: Vec<String>, context: &Context<'_>) -> Vec<String> {
    let good = |word: &str| parse_matcher(word, context.mode()).is_ok();
    name_first(words, good, context)
}

/// The words, where a first one that is no `name=value` is the name of an alert.
pub(super) fn with_alert_name_label(words: Vec<String>, context: &Context<'_>) -> Vec<String> {
    let good = |word: &str| {
        parse_matcher(word, context.mode()).is_ok_and(|parsed| parsed.value.op() == MatchOp::Equal)
    };
    name_first(words, good, context)
}

fn name_first(
    mut words: Vec<String>,
    good: impl Fn(&str) -> bool,
    context: &Context<'_>,
) -> Vec<String> {
    if let Some(first) = words.first_mut().filter(|first| !good(first)) {
        let replaced = format!("alertname={}", quoted(first));
        if first.contains(['=', '~', '!']) {
            context.console.tell(&format!("note: {first} is read as {replaced}"));
        }
        *first = replaced;
    }
    words
}

/// Each word as one matcher.
/// # Errors
/// For the first that is none.
pub(super) fn matchers(words: &[String], context: &Context<'_>) -> Result<Matchers, Failure> {
    let mut matchers = Vec::with_capacity(words.len());
    for word in words {
        let parsed = matcher(word, context)?;
        if let Some(warning) = &parsed.warning {
            log(warning);
        }
        matchers.push(parsed.value);
    }
    Ok(Matchers(matchers))
}

fn matcher(word: &str, context: &Context<'_>) -> Result<Parsed<Matcher>, Failure> {
    debug!(input = word, origin = "cli", "reading a matcher");
    parse_matcher(word, context.mode()).map_err(Failure::why)
}

/// As a server logs it, with the keys that people search for.
fn log(warning: &Warning) {
    let message = warning.message();
    match warning {
        Warning::Incompatible { input, error, suggestion } => {
            warn!(%input, origin = "cli", err = %error, %suggestion, "{message}");
        }
        Warning::Disagreement { input } => warn!(%input, origin = "cli", "{message}"),
    }
}

/// Each word as `name=value`; the last of a repeated name wins.
/// # Errors
/// For the first that is no matcher, or one with another operator.
pub(super) fn pairs(words: &[String], what: &str, context: &Context<'_>) -> Result<Pairs, Failure> {
    let mut pairs = Pairs::new();
    for word in words {
        // No warning: a text such as `summary=disk is full` is no matcher that anybody will move.
        let matcher = matcher(word, context)?.value;
        if matcher.op() != MatchOp::Equal {
            return Err(Failure::Why(format!("{what} must be specified as key=value pairs")));
        }
        pairs.insert(matcher.name().to_owned(), matcher.value().to_owned());
    }
    Ok(pairs)
}

/// `name="value"` with blanks between, nothing escaped.
pub(super) fn shown(pairs: &Pairs) -> String {
    let pairs: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    pairs.join(" ")
}
