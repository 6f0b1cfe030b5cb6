//! Functions that templates call: signatures, the check of arguments, and Go's own.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::printf;
use crate::value::{CallError, Kind, SafeKind, Value};

/// What a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Anything.
    Any,
    /// `string`
    Text,
    /// An integer.
    Int,
    /// `[]string`, or a type made of it.
    Texts,
    /// `[]interface {}`
    List,
    /// `time.Time`
    Time,
}

impl Type {
    fn name(self) -> &'static str {
        match self {
            Self::Any => "interface {}",
            Self::Text => "string",
            Self::Int => "int",
            Self::Texts => "[]string",
            Self::List => "[]interface {}",
            Self::Time => "time.Time",
        }
    }

    fn takes(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Any, _)
            | (Self::Text, Value::Text(_))
            | (Self::Int, Value::Int(_))
            | (Self::Texts, Value::Texts(_))
            | (Self::List, Value::List(_))
            | (Self::Time, Value::Time(_)) => true,
            (Self::Texts, Value::Object(object)) => object.texts().is_some(),
            _ => false,
        }
    }
}

/// What a function does: checked arguments to a value, or Go's text of the failure.
pub type Body = Arc<dyn Fn(&[Value]) -> Result<Value, String> + Send + Sync>;

/// A function with its signature.
#[derive(Clone)]
pub struct Function {
    parameters: &'static [Type],
    /// The type of any number of further arguments.
    rest: Option<Type>,
    body: Body,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Function").field("parameters", &self.parameters).finish_non_exhaustive()
    }
}

impl Function {
    /// A function of exactly these parameters.
    pub fn new(
        parameters: &'static [Type],
        body: impl Fn(&[Value]) -> Result<Value, String> + Send + Sync + 'static,
    ) -> Self {
        Self { parameters, rest: None, body: Arc::new(body) }
    }

    /// A function of these parameters and any number of further arguments of one type.
    pub fn variadic(
        parameters: &'static [Type],
        rest: Type,
        body: impl Fn(&[Value]) -> Result<Value, String> + Send + Sync + 'static,
    ) -> Self {
        Self { parameters, rest: Some(rest), body: Arc::new(body) }
    }

    /// The type that argument `i` must have.
    pub(crate) fn parameter(&self, i: usize) -> Option<Type> {
        self.parameters.get(i).copied().or(self.rest)
    }

    /// Refuses a wrong number of arguments.
    pub(crate) fn check_count(&self, name: &str, got: usize) -> Result<(), CallError> {
        let want = self.parameters.len();
        if self.rest.is_some() {
            if got < want {
                return Err(CallError::Arguments(format!(
                    "wrong number of args for {name}: want at least {want} got {got}"
                )));
            }
        } else if got != want {
            return Err(CallError::count(name, want, got));
        }
        Ok(())
    }

    /// Refuses an argument of a wrong type. Go says it differently for what is written out in the template.
    pub(crate) fn check_type(
        parameter: Type,
        value: &Value,
        literal: Option<&str>,
    ) -> Result<(), CallError> {
        if parameter.takes(value) {
            return Ok(());
        }
        Err(match literal {
            Some(source) if matches!(parameter, Type::Text) => {
                CallError::Arguments(format!("expected string; found {source}"))
            }
            Some(source) if parameter == Type::Int => {
                CallError::Arguments(format!("expected integer; found {source}"))
            }
            _ if matches!(value, Value::Nil) => {
                CallError::Arguments(format!("invalid value; expected {}", parameter.name()))
            }
            _ => CallError::wrong_type(parameter.name(), value),
        })
    }

    pub(crate) fn call(&self, arguments: &[Value]) -> Result<Value, CallError> {
        (self.body)(arguments).map_err(CallError::Failed)
    }
}

/// Functions by name.
pub type Functions = BTreeMap<&'static str, Function>;

/// Go's own, but `and` and `or`, which the evaluator does itself because they may not evaluate all.
pub(crate) fn builtins() -> Functions {
    use Type::Any;
    let mut functions = Functions::new();
    let mut add = |name, function| {
        functions.insert(name, function);
    };
    add("not", Function::new(&[Any], |a| Ok(Value::Bool(!a[0].is_true()))));
    add("len", Function::new(&[Any], |a| len(&a[0])));
    add("index", Function::variadic(&[Any], Any, |a| index(&a[0], &a[1..])));
    add("slice", Function::variadic(&[Any], Any, |a| slice(&a[0], &a[1..])));
    add("print", Function::variadic(&[], Any, |a| Ok(printf::sprint(a).into())));
    add("println", Function::variadic(&[], Any, |a| Ok(printf::sprintln(a).into())));
    add(
        "printf",
        Function::variadic(&[Type::Text], Any, |a| {
            printf::sprintf(a[0].as_text().unwrap_or(""), &a[1..])
                .map(Value::from)
                .map_err(|_| format!("width or precision above {}", printf::WIDTH_MAX))
        }),
    );
    add("html", Function::variadic(&[], Any, |a| Ok(html_escaped(&joined(a)).into())));
    add("js", Function::variadic(&[], Any, |a| Ok(js_escaped(&joined(a)).into())));
    add("urlquery", Function::variadic(&[], Any, |a| Ok(query_escaped(&joined(a)).into())));
    add(
        "call",
        Function::variadic(&[Any], Any, |a| match &a[0] {
            Value::Nil => Err("call of nil".to_owned()),
            value => Err(format!("non-function of type {}", value.type_name())),
        }),
    );
    add("eq", Function::variadic(&[Any], Any, equal_any));
    add("ne", Function::new(&[Any, Any], |a| equal(&a[0], &a[1]).map(|same| Value::Bool(!same))));
    add("lt", Function::new(&[Any, Any], |a| order(a, |o| o.is_lt())));
    add("le", Function::new(&[Any, Any], |a| order(a, |o| o.is_le())));
    add("gt", Function::new(&[Any, Any], |a| order(a, |o| o.is_gt())));
    add("ge", Function::new(&[Any, Any], |a| order(a, |o| o.is_ge())));
    functions
}

fn len(value: &Value) -> Result<Value, String> {
    match value.len() {
        Some(len) => Ok(Value::Int(i64::try_from(len).unwrap_or(i64::MAX))),
        None if matches!(value, Value::Nil) => Err("len of nil pointer".to_owned()),
        None => Err(format!("len of type {}", value.type_name())),
    }
}

/// One argument as it is when it is text, else as `print` joins them.
fn joined(values: &[Value]) -> String {
    match values {
        [one] if one.as_text().is_some() => one.as_text().unwrap_or("").to_owned(),
        [Value::Nil] => "<no value>".to_owned(),
        values => printf::sprint(values),
    }
}

fn index(value: &Value, keys: &[Value]) -> Result<Value, String> {
    if matches!(value, Value::Nil) {
        return Err("index of untyped nil".to_owned());
    }
    let mut found = value.clone();
    for key in keys {
        found = index_one(&found, key)?;
    }
    Ok(found)
}

fn index_one(value: &Value, key: &Value) -> Result<Value, String> {
    let number = |len: usize| -> Result<usize, String> {
        match key {
            Value::Int(n) => usize::try_from(*n)
                .ok()
                .filter(|i| *i < len)
                .ok_or_else(|| format!("index out of range: {n}")),
            Value::Nil => Err("cannot index slice/array with nil".to_owned()),
            key => Err(format!("cannot index slice/array with type {}", key.type_name())),
        }
    };
    let name = || match key {
        Value::Text(name) => Ok(Arc::clone(name)),
        Value::Nil => Err("value is nil; should be of type string".to_owned()),
        key => Err(format!("value has type {}; should be string", key.type_name())),
    };
    match value {
        Value::Text(text) | Value::Safe(_, text) => {
            Ok(Value::Int(i64::from(text.as_bytes()[number(text.len())?])))
        }
        Value::Texts(list) => Ok(Value::Text(Arc::clone(&list[number(list.len())?]))),
        Value::List(list) => Ok(list[number(list.len())?].clone()),
        Value::Map(map) => Ok(map.get(&name()?).cloned().unwrap_or(Value::Nil)),
        Value::Object(object) => match object.kind() {
            Kind::Map => Ok(object.field(&name()?).unwrap_or(Value::Nil)),
            Kind::Slice => {
                let at = number(object.len())?;
                Ok(object.entries().swap_remove(at).1)
            }
            Kind::Struct => Err(format!("can't index item of type {}", object.type_name())),
        },
        Value::Nil => Err("index of nil pointer".to_owned()),
        value => Err(format!("can't index item of type {}", value.type_name())),
    }
}

fn slice(value: &Value, bounds: &[Value]) -> Result<Value, String> {
    if matches!(value, Value::Nil) {
        return Err("slice of untyped nil".to_owned());
    }
    if bounds.len() > 3 {
        return Err(format!("too many slice indexes: {}", bounds.len()));
    }
    let is_text = value.as_text().is_some();
    if is_text && bounds.len() == 3 {
        return Err("cannot 3-index slice a string".to_owned());
    }
    let len = match value {
        Value::Text(_) | Value::Safe(..) | Value::Texts(_) | Value::List(_) => {
            value.len().unwrap_or(0)
        }
        Value::Object(object) if object.kind() == Kind::Slice => object.len(),
        value => return Err(format!("can't slice item of type {}", value.type_name())),
    };
    let mut at = [0, len, len];
    for (i, bound) in bounds.iter().enumerate() {
        at[i] = match bound {
            Value::Int(n) => usize::try_from(*n)
                .ok()
                .filter(|n| *n <= len)
                .ok_or_else(|| format!("index out of range: {n}"))?,
            Value::Nil => return Err("cannot index slice/array with nil".to_owned()),
            bound => {
                return Err(format!("cannot index slice/array with type {}", bound.type_name()));
            }
        };
    }
    let [from, to, _] = at;
    if from > to {
        return Err(format!("invalid slice index: {from} > {to}"));
    }
    Ok(match value {
        Value::Texts(list) => Value::Texts(Arc::new(list[from..to].to_vec())),
        Value::List(list) => Value::List(Arc::new(list[from..to].to_vec())),
        Value::Object(object) => {
            let elements = object.entries().into_iter().map(|(_, element)| element);
            Value::List(Arc::new(elements.skip(from).take(to - from).collect()))
        }
        value => {
            let bytes = &value.as_text().unwrap_or("").as_bytes()[from..to];
            String::from_utf8_lossy(bytes).into_owned().into()
        }
    })
}

/// Go's kinds as far as comparison tells them apart.
#[derive(PartialEq)]
enum Basic<'a> {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a str),
}

fn basic(value: &Value) -> Option<Basic<'_>> {
    match value {
        Value::Bool(value) => Some(Basic::Bool(*value)),
        Value::Float(f) => Some(Basic::Float(*f)),
        value => match (value.as_int(), value.as_text()) {
            (Some(n), _) => Some(Basic::Int(n)),
            (_, Some(text)) => Some(Basic::Text(text)),
            _ => None,
        },
    }
}

fn equal_any(values: &[Value]) -> Result<Value, String> {
    if values.len() < 2 {
        return Err("missing argument for comparison".to_owned());
    }
    for other in &values[1..] {
        if equal(&values[0], other)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn equal(a: &Value, b: &Value) -> Result<bool, String> {
    match (a, b) {
        (Value::Nil, Value::Nil) => return Ok(true),
        (Value::Nil, _) | (_, Value::Nil) => return Ok(false),
        (Value::Time(a), Value::Time(b)) => return Ok(a == b),
        _ => {}
    }
    match (basic(a), basic(b)) {
        (Some(x), Some(y)) => {
            if std::mem::discriminant(&x) == std::mem::discriminant(&y) {
                Ok(x == y)
            } else {
                Err("incompatible types for comparison".to_owned())
            }
        }
        (None, _) => Err(format!("non-comparable type {}: {}", printf::plain(a), a.type_name())),
        (_, None) => Err(format!("non-comparable type {}: {}", printf::plain(b), b.type_name())),
    }
}

fn order(values: &[Value], holds: fn(std::cmp::Ordering) -> bool) -> Result<Value, String> {
    let ordering = match (basic(&values[0]), basic(&values[1])) {
        (Some(Basic::Int(a)), Some(Basic::Int(b))) => a.cmp(&b),
        (Some(Basic::Text(a)), Some(Basic::Text(b))) => a.cmp(b),
        (Some(Basic::Float(a)), Some(Basic::Float(b))) => match a.partial_cmp(&b) {
            Some(ordering) => ordering,
            None => return Ok(Value::Bool(false)),
        },
        (Some(Basic::Bool(_)), Some(Basic::Bool(_))) | (None, _) | (_, None) => {
            return Err("invalid type for comparison".to_owned());
        }
        _ => return Err("incompatible types for comparison".to_owned()),
    };
    Ok(Value::Bool(holds(ordering)))
}

/// Text for HTML, as Go's `HTMLEscapeString` writes it.
#[must_use]
pub fn html_escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&#34;"),
            '\0' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

fn js_escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '<' | '>' | '&' | '=' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c if c < ' ' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// Text for a URL's query, as Go's `url.QueryEscape` writes it.
#[must_use]
pub fn query_escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Trusted text of a kind.
pub(crate) fn safe(kind: SafeKind, value: &Value) -> Value {
    Value::Safe(kind, value.as_text().unwrap_or("").into())
}
