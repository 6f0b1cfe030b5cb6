//! `tocsin amtool`: the command line tool of Prometheus Alertmanager, for Tocsin's nodes and upstream's servers.
//! It reads words, asks a server or a file, prints an answer; rules and parsers are those of the node.

mod alert;
mod arguments;
mod certificate;
mod check_config;
mod cli;
mod client;
mod cluster;
mod config;
mod console;
mod context;
mod failure;
mod fields;
mod moment;
mod settings;
mod silence;
mod table;
mod template;
mod walk;
mod watch;
mod wire;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

use crate::{complete, man};
use cli::{Cli, Command};
use console::Console;
use context::Context;
use failure::Failure;
use walk::{Walk, Wanted};

/// Runs one command line, whose first word is the program's name, and tells how it ended.
pub(crate) fn run(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let console = Console::new();
    let words = words.into_iter().skip(1).map(|word| word.to_string_lossy().into_owned());
    match begin(words.collect(), &console) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Told) => ExitCode::FAILURE,
        Err(Failure::Why(why)) => {
            console.tell(&format!("amtool: error: {why}"));
            ExitCode::FAILURE
        }
    }
}

fn begin(words: Vec<String>, console: &Console) -> Result<(), Failure> {
    let mut root = Cli::command();
    let Walk { path, flags, arguments, wanted } = walk::walk(&root, words)?;
    match wanted {
        Wanted::Run => {}
        Wanted::Version => return console.print(&cli::version()),
        Wanted::Script(shell) => return console.print(&complete::script(shell, "amtool")),
        Wanted::Words(words) => return console.print(&complete::candidates(&root, &words)),
        Wanted::Manual(path) => return console.print(&man::page("amtool", root, &path)),
        Wanted::Help(path) => return console.print(&cli::help(&mut root, &path)),
    }
    let given = settings::add_defaults(&root, &path, flags)?;
    let words = walk::normal(&root, &path, &given, arguments);
    let parsed = root.try_get_matches_from_mut(words);
    let cli = parsed.and_then(|mut matches| Cli::from_arg_matches_mut(&mut matches));
    let cli = cli.map_err(|error| Failure::Why(cli::mistake(&error)))?;
    start(cli, console)
}

fn start(cli: Cli, console: &Console) -> Result<(), Failure> {
    let timeout = cli.global.timeout;
    let context = Context::new(cli.global, watches(&cli.command), console)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Why(format!("no runtime: {error}")))?;
    runtime.block_on(async {
        let work = execute(cli.command, &context);
        // A loop lasts as long as its user wants; each of its rounds has the time-out.
        if context.watches {
            return work.await;
        }
        let late = || Failure::Why("context deadline exceeded".to_owned());
        tokio::time::timeout(timeout, work).await.map_err(|_| late())?
    })
}

/// Whether the command goes on until it is interrupted.
fn watches(command: &Command) -> bool {
    use cli::{AlertCommand, ClusterCommand, SilenceCommand};
    match command {
        Command::Alert { command: AlertCommand::Query(flags) } => flags.watch.watch,
        Command::Silence { command: SilenceCommand::Query(flags) } => flags.watch.watch,
        Command::Cluster { command: ClusterCommand::Show(flags) } => flags.watch,
        _ => false,
    }
}

async fn execute(command: Command, context: &Context<'_>) -> Result<(), Failure> {
    use cli::{AlertCommand, ClusterCommand, ConfigCommand, RoutesCommand, SilenceCommand};
    match command {
        Command::Alert { command } => match command {
            AlertCommand::Query(flags) => alert::query::run(&flags, context).await,
            AlertCommand::Add(flags) => alert::add::run(flags, context).await,
            AlertCommand::Explain(flags) => alert::explain::run(&flags, context).await,
        },
        Command::Silence { command } => match command {
            SilenceCommand::Add(flags) => silence::add::run(flags, context).await,
            SilenceCommand::Expire(flags) => silence::expire::run(&flags, context).await,
            SilenceCommand::Import(flags) => silence::import::run(&flags, context).await,
            SilenceCommand::Query(flags) => silence::query::run(&flags, context).await,
            SilenceCommand::Update(flags) => silence::update::run(&flags, context).await,
        },
        Command::CheckConfig(flags) => check_config::run(&flags, context),
        Command::Cluster { command: ClusterCommand::Show(flags) } => {
            cluster::run(&flags, context).await
        }
        Command::Config { command } => match command {
            ConfigCommand::Show => config::show::run(context).await,
            ConfigCommand::Check(flags) => check_config::run(&flags, context),
            ConfigCommand::Routes { file, command } => match command {
                RoutesCommand::Show => config::routes::show(file.as_deref(), context).await,
                RoutesCommand::Test(flags) => {
                    config::routes::test(file.as_deref(), &flags, context).await
                }
            },
        },
        Command::Template { command: cli::TemplateCommand::Render(flags) } => {
            template::run(&flags, context)
        }
        Command::Version => context.console.print(&cli::version()),
    }
}
