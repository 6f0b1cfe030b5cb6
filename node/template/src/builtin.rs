//! The functions of the template language itself.

use crate::call::{Signature, Type};
use crate::format;
use crate::print;
use crate::quote;
use crate::tree::Node;
use crate::value::{Kind, Value};

/// Values are cut to this in error messages.
const MESSAGE_MAX: usize = 4096;

type Answer = Result<Value, String>;
type Body = fn(&[Value], usize) -> Answer;

/// A built-in function; the body also gets the largest size of a string it may make.
pub(crate) struct Builtin {
    pub(crate) signature: Signature,
    pub(crate) body: Body,
}

/// The built-in function of a name.
pub(crate) fn find(name: &str) -> Option<Builtin> {
    const ANY: Signature = Signature::variadic(&[], Type::Any);
    const ONE: Signature = Signature::fixed(&[Type::Any]);
    const TWO: Signature = Signature::fixed(&[Type::Any, Type::Any]);
    const SOME: Signature = Signature::variadic(&[Type::Any], Type::Any);
    const FORMAT: Signature = Signature::variadic(&[Type::Text], Type::Any);
    let (signature, body): (Signature, Body) = match name {
        // Both are evaluated by the caller, argument by argument.
        "and" | "or" | "call" => (SOME, |_, _| Ok(Value::Nil)),
        "not" => (ONE, |args, _| Ok(Value::Bool(!args[0].is_true()))),
        "len" => (ONE, |args, _| len(&args[0])),
        "index" => (SOME, |args, _| index(args)),
        "slice" => (SOME, |args, _| slice(args)),
        "print" => (ANY, |args, room| print::print(args, room).map(Value::from)),
        "println" => (ANY, |args, room| print::println(args, room).map(Value::from)),
        "printf" => (FORMAT, |args, room| {
            let format = args[0].as_text().unwrap_or_default();
            format::printf(format, &args[1..], room).map(Value::from)
        }),
        "html" => (ANY, |args, room| joined(args, room).map(|text| html_escaped(&text).into())),
        "js" => (ANY, |args, room| joined(args, room).map(|text| js(&text).into())),
        "urlquery" => {
            (ANY, |args, room| joined(args, room).map(|text| query_escaped(&text).into()))
        }
        "eq" => (SOME, |args, _| equal_to_any(args).map(Value::Bool)),
        "ne" => (TWO, |args, _| equal_to_any(args).map(|equal| Value::Bool(!equal))),
        "lt" => (TWO, |args, _| less(&args[0], &args[1]).map(Value::Bool)),
        "le" => (TWO, |args, _| less_or_equal(args).map(Value::Bool)),
        "gt" => (TWO, |args, _| less_or_equal(args).map(|is| Value::Bool(!is))),
        "ge" => (TWO, |args, _| less(&args[0], &args[1]).map(|is| Value::Bool(!is))),
        _ => return None,
    };
    Some(Builtin { signature, body })
}

/// The message for `call`, as no value is a function. Go names the callee as it is written, or as
/// it came down the pipeline.
pub(crate) fn not_callable(node: Option<&Node>, args: &[Value]) -> String {
    let callee = match args.first() {
        None | Some(Value::Nil) => return "call of nil".to_owned(),
        Some(callee) => callee,
    };
    let type_name = callee.type_name();
    let shown = match (node, callee) {
        (Some(node), _) => node.to_string(),
        (None, Value::Text(text)) => text.as_ref().to_owned(),
        (None, _) => format!("<{type_name} Value>"),
    };
    format!("non-function {shown} of type {type_name}")
}

/// The arguments of an escaper as one text, joined as `print` does, with nil as an action prints it.
pub(crate) fn joined(args: &[Value], room: usize) -> Result<String, String> {
    if let [Value::Text(text)] = args {
        return Ok(text.as_ref().to_owned());
    }
    let shown: Vec<Value> = args
        .iter()
        .map(|arg| match arg {
            Value::Nil => Value::from("<no value>"),
            Value::Object(object) if object.type_name().starts_with('*') => {
                let mut text = String::new();
                print::write_value(&mut text, arg, room);
                text.into()
            }
            _ => arg.clone(),
        })
        .collect();
    print::print(&shown, room)
}

fn len(value: &Value) -> Answer {
    match (value.len(), value) {
        (Some(len), _) => Ok(len.into()),
        (None, Value::Nil) => Err("len of nil pointer".to_owned()),
        (None, _) => Err(format!("len of type {}", pointed(value))),
    }
}

/// The type's name without the mark of a pointer.
fn pointed(value: &Value) -> String {
    value.type_name().trim_start_matches('*').to_owned()
}

fn index(args: &[Value]) -> Answer {
    let mut value = args[0].clone();
    if matches!(value, Value::Nil) {
        return Err("index of untyped nil".to_owned());
    }
    for key in &args[1..] {
        value = index_one(&value, key)?;
    }
    Ok(value)
}

fn index_one(value: &Value, key: &Value) -> Answer {
    if matches!(value, Value::Nil) {
        return Err("index of nil pointer".to_owned());
    }
    if !value.is_map() {
        return index_sequence(value, key);
    }
    let key = match key {
        Value::Text(key) => key,
        Value::Nil => return Err("value is nil; should be of type string".to_owned()),
        _ => return Err(format!("value has type {}; should be string", key.type_name())),
    };
    let found = match value {
        Value::Map(map) => map.entries().get(key).cloned(),
        Value::Object(object) => object.field(key),
        _ => None,
    };
    Ok(found.unwrap_or(Value::Nil))
}

fn index_sequence(value: &Value, key: &Value) -> Answer {
    let len = match value {
        Value::Object(object) if object.kind() != Kind::Slice => None,
        _ => value.len(),
    };
    let Some(len) = len else {
        return Err(format!("can't index item of type {}", pointed(value)));
    };
    let at = position(key, len)?;
    if at == len {
        let kind = if value.as_text().is_some() { "string" } else { "slice" };
        return Err(format!("reflect: {kind} index out of range"));
    }
    let found = match value {
        Value::List(list) => list.items().get(at).cloned(),
        Value::Texts(texts) => texts.get(at).cloned().map(Value::Text),
        Value::Object(object) => object.entry(at).map(|(_, item)| item),
        _ => value.as_text().map(|text| Value::Byte(text.as_bytes()[at])),
    };
    Ok(found.unwrap_or(Value::Nil))
}

/// Checks an index against the last one allowed.
fn position(key: &Value, last: usize) -> Result<usize, String> {
    let number = match key {
        Value::Byte(byte) => i64::from(*byte),
        Value::Nil => return Err("cannot index slice/array with nil".to_owned()),
        _ => key
            .as_int()
            .ok_or_else(|| format!("cannot index slice/array with type {}", key.type_name()))?,
    };
    let at = usize::try_from(number).ok();
    at.filter(|at| *at <= last).ok_or_else(|| format!("index out of range: {number}"))
}

fn slice(args: &[Value]) -> Answer {
    let value = &args[0];
    let bounds = &args[1..];
    if matches!(value, Value::Nil) {
        return Err("slice of untyped nil".to_owned());
    }
    if bounds.len() > 3 {
        return Err(format!("too many slice indexes: {}", bounds.len()));
    }
    let text = value.as_text();
    if text.is_some() && bounds.len() == 3 {
        return Err("cannot 3-index slice a string".to_owned());
    }
    let items = value.items();
    let Some(len) = text.map(str::len).or_else(|| items.as_ref().map(Vec::len)) else {
        return Err(format!("can't slice item of type {}", pointed(value)));
    };
    let mut range = [0, len, len];
    for (index, bound) in bounds.iter().enumerate() {
        range[index] = position(bound, len)?;
    }
    let [from, to, most] = range;
    if from > to {
        return Err(format!("invalid slice index: {from} > {to}"));
    }
    if to > most {
        return Err(format!("invalid slice index: {to} > {most}"));
    }
    Ok(match (text, items) {
        (Some(text), _) => String::from_utf8_lossy(&text.as_bytes()[from..to]).into_owned().into(),
        (None, Some(items)) => match value {
            Value::Texts(_) => Value::texts(items[from..to].iter().filter_map(Value::as_text)),
            Value::Object(object) => {
                object.sliced(from, to).map_or_else(|| Value::list(items[from..to].to_vec()), Ok)?
            }
            _ => Value::list(items[from..to].to_vec())?,
        },
        (None, None) => Value::Nil,
    })
}

/// The kinds of values that Go's templates compare.
enum Basic<'a> {
    Bool(bool),
    Int(i128),
    Float(f64),
    Str(&'a str),
    Other,
}

fn basic(value: &Value) -> Basic<'_> {
    match value {
        Value::Bool(truth) => Basic::Bool(*truth),
        Value::Byte(byte) => Basic::Int(i128::from(*byte)),
        Value::Float(number) => Basic::Float(*number),
        Value::Text(text) | Value::Safe(_, text) => Basic::Str(text),
        _ => value.as_int().map_or(Basic::Other, |number| Basic::Int(i128::from(number))),
    }
}

fn incompatible(a: &Value, b: &Value) -> String {
    let (a, b) = (a.type_name(), b.type_name());
    format!("incompatible types for comparison: {a} and {b}")
}

fn equal_to_any(args: &[Value]) -> Result<bool, String> {
    if args.len() < 2 {
        return Err("missing argument for comparison".to_owned());
    }
    for other in &args[1..] {
        if equal(&args[0], other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn equal(a: &Value, b: &Value) -> Result<bool, String> {
    Ok(match (basic(a), basic(b)) {
        (Basic::Bool(a), Basic::Bool(b)) => a == b,
        (Basic::Int(a), Basic::Int(b)) => a == b,
        #[expect(clippy::float_cmp, reason = "as in Go")]
        (Basic::Float(a), Basic::Float(b)) => a == b,
        (Basic::Str(a), Basic::Str(b)) => a == b,
        (Basic::Other, Basic::Other) => return equal_others(a, b),
        _ if matches!(a, Value::Nil) || matches!(b, Value::Nil) => false,
        _ => return Err(incompatible(a, b)),
    })
}

fn equal_others(a: &Value, b: &Value) -> Result<bool, String> {
    match (a, b) {
        (Value::Nil, Value::Nil) => Ok(true),
        (Value::Nil, _) | (_, Value::Nil) => Ok(false),
        (Value::Time(a), Value::Time(b)) => Ok(a == b && a.zone() == b.zone()),
        (Value::Location(a), Value::Location(b)) => Ok(a == b),
        _ if category(a) != category(b) => Err(format!(
            "non-comparable types {}: {}, {}: {}",
            print::text_s(a),
            a.type_name(),
            b.type_name(),
            print::print(std::slice::from_ref(b), MESSAGE_MAX).unwrap_or_default()
        )),
        _ if comparable(b) => {
            Ok(a.type_name() == b.type_name() && print::text(a) == print::text(b))
        }
        _ if is_nil(a) || is_nil(b) => Ok(is_nil(a) == is_nil(b)),
        _ => Err(format!("non-comparable type {}: {}", print::text_s(b), b.type_name())),
    }
}

/// Go's nil map or slice.
fn is_nil(value: &Value) -> bool {
    matches!(value, Value::Object(object) if object.is_nil())
}

/// Go's kind of what is not basic; pointers have none of these.
fn category(value: &Value) -> Option<Kind> {
    match value {
        Value::Object(object) if object.type_name().starts_with('*') => None,
        Value::Map(_) => Some(Kind::Map),
        Value::List(_) | Value::Texts(_) => Some(Kind::Slice),
        Value::Object(object) => Some(object.kind()),
        Value::Time(_) => Some(Kind::Struct),
        _ => None,
    }
}

/// Whether Go compares values of the type: no maps and slices, no structs of them.
fn comparable(value: &Value) -> bool {
    match category(value) {
        Some(Kind::Map | Kind::Slice) => false,
        Some(Kind::Struct) => match value {
            Value::Object(object) if !object.type_name().starts_with('*') => {
                object.fields().iter().all(|(_, _, field)| comparable(field))
            }
            _ => true,
        },
        None => true,
    }
}

fn less(a: &Value, b: &Value) -> Result<bool, String> {
    match (basic(a), basic(b)) {
        (Basic::Int(a), Basic::Int(b)) => Ok(a < b),
        (Basic::Float(a), Basic::Float(b)) => Ok(a < b),
        (Basic::Str(a), Basic::Str(b)) => Ok(a < b),
        (Basic::Other, _) | (_, Basic::Other) | (Basic::Bool(_), Basic::Bool(_)) => {
            Err("invalid type for comparison".to_owned())
        }
        _ => Err(incompatible(a, b)),
    }
}

fn less_or_equal(args: &[Value]) -> Result<bool, String> {
    Ok(less(&args[0], &args[1])? || equal(&args[0], &args[1])?)
}

/// Text for HTML, as Go's `HTMLEscapeString` writes it.
#[must_use]
pub fn html_escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\0' => out.push('\u{fffd}'),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            _ => out.push(c),
        }
    }
    out
}

fn js(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '\'' | '"' => out.extend(['\\', c]),
            '<' | '>' | '&' | '=' | ..' ' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            _ if c.is_ascii() || quote::is_printable(c) => out.push(c),
            _ => out.push_str(&format!("\\u{:04X}", u32::from(c))),
        }
    }
    out
}

/// Text for a URL's query, as Go's `url.QueryEscape` writes it.
#[must_use]
pub fn query_escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
