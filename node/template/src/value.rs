//! What a template computes with: Go's kinds, as far as templates can tell them apart.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use crate::call::Signature;
use crate::time::{Duration, Time};

/// Lists and maps made by templates nest at most this deep, so that printing and dropping them is bounded.
const NEST_MAX: u16 = 100;

/// A value under evaluation; cheap to clone.
#[derive(Clone, Debug)]
pub enum Value {
    /// Go's invalid or untyped nil value: prints `<no value>`.
    Nil,
    /// `true` or `false`.
    Bool(bool),
    /// `int`: numbers written in templates, lengths, indexes.
    Int(i64),
    /// `int64`, as Unix times are.
    Int64(i64),
    /// `uint8`: one byte of a text.
    Byte(u8),
    /// `float64`.
    Float(f64),
    /// Text.
    Text(Arc<str>),
    /// Text that an HTML context of its own kind takes as it is.
    Safe(SafeKind, Arc<str>),
    /// A list of texts: `[]string`.
    Texts(Arc<Vec<Arc<str>>>),
    /// A list of anything: `[]interface {}`.
    List(Arc<List>),
    /// `map[string]interface {}`.
    Map(Arc<Map>),
    /// A moment in a zone.
    Time(Time),
    /// A span of time.
    Duration(Duration),
    /// A month, from 1.
    Month(i64),
    /// A day of the week, Sunday is 0.
    Weekday(i64),
    /// A zone, the argument of a time's `In`.
    Location(jiff::tz::TimeZone),
    /// A value of the caller's own type.
    Object(Arc<dyn Object>),
}

/// A list of anything, of bounded depth.
#[derive(Debug, Default)]
pub struct List {
    items: Vec<Value>,
    depth: u16,
}

/// A map of anything by texts, of bounded depth.
#[derive(Debug, Default)]
pub struct Map {
    entries: BTreeMap<Arc<str>, Value>,
    depth: u16,
}

impl List {
    /// The elements.
    #[must_use]
    pub fn items(&self) -> &[Value] {
        &self.items
    }
}

impl Map {
    /// The entries.
    #[must_use]
    pub fn entries(&self) -> &BTreeMap<Arc<str>, Value> {
        &self.entries
    }
}

fn depth_over<'a>(values: impl Iterator<Item = &'a Value>) -> Result<u16, String> {
    let inner = values.map(|value| match value {
        Value::List(list) => list.depth,
        Value::Map(map) => map.depth,
        _ => 0,
    });
    let depth = inner.max().unwrap_or(0) + 1;
    if depth > NEST_MAX {
        return Err(format!("list or map nested deeper than {NEST_MAX}"));
    }
    Ok(depth)
}

/// Which context trusts a [`Value::Safe`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SafeKind {
    /// HTML text.
    Html,
    /// A URL or a part of one.
    Url,
}

/// A type of the caller's: a Go struct, map or slice with methods. The default answers are those of an empty struct.
pub trait Object: Debug + Send + Sync + 'static {
    /// Go's name of the type in error texts, for instance `*template.Data`.
    fn type_name(&self) -> &str;

    /// Which of Go's kinds it behaves as.
    fn kind(&self) -> Kind {
        Kind::Struct
    }

    /// Calls the method `name`; `None` when there is no such method.
    /// # Errors
    /// What the method itself says, with wrong arguments named.
    fn method(&self, name: &str, arguments: &[Value]) -> Option<Result<Value, CallError>> {
        let _ = (name, arguments);
        None
    }

    /// Whether there is a method `name`.
    fn has_method(&self, name: &str) -> bool {
        let _ = name;
        false
    }

    /// The parameters of the method `name`, so that arguments are checked before the call as Go does it;
    /// without them the method checks for itself.
    fn signature(&self, name: &str) -> Option<Signature> {
        let _ = name;
        None
    }

    /// A struct's field, or a map's value: for a map an absent key is its zero value.
    fn field(&self, name: &str) -> Option<Value> {
        let _ = name;
        None
    }

    /// A struct's fields in the order of their declaration: (Go name, JSON name, value). One with a
    /// small Go name prints, but templates may not ask for it; one without a JSON name is not in JSON.
    fn fields(&self) -> Vec<(&'static str, &'static str, Value)> {
        Vec::new()
    }

    /// Elements of a map (key, value; sorted) or slice (index, element).
    fn entries(&self) -> Vec<(Value, Value)> {
        Vec::new()
    }

    /// The element at `index` of a slice, or the entry there of a map.
    fn entry(&self, index: usize) -> Option<(Value, Value)> {
        self.entries().into_iter().nth(index)
    }

    /// A part of a slice, as a value of the same type; without an answer it becomes a plain list.
    fn sliced(&self, from: usize, to: usize) -> Option<Value> {
        let _ = (from, to);
        None
    }

    /// Number of [`entries`](Self::entries).
    fn len(&self) -> usize {
        self.entries().len()
    }

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it is Go's nil map or slice, which JSON writes as `null`.
    fn is_nil(&self) -> bool {
        false
    }

    /// The text of Go's `String` method, when the type has one.
    fn text(&self) -> Option<String> {
        None
    }

    /// The texts of a type whose underlying type is `[]string`.
    fn texts(&self) -> Option<Vec<Arc<str>>> {
        None
    }

    /// The way back to the caller's own type.
    fn as_any(&self) -> &dyn Any;
}

/// What a value of the caller's own behaves as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Fields; always true.
    Struct,
    /// Keys and values; true when not empty.
    Map,
    /// Elements; true when not empty.
    Slice,
}

/// Why a call did not give a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// The arguments do not fit; the text stands alone, as Go's type checks tell it.
    Arguments(String),
    /// The function ran and failed; told as `error calling NAME: …`.
    Failed(String),
}

impl CallError {
    /// Wrong number of arguments for `name`.
    #[must_use]
    pub fn count(name: &str, want: usize, got: usize) -> Self {
        Self::Arguments(format!("wrong number of args for {name}: want {want} got {got}"))
    }

    /// An argument of another type than `expected`.
    #[must_use]
    pub fn wrong_type(expected: &str, got: &Value) -> Self {
        Self::Arguments(format!(
            "wrong type for value; expected {expected}; got {}",
            got.type_name()
        ))
    }
}

impl Value {
    /// Text.
    #[must_use]
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text(text.into())
    }

    /// A list of texts.
    #[must_use]
    pub fn texts<T: Into<Arc<str>>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::Texts(Arc::new(texts.into_iter().map(Into::into).collect()))
    }

    /// A list of anything.
    /// # Errors
    /// When it would nest too deep.
    pub fn list(items: Vec<Self>) -> Result<Self, String> {
        let depth = depth_over(items.iter())?;
        Ok(Self::List(Arc::new(List { items, depth })))
    }

    /// A map of anything.
    /// # Errors
    /// When it would nest too deep.
    pub fn map(entries: BTreeMap<Arc<str>, Self>) -> Result<Self, String> {
        let depth = depth_over(entries.values())?;
        Ok(Self::Map(Arc::new(Map { entries, depth })))
    }

    /// A value of the caller's own type.
    #[must_use]
    pub fn object(object: impl Object) -> Self {
        Self::Object(Arc::new(object))
    }

    /// Go's name of the type.
    #[must_use]
    pub fn type_name(&self) -> String {
        match self {
            Self::Nil => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Int64(_) => "int64",
            Self::Byte(_) => "uint8",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::Safe(SafeKind::Html, _) => "template.HTML",
            Self::Safe(SafeKind::Url, _) => "template.URL",
            Self::Texts(_) => "[]string",
            Self::List(_) => "[]interface {}",
            Self::Map(_) => "map[string]interface {}",
            Self::Time(_) => "time.Time",
            Self::Duration(_) => "time.Duration",
            Self::Month(_) => "time.Month",
            Self::Weekday(_) => "time.Weekday",
            Self::Location(_) => "*time.Location",
            Self::Object(object) => return object.type_name().to_owned(),
        }
        .to_owned()
    }

    /// Go's truth: not false, zero, nil or empty; structs and times are always true.
    #[must_use]
    pub fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(n) | Self::Int64(n) | Self::Month(n) | Self::Weekday(n) => *n != 0,
            Self::Byte(n) => *n != 0,
            Self::Duration(time) => time.0 != 0,
            Self::Float(f) => *f != 0.0,
            Self::Text(text) | Self::Safe(_, text) => !text.is_empty(),
            Self::Texts(list) => !list.is_empty(),
            Self::List(list) => !list.items.is_empty(),
            Self::Map(map) => !map.entries.is_empty(),
            Self::Time(_) | Self::Location(_) => true,
            Self::Object(object) => object.kind() == Kind::Struct || !object.is_empty(),
        }
    }

    /// The text of Go's `String` method, when the type has one.
    #[must_use]
    pub fn stringer(&self) -> Option<String> {
        match self {
            Self::Time(time) => Some(time.to_string()),
            Self::Duration(time) => Some(time.to_string()),
            Self::Month(n) => Some(crate::time::month_name(*n)),
            Self::Weekday(n) => Some(crate::time::weekday_name(*n)),
            Self::Location(zone) => Some(crate::time::zone_name(zone)),
            Self::Object(object) => object.text(),
            _ => None,
        }
    }

    /// The characters of a string kind.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Safe(_, text) => Some(text),
            _ => None,
        }
    }

    /// The number of an integer kind.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(n) | Self::Int64(n) | Self::Month(n) | Self::Weekday(n) => Some(*n),
            Self::Duration(time) => Some(time.0),
            _ => None,
        }
    }

    /// Length of a text, list or map; other kinds have none.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "truth is asked instead")]
    pub fn len(&self) -> Option<usize> {
        match self {
            Self::Text(text) | Self::Safe(_, text) => Some(text.len()),
            Self::Texts(list) => Some(list.len()),
            Self::List(list) => Some(list.items.len()),
            Self::Map(map) => Some(map.entries.len()),
            Self::Object(object) if object.kind() != Kind::Struct => Some(object.len()),
            _ => None,
        }
    }

    /// Elements of a list (index, element) or map (key, value), in order.
    #[must_use]
    pub fn entries(&self) -> Option<Vec<(Value, Value)>> {
        let numbered =
            |values: Vec<Value>| (0_i64..).map(Value::Int).zip(values).collect::<Vec<_>>();
        match self {
            Self::Texts(list) => Some(numbered(list.iter().cloned().map(Value::Text).collect())),
            Self::List(list) => Some(numbered(list.items.clone())),
            Self::Map(map) => {
                let entries = map.entries.iter();
                Some(entries.map(|(k, v)| (Value::Text(k.clone()), v.clone())).collect())
            }
            Self::Object(object) if object.kind() != Kind::Struct => Some(object.entries()),
            _ => None,
        }
    }

    /// The elements of a list.
    #[must_use]
    pub fn items(&self) -> Option<Vec<Self>> {
        match self {
            Self::Texts(texts) => Some(texts.iter().cloned().map(Self::Text).collect()),
            Self::List(list) => Some(list.items.clone()),
            Self::Object(object) if object.kind() == Kind::Slice => {
                Some(object.entries().into_iter().map(|(_, item)| item).collect())
            }
            _ => None,
        }
    }

    /// The number of an integer type without a name of its own.
    pub(crate) fn plain_int(&self) -> Option<i64> {
        match self {
            Self::Int(n) | Self::Int64(n) => Some(*n),
            _ => None,
        }
    }

    pub(crate) fn is_map(&self) -> bool {
        match self {
            Self::Map(_) => true,
            Self::Object(object) => object.kind() == Kind::Map,
            _ => false,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}
