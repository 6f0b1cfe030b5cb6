//! The rows of the statistics: HAProxy's 104 fields by position, for CSV, JSON and the table of the page.

use crate::backend::{Backend, Server, Snapshot};
use crate::balancer::{Balancer, Frontend, Topology};
use crate::config::ObserveMode;
use crate::stats::{Counters, Times, Totals};

/// HAProxy 2.6's fields; their positions are a contract.
pub(crate) const FIELDS: &str = "pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,\
wretr,wredis,status,weight,act,bck,chkfail,chkdown,lastchg,downtime,qlimit,pid,iid,sid,throttle,lbtot,\
tracked,type,rate,rate_lim,rate_max,check_status,check_code,check_duration,hrsp_1xx,hrsp_2xx,hrsp_3xx,\
hrsp_4xx,hrsp_5xx,hrsp_other,hanafail,req_rate,req_rate_max,req_tot,cli_abrt,srv_abrt,comp_in,comp_out,\
comp_byp,comp_rsp,lastsess,last_chk,last_agt,qtime,ctime,rtime,ttime,agent_status,agent_code,\
agent_duration,check_desc,agent_desc,check_rise,check_fall,check_health,agent_rise,agent_fall,\
agent_health,addr,cookie,mode,algo,conn_rate,conn_rate_max,conn_tot,intercepted,dcon,dses,wrew,connect,\
reuse,cache_lookups,cache_hits,srv_icur,src_ilim,qtime_max,ctime_max,rtime_max,ttime_max,eint,\
idle_conn_cur,safe_conn_cur,used_conn_cur,need_conn_est,uweight,agg_server_status,\
agg_server_check_status,agg_check_status,-,tocsin_live,tocsin_known,tocsin_ready";

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A frontend.
    Frontend = 0,
    /// A backend as a whole.
    Backend = 1,
    /// One server.
    Server = 2,
}

/// One row; what does not apply is empty.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// What it is about.
    pub kind: Kind,
    /// Number of its proxy.
    pub proxy: u32,
    /// Number of the server, else 0.
    pub server: u32,
    /// Values by position.
    pub values: Vec<String>,
}

/// Position of a field.
fn position(name: &str) -> Option<usize> {
    FIELDS.split(',').position(|f| f == name)
}

impl Row {
    fn new(kind: Kind, proxy: u32, server: u32) -> Self {
        let values = FIELDS.split(',').map(|_| String::new()).collect();
        let mut row = Row { kind, proxy, server, values };
        row.set("pid", 1);
        row.set("iid", proxy);
        row.set("sid", server);
        row.set("type", kind as u8);
        row.set("mode", "http");
        row.set("-", "-");
        row
    }

    fn set(&mut self, name: &str, value: impl ToString) {
        if let Some(position) = position(name) {
            self.values[position] = value.to_string();
        }
    }

    fn set_all<V: ToString>(&mut self, values: impl IntoIterator<Item = (&'static str, V)>) {
        for (name, value) in values {
            self.set(name, value);
        }
    }

    /// Value of a field.
    pub(crate) fn get(&self, name: &str) -> &str {
        position(name).map_or("", |p| &self.values[p])
    }
}

/// What every kind of row has.
fn common(row: &mut Row, counters: &Counters, totals: &Totals) {
    row.set_all([
        ("scur", counters.current()),
        ("smax", counters.most()),
        ("stot", totals.total),
        ("bin", totals.bytes_in),
        ("bout", totals.bytes_out),
        ("dresp", totals.denied_responses),
        ("rate", counters.meters().sessions.rate),
        ("rate_max", counters.meters().sessions.max),
        ("hrsp_1xx", totals.answers_1xx),
        ("hrsp_2xx", totals.answers_2xx),
        ("hrsp_3xx", totals.answers_3xx),
        ("hrsp_4xx", totals.answers_4xx),
        ("hrsp_5xx", totals.answers_5xx),
        ("hrsp_other", totals.answers_other),
        ("wrew", 0),
        ("eint", totals.internal_errors),
    ]);
}

/// What rows of backends and servers have.
fn towards(row: &mut Row, counters: &Counters, totals: &Totals, now_ms: u64) {
    let (mean, max) = counters.mean_and_max();
    let ms =
        |times: Times| [times.queue, times.connect, times.response, times.total].map(|t| t / 1000);
    let names = ["qtime", "ctime", "rtime", "ttime"];
    row.set_all(names.into_iter().zip(ms(mean)));
    let names = ["qtime_max", "ctime_max", "rtime_max", "ttime_max"];
    row.set_all(names.into_iter().zip(ms(max)));
    row.set_all([
        ("econ", totals.connection_errors),
        ("eresp", totals.response_errors),
        ("wretr", totals.retries),
        ("wredis", totals.redispatches),
        ("lbtot", totals.chosen),
        ("req_tot", totals.requests),
        ("cli_abrt", totals.client_aborts),
        ("srv_abrt", totals.server_aborts),
        ("connect", totals.connects),
        ("reuse", totals.reuses),
    ]);
    match counters.last_ms() {
        Some(last) => row.set("lastsess", now_ms.saturating_sub(last) / 1000),
        None => row.set("lastsess", "-1"),
    }
}

fn compression(row: &mut Row) {
    let zero = ["comp_in", "comp_out", "comp_byp", "comp_rsp", "cache_lookups", "cache_hits"];
    row.set_all(zero.map(|name| (name, 0)));
}

fn frontend(frontend: &Frontend) -> Row {
    let (counters, totals) = (&frontend.counters, frontend.counters.totals());
    let mut row = front(frontend.id, &frontend.options.name, counters, &totals);
    row.set("slim", frontend.maxconn());
    if frontend.is_stopped() {
        row.set("status", "STOP");
    } else if frontend.is_paused() {
        row.set("status", "PAUSED");
    }
    row
}

fn front(id: u32, name: &str, counters: &Counters, totals: &Totals) -> Row {
    let mut row = Row::new(Kind::Frontend, id, 0);
    row.set("pxname", name);
    row.set("svname", "FRONTEND");
    row.set("status", "OPEN");
    common(&mut row, counters, totals);
    compression(&mut row);
    let meters = counters.meters();
    row.set_all([
        ("dreq", totals.denied_requests),
        ("ereq", totals.request_errors),
        ("rate_lim", 0),
        ("req_rate", meters.requests.rate),
        ("req_rate_max", meters.requests.max),
        ("req_tot", totals.requests),
        ("conn_rate", meters.sessions.rate),
        ("conn_rate_max", meters.sessions.max),
        ("conn_tot", totals.total),
        ("intercepted", totals.intercepted),
        ("dcon", 0),
        ("dses", 0),
    ]);
    row
}

fn server(backend: &Backend, server: &Server, legends: bool, now_ms: u64) -> Row {
    let totals = server.counters.totals();
    let now = server.snapshot(now_ms);
    let mut row = Row::new(Kind::Server, backend.id, server.id);
    row.set("pxname", &backend.options.name);
    row.set("svname", server.name());
    common(&mut row, &server.counters, &totals);
    towards(&mut row, &server.counters, &totals, now_ms);
    // What the server answered itself.
    let answered = [
        totals.answers_1xx,
        totals.answers_2xx,
        totals.answers_3xx,
        totals.answers_4xx,
        totals.answers_5xx,
        totals.answers_other,
    ];
    row.set("req_tot", answered.iter().sum::<u64>());
    let limit = |n: u32| if n == 0 { String::new() } else { n.to_string() };
    row.set("slim", limit(server.maxconn()));
    row.set("qlimit", limit(server.options.maxqueue));
    let backup = u64::from(server.options.backup);
    row.set_all([
        ("qcur", u64::from(server.queue.len())),
        ("qmax", u64::from(server.queue.most())),
        ("weight", u64::from(server.weight())),
        ("act", 1 - backup),
        ("bck", backup),
        ("downtime", now.downtime_s),
        ("lastchg", now.since_change_s),
        ("srv_icur", u64::from(server.idle().load(std::sync::atomic::Ordering::Relaxed))),
        ("idle_conn_cur", 0),
        ("safe_conn_cur", u64::from(server.idle().load(std::sync::atomic::Ordering::Relaxed))),
        ("used_conn_cur", u64::from(server.active())),
        ("need_conn_est", u64::from(server.active())),
        ("uweight", u64::from(server.weight())),
    ]);
    if backend.options.observe.mode != ObserveMode::None {
        row.set("hanafail", totals.observed_failures);
    }
    row.set("status", &now.status);
    row.set("throttle", now.throttle.map(|t| t.to_string()).unwrap_or_default());
    checks(&mut row, &now);
    if legends {
        let target = server.target();
        row.set("addr", target.address.map_or_else(|| target.text.clone(), |a| a.to_string()));
    }
    if let Some(cluster) = now.cluster {
        row.set_all([("tocsin_live", cluster.live), ("tocsin_known", cluster.known)]);
        row.set("tocsin_ready", u8::from(cluster.ready));
    }
    row
}

fn checks(row: &mut Row, now: &Snapshot) {
    if !now.checked {
        return;
    }
    let (rise, fall) = now.health.thresholds();
    let running = if now.running { "* " } else { "" };
    row.set("check_status", format!("{running}{}", now.result.status.code()));
    row.set("check_code", now.result.http.map(|c| c.to_string()).unwrap_or_default());
    row.set("check_desc", now.result.status.description());
    row.set("last_chk", &now.result.info);
    row.set_all([
        ("check_duration", now.result.duration_ms),
        ("chkfail", now.failed_checks),
        ("chkdown", now.downs),
        ("check_rise", u64::from(rise)),
        ("check_fall", u64::from(fall)),
        ("check_health", u64::from(now.health.value())),
    ]);
}

fn backend(topology: &Topology, backend: &Backend, legends: bool, now_ms: u64) -> Row {
    let totals = backend.counters.totals();
    let pool = backend.snapshot(now_ms);
    let mut row = Row::new(Kind::Backend, backend.id, 0);
    row.set("pxname", &backend.options.name);
    row.set("svname", "BACKEND");
    row.set("status", if pool.up { "UP" } else { "DOWN" });
    common(&mut row, &backend.counters, &totals);
    compression(&mut row);
    towards(&mut row, &backend.counters, &totals, now_ms);
    let leading = topology.frontends.iter().filter(|f| f.backend.id == backend.id);
    let conns: u32 = leading.map(|f| f.maxconn()).sum();
    row.set_all([
        ("slim", u64::from(conns.div_ceil(10))),
        ("qcur", u64::from(backend.queue.len())),
        ("qmax", u64::from(backend.queue.most())),
        ("dreq", totals.denied_requests),
        ("weight", u64::from(pool.weight)),
        ("act", u64::from(pool.active)),
        ("bck", u64::from(pool.backup)),
        ("chkdown", pool.downs),
        ("lastchg", pool.since_change_s),
        ("downtime", pool.downtime_s),
        ("uweight", u64::from(pool.weight)),
        ("agg_server_status", 0),
        ("agg_server_check_status", 0),
        ("agg_check_status", 0),
    ]);
    if legends {
        row.set("algo", backend.options.balance.name());
    }
    row
}

/// All rows in configured order: frontends, each backend's servers and the backend, the stats listener.
pub(crate) fn all(lb: &Balancer, legends: bool) -> Vec<Row> {
    let topology = lb.topology.load_full();
    let now_ms = lb.clock.now_ms();
    let mut rows: Vec<_> = topology.frontends.iter().map(|f| frontend(f)).collect();
    for pool in &topology.backends {
        rows.extend(pool.servers.iter().map(|s| server(pool, s, legends, now_ms)));
        rows.push(backend(&topology, pool, legends, now_ms));
    }
    if let Some(stats) = &topology.config.stats {
        let totals = lb.stats.totals();
        let mut row = front(topology.stats_id, "stats", &lb.stats, &totals);
        row.set("slim", stats.maxconn);
        rows.push(row);
    }
    rows
}

/// The rows as CSV, header first; each line ends with a comma as HAProxy's do.
pub(crate) fn csv(rows: &[Row]) -> String {
    let mut out = format!("# {FIELDS},\n");
    for row in rows {
        for value in &row.values {
            if value.contains([',', '"', '\n']) {
                out.push('"');
                out.push_str(&value.replace('"', "\"\""));
                out.push('"');
            } else {
                out.push_str(value);
            }
            out.push(',');
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_where_haproxy_has_them() {
        let expected = [
            ("status", 17),
            ("lastchg", 23),
            ("type", 32),
            ("check_status", 36),
            ("hrsp_1xx", 39),
            ("req_tot", 48),
            ("last_chk", 56),
            ("check_desc", 65),
            ("addr", 73),
            ("algo", 76),
            ("intercepted", 80),
            ("srv_icur", 88),
            ("eint", 94),
            ("uweight", 99),
            ("-", 103),
        ];
        for (name, place) in expected {
            assert_eq!(position(name), Some(place), "{name}");
        }
    }

    #[test]
    fn text_with_commas_is_quoted() {
        let mut row = Row::new(Kind::Server, 3, 1);
        row.set("last_chk", "a,\"b\"");
        let text = csv(&[row]);
        assert!(text.contains(",\"a,\"\"b\"\"\","), "{text}");
        let columns = FIELDS.split(',').count();
        assert_eq!(text.lines().next().unwrap().matches(',').count(), columns);
    }
}
