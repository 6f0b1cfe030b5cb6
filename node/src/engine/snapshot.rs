//! Upstream's files `silences` and `nflog` in the storage directory: read at every start, written at every maintenance, so
//! that a change to this program and a change back lose nothing. What is read never wins over what the cluster knows.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use jiff::Timestamp;
use prost::Message;
use tocsin_cluster::{Cluster, Draft, Malformed};
use tracing::{info, warn};

use super::body::{self, MeshEntry, MeshSilence};
use super::log::Log;
use super::silences::Silences;
use super::{log, silences};

/// A record and when it was written.
type Written = (Draft, i64);

/// What one of the files holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// All entries.
    pub entries: usize,
    /// Those past their end, which a start drops.
    pub expired: usize,
}

/// Counts the entries of `silences` and of `nflog` in a directory; `None` for a file that is not there.
/// # Errors
/// A file that cannot be read or understood.
pub fn counted(directory: &Path, now: Timestamp) -> io::Result<[Option<Counted>; 2]> {
    Ok([
        count_file(&directory.join("silences"), now, silence)?,
        count_file(&directory.join("nflog"), now, entry)?,
    ])
}

fn count_file<M: Message + Default>(
    path: &Path,
    now: Timestamp,
    record: fn(M) -> Result<Written, Malformed>,
) -> io::Result<Option<Counted>> {
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes?,
    };
    let records = records(&bytes, record).map_err(io::Error::other)?;
    let now_ms = now.as_millisecond();
    let expired = records.iter().filter(|(draft, _)| draft.expires_at_ms <= now_ms).count();
    Ok(Some(Counted { entries: records.len(), expired }))
}

/// Reads both files, if they are there. One that cannot be understood is set aside.
pub(super) fn import(directory: &Path, cluster: &Cluster) {
    import_file(&directory.join("silences"), cluster, silence);
    import_file(&directory.join("nflog"), cluster, entry);
}

fn import_file<M: Message + Default>(
    path: &Path,
    cluster: &Cluster,
    record: fn(M) -> Result<Written, Malformed>,
) {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => {
            warn!(file = %path.display(), %error, "snapshot of Alertmanager cannot be read");
            return;
        }
    };
    match records(&bytes, record) {
        Ok(records) => {
            let count = records.len();
            cluster.put(|writer| {
                for (draft, written_at_ms) in records {
                    writer.import(draft, written_at_ms);
                }
            });
            info!(file = %path.display(), records = count, "snapshot of Alertmanager read");
        }
        Err(error) => {
            let aside = path.with_extension("corrupt");
            warn!(file = %path.display(), aside = %aside.display(), %error, "snapshot of Alertmanager is damaged, set aside");
            if let Err(error) = std::fs::rename(path, &aside) {
                warn!(file = %path.display(), %error, "snapshot of Alertmanager cannot be set aside");
            }
        }
    }
}

fn records<M: Message + Default>(
    mut bytes: &[u8],
    record: fn(M) -> Result<Written, Malformed>,
) -> Result<Vec<Written>, Malformed> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let message =
            M::decode_length_delimited(&mut bytes).map_err(|error| Malformed(error.to_string()))?;
        records.push(record(message)?);
    }
    Ok(records)
}

fn silence(mesh: MeshSilence) -> Result<Written, Malformed> {
    let expires_at = body::moment(mesh.expires_at, "expires_at")?;
    let silence = silences::from_mesh(mesh)?;
    let written_at = silence.updated_at.as_millisecond();
    let ended = silence.ends_at <= silence.updated_at;
    Ok((silences::draft(&silence, expires_at, ended), written_at))
}

fn entry(mesh: MeshEntry) -> Result<Written, Malformed> {
    let expires_at = body::moment(mesh.expires_at, "expires_at")?;
    let body = mesh.entry.ok_or_else(|| Malformed("entry is missing".to_owned()))?;
    let (key, entry) = log::from_body(body)?;
    Ok((log::draft(&key, &entry, expires_at), entry.timestamp.as_millisecond()))
}

/// Writes both files; answers how many bytes each has.
pub(super) fn export(
    directory: &Path,
    silences: &Silences,
    log: &Log,
    now: Timestamp,
) -> io::Result<[u64; 2]> {
    let now_ms = now.as_millisecond();
    let mut bytes = Vec::new();
    for (silence, expires_at_ms) in silences.stored() {
        if now_ms < expires_at_ms {
            let expires_at = Timestamp::from_millisecond(expires_at_ms).unwrap_or_default();
            append(&mut bytes, &silences::encode(&silence, expires_at));
        }
    }
    let silences_size = replace(&directory.join("silences"), &bytes)?;
    bytes.clear();
    for (logged, expires_at_ms) in log.all() {
        if now_ms < expires_at_ms {
            let expires_at = Timestamp::from_millisecond(expires_at_ms).unwrap_or_default();
            let entry = log::to_body(&logged.key, &logged.entry);
            append(
                &mut bytes,
                &MeshEntry { entry: Some(entry), expires_at: Some(expires_at.into()) },
            );
        }
    }
    Ok([silences_size, replace(&directory.join("nflog"), &bytes)?])
}

fn append(bytes: &mut Vec<u8>, message: &impl Message) {
    // A vector grows as needed, so there is always room.
    let _ = message.encode_length_delimited(bytes);
}

/// Either the old content stands or the new one, whatever happens meanwhile.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<u64> {
    let fresh = path.with_extension("tmp");
    let mut file = File::create(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    Ok(bytes.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tocsin_core::label::Labels;
    use tocsin_core::matcher::{MatchOp, Matcher, Matchers};
    use tocsin_core::silence::Silence;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn example() -> Silence {
        let matcher = |op, value: &str| Matcher::new("alertname", op, value).unwrap();
        Silence {
            id: "4e3ec3f4-4b02-437c-97e9-2e3e1077b38f".into(),
            matcher_sets: vec![Matchers(vec![
                matcher(MatchOp::Equal, "A"),
                matcher(MatchOp::NotRegex, "b.*"),
            ])],
            receiver_matcher_sets: Vec::new(),
            starts_at: at(0),
            ends_at: at(3600),
            updated_at: at(1),
            created_by: "me".into(),
            comment: "c".into(),
            annotations: Labels::new([("ticket", "7")]),
        }
    }

    #[test]
    fn a_silence_comes_back_as_written() {
        let mut bytes = Vec::new();
        append(&mut bytes, &silences::encode(&example(), at(7200)));
        let records = records(&bytes, silence).unwrap();
        let [(draft, written_at)] = &records[..] else { panic!("{records:?}") };
        assert_eq!(silences::decode(&draft.body).unwrap(), example());
        assert_eq!((draft.rank, *written_at), (0, at(1).as_millisecond()));
        assert_eq!(draft.expires_at_ms, at(7200).as_millisecond());
    }

    #[test]
    fn a_silence_of_0_25_has_its_matchers_in_the_old_field() {
        let mut mesh = silences::encode(&example(), at(7200));
        let silence = mesh.silence.as_mut().unwrap();
        silence.matcher_sets.clear();
        silence.annotations.clear();
        let read = silences::from_mesh(mesh).unwrap();
        assert_eq!(read.matcher_sets, example().matcher_sets);
    }

    #[test]
    fn damage_is_noticed() {
        let mut bytes = Vec::new();
        append(&mut bytes, &silences::encode(&example(), at(7200)));
        bytes.pop();
        assert!(records(&bytes, silence).is_err());
        assert_eq!(records(&[], silence).unwrap(), []);
        assert!(records(&[0], silence).is_err(), "a record without a silence");
    }
}
