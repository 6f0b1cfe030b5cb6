//! What every command works with: flags, matcher mode, console, clock, and the server when it is needed.

use jiff::Timestamp;
use tocsin_core::matcher::Mode;
use tocsin_node::options::Features;
use tocsin_service::clock::{Clock as _, SystemClock};

use super::cli::{COMPATIBLE, Global, Output};
use super::client::Client;
use super::console::Console;
use super::failure::Failure;
use super::moment::Moment;
use super::wire::Status;
use crate::logging::{self, Format, Threshold};

/// One run of the tool.
#[derive(Debug)]
pub(super) struct Context<'a> {
    flags: Global,
    pub(super) console: &'a Console,
    pub(super) features: Features,
    /// Whether the command goes on until it is interrupted.
    pub(super) watches: bool,
}

impl<'a> Context<'a> {
    /// Starts logging, on standard error.
    /// # Errors
    /// When the features are none or exclude each other.
    pub(super) fn new(flags: Global, watches: bool, console: &'a Console) -> Result<Self, Failure> {
        let features = Features::parse(&flags.enable_feature).map_err(Failure::why)?;
        let threshold = if flags.verbose { Threshold::Debug } else { Threshold::Warn };
        logging::start(Format::Logfmt, threshold);
        Ok(Self { flags, console, features, watches })
    }

    /// How answers are written.
    pub(super) fn output(&self) -> Output {
        self.flags.output
    }

    /// How long a command, or one round of a loop, may take.
    pub(super) fn timeout(&self) -> std::time::Duration {
        self.flags.timeout
    }

    /// How matchers are read.
    pub(super) fn mode(&self) -> Mode {
        match self.features {
            Features { classic_mode: true, .. } => Mode::Classic,
            Features { utf8_strict_mode: true, .. } => Mode::Utf8,
            _ => Mode::Fallback,
        }
    }

    /// The present.
    #[expect(clippy::unused_self, reason = "the clock is a part of the context")]
    pub(super) fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    /// A date of a table.
    pub(super) fn date(&self, moment: &Moment) -> String {
        moment.format(&self.flags.date_format)
    }

    /// Whether a server is named.
    pub(super) fn has_server(&self) -> bool {
        self.flags.alertmanager_url.is_some()
    }

    /// The server; says when it is of another version.
    /// # Errors
    /// When none is named or the address is none.
    pub(super) async fn client(&self) -> Result<Client, Failure> {
        let client = self.connect().await?;
        if !self.flags.no_version_check
            && let Ok(status) = client.status().await
        {
            self.compare(&status);
        }
        Ok(client)
    }

    /// The server and its status, which most commands need only for its version.
    /// # Errors
    /// When there is no answer.
    pub(super) async fn status(&self) -> Result<Status, Failure> {
        let status = self.connect().await?.status().await?;
        if !self.flags.no_version_check {
            self.compare(&status);
        }
        Ok(status)
    }

    /// The status as the server has sent it.
    /// # Errors
    /// When there is no answer.
    pub(super) async fn raw_status(&self) -> Result<Vec<u8>, Failure> {
        self.connect().await?.get("/status", &[]).await
    }

    async fn connect(&self) -> Result<Client, Failure> {
        let url = self.flags.alertmanager_url.as_deref();
        let url = url.ok_or("required flag --alertmanager.url not provided")?;
        Client::new(url, self.flags.http_config_file.as_deref()).await
    }

    fn compare(&self, status: &Status) {
        let theirs = &status.version_info.version;
        let (Some(ours), Some(other)) = (release(COMPATIBLE), release(theirs)) else { return };
        if ours != other {
            let warning = format!(
                "Warning: amtool version ({COMPATIBLE}) and alertmanager version ({theirs}) are different."
            );
            self.console.tell(&warning);
        }
    }
}

/// The first two numbers of a version; `None` for unknown builds.
fn release(version: &str) -> Option<(u64, u64)> {
    let mut numbers = version.trim_start_matches('v').split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_two_numbers_count() {
        assert_eq!(release("0.34.0+tocsin.0.1.0"), release(COMPATIBLE));
        assert_ne!(release("0.25.0"), release(COMPATIBLE));
        assert_eq!(release("unknown"), None);
    }
}
