//! One attempt as a receiver sees it: the data, the texts made of it, and the group's identity.

use std::sync::OnceLock;

use jiff::Timestamp;
use serde_json::Value;
use tracing::warn;

use super::{Batch, Context, Parts, SendError, cut};
use crate::message::{Alert, AlertStatus, Data, Group, Rendering};

/// One attempt of one integration.
pub(crate) struct Call<'a> {
    /// The flush.
    pub(crate) context: &'a Context,
    /// What the templates see.
    pub(crate) data: Data,
    /// What the receiver kept at the last notification.
    pub(crate) batch: &'a Batch,
    /// Templates, clock and what else all integrations share.
    pub(crate) parts: &'a Parts,
    /// When the attempt began.
    pub(crate) now: Timestamp,
    /// Made with the first template.
    rendering: OnceLock<Rendering>,
    receiver: &'a str,
    integration: &'a str,
}

impl<'a> Call<'a> {
    /// A call with `alerts` of `batch`.
    pub(crate) fn new(
        (receiver, integration): (&'a str, &'a str),
        context: &'a Context,
        batch: &'a Batch,
        alerts: Vec<Alert>,
        parts: &'a Parts,
    ) -> Self {
        let group = Group {
            receiver: receiver.to_owned(),
            labels: context.group_labels.clone(),
            route_labels: context.route_labels.clone(),
            external_url: parts.external_url.to_string(),
        };
        let data = Data::new(&group, alerts, batch.reason);
        let now = parts.clock.now();
        let rendering = OnceLock::new();
        Self { context, data, batch, parts, now, rendering, receiver, integration }
    }

    /// The same call with the first `max` alerts alone (0 keeps all), and how many were dropped.
    /// Status and common labels come from the kept ones.
    pub(crate) fn first(self, max: usize) -> (Self, usize) {
        let dropped = if max == 0 { 0 } else { self.data.alerts.len().saturating_sub(max) };
        if dropped == 0 {
            return (self, 0);
        }
        let alerts = self.data.alerts[..max].to_vec();
        let names = (self.receiver, self.integration);
        (Self::new(names, self.context, self.batch, alerts, self.parts), dropped)
    }

    /// Whether any alert of the call fires.
    pub(crate) fn fires(&self) -> bool {
        self.data.status == AlertStatus::Firing
    }

    /// The template as plain text.
    /// # Errors
    /// On a template error: trying again would fail again.
    pub(crate) fn text(&self, template: &str) -> Result<String, SendError> {
        if !template.contains("{{") {
            return Ok(template.to_owned());
        }
        self.rendering().text(template).map_err(|error| SendError::unmade("template", error))
    }

    /// The template with HTML escaping.
    /// # Errors
    /// On a template error: trying again would fail again.
    pub(crate) fn html(&self, template: &str) -> Result<String, SendError> {
        self.rendering().html(template).map_err(|error| SendError::unmade("template", error))
    }

    fn rendering(&self) -> &Rendering {
        self.rendering.get_or_init(|| self.parts.templates.over(&self.data, self.now))
    }

    /// The template as plain text of at most `max` code points.
    /// # Errors
    /// On a template error.
    pub(crate) fn runes(
        &self,
        field: &str,
        template: &str,
        max: usize,
    ) -> Result<String, SendError> {
        Ok(self.cut_runes(field, &self.text(template)?, max))
    }

    /// Cuts to `max` code points and says so in the log.
    pub(crate) fn cut_runes(&self, field: &str, text: &str, max: usize) -> String {
        let (cut, was_cut) = cut::runes(text, max);
        if was_cut {
            let (integration, group_key) = (self.integration, &self.context.group_key);
            warn!(integration, %group_key, field, max, "text cut to the receiver's limit");
        }
        cut
    }

    /// A tree whose texts are templates; see `message::tree`.
    /// # Errors
    /// On a template error.
    pub(crate) fn tree(&self, tree: &crate::config::tree::Tree) -> Result<Value, SendError> {
        super::tree::expand(tree, &|template| self.text(template))
    }

    /// The group's identity for receivers: SHA-256 of the group key in hex.
    pub(crate) fn hash(&self) -> String {
        hash(&self.context.group_key)
    }
}

/// SHA-256 of a group key in lower-case hex.
pub(crate) fn hash(group_key: &str) -> String {
    hex(ring::digest::digest(&ring::digest::SHA256, group_key.as_bytes()).as_ref())
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_over_the_raw_key() {
        let expected = "17c4e445d234645c9e547ff6d32a864af0ebdadcd1902771c24c8d366637ff41";
        assert_eq!(hash(r#"{}:{alertname="DiskFull"}"#), expected);
    }
}
