//! The framing of log segments and snapshots: a magic, then entries `u32 length | u32 crc32c | batch`. Knows no directory.

use std::fs::File;
use std::io::{self, BufReader, Read};

use bytes::Bytes;

/// First bytes of every file; the digits are the format's version.
pub(crate) const MAGIC: &[u8; 8] = b"tocsin01";
/// Bytes before an entry's batch.
const HEAD: usize = 8;
/// No entry is longer; a greater length is damage.
const ENTRY_MAX: usize = 64 * 1024 * 1024;

/// Appends one framed entry to `out`.
pub(crate) fn frame(batch: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(batch.len()).unwrap_or(u32::MAX).to_le_bytes();
    let crc = checksum(length, batch).to_le_bytes();
    out.extend_from_slice(&length);
    out.extend_from_slice(&crc);
    out.extend_from_slice(batch);
}

fn checksum(length: [u8; 4], batch: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&length), batch)
}

/// How a file ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// After a whole entry, or in zeros that were reserved.
    Clean,
    /// In something that is no entry; `valid` bytes before it are good.
    Broken { valid: u64 },
    /// At once: the magic is wrong.
    Foreign,
}

/// Reads a file entry by entry; `entry` gets each good batch and says whether it could be read.
/// # Errors
/// When the file cannot be read.
pub(crate) fn read(file: &File, mut entry: impl FnMut(Bytes) -> bool) -> io::Result<End> {
    let mut reader = BufReader::with_capacity(256 * 1024, file);
    let mut magic = [0; MAGIC.len()];
    match fill(&mut reader, &mut magic)? {
        0 => return Ok(End::Clean),
        n if n == MAGIC.len() && &magic == MAGIC => {}
        // A crash between creation and the first sync leaves zeros or a part of the magic.
        n if MAGIC.starts_with(&magic[..n]) || magic == [0; MAGIC.len()] => {
            return Ok(End::Broken { valid: 0 });
        }
        _ => return Ok(End::Foreign),
    }
    let mut valid = MAGIC.len() as u64;
    loop {
        let mut head = [0; HEAD];
        let got = fill(&mut reader, &mut head)?;
        if got == 0 {
            return Ok(End::Clean);
        }
        if head == [0; HEAD] && only_zeros(&mut reader)? {
            return Ok(End::Clean);
        }
        let [l0, l1, l2, l3, c0, c1, c2, c3] = head;
        let length = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
        if got < HEAD || length == 0 || ENTRY_MAX < length {
            return Ok(End::Broken { valid });
        }
        let mut batch = Vec::new();
        // Grows with what is there, not with what a damaged length claims.
        reader.by_ref().take(length as u64).read_to_end(&mut batch)?;
        let crc = u32::from_le_bytes([c0, c1, c2, c3]);
        if batch.len() < length || checksum([l0, l1, l2, l3], &batch) != crc {
            return Ok(End::Broken { valid });
        }
        if !entry(Bytes::from(batch)) {
            return Ok(End::Broken { valid });
        }
        valid += (HEAD + length) as u64;
    }
}

fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match reader.read(&mut buffer[got..]) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}

fn only_zeros(reader: &mut impl Read) -> io::Result<bool> {
    let mut buffer = [0; 8192];
    loop {
        match fill(reader, &mut buffer)? {
            0 => return Ok(true),
            n if buffer[..n].iter().any(|byte| *byte != 0) => return Ok(false),
            _ => {}
        }
    }
}
