//! Values as Go's `encoding/json` writes them.

use crate::value::{Kind, Object, Value};

/// The JSON of a value.
///
/// # Errors
/// For numbers that JSON lacks, and when the text would be longer than `room` bytes.
pub(crate) fn write(value: &Value, room: usize) -> Result<String, String> {
    let mut out = String::new();
    write_value(&mut out, value, room)?;
    Ok(out)
}

fn write_value(out: &mut String, value: &Value, room: usize) -> Result<(), String> {
    match value {
        Value::Nil => out.push_str("null"),
        Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Byte(byte) => out.push_str(&byte.to_string()),
        Value::Float(number) => out.push_str(&float(*number)?),
        Value::Text(text) | Value::Safe(_, text) => string(out, text),
        Value::Time(at) => {
            string(out, &at.format("2006-01-02T15:04:05.999999999Z07:00"));
        }
        Value::Location(_) => out.push_str("{}"),
        Value::List(_) | Value::Texts(_) => list(out, value, room)?,
        Value::Map(_) => map(out, value, room)?,
        Value::Object(object) if object.is_nil() => out.push_str("null"),
        Value::Object(object) => match object.kind() {
            Kind::Slice => list(out, value, room)?,
            Kind::Map => map(out, value, room)?,
            Kind::Struct => structure(out, &**object, room)?,
        },
        Value::Int(_)
        | Value::Int64(_)
        | Value::Duration(_)
        | Value::Month(_)
        | Value::Weekday(_) => out.push_str(&value.as_int().unwrap_or(0).to_string()),
    }
    if out.len() > room { Err("result is too large".to_owned()) } else { Ok(()) }
}

fn list(out: &mut String, value: &Value, room: usize) -> Result<(), String> {
    out.push('[');
    for (index, item) in value.items().unwrap_or_default().iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_value(out, item, room)?;
    }
    out.push(']');
    Ok(())
}

fn map(out: &mut String, value: &Value, room: usize) -> Result<(), String> {
    out.push('{');
    for (index, (key, item)) in value.entries().unwrap_or_default().iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        string(out, key.as_text().unwrap_or_default());
        out.push(':');
        write_value(out, item, room)?;
    }
    out.push('}');
    Ok(())
}

fn structure(out: &mut String, object: &dyn Object, room: usize) -> Result<(), String> {
    out.push('{');
    let fields = object.fields();
    let shown = fields.iter().filter(|(_, name, _)| !name.is_empty());
    for (index, (_, name, item)) in shown.enumerate() {
        if index > 0 {
            out.push(',');
        }
        string(out, name);
        out.push(':');
        write_value(out, item, room)?;
    }
    out.push('}');
    Ok(())
}

/// Plain digits from 1e-6 up to below 1e21, else with an exponent without leading zeros.
fn float(number: f64) -> Result<String, String> {
    if !number.is_finite() {
        let shown = crate::number::format_float(number, 'g', None);
        return Err(format!("json: unsupported value: {shown}"));
    }
    let size = number.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = crate::number::format_float(number, 'e', None);
        return Ok(text.replace("e-0", "e-"));
    }
    Ok(format!("{number}"))
}

fn string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            ..' ' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::write;
    use crate::value::Value;

    #[track_caller]
    fn check(value: impl Into<Value>, expected: &str) {
        assert_eq!(write(&value.into(), 1000).unwrap(), expected);
    }

    #[test]
    fn json_is_go_s() {
        check("a<b>&\u{2028}\"\\\n\u{1}", r#""a\u003cb\u003e\u0026\u2028\"\\\n\u0001""#);
        check(1e21, "1e+21");
        check(1e-7, "1e-7");
        check(1e20, "100000000000000000000");
        check(1.5, "1.5");
        check(Value::Time(crate::time::Time::zero()), "\"0001-01-01T00:00:00Z\"");
        check(Value::texts(["a", "b"]), r#"["a","b"]"#);
        assert!(write(&Value::Float(f64::NAN), 10).is_err());
        assert!(write(&Value::from("long"), 3).is_err());
    }
}
