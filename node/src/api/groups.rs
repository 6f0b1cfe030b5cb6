//! `/api/v2/alerts/groups`: the groups as the dispatcher holds them.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use tocsin_service::web::Body;

use super::{
    App, Query,
    alerts::{push_alert, push_receiver, streamed},
    error::ApiError,
    filter::group_query,
    wire::{push, push_labels},
};
use crate::engine::{GroupView, GroupsView, Handle};

/// A chunk ends with the first group that makes it this large.
const CHUNK_BYTES: usize = 64 * 1024;

/// Shows groups by labels, then receiver.
pub(super) async fn list(app: &Arc<App>, query: &Query<'_>) -> Result<Response<Body>, ApiError> {
    let query = group_query(query, app.engine.matcher_mode())?;
    let found = app.engine.groups(&query).await;
    let mut list = List { engine: app.engine.clone(), found, done: 0, written: 0, closed: false };
    Ok(streamed(move || list.next_chunk()))
}

struct List {
    engine: Handle,
    found: GroupsView,
    done: usize,
    written: usize,
    closed: bool,
}

impl List {
    fn next_chunk(&mut self) -> Option<Bytes> {
        if self.closed {
            return None;
        }
        let mut out = Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 8);
        if self.done == 0 {
            out.push(b'[');
        }
        while out.len() < CHUNK_BYTES
            && let Some(group) = self.found.groups.get(self.done)
        {
            let before = out.len();
            if self.written > 0 {
                out.push(b',');
            }
            if self.push_group(&mut out, group) {
                self.written += 1;
            } else {
                out.truncate(before);
            }
            self.done += 1;
        }
        if self.done == self.found.groups.len() {
            push(&mut out, "]\n");
            self.closed = true;
        }
        Some(out.into())
    }

    /// Appends a group unless all of its alerts have ended meanwhile.
    fn push_group(&self, out: &mut Vec<u8>, group: &GroupView) -> bool {
        let mut count = 0_usize;
        push(out, "{\"alerts\":[");
        self.engine.each_group_alert(&group.alerts, &self.found.receivers, |view| {
            if count > 0 {
                out.push(b',');
            }
            push_alert(out, view, &group.muted_by);
            count += 1;
        });
        push(out, "],\"labels\":");
        push_labels(out, group.labels.iter());
        push(out, ",\"receiver\":");
        push_receiver(out, &group.receiver);
        push(out, ",\"routeLabels\":");
        push_labels(out, group.route_labels.iter());
        out.push(b'}');
        count > 0
    }
}
