//! The configuration in effect as clients get it: in words that those of older versions know, and as JSON for API v1.

use tocsin_service::yaml::{self, Kind, Node, Resolved};

use super::{
    json::push_string,
    wire::{push, push_array},
};

/// What 0.34 writes although nobody has set it, and what tools of 0.25 refuse to read: keys of the global section.
const NEW_DEFAULTS: [&[&str]; 3] = [
    &["  smtp_tls_config:\n", "    insecure_skip_verify: false\n"],
    &["  slack_app_url: https://slack.com/api/chat.postMessage\n"],
    &["  rocketchat_api_url: https://open.rocket.chat/\n"],
];

/// The shown YAML without what is new since 0.25 and says nothing: whoever knows the keys finds the same defaults without
/// them, and an older `amtool config routes` can read the rest.
pub(super) fn for_all_versions(original: &str) -> String {
    let mut lines: Vec<&str> = original.split_inclusive('\n').collect();
    let global = lines.iter().position(|line| *line == "route:\n").unwrap_or(0);
    for default in NEW_DEFAULTS {
        let at = lines[..global.min(lines.len())]
            .windows(default.len())
            .position(|window| window == default);
        if let Some(at) = at {
            leave_out(&mut lines, at, default.len());
        }
    }
    // Every receiver has its name as a label; others stay, and older tools complain of them.
    for at in (1..lines.len()).rev() {
        let name = lines[at - 1].strip_prefix("- name: ");
        let label = lines.get(at + 1).and_then(|line| line.strip_prefix("    name: "));
        if lines[at] == "  labels:\n" && name.is_some() && name == label {
            leave_out(&mut lines, at, 2);
        }
    }
    lines.concat()
}

/// Takes lines out, unless the mapping that they are goes on.
fn leave_out(lines: &mut Vec<&str>, at: usize, count: usize) {
    let goes_on = lines.get(at + count).is_some_and(|line| line.starts_with("    "));
    if count == 1 || !goes_on {
        lines.drain(at..at + count);
    }
}

/// The shown YAML as JSON; an empty object should it not be readable.
pub(super) fn json(original: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(original.len());
    match yaml::parse(original, "configuration") {
        Ok(document) if document.root().is_some() => {
            document.root().into_iter().for_each(|root| push_node(&mut out, root));
        }
        _ => push(&mut out, "{}"),
    }
    out
}

fn push_node(out: &mut Vec<u8>, node: &Node) {
    match node.kind() {
        Kind::Scalar(scalar) => match scalar.resolve() {
            Resolved::Null => push(out, "null"),
            Resolved::Bool(value) => push(out, if value { "true" } else { "false" }),
            Resolved::Int(value) => push(out, &value.to_string()),
            Resolved::Unsigned(value) => push(out, &value.to_string()),
            Resolved::Float(value) if value.is_finite() => push(out, &value.to_string()),
            Resolved::Float(_) => push_string(out, scalar.text()),
            Resolved::Text(text) => push_string(out, &text),
        },
        Kind::List(items) => push_array(out, items.iter(), push_node),
        Kind::Map(entries) => {
            out.push(b'{');
            for (index, entry) in entries.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                push_string(out, entry.key.text());
                out.push(b':');
                push_node(out, &entry.value);
            }
            out.push(b'}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_and_says_nothing_is_left_out() {
        let original = "global:\n  smtp_require_tls: true\n  smtp_tls_config:\n    insecure_skip_verify: false\n  \
            slack_app_url: https://slack.com/api/chat.postMessage\n  opsgenie_api_url: x\n  \
            rocketchat_api_url: https://open.rocket.chat/\nroute:\n  receiver: a\nreceivers:\n- name: a\n  labels:\n    \
            name: a\n  webhook_configs: []\n- name: b\n  labels:\n    name: b\n    team: x\ntemplates: []\n";
        let expected = "global:\n  smtp_require_tls: true\n  opsgenie_api_url: x\nroute:\n  receiver: a\nreceivers:\n\
            - name: a\n  webhook_configs: []\n- name: b\n  labels:\n    name: b\n    team: x\ntemplates: []\n";
        assert_eq!(for_all_versions(original), expected);
        let set =
            "global:\n  smtp_tls_config:\n    insecure_skip_verify: false\n    ca: x\nroute:\n";
        assert_eq!(for_all_versions(set), set);
    }

    #[test]
    fn yaml_is_shown_as_json() {
        let yaml = "global: {timeout: 5m, n: 3, tls: true, x: ~, f: 1.5}\nlist:\n- a\n- '7'\n";
        let text = String::from_utf8(json(yaml)).unwrap();
        let expected =
            r#"{"global":{"timeout":"5m","n":3,"tls":true,"x":null,"f":1.5},"list":["a","7"]}"#;
        assert_eq!(text, expected);
        assert_eq!(json("a: ["), b"{}");
    }
}
