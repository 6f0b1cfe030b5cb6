//! Loading a configuration: parsed, checked and built before anything changes.

use std::sync::Arc;

use tocsin_service::mistake::Mistakes;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::live::Live;
use super::{Event, Shared};
use crate::config::{self, Config};
use crate::message::Templates;
use crate::notify::{BuildError, Parts, report};
use crate::options::Options;

/// Why a configuration does not take effect. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The file, or a file that it names; prints the first mistake and a count.
    #[error("{}", .0.summary())]
    Config(Mistakes),
    /// A template.
    #[error("failed to parse templates: {0}")]
    Templates(String),
    /// An integration.
    #[error("{}", report(.0))]
    Build(BuildError),
    /// The node stops.
    #[error("the node is stopping")]
    Stopping,
}

/// Reads the configuration and builds all that comes of it.
/// # Errors
/// [`ReloadError`].
pub(crate) async fn load(
    options: &Options,
    parts: impl FnOnce(Arc<Templates>) -> Parts,
    stop: CancellationToken,
) -> Result<Live, ReloadError> {
    let features = options.features;
    let path = options.config_file.clone();
    let read = move || {
        let config = config::load(&path, features).map_err(ReloadError::Config)?;
        for warning in &config.warnings {
            warning.log();
        }
        let templates = templates(&config)?;
        Ok::<_, ReloadError>((Arc::new(config), Arc::new(templates)))
    };
    let read = tokio::task::spawn_blocking(read).await;
    let (config, templates) = read.map_err(|_| ReloadError::Stopping)??;
    Live::build(config, parts(templates), stop).map_err(ReloadError::Build)
}

fn templates(config: &Config) -> Result<Templates, ReloadError> {
    Templates::load(&config.templates).map_err(|error| ReloadError::Templates(error.to_string()))
}

/// Loads the file again and puts it into effect.
pub(super) async fn reload(shared: &Shared) -> Result<(), ReloadError> {
    let _turn = shared.reloading.acquire().await.map_err(|_| ReloadError::Stopping)?;
    let file = shared.options.config_file.display();
    info!(component = "configuration", file = %file, "Loading configuration file");
    match apply(shared).await {
        Ok(()) => {
            info!(component = "configuration", file = %file, "Completed loading of configuration file");
            Ok(())
        }
        Err(failure) => {
            shared.counts.reload_failed(failure.to_string());
            error!(component = "configuration", file = %file, err = %failure, "Loading configuration file failed");
            Err(failure)
        }
    }
}

async fn apply(shared: &Shared) -> Result<(), ReloadError> {
    let old = shared.live.load_full();
    let parts = |templates| Parts { templates, ..old.parts().clone() };
    let live = load(&shared.options, parts, shared.stop.child_token()).await?;
    let (done, applied) = oneshot::channel();
    let event = Event::Reload(Arc::new(live), done);
    shared.inbox.send(event).await.map_err(|_| ReloadError::Stopping)?;
    applied.await.map_err(|_| ReloadError::Stopping)
}
