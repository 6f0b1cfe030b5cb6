//! A notification that somebody asked for, to see whether a receiver can be reached. No log entry, no history, no count
//! comes of it.

use std::time::Duration;

use futures_util::future::join_all;
use tocsin_core::label::Labels;

use super::Shared;
use super::live::Integration;
use crate::message::{Alert, AlertStatus, Kv};
use crate::notify::{Batch, Context, report};

/// No integration is waited for longer.
const TIMEOUT: Duration = Duration::from_secs(15);

/// How a trial ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// `receiver/kind[index]`.
    pub integration: String,
    /// Why it did not get there.
    pub error: Option<String>,
}

/// Tells every integration of a receiver that this is a test; `None` when no route names the receiver.
pub(super) async fn test(shared: &Shared, receiver: &str) -> Option<Vec<Trial>> {
    let live = shared.live.load_full();
    let integrations = live.integrations(receiver);
    if integrations.is_empty() {
        return None;
    }
    let alert = alert(shared, receiver);
    Some(join_all(integrations.iter().map(|one| tell(one, alert.clone()))).await)
}

async fn tell(integration: &Integration, alert: Alert) -> Trial {
    let labels: Kv = [("alertname", alert.labels.get("alertname"))].into_iter().collect();
    let context = Context::new(format!("test:{}", integration.name), labels, Kv::default());
    let batch = Batch { alerts: vec![alert], reason: "unknown", ..Batch::default() };
    let sent = tokio::time::timeout(TIMEOUT, integration.notifier.send(&context, &batch)).await;
    let error = match sent {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(report(&error)),
        Err(_) => Some("no answer in time".to_owned()),
    };
    Trial { integration: integration.name.clone(), error }
}

fn alert(shared: &Shared, receiver: &str) -> Alert {
    let labels = [("alertname", "TestNotification"), ("receiver", receiver), ("severity", "info")];
    let summary = format!("This is a test of the receiver {receiver}; nothing is wrong.");
    Alert {
        status: AlertStatus::Firing,
        labels: labels.into_iter().collect(),
        annotations: [("summary", summary.as_str())].into_iter().collect(),
        starts_at: shared.clock.now(),
        ends_at: None,
        generator_url: shared.external_url.as_ref().to_owned(),
        fingerprint: Labels::new(labels).fingerprint().to_string(),
    }
}
