//! The admin token: who presents it may change state on the stats listener.

use std::fmt::Write;

use crate::LbError;
use crate::config::StatsOptions;

/// Environment variable that may hold the token.
const VARIABLE: &str = "TOCSIN_LB_ADMIN_TOKEN";

/// The token of this process, and the key that its forms carry.
pub(crate) struct Token {
    token: String,
    key: String,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<secret>")
    }
}

impl Token {
    /// Takes the token from its file, else from the environment, else makes one.
    /// # Errors
    /// [`LbError::File`] when a file is named that cannot be read.
    pub(crate) fn load(stats: Option<&StatsOptions>) -> Result<Self, LbError> {
        let file = stats.and_then(|s| s.token_file.as_deref());
        let given = match file {
            Some(path) => {
                let text = std::fs::read_to_string(path);
                Some(text.map_err(|source| LbError::File { path: path.to_owned(), source })?)
            }
            None => std::env::var(VARIABLE).ok(),
        };
        let given = given.map(|t| t.trim().to_owned()).filter(|t| !t.is_empty());
        let token = match given {
            Some(token) => token,
            None => random()?,
        };
        Ok(Token { token, key: random()? })
    }

    /// The token itself, for the admin socket.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// The key of the forms of this process.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Whether `text` is the token; the time taken does not tell how much of it is right.
    pub(crate) fn is(&self, text: &str) -> bool {
        same(&self.token, text)
    }

    /// Whether `text` is the key of the forms.
    pub(crate) fn is_key(&self, text: &str) -> bool {
        same(&self.key, text)
    }
}

fn same(a: &str, b: &str) -> bool {
    let differences = a.bytes().zip(b.bytes()).fold(0, |d, (x, y)| d | (x ^ y));
    a.len() == b.len() && differences == 0
}

/// 128 random bits in hexadecimal.
fn random() -> Result<String, LbError> {
    let mut bytes = [0; 16];
    let failed = |e: getrandom::Error| LbError::Start(std::io::Error::other(e.to_string()));
    getrandom::fill(&mut bytes).map_err(failed)?;
    let mut text = String::new();
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_passes() {
        let token = Token { token: "abc".into(), key: "k".into() };
        assert!(token.is("abc") && !token.is("ab") && !token.is("abcd") && !token.is("abd"));
        assert_eq!(format!("{token:?}"), "<secret>");
    }

    #[test]
    fn a_file_is_trimmed_and_random_ones_differ() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "secret\n").unwrap();
        let stats =
            StatsOptions { token_file: Some(file.path().to_owned()), ..StatsOptions::default() };
        assert_eq!(Token::load(Some(&stats)).unwrap().token(), "secret");
        assert_ne!(random().unwrap(), random().unwrap());
    }
}
