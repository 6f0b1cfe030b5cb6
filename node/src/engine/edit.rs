//! Changes of silences: the rules of the core inside the lock of the state, answered once every live node has them.

use std::time::Duration;

use tocsin_cluster::{Need, Outcome};
use tocsin_core::silence::{self, Edit, InvalidSilence, Limits, Silence, SilenceInput};
use tracing::info;

use super::{Shared, silences};
use crate::events::EventData;

/// How long a change of a silence waits until this node knows all of them.
const READY_WAIT: Duration = Duration::from_secs(5);

/// A silence that was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SilenceSet {
    /// Its identity: a new one unless the edit could keep it.
    pub id: Box<str>,
    /// See [`Written::degraded`].
    pub degraded: bool,
}

/// A change that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// It is in memory, but not as safe as promised.
    pub degraded: bool,
}

/// Why a silence was not changed.
#[derive(Debug, thiserror::Error)]
pub enum SilenceError {
    /// What was posted is refused.
    #[error(transparent)]
    Invalid(#[from] InvalidSilence),
    /// There is none with that identity.
    #[error("silence not found")]
    NotFound,
    /// Neither the disk nor a peer has taken the change: it would be gone with this process.
    #[error("silence could not be stored")]
    Lost,
}

/// Creates a silence or edits one.
pub(super) async fn set(shared: &Shared, input: SilenceInput) -> Result<SilenceSet, SilenceError> {
    if !input.id.is_empty() {
        wait_ready(shared).await;
    }
    let now = shared.clock.now();
    let names = shared.matcher_mode().names();
    let limits = Limits {
        count: Some(shared.options.silences_max).filter(|most| *most > 0),
        size_bytes: Some(shared.options.silence_max_size_bytes).filter(|most| *most > 0),
    };
    let retention = shared.options.data_retention;
    let write = |writer: &mut tocsin_cluster::Writer<'_>| {
        let current = shared.silences.get(&input.id);
        let new_id = || uuid::Uuid::new_v4().to_string().into();
        let edit = silence::edit(input, current.as_deref(), now, names, new_id)?;
        limits.check_count(&edit, shared.silences.len())?;
        let expires_at = edit.silence().expires_at(retention);
        limits.check_size(silences::size(edit.silence(), expires_at))?;
        if let Edit::Create { ended: Some(ended), .. } = &edit {
            writer.put(silences::draft(ended, ended.expires_at(retention), true));
        }
        writer.put(silences::draft(edit.silence(), expires_at, false));
        Ok(edit)
    };
    let (edit, outcome): (Result<Edit, InvalidSilence>, _) =
        shared.cluster.write(Need::Silences, write).await;
    let edit = edit.map_err(|error| match error {
        InvalidSilence::NotFound => SilenceError::NotFound,
        other => SilenceError::Invalid(other),
    })?;
    if shared.options.log_silences {
        log_edit(&edit);
    }
    record_edit(shared, &edit);
    let degraded = degraded(outcome)?;
    Ok(SilenceSet { id: edit.silence().id.clone(), degraded })
}

/// Ends a silence now; one that has ended stays as it is.
pub(super) async fn expire(shared: &Shared, id: &str) -> Result<Written, SilenceError> {
    wait_ready(shared).await;
    let now = shared.clock.now();
    let retention = shared.options.data_retention;
    let write = |writer: &mut tocsin_cluster::Writer<'_>| {
        let current = shared.silences.get(id).ok_or(SilenceError::NotFound)?;
        let Some(ended) = current.expired(now) else { return Ok(None) };
        writer.put(silences::draft(&ended, ended.expires_at(retention), true));
        Ok::<_, SilenceError>(Some(ended))
    };
    let (ended, outcome) = shared.cluster.write(Need::Silences, write).await;
    match ended? {
        None => Ok(Written { degraded: false }),
        Some(ended) => {
            if shared.options.log_silences {
                log("expire silence", &ended);
            }
            record_update(shared, &ended);
            Ok(Written { degraded: degraded(outcome)? })
        }
    }
}

/// Before this node is ready it may not know what others have stored.
async fn wait_ready(shared: &Shared) {
    let mut ready = shared.cluster.ready();
    let ready = ready.wait_for(tocsin_cluster::Ready::is_ready);
    // Too long: it is decided by what is known.
    let _ = tokio::time::timeout(READY_WAIT, ready).await;
}

fn degraded(outcome: Outcome) -> Result<bool, SilenceError> {
    if outcome.degraded.is_some() && !outcome.on_disk && outcome.peers == 0 {
        return Err(SilenceError::Lost);
    }
    Ok(outcome.degraded.is_some())
}

fn record_edit(shared: &Shared, edit: &Edit) {
    match edit {
        Edit::Update(silence) => record_update(shared, silence),
        Edit::Create { silence, ended } => {
            if let Some(ended) = ended {
                record_update(shared, ended);
            }
            shared.recorder.record(|| EventData::SilenceCreated { silence: silence.into() });
        }
    }
}

fn record_update(shared: &Shared, silence: &Silence) {
    shared.recorder.record(|| EventData::SilenceUpdated { silence: silence.into() });
}

fn log_edit(edit: &Edit) {
    match edit {
        Edit::Update(silence) => log("update silence", silence),
        Edit::Create { silence, ended } => {
            if let Some(ended) = ended {
                log("expire silence", ended);
            }
            log("create silence", silence);
        }
    }
}

fn log(what: &'static str, silence: &Silence) {
    let matchers = silence.matcher_sets.iter().flat_map(|set| set.iter());
    let matchers: Vec<_> = matchers
        .map(|matcher| format!("{}{}{}", matcher.name(), matcher.op().as_str(), matcher.value()))
        .collect();
    info!(
        Id = %silence.id,
        CreatedBy = %silence.created_by,
        Comment = %silence.comment,
        StartsAt = %silence.starts_at,
        EndsAt = %silence.ends_at,
        Matchers = matchers.join(","),
        "{what}"
    );
}
