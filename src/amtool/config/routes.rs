//! `amtool config routes`: the tree of routes, and which of them an alert takes.

use std::path::Path;
use std::sync::Arc;

use tocsin_core::label::Labels;
use tocsin_core::route::{Route, RouteIndex, Routes};
use tocsin_node::config;

use crate::amtool::cli::RoutesTestFlags;
use crate::amtool::context::Context;
use crate::amtool::failure::Failure;
use crate::amtool::fields::pairs;

/// Runs `config routes show`.
pub(in crate::amtool) async fn show(
    file: Option<&Path>,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let routes = load(file, context).await?;
    let mut text = "Routing tree:\n.\n".to_owned();
    draw(&whole(&routes, routes.root()), &mut String::new(), &mut text);
    text.push('\n');
    context.console.print(&text)
}

/// Runs `config routes test`.
pub(in crate::amtool) async fn test(
    file: Option<&Path>,
    flags: &RoutesTestFlags,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let routes = load(file, context).await?;
    let labels = pairs(&flags.labels, "labels", context).map_err(|failure| match failure {
        Failure::Why(why) => Failure::Why(format!("Failed to parse labels: {why}")),
        Failure::Told => Failure::Told,
    })?;
    let labels: Labels = labels.into_iter().collect();
    let mut text = String::new();
    if flags.tree {
        text.push_str("Matching routes:\n.\n");
        draw(&taken(&routes, routes.root(), &labels), &mut String::new(), &mut text);
        text.push_str("\n\n");
    }
    let receivers: Vec<&str> = routes
        .matching(&labels)
        .into_iter()
        .filter_map(|index| routes.get(index))
        .map(|route| &*route.receiver)
        .collect();
    let receivers = receivers.join(",");
    text.push_str(&format!("{receivers}\n"));
    let right = flags.verify_receivers.is_empty() || flags.verify_receivers == receivers;
    if !right {
        text.push_str("WARNING: Expected receivers did not match resolved receivers.\n");
    }
    context.console.print(&text)?;
    if right { Ok(()) } else { Err(Failure::Told) }
}

/// The routes of a file, else of the server.
/// # Errors
/// When the file is no configuration, or there is neither file nor server.
pub(in crate::amtool) async fn load(
    file: Option<&Path>,
    context: &Context<'_>,
) -> Result<Arc<Routes>, Failure> {
    let Some(file) = file else {
        if !context.has_server() {
            let why = "You have to specify one of --config.file or --alertmanager.url flags.";
            return Err(why.into());
        }
        let text = context.status().await?.config.original;
        let config = config::load_shown(&text, context.features);
        let config = config
            .map_err(|mistakes| format!("the server's configuration: {}", mistakes.summary()))?;
        return Ok(config.routes);
    };
    if context.has_server() {
        let warning = "Warning: --config.file flag overrides the --alertmanager.url.";
        context.console.tell(warning);
    }
    let config =
        config::load_unshown(file, context.features).map_err(|mistakes| mistakes.summary())?;
    Ok(config.routes)
}

/// A route as it is drawn.
struct Branch {
    text: String,
    branches: Vec<Branch>,
}

fn whole(routes: &Routes, index: RouteIndex) -> Branch {
    let Some(route) = routes.get(index) else {
        return Branch { text: String::new(), branches: Vec::new() };
    };
    let branches = route.children.iter().map(|child| whole(routes, *child)).collect();
    let goes_on = if route.continues { "  continue: true" } else { "" };
    let text = format!("{}{goes_on}  receiver: {}", name(route), route.receiver);
    Branch { text, branches }
}

/// The routes that match, each with its receiver where the alert ends.
fn taken(routes: &Routes, index: RouteIndex, labels: &Labels) -> Branch {
    let Some(route) = routes.get(index) else {
        return Branch { text: String::new(), branches: Vec::new() };
    };
    let mut branches = Vec::new();
    for child in &route.children {
        let Some(found) = routes.get(*child).filter(|child| child.matchers.matches(labels)) else {
            continue;
        };
        branches.push(taken(routes, *child, labels));
        if !found.continues {
            break;
        }
    }
    let mut text = name(route);
    if branches.is_empty() {
        text.push_str(&format!("  receiver: {}", route.receiver));
    }
    Branch { text, branches }
}

fn name(route: &Route) -> String {
    if route.matchers.is_empty() { "default-route".to_owned() } else { route.matchers.to_string() }
}

fn draw(root: &Branch, indent: &mut String, text: &mut String) {
    draw_all(std::slice::from_ref(root), indent, text);
}

fn draw_all(branches: &[Branch], indent: &mut String, text: &mut String) {
    for (at, branch) in branches.iter().enumerate() {
        let last = at + 1 == branches.len();
        let mark = if last { "└── " } else { "├── " };
        text.push_str(&format!("{indent}{mark}{}\n", branch.text));
        let before = indent.len();
        // The two blanks after the line are such that do not break, as upstream prints them.
        indent.push_str(if last { "    " } else { "│\u{a0}\u{a0} " });
        draw_all(&branch.branches, indent, text);
        indent.truncate(before);
    }
}
