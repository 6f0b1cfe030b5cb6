//! Changes asked for over HTTP: HAProxy's form, and the JSON API's writes. Who may, and who is too far away to.

use std::sync::Arc;

use super::{Answer, Request, query_value, query_values};
use crate::backend::Admin;
use crate::balancer::Balancer;
use crate::config::{AdminMode, StatsOptions};
use crate::control::{Place, Refused};

/// Cookie that holds the token in a browser.
pub(super) const COOKIE: &str = "tocsin_lb_token";

/// What a request brings to prove its right.
#[derive(Debug, Default)]
pub(super) struct Proof {
    /// Of `Authorization: Bearer`.
    pub bearer: String,
    /// Of the cookie.
    pub cookie: String,
    /// Of `Origin`, without the scheme.
    pub origin: Option<String>,
    /// Of `Host`.
    pub host: String,
    /// The peer's address.
    pub peer: String,
    /// Who it proved to be by its password.
    pub user: Option<String>,
}

impl Proof {
    /// Who does it, for the events.
    fn who(&self) -> String {
        match &self.user {
            Some(user) => format!("{user} at {}", self.peer),
            None => self.peer.clone(),
        }
    }

    /// Whether a browser sends it from another site's page.
    fn is_foreign(&self) -> bool {
        self.origin.as_ref().is_some_and(|origin| *origin != self.host)
    }

    /// Whether a browser or a program holds the token.
    pub(super) fn has_token(&self, lb: &Balancer) -> bool {
        lb.admin.is(&self.bearer) || lb.admin.is(&self.cookie)
    }

    /// Whether a form may change state.
    fn may_post(&self, lb: &Balancer, mode: AdminMode, form: &str) -> bool {
        match mode {
            AdminMode::Off => false,
            _ if self.is_foreign() => false,
            AdminMode::Any => true,
            AdminMode::Basic => self.user.is_some(),
            AdminMode::Token => {
                lb.admin.is(&self.bearer)
                    || (lb.admin.is(&self.cookie) && lb.admin.is_key(&query_value(form, "key")))
            }
        }
    }
}

/// Answers HAProxy's form with a redirect that tells how it went.
pub(super) fn form(
    lb: &Arc<Balancer>,
    options: &StatsOptions,
    request: &Request<'_>,
    proof: &Proof,
    form: &str,
) -> Answer {
    let token = query_value(form, "token");
    if !token.is_empty() && options.admin == AdminMode::Token {
        return sign_in(lb, options, proof, &token);
    }
    if let (AdminMode::Basic, None, Some(users)) =
        (options.admin, &proof.user, &lb.topology.load().stats_users)
    {
        let answer = Answer::text(401, "who are you?");
        return answer.with("WWW-Authenticate", users.challenge());
    }
    let code = if proof.may_post(lb, options.admin, form) {
        apply(lb, options, proof, form)
    } else {
        "DENY"
    };
    let _ = request;
    Answer::text(303, "see the stats page")
        .with("Location", format!("{};st={code}", options.uri))
        .with("Cache-Control", "no-cache")
}

fn sign_in(lb: &Balancer, options: &StatsOptions, proof: &Proof, token: &str) -> Answer {
    let answer = Answer::text(303, "see the stats page").with("Cache-Control", "no-store");
    if proof.is_foreign() || !lb.admin.is(token) {
        return answer.with("Location", format!("{};st=DENY", options.uri));
    }
    answer
        .with("Set-Cookie", format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict"))
        .with("Location", options.uri.clone())
}

/// Carries out an action on the servers named, and says how it went in HAProxy's code.
fn apply(lb: &Arc<Balancer>, options: &StatsOptions, proof: &Proof, form: &str) -> &'static str {
    let Ok(backend) = lb.backend(&query_value(form, "b")) else { return "ERRP" };
    let names = query_values(form, "s");
    let action = query_value(form, "action");
    if names.is_empty() || action.is_empty() {
        return "NONE";
    }
    let safe = options.admin != AdminMode::Any && query_value(form, "force") != "1";
    let (mut done, mut failed, mut denied) = (0, 0, 0);
    for name in &names {
        let Some(server) = backend.servers.iter().find(|s| s.name() == *name) else {
            failed += 1;
            continue;
        };
        let place = (backend.clone(), server.clone());
        match act(lb, &place, &action, safe, &proof.who()) {
            Ok(true) => done += 1,
            Ok(false) => {}
            Err(Refused::LastServer) => denied += 1,
            Err(_) => return "ERRP",
        }
    }
    match (done, failed, denied) {
        (0, 0, 0) => "NONE",
        (_, 0, 0) => "DONE",
        (0, 0, _) => "DENY",
        (0, ..) => "ERRP",
        _ => "PART",
    }
}

fn act(lb: &Balancer, place: &Place, action: &str, safe: bool, who: &str) -> Result<bool, Refused> {
    match action {
        "ready" | "enable" | "start" => return lb.set_admin(place, Admin::Ready, safe, who),
        "drain" | "stop" => return lb.set_admin(place, Admin::Drain, safe, who),
        "maint" | "disable" => return lb.set_admin(place, Admin::Maint, safe, who),
        "hrunn" => lb.force_health(place, true, false, who),
        "hnolb" => lb.force_health(place, true, true, who),
        "hdown" => lb.force_health(place, false, false, who),
        "dhlth" => lb.set_checks(place, false, who),
        "ehlth" => lb.set_checks(place, true, who),
        "shutdown" => lb.shutdown_sessions(place, who),
        _ => return Err(Refused::Bad("unknown action".to_owned())),
    }
    Ok(true)
}

/// Carries out a write of the JSON API: it needs the token in every mode.
pub(super) fn api(lb: &Arc<Balancer>, request: &Request<'_>, proof: &Proof, body: &str) -> Answer {
    if proof.is_foreign() || !(lb.admin.is(&proof.bearer) || proof.user.is_some()) {
        return super::problem(401, "a write needs the admin token as Authorization: Bearer")
            .with("WWW-Authenticate", "Bearer");
    }
    let parts: Vec<_> = request.path.split('/').skip(3).collect();
    match (request.method, parts.as_slice()) {
        ("POST", ["reload"]) => match crate::reload::reload(lb, &proof.who()) {
            Ok(()) => Answer::json("{\"reloaded\":true}".to_owned()),
            Err(error) => super::problem(422, &error.to_string()),
        },
        ("PATCH", ["backends", backend, "servers", server]) => {
            answer(patch(lb, &format!("{backend}/{server}"), body, &proof.who()))
        }
        ("POST", ["backends", backend, "servers"]) => answer(add(lb, backend, body, &proof.who())),
        ("DELETE", ["backends", backend, "servers", server]) => {
            answer(lb.remove_server(&format!("{backend}/{server}"), &proof.who()))
        }
        _ => super::problem(404, "not found"),
    }
}

fn answer(result: Result<(), Refused>) -> Answer {
    match result {
        Ok(()) => Answer::json("{\"done\":true}".to_owned()),
        Err(refused @ (Refused::NoBackend | Refused::NoServer | Refused::NoFrontend)) => {
            super::problem(404, &refused.to_string())
        }
        Err(refused @ Refused::LastServer) => super::problem(409, &refused.to_string()),
        Err(refused @ Refused::Bad(_)) => super::problem(400, &refused.to_string()),
    }
}

fn parsed(body: &str) -> Result<serde_json::Map<String, serde_json::Value>, Refused> {
    serde_json::from_str(body).map_err(|e| Refused::Bad(format!("not a JSON object: {e}")))
}

/// `{state, health, weight, maxconn, force}`, each optional, nothing else.
fn patch(lb: &Balancer, path: &str, body: &str, who: &str) -> Result<(), Refused> {
    let place = lb.server(path)?;
    let fields = parsed(body)?;
    let known = ["state", "health", "weight", "maxconn", "force"];
    if let Some(name) = fields.keys().find(|k| !known.contains(&k.as_str())) {
        return Err(Refused::Bad(format!("unknown field {name:?}")));
    }
    let safe = fields.get("force") != Some(&serde_json::Value::Bool(true));
    let text = |name| fields.get(name).map(|v| v.as_str().unwrap_or("?"));
    let number = |name: &str| match fields.get(name) {
        None => Ok(None),
        Some(value) => match value.as_u64().and_then(|n| u32::try_from(n).ok()) {
            Some(n) => Ok(Some(n)),
            None => Err(Refused::Bad(format!("{name} is not a number"))),
        },
    };
    let (weight, maxconn) = (number("weight")?, number("maxconn")?);
    let admin = match text("state") {
        None => None,
        Some("ready") => Some(Admin::Ready),
        Some("drain") => Some(Admin::Drain),
        Some("maint") => Some(Admin::Maint),
        Some(_) => return Err(Refused::Bad("state is none of ready, drain, maint".to_owned())),
    };
    let health = match text("health") {
        None => None,
        Some("up") => Some((true, false)),
        Some("stopping") => Some((true, true)),
        Some("down") => Some((false, false)),
        Some(_) => return Err(Refused::Bad("health is none of up, stopping, down".to_owned())),
    };
    if let Some(admin) = admin {
        lb.set_admin(&place, admin, safe, who)?;
    }
    if let Some((up, stopping)) = health {
        lb.force_health(&place, up, stopping, who);
    }
    if let Some(weight) = weight {
        lb.set_weight(&place, &weight.to_string(), who)?;
    }
    if let Some(maxconn) = maxconn {
        place.1.set_maxconn(maxconn);
    }
    Ok(())
}

/// `{name, address, weight, check}`.
fn add(lb: &Balancer, backend: &str, body: &str, who: &str) -> Result<(), Refused> {
    let fields = parsed(body)?;
    let text = |name: &str| fields.get(name).and_then(|v| v.as_str());
    let (Some(name), Some(address)) = (text("name"), text("address")) else {
        return Err(Refused::Bad("a server needs name and address".to_owned()));
    };
    let weight = fields.get("weight").map_or(Some(1), serde_json::Value::as_u64);
    let weight = weight.and_then(|w| u32::try_from(w).ok());
    let weight = weight.ok_or_else(|| Refused::Bad("weight is not a number".to_owned()))?;
    let check = fields.get("check").is_none_or(|c| c.as_bool() != Some(false));
    lb.add_server(&format!("{backend}/{name}"), address, weight, check, who)
}
