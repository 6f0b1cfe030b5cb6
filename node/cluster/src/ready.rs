//! Whether this node may notify, and what it still waits for.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::cluster::ClusterError;
use crate::core::Core;

/// The answer of `/-/ready`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ready {
    /// Not yet, or not any more; the text says why.
    No(String),
    /// All steps are done.
    Yes,
}

impl Ready {
    /// Whether it is [`Ready::Yes`].
    #[must_use]
    pub fn is_ready(&self) -> bool {
        *self == Self::Yes
    }

    /// What is waited for; empty when ready.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::No(reason) => reason,
            Self::Yes => "",
        }
    }
}

/// Everything of the cluster that runs, until it is stopped.
pub(crate) async fn run(core: &Arc<Core>, started: oneshot::Sender<Result<(), ClusterError>>) {
    core.set_ready(Ready::Yes);
    // The caller may have been dropped; then `stop` is cancelled as well.
    let _ = started.send(Ok(()));
    tokio::select! {
        () = core.stop.cancelled() => {}
        () = core.deadlines.run() => {}
        () = expire(core) => {}
    }
}

async fn expire(core: &Core) {
    let mut every = tokio::time::interval(Duration::from_secs(1));
    loop {
        every.tick().await;
        core.state.expire(core.now_ms());
    }
}
