//! Silences: their states, and what an edit or an expiry makes of them. Knows no store.

mod index;
mod sieve;

use std::time::Duration;

use jiff::Timestamp;

pub use index::Silencer;

use crate::label::{Labels, Lookup};
use crate::matcher::{MatchOp, Matcher, Matchers, NameRule};
use crate::quote::quoted;
use crate::regex::BadRegex;
use crate::time;

/// A silence as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// A UUID as text.
    pub id: Box<str>,
    /// The silence matches when any set does; the API makes one.
    pub matcher_sets: Vec<Matchers>,
    /// Kept as given; nothing evaluates it yet.
    pub receiver_matcher_sets: Vec<Vec<RawMatcher>>,
    /// First moment it mutes.
    pub starts_at: Timestamp,
    /// First moment it mutes no more.
    pub ends_at: Timestamp,
    /// The last change; rises with every change.
    pub updated_at: Timestamp,
    /// Who made it.
    pub created_by: Box<str>,
    /// Why.
    pub comment: Box<str>,
    /// Free texts.
    pub annotations: Labels,
}

/// Where a silence is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Mutes.
    Active,
    /// Will mute.
    Pending,
    /// Mutes no more.
    Expired,
}

impl State {
    /// The word of the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Pending => "pending",
            Self::Expired => "expired",
        }
    }
}

impl Silence {
    /// Its state at `now`; the end is not included.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> State {
        state(self.starts_at, self.ends_at, now)
    }

    /// Whether any of its matcher sets holds, whatever its state.
    #[must_use]
    pub fn matches(&self, labels: &(impl Lookup + ?Sized)) -> bool {
        self.matcher_sets.iter().any(|set| set.matches(labels))
    }

    /// When the record may be forgotten.
    #[must_use]
    pub fn expires_at(&self, retention: Duration) -> Timestamp {
        time::add(self.ends_at, retention)
    }

    /// The silence ended `now`; `None` when it has ended already.
    #[must_use]
    pub fn expired(&self, now: Timestamp) -> Option<Self> {
        let starts_at = match self.state(now) {
            State::Expired => return None,
            State::Active => self.starts_at,
            State::Pending => now,
        };
        let updated_at = self.next_update(now);
        Some(Self { starts_at, ends_at: now, updated_at, ..self.clone() })
    }

    /// The moment of a change: later than that of the one before, whatever the clocks say.
    fn next_update(&self, now: Timestamp) -> Timestamp {
        now.max(time::add(self.updated_at, Duration::from_millis(1)))
    }

    /// Whether the edit may keep the identity: the same matchers in the same order, and not another past.
    fn takes(&self, edit: &Self, now: Timestamp) -> bool {
        let same_future = match self.state(now) {
            State::Active => {
                self.starts_at.as_second() == edit.starts_at.as_second() && now <= edit.ends_at
            }
            State::Pending => now <= edit.starts_at,
            State::Expired => false,
        };
        same_future && self.matcher_sets == edit.matcher_sets
    }
}

fn state(starts_at: Timestamp, ends_at: Timestamp, now: Timestamp) -> State {
    if ends_at <= now {
        return State::Expired;
    }
    if starts_at <= now { State::Active } else { State::Pending }
}

/// A matcher that nobody has looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawMatcher {
    /// The label's name.
    pub name: Box<str>,
    /// The operator.
    pub op: MatchOp,
    /// The value or expression.
    pub value: Box<str>,
}

/// A silence as it is posted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SilenceInput {
    /// Empty to make a new one.
    pub id: Box<str>,
    /// The API sends one set.
    pub matcher_sets: Vec<Vec<RawMatcher>>,
    /// `None` is now.
    pub starts_at: Option<Timestamp>,
    /// Required.
    pub ends_at: Option<Timestamp>,
    /// Who makes it.
    pub created_by: Box<str>,
    /// Why.
    pub comment: Box<str>,
    /// Free texts.
    pub annotations: Labels,
}

/// What a post changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// The same identity with new contents.
    Update(Silence),
    /// A new silence; the one it replaces ends.
    Create {
        /// To be stored under its new identity.
        silence: Silence,
        /// The edited one, ended now, unless it had ended already or there was none.
        ended: Option<Silence>,
    },
}

impl Edit {
    /// The silence whose identity the answer carries.
    #[must_use]
    pub fn silence(&self) -> &Silence {
        match self {
            Self::Update(silence) | Self::Create { silence, .. } => silence,
        }
    }
}

/// The bounds of the command line; `None` is no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// How many silences may be stored, ended ones included.
    pub count: Option<usize>,
    /// How many bytes the stored form of one may have.
    pub size_bytes: Option<usize>,
}

impl Limits {
    /// Whether there is room for the edit beside `stored` silences; an update needs none.
    /// # Errors
    /// [`InvalidSilence::TooMany`].
    pub fn check_count(&self, edit: &Edit, stored: usize) -> Result<(), InvalidSilence> {
        match (edit, self.count) {
            (Edit::Create { .. }, Some(limit)) if stored >= limit => {
                Err(InvalidSilence::TooMany { count: stored, limit })
            }
            _ => Ok(()),
        }
    }

    /// Whether the stored form is small enough.
    /// # Errors
    /// [`InvalidSilence::TooLarge`].
    pub fn check_size(&self, size: usize) -> Result<(), InvalidSilence> {
        match self.size_bytes {
            Some(limit) if size > limit => Err(InvalidSilence::TooLarge { size, limit }),
            _ => Ok(()),
        }
    }
}

/// Why a posted silence is refused; prints as upstream says it, without the `invalid silence: ` that the API puts before all but the limits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSilence {
    /// Its identity is given and unknown.
    #[error("silence not found")]
    NotFound,
    /// There are no matchers at all.
    #[error("at least one matcher set required")]
    NoSets,
    /// A set has no matchers.
    #[error("matcher set {0} is empty")]
    EmptySet(usize),
    /// A matcher's label name is not allowed.
    #[error("invalid label matcher {at} in set {set}: invalid label name {}", quoted(name))]
    Name {
        /// Position of the set.
        set: usize,
        /// Position in the set.
        at: usize,
        /// The name.
        name: String,
    },
    /// A matcher's expression is none.
    #[error(
        "invalid label matcher {at} in set {set}: invalid regular expression {text:?}: {source}"
    )]
    Regex {
        /// Position of the set.
        set: usize,
        /// Position in the set.
        at: usize,
        /// The expression.
        text: String,
        /// What is wrong with it.
        source: BadRegex,
    },
    /// The set would match alerts by what they lack.
    #[error("matcher set {0}: at least one matcher must not match the empty string")]
    MatchesEmpty(usize),
    /// No end.
    #[error("invalid zero end timestamp")]
    NoEnd,
    /// It ends before it starts.
    #[error("end time must not be before start time")]
    EndBeforeStart,
    /// [`Limits::count`].
    #[error("exceeded maximum number of silences: {count} (limit: {limit})")]
    TooMany {
        /// How many are stored.
        count: usize,
        /// How many may be.
        limit: usize,
    },
    /// [`Limits::size_bytes`].
    #[error("silence exceeded maximum size: {size} bytes (limit: {limit} bytes)")]
    TooLarge {
        /// Its size.
        size: usize,
        /// What is allowed.
        limit: usize,
    },
}

/// What a post at `now` makes of `current`, the silence with the posted identity. `new_id` gives the identity of a new silence.
///
/// Source: server.md 7.3. Limits are checked on the result by [`Limits`].
/// # Errors
/// [`InvalidSilence`]; nothing changes then.
pub fn edit(
    input: SilenceInput,
    current: Option<&Silence>,
    now: Timestamp,
    names: NameRule,
    new_id: impl FnOnce() -> Box<str>,
) -> Result<Edit, InvalidSilence> {
    let starts_at = input.starts_at.unwrap_or(now);
    let matcher_sets = check_sets(&input.matcher_sets, names)?;
    let ends_at = input.ends_at.ok_or(InvalidSilence::NoEnd)?;
    if ends_at < starts_at {
        return Err(InvalidSilence::EndBeforeStart);
    }
    if !input.id.is_empty() && current.is_none() {
        return Err(InvalidSilence::NotFound);
    }
    let posted = Silence {
        id: input.id,
        matcher_sets,
        receiver_matcher_sets: current
            .map(|old| old.receiver_matcher_sets.clone())
            .unwrap_or_default(),
        starts_at,
        ends_at,
        updated_at: now,
        created_by: input.created_by,
        comment: input.comment,
        annotations: input.annotations,
    };
    Ok(match current {
        Some(old) if old.takes(&posted, now) => {
            Edit::Update(Silence { updated_at: old.next_update(now), ..posted })
        }
        _ => {
            let starts_at = starts_at.max(now);
            let silence = Silence { id: new_id(), starts_at, ..posted };
            Edit::Create { silence, ended: current.and_then(|old| old.expired(now)) }
        }
    })
}

/// Compiles and checks the matchers of a silence.
/// # Errors
/// Those of [`InvalidSilence`] that are about matchers.
pub fn check_sets(
    sets: &[Vec<RawMatcher>],
    names: NameRule,
) -> Result<Vec<Matchers>, InvalidSilence> {
    if sets.is_empty() {
        return Err(InvalidSilence::NoSets);
    }
    sets.iter().enumerate().map(|(set, raw)| check_set(set, raw, names)).collect()
}

fn check_set(set: usize, raw: &[RawMatcher], names: NameRule) -> Result<Matchers, InvalidSilence> {
    if raw.is_empty() {
        return Err(InvalidSilence::EmptySet(set));
    }
    let compile = |(at, RawMatcher { name, op, value }): (usize, &RawMatcher)| {
        if !names.allows(name) {
            return Err(InvalidSilence::Name { set, at, name: name.to_string() });
        }
        Matcher::new(name.clone(), *op, value.clone()).map_err(|source| InvalidSilence::Regex {
            set,
            at,
            text: value.to_string(),
            source,
        })
    };
    let matchers: Matchers = raw.iter().enumerate().map(compile).collect::<Result<_, _>>()?;
    let matches_empty = |matcher: &Matcher| matcher.op().is_equal() && matcher.matches("");
    if matchers.iter().all(matches_empty) {
        return Err(InvalidSilence::MatchesEmpty(set));
    }
    Ok(matchers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn raw(name: &str, op: MatchOp, value: &str) -> RawMatcher {
        RawMatcher { name: name.into(), op, value: value.into() }
    }

    fn input(id: &str, (start, end): (i64, i64)) -> SilenceInput {
        SilenceInput {
            id: id.into(),
            matcher_sets: vec![vec![
                raw("a", MatchOp::Equal, "1"),
                raw("b", MatchOp::Regex, "2|3"),
            ]],
            starts_at: Some(at(start)),
            ends_at: Some(at(end)),
            created_by: "me".into(),
            ..SilenceInput::default()
        }
    }

    fn post(
        input: SilenceInput,
        current: Option<&Silence>,
        now: i64,
    ) -> Result<Edit, InvalidSilence> {
        edit(input, current, at(now), NameRule::Utf8, || "new".into())
    }

    fn stored(times: (i64, i64), now: i64) -> Silence {
        post(input("", times), None, now).unwrap().silence().clone()
    }

    #[test]
    fn state_has_its_start_and_not_its_end() {
        let silence = stored((10, 20), 0);
        let states = [9, 10, 19, 20].map(|now| silence.state(at(now)));
        assert_eq!(states, [State::Pending, State::Active, State::Active, State::Expired]);
    }

    /// Trap 35.
    #[test]
    fn start_in_the_past_becomes_now() {
        let silence = stored((10, 100), 50);
        assert_eq!((silence.starts_at, silence.updated_at), (at(50), at(50)));
        let unset = SilenceInput { starts_at: None, ..input("", (0, 100)) };
        assert_eq!(post(unset, None, 50).unwrap().silence().starts_at, at(50));
    }

    #[test]
    fn invalid_silences_are_refused_with_the_words_of_upstream() {
        let check = |matchers: Vec<Vec<RawMatcher>>, names, text: &str| {
            let input = SilenceInput { matcher_sets: matchers, ..input("", (10, 20)) };
            let error = edit(input, None, at(0), names, || "new".into()).unwrap_err();
            assert_eq!(error.to_string(), text);
        };
        let good = || raw("a", MatchOp::Equal, "1");
        check(vec![], NameRule::Utf8, "at least one matcher set required");
        check(vec![vec![good()], vec![]], NameRule::Utf8, "matcher set 1 is empty");
        let colon = vec![vec![good(), raw("a:b", MatchOp::Equal, "1")]];
        check(
            colon,
            NameRule::Classic,
            r#"invalid label matcher 1 in set 0: invalid label name "a:b""#,
        );
        check(
            vec![vec![raw("a", MatchOp::Regex, "(")]],
            NameRule::Utf8,
            r#"invalid label matcher 0 in set 0: invalid regular expression "(": error parsing regexp: missing closing ): `^(?:()$`"#,
        );
        let empty = "matcher set 0: at least one matcher must not match the empty string";
        check(vec![vec![raw("a", MatchOp::Equal, "")]], NameRule::Utf8, empty);
        check(vec![vec![raw("a", MatchOp::Regex, ".*")]], NameRule::Utf8, empty);
        assert!(check_sets(&[vec![raw("a", MatchOp::NotEqual, "")]], NameRule::Utf8).is_ok());
        assert!(check_sets(&[vec![raw("a", MatchOp::NotRegex, "x")]], NameRule::Utf8).is_ok());
        assert_eq!(post(input("", (20, 10)), None, 0), Err(InvalidSilence::EndBeforeStart));
        let endless = SilenceInput { ends_at: None, ..input("", (20, 10)) };
        assert_eq!(post(endless, None, 0), Err(InvalidSilence::NoEnd));
    }

    /// Trap 31.
    #[test]
    fn new_end_keeps_the_identity_of_an_active_silence() {
        let old = Silence { id: "old".into(), ..stored((10, 100), 0) };
        let within_the_second = Timestamp::new(10, 999_000_000).unwrap();
        let post_end =
            SilenceInput { starts_at: Some(within_the_second), ..input("old", (10, 200)) };
        let Ok(Edit::Update(new)) = post(post_end, Some(&old), 50) else { panic!("new identity") };
        assert_eq!((&*new.id, new.ends_at, new.updated_at), ("old", at(200), at(50)));
    }

    #[track_caller]
    fn replaces(input: SilenceInput, old: &Silence, now: i64, ended: Option<(i64, i64)>) {
        let Ok(Edit::Create { silence, ended: found }) = post(input, Some(old), now) else {
            panic!("kept its identity")
        };
        assert_eq!(&*silence.id, "new");
        let ended = ended.map(|(start, end)| (at(start), at(end)));
        assert_eq!(found.map(|old| (old.starts_at, old.ends_at)), ended);
    }

    /// Traps 32 and 33.
    #[test]
    fn edit_that_changes_the_past_or_the_matchers_makes_a_new_silence() {
        let old = Silence { id: "old".into(), ..stored((10, 100), 0) };
        let mut turned = input("old", (10, 100));
        turned.matcher_sets[0].reverse();
        replaces(turned, &old, 50, Some((10, 50)));
        replaces(input("old", (11, 100)), &old, 50, Some((10, 50)));
        replaces(input("old", (10, 49)), &old, 50, Some((10, 50)));
        replaces(input("old", (4, 100)), &old, 5, Some((5, 5)));
        replaces(input("old", (200, 300)), &old, 150, None);
        assert_eq!(post(input("old", (10, 100)), None, 0), Err(InvalidSilence::NotFound));
        assert!(matches!(post(input("old", (20, 90)), Some(&old), 5), Ok(Edit::Update(_))));
    }

    /// Trap 34.
    #[test]
    fn expiry_ends_now_and_only_once() {
        let silence = stored((10, 100), 0);
        let times = |silence: &Silence| (silence.starts_at, silence.ends_at, silence.updated_at);
        let ended = silence.expired(at(50)).unwrap();
        assert_eq!(times(&ended), (at(10), at(50), at(50)));
        assert_eq!(ended.state(at(50)), State::Expired);
        assert_eq!(times(&silence.expired(at(5)).unwrap()), (at(5), at(5), at(5)));
        assert_eq!(silence.expired(at(100)), None);
    }

    #[test]
    fn change_is_later_than_the_one_before_whatever_the_clock() {
        let old = Silence { updated_at: at(500), ..stored((10, 100), 0) };
        assert_eq!(
            old.expired(at(50)).unwrap().updated_at,
            Timestamp::new(500, 1_000_000).unwrap()
        );
    }

    #[test]
    fn limits_count_what_is_stored_and_spare_updates() {
        let limits = Limits { count: Some(2), size_bytes: Some(10) };
        let create = post(input("", (10, 20)), None, 0).unwrap();
        let update = Edit::Update(create.silence().clone());
        assert!(limits.check_count(&create, 1).is_ok());
        assert!(limits.check_count(&update, 2).is_ok());
        let text = limits.check_count(&create, 2).unwrap_err().to_string();
        assert_eq!(text, "exceeded maximum number of silences: 2 (limit: 2)");
        assert!(limits.check_size(10).is_ok());
        let text = limits.check_size(11).unwrap_err().to_string();
        assert_eq!(text, "silence exceeded maximum size: 11 bytes (limit: 10 bytes)");
        assert!(Limits::default().check_count(&create, usize::MAX).is_ok());
    }
}
