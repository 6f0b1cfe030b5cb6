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

use crate::config::block::Block;
use crate::config::global::Global;
use crate::config::receiver::{Found, read_kind};
use crate::message::{Alert, Kv};

/// Makes the modules, the configuration enum and the list of names. The order is the one in which
/// the integrations of a receiver are numbered and told.
macro_rules! receivers {
    ($($key:ident => $module:ident $variant:ident,)*) => {
        $(pub mod $module;)*

        /// The names of all integrations, as metric labels and log entries have them.
        pub const KINDS: &[&str] = &[$(stringify!($module)),*];

        /// The configuration of one integration.
        #[derive(Clone, Debug)]
        pub enum Settings {
            $(#[doc = concat!("`", stringify!($key), "`")] $variant(Box<$module::Config>),)*
        }

        impl Settings {
            /// The integration's name, one of [`KINDS`].
            #[must_use]
            pub fn kind(&self) -> &'static str {
                match self { $(Self::$variant(_) => stringify!($module),)* }
            }
        }

        /// Reads all integrations of a receiver, in order.
        pub(crate) fn check_all(receiver: &Block<'_>, global: &Global, found: &mut Found) {
            $(
                let names = (stringify!($key), stringify!($module));
                let wrap = |config| Settings::$variant(Box::new(config));
                read_kind(receiver, global, found, names, $module::check, wrap);
            )*
        }
    };
}

receivers! {
    webhook_configs => webhook Webhook,
    email_configs => email Email,
    pagerduty_configs => pagerduty PagerDuty,
    opsgenie_configs => opsgenie OpsGenie,
    wechat_configs => wechat WeChat,
    slack_configs => slack Slack,
    victorops_configs => victorops VictorOps,
    pushover_configs => pushover Pushover,
    sns_configs => sns Sns,
    telegram_configs => telegram Telegram,
    discord_configs => discord Discord,
    webex_configs => webex Webex,
    msteams_configs => msteams MsTeams,
    msteamsv2_configs => msteamsv2 MsTeamsV2,
    jira_configs => jira Jira,
    incidentio_configs => incidentio IncidentIo,
    rocketchat_configs => rocketchat RocketChat,
    mattermost_configs => mattermost Mattermost,
}

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
