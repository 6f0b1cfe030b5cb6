//! The framing of log segments and snapshots: a magic, then entries `u32 length | u32 crc32c | batch`. Knows no directory.

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
pub(crate) fn read(file: impl Read, mut entry: impl FnMut(Bytes) -> bool) -> io::Result<End> {
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

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRIES: usize = 200;

    fn entry(n: usize) -> Vec<u8> {
        vec![u8::try_from(n).unwrap(); 1 + n % 3]
    }

    fn written() -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        (0..ENTRIES).for_each(|n| frame(&entry(n), &mut bytes));
        bytes
    }

    /// What is read: always entries as they were written, from the first on.
    fn prefix(bytes: &[u8]) -> (usize, End) {
        let mut count = 0;
        let end = read(bytes, |batch| {
            assert_eq!(batch, entry(count), "an entry that nobody wrote");
            count += 1;
            true
        });
        (count, end.unwrap())
    }

    #[test]
    fn a_cut_at_any_byte_leaves_a_prefix() {
        let bytes = written();
        assert_eq!(prefix(&bytes), (ENTRIES, End::Clean));
        let mut last = 0;
        for cut in 0..bytes.len() {
            let (count, _) = prefix(&bytes[..cut]);
            assert!((last..=last + 1).contains(&count), "cut at {cut}");
            last = count;
        }
        assert_eq!(last, ENTRIES - 1);
    }

    #[test]
    fn any_flipped_bit_leaves_a_prefix() {
        let mut bytes = written();
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let (count, end) = prefix(&bytes);
            assert!(count < ENTRIES && end != End::Clean, "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn zeros_at_the_end_are_reserved_space() {
        let mut bytes = written();
        bytes.extend_from_slice(&[0; 10_000]);
        assert_eq!(prefix(&bytes), (ENTRIES, End::Clean));
        bytes.push(1);
        assert!(matches!(prefix(&bytes), (ENTRIES, End::Broken { .. })));
    }
}
