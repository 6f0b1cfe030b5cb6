//! The same requests to a node and to `prometheus-alertmanager` 0.25, answers compared field by
//! field. What 0.34 changed since is listed in [`Difference`], each with its reason; nothing else
//! may differ.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    client::{Answer, Ask, ask, get, post},
    node::{CONFIG, Node},
};

/// Debian's server; ended when dropped.
pub(crate) struct Upstream {
    child: Child,
    pub(crate) address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("am.yml");
        std::fs::write(&config, CONFIG).unwrap();
        let mut child = Command::new("prometheus-alertmanager")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", folder.path().join("data").display()))
            .args(["--web.listen-address=127.0.0.1:0", "--cluster.listen-address="])
            .env("TZ", "UTC")
            .stderr(Stdio::piped())
            .spawn()
            .expect("package prometheus-alertmanager is installed");
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let address = lines
            .find_map(|line| {
                let line = line.contains("Listening on").then_some(line)?;
                line.split("address=").nth(1)?.split(' ').next()?.parse().ok()
            })
            .expect("upstream listens");
        // It must not stop at a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address, _folder: folder }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A generator of numbers that are the same in every run (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// Identities that the two servers gave to the same silence.
#[derive(Default)]
struct Ids {
    upstream: Vec<String>,
    ours: Vec<String>,
}

const UNKNOWN: &str = "11111111-2222-4333-8444-555555555555";

fn one_of_ids(dice: &mut Dice, ids: &Ids) -> String {
    match dice.below(6) {
        0 => UNKNOWN.to_owned(),
        1 => "notauuid".to_owned(),
        _ if ids.ours.is_empty() => UNKNOWN.to_owned(),
        _ => format!("@{}@", dice.below(ids.ours.len())),
    }
}

fn labels(dice: &mut Dice) -> Value {
    let mut labels = json!({"alertname": dice.pick(&["A", "B", "C"])});
    for (name, values) in [
        ("severity", ["critical", "warning", ""]),
        ("cluster", ["x", "y", ""]),
        ("team", ["db", "web", "é<&>"]),
    ] {
        if dice.below(3) > 0 {
            labels[name] = json!(dice.pick(&values));
        }
    }
    labels
}

fn alert(dice: &mut Dice) -> Value {
    let mut alert = json!({"labels": labels(dice), "endsAt": "2099-01-01T00:00:00Z"});
    if dice.below(2) == 0 {
        alert["startsAt"] = json!(dice.pick(&[
            "2026-11-22T10:00:00.123456Z",
            "2026-11-22T10:00:00Z",
            "2026-11-22T11:00:00.5Z",
        ]));
    } else {
        alert["startsAt"] = json!("2026-11-22T09:00:00Z");
    }
    if dice.below(4) == 0 {
        alert["endsAt"] = json!(dice.pick(&["2026-11-22T12:00:00Z", "2098-01-01T00:00:00Z"]));
    }
    if dice.below(3) == 0 {
        alert["annotations"] = json!({"summary": dice.pick(&["s", "t", "<b>"]), "empty": ""});
    }
    if dice.below(3) == 0 {
        alert["generatorURL"] = json!(dice.pick(&["http://p/g?x=1&y=2", "/graph", "mailto:a@b"]));
    }
    alert
}

const BAD_ALERTS: &[&str] = &[
    "",
    "null",
    "{}",
    "[",
    "[1]",
    "x",
    "nul",
    "[{}]",
    r#"[{"labels":null}]"#,
    r#"[{"labels":{}}]"#,
    r#"[{"labels":{"a":1}}]"#,
    r#"[{"labels":{"a":"b"},"startsAt":"yesterday"}]"#,
    r#"[{"labels":{"a":"b"},"startsAt":5}]"#,
    r#"[{"labels":{"a":"b"},"generatorURL":"rel/path"}]"#,
    r#"[{"labels":{"a":"b"},"generatorURL":5}]"#,
    r#"[{"labels":{"a":"b"},"annotations":[1]}]"#,
    r#"[{"labels":{"a":"b"},"startsAt":"2026-01-02T00:00:00Z","endsAt":"2026-01-01T00:00:00Z"}]"#,
    r#"[{"labels":{"a":"b"}},]"#,
    r#"[{"labels":{"a":"\x"}}]"#,
    r#"[{"labels" 1}]"#,
    r#"[{"labels":{"a":"b"} "x":1}]"#,
    r#"[tru]"#,
    r#"[-]"#,
];

const BAD_SILENCES: &[&str] = &[
    "",
    "{}",
    "[]",
    "null",
    r#"{"comment":"","createdBy":""}"#,
    r#"{"comment":"","createdBy":"","endsAt":"2099-01-01T00:00:00Z"}"#,
    r#"{"comment":"","createdBy":"","endsAt":"2099-01-01T00:00:00Z","matchers":[]}"#,
    r#"{"comment":"","createdBy":"","endsAt":"2099-01-01T00:00:00Z","matchers":[{"name":"a"}]}"#,
    r#"{"comment":"","createdBy":"","endsAt":"2099-01-01T00:00:00Z","matchers":[{"name":"a","value":"b","isRegex":false}]}"#,
    r#"{"comment":"","createdBy":"","startsAt":"2099-01-01T00:00:00Z","endsAt":"2098-01-01T00:00:00Z","matchers":[{"name":"a","value":"b","isRegex":false}]}"#,
    r#"{"comment":"","createdBy":"","startsAt":"2020-01-01T00:00:00Z","endsAt":"2021-01-01T00:00:00Z","matchers":[{"name":"a","value":"b","isRegex":false}]}"#,
    r#"{"comment":5}"#,
    r#"{"comment":"","createdBy":"","startsAt":"x"}"#,
];

fn silence(dice: &mut Dice, ids: &Ids) -> Value {
    let matchers: Vec<Value> = (0..=dice.below(2))
        .map(|_| {
            let is_regex = dice.below(3) == 0;
            let value = if is_regex { "A|B" } else { dice.pick(&["A", "critical", "x"]) };
            let mut matcher = json!({
                "name": dice.pick(&["alertname", "severity", "cluster"]),
                "value": value,
                "isRegex": is_regex,
            });
            if dice.below(3) == 0 {
                matcher["isEqual"] = json!(dice.below(2) == 0);
            }
            matcher
        })
        .collect();
    let mut silence = json!({
        "matchers": matchers,
        "startsAt": dice.pick(&["2026-11-22T10:00:00Z", "2098-01-01T00:00:00Z"]),
        "endsAt": dice.pick(&["2099-01-01T00:00:00Z", "2099-06-01T00:00:00.25Z"]),
        "createdBy": "ann",
        "comment": dice.pick(&["c", "", "<&>"]),
    });
    if dice.below(4) == 0 {
        silence["id"] = json!(one_of_ids(dice, ids));
    }
    silence
}

fn filters(dice: &mut Dice) -> String {
    let mut query = String::new();
    for _ in 0..dice.below(3) {
        query += "filter=";
        query += dice.pick(&[
            "alertname%3D%22A%22",
            "alertname%3D~%22A%7CB%22",
            "severity!%3D%22%22",
            "severity%3D%22%22",
            "team%21~d.*",
            "cluster%3Dx",
        ]);
        query += "&";
    }
    for name in ["active", "silenced", "inhibited"] {
        match dice.below(8) {
            0 => query += &format!("{name}=false&"),
            1 => query += &format!("{name}=maybe&"),
            2 => query += &format!("{name}=true&"),
            _ => {}
        }
    }
    match dice.below(8) {
        0 => query += "receiver=pager&",
        1 => query += "receiver=pag.*%7Cx&",
        2 => query += "receiver=def&",
        _ => {}
    }
    query
}

/// What generated bodies and queries do not meet by themselves.
fn edge(dice: &mut Dice) -> Ask {
    let path = dice.pick(&[
        "/api/v2/alerts?filter=",
        "/api/v2/alerts?filter=a%3D~%28",
        "/api/v2/alerts?receiver=%28",
        "/api/v2/alerts/groups?filter=foo",
        "/api/v2/alerts/groups?receiver=%28",
        "/api/v2/silences?filter=foo",
        "/api/v1/alerts?receiver=%28",
        "/api/v1/alerts?filter=foo",
        "/api/v1/silences?filter=foo",
        "/api/v1/silence/11111111-2222-4333-8444-555555555555",
        "-POST /api/v2/alerts/groups",
        "-POST /api/v2/status",
        "-POST /api/v2/receivers",
        "-PUT /api/v2/silence/11111111-2222-4333-8444-555555555555",
        "-DELETE /api/v2/silences",
        "-PUT /api/v1/alerts",
        "-GET /-/reload",
        "-POST /-/healthy",
        "-OPTIONS /-/reload",
        "-OPTIONS /metrics",
        "-POST /metrics",
        "-HEAD /",
        "text/html /api/v2/status",
        "text/html /api/v2/receivers",
        "text/html /api/v2/alerts/groups",
        "text/html /api/v2/silences",
        "text/html /api/v2/silence/11111111-2222-4333-8444-555555555555",
        "preflight /api/v2/alerts",
        "preflight /api/v2/silences",
        "origin /api/v2/alerts",
        "absent /api/v2/alerts",
        "absent /api/v2/silences",
        "plain /api/v2/silences",
        "alerts ",
        r#"alerts [{"labels":{"a":"b"},"startsAt":"2026-01-02T00:00:00Z","endsAt":"2026-01-01T00:00:00Z"}]"#,
        r#"alerts [{"labels":{"a-b":"c"}}]"#,
        "silences ",
        r#"silences {"comment":""}"#,
        r#"silences {"comment":"","createdBy":"","endsAt":"2099-01-01T00:00:00Z","matchers":[{"isRegex":false}]}"#,
        r#"silences {"comment":"","createdBy":"","endsAt":"2099-01-01T00:00:00Z","matchers":[{"isRegex":false,"name":"a"}]}"#,
        r#"silences {"comment":"","createdBy":"","startsAt":"2098-01-01T00:00:00Z","endsAt":"2099-01-01T00:00:00Z","matchers":[{"isRegex":false,"name":"a","value":""}]}"#,
        r#"v1 {"matchers":[],"endsAt":"2099-01-01T00:00:00Z"}"#,
        r#"v1 {"matchers":[{"name":"a","value":"b"}],"endsAt":"2020-01-01T00:00:00Z"}"#,
        r#"v1 {"id":"11111111-2222-4333-8444-555555555555","matchers":[{"name":"a","value":"b"}],"endsAt":"2099-01-01T00:00:00Z"}"#,
        "v1 x",
    ]);
    match path.split_once(' ') {
        Some(("alerts", body)) => post("/api/v2/alerts", body),
        Some(("silences", body)) => post("/api/v2/silences", body),
        Some(("v1", body)) => post("/api/v1/silences", body),
        Some(("text/html", path)) => get(path).header("Accept", "text/html"),
        Some(("preflight", path)) => ask("OPTIONS", path)
            .header("Origin", "http://x")
            .header("Access-Control-Request-Method", "POST"),
        Some(("origin", path)) => get(path).header("Origin", "http://x"),
        Some(("absent", path)) => ask("POST", path).body("{}"),
        Some(("plain", path)) => ask("POST", path).header("Content-Type", "text/plain").body("{}"),
        Some(("-POST", path)) => ask("POST", path),
        Some(("-PUT", path)) => ask("PUT", path),
        Some(("-DELETE", path)) => ask("DELETE", path),
        Some(("-OPTIONS", path)) => ask("OPTIONS", path),
        Some(("-HEAD", path)) => ask("HEAD", path),
        Some((_, path)) => get(path),
        None => get(path),
    }
}

/// One request of API v2 or of the rest of the surface.
fn request(dice: &mut Dice, ids: &Ids) -> Ask {
    match dice.below(29) {
        25..29 => edge(dice),
        0..4 => {
            let alerts: Vec<Value> = (0..=dice.below(3)).map(|_| alert(dice)).collect();
            post("/api/v2/alerts", Value::from(alerts))
        }
        4..8 => get(format!("/api/v2/alerts?{}", filters(dice))),
        8 => get(format!("/api/v2/alerts/groups?{}", filters(dice))),
        9 => post("/api/v2/alerts", dice.pick(BAD_ALERTS)),
        10 => post("/api/v2/silences", dice.pick(BAD_SILENCES)),
        11..13 => post("/api/v2/silences", silence(dice, ids)),
        13 => get(dice.pick(&[
            "/api/v2/silences",
            "/api/v2/silences?filter=alertname%3D%22A%22",
            "/api/v2/silences?filter=alertname%3D~%22A%7CB%22&filter=cluster%3D%22x%22",
        ])),
        14 => get(format!("/api/v2/silence/{}", one_of_ids(dice, ids))),
        15 => ask("DELETE", format!("/api/v2/silence/{}", one_of_ids(dice, ids))),
        16 => get("/api/v2/receivers"),
        17 => {
            let kind = dice.pick(&["text/plain", "application/json; charset=utf-8", "x"]);
            ask("POST", "/api/v2/alerts").header("Content-Type", kind).body("[]")
        }
        18 => {
            let path = dice.pick(&[
                "/api/v2/nope",
                "/api/v2",
                "/nope",
                "/-/healthy",
                "/-/healthy/",
                "//x",
                "/api/v2/alerts/",
                "/-/ready",
                "/api/v2/alerts?filter=foo",
                "/api/v2/alerts?receiver=%28",
                "/api/v2/silences?filter=a%3D~%28",
            ]);
            get(path)
        }
        19 => {
            let method = dice.pick(&["PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"]);
            let path = dice.pick(&[
                "/api/v2/alerts",
                "/api/v2/status",
                "/api/v2/silences",
                "/-/ready",
                "/-/reload",
                "/metrics",
                "/api/v2/alerts/groups",
            ]);
            ask(method, path)
        }
        20 => get("/api/v2/alerts")
            .header("Accept", dice.pick(&["text/html", "*/*", "application/json"])),
        _ => request_v1(dice, ids),
    }
}

fn request_v1(dice: &mut Dice, ids: &Ids) -> Ask {
    match dice.below(9) {
        0 => {
            let alerts: Vec<Value> = (0..=dice.below(2)).map(|_| alert(dice)).collect();
            post("/api/v1/alerts", Value::from(alerts))
        }
        1 => get(dice.pick(&[
            "/api/v1/alerts",
            "/api/v1/alerts?filter=%7Balertname%3D%22A%22%7D",
            "/api/v1/alerts?filter=alertname%3D%22A%22%2Cseverity%21%3D%22%22",
            "/api/v1/alerts?active=maybe",
            "/api/v1/alerts?silenced=true",
            "/api/v1/alerts?receiver=pager",
        ])),
        2 => get("/api/v1/receivers"),
        3 => post(
            "/api/v1/alerts",
            dice.pick(&["", "x", "{}", "[1]", r#"[{"labels":{"a-b":"c"}}]"#, r#"[{"labels":{}}]"#]),
        ),
        4 => get(dice.pick(&["/api/v1/nope", "/api/v1/alerts/groups", "/api/v1/silence/nope"])),
        5 => {
            let body = json!({
                "matchers": [{"name": "alertname", "value": dice.pick(&["A", "B"]), "isRegex": false}],
                "startsAt": "2098-01-01T00:00:00Z", "endsAt": "2099-01-01T00:00:00Z",
                "createdBy": "bob", "comment": "v1",
            });
            post("/api/v1/silences", body)
        }
        6 => get(dice.pick(&["/api/v1/silences", "/api/v1/silences?filter=alertname%3D%22A%22"])),
        7 => ask("DELETE", format!("/api/v1/silence/{}", one_of_ids(dice, ids))),
        _ => ask("OPTIONS", "/api/v1/alerts"),
    }
}

/// Puts the identities of one server for the marks `@n@`.
fn with_ids(asked: &Ask, ids: &[String]) -> Ask {
    let fill = |text: &str| {
        ids.iter()
            .enumerate()
            .fold(text.to_owned(), |text, (index, id)| text.replace(&format!("@{index}@"), id))
    };
    let mut asked = asked.clone();
    asked.path = fill(&asked.path);
    asked.body = asked.body.as_deref().map(fill);
    asked
}

/// Puts the marks for the identities of one server.
fn without_ids(text: &str, ids: &[String]) -> String {
    ids.iter()
        .enumerate()
        .fold(text.to_owned(), |text, (index, id)| text.replace(id, &format!("@{index}@")))
}

fn silence_id(answer: &Answer) -> Option<String> {
    let value: Value = serde_json::from_str(&answer.body).ok()?;
    let id = value.get("silenceID").or_else(|| value.get("data")?.get("silenceId"))?;
    id.as_str().map(str::to_owned)
}

/// What may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Difference {
    /// Fields that 0.34 has: `mutedBy`, `routeLabels`, a receiver's `labels`.
    NewFields,
    /// Moments that each server takes from its own clock.
    OwnMoments,
    /// 0.34: unknown silence, 404 without text; 0.25: 500.
    UnknownSilence,
    /// 0.34 says `invalid silence:`, 0.25 `silence invalid:`; also other words for the matchers.
    SilenceWords,
    /// 0.34 joins mistakes by line breaks, 0.25 by `; `.
    Joiner,
    /// 0.34 sends `Cache-Control: no-store` from API v2.
    NoStore,
    /// 0.34 complains of bad matchers in the words of two parsers.
    MatcherWords,
    /// API v1 of 0.25 shows the status of the last flush; ours that of now.
    StatusV1,
    /// Upstream's order of silences with equal moments is not defined.
    SilenceTies,
    /// API v1 of 0.25 shows no annotations as `null` if the alert came by API v1.
    NullAnnotations,
    /// Upstream gives the answer to HEAD no type.
    TypeOfNothing,
    /// Two routes with one receiver make two groups of the same labels, in any order.
    GroupTies,
    /// 0.34 answers a preflight 204, 0.25 answers it 200.
    Preflight,
    /// Of several alerts that inhibit one, 0.25 names any; ours the one that ends last.
    InhibitingAlert,
}

/// The parts of an answer that are compared, and which known differences were taken out of it.
fn comparable(
    asked: &Ask,
    answer: &Answer,
    ids: &[String],
    seen: &mut BTreeSet<Difference>,
) -> Value {
    let mut status = answer.status;
    let mut body = without_ids(&answer.body, ids);
    let is_v2 = asked.path.starts_with("/api/v2/");
    if is_v2 && asked.method == "OPTIONS" && status == 200 {
        seen.insert(Difference::Preflight);
        status = 204;
    }
    if asked.path.contains("/silence/")
        && matches!((status, body.as_str()), (500, "\"silence not found\"\n") | (404, ""))
    {
        seen.insert(Difference::UnknownSilence);
        (status, body) = (404, String::new());
    }
    for (old, new) in [("silence invalid: ", "invalid silence: "), ("; ", "\\n")] {
        if status == 400 && body.contains(old) {
            seen.insert(if new == "\\n" { Difference::Joiner } else { Difference::SilenceWords });
            body = body.replace(old, new);
        }
    }
    if status == 400 && body.contains("at least one matcher must not match the empty string") {
        seen.insert(Difference::SilenceWords);
        body = "matches empty".to_owned();
    }
    if status == 400 && asked.path.contains("filter=") {
        seen.insert(Difference::MatcherWords);
        body = "bad matcher".to_owned();
    }
    if status == 405
        && let Some((start, rest)) = body.split_once('[')
        && let Some((methods, end)) = rest.split_once(']')
    {
        // Upstream lists methods in the order of a map.
        body = format!("{start}[{}]{end}", sorted(methods));
    }
    let mut json = serde_json::from_str(&body).unwrap_or(Value::String(body));
    take_out(&mut json, asked, seen);
    let mut headers = serde_json::Map::new();
    for name in [
        "content-type",
        "allow",
        "location",
        "access-control-allow-origin",
        "x-content-type-options",
        "cache-control",
    ] {
        if name == "cache-control" && is_v2 {
            seen.insert(Difference::NoStore);
            continue;
        }
        if status == 404 && asked.path.contains("/silence/") {
            continue;
        }
        if asked.method == "HEAD" && name == "content-type" {
            seen.insert(Difference::TypeOfNothing);
            continue;
        }
        let value = answer.header(name);
        let value = if is_v2 && name == "allow" { sorted(value) } else { value.to_owned() };
        headers.insert(name.to_owned(), value.into());
    }
    json!({"status": status, "headers": headers, "body": json})
}

fn sorted(methods: &str) -> String {
    let mut methods: Vec<&str> = methods.split(',').collect();
    methods.sort_unstable();
    methods.join(",")
}

/// Takes out of a JSON value what may differ.
fn take_out(value: &mut Value, asked: &Ask, seen: &mut BTreeSet<Difference>) {
    match value {
        Value::Object(fields) => {
            for name in ["mutedBy", "routeLabels"] {
                if fields.remove(name).is_some() {
                    seen.insert(Difference::NewFields);
                }
            }
            if fields.len() == 2 && fields.contains_key("name") && fields.remove("labels").is_some()
            {
                seen.insert(Difference::NewFields);
            }
            for name in ["updatedAt"] {
                if fields.remove(name).is_some() {
                    seen.insert(Difference::OwnMoments);
                }
            }
            // A silence that starts now starts at two moments; one that was ended as well.
            if fields.contains_key("createdBy") {
                for name in ["startsAt", "endsAt"] {
                    let now = fields.get(name).and_then(Value::as_str);
                    if now.is_some_and(|text| !text.starts_with("209")) {
                        fields.remove(name);
                        seen.insert(Difference::OwnMoments);
                    }
                }
            }
            if let Some(Value::Array(sources)) = fields.get_mut("inhibitedBy") {
                seen.insert(Difference::InhibitingAlert);
                sources.iter_mut().for_each(|source| *source = "some".into());
            }
            if fields.get("annotations").is_some_and(Value::is_null) {
                seen.insert(Difference::NullAnnotations);
                fields.insert("annotations".to_owned(), json!({}));
            }
            // Sorted by identities, which differ.
            if let Some(Value::Array(silences)) = fields.get_mut("silencedBy") {
                silences.sort_by_key(ToString::to_string);
            }
            if asked.path.starts_with("/api/v1/alerts")
                && fields.get("status").is_some_and(Value::is_object)
            {
                fields.remove("status");
                seen.insert(Difference::StatusV1);
            }
            fields.values_mut().for_each(|value| take_out(value, asked, seen));
        }
        Value::Array(items) => {
            items.iter_mut().for_each(|item| take_out(item, asked, seen));
            if asked.path.contains("/groups") {
                let key = |group: &Value| (group["labels"].clone(), group["receiver"].clone());
                for run in items.chunk_by_mut(|a, b| a.is_object() && key(a) == key(b)) {
                    if run.len() > 1 && run[0].get("alerts").is_some() {
                        seen.insert(Difference::GroupTies);
                        run.sort_by_key(|group| group["alerts"].to_string());
                    }
                }
            }
            if asked.path.contains("/silences") {
                seen.insert(Difference::SilenceTies);
                items.sort_by_key(ToString::to_string);
            }
        }
        _ => {}
    }
}

/// Where two values differ first.
fn difference(expected: &Value, got: &Value, path: &str) -> Option<String> {
    match (expected, got) {
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            a.iter().find_map(|(name, a)| difference(a, &b[name], &format!("{path}.{name}")))
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => (0..a.len())
            .find_map(|index| difference(&a[index], &b[index], &format!("{path}[{index}]"))),
        _ => (expected != got).then(|| format!("{path}: upstream {expected}, ours {got}")),
    }
}

/// What the requests must meet: status, method, path and, where it is refused, the reason. Identities are left out. This is
/// every row of upstream's route table and of its error tables that a client can bring about.
const ROWS: &str = include_str!("../golden/api_rows.txt");

/// Why a request was refused, shortened.
fn reason(answer: &Answer, ids: &[String]) -> String {
    let json = serde_json::from_str(&answer.body).unwrap_or(Value::Null);
    let text = match &json {
        Value::Object(fields) => fields.get("message").or(fields.get("error")),
        other => Some(other),
    };
    let text = text.and_then(Value::as_str).unwrap_or(&answer.body);
    let text = without_ids(text, ids).replace('\n', " ");
    let text: String = text.chars().filter(|letter| !letter.is_ascii_digit()).take(100).collect();
    text.trim().to_owned()
}

/// A row of the table.
fn row(asked: &Ask, answer: &Answer, ids: &[String]) -> String {
    let path = asked.path.split('?').next().unwrap_or("");
    let (path, below) =
        path.split_once("/silence/").map_or((path, ""), |(path, _)| (path, "/silence/ID"));
    let reason = if answer.status < 400 { String::new() } else { reason(answer, ids) };
    format!("{} {} {path}{below} {reason}", answer.status, asked.method).trim_end().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn same_requests_get_the_same_answers() {
    let upstream = Upstream::start();
    // 0.25 knows only the classic names and matchers.
    let node = Node::start(CONFIG, |options, _| options.features.classic_mode = true).await;
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut ids = Ids::default();
    let mut seen = BTreeSet::new();
    let mut rows = BTreeMap::new();
    for number in 0..2_000 {
        let asked = request(&mut dice, &ids);
        let to_upstream = with_ids(&asked, &ids.upstream);
        let to_ours = with_ids(&asked, &ids.ours);
        // Groups follow alerts a little later on both sides.
        for attempt in 0.. {
            let theirs = to_upstream.to(upstream.address).await;
            let ours = to_ours.to(node.address).await;
            if let (Some(theirs), Some(ours)) = (silence_id(&theirs), silence_id(&ours)) {
                let known = ids.upstream.contains(&theirs);
                assert_eq!(known, ids.ours.contains(&ours), "{number}: {asked:?}");
                if !known {
                    ids.upstream.push(theirs);
                    ids.ours.push(ours);
                }
            }
            let expected = comparable(&asked, &theirs, &ids.upstream, &mut seen);
            let got = comparable(&asked, &ours, &ids.ours, &mut seen);
            if got == expected {
                *rows.entry(row(&asked, &ours, &ids.ours)).or_insert(0) += 1;
                break;
            }
            let may_follow = asked.path.contains("/groups") && attempt < 100;
            assert!(
                may_follow,
                "request {number}: {to_ours:?}\nupstream: {theirs:?}\nours: {ours:?}\n{}",
                difference(&expected, &got, "").unwrap_or_default()
            );
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
    println!("answers compared, by status, method, path and reason:");
    rows.iter().for_each(|(row, count)| println!("{count:5}  {row}"));
    println!("differences met: {seen:?}");
    let missed: Vec<&str> = ROWS.lines().filter(|row| !rows.contains_key(*row)).collect();
    assert!(missed.is_empty(), "never compared: {missed:?}");
    node.stop().await;
}
