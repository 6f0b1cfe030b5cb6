//! Sending: one [`Notifier`] per configured integration, one file per kind of receiver.
//!
//! The engine builds the notifiers of a configuration with [`Notifier::build`], and for each due
//! group and integration runs [`deliver`], which makes attempts until one passes, is refused for
//! good, or the deadline comes. It asks the engine's [`Attempts`] before each of them, because
//! another node may have told the same in the meantime. Nothing here knows routes, logs or peers.

mod aws;
mod call;
mod cut;
mod deny;
mod error;
#[cfg(test)]
mod every;
pub(crate) mod http;
mod json;
mod mail;
mod oauth;
pub(crate) mod proxy;
mod retry;
mod smtp;
#[cfg(test)]
mod testing;
pub(crate) mod tls;
mod tree;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tocsin_core::nflog::DataValue;
use tocsin_service::clock::Clock;
use url::Url;

pub(crate) use call::hash as group_id;
pub use deny::{BadNetwork, Deny};
pub use error::{BuildError, FailureReason, SendError, report};
pub use http::reach;
pub use retry::{Attempt, Attempts, Failure, Outcome, deliver};
pub(crate) use smtp::converse_with;

use crate::config::Integration;
use crate::config::block::Block;
use crate::config::global::Global;
use crate::config::http::Source;
use crate::config::receiver::{Found, read_kind};
use crate::message::{Alert, AlertStatus, Kv, Templates};
use call::Call;

/// What requests say about their sender.
pub(crate) const USER_AGENT: &str =
    concat!("Alertmanager/0.34.0+tocsin.", env!("CARGO_PKG_VERSION"));

/// Makes the modules, the configuration enum, the senders and the list of names. The order is the
/// one in which the integrations of a receiver are numbered and told.
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

        enum Sender {
            $($variant(Box<$module::Sender>),)*
        }

        impl Sender {
            fn build(settings: &Settings, parts: &Parts) -> Result<Self, BuildError> {
                match settings {
                    $(Settings::$variant(config) => {
                        let sender = $module::Sender::build(config, parts)?;
                        Ok(Self::$variant(Box::new(sender)))
                    })*
                }
            }

            async fn send(&self, call: Call<'_>) -> Result<Sent, SendError> {
                match self {
                    $(Self::$variant(sender) => Box::pin(sender.send(call)).await,)*
                }
            }

            fn timeout(&self) -> Option<Duration> {
                match self { $(Self::$variant(sender) => sender.timeout(),)* }
            }
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
pub type ReceiverData = BTreeMap<String, DataValue>;

/// What all integrations of a configuration share.
#[derive(Clone)]
pub struct Parts {
    /// The templates of the configuration.
    pub templates: Arc<Templates>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where people find this server, without a slash at the end.
    pub external_url: Arc<str>,
    /// Networks that no receiver may be reached in.
    pub deny: Arc<Deny>,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("external_url", &self.external_url).finish_non_exhaustive()
    }
}

/// What is the same for all attempts of one flush to one integration.
#[derive(Debug, Default)]
pub struct Context {
    /// Text of the group's key, as upstream writes it: the identity that receivers see.
    pub group_key: String,
    /// Labels by which the alerts are grouped.
    pub group_labels: Kv,
    /// Labels of the route, already rendered.
    pub route_labels: Kv,
    /// Part of the message that has arrived at earlier attempts of this flush; see `email`.
    arrived: std::sync::Mutex<std::collections::BTreeSet<String>>,
}

impl Context {
    /// The start of a flush.
    #[must_use]
    pub fn new(group_key: String, group_labels: Kv, route_labels: Kv) -> Self {
        Self { group_key, group_labels, route_labels, ..Self::default() }
    }
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
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sent {
    /// What the receiver wants to find again at the next notification; `None` keeps the old data.
    pub receiver_data: Option<ReceiverData>,
    /// Nothing had to be told: only resolved alerts for an integration that does not tell them.
    pub skipped: bool,
}

/// One integration of one receiver, ready to send. Its connections live as long as it does.
pub struct Notifier {
    name: String,
    receiver: String,
    kind: &'static str,
    index: usize,
    send_resolved: bool,
    sender: Sender,
    parts: Parts,
}

impl fmt::Debug for Notifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notifier").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Notifier {
    /// Builds the integration; files with certificates are read for the first time.
    /// # Errors
    /// On a file that cannot be read or used: the configuration must not be loaded.
    pub fn build(
        receiver: &str,
        integration: &Integration,
        parts: &Parts,
    ) -> Result<Self, BuildError> {
        let (kind, index) = (integration.config.kind(), integration.index);
        Ok(Self {
            name: format!("{receiver}/{kind}[{index}]"),
            receiver: receiver.to_owned(),
            kind,
            index,
            send_resolved: integration.send_resolved,
            sender: Sender::build(&integration.config, parts)?,
            parts: parts.clone(),
        })
    }

    /// `receiver/integration[index]`, as errors and logs name it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The receiver's name.
    #[must_use]
    pub fn receiver(&self) -> &str {
        &self.receiver
    }

    /// The integration's name, one of [`KINDS`].
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Position among the receiver's integrations of the same kind, from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Whether resolved alerts are told.
    #[must_use]
    pub fn send_resolved(&self) -> bool {
        self.send_resolved
    }

    /// The receiver's own bound for one attempt, if it has one.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.sender.timeout()
    }

    /// One attempt. The caller bounds it by the deadline of the flush.
    /// # Errors
    /// Says whether the same message may pass later, and the class for the metric.
    pub async fn send(&self, context: &Context, batch: &Batch) -> Result<Sent, SendError> {
        let fires = |alert: &&Alert| alert.status == AlertStatus::Firing;
        let alerts: Vec<Alert> = if self.send_resolved {
            batch.alerts.clone()
        } else {
            batch.alerts.iter().filter(fires).cloned().collect()
        };
        if alerts.is_empty() {
            return Ok(Sent { skipped: true, ..Sent::default() });
        }
        let names = (self.receiver.as_str(), self.kind);
        let call = Call::new(names, context, batch, alerts, &self.parts);
        self.sender.send(call).await
    }
}

/// A configured bound; zero is none.
fn some_time(timeout: Duration) -> Option<Duration> {
    (!timeout.is_zero()).then_some(timeout)
}

/// A URL made of a template or read from a file; the error does not show it.
fn parse_url(text: &str) -> Result<Url, SendError> {
    Url::parse(text).map_err(|error| SendError::unmade("parse URL <redacted>", error))
}

/// The secret now; unlike `http_config`'s, a file that cannot be read is final for this flush.
fn secret(source: &Source) -> Result<String, SendError> {
    http::read_secret(source).map_err(|error| match error {
        SendError::Unavailable { what, source, .. } => SendError::Unmade { what, source },
        other => other,
    })
}

/// Bounds one attempt by the receiver's own timeout.
async fn within<T>(
    timeout: Option<Duration>,
    kind: &str,
    work: impl Future<Output = Result<T, SendError>>,
) -> Result<T, SendError> {
    let Some(limit) = timeout else { return work.await };
    match tokio::time::timeout(limit, work).await {
        Ok(answer) => answer,
        Err(_) => Err(SendError::unavailable(
            format!("configured {kind} timeout reached ({limit:?})"),
            FailureReason::Other,
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{context, firing, notifier};

    fn can_be_spawned<T: Send>(_: &T) {}

    #[test]
    fn an_attempt_can_be_spawned() {
        let notifier = notifier("webhook_configs:\n- url: http://127.0.0.1:1/");
        let (context, batch) = (context(), firing());
        can_be_spawned(&notifier.send(&context, &batch));
    }
}
