//! Words that are matchers, labels or annotations, and how they look in tables.

use tocsin_core::matcher::{MatchOp, Matcher, Matchers, Warning, parse_matcher};
use tocsin_core::quote::quoted;

use super::context::Context;
use super::failure::Failure;
use super::wire::Pairs;

/// The words, where a first one that is no matcher is the name of an alert.
pub(super) fn with_alert_name(mut words: Vec<String>, context: &Context<'_>) -> Vec<String> {
    let Some(first) = words.first_mut() else { return words };
    if parse_matcher(first, context.mode()).is_err() {
        let replaced = format!("alertname={}", quoted(first));
        if first.contains(['=', '~', '!']) {
            context.console.tell(&format!("note: {first} is no matcher, read as {replaced}"));
        }
        *first = replaced;
    }
    words
}

/// Each word as one matcher.
/// # Errors
/// For the first that is none.
pub(super) fn matchers(words: &[String], context: &Context<'_>) -> Result<Matchers, Failure> {
    words.iter().map(|word| matcher(word, context)).collect()
}

fn matcher(word: &str, context: &Context<'_>) -> Result<Matcher, Failure> {
    context
        .detail(&format!("level=debug msg=\"Parsing matcher\" input={} origin=cli", quoted(word)));
    let parsed = parse_matcher(word, context.mode()).map_err(Failure::why)?;
    if let Some(warning) = &parsed.warning {
        context.console.tell(&log_line(warning));
    }
    Ok(parsed.value)
}

/// As a server logs it, with the keys that people search for.
fn log_line(warning: &Warning) -> String {
    let message = quoted(warning.message());
    match warning {
        Warning::Incompatible { input, error, suggestion } => format!(
            "level=warn msg={message} input={} origin=cli err={} suggestion={}",
            quoted(input),
            quoted(&error.to_string()),
            quoted(suggestion)
        ),
        Warning::Disagreement { input } => {
            format!("level=warn msg={message} input={} origin=cli", quoted(input))
        }
    }
}

/// Each word as `name=value`; the last of a repeated name wins.
/// # Errors
/// For the first that is no matcher, or one with another operator.
pub(super) fn pairs(words: &[String], what: &str, context: &Context<'_>) -> Result<Pairs, Failure> {
    let mut pairs = Pairs::new();
    for word in words {
        let matcher = matcher(word, context)?;
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
