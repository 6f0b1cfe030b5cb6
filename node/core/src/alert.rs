//! Alerts: what is posted, what is kept, and how a post changes what is kept. Knows no store and no stamp.

mod limit;

use std::time::Duration;

use jiff::Timestamp;

pub use limit::NameLimit;

use crate::label::Labels;
use crate::matcher::NameRule;
use crate::time;

/// An end no later than this after the moment of the post counts as told by the sender, not as an expiry.
const EXPLICIT_SLACK: Duration = Duration::from_secs(2);

/// An alert as it is posted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AlertInput {
    /// As sent; empty values are dropped by [`ingest`].
    pub labels: Labels,
    /// As sent; empty values stay.
    pub annotations: Labels,
    /// `None` when not sent.
    pub starts_at: Option<Timestamp>,
    /// `None` when not sent: the alert then ends `resolve_timeout` from now.
    pub ends_at: Option<Timestamp>,
    /// The link back to the sender, may be empty.
    pub generator_url: Box<str>,
}

/// An alert as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// What the alert is; never with an empty value.
    pub labels: Labels,
    /// What is said about it.
    pub annotations: Labels,
    /// The link back to the sender, may be empty.
    pub generator_url: Box<str>,
    /// Since when it fires.
    pub starts_at: Timestamp,
    /// When it stops or stopped to fire.
    pub ends_at: Timestamp,
    /// When it was posted last; rises with every post.
    pub updated_at: Timestamp,
    /// When the first post of this firing episode came.
    pub received_at: Timestamp,
    /// `ends_at` was made up from `resolve_timeout`.
    pub timeout: bool,
    /// The sender said that it has ended, so `ends_at` is no expiry.
    pub explicit_end: bool,
}

impl Alert {
    /// Whether it has ended at `now`.
    #[must_use]
    pub fn is_resolved(&self, now: Timestamp) -> bool {
        self.times().is_resolved(now)
    }

    /// The part of it that every post changes.
    #[must_use]
    pub fn times(&self) -> Times {
        Times {
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            updated_at: self.updated_at,
            received_at: self.received_at,
            timeout: self.timeout,
            explicit_end: self.explicit_end,
        }
    }
}

/// The moments of an alert, for stores that keep them apart from its texts; fields as in [`Alert`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of Alert")]
pub struct Times {
    pub starts_at: Timestamp,
    pub ends_at: Timestamp,
    pub updated_at: Timestamp,
    pub received_at: Timestamp,
    pub timeout: bool,
    pub explicit_end: bool,
}

impl Times {
    /// Fills in what the post leaves out: the start is the end or `now`, the end is `now` + `resolve_timeout`.
    /// # Errors
    /// [`InvalidAlert::EndBeforeStart`].
    pub fn of_post(
        starts_at: Option<Timestamp>,
        ends_at: Option<Timestamp>,
        now: Timestamp,
        resolve_timeout: Duration,
    ) -> Result<Self, InvalidAlert> {
        let starts_at = starts_at.or(ends_at).unwrap_or(now);
        let timeout = ends_at.is_none();
        let ends_at = ends_at.unwrap_or_else(|| time::add(now, resolve_timeout));
        if ends_at < starts_at {
            return Err(InvalidAlert::EndBeforeStart);
        }
        let explicit_end = !timeout && ends_at <= time::add(now, EXPLICIT_SLACK);
        Ok(Self { starts_at, ends_at, updated_at: now, received_at: now, timeout, explicit_end })
    }

    /// These times of a new post on top of the current ones: upstream's merge, in which the post is always the younger.
    ///
    /// Only when both overlap the earlier start is kept, and a later end that was not made up outlives a firing post;
    /// otherwise the post replaces. `received_at` stays as long as the alert fires on.
    #[must_use]
    pub fn over(self, current: &Self, now: Timestamp) -> Self {
        let mut times = self;
        if self.overlaps(current) {
            times.starts_at = current.starts_at.min(self.starts_at);
            let resolved = self.is_resolved(now);
            let keeps_end = if resolved { current.is_resolved(now) } else { !current.timeout };
            if keeps_end && self.ends_at < current.ends_at {
                times.ends_at = current.ends_at;
                // A resolve stays one, also when an expiry just before it gives the end.
                times.explicit_end = current.explicit_end || (resolved && self.explicit_end);
            }
        }
        times.updated_at = now.max(time::add(current.updated_at, Duration::from_millis(1)));
        if !current.is_resolved(now) || times.is_resolved(now) {
            times.received_at = current.received_at;
        }
        times
    }

    /// Whether the alert has ended at `now`.
    #[must_use]
    pub fn is_resolved(&self, now: Timestamp) -> bool {
        self.ends_at <= now
    }

    fn overlaps(&self, old: &Self) -> bool {
        let end_inside = self.ends_at > old.starts_at && self.ends_at < old.ends_at;
        let start_inside = self.starts_at > old.starts_at && self.starts_at < old.ends_at;
        end_inside || start_inside
    }
}

/// While the sources of alerts may be unheard, alerts that end by expiry count as firing a little longer (ha.md 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hold {
    /// While the cluster is split: how long past its end an alert goes on.
    pub past_end: Duration,
    /// After a cold start or a long stall.
    pub cold: Option<ColdHold>,
}

/// After a cold start: alerts last posted before it go on until their sources had time to send again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColdHold {
    /// The start: only alerts whose last post is older are held.
    pub before: Timestamp,
    /// Until when they count as firing.
    pub until: Timestamp,
}

impl Hold {
    /// When the alert ends while this holds; its own end when it was told by the sender.
    #[must_use]
    pub fn end_of(&self, times: &Times) -> Timestamp {
        if times.explicit_end {
            return times.ends_at;
        }
        let end = time::add(times.ends_at, self.past_end);
        match self.cold {
            Some(cold) if times.updated_at < cold.before => end.max(cold.until),
            _ => end,
        }
    }

    /// Whether the alert has ended at `now` while this holds.
    #[must_use]
    pub fn is_resolved(&self, times: &Times, now: Timestamp) -> bool {
        self.end_of(times) <= now
    }
}

/// Why a posted alert is refused; prints as upstream says it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAlert {
    /// It ends before it starts.
    #[error("start time must be before end time")]
    EndBeforeStart,
    /// It has no label with a value.
    #[error("at least one label pair required")]
    NoLabels,
    /// A label's name is not allowed.
    #[error("invalid label set: invalid name {0:?}")]
    LabelName(String),
    /// An annotation's name is not allowed.
    #[error("invalid annotations: invalid name {0:?}")]
    AnnotationName(String),
}

/// What becomes of the current alert (of the same labels) when `input` is posted at `now`.
///
/// Source: server.md 3.1 and 3.2, ha.md 3.2.
/// # Errors
/// [`InvalidAlert`]; the current alert then stays as it is.
pub fn ingest(
    input: AlertInput,
    current: Option<&Alert>,
    now: Timestamp,
    resolve_timeout: Duration,
    names: NameRule,
) -> Result<Alert, InvalidAlert> {
    let labels = input.labels.without_empty();
    let posted = Times::of_post(input.starts_at, input.ends_at, now, resolve_timeout)?;
    check_texts(&labels, &input.annotations, names)?;
    let times = match current {
        Some(current) => posted.over(&current.times(), now),
        None => posted,
    };
    Ok(Alert {
        labels,
        annotations: input.annotations,
        generator_url: input.generator_url,
        starts_at: times.starts_at,
        ends_at: times.ends_at,
        updated_at: times.updated_at,
        received_at: times.received_at,
        timeout: times.timeout,
        explicit_end: times.explicit_end,
    })
}

/// The checks of labels and annotations in upstream's order; `labels` without empty values.
/// # Errors
/// All of [`InvalidAlert`] but the one about times.
pub fn check_texts(
    labels: &Labels,
    annotations: &Labels,
    names: NameRule,
) -> Result<(), InvalidAlert> {
    if labels.is_empty() {
        return Err(InvalidAlert::NoLabels);
    }
    let wrong = |set: &Labels| {
        set.iter().find(|(name, _)| !names.allows(name)).map(|(name, _)| name.to_owned())
    };
    if let Some(name) = wrong(labels) {
        return Err(InvalidAlert::LabelName(name));
    }
    match wrong(annotations) {
        Some(name) => Err(InvalidAlert::AnnotationName(name)),
        None => Ok(()),
    }
}
