//! Values whose texts are templates: PagerDuty details, Jira fields, webhook payloads.

use serde_json::{Map, Number, Value};
use tocsin_service::yaml;

use super::SendError;
use crate::config::tree::Tree;

/// Renders a template.
type Render<'a> = dyn Fn(&str) -> Result<String, SendError> + 'a;

/// The value with its texts expanded; a text that then reads as a YAML number, truth value, null,
/// list or map becomes that, and is final. Keys that are no texts are dropped.
/// # Errors
/// On a template error, and on numbers that JSON cannot say.
pub(super) fn expand(tree: &Tree, render: &Render<'_>) -> Result<Value, SendError> {
    json(tree, &|text| reread(render(text)?), render)
}

/// What the expanded text means; a text that is no YAML is itself.
fn reread(text: String) -> Result<Value, SendError> {
    let Ok(document) = yaml::parse(&text, "") else { return Ok(Value::String(text)) };
    let tree = document.root().map_or(Tree::Null, Tree::of);
    if matches!(tree, Tree::Text(_)) {
        return Ok(Value::String(text));
    }
    let same = |text: &str| Ok(text.to_owned());
    json(&tree, &|text| Ok(Value::String(text.to_owned())), &same)
}

fn json(
    tree: &Tree,
    text: &dyn Fn(&str) -> Result<Value, SendError>,
    key: &Render<'_>,
) -> Result<Value, SendError> {
    Ok(match tree {
        Tree::Null => Value::Null,
        Tree::Bool(value) => Value::Bool(*value),
        Tree::Int(value) => Value::from(*value),
        Tree::Float(value) => number(*value)?,
        Tree::Text(value) => text(value)?,
        Tree::List(items) => {
            Value::Array(items.iter().map(|item| json(item, text, key)).collect::<Result<_, _>>()?)
        }
        Tree::Map(entries) => {
            let mut map = Map::new();
            for (name, value) in entries {
                if let Tree::Text(name) = name {
                    map.insert(key(name)?, json(value, text, key)?);
                }
            }
            Value::Object(map)
        }
    })
}

fn number(value: f64) -> Result<Value, SendError> {
    Number::from_f64(value)
        .map(Value::Number)
        .ok_or_else(|| SendError::invalid(format!("JSON cannot say the number {value}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(rendered: &str, expected: Value) {
        let render = |_: &str| Ok(rendered.to_owned());
        let found = expand(&Tree::Text("template".to_owned()), &render).unwrap();
        assert_eq!(found, expected, "{rendered:?}");
    }

    #[test]
    fn an_expanded_text_is_what_it_reads_as() {
        check("2", json!(2));
        check("1.5", json!(1.5));
        check("yes", json!(true));
        check("0x10", json!(16));
        check("012", json!(10));
        check("1_000", json!(1000));
        check("", Value::Null);
        check("# text", Value::Null);
        check("a: b", json!({"a": "b"}));
        check(r#"{"a": ["1", {"b": null}]}"#, json!({"a": ["1", {"b": null}]}));
        check("2024-05-01T10:00:00Z", json!("2024-05-01T10:00:00Z"));
        check("Disk is full", json!("Disk is full"));
        check("{{ not: yaml", json!("{{ not: yaml"));
        check("a\n", json!("a\n"));
        check("\"quoted\"", json!("\"quoted\""));
    }

    #[test]
    fn a_number_without_end_is_an_error() {
        let render = |_: &str| Ok(".inf".to_owned());
        assert!(expand(&Tree::Text(String::new()), &render).is_err());
    }

    #[test]
    fn keys_are_templates_and_only_texts() {
        let render = |text: &str| Ok(text.to_uppercase());
        let tree = Tree::Map(vec![
            (Tree::Text("a".to_owned()), Tree::Text("x".to_owned())),
            (Tree::Int(1), Tree::Text("dropped".to_owned())),
            (Tree::Text("b".to_owned()), Tree::List(vec![Tree::Int(1), Tree::Null])),
        ]);
        assert_eq!(expand(&tree, &render).unwrap(), json!({"A": "X", "B": [1, null]}));
    }
}
