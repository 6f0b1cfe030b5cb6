//! The page for people: one sentence, a card for each server, HAProxy's table, what happened. Complete without script.

use std::fmt::Write;
use std::sync::Arc;

use super::chart;
use super::rows::{Kind, Row};
use crate::backend::Server;
use crate::balancer::Balancer;
use crate::config::{AdminMode, StatsOptions};
use crate::peer;
use crate::series::Series;

/// Style of the page.
pub(super) const STYLE: &str = include_str!("style.css");
/// Path of the style; whoever changes the style changes it, since browsers keep it for a year.
pub(super) const STYLE_PATH: &str = "/stats-0.1-3.css";
/// Nothing but our own style may be loaded.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'self'; base-uri 'none'";

/// Events that are shown.
const EVENTS: usize = 200;

/// Columns of the table: group, heading, field, what it means.
const COLUMNS: [(&str, &str, &str, &str); 30] = [
    ("Queue", "Cur", "qcur", "requests that wait"),
    ("Queue", "Max", "qmax", "most that waited"),
    ("Queue", "Limit", "qlimit", "most that may wait"),
    ("Session rate", "Cur", "rate", "sessions in the last second"),
    ("Session rate", "Max", "rate_max", "most in one second"),
    ("Session rate", "Limit", "rate_lim", "limit per second"),
    ("Sessions", "Cur", "scur", "sessions now"),
    ("Sessions", "Max", "smax", "most at once"),
    ("Sessions", "Limit", "slim", "limit"),
    ("Sessions", "Total", "stot", "all since the start"),
    ("Sessions", "LbTot", "lbtot", "times chosen"),
    ("Sessions", "Last", "lastsess", "since the last one"),
    ("Bytes", "In", "bin", "from clients"),
    ("Bytes", "Out", "bout", "to clients"),
    ("Denied", "Req", "dreq", "requests denied"),
    ("Denied", "Resp", "dresp", "responses denied"),
    ("Errors", "Req", "ereq", "bad, late or aborted requests"),
    ("Errors", "Conn", "econ", "failed connections"),
    ("Errors", "Resp", "eresp", "failed responses"),
    ("Warnings", "Retr", "wretr", "tried again on the same server"),
    ("Warnings", "Redis", "wredis", "sent to another server"),
    ("Server", "Status", "status", "state and since when"),
    ("Server", "LastChk", "check_status", "last check"),
    ("Server", "Wght", "weight", "weight"),
    ("Server", "Act", "act", "active"),
    ("Server", "Bck", "bck", "backup"),
    ("Server", "Chk", "chkfail", "failed checks"),
    ("Server", "Dwn", "chkdown", "times it went down"),
    ("Server", "Dwntme", "downtime", "time it was down"),
    ("Server", "Thrtle", "throttle", "share of its weight while it ramps"),
];

/// Escapes text for HTML, attributes included.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

/// Seconds as HAProxy shows them: the two largest units, `1h2m`, `3d4h`, `5s`.
pub(super) fn ago(seconds: u64) -> String {
    let (d, h, m, s) = (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    match (d, h, m) {
        (0, 0, 0) => format!("{s}s"),
        (0, 0, _) => format!("{m}m{s}s"),
        (0, _, _) => format!("{h}h{m}m"),
        _ => format!("{d}d{h}h"),
    }
}

/// A number with its thousands apart.
fn grouped(number: &str) -> String {
    if number.len() < 5 || !number.bytes().all(|b| b.is_ascii_digit()) {
        return number.to_owned();
    }
    let mut out = String::new();
    for (at, digit) in number.chars().enumerate() {
        if at > 0 && (number.len() - at).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// Class and mark of a state; the mark says it without colour.
fn look(status: &str) -> (&'static str, &'static str) {
    match status {
        "UP" | "OPEN" | "no check" => ("up", "\u{25b2}"),
        s if s.starts_with("UP") => ("warn", "\u{25bd}"),
        "DOWN" => ("down", "\u{25bc}"),
        s if s.starts_with("DOWN") => ("warn", "\u{25b3}"),
        _ => ("off", "\u{25a0}"),
    }
}

/// Whether the viewer may change state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum May {
    /// Not on this page.
    Never,
    /// Once the token was given.
    WithToken,
    /// Yes.
    Now,
}

/// How the page is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    /// Part of the names shown.
    pub scope: &'a str,
    /// Code of the last change.
    pub result: Option<&'a str>,
    /// Whether the viewer may change state.
    pub may_change: May,
}

/// The whole page.
pub(super) fn page(lb: &Balancer, options: &StatsOptions, rows: &[Row], view: &View<'_>) -> String {
    let mut out = String::with_capacity(16 << 10);
    let uptime = ago(lb.clock.now_ms() / 1000);
    let _ = write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Tocsin balancer</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <link rel=\"stylesheet\" href=\"{STYLE_PATH}\"></head><body><header>\
         <h1>Tocsin balancer {}</h1><p class=\"dim\">Statistics report for pid {}, up {uptime}, \
         {} threads, {} connections of {}, {} requests per second</p>{}</header><main>",
        env!("CARGO_PKG_VERSION"),
        std::process::id(),
        lb.workers,
        lb.clients(),
        lb.topology.load().config.global.maxconn,
        rate(rows),
        navigation(&options.uri, view.scope),
    );
    result(&mut out, view.result);
    verdict(&mut out, rows);
    if options.admin == AdminMode::Any {
        out.push_str(
            "<p class=\"verdict warn\">Everybody who reaches this page may change state \
             (stats admin mode is any).</p>",
        );
    }
    skew(&mut out, lb);
    cards(&mut out, lb, rows);
    changes(&mut out, lb, options, rows, view.may_change);
    table(&mut out, rows);
    events(&mut out, lb);
    out.push_str("</main></body></html>\n");
    out
}

/// What differs between the nodes.
fn skew(out: &mut String, lb: &Balancer) {
    for backend in &lb.topology.load().backends {
        let named = |s: &Arc<Server>| Some((s.name().to_owned(), s.node()?));
        let nodes: Vec<_> = backend.servers.iter().filter_map(named).collect();
        for text in peer::differences(&nodes) {
            let _ = write!(out, "<p class=\"verdict warn\">{}</p>", escape(&text));
        }
    }
}

/// How the last change went.
fn result(out: &mut String, code: Option<&str>) {
    let (class, text) = match code {
        None => return,
        Some("DONE") => ("up", "The change was made."),
        Some("PART") => ("warn", "The change was made on some of the servers only."),
        Some("NONE") => ("off", "Nothing was changed."),
        Some("DENY") => {
            ("down", "The change was refused: no right to it, or the last usable server.")
        }
        Some("ERRP") => ("down", "The change was not understood."),
        Some("EXCD") => ("down", "The form was too large."),
        Some(_) => ("warn", "The change ended in an unknown way."),
    };
    let _ = write!(out, "<p class=\"verdict {class}\" role=\"status\">{text}</p>");
}

/// Forms that change state, or the one that asks for the token.
fn changes(out: &mut String, lb: &Balancer, options: &StatsOptions, rows: &[Row], may: May) {
    let uri = escape(&options.uri);
    match may {
        May::Never => return,
        May::WithToken => {
            let _ = write!(
                out,
                "<h2>Changes</h2><form method=\"post\" action=\"{uri}\"><label>Admin token \
                 <input name=\"token\" type=\"password\" autocomplete=\"off\"></label> \
                 <button>Sign in</button></form>"
            );
            return;
        }
        May::Now => {}
    }
    out.push_str("<h2>Changes</h2>");
    for backend in rows.iter().filter(|r| r.kind == Kind::Backend) {
        let name = escape(backend.get("pxname"));
        let key = escape(lb.admin.key());
        let _ = write!(
            out,
            "<form method=\"post\" action=\"{uri}\"><fieldset><legend>Servers of {name}</legend>\
             <input type=\"hidden\" name=\"b\" value=\"{name}\"><input type=\"hidden\" name=\"key\" \
             value=\"{key}\">"
        );
        for row in rows.iter().filter(|r| r.kind == Kind::Server && r.proxy == backend.proxy) {
            let server = escape(row.get("svname"));
            let _ = write!(
                out,
                "<label><input type=\"checkbox\" name=\"s\" value=\"{server}\"> {server}</label> "
            );
        }
        out.push_str("<br><label>Action <select name=\"action\"><option value=\"\"></option>");
        for (action, text) in ACTIONS {
            let _ = write!(out, "<option value=\"{action}\">{text}</option>");
        }
        out.push_str(
            "</select></label> <label><input type=\"checkbox\" name=\"force\" value=\"1\"> also the \
             last usable server</label> <button>Apply</button></fieldset></form>",
        );
    }
}

/// Actions of the form, as HAProxy names them.
const ACTIONS: [(&str, &str); 9] = [
    ("ready", "Set state to READY"),
    ("drain", "Set state to DRAIN"),
    ("maint", "Set state to MAINT"),
    ("dhlth", "Health: disable checks"),
    ("ehlth", "Health: enable checks"),
    ("hrunn", "Health: force UP"),
    ("hnolb", "Health: force NOLB"),
    ("hdown", "Health: force DOWN"),
    ("shutdown", "Kill sessions"),
];

fn rate(rows: &[Row]) -> u64 {
    rows.iter()
        .filter(|r| r.kind == Kind::Frontend && r.get("pxname") != "stats")
        .filter_map(|r| r.get("req_rate").parse::<u64>().ok())
        .sum()
}

fn navigation(uri: &str, scope: &str) -> String {
    let uri = escape(uri);
    format!(
        "<nav aria-label=\"Views\"><ul><li><a href=\"{uri}\">Refresh now</a></li>\
         <li><a href=\"{uri};up\">Hide servers that are down</a></li>\
         <li><a href=\"{uri};norefresh\">Do not refresh</a></li>\
         <li><a href=\"{uri};csv;norefresh\">CSV</a></li><li><a href=\"/metrics\">Metrics</a></li>\
         </ul><form method=\"get\" action=\"{uri}\"><label>Name contains \
         <input name=\"scope\" value=\"{}\" size=\"12\"></label> <button>Show</button></form></nav>",
        escape(scope)
    )
}

fn verdict(out: &mut String, rows: &[Row]) {
    let servers: Vec<_> = rows.iter().filter(|r| r.kind == Kind::Server).collect();
    let up = servers.iter().filter(|r| matches!(look(r.get("status")).0, "up")).count();
    let dead = rows.iter().any(|r| r.kind == Kind::Backend && r.get("status") == "DOWN");
    let bad: Vec<_> = servers.iter().filter(|r| look(r.get("status")).0 != "up").collect();
    let (class, text) = if dead {
        ("down", format!("No node takes requests: {up} of {} up", servers.len()))
    } else if let Some(first) = bad.first() {
        let since = first.get("lastchg").parse().map(ago).unwrap_or_default();
        let name = first.get("svname");
        let status = first.get("status");
        ("warn", format!("{up} of {} nodes up: {name} is {status} for {since}", servers.len()))
    } else {
        ("up", format!("{up} of {} nodes up", servers.len()))
    };
    let _ = write!(out, "<p class=\"verdict {class}\" role=\"status\">{}</p>", escape(&text));
}

fn cards(out: &mut String, lb: &Balancer, rows: &[Row]) {
    for backend in rows.iter().filter(|r| r.kind == Kind::Backend) {
        let name = backend.get("pxname");
        let _ = write!(out, "<h2>{}</h2><ul class=\"cards\">", escape(name));
        let mine = rows.iter().filter(|r| r.kind == Kind::Server && r.proxy == backend.proxy);
        for row in mine {
            let server = lb.server(&format!("{name}/{}", row.get("svname"))).ok();
            card(out, row, backend, server.map(|(_, s)| s.series()).as_ref());
        }
        out.push_str("</ul>");
        let share = |code: &'static str| {
            (code, backend.get(&format!("hrsp_{code}")).parse::<u64>().unwrap_or(0))
        };
        let parts = ["1xx", "2xx", "3xx", "4xx", "5xx", "other"].map(share);
        out.push_str(&chart::bar("Answers", &parts));
    }
}

fn card(out: &mut String, row: &Row, backend: &Row, series: Option<&Series>) {
    let (class, mark) = look(row.get("status"));
    let number = |row: &Row, name: &str| row.get(name).parse::<u64>().unwrap_or(0);
    let share = number(row, "lbtot") * 100 / number(backend, "lbtot").max(1);
    let check = match row.get("check_code") {
        "" => format!("{} in {}ms", row.get("check_status"), row.get("check_duration")),
        code => format!("{}/{code} in {}ms", row.get("check_status"), row.get("check_duration")),
    };
    let cluster = match (row.get("tocsin_live"), row.get("tocsin_known")) {
        ("", _) => "unknown".to_owned(),
        (live, known) => {
            let ready = if row.get("tocsin_ready") == "1" { "ready" } else { "not ready" };
            format!("{live} of {known} live, {ready}")
        }
    };
    let facts = [
        ("Address", row.get("addr").to_owned()),
        ("Last check", check),
        ("Why", row.get("last_chk").to_owned()),
        ("Failed checks", row.get("chkfail").to_owned()),
        ("Cluster", cluster),
        ("Requests", format!("{} ({share} %)", grouped(row.get("stot")))),
        ("Rate", format!("{}/s", row.get("rate"))),
        ("Mean time", format!("{} ms", row.get("ttime"))),
        ("Weight", row.get("weight").to_owned()),
    ];
    let since = ago(number(row, "lastchg"));
    let _ = write!(
        out,
        "<li class=\"card {class}\"><h3>{}</h3><div class=\"state {class}\"><span aria-hidden=\"true\">\
         {mark}</span> {} <span class=\"dim\">for {since}</span></div><dl>",
        escape(row.get("svname")),
        escape(row.get("status")),
    );
    for (name, value) in facts.iter().filter(|(_, v)| !v.is_empty()) {
        let _ = write!(out, "<dt>{name}</dt><dd>{}</dd>", escape(value));
    }
    out.push_str("</dl>");
    if let Some(series) = series {
        charts(out, series);
    }
    out.push_str("</li>");
}

/// The last hour of a server.
fn charts(out: &mut String, series: &Series) {
    let per_second = |n: u64| format!("{}.{}/s", n / 10, n % 10);
    let ms = |us: u64| format!("{}.{} ms", us / 1000, us / 100 % 10);
    let points = || series.points();
    out.push_str("<div class=\"charts\">");
    out.push_str(&chart::lines("Requests", points(), &[("good", |p| p.requests)], per_second));
    out.push_str(&chart::lines("Errors", points(), &[("bad", |p| p.errors)], per_second));
    let times: [chart::Line; 2] = [("good", |p| p.p50_us), ("slow", |p| p.p99_us)];
    out.push_str(&chart::lines("Time p50 / p99", points(), &times, ms));
    out.push_str("</div>");
}

fn table(out: &mut String, rows: &[Row]) {
    out.push_str("<h2>All counters</h2><div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"All counters\"><table><thead><tr><th rowspan=\"2\" scope=\"col\">Name</th>");
    let mut at = 0;
    while at < COLUMNS.len() {
        let group = COLUMNS[at].0;
        let span = COLUMNS[at..].iter().take_while(|c| c.0 == group).count();
        let _ = write!(out, "<th colspan=\"{span}\" scope=\"colgroup\">{group}</th>");
        at += span;
    }
    out.push_str("</tr><tr>");
    for (_, heading, field, meaning) in COLUMNS {
        let _ = write!(out, "<th scope=\"col\" title=\"{field}: {meaning}\">{heading}</th>");
    }
    out.push_str("</tr></thead><tbody>");
    for row in rows {
        let class = if row.kind == Kind::Server { "" } else { "sum" };
        let name = match row.kind {
            Kind::Server => row.get("svname").to_owned(),
            _ => format!("{} {}", row.get("pxname"), row.get("svname").to_lowercase()),
        };
        let _ = write!(out, "<tr class=\"{class}\"><th scope=\"row\">{}</th>", escape(&name));
        for (_, _, field, _) in COLUMNS {
            let _ = write!(out, "<td>{}</td>", cell(row, field));
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>");
}

fn cell(row: &Row, field: &str) -> String {
    let value = row.get(field);
    let time = || value.parse().map(ago).unwrap_or_default();
    match field {
        "lastsess" | "downtime" => time(),
        "status" => {
            let (class, _) = look(value);
            let since = row.get("lastchg").parse().map(ago).unwrap_or_default();
            format!("<span class=\"{class}\">{since} {}</span>", escape(value))
        }
        "check_status" if !value.is_empty() => {
            let code = row.get("check_code");
            let slash = if code.is_empty() { "" } else { "/" };
            let text = format!("{value}{slash}{code} in {}ms", row.get("check_duration"));
            format!("<span title=\"{}\">{}</span>", escape(row.get("last_chk")), escape(&text))
        }
        "stot" => format!("<span title=\"{}\">{}</span>", answers(row), grouped(value)),
        _ => grouped(&escape(value)),
    }
}

/// The split of the answers, shown on hovering.
fn answers(row: &Row) -> String {
    let names = ["1xx", "2xx", "3xx", "4xx", "5xx", "other"];
    let parts = names.map(|n| format!("{n} {}", row.get(&format!("hrsp_{n}"))));
    let connections = format!("new {}, reused {}", row.get("connect"), row.get("reuse"));
    format!("{}, {connections}", parts.join(", "))
}

fn events(out: &mut String, lb: &Balancer) {
    let events = lb.events();
    if events.is_empty() {
        return;
    }
    out.push_str("<h2>What happened</h2><ol class=\"events\">");
    for event in events.iter().take(EVENTS) {
        let _ = write!(
            out,
            "<li><time datetime=\"{}\">{}</time> <span class=\"dim\">{}</span> {}</li>",
            event.at,
            event.at.strftime("%Y-%m-%d %H:%M:%S UTC"),
            escape(&event.who),
            escape(&event.text),
        );
    }
    out.push_str("</ol>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_numbers_are_readable() {
        let shown = [5, 65, 3725, 90000].map(ago);
        assert_eq!(shown, ["5s", "1m5s", "1h2m", "1d1h"]);
        assert_eq!(grouped("1234567"), "1\u{202f}234\u{202f}567");
        assert_eq!(grouped("1234"), "1234");
    }

    #[test]
    fn hostile_names_do_not_become_markup() {
        assert_eq!(
            escape("<a href='x' y=\"z\">&"),
            "&lt;a href=&#39;x&#39; y=&quot;z&quot;&gt;&amp;"
        );
        let nav = navigation("/stats", "\"><script>");
        assert!(!nav.contains("<script>"), "{nav}");
    }
}
