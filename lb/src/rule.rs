//! What may be tried again, and what a failure is called. Pure.

use crate::config::RetryOn;

/// Why an attempt at a server came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No connection: refused, unreachable.
    Refused,
    /// No connection in time.
    ConnectTimeout,
    /// Closed before a byte of the answer.
    Empty,
    /// Closed within the header of the answer.
    Cut,
    /// Not HTTP.
    Junk,
    /// No answer in time.
    Timeout,
    /// An answer that says the node cannot: 502 or 503.
    Unable,
    /// An operator ended it.
    Killed,
    /// The client ended, or its body did not come.
    Client,
    /// The client's body did not come in time.
    ClientTimeout,
    /// The client's body is not what its header said.
    ClientBody,
    /// The client's body is over the limit.
    TooLarge,
}

impl Failure {
    /// Status for the client and the two letters of the log.
    pub(crate) fn answer(self) -> (u16, [u8; 2]) {
        match self {
            Failure::Refused => (503, *b"SC"),
            Failure::ConnectTimeout => (503, *b"sC"),
            Failure::Empty | Failure::Cut | Failure::Unable => (502, *b"SH"),
            Failure::Junk => (502, *b"PH"),
            Failure::Timeout => (504, *b"sH"),
            Failure::Killed => (502, *b"KD"),
            Failure::Client => (400, *b"CD"),
            Failure::ClientTimeout => (408, *b"cD"),
            Failure::ClientBody => (400, *b"PR"),
            Failure::TooLarge => (413, *b"PR"),
        }
    }

    /// Whether no connection was made, so that nothing was sent.
    pub(crate) fn is_connect(self) -> bool {
        matches!(self, Failure::Refused | Failure::ConnectTimeout)
    }

    /// Whether it is the client's doing.
    pub(crate) fn is_clients(self) -> bool {
        matches!(
            self,
            Failure::Client | Failure::ClientTimeout | Failure::ClientBody | Failure::TooLarge
        )
    }
}

/// What is known of a request when an attempt at it failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt<'a> {
    /// Its method.
    pub method: &'a str,
    /// Whether it has no body or its body was kept, so that it can be sent again.
    pub replayable: bool,
    /// Whether the connection had been used before.
    pub reused: bool,
    /// Whether it was already repeated because of a used connection.
    pub repeated_stale: bool,
    /// What is tried again.
    pub rule: &'a RetryOn,
}

impl Attempt<'_> {
    /// Whether a failed attempt may be repeated: nothing was sent, or the request is harmless and the rule says so.
    pub(crate) fn may_repeat(&self, failure: Failure) -> bool {
        let harmless = self.replayable && is_idempotent(self.method);
        match failure {
            Failure::Refused | Failure::ConnectTimeout => self.rule.conn_failure,
            Failure::Empty => {
                let stale = self.reused && !self.repeated_stale;
                // Unless more than the default is asked for, only what reads is sent again.
                let reads = matches!(self.method, "GET" | "HEAD") || self.rule.keeps_requests();
                harmless && (stale || (reads && self.rule.empty_response))
            }
            Failure::Cut | Failure::Junk => harmless && self.rule.junk_response,
            Failure::Timeout => harmless && self.rule.response_timeout,
            // Only a status that the rule names becomes this failure.
            Failure::Unable => harmless,
            _ => false,
        }
    }
}

/// Whether sending a request twice does what sending it once does (RFC 9110).
pub(crate) fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE")
}

/// Whether a pooled connection is good enough: a request that must not be sent twice gets a new one.
pub(crate) fn may_reuse(method: &str) -> bool {
    is_idempotent(method)
}

/// Whether a request is a post of alerts, which is read in full and repeated while its sender waits.
pub(crate) fn is_alert_post(method: &str, target: &str) -> bool {
    let path = target.split('?').next().unwrap_or_default();
    method == "POST" && matches!(path, "/api/v2/alerts" | "/api/v1/alerts")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn default() -> RetryOn {
        crate::config::BackendOptions::named("b").retry_on
    }

    #[track_caller]
    fn check(attempt: (&str, bool, bool), rule: &RetryOn, failure: Failure, expected: bool) {
        let (method, replayable, reused) = attempt;
        let attempt = Attempt { method, replayable, reused, repeated_stale: false, rule };
        assert_eq!(attempt.may_repeat(failure), expected, "{attempt:?} {failure:?}");
    }

    #[test]
    fn a_request_that_was_not_sent_may_always_go_elsewhere() {
        let post = ("POST", false, false);
        check(post, &default(), Failure::Refused, true);
        check(post, &default(), Failure::ConnectTimeout, true);
        check(("GET", true, false), &RetryOn::nothing(), Failure::Refused, false);
    }

    #[test]
    fn an_empty_answer_is_repeated_only_where_harmless() {
        let (none, all) = (RetryOn::nothing(), RetryOn::all());
        check(("GET", true, false), &default(), Failure::Empty, true);
        check(("GET", true, false), &none, Failure::Empty, false);
        check(("GET", true, true), &none, Failure::Empty, true);
        let again = Attempt {
            method: "GET",
            replayable: true,
            reused: true,
            repeated_stale: true,
            rule: &none,
        };
        assert!(!again.may_repeat(Failure::Empty));
        check(("DELETE", true, false), &default(), Failure::Empty, false);
        check(("DELETE", true, false), &all, Failure::Empty, true);
        check(("DELETE", true, true), &default(), Failure::Empty, true);
        check(("POST", true, true), &all, Failure::Empty, false);
    }

    #[test]
    fn further_failures_are_repeated_where_the_rule_names_them() {
        let all = RetryOn::all();
        for failure in [Failure::Cut, Failure::Junk, Failure::Timeout] {
            check(("GET", true, true), &default(), failure, false);
            check(("GET", true, true), &all, failure, true);
            check(("PUT", true, true), &all, failure, true);
            check(("PUT", false, true), &all, failure, false);
            check(("POST", true, true), &all, failure, false);
        }
        check(("GET", true, true), &all, Failure::Killed, false);
        check(("POST", true, true), &all, Failure::Client, false);
    }

    #[test]
    fn alert_posts_are_told_by_method_and_path() {
        assert!(is_alert_post("POST", "/api/v2/alerts"));
        assert!(is_alert_post("POST", "/api/v1/alerts?x"));
        assert!(!is_alert_post("GET", "/api/v2/alerts"));
        assert!(!is_alert_post("POST", "/api/v2/alerts/groups"));
        assert!(!is_alert_post("POST", "/api/v2/silences"));
    }
}
