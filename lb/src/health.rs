//! Health of one server as HAProxy counts it: a number that checks move, the texts shown for it, when the next check is due. No clock, no socket.

use std::time::Duration;

use crate::config::{CheckOptions, InitialHealth};

/// Health between 0 and `rise + fall - 1`; up from `rise` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Health {
    value: u32,
    rise: u32,
    fall: u32,
    checked: bool,
}

/// A server changed between up and down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flip {
    /// It is up now.
    Up,
    /// It is down now.
    Down,
}

impl Health {
    /// Health before the first check: by default `rise`, so that traffic flows at once and one failure brings it down.
    pub(crate) fn new(check: &CheckOptions) -> Self {
        let (rise, fall) = (check.rise.max(1), check.fall.max(1));
        let value = match check.init {
            InitialHealth::Up => rise,
            InitialHealth::FullyUp => rise + fall - 1,
            InitialHealth::Down => 0,
        };
        Health { value, rise, fall, checked: false }
    }

    /// Whether it counts as up.
    pub(crate) fn is_up(self) -> bool {
        self.value >= self.rise
    }

    /// The number itself, as `check_health` shows it.
    pub(crate) fn value(self) -> u32 {
        self.value
    }

    /// Passes that bring it up, and failures that bring it down.
    pub(crate) fn thresholds(self) -> (u32, u32) {
        (self.rise, self.fall)
    }

    /// Takes up a number that was reached elsewhere.
    pub(crate) fn recall(&mut self, value: u32, checked: bool) {
        self.value = value.min(self.full());
        self.checked = checked;
    }

    /// Whether a check has moved it.
    pub(crate) fn is_checked(self) -> bool {
        self.checked
    }

    fn full(self) -> u32 {
        self.rise + self.fall - 1
    }

    /// Takes in one check.
    pub(crate) fn record(&mut self, passed: bool) -> Option<Flip> {
        let was_up = self.is_up();
        self.checked = true;
        self.value = match (passed, was_up) {
            (true, true) => self.full(),
            (true, false) if self.value + 1 >= self.rise => self.full(),
            (true, false) => self.value + 1,
            (false, true) if self.value > self.rise => self.value - 1,
            (false, _) => 0,
        };
        self.flip(was_up)
    }

    /// Set by an operator or by observation; the next check may change it.
    pub(crate) fn force(&mut self, up: bool) -> Option<Flip> {
        let was_up = self.is_up();
        self.value = if up { self.full() } else { 0 };
        self.flip(was_up)
    }

    /// Up, one failure from down: after maintenance, and what `sudden-death` leaves.
    pub(crate) fn restart(&mut self) -> Option<Flip> {
        let was_up = self.is_up();
        self.value = self.rise;
        self.checked = false;
        self.flip(was_up)
    }

    fn flip(self, was_up: bool) -> Option<Flip> {
        match (was_up, self.is_up()) {
            (false, true) => Some(Flip::Up),
            (true, false) => Some(Flip::Down),
            _ => None,
        }
    }

    /// Status text with the given word for *up*: `UP`, `UP 2/3`, `DOWN`, `DOWN 1/2`.
    pub(crate) fn text(self, up_word: &str) -> String {
        if self.value == 0 {
            "DOWN".to_owned()
        } else if !self.is_up() {
            format!("DOWN {}/{}", self.value, self.rise)
        } else if self.value == self.full() {
            up_word.to_owned()
        } else {
            format!("{up_word} {}/{}", self.value - self.rise + 1, self.fall)
        }
    }

    /// Time to the next check: shorter while it changes or is down, if so configured.
    pub(crate) fn interval(self, check: &CheckOptions) -> Duration {
        let (steady, changed) = if !self.checked {
            (false, check.fast_interval)
        } else if self.value == self.full() {
            (true, Duration::ZERO)
        } else if self.value == 0 {
            (false, check.down_interval)
        } else {
            (false, check.fast_interval)
        };
        if steady || changed.is_zero() { check.interval } else { changed }
    }
}

/// How a check ended, by the layer that decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum CheckStatus {
    /// Never run.
    #[default]
    Unknown,
    /// The first one is pending.
    Initializing,
    /// A local error before anything was sent.
    SocketError,
    /// TCP timed out.
    L4Timeout,
    /// TCP refused or unreachable.
    L4Connection,
    /// TLS timed out.
    L6Timeout,
    /// TLS failed.
    L6Response,
    /// The expected status.
    L7Ok,
    /// A status that passes under a condition.
    L7OkConditional,
    /// No answer in time.
    L7Timeout,
    /// Not HTTP, or cut short.
    L7Response,
    /// Another status.
    L7Status,
    /// Brought down by observed traffic.
    Observed,
}

impl CheckStatus {
    /// HAProxy's short code.
    pub(crate) fn code(self) -> &'static str {
        self.texts().0
    }

    /// HAProxy's words.
    pub(crate) fn description(self) -> &'static str {
        self.texts().1
    }

    /// HAProxy's number, as in `show servers state`.
    pub(crate) fn number(self) -> u8 {
        self.texts().2
    }

    /// The status with HAProxy's number.
    pub(crate) fn of_number(number: u64) -> Option<Self> {
        use CheckStatus::{
            Initializing, L4Connection, L4Timeout, L6Response, L6Timeout, L7Ok, L7OkConditional,
            L7Response, L7Status, L7Timeout, Observed, SocketError, Unknown,
        };
        let all = [
            Unknown,
            Initializing,
            SocketError,
            L4Timeout,
            L4Connection,
            L6Timeout,
            L6Response,
            L7Ok,
            L7OkConditional,
            L7Timeout,
            L7Response,
            L7Status,
            Observed,
        ];
        all.into_iter().find(|status| u64::from(status.number()) == number)
    }

    /// Whether the server passed.
    pub(crate) fn passed(self) -> bool {
        matches!(self, CheckStatus::L7Ok | CheckStatus::L7OkConditional)
    }

    fn texts(self) -> (&'static str, &'static str, u8) {
        match self {
            CheckStatus::Unknown => ("UNK", "Unknown", 0),
            CheckStatus::Initializing => ("INI", "Initializing", 1),
            CheckStatus::SocketError => ("SOCKERR", "Socket error", 4),
            CheckStatus::L4Timeout => ("L4TOUT", "Layer4 timeout", 7),
            CheckStatus::L4Connection => ("L4CON", "Layer4 connection problem", 8),
            CheckStatus::L6Timeout => ("L6TOUT", "Layer6 timeout", 10),
            CheckStatus::L6Response => ("L6RSP", "Layer6 invalid response", 11),
            CheckStatus::L7Ok => ("L7OK", "Layer7 check passed", 15),
            CheckStatus::L7OkConditional => ("L7OKC", "Layer7 check conditionally passed", 16),
            CheckStatus::L7Timeout => ("L7TOUT", "Layer7 timeout", 12),
            CheckStatus::L7Response => ("L7RSP", "Layer7 invalid response", 13),
            CheckStatus::L7Status => ("L7STS", "Layer7 wrong status", 17),
            CheckStatus::Observed => ("HANA", "Health analyze", 2),
        }
    }
}

/// The last check of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CheckResult {
    /// How it ended.
    pub status: CheckStatus,
    /// Status of the answer, if there was one.
    pub http: Option<u16>,
    /// Milliseconds it took.
    pub duration_ms: u64,
    /// What else is known, such as `Connection refused`.
    pub info: String,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn health() -> Health {
        Health::new(&CheckOptions::default())
    }

    #[track_caller]
    fn check(start: Health, checks: &[bool], texts: &[&str]) {
        let mut health = start;
        let shown: Vec<_> = checks
            .iter()
            .map(|passed| {
                health.record(*passed);
                health.text("UP")
            })
            .collect();
        assert_eq!(shown, texts);
    }

    #[test]
    fn full_health_needs_fall_failures_and_rise_passes() {
        let mut full = health();
        full.record(true);
        check(
            full,
            &[false, false, false, false, true, true],
            &["UP 2/3", "UP 1/3", "DOWN", "DOWN", "DOWN 1/2", "UP"],
        );
        check(full, &[false, true, false], &["UP 2/3", "UP", "UP 2/3"]);
    }

    #[test]
    fn first_failure_after_start_brings_down() {
        assert_eq!(health().text("UP"), "UP 1/3");
        check(health(), &[false], &["DOWN"]);
        check(health(), &[true], &["UP"]);
        let mut health = health();
        assert_eq!(health.record(false), Some(Flip::Down));
        assert_eq!(health.record(true), None);
        assert_eq!(health.record(true), Some(Flip::Up));
    }

    #[test]
    fn a_pass_lost_on_the_way_up_starts_again() {
        let mut down = health();
        down.record(false);
        check(down, &[true, false, true, true], &["DOWN 1/2", "DOWN", "DOWN 1/2", "UP"]);
    }

    #[test]
    fn intervals_follow_the_state() {
        let seconds = Duration::from_secs;
        let options = CheckOptions {
            fast_interval: seconds(2),
            down_interval: seconds(5),
            ..CheckOptions::default()
        };
        let mut health = Health::new(&options);
        assert_eq!(health.interval(&options), seconds(2));
        health.record(true);
        assert_eq!(health.interval(&options), seconds(10));
        health.record(false);
        assert_eq!(health.interval(&options), seconds(2));
        health.record(false);
        health.record(false);
        assert_eq!(health.interval(&options), seconds(5));
        assert_eq!(health.interval(&CheckOptions::default()), seconds(10));
    }

    proptest! {
        #[test]
        fn health_stays_in_bounds(checks: Vec<bool>, rise in 1u32..6, fall in 1u32..6) {
            let options = CheckOptions { rise, fall, ..CheckOptions::default() };
            let mut health = Health::new(&options);
            for passed in checks {
                health.record(passed);
                prop_assert!(health.value() < rise + fall);
                prop_assert!(!passed || health.value() > 0);
            }
        }
    }
}
