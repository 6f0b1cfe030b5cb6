//! Contextual escaping, as Go's `html/template` does it.
//!
//! A rendering for HTML arrives as literal text and values in turn, all control flow resolved. It
//! becomes one flat template for the crate `gotmpl`, whose actions name the values by number, and
//! that crate chooses the escaper of each by what surrounds it. No template of a user reaches that
//! crate's parser, and a panic in it becomes an error. It is named in this file alone.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use gotmpl::SafeKind;
use gotmpl::html::Template as Escaper;

use crate::TemplateError;
use crate::eval::{Lookup, Part};
use crate::tree::{NodeKind, Op, Pipe, Template};
use crate::value::{SafeKind as Trust, Value};
use crate::{print, quote};

/// Checks what Go checks of an HTML template before it runs: that every template called is there,
/// reached or not, and that a pipeline is escaped by the template itself at its end alone.
///
/// # Errors
/// Go's message.
pub(crate) fn check(main: &Template, lookup: &dyn Lookup) -> Result<(), TemplateError> {
    let mut seen = HashSet::from([std::ptr::from_ref(main)]);
    let mut open = vec![(main, 0)];
    while let Some((template, next)) = open.pop() {
        let Some(op) = template.ops.get(next) else { continue };
        open.push((template, next + 1));
        let wrong = |pos, text: String| {
            let place = template.source.place(pos);
            Err(TemplateError(format!("html/template:{place}: {text}")))
        };
        match op {
            Op::Action(pipe) if pipe.decl.is_empty() => {
                if let Some(name) = early_escaper(pipe) {
                    let text = format!("predefined escaper {name:?} disallowed in template");
                    return wrong(pipe.pos, text);
                }
            }
            Op::Call { pos, name, .. } => match lookup.template(name) {
                None => return wrong(*pos, format!("no such template {}", quote::go(name))),
                Some(called) if seen.insert(std::ptr::from_ref(called)) => open.push((called, 0)),
                Some(_) => {}
            },
            _ => {}
        }
    }
    Ok(())
}

/// An escaper that is not the last command.
fn early_escaper(pipe: &Pipe) -> Option<&str> {
    let (_, early) = pipe.cmds.split_last()?;
    early.iter().find_map(|command| match &command.args[0].kind {
        NodeKind::Function(name) if matches!(&**name, "html" | "urlquery") => Some(&**name),
        _ => None,
    })
}

/// Escapes and joins the pieces of a rendering.
///
/// # Errors
/// When the text is no sensible HTML for Go, for example when it ends inside of a tag, or the result
/// is longer than `room` bytes.
pub(crate) fn escape(parts: &[Part<'_>], room: usize) -> Result<String, TemplateError> {
    let fail = |message: &str| TemplateError(message.to_owned());
    let (left, right) = delimiters(parts)
        .ok_or_else(|| fail("html/template: text holds every control character"))?;
    let (flat, values) = flatten(parts, left, right);
    let run = || {
        let mut buffer = [[0; 4]; 2];
        let [first, second] = &mut buffer;
        Escaper::new("")
            .delims(left.encode_utf8(first), right.encode_utf8(second))
            .parse(&flat)?
            .execute_to_string(&gotmpl::Value::List(values.into()))
    };
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(text)) if text.len() <= room => Ok(text),
        Ok(Ok(_)) => Err(fail("html/template: output is too large")),
        Ok(Err(error)) => Err(fail(&error.to_string().replace(":: ends in", ": ends in"))),
        Err(_) => Err(fail("html/template: escaping failed")),
    }
}

/// Two characters that no literal text holds.
fn delimiters(parts: &[Part<'_>]) -> Option<(char, char)> {
    let mut used = [false; 32];
    for part in parts {
        let Part::Text(text) = part else { continue };
        for byte in text.bytes().filter(|byte| *byte < 32) {
            used[usize::from(byte)] = true;
        }
    }
    // NUL, tab and line ends mean something in HTML.
    let mut free = (1_u8..32)
        .filter(|byte| !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c) && !used[usize::from(*byte)]);
    Some((char::from(free.next()?), char::from(free.next()?)))
}

fn flatten(parts: &[Part<'_>], left: char, right: char) -> (String, Vec<gotmpl::Value>) {
    let mut flat = String::new();
    let mut values = Vec::new();
    for part in parts {
        let (value, escaper) = match part {
            Part::Text(text) => {
                flat.push_str(text);
                continue;
            }
            Part::Value(value) => (convert(value), ""),
            Part::Escaped(text, escaper) => (gotmpl::Value::String(text.as_str().into()), *escaper),
        };
        let pipe = if escaper.is_empty() { "" } else { " | " };
        flat.push_str(&format!("{left}index . {}{pipe}{escaper}{right}", values.len()));
        values.push(value);
    }
    (flat, values)
}

/// A value as that crate knows it. What has a String method goes as its text.
fn convert(value: &Value) -> gotmpl::Value {
    use gotmpl::Value as Flat;
    match value {
        Value::Nil => Flat::Nil,
        Value::Bool(truth) => Flat::Bool(*truth),
        Value::Int(number) | Value::Int64(number) => Flat::Int(*number),
        Value::Byte(byte) => Flat::Int(i64::from(*byte)),
        Value::Float(number) => {
            // That crate prints large and small numbers without an exponent.
            let shown = print::text(value);
            if shown.contains(['e', 'I', 'N']) {
                Flat::String(shown.into())
            } else {
                Flat::Float(*number)
            }
        }
        Value::Text(text) => Flat::String(text.clone()),
        Value::Safe(kind, text) => Flat::Safe {
            kind: match kind {
                Trust::Html => SafeKind::Html,
                Trust::Url => SafeKind::Url,
            },
            s: text.clone(),
        },
        _ => convert_composite(value),
    }
}

fn convert_composite(value: &Value) -> gotmpl::Value {
    use gotmpl::Value as Flat;
    if let Some(text) = value.stringer() {
        return Flat::String(text.into());
    }
    if let Some(items) = value.items() {
        return Flat::List(items.iter().map(convert).collect::<Vec<_>>().into());
    }
    if let Some(entries) = value.entries() {
        let convert_entry = |(key, value): (Value, Value)| {
            (key.as_text().unwrap_or_default().into(), convert(&value))
        };
        return Flat::Map(Arc::new(entries.into_iter().map(convert_entry).collect()));
    }
    let mut text = String::new();
    print::write_value(&mut text, value, usize::MAX);
    Flat::String(text.into())
}
