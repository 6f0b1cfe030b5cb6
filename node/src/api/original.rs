//! The configuration in effect as JSON: what API v1 shows beside its YAML.

use tocsin_service::yaml::{self, Kind, Node, Resolved};

use super::{
    json::push_string,
    wire::{push, push_array},
};

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
    fn yaml_is_shown_as_json() {
        let yaml = "global: {timeout: 5m, n: 3, tls: true, x: ~, f: 1.5}\nlist:\n- a\n- '7'\n";
        let text = String::from_utf8(json(yaml)).unwrap();
        let expected =
            r#"{"global":{"timeout":"5m","n":3,"tls":true,"x":null,"f":1.5},"list":["a","7"]}"#;
        assert_eq!(text, expected);
        assert_eq!(json("a: ["), b"{}");
    }
}
