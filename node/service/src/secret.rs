//! Text that must never be shown: passwords, tokens, URLs with a key in them.

use std::fmt;

/// A secret text. It has no `Display`, prints as `<secret>` when debugged and is read with [`Secret::reveal`] alone.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Secret(Box<str>);

/// What stands in place of a secret.
pub const HIDDEN: &str = "<secret>";

impl Secret {
    /// Keeps a text secret.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The text itself: for the wire, never for a log.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether there is no text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the text is the placeholder that shown configurations carry.
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        &*self.0 == HIDDEN
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_the_text() {
        let secret = Secret::from("hunter2");
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "<secret> Some(<secret>)");
        assert_eq!(secret.reveal(), "hunter2");
    }
}
