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
