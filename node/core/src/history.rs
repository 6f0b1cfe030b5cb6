//! The last attempts to tell a receiver about a group, for people who ask who was told what. Knows no store.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use crate::nflog::Reason;
use crate::time;

/// How many attempts are kept.
pub const KEPT: usize = 8;

/// How long the record of a group and integration is kept after its last attempt.
pub const EXPIRY: Duration = Duration::from_secs(24 * 3600);

/// How much of an attempt's text is kept.
pub const TEXT_MAX_BYTES: usize = 200;

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver took it.
    Sent,
    /// It failed and is tried again.
    Retried,
    /// It failed for good.
    Failed,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When.
    pub at: Timestamp,
    /// The name of the node that tried.
    pub node: Box<str>,
    /// Why it was sent.
    pub reason: Reason,
    /// How it ended.
    pub outcome: Outcome,
    /// What the receiver said, without secrets; at most [`TEXT_MAX_BYTES`].
    pub text: Box<str>,
    /// How many firing alerts it held.
    pub firing: u32,
    /// How many resolved alerts it held.
    pub resolved: u32,
}

/// The last [`KEPT`] attempts, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    attempts: VecDeque<Attempt>,
}

impl History {
    /// Adds an attempt, cuts its text, drops the oldest.
    pub fn push(&mut self, mut attempt: Attempt) {
        attempt.text = cut(&attempt.text).into();
        self.attempts.push_back(attempt);
        while self.attempts.len() > KEPT {
            self.attempts.pop_front();
        }
    }

    /// Oldest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Attempt> {
        self.attempts.iter()
    }

    /// The newest attempt.
    #[must_use]
    pub fn last(&self) -> Option<&Attempt> {
        self.attempts.back()
    }

    /// When the record may be forgotten; `None` when it is empty.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.last().map(|attempt| time::add(attempt.at, EXPIRY))
    }
}

impl FromIterator<Attempt> for History {
    fn from_iter<I: IntoIterator<Item = Attempt>>(attempts: I) -> Self {
        let mut history = Self::default();
        attempts.into_iter().for_each(|attempt| history.push(attempt));
        history
    }
}

/// The longest start of the text that fits, ending between two runes.
fn cut(text: &str) -> &str {
    let end = (0..=text.len().min(TEXT_MAX_BYTES)).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(second: i64, text: &str) -> Attempt {
        Attempt {
            at: Timestamp::from_second(second).unwrap(),
            node: "a".into(),
            reason: Reason::First,
            outcome: Outcome::Sent,
            text: text.into(),
            firing: 1,
            resolved: 0,
        }
    }

    #[test]
    fn last_attempts_are_kept() {
        let history: History = (0..20).map(|second| attempt(second, "")).collect();
        let seconds: Vec<i64> = history.iter().map(|attempt| attempt.at.as_second()).collect();
        assert_eq!(seconds, (12..20).collect::<Vec<_>>());
        assert_eq!(history.expires_at(), Timestamp::from_second(19 + 86_400).ok());
        assert_eq!(History::default().expires_at(), None);
    }

    #[test]
    fn text_is_cut_between_runes() {
        let history: History =
            [attempt(0, &"é".repeat(101)), attempt(1, &format!("x{}", "é".repeat(101)))]
                .into_iter()
                .collect();
        assert_eq!(
            history.iter().map(|attempt| attempt.text.len()).collect::<Vec<_>>(),
            [200, 199]
        );
    }
}
