//! One log line for one event, on standard error, in Alertmanager's logfmt or JSON form.
//! Knows tracing's events and nothing of what they mean.

mod line;

use std::fmt::Write as _;
use std::io::Write as _;

use jiff::tz::TimeZone;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use line::Pairs;

/// How lines look: `--log.format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// `time=… level=INFO source=… msg="…" key=value`.
    #[default]
    Logfmt,
    /// One JSON object a line with the same keys.
    Json,
}

/// From which severity on lines are written: `--log.level`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Threshold {
    /// Every batch and request.
    Debug,
    /// State changes.
    #[default]
    Info,
    /// Trouble that was coped with.
    Warn,
    /// Someone must act.
    Error,
}

/// Starts logging for the whole process; a second call changes nothing.
pub(crate) fn start(format: Format, threshold: Threshold) {
    let ours = match threshold {
        Threshold::Debug => LevelFilter::DEBUG,
        Threshold::Info => LevelFilter::INFO,
        Threshold::Warn => LevelFilter::WARN,
        Threshold::Error => LevelFilter::ERROR,
    };
    let layer = Lines { format, ours, zone: TimeZone::system() };
    let _already_started = tracing_subscriber::registry().with(layer).try_init();
}

struct Lines {
    format: Format,
    ours: LevelFilter,
    zone: TimeZone,
}

impl Lines {
    /// Libraries speak only when they have an error: what they warn of, our own lines say better.
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let limit = if metadata.target().starts_with("tocsin") {
            self.ours
        } else {
            LevelFilter::ERROR.min(self.ours)
        };
        *metadata.level() <= limit
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.wants(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.ours)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let line = line(event, self.format, &self.zone);
        // A closed standard error is no reason to stop alerting.
        let _unwritable = std::io::stderr().lock().write_all(line.as_bytes());
    }
}

fn line(event: &Event<'_>, format: Format, zone: &TimeZone) -> String {
    let metadata = event.metadata();
    let mut fields = Fields { message: String::new(), rest: Vec::new() };
    event.record(&mut fields);
    #[expect(clippy::disallowed_methods, reason = "a log line's time is the machine's")]
    let now = std::time::SystemTime::now();
    let now = jiff::Timestamp::try_from(now).unwrap_or_default().to_zoned_datetime(zone.clone());
    let file = metadata.file().unwrap_or("?").rsplit('/').next().unwrap_or("?");
    let mut pairs = Pairs::new(format == Format::Json);
    let decimals = if format == Format::Json { 9 } else { 3 };
    pairs.add(
        "time",
        &now.strftime(&format!("%Y-%m-%dT%H:%M:%S.%{decimals}f%:z"))
            .to_string()
            .replace("+00:00", "Z"),
    );
    pairs.add("level", level_name(*metadata.level()));
    pairs.add("source", &format!("{file}:{}", metadata.line().unwrap_or(0)));
    pairs.add("msg", &fields.message);
    let named = fields.rest.iter().any(|(key, _)| *key == "component");
    if let Some(component) = component(metadata.target()).filter(|_| !named) {
        pairs.add("component", component);
    }
    for (key, value) in &fields.rest {
        pairs.add(key, value);
    }
    pairs.finish()
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARN",
        Level::INFO => "INFO",
        _ => "DEBUG",
    }
}

/// The subsystem's name as Alertmanager's log calls it, by the module that speaks.
fn component(target: &str) -> Option<&'static str> {
    let parts: Vec<&str> = target.split("::").collect();
    match parts.as_slice() {
        ["tocsin_cluster", ..] => Some("cluster"),
        ["tocsin_lb", ..] => Some("lb"),
        ["tocsin_node", "api", ..] => Some("api"),
        ["tocsin_node", "config", ..] => Some("configuration"),
        ["tocsin_node", "engine" | "notify", ..] => Some("dispatcher"),
        _ => None,
    }
}

struct Fields {
    message: String,
    rest: Vec<(&'static str, String)>,
}

impl Fields {
    fn put(&mut self, field: &Field, text: String) {
        if field.name() == "message" {
            self.message = text;
        } else {
            self.rest.push((field.name(), text));
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(error) = cause {
            let _infallible = write!(text, ": {error}");
            cause = error.source();
        }
        self.put(field, text);
    }
}
