//! `amtool config show`: the running configuration.

use crate::amtool::cli::Output;
use crate::amtool::context::Context;
use crate::amtool::failure::Failure;
use crate::amtool::wire::{Status, go_json};

/// Runs it.
pub(in crate::amtool) async fn run(context: &Context<'_>) -> Result<(), Failure> {
    if context.output() == Output::Json {
        let body = context.raw_status().await?;
        let raw: Box<serde_json::value::RawValue> =
            serde_json::from_slice(&body).map_err(Failure::why)?;
        return context.console.print(&go_json(&raw).map_err(Failure::why)?);
    }
    let status = context.status().await?;
    let mut text = format!("{}\n", status.config.original);
    if context.output() == Output::Extended {
        text.push_str(&build(&status));
    }
    context.console.print(&text)
}

fn build(status: &Status) -> String {
    let version = &status.version_info;
    let lines = [
        ("buildUser", &version.build_user),
        ("goVersion", &version.go_version),
        ("revision", &version.revision),
        ("version", &version.version),
        ("branch", &version.branch),
        ("buildDate", &version.build_date),
        ("uptime", &status.uptime),
    ];
    lines.iter().map(|(name, value)| format!("{name} {value}\n")).collect()
}
