//! Configuration: from the text of `alertmanager.yml` to values without options left.
//!
//! One pass reads, checks and notes how the result is shown. Everything that is wrong is found at
//! once, with its place. The blocks of integrations are read by the files in `notify`.

pub(crate) mod block;
mod cluster_tls;
mod events;
pub mod glob;
pub(crate) mod global;
pub mod http;
mod inhibit;
mod interval;
mod load;
pub(crate) mod md5;
pub(crate) mod receiver;
mod route;
mod source;
#[cfg(test)]
mod tests;
mod tracing;
pub mod tree;
mod warning;

use std::sync::Arc;
use std::time::Duration;

use tocsin_core::inhibit::Rule;
use tocsin_core::mute::Intervals;
use tocsin_core::route::Routes;

pub use cluster_tls::cluster_tls;
pub use events::{BatchBounds, EventRecorder, Kafka, Webhook};
#[doc(hidden)]
pub use load::secret_keys;
pub use load::{check, load, load_shown, load_unshown};
pub use receiver::{Integration, Receiver};
pub use tocsin_service::mistake::Mistakes;
pub use tracing::Tracing;
pub use warning::Warning;

/// A configuration that is complete and consistent.
#[derive(Clone, Debug)]
pub struct Config {
    /// The tree after defaults and inheritance, written as YAML, secrets hidden: what `/api/v2/status` shows.
    pub original: String,
    /// The first six bytes of the text's MD5 as a little-endian number: the metric `alertmanager_config_hash`.
    pub file_hash: u64,
    /// Of what the configuration means and of the templates' texts, not of comments, secrets and names of secret files.
    pub cfg_hash: u64,
    /// The end of alerts that are posted without one.
    pub resolve_timeout: Duration,
    /// Who is told of what.
    pub routes: Arc<Routes>,
    /// Everybody who can be told, those too that no route names.
    pub receivers: Vec<Receiver>,
    /// What makes alerts pointless.
    pub inhibit: Vec<Rule>,
    /// Named hours, days and seasons.
    pub intervals: Intervals,
    /// Globs of template files, relative ones below the directory of the file.
    pub templates: Vec<String>,
    /// Where spans would go.
    pub tracing: Option<Tracing>,
    /// Where events are written; only with the feature of that name.
    pub event_recorder: Option<EventRecorder>,
    /// What is odd but no mistake: for the log, at `warn`.
    pub warnings: Vec<Warning>,
}
