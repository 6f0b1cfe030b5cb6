//! The commands and flags, with upstream's names and defaults. `walk` reads the words as upstream does and
//! hands them over in the one form that is left to read here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, Args, Parser, Subcommand};
use tocsin_service::duration::parse_go_duration;

use super::failure::reason;

/// The version whose behaviour this is.
pub(super) const COMPATIBLE: &str = "0.34.0";

#[derive(Debug, Parser)]
#[command(
    name = "amtool",
    disable_help_subcommand = true,
    disable_help_flag = true,
    args_override_self = true,
    about = "View and modify the current Alertmanager state",
    help_template = "usage: amtool [<flags>] <command> [<args> ...]\n\n{about-with-newline}\n{all-args}{after-help}",
    after_help = "Flags of every command may be set in $HOME/.config/amtool/config.yml or /etc/amtool/config.yml: \
                  lines of the form `name: value`, such as `alertmanager.url: http://localhost:9093`."
)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// The flags of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Flags of every command")]
pub(super) struct Global {
    /// How dates are written in tables: Go's reference time 2006-01-02 15:04:05 MST as it shall look
    #[arg(
        global = true,
        long = "date.format",
        value_name = "LAYOUT",
        default_value = "2006-01-02 15:04:05 MST"
    )]
    pub(super) date_format: String,
    /// Say more
    #[arg(global = true, long, short)]
    pub(super) verbose: bool,
    /// The server
    #[arg(global = true, long = "alertmanager.url", value_name = "URL")]
    pub(super) alertmanager_url: Option<String>,
    /// How answers are written: simple, extended or json
    #[arg(global = true, long, short, value_name = "FORMAT", default_value = "simple", value_parser = output)]
    pub(super) output: Output,
    /// Time for the whole command
    #[arg(global = true, long, value_name = "TIME", default_value = "30s", value_parser = positive)]
    pub(super) timeout: Duration,
    /// How to speak HTTP with the server: an `http_config` of the server's configuration
    #[arg(global = true, long = "http.config.file", value_name = "FILE", value_parser = existing_file)]
    pub(super) http_config_file: Option<PathBuf>,
    /// Do not warn when server and tool are of different versions
    #[arg(global = true, long = "no-version-check")]
    pub(super) no_version_check: bool,
    /// Features of the server's flag of this name; `classic-mode` and `utf8-strict-mode` change how matchers are read
    #[arg(
        global = true,
        long = "enable-feature",
        value_name = "LIST",
        default_value = "",
        hide_default_value = true
    )]
    pub(super) enable_feature: String,
}

/// How answers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    Simple,
    Extended,
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Alerts: query, add, explain
    Alert {
        #[command(subcommand)]
        command: AlertCommand,
    },
    /// Silences: query, add, update, expire, import
    Silence {
        #[command(subcommand)]
        command: SilenceCommand,
    },
    /// Check configuration files of a server
    CheckConfig(CheckConfigFlags),
    /// The cluster: show
    Cluster {
        #[command(subcommand)]
        command: ClusterCommand,
    },
    /// The running configuration and its routes: show, routes, check
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Notification templates: render
    Template {
        #[command(subcommand)]
        command: TemplateCommand,
    },
    /// Print the version
    Version,
}

/// What can be done with alerts.
#[derive(Debug, Subcommand)]
pub(super) enum AlertCommand {
    /// Show alerts, the active ones unless told otherwise
    Query(AlertQueryFlags),
    /// Add an alert
    Add(AlertAddFlags),
    /// Say where alerts go, who was told, and what holds them back
    Explain(AlertExplainFlags),
}

/// Which alerts.
#[derive(Debug, Args)]
pub(super) struct AlertQueryFlags {
    /// Active alerts
    #[arg(long, short)]
    pub(super) active: bool,
    /// Silenced alerts
    #[arg(long, short)]
    pub(super) silenced: bool,
    /// Inhibited alerts
    #[arg(long, short)]
    pub(super) inhibited: bool,
    /// Alerts that no notification has looked at yet
    #[arg(long, short)]
    pub(super) unprocessed: bool,
    /// Alerts that go to a receiver whose whole name matches
    #[arg(long, short, value_name = "REGEX")]
    pub(super) receiver: Option<String>,
    #[command(flatten)]
    pub(super) watch: WatchFlags,
    /// name=value, name!=value, name=~regex or name!~regex; a first word without operator is an alert's name
    #[arg(value_name = "MATCHER")]
    pub(super) matchers: Vec<String>,
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct WatchFlags {
    /// Ask again and again, until interrupted
    #[arg(long)]
    pub(super) watch: bool,
    /// Time between two questions of --watch
    #[arg(long = "watch.interval", value_name = "TIME", default_value = "2s", value_parser = positive)]
    pub(super) interval: Duration,
}

/// What the new alert is.
#[derive(Debug, Args)]
pub(super) struct AlertAddFlags {
    /// Where the alert comes from
    #[arg(
        long = "generator-url",
        value_name = "URL",
        default_value = "",
        hide_default_value = true
    )]
    pub(super) generator_url: String,
    /// Its start, RFC 3339
    #[arg(long, value_name = "TIME", default_value = "", hide_default_value = true)]
    pub(super) start: String,
    /// Its end, RFC 3339
    #[arg(long, value_name = "TIME", default_value = "", hide_default_value = true)]
    pub(super) end: String,
    /// An annotation; may be repeated
    #[arg(long, value_name = "NAME=VALUE", action = ArgAction::Append)]
    pub(super) annotation: Vec<String>,
    /// Its labels; a first word without operator is the alert's name
    #[arg(value_name = "LABEL=VALUE")]
    pub(super) labels: Vec<String>,
}

/// Which alerts.
#[derive(Debug, Args)]
pub(super) struct AlertExplainFlags {
    /// As for `alert query`; alerts in every state
    #[arg(value_name = "MATCHER")]
    pub(super) matchers: Vec<String>,
}

/// What can be done with silences.
#[derive(Debug, Subcommand)]
pub(super) enum SilenceCommand {
    /// Add a silence and print its id
    Add(SilenceAddFlags),
    /// End silences now
    Expire(SilenceExpireFlags),
    /// Add the silences of a JSON file, as `silence query -o json` writes it
    Import(SilenceImportFlags),
    /// Show silences, active and pending ones unless told otherwise
    Query(SilenceQueryFlags),
    /// Change silences
    Update(SilenceUpdateFlags),
}

/// What the new silence is.
#[derive(Debug, Args)]
pub(super) struct SilenceAddFlags {
    /// Its author; without it the user's login name
    #[arg(long, short, value_name = "NAME")]
    pub(super) author: Option<String>,
    /// Do not ask for a comment
    #[arg(long = "no-require-comment", hide = true)]
    pub(super) no_require_comment: bool,
    /// How long it lasts: 30m, 2h30m, 1d, 1w
    #[arg(long, short, value_name = "TIME", default_value = "1h")]
    pub(super) duration: String,
    /// Its start, RFC 3339
    #[arg(long, value_name = "TIME", default_value = "", hide_default_value = true)]
    pub(super) start: String,
    /// Its end, RFC 3339; wins over the duration
    #[arg(long, value_name = "TIME", default_value = "", hide_default_value = true)]
    pub(super) end: String,
    /// Why
    #[arg(long, short, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(super) comment: String,
    /// An annotation; may be repeated
    #[arg(long, value_name = "NAME=VALUE", action = ArgAction::Append)]
    pub(super) annotation: Vec<String>,
    /// Show the alerts that it would silence, and add nothing
    #[arg(long = "dry-run")]
    pub(super) dry_run: bool,
    /// name=value, name!=value, name=~regex or name!~regex; a first word without operator is an alert's name
    #[arg(value_name = "MATCHER")]
    pub(super) matchers: Vec<String>,
}

/// Which silences.
#[derive(Debug, Args)]
pub(super) struct SilenceExpireFlags {
    /// Their ids
    #[arg(value_name = "ID")]
    pub(super) ids: Vec<String>,
}

/// Which file, and how.
#[derive(Debug, Args)]
pub(super) struct SilenceImportFlags {
    /// Add each as a new one, even if the server has it
    #[arg(long, short)]
    pub(super) force: bool,
    /// How many to add at the same time
    #[arg(long, short, value_name = "N", default_value_t = 8, value_parser = workers)]
    pub(super) worker: usize,
    /// Without it standard input
    #[arg(value_name = "FILE", value_parser = existing_file)]
    pub(super) file: Option<PathBuf>,
}

/// Which silences, and what of them.
#[derive(Debug, Args)]
pub(super) struct SilenceQueryFlags {
    /// Expired ones instead
    #[arg(long)]
    pub(super) expired: bool,
    /// Ids alone
    #[arg(long, short)]
    pub(super) quiet: bool,
    /// Those of this author
    #[arg(long = "created-by", value_name = "NAME", default_value = "", hide_default_value = true)]
    pub(super) created_by: String,
    /// The one with this id
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub(super) id: String,
    /// Those that end, or with --expired have ended, within this time
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = span)]
    pub(super) within: Duration,
    #[command(flatten)]
    pub(super) watch: WatchFlags,
    /// Matchers that a silence must have, as they stand; a first word without operator is an alert's name
    #[arg(value_name = "MATCHER")]
    pub(super) matchers: Vec<String>,
}

/// What to change.
#[derive(Debug, Args)]
pub(super) struct SilenceUpdateFlags {
    /// Ids alone
    #[arg(long, short)]
    pub(super) quiet: bool,
    /// How long it lasts from its start
    #[arg(long, short, value_name = "TIME", default_value = "", hide_default_value = true)]
    pub(super) duration: String,
    /// Its start, RFC 3339
    #[arg(long, value_name = "TIME", default_value = "", hide_default_value = true)]
    pub(super) start: String,
    /// Its end, RFC 3339; wins over the duration
    #[arg(long, value_name = "TIME", default_value = "", hide_default_value = true)]
    pub(super) end: String,
    /// Why
    #[arg(long, short, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(super) comment: String,
    /// Which silences
    #[arg(value_name = "ID")]
    pub(super) ids: Vec<String>,
}

/// Which files.
#[derive(Debug, Args)]
pub(super) struct CheckConfigFlags {
    /// Without any standard input
    #[arg(value_name = "FILE", value_parser = existing_file)]
    pub(super) files: Vec<PathBuf>,
}

/// What can be done with the cluster.
#[derive(Debug, Subcommand)]
pub(super) enum ClusterCommand {
    /// Show its state and members
    Show(WatchFlags),
}

/// What can be done with configurations.
#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Show the running one
    Show,
    /// Show its routes or test them
    Routes {
        /// A file in the place of the server's configuration
        #[arg(global = true, long = "config.file", value_name = "FILE", value_parser = existing_file)]
        file: Option<PathBuf>,
        #[command(subcommand)]
        command: RoutesCommand,
    },
    /// Check files, as `check-config` does
    Check(CheckConfigFlags),
}

/// What can be done with routes.
#[derive(Debug, Subcommand)]
pub(super) enum RoutesCommand {
    /// Show the tree
    Show,
    /// Tell the receivers of an alert with these labels
    Test(RoutesTestFlags),
}

/// Which alert, and what is expected.
#[derive(Debug, Args)]
pub(super) struct RoutesTestFlags {
    /// The receivers that are right, in order and with commas; others are a failure
    #[arg(
        long = "verify.receivers",
        value_name = "NAMES",
        default_value = "",
        hide_default_value = true
    )]
    pub(super) verify_receivers: String,
    /// Show the routes that match
    #[arg(long)]
    pub(super) tree: bool,
    /// The labels of the alert
    #[arg(value_name = "LABEL=VALUE")]
    pub(super) labels: Vec<String>,
}

/// What can be done with templates.
#[derive(Debug, Subcommand)]
pub(super) enum TemplateCommand {
    /// Render a text over the data of a notification
    Render(RenderFlags),
}

/// What to render.
#[derive(Debug, Args)]
pub(super) struct RenderFlags {
    /// Files of templates; may be repeated
    #[arg(long = "template.glob", value_name = "GLOB", required = true, action = ArgAction::Append)]
    pub(super) globs: Vec<String>,
    /// The text
    #[arg(long = "template.text", value_name = "TEXT", required = true)]
    pub(super) text: String,
    /// text or html
    #[arg(long = "template.type", value_name = "TYPE", default_value = "text", value_parser = kind)]
    pub(super) kind: Kind,
    /// The data, in the form of a webhook's body; without it a sample
    #[arg(long = "template.data", value_name = "FILE")]
    pub(super) data: Option<PathBuf>,
}

/// How values are escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Html,
}

fn output(text: &str) -> Result<Output, String> {
    match text {
        "simple" => Ok(Output::Simple),
        "extended" => Ok(Output::Extended),
        "json" => Ok(Output::Json),
        _ => Err(format!("enum value must be one of simple,extended,json, got '{text}'")),
    }
}

fn kind(text: &str) -> Result<Kind, String> {
    match text {
        "text" => Ok(Kind::Text),
        "html" => Ok(Kind::Html),
        _ => Err(format!("enum value must be one of html,text, got '{text}'")),
    }
}

/// A Go duration; a negative one is none at all.
fn span(text: &str) -> Result<Duration, String> {
    let span = parse_go_duration(text).map_err(|error| error.to_string())?;
    Ok(span.try_into().unwrap_or(Duration::ZERO))
}

fn positive(text: &str) -> Result<Duration, String> {
    match span(text)? {
        Duration::ZERO => Err(format!("must be more than nothing: {text:?}")),
        span => Ok(span),
    }
}

fn workers(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=1024) => Ok(count),
        _ => Err(format!("not a number from 1 to 1024: {text:?}")),
    }
}

/// `-` is standard input where a file is read.
fn existing_file(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => Err(format!("'{text}' is a directory")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(format!("path '{text}' does not exist"))
        }
        Err(error) => Err(format!("path '{text}': {}", reason(&error))),
        Ok(_) => Ok(path.to_owned()),
    }
}

/// Why the words are no command line, in upstream's words.
pub(super) fn mistake(error: &clap::Error) -> String {
    match error.kind() {
        ErrorKind::ValueValidation => match std::error::Error::source(error) {
            Some(cause) => cause.to_string(),
            None => first_line(error),
        },
        ErrorKind::MissingRequiredArgument => match error.get(ContextKind::InvalidArg) {
            Some(ContextValue::Strings(missing)) => {
                let flag = missing.first().and_then(|flag| flag.split(' ').next()).unwrap_or("");
                format!("required flag {flag} not provided")
            }
            _ => first_line(error),
        },
        _ => first_line(error),
    }
}

fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or("").trim_start_matches("error: ").to_owned()
}

/// The form in which scripts read the version, then our own.
pub(super) fn version() -> String {
    let ours = env!("CARGO_PKG_VERSION");
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let arch = if arch == "x86_64" { "amd64" } else { arch };
    format!(
        "amtool, version {COMPATIBLE} (branch: main, revision: {ours})\n  build user:       tocsin\n  \
         platform:         {os}/{arch}\n  tocsin version:   {ours}\n"
    )
}

/// The help of a command.
pub(super) fn help(root: &mut clap::Command, path: &[String]) -> String {
    root.build();
    let mut command = root;
    for name in path {
        match command.find_subcommand(name) {
            Some(_) => command = command.find_subcommand_mut(name).expect("was just found"),
            None => break,
        }
    }
    command.render_help().to_string()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn commands_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_names_what_a_command_takes() {
        let help = help(&mut Cli::command(), &["silence".to_owned(), "add".to_owned()]);
        for part in ["--duration", "--dry-run", "--alertmanager.url", "MATCHER"] {
            assert!(help.contains(part), "no {part} in\n{help}");
        }
        assert!(!help.contains("require-comment"), "{help}");
    }

    #[track_caller]
    fn check_manuals(command: &clap::Command, path: &[String]) {
        let page = crate::man::page("amtool", Cli::command(), path);
        let name = [&["amtool".to_owned()], path].concat().join("-");
        let parts = [
            format!("\n.TH {name} 1 "),
            format!("\n.SH NAME\n{} \\- ", name.replace('-', "\\-")),
            "\n.SH SYNOPSIS\n".to_owned(),
            "\n.SH \"FLAGS OF EVERY COMMAND\"\n".to_owned(),
        ];
        for part in parts {
            assert!(page.contains(&part), "no {part:?} in:\n{page}");
        }
        for below in command.get_subcommands() {
            check_manuals(below, &[path, &[below.get_name().to_owned()]].concat());
        }
    }

    #[test]
    fn each_command_has_a_manual_page() {
        check_manuals(&Cli::command(), &[]);
    }
}
