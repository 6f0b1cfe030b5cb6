//! Moments and spans as people read them. Prints HTML made of digits and letters only.

use std::fmt;
use std::time::Duration;

use askama::filters::HtmlSafe;
use jiff::{SignedDuration, Timestamp};
use tocsin_core::time::rfc3339_seconds;

/// A moment: as a distance from now, with the exact time beside it, or the other way round.
#[derive(Clone, Copy)]
pub(super) struct When {
    at: Timestamp,
    now: Option<Timestamp>,
}

impl When {
    /// `3 min ago`, `in 2 h`.
    pub(super) fn distance(at: Timestamp, now: Timestamp) -> Self {
        Self { at, now: Some(now) }
    }

    /// `2026-11-24 14:05:12 UTC`.
    pub(super) fn moment(at: Timestamp) -> Self {
        Self { at, now: None }
    }
}

impl HtmlSafe for When {}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let iso = rfc3339_seconds(self.at);
        let exact = exact(self.at);
        match self.now {
            None => write!(f, "<time datetime=\"{iso}\">{exact}</time>"),
            Some(now) => {
                let text = distance(self.at, now);
                write!(f, "<time class=\"ago\" datetime=\"{iso}\" title=\"{exact}\">{text}</time>")
            }
        }
    }
}

/// `2026-11-24 14:05:12 UTC`.
pub(super) fn exact(at: Timestamp) -> String {
    rfc3339_seconds(at).replace('T', " ").replace('Z', " UTC")
}

fn distance(at: Timestamp, now: Timestamp) -> String {
    let gap = now.duration_since(at);
    if gap.abs() < SignedDuration::from_secs(1) {
        return "now".to_owned();
    }
    let text = span(gap.unsigned_abs());
    if gap.is_negative() { format!("in {text}") } else { format!("{text} ago") }
}

/// The two largest units: `45 s`, `12 min`, `3 h 5 min`, `2 d 4 h`, `5 w`.
pub(super) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |large: u64, large_unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large} {large_unit}"),
        small => format!("{large} {large_unit} {small} {small_unit}"),
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min"),
        3600..86_400 => two(hours, "h", minutes % 60, "min"),
        86_400..1_209_600 => two(days, "d", hours % 24, "h"),
        _ => two(days / 7, "w", days % 7, "d"),
    }
}

/// As [`span`], with milliseconds below a second.
pub(super) fn span_ms(ms: u64) -> String {
    if ms < 1000 { format!("{ms} ms") } else { span(Duration::from_millis(ms)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_their_two_largest_units() {
        for (seconds, expected) in [
            (0, "0 s"),
            (59, "59 s"),
            (61, "1 min"),
            (3600, "1 h"),
            (3660, "1 h 1 min"),
            (90_000, "1 d 1 h"),
            (1_209_600, "2 w"),
            (1_296_000, "2 w 1 d"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn distance_looks_both_ways() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let text = |from, to| distance(at(from), at(to));
        assert_eq!(text(0, 90), "1 min ago");
        assert_eq!(text(7200, 0), "in 2 h");
        assert_eq!(text(5, 5), "now");
    }
}
