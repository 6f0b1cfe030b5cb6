//! incident.io: alert events of a source.

use std::time::Duration;

use crate::config::block::{Block, Form};
use crate::config::global::Global;
use crate::config::http::{HttpConfig, Source, own_authorization, of_receiver_at};

/// What an incident.io integration needs to know.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct Config {
    pub url: Source,
    /// Wins over its file form.
    pub alert_source_token: Source,
    /// 0: all.
    pub max_alerts: usize,
    /// Zero: none of its own.
    pub timeout: Duration,
    pub http: HttpConfig,
}

/// Reads a block of `incidentio_configs`.
pub(crate) fn check(block: &mut Block<'_>, global: &Global) -> Config {
    // Upstream resolves the files of this client below the working directory.
    let http = of_receiver_at(block, global, None);
    let url = block.own_source("url", "url_file", Form::Link);
    if url.is_none() {
        block.missing_both("url", "url_file");
    }
    // The address is no secret here.
    let shown_url = block.section().text_or("url", "");
    block.show("url", shown_url);
    let shown_file = block.section().text_or("url_file", "");
    block.show("url_file", shown_file);
    let token = block.source(
        "alert_source_token",
        "alert_source_token_file",
        Form::Text,
        &Source::None,
    );
    let authorized = own_authorization(block.section());
    if !token.is_none() && authorized {
        let message = "at most one of alert_source_token & http_config.authorization must be configured";
        block.mistake_at("alert_source_token", message);
    }
    if token.is_none() && block.has("http_config") && !authorized {
        let message = "one of alert_source_token, alert_source_token_file & http_config.authorization must be configured";
        block.section().mistake(message);
    }
    let max_alerts = block.count("max_alerts");
    let timeout = block.timeout();
    Config { url, alert_source_token: token, max_alerts, timeout, http }
}
