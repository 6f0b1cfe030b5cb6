//! `inhibit_rules`: alerts that make others pointless.

use tocsin_core::inhibit::Rule;
use tocsin_core::matcher::Matchers;
use tocsin_service::yaml::Value;

use super::block::Block;
use super::route::{equal_matchers, list_matchers, regex_matchers};

/// Reads one rule; nothing in it is required.
pub(crate) fn read(block: &mut Block<'_>) -> Rule {
    let name = block.text("name", "");
    let source = side(block, ["source_match", "source_match_re", "source_matchers"]);
    let target = side(block, ["target_match", "target_match_re", "target_matchers"]);
    Rule { name: name.into(), source, target, equal: equal(block) }
}

fn side(block: &mut Block<'_>, keys: [&'static str; 3]) -> Matchers {
    let mut matchers = Matchers::default();
    equal_matchers(block, keys[0], &mut matchers);
    regex_matchers(block, keys[1], &mut matchers);
    list_matchers(block, keys[2], &mut matchers);
    matchers.sort();
    matchers
}

fn equal(block: &mut Block<'_>) -> Vec<Box<str>> {
    let mut names: Vec<Box<str>> = Vec::new();
    for field in block.section().list("equal") {
        let Some(name) = field.text() else { continue };
        if !block.rules.mode.names().allows(&name) {
            field.mistake(format!("invalid label name {name:?}"));
        }
        names.push(name.into());
    }
    if !names.is_empty() {
        let shown = names.iter().map(|name| Value::from(&**name)).collect();
        block.show("equal", Value::List(shown));
    }
    names
}
