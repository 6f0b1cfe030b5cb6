//! What is odd in a configuration and no mistake: values until somebody logs them.

use std::fmt;

use tocsin_core::matcher;
use tocsin_service::mistake::Mistake;
use tracing::warn;

/// Something odd.
#[derive(Clone, Debug, PartialEq)]
pub enum Warning {
    /// Matchers that the two grammars do not read alike.
    Matchers {
        /// The path of keys.
        path: String,
        /// How the readings differ.
        warning: matcher::Warning,
    },
    /// Anything else, with its place.
    At(Mistake),
}

impl Warning {
    pub(crate) fn of_matchers(path: String, warning: matcher::Warning) -> Self {
        Self::Matchers { path, warning }
    }

    /// Logs it, with the fields that people search for.
    pub fn log(&self) {
        match self {
            Self::At(mistake) => warn!(component = "configuration", "{}", mistake.headline()),
            Self::Matchers { path, warning } => {
                let message = warning.message();
                match warning {
                    matcher::Warning::Incompatible { input, error, suggestion } => {
                        warn!(component = "configuration", key = %path, %input, origin = "config", err = %error, %suggestion, "{message}");
                    }
                    matcher::Warning::Disagreement { input } => {
                        warn!(component = "configuration", key = %path, %input, origin = "config", "{message}");
                    }
                }
            }
        }
    }
}

impl From<Mistake> for Warning {
    fn from(mistake: Mistake) -> Self {
        Self::At(mistake)
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(mistake) => mistake.fmt(f),
            Self::Matchers { path, warning } => write!(f, "{path}: {}", warning.message()),
        }
    }
}
