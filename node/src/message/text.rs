//! The templates of a configuration, ready to render notifications.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tocsin_template::{Function, Functions, Type, Value, standard};

use super::object::dot;
use super::{Data, Kv};
use crate::config::glob;

/// What every configuration starts with; files that define the same names win.
const BUILT_IN: [(&str, &str); 2] = [
    ("default.tmpl", include_str!("default/default.tmpl")),
    ("email.tmpl", include_str!("default/email.tmpl")),
];
const ROUTE_LABELS: &str = "routeLabels";

/// Named templates: the built-in ones and those of the configuration's files.
#[derive(Clone, Debug)]
pub struct Templates(Arc<tocsin_template::Templates>);

/// A template that cannot be loaded or rendered; the text is Go's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A glob of the configuration.
    #[error(transparent)]
    Pattern(#[from] glob::BadPattern),
    /// A file of the configuration.
    #[error("open {path}: {reason}")]
    Unreadable {
        /// Its name.
        path: String,
        /// The system's words.
        reason: String,
    },
    /// The language.
    #[error(transparent)]
    Wrong(#[from] tocsin_template::TemplateError),
    /// Route labels that need each other.
    #[error("route label cycle detected: {0}")]
    Cycle(String),
}

impl Templates {
    /// The built-in templates and those in files that match `globs`, later ones winning.
    /// # Errors
    /// On a glob that is none, and on a file that cannot be read or parsed.
    pub fn load(globs: &[String]) -> Result<Self, TemplateError> {
        let mut names: Vec<&'static str> =
            standard(Timestamp::UNIX_EPOCH, &TimeZone::UTC).into_keys().collect();
        names.push(ROUTE_LABELS);
        let mut templates = tocsin_template::Templates::new(names);
        for (name, text) in BUILT_IN {
            templates.add(name, text)?;
        }
        for path in glob::expand(globs)? {
            let text = std::fs::read_to_string(&path).map_err(|error| {
                let path = path.display().to_string();
                TemplateError::Unreadable { path, reason: error.to_string() }
            })?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            templates.add(&name, &text)?;
        }
        Ok(Self(Arc::new(templates)))
    }

    /// Whether a text of the configuration parses.
    /// # Errors
    /// In Go's words.
    pub fn check(&self, text: &str) -> Result<(), TemplateError> {
        Ok(self.0.check(text)?)
    }

    /// A text of the configuration, rendered as plain text.
    /// # Errors
    /// In Go's words.
    pub fn text(&self, text: &str, data: &Data, now: Timestamp) -> Result<String, TemplateError> {
        self.over(data, now).text(text)
    }

    /// A text of the configuration, rendered with HTML escaping.
    /// # Errors
    /// In Go's words.
    pub fn html(&self, text: &str, data: &Data, now: Timestamp) -> Result<String, TemplateError> {
        self.over(data, now).html(text)
    }

    /// The templates over one notification, for many texts.
    #[must_use]
    pub fn over(&self, data: &Data, now: Timestamp) -> Rendering {
        Rendering { templates: self.clone(), dot: dot(data), functions: functions(data, now) }
    }

    /// The labels of a route, each a template that may ask for the others by `routeLabels`. Gives
    /// those that can be rendered, and the errors of the others by name.
    #[must_use]
    pub fn route_labels<'a>(
        &self,
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
        data: &Data,
        now: Timestamp,
    ) -> (Kv, Vec<(String, TemplateError)>) {
        let labels = labels.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned()));
        let route = Arc::new(RouteLabels {
            templates: Arc::clone(&self.0),
            labels: labels.collect(),
            data: data.clone(),
            now,
            state: Mutex::default(),
        });
        let mut failures = Vec::new();
        let mut rendered = Vec::new();
        for name in route.labels.keys() {
            match route.render(name) {
                Ok(text) => rendered.push((name.as_str(), text)),
                Err(error) => failures.push((name.clone(), error)),
            }
        }
        (rendered.into_iter().collect(), failures)
    }
}

/// The templates over the data of one notification.
#[derive(Debug)]
pub struct Rendering {
    templates: Templates,
    dot: Value,
    functions: Functions,
}

impl Rendering {
    /// A text of the configuration, rendered as plain text.
    /// # Errors
    /// In Go's words.
    pub fn text(&self, text: &str) -> Result<String, TemplateError> {
        if !text.contains("{{") {
            return Ok(text.to_owned());
        }
        Ok(self.templates.0.text(text, &self.dot, &self.functions)?)
    }

    /// A text of the configuration, rendered with HTML escaping.
    /// # Errors
    /// In Go's words.
    pub fn html(&self, text: &str) -> Result<String, TemplateError> {
        if text.is_empty() {
            return Ok(String::new());
        }
        Ok(self.templates.0.html(text, &self.dot, &self.functions)?)
    }
}

/// The functions of one rendering; route labels are final here.
fn functions(data: &Data, now: Timestamp) -> Functions {
    let labels = data.route_labels.clone();
    let get = move |a: &[Value]| Ok(Value::text(labels.get(a[0].as_text().unwrap_or(""))));
    functions_with(Function::new(&[Type::Text], get), now)
}

fn functions_with(route_labels: Function, now: Timestamp) -> Functions {
    let mut functions = standard(now, &TimeZone::system());
    functions.insert(ROUTE_LABELS, route_labels);
    functions
}

/// The labels of one route while they are rendered.
struct RouteLabels {
    templates: Arc<tocsin_template::Templates>,
    labels: BTreeMap<String, String>,
    data: Data,
    now: Timestamp,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    done: BTreeMap<String, String>,
    /// Those that are being rendered, the asking before the asked.
    open: Vec<String>,
}

impl RouteLabels {
    /// The label's text; each is rendered at most once, an unknown one is empty.
    fn render(self: &Arc<Self>, name: &str) -> Result<String, TemplateError> {
        let Some(template) = self.labels.get(name) else { return Ok(String::new()) };
        self.begin(name)?;
        if let Some(done) = self.state().done.get(name) {
            return Ok(done.clone());
        }
        let own = Arc::clone(self);
        let get = move |a: &[Value]| {
            let text = own.render(a[0].as_text().unwrap_or(""));
            text.map(Value::from).map_err(|error| error.to_string())
        };
        let functions = functions_with(Function::new(&[Type::Text], get), self.now);
        let rendered = self.templates.text(template, &dot(&self.data), &functions);
        let mut state = self.state();
        state.open.pop();
        let text = rendered?;
        state.done.insert(name.to_owned(), text.clone());
        Ok(text)
    }

    /// Marks the label as being rendered, unless it is done.
    fn begin(&self, name: &str) -> Result<(), TemplateError> {
        let mut state = self.state();
        if state.done.contains_key(name) {
            return Ok(());
        }
        if let Some(first) = state.open.iter().position(|open| open == name) {
            let mut cycle = state.open[first..].to_vec();
            cycle.push(name.to_owned());
            return Err(TemplateError::Cycle(cycle.join(" -> ")));
        }
        state.open.push(name.to_owned());
        Ok(())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;
    use crate::message::{Alert, AlertStatus, Group};

    fn now() -> Timestamp {
        "2026-11-24T12:00:00Z".parse().unwrap()
    }

    fn alert(instance: &str, status: AlertStatus) -> Alert {
        severe(instance, status, "critical")
    }

    fn severe(instance: &str, status: AlertStatus, severity: &str) -> Alert {
        let labels = [
            ("alertname", "DiskFull"),
            ("instance", &format!("{instance}:9100")),
            ("job", "node"),
            ("severity", severity),
        ];
        let mut annotations = vec![("summary", "disk full")];
        let mut url = "http://prom.example/g2";
        if instance == "a" {
            annotations.push(("zz", "on a"));
            url = "http://prom.example/g?x=1&y=<2>";
        }
        let resolved = status == AlertStatus::Resolved;
        Alert {
            status,
            labels: labels.into_iter().collect(),
            annotations: annotations.into_iter().collect(),
            starts_at: "2026-11-24T10:00:00Z".parse().unwrap(),
            ends_at: resolved.then(|| "2026-11-24T11:00:00Z".parse().unwrap()),
            generator_url: url.to_owned(),
            fingerprint: "22b692ed704ee014".to_owned(),
        }
    }

    fn data(alerts: Vec<Alert>) -> Data {
        let group = Group {
            receiver: "team.X".to_owned(),
            labels: [("alertname", "DiskFull")].into_iter().collect(),
            route_labels: [("team", "{{ x }}")].into_iter().collect(),
            external_url: "http://am.example:9093".to_owned(),
        };
        Data::new(&group, alerts, "first notification")
    }

    fn both() -> Data {
        data(vec![alert("a", AlertStatus::Firing), alert("b", AlertStatus::Resolved)])
    }

    #[track_caller]
    fn check(template: &str, expected: &str) {
        let text = Templates::load(&[]).unwrap().text(template, &both(), now());
        assert_eq!(text.as_deref(), Ok(expected), "{template}");
    }

    #[track_caller]
    fn check_error(template: &str, expected: &str) {
        let error = Templates::load(&[]).unwrap().text(template, &both(), now()).unwrap_err();
        assert_eq!(error.to_string(), expected, "{template}");
    }

    /// The texts of every default template but the HTML mail, recorded from Alertmanager 0.34 itself.
    #[test]
    fn the_defaults_are_upstreams() {
        let golden = include_str!("../../tests/golden/default_templates.json");
        let golden: Json = serde_json::from_str(golden).unwrap();
        let templates = Templates::load(&[]).unwrap();
        for case in golden.as_array().unwrap() {
            let status = |text: &Json| match text.as_str() {
                Some("firing") => AlertStatus::Firing,
                _ => AlertStatus::Resolved,
            };
            let alerts = case["alerts"].as_array().unwrap();
            let text = |text: &Json| text.as_str().unwrap().to_owned();
            let alerts = alerts.iter().map(|one| {
                severe(&text(&one["instance"]), status(&one["status"]), &text(&one["severity"]))
            });
            let data = data(alerts.collect());
            for (name, text) in case["texts"].as_object().unwrap() {
                let template = format!("{{{{ template {name:?} . }}}}");
                let found = templates.text(&template, &data, now());
                assert_eq!(found.as_deref(), Ok(text.as_str().unwrap()), "{name}");
            }
        }
    }

    #[test]
    fn fields_and_methods_are_gos() {
        check(
            "{{ .Receiver }} {{ .Status }} {{ .NotificationReason }}",
            r"team\.X firing first notification",
        );
        check("{{ len .Alerts.Firing }}{{ len .Alerts.Resolved }}", "11");
        check("{{ .CommonLabels }}", "alertname=DiskFull, job=node, severity=critical");
        check("{{ .CommonLabels.SortedPairs.Values | join \" \" }}", "DiskFull node critical");
        check("{{ (.CommonLabels.Remove .GroupLabels.Names).Names.Join \"+\" }}", "job+severity");
        check("{{ .GroupLabels.nope }}|{{ index .GroupLabels \"alertname\" }}", "|DiskFull");
        check(
            "{{ range $k, $v := .CommonLabels }}{{ $k }}={{ $v }};{{ end }}",
            "alertname=DiskFull;job=node;severity=critical;",
        );
        check("{{ (index .Alerts 1).EndsAt }}", "2026-11-24 11:00:00 +0000 UTC");
        check("{{ (index .Alerts 0).EndsAt.IsZero }}", "true");
        check("{{ range .Alerts }}{{ .Labels.instance }},{{ end }}", "a:9100,b:9100,");
        check("{{ range slice .Alerts 1 }}{{ .Labels.instance }}{{ end }}", "b:9100");
        check("{{ range slice .Alerts.Resolved 0 1 }}{{ .Status }}{{ end }}", "resolved");
        check("{{ (index .Alerts.Resolved 0).Labels.instance }}", "b:9100");
        check("{{ index .CommonLabels.SortedPairs.Names 1 }}", "job");
        check("{{ routeLabels \"team\" }}{{ .RouteLabels.team }}", "{{ x }}{{ x }}");
        check(
            "{{ .CommonLabels.SortedPairs | toJson }}",
            r#"[{"Name":"alertname","Value":"DiskFull"},{"Name":"job","Value":"node"},{"Name":"severity","Value":"critical"}]"#,
        );
        check("{{ printf \"%v %T\" .GroupLabels .GroupLabels }}", "alertname=DiskFull template.KV");
        check("{{ .GroupLabels.Remove nil }}", "alertname=DiskFull");
    }

    #[test]
    fn what_is_hidden_in_go_is_printed_and_no_more() {
        let ends = |text: &str, template: &str, data: &Data| {
            let found = Templates::load(&[]).unwrap().text(template, data, now()).unwrap();
            assert!(found.ends_with(text), "{template}: {found}");
        };
        let told = both();
        let sample = Data { is_sample: true, route_labels: Kv::default(), ..both() };
        ends(" http://am.example:9093 true}", "{{ . }}", &told);
        ends(" http://am.example:9093 false}", "{{ . }}", &sample);
        ends("routeLabelsRendered:true}", "{{ printf \"%+v\" . }}", &told);
        ends("\"externalURL\":\"http://am.example:9093\"}", "{{ toJson . }}", &told);
        ends("null", "{{ toJson .RouteLabels }}", &sample);
        let unset = Data::new(&Group::default(), Vec::new(), "");
        ends(
            "{}{}{}",
            "{{ toJson .RouteLabels }}{{ toJson .GroupLabels }}{{ toJson .CommonLabels }}",
            &unset,
        );
        ends("*template.Data", "{{ printf \"%T\" . }}", &told);
        check_error_of(&sample, "{{ .Nope }}", "in type template.Data");
    }

    #[track_caller]
    fn check_error_of(data: &Data, template: &str, part: &str) {
        let error = Templates::load(&[]).unwrap().text(template, data, now()).unwrap_err();
        assert!(error.to_string().ends_with(part), "{error}");
    }

    #[test]
    fn json_of_an_alert_is_the_webhooks() {
        let data = both();
        let text = Templates::load(&[]).unwrap().text("{{ .Alerts | toJson }}", &data, now());
        let found: Json = serde_json::from_str(&text.unwrap()).unwrap();
        assert_eq!(found, serde_json::to_value(&*data.alerts).unwrap());
    }

    #[test]
    fn errors_are_gos() {
        check_error(
            "{{ .Nope }}",
            r#"template: :1:3: executing "" at <.Nope>: can't evaluate field Nope in type *template.Data"#,
        );
        check_error("{{ nope }}", r#"template: :1: function "nope" not defined"#);
    }

    #[test]
    fn html_is_escaped_and_an_unsafe_link_is_not_one() {
        let mut alert = alert("a", AlertStatus::Firing);
        alert.generator_url = "javascript:alert(1)".to_owned();
        alert.labels = [("alertname", "<b>&")].into_iter().collect();
        let templates = Templates::load(&[]).unwrap();
        let html =
            templates.html("{{ template \"email.default.html\" . }}", &data(vec![alert]), now());
        let html = html.unwrap();
        assert!(html.contains("href=\"#ZgotmplZ\""), "{html}");
        assert!(html.contains("= &lt;b&gt;&amp;</div>"), "{html}");
        assert!(html.contains("1 alert for alertname=DiskFull"), "{html}");
    }

    #[test]
    fn files_replace_the_defaults() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("a.tmpl", "{{ define \"__subject\" }}mine{{ end }}");
        write("b.tmpl", "{{ define \"__subject\" }}last{{ end }}");
        let globs = [dir.path().join("*.tmpl").display().to_string()];
        let templates = Templates::load(&globs).unwrap();
        let text = templates.text("{{ template \"slack.default.title\" . }}", &both(), now());
        assert_eq!(text.as_deref(), Ok("last"));
        write("c.tmpl", "{{ define }}");
        let error = Templates::load(&globs).unwrap_err().to_string();
        assert!(error.starts_with("template: c.tmpl:1: "), "{error}");
    }

    #[test]
    fn route_labels_may_ask_for_each_other_once() {
        let templates = Templates::load(&[]).unwrap();
        let labels = [
            ("team", "{{ .GroupLabels.alertname }}"),
            ("page", "http://{{ routeLabels \"team\" }}/{{ routeLabels \"none\" }}"),
            ("x", "{{ routeLabels \"y\" }}"),
            ("y", "{{ routeLabels \"x\" }}"),
        ];
        let (rendered, failures) = templates.route_labels(labels, &both(), now());
        assert_eq!(rendered.to_string(), "page=http://DiskFull/, team=DiskFull");
        let errors: Vec<String> = failures.iter().map(|(_, error)| error.to_string()).collect();
        assert!(errors[0].contains("route label cycle detected: x -> y -> x"), "{errors:?}");
        assert_eq!(failures.len(), 2);
    }
}
