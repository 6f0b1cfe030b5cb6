//! The two hashes of label sets that every Alertmanager shares.

use std::fmt;

use xxhash_rust::xxh64::xxh64;

/// Ends each name and each value in what is hashed; no UTF-8 text holds this byte.
const SEPARATOR: u8 = 0xff;

/// The identity of a label set: FNV-1a over its sorted pairs, the same number in every Alertmanager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u64);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The text is not 1 to 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is 16 hexadecimal digits")]
pub struct BadFingerprint;

impl std::str::FromStr for Fingerprint {
    type Err = BadFingerprint;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex = text.len() <= 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let value = u64::from_str_radix(text, 16).map_err(|_| BadFingerprint)?;
        if hex { Ok(Self(value)) } else { Err(BadFingerprint) }
    }
}

impl Fingerprint {
    /// The fingerprint of pairs that come sorted by name, each name once.
    #[must_use]
    pub fn of<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut hasher = Hasher::default();
        for (name, value) in pairs {
            hasher.pair(name, value);
        }
        hasher.finish()
    }
}

/// Builds a [`Fingerprint`] pair by pair; the pairs must come sorted by name.
#[derive(Debug, Clone, Copy)]
pub struct Hasher(u64);

impl Default for Hasher {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher {
    /// Adds one pair.
    pub fn pair(&mut self, name: &str, value: &str) {
        self.text(name);
        self.text(value);
    }

    /// The fingerprint of the pairs so far.
    #[must_use]
    pub fn finish(self) -> Fingerprint {
        Fingerprint(self.0)
    }

    fn text(&mut self, text: &str) {
        let hash = text.bytes().fold(self.0, Self::byte);
        self.0 = Self::byte(hash, SEPARATOR);
    }

    fn byte(hash: u64, byte: u8) -> u64 {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    }
}

/// The alert hash of the notification log over pairs sorted by name: xxHash64 with seed 0.
#[must_use]
pub fn hash_xx<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> u64 {
    let mut bytes = Vec::with_capacity(256);
    for (name, value) in pairs {
        for text in [name, value] {
            bytes.extend_from_slice(text.as_bytes());
            bytes.push(SEPARATOR);
        }
    }
    xxh64(&bytes, 0)
}
