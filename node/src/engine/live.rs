//! The configuration in effect, with everything that was built from it: the integrations of the receivers that routes
//! name, ready to send.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tocsin_core::route::{Route, Routes};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::Config;
use crate::message::{self, Kv};
use crate::notify::{BuildError, Notifier, Parts, report};
use crate::trace::Sink;

/// How many messages to one integration may be under way at once.
const PARALLEL: usize = 64;

/// A configuration in effect. A reload makes a new one; what the old one has under way ends with its `stop`.
pub(crate) struct Live {
    pub(super) config: Arc<Config>,
    pub(super) largest_group_interval: Duration,
    /// Ends the deliveries of this configuration; requests already written may finish.
    pub(super) stop: CancellationToken,
    receivers: HashMap<Box<str>, Vec<Integration>>,
    parts: Parts,
    /// Where spans go.
    spans: Option<Arc<Sink>>,
}

/// One integration of a receiver.
pub(super) struct Integration {
    /// `receiver/kind[index]`.
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) index: u32,
    pub(super) send_resolved: bool,
    pub(super) notifier: Notifier,
    pub(super) permits: Semaphore,
}

impl Live {
    /// Builds the integrations of every receiver that a route names.
    /// # Errors
    /// When one of them, or the way for spans, cannot be built; nothing has changed then.
    pub(super) fn build(
        config: Arc<Config>,
        parts: Parts,
        stop: CancellationToken,
    ) -> Result<Self, BuildError> {
        let mut receivers = HashMap::new();
        for receiver in &config.receivers {
            if !config.routes.iter().any(|(_, route)| *route.receiver == *receiver.name) {
                info!(receiver = %receiver.name, "skipping creation of receiver not referenced by any route");
                continue;
            }
            let build = |integration| Integration::build(&receiver.name, integration, &parts);
            let built = receiver.integrations.iter().map(build).collect::<Result<Vec<_>, _>>()?;
            receivers.insert(receiver.name.clone(), built);
        }
        let intervals = config.routes.iter().map(|(_, route)| route.group_interval);
        let largest_group_interval = intervals.max().unwrap_or_default();
        let tracing = config.tracing.as_ref();
        let spans = tracing.map(|tracing| Sink::open(tracing, &parts.clock)).transpose()?;
        Ok(Self { largest_group_interval, stop, receivers, parts, spans, config })
    }

    pub(super) fn routes(&self) -> &Arc<Routes> {
        &self.config.routes
    }

    /// The integrations of a receiver that some route names.
    pub(super) fn integrations(&self, receiver: &str) -> &[Integration] {
        self.receivers.get(receiver).map(Vec::as_slice).unwrap_or_default()
    }

    /// How many receivers routes name, and how many integrations these have.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.receivers.len(), self.receivers.values().map(Vec::len).sum())
    }

    /// The labels of the route, rendered for these alerts; one whose template fails is left out.
    pub(super) fn route_labels(
        &self,
        route: &Route,
        group_labels: &Kv,
        alerts: &[message::Alert],
    ) -> Kv {
        if route.labels.is_empty() {
            return Kv::default();
        }
        let group = message::Group {
            receiver: route.receiver.as_ref().to_owned(),
            labels: group_labels.clone(),
            external_url: self.parts.external_url.as_ref().to_owned(),
            ..message::Group::default()
        };
        let data = message::Data::new(&group, alerts.to_vec(), "unknown");
        let now = self.parts.clock.now();
        let (rendered, failures) = self.parts.templates.route_labels(&route.labels, &data, now);
        for (label, failure) in failures {
            warn!(route = %route.id, label, error = %report(&failure), "route label cannot be rendered, left out");
        }
        rendered
    }

    /// Where spans go, if anywhere.
    pub(super) fn spans(&self) -> Option<&Arc<Sink>> {
        self.spans.as_ref()
    }

    /// What all integrations share.
    pub(super) fn parts(&self) -> &Parts {
        &self.parts
    }
}

impl Integration {
    fn build(
        receiver: &str,
        integration: &crate::config::Integration,
        parts: &Parts,
    ) -> Result<Self, BuildError> {
        let notifier = Notifier::build(receiver, integration, parts)?;
        Ok(Self {
            name: notifier.name().to_owned(),
            kind: notifier.kind(),
            index: u32::try_from(notifier.index()).unwrap_or(u32::MAX),
            send_resolved: notifier.send_resolved(),
            permits: Semaphore::new(PARALLEL),
            notifier,
        })
    }
}
