//! Who was told of a group, from the history that a node of Tocsin keeps; upstream's servers keep none.

use std::fmt::Write as _;

use tocsin_core::label::Labels;
use tocsin_core::matcher::{MatchOp, Matcher};

use crate::amtool::client::Client;
use crate::amtool::context::Context;
use crate::amtool::failure::Failure;
use crate::amtool::wire::{Attempt, History};

/// What the server remembers; `None` when it keeps no history.
pub(super) struct Told(Option<Vec<History>>);

impl Told {
    /// Asks for at least the groups with these labels.
    /// # Errors
    /// When there is no answer.
    pub(super) async fn ask(client: &Client, groups: &[Labels]) -> Result<Self, Failure> {
        let filters = common(groups);
        let query: Vec<(&str, &str)> = filters.iter().map(|text| ("filter", &**text)).collect();
        client.find("/history", &query).await.map(Self)
    }

    /// Whether the server keeps a history.
    pub(super) fn is_known(&self) -> bool {
        self.0.is_some()
    }

    /// A line for each attempt to tell that receiver of that group.
    pub(super) fn lines(&self, group_key: &str, receiver: &str, context: &Context<'_>) -> String {
        let Some(all) = &self.0 else { return String::new() };
        let mut text = String::new();
        let fits = |one: &&History| one.group_key == group_key && one.receiver == receiver;
        for history in all.iter().filter(fits) {
            let by = match history.index {
                0 => history.integration.clone(),
                index => format!("{} {}", history.integration, index + 1),
            };
            for attempt in &history.attempts {
                let _ = writeln!(text, "    {}", line(&by, attempt, context)); // A String takes everything.
            }
        }
        if text.is_empty() {
            text.push_str("    nobody was told in the last 24 hours\n");
        }
        text
    }
}

fn line(by: &str, attempt: &Attempt, context: &Context<'_>) -> String {
    let Attempt { node, reason, text, firing, resolved, .. } = attempt;
    let at = context.date(&attempt.at);
    let (begin, end) = match attempt.result.as_str() {
        "sent" => ("told", String::new()),
        "retried" => ("not told yet", format!("; will be tried again: {text}")),
        _ => ("not told", format!("; given up: {text}")),
    };
    format!(
        "{begin} by {by} at {at} from {node}: {reason}, {firing} firing, {resolved} resolved{end}"
    )
}

/// Matchers of the labels that all groups have.
fn common(groups: &[Labels]) -> Vec<String> {
    let Some((first, rest)) = groups.split_first() else { return Vec::new() };
    first
        .iter()
        .filter(|(name, value)| rest.iter().all(|labels| labels.get(name) == *value))
        .filter_map(|(name, value)| Matcher::new(name, MatchOp::Equal, value).ok())
        .map(|matcher| matcher.to_string())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_all_groups_have_is_asked_for() {
        let groups = [
            Labels::from([("alertname", "Down \"x\""), ("team", "db")]),
            Labels::from([("alertname", "Down \"x\""), ("team", "web")]),
        ];
        assert_eq!(common(&groups), [r#"alertname="Down \"x\"""#]);
        assert_eq!(common(&groups[..1]).len(), 2);
        assert!(common(&[groups[0].clone(), Labels::default()]).is_empty());
    }
}
