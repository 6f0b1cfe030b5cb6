//! Sending: one [`Notifier`] per configured integration, one file per kind of receiver.
//!
//! The engine builds the notifiers of a configuration with [`Notifier::build`], and for each due
//! group and integration runs [`deliver`], which makes attempts until one passes, is refused for
//! good, or the deadline comes. It asks the engine's [`Attempts`] before each of them, because
//! another node may have told the same in the meantime. Nothing here knows routes, logs or peers.

mod error;
mod json;
mod retry;

use std::collections::BTreeMap;

pub use error::{BuildError, FailureReason, SendError, report};
pub use retry::{Attempt, Attempts, Failure, Outcome, deliver};

use crate::message::{Alert, Kv};

/// What a receiver keeps between notifications of one group, carried by the notification log.
pub type ReceiverData = BTreeMap<String, String>;

/// What is the same for all attempts of one flush to one integration.
#[derive(Debug, Default)]
pub struct Context {
    /// Text of the group's key, as upstream writes it: the identity that receivers see.
    pub group_key: String,
    /// Labels by which the alerts are grouped.
    pub group_labels: Kv,
    /// Labels of the route, already rendered.
    pub route_labels: Kv,
}

/// The alerts of one attempt; the next attempt may have others.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Firing and resolved alerts, in the order to be told. A notifier that does not tell resolved
    /// ones leaves them out itself.
    pub alerts: Vec<Alert>,
    /// `first notification`, `new alerts added`, … or `unknown`.
    pub reason: &'static str,
    /// What the receiver kept at the last notification; empty at the first one.
    pub receiver_data: ReceiverData,
}

/// A notification that has arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// What the receiver wants to find again at the next notification; `None` keeps the old data.
    pub receiver_data: Option<ReceiverData>,
    /// Nothing had to be told: only resolved alerts for an integration that does not tell them.
    pub skipped: bool,
}
