//! HTML escaping by context. The evaluator's pieces become one flat template for `gotmpl`, whose port of Go's
//! context machine chooses the escaper of each value. No user syntax reaches its parser.

use std::sync::Arc;

use crate::eval::Piece;
use crate::printf;
use crate::value::{Kind, SafeKind, Value};

/// Control characters that texts hardly hold; the first pair that no piece holds becomes the delimiters.
const DELIMITERS: [(&str, &str); 4] = [
    ("\u{1}\u{2}", "\u{2}\u{1}"),
    ("\u{3}\u{4}", "\u{4}\u{3}"),
    ("\u{5}\u{6}", "\u{6}\u{5}"),
    ("\u{e}\u{f}", "\u{f}\u{e}"),
];

/// The pieces as one HTML text.
/// # Errors
/// Go's text, for instance when the template ends inside a tag.
pub(crate) fn escape(pieces: Vec<Piece>) -> Result<String, String> {
    let held = |delimiter: &str| {
        pieces.iter().any(|piece| matches!(piece, Piece::Text(text) if text.contains(delimiter)))
    };
    let (open, close) = DELIMITERS
        .into_iter()
        .find(|(open, close)| !held(open) && !held(close))
        .ok_or("html/template: the text holds too many control characters")?;
    let mut source = String::new();
    let mut values = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => source.push_str(&text),
            Piece::Value(value, escaper) => {
                let escaper = escaper.map(|name| format!(" | {name}")).unwrap_or_default();
                source.push_str(&format!("{open}index . {}{escaper}{close}", values.len()));
                values.push(converted(&value));
            }
        }
    }
    let data = gotmpl::Value::List(values.into());
    // Its lints forbid panics; a notification must not hang on that promise.
    let render = std::panic::AssertUnwindSafe(|| {
        gotmpl::html::Template::new("").delims(open, close).parse(&source)?.execute_to_string(&data)
    });
    match std::panic::catch_unwind(render) {
        Ok(Ok(text)) => Ok(text),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("html/template: the escaper failed".to_owned()),
    }
}

/// A value as the escaper knows values; what has a `String` method goes as its text.
fn converted(value: &Value) -> gotmpl::Value {
    if let Some(text) = value.stringer() {
        return gotmpl::Value::String(text.into());
    }
    match value {
        Value::Nil => gotmpl::Value::Nil,
        Value::Bool(b) => gotmpl::Value::Bool(*b),
        Value::Float(f) => gotmpl::Value::Float(*f),
        Value::Text(text) => gotmpl::Value::String(Arc::clone(text)),
        Value::Safe(kind, text) => gotmpl::Value::Safe {
            kind: match kind {
                SafeKind::Html => gotmpl::SafeKind::Html,
                SafeKind::Url => gotmpl::SafeKind::Url,
            },
            s: Arc::clone(text),
        },
        Value::Map(map) => gotmpl::Value::Map(Arc::new(
            map.iter().map(|(key, value)| (Arc::clone(key), converted(value))).collect(),
        )),
        Value::Object(object) if object.kind() == Kind::Map => gotmpl::Value::Map(Arc::new(
            object
                .entries()
                .iter()
                .map(|(key, value)| (printf::plain(key).into(), converted(value)))
                .collect(),
        )),
        Value::Object(object) if object.kind() == Kind::Struct => {
            gotmpl::Value::String(printf::plain(value).into())
        }
        Value::Texts(_) | Value::List(_) | Value::Object(_) => {
            let elements = value.entries().unwrap_or_default();
            gotmpl::Value::List(elements.iter().map(|(_, element)| converted(element)).collect())
        }
        value => match value.as_int() {
            Some(n) => gotmpl::Value::Int(n),
            None => gotmpl::Value::String(printf::plain(value).into()),
        },
    }
}
