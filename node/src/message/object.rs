//! The data as templates see it: Go's types `Data`, `Alerts`, `Alert`, `KV`, `Pairs`, `Pair` and
//! `Strings` with their fields and methods.

use std::any::Any;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tocsin_template::{CallError, Kind, Object, Signature, Time, Type, Value};

use super::{Alert, AlertStatus, Data, Kv};

const NO_PARAMETERS: Signature = Signature::fixed(&[]);
const TEXT: Signature = Signature::fixed(&[Type::Text]);
const TEXTS: Signature = Signature::fixed(&[Type::Texts]);

type Method = Option<Result<Value, CallError>>;
type Fields = Vec<(&'static str, &'static str, Value)>;

/// Dot of a notification template.
pub(super) fn dot(data: &Data) -> Value {
    Value::object(data.clone())
}

impl Object for Data {
    fn type_name(&self) -> &str {
        if self.is_sample { "template.Data" } else { "*template.Data" }
    }

    fn field(&self, name: &str) -> Option<Value> {
        Some(match name {
            "Receiver" => Value::Text(Arc::clone(&self.receiver)),
            "Status" => Value::text(self.status.as_str()),
            "Alerts" => Alerts::all(Arc::clone(&self.alerts)),
            "NotificationReason" => Value::text(self.reason),
            "GroupLabels" => Value::object(self.group_labels.clone()),
            "CommonLabels" => Value::object(self.common_labels.clone()),
            "CommonAnnotations" => Value::object(self.common_annotations.clone()),
            "RouteLabels" => Value::object(self.route_labels.clone()),
            "ExternalURL" => Value::Text(Arc::clone(&self.external_url)),
            _ => return None,
        })
    }

    fn fields(&self) -> Fields {
        let mut fields = fields_of(
            self,
            &[
                ("Receiver", "receiver"),
                ("Status", "status"),
                ("Alerts", "alerts"),
                ("NotificationReason", "notification_reason"),
                ("GroupLabels", "groupLabels"),
                ("CommonLabels", "commonLabels"),
                ("CommonAnnotations", "commonAnnotations"),
                ("RouteLabels", "routeLabels"),
                ("ExternalURL", "externalURL"),
            ],
        );
        // Hidden in Go, so only printing shows it.
        fields.push(("routeLabelsRendered", "", (!self.is_sample).into()));
        fields
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Alerts of one notification, or a part of them.
#[derive(Debug)]
struct Alerts {
    all: Arc<[Alert]>,
    /// Positions in `all`; `None` is all of them.
    picked: Option<Vec<usize>>,
}

impl Alerts {
    fn all(all: Arc<[Alert]>) -> Value {
        Value::object(Self { all, picked: None })
    }

    fn with_status(&self, status: AlertStatus) -> Value {
        let picked = (0..self.all.len()).filter(|&at| self.all[at].status == status).collect();
        Value::object(Self { all: Arc::clone(&self.all), picked: Some(picked) })
    }

    /// The alert at `index` of this part.
    fn one(&self, index: usize) -> Option<Value> {
        let at = match &self.picked {
            Some(picked) => *picked.get(index)?,
            None => index,
        };
        (at < self.all.len()).then(|| Value::object(OneAlert { all: Arc::clone(&self.all), at }))
    }
}

impl Object for Alerts {
    fn type_name(&self) -> &str {
        if self.picked.is_some() { "[]template.Alert" } else { "template.Alerts" }
    }

    fn kind(&self) -> Kind {
        Kind::Slice
    }

    fn has_method(&self, name: &str) -> bool {
        self.picked.is_none() && matches!(name, "Firing" | "Resolved")
    }

    fn method(&self, name: &str, arguments: &[Value]) -> Method {
        let status = match name {
            "Firing" if self.picked.is_none() => AlertStatus::Firing,
            "Resolved" if self.picked.is_none() => AlertStatus::Resolved,
            _ => return None,
        };
        Some(none(name, arguments).map(|()| self.with_status(status)))
    }

    fn signature(&self, name: &str) -> Option<Signature> {
        self.has_method(name).then_some(NO_PARAMETERS)
    }

    fn entries(&self) -> Vec<(Value, Value)> {
        numbered((0..self.len()).filter_map(|index| self.one(index)))
    }

    fn entry(&self, index: usize) -> Option<(Value, Value)> {
        Some((at(index), self.one(index)?))
    }

    fn sliced(&self, from: usize, to: usize) -> Option<Value> {
        let picked = match &self.picked {
            Some(picked) => picked.get(from..to)?.to_vec(),
            None => (from..to).collect(),
        };
        let part = Self { all: Arc::clone(&self.all), picked: Some(picked) };
        Some(Value::object(part))
    }

    fn len(&self) -> usize {
        self.picked.as_ref().map_or(self.all.len(), Vec::len)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[derive(Debug)]
struct OneAlert {
    all: Arc<[Alert]>,
    at: usize,
}

impl Object for OneAlert {
    fn type_name(&self) -> &str {
        "template.Alert"
    }

    fn field(&self, name: &str) -> Option<Value> {
        let alert = &self.all[self.at];
        Some(match name {
            "Status" => Value::text(alert.status.as_str()),
            "Labels" => Value::object(alert.labels.clone()),
            "Annotations" => Value::object(alert.annotations.clone()),
            "StartsAt" => time(Some(alert.starts_at)),
            "EndsAt" => time(alert.ends_at),
            "GeneratorURL" => Value::text(alert.generator_url.as_str()),
            "Fingerprint" => Value::text(alert.fingerprint.as_str()),
            _ => return None,
        })
    }

    fn fields(&self) -> Fields {
        fields_of(
            self,
            &[
                ("Status", "status"),
                ("Labels", "labels"),
                ("Annotations", "annotations"),
                ("StartsAt", "startsAt"),
                ("EndsAt", "endsAt"),
                ("GeneratorURL", "generatorURL"),
                ("Fingerprint", "fingerprint"),
            ],
        )
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Object for Kv {
    fn type_name(&self) -> &str {
        "template.KV"
    }

    fn kind(&self) -> Kind {
        Kind::Map
    }

    fn has_method(&self, name: &str) -> bool {
        matches!(name, "SortedPairs" | "Names" | "Values" | "Remove" | "String")
    }

    fn method(&self, name: &str, arguments: &[Value]) -> Method {
        let plain = |value: &dyn Fn() -> Value| none(name, arguments).map(|()| value());
        let pairs = || Pairs(self.sorted_pairs().map(|(n, v)| (n.into(), v.into())).collect());
        Some(match name {
            "SortedPairs" => plain(&|| Value::object(pairs())),
            "Names" => plain(&|| pairs().names()),
            "Values" => plain(&|| pairs().values()),
            "String" => plain(&|| Value::from(self.to_string())),
            "Remove" => texts(name, arguments).map(|names| Value::object(self.without(&names))),
            _ => return None,
        })
    }

    fn signature(&self, name: &str) -> Option<Signature> {
        let parameters = if name == "Remove" { TEXTS } else { NO_PARAMETERS };
        self.has_method(name).then_some(parameters)
    }

    fn field(&self, name: &str) -> Option<Value> {
        Some(self.shared_value(name).map_or_else(|| Value::text(""), Value::Text))
    }

    fn entries(&self) -> Vec<(Value, Value)> {
        self.shared().iter().map(texts_of).collect()
    }

    fn entry(&self, index: usize) -> Option<(Value, Value)> {
        self.shared().get(index).map(texts_of)
    }

    fn len(&self) -> usize {
        self.shared().len()
    }

    fn is_nil(&self) -> bool {
        Kv::is_nil(self)
    }

    fn text(&self) -> Option<String> {
        Some(self.to_string())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Names and values in the order in which people read them.
#[derive(Debug)]
struct Pairs(Vec<(Arc<str>, Arc<str>)>);

impl Pairs {
    fn names(&self) -> Value {
        Value::object(Strings(self.0.iter().map(|(name, _)| Arc::clone(name)).collect()))
    }

    fn values(&self) -> Value {
        Value::object(Strings(self.0.iter().map(|(_, value)| Arc::clone(value)).collect()))
    }

    fn one(&self, index: usize) -> Option<Value> {
        let (name, value) = self.0.get(index)?;
        Some(Value::object(Pair(Arc::clone(name), Arc::clone(value))))
    }

    fn joined(&self) -> String {
        let pairs: Vec<String> =
            self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join(", ")
    }
}

impl Object for Pairs {
    fn type_name(&self) -> &str {
        "template.Pairs"
    }

    fn kind(&self) -> Kind {
        Kind::Slice
    }

    fn has_method(&self, name: &str) -> bool {
        matches!(name, "Names" | "Values" | "String")
    }

    fn method(&self, name: &str, arguments: &[Value]) -> Method {
        let value = match name {
            "Names" => self.names(),
            "Values" => self.values(),
            "String" => Value::from(self.joined()),
            _ => return None,
        };
        Some(none(name, arguments).map(|()| value))
    }

    fn signature(&self, name: &str) -> Option<Signature> {
        self.has_method(name).then_some(NO_PARAMETERS)
    }

    fn entries(&self) -> Vec<(Value, Value)> {
        numbered((0..self.0.len()).filter_map(|index| self.one(index)))
    }

    fn entry(&self, index: usize) -> Option<(Value, Value)> {
        Some((at(index), self.one(index)?))
    }

    fn sliced(&self, from: usize, to: usize) -> Option<Value> {
        Some(Value::object(Self(self.0.get(from..to)?.to_vec())))
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn text(&self) -> Option<String> {
        Some(self.joined())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[derive(Debug)]
struct Pair(Arc<str>, Arc<str>);

impl Object for Pair {
    fn type_name(&self) -> &str {
        "template.Pair"
    }

    fn field(&self, name: &str) -> Option<Value> {
        match name {
            "Name" => Some(Value::Text(Arc::clone(&self.0))),
            "Value" => Some(Value::Text(Arc::clone(&self.1))),
            _ => None,
        }
    }

    fn fields(&self) -> Fields {
        fields_of(self, &[("Name", "Name"), ("Value", "Value")])
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Texts that can be joined.
#[derive(Debug)]
struct Strings(Vec<Arc<str>>);

impl Object for Strings {
    fn type_name(&self) -> &str {
        "template.Strings"
    }

    fn kind(&self) -> Kind {
        Kind::Slice
    }

    fn has_method(&self, name: &str) -> bool {
        name == "Join"
    }

    fn method(&self, name: &str, arguments: &[Value]) -> Method {
        if name != "Join" {
            return None;
        }
        Some(match arguments {
            [Value::Text(separator)] => Ok(Value::from(self.0.join(&**separator))),
            [other] => Err(CallError::wrong_type("string", other)),
            _ => Err(CallError::count(name, 1, arguments.len())),
        })
    }

    fn signature(&self, name: &str) -> Option<Signature> {
        self.has_method(name).then_some(TEXT)
    }

    fn entries(&self) -> Vec<(Value, Value)> {
        numbered(self.0.iter().map(|text| Value::Text(Arc::clone(text))))
    }

    fn entry(&self, index: usize) -> Option<(Value, Value)> {
        Some((at(index), Value::Text(Arc::clone(self.0.get(index)?))))
    }

    fn sliced(&self, from: usize, to: usize) -> Option<Value> {
        Some(Value::object(Self(self.0.get(from..to)?.to_vec())))
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn texts(&self) -> Option<Vec<Arc<str>>> {
        Some(self.0.clone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A moment in UTC; `None` is Go's zero time.
fn time(moment: Option<Timestamp>) -> Value {
    let utc = |moment| Time::new(moment, TimeZone::UTC);
    Value::Time(moment.map_or_else(Time::zero, utc))
}

fn fields_of(object: &dyn Object, names: &[(&'static str, &'static str)]) -> Fields {
    let field = |&(name, json): &(&'static str, &'static str)| {
        (name, json, object.field(name).unwrap_or(Value::Nil))
    };
    names.iter().map(field).collect()
}

/// A position as templates see it.
fn at(index: usize) -> Value {
    Value::Int(i64::try_from(index).unwrap_or(i64::MAX))
}

fn texts_of((name, value): &(Arc<str>, Arc<str>)) -> (Value, Value) {
    (Value::Text(Arc::clone(name)), Value::Text(Arc::clone(value)))
}

fn numbered(elements: impl Iterator<Item = Value>) -> Vec<(Value, Value)> {
    (0_i64..).map(Value::Int).zip(elements).collect()
}

fn none(name: &str, arguments: &[Value]) -> Result<(), CallError> {
    match arguments.len() {
        0 => Ok(()),
        got => Err(CallError::count(name, 0, got)),
    }
}

/// The only argument, a list of texts.
fn texts(name: &str, arguments: &[Value]) -> Result<Vec<Arc<str>>, CallError> {
    match arguments {
        [Value::Texts(texts)] => Ok(texts.to_vec()),
        [value @ Value::Object(object)] => {
            object.texts().ok_or_else(|| CallError::wrong_type("[]string", value))
        }
        [value] => Err(CallError::wrong_type("[]string", value)),
        _ => Err(CallError::count(name, 1, arguments.len())),
    }
}
