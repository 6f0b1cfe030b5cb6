//! The types that Alertmanager shows to templates, as far as the golden cases use them.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use tocsin_template::{CallError, Kind, Object, Signature, Time, Type, Value};

type Fields = Vec<(&'static str, &'static str, Value)>;

/// Two alerts, of which one fires.
pub(crate) fn dot() -> Value {
    let both = [("alertname", "DiskFull"), ("job", "node"), ("severity", "critical")];
    let quotes = ("html", "<b>x</b> & 'q' \"d\"");
    let of = |instance| {
        let mut labels = both.to_vec();
        labels.push(("instance", instance));
        kv(&labels)
    };
    let annotations = [
        ("summary", "disk full on a"),
        quotes,
        ("runbook", "http://x/?q=p q&z=é"),
        ("unicode", "héllo wörld"),
    ];
    let firing = structure(
        "template.Alert",
        vec![
            ("Status", "status", "firing".into()),
            ("Labels", "labels", of("a:9100")),
            ("Annotations", "annotations", kv(&annotations)),
            ("StartsAt", "startsAt", time("2026-11-22T10:00:00.123456789Z")),
            ("EndsAt", "endsAt", Value::Time(Time::zero())),
            ("GeneratorURL", "generatorURL", "http://prom.example/graph?g0.expr=up".into()),
            ("Fingerprint", "fingerprint", "0123456789abcdef".into()),
        ],
    );
    let resolved = structure(
        "template.Alert",
        vec![
            ("Status", "status", "resolved".into()),
            ("Labels", "labels", of("b:9100")),
            ("Annotations", "annotations", kv(&[])),
            ("StartsAt", "startsAt", time("2026-11-22T10:00:00Z")),
            ("EndsAt", "endsAt", time("2026-11-22T10:30:00Z")),
            ("GeneratorURL", "generatorURL", "javascript:alert(1)".into()),
            ("Fingerprint", "fingerprint", "fedcba9876543210".into()),
        ],
    );
    let alerts = List { name: "template.Alerts", items: vec![firing, resolved] };
    structure(
        "*template.Data",
        vec![
            ("Receiver", "receiver", "team-X".into()),
            ("Status", "status", "firing".into()),
            ("Alerts", "alerts", Value::object(alerts)),
            ("NotificationReason", "notification_reason", "".into()),
            ("GroupLabels", "groupLabels", kv(&[("alertname", "DiskFull")])),
            ("CommonLabels", "commonLabels", kv(&both)),
            ("CommonAnnotations", "commonAnnotations", kv(&[quotes])),
            ("RouteLabels", "routeLabels", Value::object(Kv { map: None })),
            ("ExternalURL", "externalURL", "http://am.example:9093".into()),
            ("routeLabelsRendered", "", false.into()),
        ],
    )
}

fn time(text: &str) -> Value {
    Value::Time(Time::new(text.parse().unwrap(), jiff::tz::TimeZone::UTC))
}

#[derive(Debug)]
struct Struct {
    name: &'static str,
    fields: Fields,
}

fn structure(name: &'static str, fields: Fields) -> Value {
    Value::object(Struct { name, fields })
}

impl Object for Struct {
    fn type_name(&self) -> &str {
        self.name
    }

    fn field(&self, name: &str) -> Option<Value> {
        let found = self.fields.iter().find(|(known, ..)| *known == name);
        found.map(|(_, _, value)| value.clone())
    }

    fn fields(&self) -> Fields {
        self.fields.clone()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A map of texts; `None` is Go's nil map.
#[derive(Debug)]
struct Kv {
    map: Option<BTreeMap<String, String>>,
}

fn kv(pairs: &[(&str, &str)]) -> Value {
    let map = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Value::object(Kv { map: Some(map.collect()) })
}

impl Kv {
    fn sorted(&self) -> Vec<(&str, &str)> {
        let map = self.map.iter().flatten();
        let mut pairs: Vec<_> = map.map(|(name, value)| (&**name, &**value)).collect();
        pairs.sort_by_key(|(name, _)| (*name != "alertname", *name));
        pairs
    }

    fn pairs(&self) -> Vec<Value> {
        let pair = |(name, value): (&str, &str)| {
            structure(
                "template.Pair",
                vec![("Name", "Name", name.into()), ("Value", "Value", value.into())],
            )
        };
        self.sorted().into_iter().map(pair).collect()
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

    fn signature(&self, name: &str) -> Option<Signature> {
        Some(Signature::fixed(if name == "Remove" { &[Type::Texts] } else { &[] }))
    }

    fn is_nil(&self) -> bool {
        self.map.is_none()
    }

    fn method(&self, name: &str, arguments: &[Value]) -> Option<Result<Value, CallError>> {
        let result = match (name, arguments) {
            ("SortedPairs", []) => {
                Value::object(List { name: "template.Pairs", items: self.pairs() })
            }
            ("Names", []) => strings(self.sorted().into_iter().map(|(name, _)| name)),
            ("Values", []) => strings(self.sorted().into_iter().map(|(_, value)| value)),
            ("String", []) => self.text()?.into(),
            ("Remove", [names]) => {
                let texts = match names {
                    Value::Texts(texts) => texts.to_vec(),
                    Value::Object(object) if object.texts().is_some() => object.texts()?,
                    Value::Nil => Vec::new(),
                    other => return Some(Err(CallError::wrong_type("[]string", other))),
                };
                let mut map = self.map.clone().unwrap_or_default();
                map.retain(|name, _| !texts.iter().any(|text| **text == **name));
                Value::object(Kv { map: Some(map) })
            }
            _ => {
                let want = usize::from(name == "Remove");
                return Some(Err(CallError::count(name, want, arguments.len())));
            }
        };
        Some(Ok(result))
    }

    fn field(&self, name: &str) -> Option<Value> {
        let found = self.map.as_ref().and_then(|map| map.get(name));
        Some(found.map_or("", String::as_str).into())
    }

    fn entries(&self) -> Vec<(Value, Value)> {
        let map = self.map.iter().flatten();
        map.map(|(name, value)| (name.as_str().into(), value.as_str().into())).collect()
    }

    fn text(&self) -> Option<String> {
        let pairs = self.sorted().into_iter().map(|(name, value)| format!("{name}={value}"));
        Some(pairs.collect::<Vec<_>>().join(", "))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Alerts, Pairs or Strings.
#[derive(Debug)]
struct List {
    name: &'static str,
    items: Vec<Value>,
}

fn strings<'a>(texts: impl Iterator<Item = &'a str>) -> Value {
    Value::object(List { name: "template.Strings", items: texts.map(Value::from).collect() })
}

impl List {
    fn fields(&self, field: &str) -> impl Iterator<Item = String> {
        let values = self.items.iter().map(move |item| match item {
            Value::Object(object) => object.field(field),
            _ => None,
        });
        values.map(|value| value.and_then(|v| v.as_text().map(str::to_owned)).unwrap_or_default())
    }
}

impl Object for List {
    fn type_name(&self) -> &str {
        self.name
    }

    fn kind(&self) -> Kind {
        Kind::Slice
    }

    fn has_method(&self, name: &str) -> bool {
        match self.name {
            "template.Alerts" => matches!(name, "Firing" | "Resolved"),
            "template.Pairs" => matches!(name, "Names" | "Values" | "String"),
            "template.Strings" => name == "Join",
            _ => false,
        }
    }

    fn signature(&self, name: &str) -> Option<Signature> {
        Some(Signature::fixed(if name == "Join" { &[Type::Text] } else { &[] }))
    }

    fn sliced(&self, from: usize, to: usize) -> Option<Value> {
        Some(Value::object(List { name: self.name, items: self.items[from..to].to_vec() }))
    }

    fn method(&self, name: &str, arguments: &[Value]) -> Option<Result<Value, CallError>> {
        if !self.has_method(name) {
            return None;
        }
        Some(match (name, arguments) {
            ("Firing" | "Resolved", []) => {
                let wanted = name.to_lowercase();
                let mut items = self.items.clone();
                let mut states = self.fields("Status");
                items.retain(|_| states.next().as_ref() == Some(&wanted));
                Ok(Value::object(List { name: "[]template.Alert", items }))
            }
            ("Names" | "Values", []) => {
                let field = name.trim_end_matches('s');
                let texts: Vec<String> = self.fields(field).collect();
                Ok(strings(texts.iter().map(String::as_str)))
            }
            ("String", []) => Ok(self.text()?.into()),
            ("Join", [Value::Text(separator)]) => {
                let texts = self.texts()?;
                Ok(texts.join(separator).into())
            }
            ("Join", [other]) => Err(CallError::wrong_type("string", other)),
            _ => Err(CallError::count(name, usize::from(name == "Join"), arguments.len())),
        })
    }

    fn entries(&self) -> Vec<(Value, Value)> {
        let numbered = self.items.iter().enumerate();
        numbered.map(|(at, item)| (i64::try_from(at).unwrap().into(), item.clone())).collect()
    }

    fn text(&self) -> Option<String> {
        let pairs = self.fields("Name").zip(self.fields("Value"));
        let pairs: Vec<String> = pairs.map(|(name, value)| format!("{name}={value}")).collect();
        (self.name == "template.Pairs").then(|| pairs.join(", "))
    }

    fn texts(&self) -> Option<Vec<Arc<str>>> {
        let texts = self.items.iter().filter_map(|item| item.as_text().map(Into::into));
        (self.name == "template.Strings").then(|| texts.collect())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
