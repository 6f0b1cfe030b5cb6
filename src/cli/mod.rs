//! The command line: one subcommand a mode. Flags look and fail as Alertmanager's do.
//! Turns words into values; starts nothing.

mod arguments;
mod node;

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::complete::{self, Shell};
use crate::man;

pub(crate) use node::NodeFlags;

/// Everything `tocsin` can be.
#[derive(Debug, Parser)]
#[command(
    name = "tocsin",
    version,
    about,
    disable_help_subcommand = true,
    infer_subcommands = false
)]
#[command(
    after_help = "Called as `alertmanager` it is `tocsin node`, called as `amtool` it is `tocsin amtool`."
)]
struct Cli {
    #[command(subcommand)]
    mode: Mode,
}

/// One mode and its flags.
#[derive(Debug, Subcommand)]
pub(crate) enum Mode {
    /// An alert node: a drop-in for Prometheus Alertmanager that shares alerts with its peers
    Node(Box<NodeFlags>),
    /// The balancer in front of the nodes, with health checks, retries and a stats page
    Lb(Box<tocsin_lb::Flags>),
    /// Alertmanager's command line tool: ask servers, silence alerts, check files
    #[command(disable_help_flag = true)]
    Amtool {
        /// Its own words, read before these flags are
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
        words: Vec<OsString>,
    },
    /// Three nodes and a balancer on this machine, to try and to break
    Demo(DemoFlags),
    /// Take over an installed Alertmanager and HAProxy: their files, flags, silences and log
    Migrate(Box<crate::migrate::Flags>),
    /// The secret that keeps strangers out of a cluster
    #[command(subcommand)]
    Secret(SecretCommand),
}

/// What to do with secrets.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Print a new one, for a file that every node gets by --cluster.secret-file
    New,
}

/// The flags of `tocsin demo`.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct DemoFlags {
    /// The first of the nine ports used: balancer, three nodes, stats page, three cluster ports, receiver
    #[arg(long, default_value_t = 19_090, value_parser = clap::value_parser!(u16).range(1..=65_520))]
    pub(crate) port_base: u16,
}

/// What to do with a command line that is not a run.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Help or version was asked for: print on standard output, exit 0.
    Text(String),
    /// The command line is wrong: print on standard error, exit 1.
    Wrong(String),
}

/// The words of amtool, its own name first, when that is what was called.
pub(crate) fn amtool_words(words: &[OsString]) -> Option<&[OsString]> {
    let name = words.first().map(std::path::Path::new).and_then(|path| path.file_name());
    if name.is_some_and(|name| name == "amtool") {
        return Some(words);
    }
    words.get(1).filter(|mode| *mode == "amtool").map(|_| &words[1..])
}

/// Reads the words, the first of which is the program's name.
/// # Errors
/// [`Refusal`] with the text to print.
pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Mode, Refusal> {
    let words = arguments::read(words)?;
    let called = Called::by(&words);
    let mut command = Cli::command();
    if let Some(text) = completion(&mut command, called, &words) {
        return Err(Refusal::Text(text));
    }
    if words.iter().skip(1).any(|word| word == "--help-man") {
        return Err(Refusal::Text(manual(command, called, &words)));
    }
    let words = match called {
        Called::Tocsin => words,
        Called::Alertmanager => {
            if words.iter().skip(1).any(|word| word == "--version") {
                return Err(Refusal::Text(upstream_version("alertmanager")));
            }
            let (name, rest) = words.split_at(1);
            [name, &["node".into()], rest].concat()
        }
    };
    let matches = command.try_get_matches_from_mut(words);
    let parsed = matches.and_then(|mut matches| Cli::from_arg_matches_mut(&mut matches));
    parsed.map(|cli| cli.mode).map_err(|error| refusal(&error, called))
}

/// Why one flag of a node, `--name=value`, would not be taken; `None` if it would.
pub(crate) fn why_refused(flag: &str) -> Option<String> {
    match parse(["tocsin".into(), "node".into(), OsString::from(flag)]) {
        Err(Refusal::Wrong(text)) => {
            let first = text.lines().next().unwrap_or("");
            Some(first.trim_start_matches("tocsin: error: ").to_owned())
        }
        Ok(_) | Err(Refusal::Text(_)) => None,
    }
}

/// The name under which the binary was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Called {
    Tocsin,
    Alertmanager,
}

impl Called {
    fn by(words: &[OsString]) -> Self {
        let name = words.first().map(std::path::Path::new).and_then(|path| path.file_name());
        match name.and_then(|name| name.to_str()) {
            Some("alertmanager" | "prometheus-alertmanager") => Self::Alertmanager,
            _ => Self::Tocsin,
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::Tocsin => "tocsin",
            Self::Alertmanager => "alertmanager",
        }
    }
}

/// What upstream's `--completion-` flags ask for: a shell's script, or the words that fit.
fn completion(command: &mut Command, called: Called, words: &[OsString]) -> Option<String> {
    let words: Vec<&str> = words.iter().skip(1).filter_map(|word| word.to_str()).collect();
    let at = words.iter().position(|word| word.starts_with("--completion-"))?;
    let program = called.program();
    match words[at] {
        "--completion-script-bash" => Some(complete::script(Shell::Bash, program)),
        "--completion-script-zsh" => Some(complete::script(Shell::Zsh, program)),
        "--completion-script-fish" => Some(complete::script(Shell::Fish, program)),
        "--completion-bash" => {
            let given: Vec<String> =
                words[at + 1..].iter().map(|word| (*word).to_owned()).collect();
            let root = match called {
                Called::Tocsin => &*command,
                Called::Alertmanager => command.find_subcommand("node")?,
            };
            Some(complete::candidates(root, &given))
        }
        _ => None,
    }
}

/// The manual page of the command that is named before `--help-man`.
fn manual(command: Command, called: Called, words: &[OsString]) -> String {
    let root = match called {
        Called::Tocsin => command,
        Called::Alertmanager => command.find_subcommand("node").cloned().unwrap_or(command),
    };
    let names = words.iter().skip(1).filter_map(|word| word.to_str());
    let names: Vec<String> =
        names.take_while(|word| !word.starts_with('-')).map(str::to_owned).collect();
    man::page(called.program(), root, &names)
}

/// The form in which tools read a version out of Alertmanager's programs.
fn upstream_version(program: &str) -> String {
    format!(
        "{program}, version {} (branch: main, revision: {})\n  build user:       tocsin\n  platform:         {}/{}\n",
        tocsin_node::VERSION,
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH,
    )
}

fn refusal(error: &clap::Error, called: Called) -> Refusal {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return Refusal::Text(error.to_string());
    }
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    let flag = context(ContextKind::InvalidArg).split([' ', '=']).next().unwrap_or("");
    let text = match error.kind() {
        ErrorKind::UnknownArgument if flag.starts_with("--") => unknown_flag(error, flag),
        ErrorKind::UnknownArgument => format!("unexpected {flag}"),
        ErrorKind::ArgumentConflict => {
            format!("flag '{}' cannot be repeated", flag.trim_start_matches('-'))
        }
        ErrorKind::InvalidValue if context(ContextKind::InvalidValue).is_empty() => {
            format!("expected argument for flag '{flag}'")
        }
        ErrorKind::ValueValidation => match std::error::Error::source(error) {
            Some(cause) => format!("{cause} (flag '{flag}')"),
            None => one_line(error),
        },
        _ => one_line(error),
    };
    Refusal::Wrong(format!("{}: error: {text}\n", called.program()))
}

fn unknown_flag(error: &clap::Error, flag: &str) -> String {
    let hint = match error.get(ContextKind::SuggestedArg) {
        Some(ContextValue::String(near)) => format!(" (did you mean {near}?)"),
        _ => String::new(),
    };
    format!("unknown long flag '{flag}', try --help{hint}")
}

/// The first paragraph of the library's own text.
fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let first: Vec<&str> =
        text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    first.join(" ").trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use tocsin_node::options::Features;

    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[track_caller]
    fn check_refused(line: &str, expected: &str) {
        match parse(words(line)) {
            Err(Refusal::Wrong(text)) => assert_eq!(text, format!("{expected}\n")),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn node(line: &str) -> NodeFlags {
        match parse(words(line)) {
            Ok(Mode::Node(flags)) => *flags,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn wrong_flags_are_told_as_upstream_tells_them() {
        check_refused(
            "alertmanager --nope",
            "alertmanager: error: unknown long flag '--nope', try --help",
        );
        check_refused("alertmanager foo", "alertmanager: error: unexpected foo");
        check_refused(
            "alertmanager --config.file=a --config.file=b",
            "alertmanager: error: flag 'config.file' cannot be repeated",
        );
        check_refused(
            "tocsin node --web.listen-address",
            "tocsin: error: expected argument for flag '--web.listen-address'",
        );
    }

    #[track_caller]
    fn check_manual(line: &str, parts: &[&str]) {
        let page = match parse(words(line)) {
            Err(Refusal::Text(page)) => page,
            other => panic!("{other:?}"),
        };
        for part in parts {
            assert!(page.contains(part), "no {part:?} in:\n{page}");
        }
    }

    #[test]
    fn each_mode_has_a_manual_page() {
        let flags = ["\n.SH NAME\n", "\n.SH OPTIONS\n", "\\-\\-config.file"];
        check_manual("alertmanager --help-man", &["\n.TH alertmanager 1 "]);
        check_manual("alertmanager --config.file=x --help-man", &flags);
        check_manual("tocsin node --help-man", &["\n.TH tocsin-node 1 "]);
        check_manual("tocsin node --help-man", &flags);
        check_manual("tocsin secret new --help-man", &["\n.TH tocsin-secret-new 1 "]);
        check_manual("tocsin --help-man", &["\n.TH tocsin 1 ", "tocsin\\-lb(1)"]);
    }

    #[test]
    fn peers_and_listeners_may_be_repeated() {
        let flags = node(
            "alertmanager --cluster.peer=a:1 --cluster.peer b:2 --web.listen-address=:1 --web.listen-address=:2",
        );
        assert_eq!(flags.options(Features::default()).expect("good").cluster.peers, ["a:1", "b:2"]);
        assert_eq!(flags.listen_addresses(), [":1", ":2"]);
    }

    #[test]
    fn default_address_goes_when_one_is_given() {
        assert_eq!(node("tocsin node").listen_addresses(), [":9093"]);
        assert_eq!(
            node("tocsin node --web.listen-address=[::1]:0").listen_addresses(),
            ["[::1]:0"]
        );
    }

    #[test]
    fn booleans_have_a_no_form() {
        assert!(
            node("tocsin node --log.silences")
                .options(Features::default())
                .expect("good")
                .log_silences
        );
        let flags = node("tocsin node --no-log.silences --no-web.api-v1");
        let options = flags.options(Features::default()).expect("good");
        assert!(!options.log_silences && !options.web.api_v1);
    }

    #[test]
    fn empty_cluster_address_is_kept() {
        assert_eq!(
            node("tocsin node --cluster.listen-address=")
                .options(Features::default())
                .expect("good")
                .cluster
                .listen_address,
            ""
        );
    }
}
