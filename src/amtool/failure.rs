//! Why a command line ends with exit code 1.

/// The only two ways to fail.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// One line for standard error, without the program's name.
    Why(String),
    /// Everything has been said already.
    Told,
}

impl Failure {
    /// The line of anything that can be printed.
    pub(super) fn why(error: impl std::fmt::Display) -> Self {
        Self::Why(error.to_string())
    }
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self::Why(why)
    }
}

impl From<&str> for Failure {
    fn from(why: &str) -> Self {
        Self::Why(why.to_owned())
    }
}

/// Why the system has refused something: its words without its number, in Go's letter case.
pub(super) fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_fragments() {
        assert_eq!(reason(&std::io::Error::from_raw_os_error(2)), "no such file or directory");
    }
}
