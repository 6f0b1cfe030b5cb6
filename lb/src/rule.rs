//! What may be tried again, and what a failure is called. Pure.

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
    /// Whether it has no body, so that it can be sent again.
    pub bodyless: bool,
    /// Whether the connection had been used before.
    pub reused: bool,
    /// Whether it was already repeated because of a used connection.
    pub repeated_stale: bool,
    /// Whether an empty answer to a GET or HEAD may be tried again.
    pub on_empty: bool,
    /// Whether a failed connection may be tried again.
    pub on_connect: bool,
}

impl Attempt<'_> {
    /// Whether a failed attempt may be repeated: nothing was sent, or the request is harmless and no byte came back.
    pub(crate) fn may_repeat(&self, failure: Failure) -> bool {
        match failure {
            Failure::Refused | Failure::ConnectTimeout => self.on_connect,
            Failure::Empty => {
                let safe = matches!(self.method, "GET" | "HEAD");
                let idempotent = safe || matches!(self.method, "OPTIONS" | "PUT" | "DELETE");
                let stale = self.reused && !self.repeated_stale && idempotent;
                self.bodyless && (stale || (safe && self.on_empty))
            }
            _ => false,
        }
    }
}

/// Whether a pooled connection is good enough: a request that must not be sent twice gets a new one.
pub(crate) fn may_reuse(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE")
}

/// Whether a request is a post of alerts, which is read in full and repeated while its sender waits.
pub(crate) fn is_alert_post(method: &str, target: &str) -> bool {
    let path = target.split('?').next().unwrap_or_default();
    method == "POST" && matches!(path, "/api/v2/alerts" | "/api/v1/alerts")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: Attempt<'_> = Attempt {
        method: "GET",
        bodyless: true,
        reused: false,
        repeated_stale: false,
        on_empty: true,
        on_connect: true,
    };

    #[test]
    fn a_request_that_was_not_sent_may_always_go_elsewhere() {
        let post = Attempt { method: "POST", bodyless: false, ..GET };
        assert!(post.may_repeat(Failure::Refused) && post.may_repeat(Failure::ConnectTimeout));
        assert!(!Attempt { on_connect: false, ..GET }.may_repeat(Failure::Refused));
    }

    #[test]
    fn an_empty_answer_is_repeated_only_where_harmless() {
        assert!(GET.may_repeat(Failure::Empty));
        let strict = Attempt { on_empty: false, ..GET };
        assert!(!strict.may_repeat(Failure::Empty));
        assert!(Attempt { reused: true, ..strict }.may_repeat(Failure::Empty));
        assert!(
            !Attempt { reused: true, repeated_stale: true, ..strict }.may_repeat(Failure::Empty)
        );
        let delete = Attempt { method: "DELETE", ..GET };
        assert!(!delete.may_repeat(Failure::Empty));
        assert!(Attempt { reused: true, ..delete }.may_repeat(Failure::Empty));
        let post = Attempt { method: "POST", reused: true, ..GET };
        assert!(!post.may_repeat(Failure::Empty));
    }

    #[test]
    fn what_was_answered_is_final() {
        for failure in [Failure::Cut, Failure::Junk, Failure::Timeout, Failure::Killed] {
            assert!(!Attempt { reused: true, ..GET }.may_repeat(failure), "{failure:?}");
        }
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
