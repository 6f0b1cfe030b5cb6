//! API v1 as Alertmanager 0.26 served it: the guide, old scripts and old dashboards speak it.

use std::{borrow::Cow, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use hyper::body::Incoming;
use jiff::Timestamp;
use tocsin_cluster::ClusterStatus;
use tocsin_core::{
    alert::AlertInput,
    label::{Labels, Lookup},
    matcher::{MatchOp, Matcher, NameRule, parse_matchers},
    regex::Regex,
    silence::{InvalidSilence, RawMatcher, Silence, SilenceInput},
};
use tocsin_service::web::{Body, Peer, read_body};

use super::{
    App, Query,
    alerts::{
        BODY_MAX_BYTES, listed, mark_degraded, push_fingerprint, refuse_abandoned, take_outdated,
    },
    error::{ApiError, go_quote, json_response, plain_response},
    filter, json,
    json::{JsonError, Reader, push_string},
    original,
    silences::{invalid, sort},
    status::{push_field, push_peers, push_version},
    times,
    wire::{field, push, push_array, push_labels, read_labels},
};
use crate::engine::{AlertQuery, AlertView, ApiVersion, SilenceError};

/// The headers of every answer.
pub(super) fn finish(headers: &mut HeaderMap) {
    const ALL: [(HeaderName, &str); 5] = [
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "Accept, Authorization, Content-Type, Origin"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE, OPTIONS"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, "Date"),
        (header::CACHE_CONTROL, "no-cache, no-store, must-revalidate"),
    ];
    for (name, value) in ALL {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// The answer of versions that have no API v1, when it is switched off.
pub(super) fn gone() -> Response<Body> {
    let body = "{\"status\":\"deprecated\",\"error\":\"The Alertmanager v1 API was deprecated in \
        version 0.16.0 and is removed as of version 0.27.0 - please use the equivalent route in \
        the v2 API\"}";
    json_response(StatusCode::GONE, body)
}

fn success(data: Option<Vec<u8>>) -> Response<Body> {
    let body = match data {
        None => b"{\"status\":\"success\"}".to_vec(),
        Some(data) => {
            let mut body = b"{\"status\":\"success\",\"data\":".to_vec();
            body.extend_from_slice(&data);
            body.push(b'}');
            body
        }
    };
    json_response(StatusCode::OK, body)
}

async fn text(body: Incoming) -> Result<String, ApiError> {
    let bytes = read_body(body, BODY_MAX_BYTES).await.map_err(|error| ApiError::body(&error))?;
    let text = super::json::text(&bytes).into_owned();
    if Reader::new(&text).is_empty() {
        return Err(ApiError::BadData("EOF".to_owned()));
    }
    Ok(text)
}

/// Configuration, version and cluster: the latter as 0.26 had it (`clusterStatus`) and under the
/// name that guides read (`cluster`).
pub(super) fn status(app: &App) -> Response<Body> {
    let config = app.engine.config();
    let view = app.engine.cluster().view();
    let mut out = Vec::with_capacity(config.original.len() * 2 + 1024);
    out.push(b'{');
    let original = original::for_all_versions(&config.original);
    push_field(&mut out, "configYAML", &original);
    push(&mut out, ",\"configJSON\":");
    out.extend_from_slice(&original::json(&original));
    push(&mut out, ",\"versionInfo\":");
    push_version(&mut out);
    push(&mut out, ",\"uptime\":");
    times::push_nanos(&mut out, app.engine.started_at());
    let mut cluster = Vec::with_capacity(256);
    cluster.push(b'{');
    push_field(&mut cluster, "name", &view.name);
    cluster.push(b',');
    push_field(&mut cluster, "status", view.status.label());
    push(&mut cluster, ",\"peers\":");
    push_peers(&mut cluster, &view, ["name", "address"]);
    cluster.push(b'}');
    push(&mut out, ",\"clusterStatus\":");
    if view.status == ClusterStatus::Disabled {
        push(&mut out, "null");
    } else {
        out.extend_from_slice(&cluster);
    }
    push(&mut out, ",\"cluster\":");
    out.extend_from_slice(&cluster);
    out.push(b'}');
    success(Some(out))
}

/// The names of all receivers.
pub(super) fn receivers(app: &App) -> Response<Body> {
    let config = app.engine.config();
    let mut out = Vec::new();
    push_array(&mut out, &config.receivers, |out, receiver| push_string(out, &receiver.name));
    success(Some(out))
}

/// A filter parameter: a list of matchers, braces allowed.
fn filter_param(app: &App, query: &Query<'_>) -> Result<Vec<Matcher>, ApiError> {
    match query.first("filter") {
        "" => Ok(Vec::new()),
        text => {
            let parsed = parse_matchers(text, app.engine.matcher_mode());
            Ok(parsed.map_err(|error| ApiError::BadData(error.to_string()))?.value.0)
        }
    }
}

fn switch(query: &Query<'_>, name: &str) -> Result<bool, ApiError> {
    match query.first(name) {
        "" | "true" => Ok(true),
        "false" => Ok(false),
        other => {
            let other = go_quote(other);
            let text = format!("parameter {name:?} can either be 'true' or 'false', not {other}");
            Err(ApiError::BadData(text))
        }
    }
}

/// As API v2, but the mistake names the expression instead of what is wrong with it.
fn receiver(query: &Query<'_>) -> Result<Option<Regex>, ApiError> {
    let text = query.first("receiver");
    let failed = |_| ApiError::BadData(format!("failed to parse receiver param: {text}"));
    filter::receiver(text).map_err(failed)
}

/// Shows the alerts that fire, by fingerprint.
pub(super) fn alerts(app: &Arc<App>, query: &Query<'_>) -> Result<Response<Body>, ApiError> {
    let asked = AlertQuery {
        matchers: filter_param(app, query)?,
        active: switch(query, "active")?,
        silenced: switch(query, "silenced")?,
        inhibited: switch(query, "inhibited")?,
        receiver: receiver(query)?,
        receiver_matchers: Vec::new(),
    };
    switch(query, "unprocessed")?;
    let found = app.engine.find_alerts(&asked);
    Ok(listed(app, found, "{\"status\":\"success\",\"data\":[", "]}", push_alert))
}

fn push_alert(out: &mut Vec<u8>, view: &AlertView<'_>) {
    let alert = &view.alert;
    let moments = alert.times();
    push(out, "{\"labels\":");
    push_labels(out, alert.labels());
    push(out, ",\"annotations\":");
    push_labels(out, alert.annotations());
    push(out, ",\"startsAt\":");
    times::push_nanos(out, moments.starts_at);
    push(out, ",\"endsAt\":");
    times::push_nanos(out, moments.ends_at);
    push(out, ",\"generatorURL\":");
    push_string(out, alert.generator_url());
    let state = if view.is_suppressed() { "suppressed" } else { "active" };
    push(out, &format!(",\"status\":{{\"state\":\"{state}\",\"silencedBy\":"));
    push_array(out, view.silenced_by, |out, id| push_string(out, id));
    push(out, ",\"inhibitedBy\":");
    push_array(out, view.inhibited_by, push_fingerprint);
    push(out, "},\"receivers\":");
    push_array(out, view.receivers, |out, name| push_string(out, name));
    push(out, ",\"fingerprint\":");
    push_fingerprint(out, alert.fingerprint());
    out.push(b'}');
}

/// Takes alerts in; good ones are kept although bad ones are complained about.
pub(super) async fn post_alerts(
    app: &App,
    body: Incoming,
    peer: &Peer,
) -> Result<Response<Body>, ApiError> {
    let text = text(body).await?;
    refuse_abandoned(app, peer).await?;
    let names = app.engine.matcher_mode().names();
    let mut inputs =
        read_alerts(&text, names).map_err(|error| ApiError::BadData(error.to_string()))?;
    let outdated = take_outdated(app, &mut inputs).await;
    let posted = app.engine.post_alerts(ApiVersion::V1, inputs).await;
    outdated?;
    let mut answer = if posted.invalid.is_empty() {
        success(None)
    } else {
        ApiError::BadData(posted.invalid.join("; ")).response()
    };
    mark_degraded(&mut answer, posted.degraded);
    Ok(answer)
}

/// Reads what API v1 gets as alerts.
///
/// # Errors
/// Upstream's complaint about the first mistake; nothing of the batch is taken then.
pub(super) fn read_alerts(text: &str, names: NameRule) -> Result<Vec<AlertInput>, JsonError> {
    let mut inputs = Vec::new();
    json::read(text, |reader| {
        reader.array("Go value of type []*types.Alert", |reader| {
            inputs.push(read_alert(reader, names)?);
            Ok(())
        })
    })?;
    Ok(inputs)
}

fn read_alert(reader: &mut Reader<'_>, names: NameRule) -> Result<AlertInput, JsonError> {
    const NAMES: [&str; 5] = ["labels", "annotations", "startsAt", "endsAt", "generatorURL"];
    let mut input = AlertInput::default();
    reader.object("Go value of type types.Alert", |reader, name| {
        match field(&name, &NAMES) {
            Some("labels") => {
                input.labels = read_checked_labels(
                    reader,
                    names,
                    "Go struct field Alert.labels of type model.LabelSet",
                )?;
            }
            Some("annotations") => {
                input.annotations = read_checked_labels(
                    reader,
                    names,
                    "Go struct field Alert.annotations of type model.LabelSet",
                )?;
            }
            Some("startsAt") => input.starts_at = read_time(reader)?,
            Some("endsAt") => input.ends_at = read_time(reader)?,
            Some(_) => {
                const WANT: &str = "Go struct field Alert.generatorURL of type string";
                input.generator_url = reader.string(WANT)?.unwrap_or_default().into();
            }
            None => reader.skip()?,
        }
        Ok(())
    })?;
    Ok(input)
}

fn read_checked_labels(
    reader: &mut Reader<'_>,
    names: NameRule,
    want: &'static str,
) -> Result<Labels, JsonError> {
    let labels = read_labels(reader, want, want)?.unwrap_or_default();
    match labels.iter().find(|(name, _)| !names.allows(name)) {
        Some((name, _)) => {
            Err(JsonError::Value(format!("{} is not a valid label name", go_quote(name))))
        }
        None => Ok(labels),
    }
}

fn read_time(reader: &mut Reader<'_>) -> Result<Option<Timestamp>, JsonError> {
    match reader.string("Go value of type time.Time")? {
        Some(text) => times::parse_v1(&text),
        None => Ok(None),
    }
}

/// Shows silences, filtered as alerts are: by the values of their matchers.
pub(super) fn silences(
    app: &App,
    query: &Query<'_>,
    now: Timestamp,
) -> Result<Response<Body>, ApiError> {
    let wanted = filter_param(app, query)?;
    let mut silences = app.engine.find_silences(|silence| {
        let values = Values(silence);
        wanted.iter().all(|matcher| matcher.filters(&values))
    });
    sort(&mut silences, now);
    let mut out = Vec::with_capacity(silences.len() * 256);
    push_array(&mut out, &silences, |out, silence| push_silence(out, silence, now));
    Ok(success(Some(out)))
}

/// A silence as a label set: the names and values of its matchers, the last one of a name counts.
struct Values<'a>(&'a Silence);

impl Values<'_> {
    fn find(&self, name: &str) -> Option<&Matcher> {
        self.0
            .matcher_sets
            .iter()
            .rev()
            .flat_map(|set| set.iter().rev())
            .find(|one| one.name() == name)
    }
}

impl Lookup for Values<'_> {
    fn get(&self, name: &str) -> &str {
        self.find(name).map_or("", Matcher::value)
    }

    fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    fn each(&self, visit: &mut dyn FnMut(&str, &str)) {
        let sets = self.0.matcher_sets.iter().flat_map(|set| set.iter());
        Labels::new(sets.map(|one| (one.name(), one.value())))
            .iter()
            .for_each(|(name, value)| visit(name, value));
    }
}

fn push_silence(out: &mut Vec<u8>, silence: &Silence, now: Timestamp) {
    out.push(b'{');
    push_field(out, "id", &silence.id);
    push(out, ",\"matchers\":");
    let first = silence.matcher_sets.first();
    push_array(out, first.into_iter().flat_map(|set| set.iter()), |out, matcher| {
        out.push(b'{');
        push_field(out, "name", matcher.name());
        out.push(b',');
        push_field(out, "value", matcher.value());
        let op = matcher.op();
        push(out, &format!(",\"isRegex\":{},\"isEqual\":{}}}", op.is_regex(), op.is_equal()));
    });
    push(out, ",\"startsAt\":");
    times::push_nanos(out, silence.starts_at);
    push(out, ",\"endsAt\":");
    times::push_nanos(out, silence.ends_at);
    push(out, ",\"updatedAt\":");
    times::push_nanos(out, silence.updated_at);
    out.push(b',');
    push_field(out, "createdBy", &silence.created_by);
    if !silence.comment.is_empty() {
        out.push(b',');
        push_field(out, "comment", &silence.comment);
    }
    push(out, &format!(",\"status\":{{\"state\":\"{}\"}}}}", silence.state(now).as_str()));
}

/// Makes a silence or changes one. Only matchers and an end are needed.
pub(super) async fn post_silence(
    app: &App,
    body: Incoming,
    now: Timestamp,
) -> Result<Response<Body>, ApiError> {
    let text = text(body).await?;
    let input = json::read(&text, read_silence);
    let input = input.map_err(|error| ApiError::BadData(error.to_string()))?;
    if input.starts_at.is_some() && input.starts_at == input.ends_at {
        return Err(ApiError::BadData("start time must not be equal to end time".to_owned()));
    }
    if input.ends_at.unwrap_or(Timestamp::MIN) < now {
        return Err(ApiError::BadData("end time can't be in the past".to_owned()));
    }
    let set = app.engine.set_silence(input).await.map_err(refusal)?;
    let mut answer = success(Some(format!("{{\"silenceId\":{}}}", json::string(&set.id)).into()));
    mark_degraded(&mut answer, set.degraded);
    Ok(answer)
}

fn refusal(error: SilenceError) -> ApiError {
    match error {
        SilenceError::NotFound => ApiError::BadData(error.to_string()),
        SilenceError::Invalid(InvalidSilence::NoSets | InvalidSilence::EmptySet(_)) => {
            ApiError::BadData("silence invalid: at least one matcher required".to_owned())
        }
        SilenceError::Invalid(error) => ApiError::BadData(invalid(&error)),
        SilenceError::Lost => ApiError::Internal(error.to_string()),
    }
}

pub(super) fn read_silence(reader: &mut Reader<'_>) -> Result<SilenceInput, JsonError> {
    const NAMES: [&str; 6] = ["id", "matchers", "startsAt", "endsAt", "createdBy", "comment"];
    let mut input = SilenceInput::default();
    reader.object("Go value of type types.Silence", |reader, name| {
        const WANT: &str = "Go struct field Silence.id of type string";
        match field(&name, &NAMES) {
            Some("id") => input.id = reader.string(WANT)?.unwrap_or_default().into(),
            Some("createdBy") => input.created_by = reader.string(WANT)?.unwrap_or_default().into(),
            Some("comment") => input.comment = reader.string(WANT)?.unwrap_or_default().into(),
            Some("startsAt") => input.starts_at = read_time(reader)?,
            Some("endsAt") => input.ends_at = read_time(reader)?,
            Some(_) => {
                let mut matchers = Vec::new();
                reader.array(
                    "Go struct field Silence.matchers of type labels.Matchers",
                    |reader| {
                        matchers.push(read_matcher(reader)?);
                        Ok(())
                    },
                )?;
                input.matcher_sets = vec![matchers];
            }
            None => reader.skip()?,
        }
        Ok(())
    })?;
    Ok(input)
}

fn read_matcher(reader: &mut Reader<'_>) -> Result<RawMatcher, JsonError> {
    const WANT: &str = "Go struct field apiV1Matcher.matchers of type string";
    let (mut name_text, mut value) = (Cow::default(), Cow::default());
    let (mut is_regex, mut is_equal) = (false, true);
    reader.object("Go value of type labels.apiV1Matcher", |reader, name| {
        match field(&name, &["name", "value", "isRegex", "isEqual"]) {
            Some("name") => name_text = reader.string(WANT)?.unwrap_or_default(),
            Some("value") => value = reader.string(WANT)?.unwrap_or_default(),
            Some("isRegex") => is_regex = reader.boolean(WANT)?.unwrap_or(false),
            Some(_) => is_equal = reader.boolean(WANT)?.unwrap_or(true),
            None => reader.skip()?,
        }
        Ok(())
    })?;
    let op = MatchOp::from_flags(is_equal, is_regex);
    Ok(RawMatcher { name: name_text.into(), op, value: value.into() })
}

/// Shows one silence.
pub(super) fn silence(app: &App, id: &str, now: Timestamp) -> Result<Response<Body>, ApiError> {
    let Some(silence) = app.engine.silence(id) else {
        return Ok(plain_response(StatusCode::NOT_FOUND, "Error getting silence: <nil>\n"));
    };
    let mut out = Vec::with_capacity(512);
    push_silence(&mut out, &silence, now);
    Ok(success(Some(out)))
}

/// Ends a silence.
pub(super) async fn expire(app: &App, id: &str) -> Result<Response<Body>, ApiError> {
    let written = app.engine.expire_silence(id).await.map_err(refusal)?;
    let mut answer = success(None);
    mark_degraded(&mut answer, written.degraded);
    Ok(answer)
}
