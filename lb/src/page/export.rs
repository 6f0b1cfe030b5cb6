//! The rows for programs: HAProxy's JSON and typed layouts.

use std::fmt::Write;

use super::rows::{FIELDS, Kind, Row};
use crate::access::json_text;

/// Origin, nature, scope and type of HAProxy's fields; all others are counters.
const TAGS: &str = "pxname:KNS:str,svname:KNS:str,qcur:MGP:u32,qmax:MMP:u32,scur:MGP:u32,smax:MMP:u32,\
slim:CLP:u32,status:SGP:str,weight:MaP:u32,act:SGP:u32,bck:SGP:u32,lastchg:MAP:u32,downtime:MCP:u32,\
qlimit:CLS:u32,pid:KGP:u32,iid:KGS:u32,sid:KGS:u32,throttle:MaP:u32,type:CGS:u32,rate:MRP:u32,\
rate_lim:CLP:u32,rate_max:MMP:u32,check_status:MOP:str,check_code:MOP:u32,check_duration:MDP:u64,\
req_rate:MRP:u32,req_rate_max:MMP:u32,lastsess:MAP:s32,last_chk:MOP:str,qtime:MaP:u32,ctime:MaP:u32,\
rtime:MaP:u32,ttime:MaP:u32,check_desc:MOP:str,check_rise:CGS:u32,check_fall:CGS:u32,\
check_health:CGS:u32,addr:CGS:str,mode:CGS:str,algo:CGS:str,conn_rate:MRP:u32,conn_rate_max:MMP:u32,\
srv_icur:MGP:u32,qtime_max:MMP:u32,ctime_max:MMP:u32,rtime_max:MMP:u32,ttime_max:MMP:u32,\
idle_conn_cur:MGP:u32,safe_conn_cur:MGP:u32,used_conn_cur:MGP:u32,need_conn_est:MGP:u32,\
uweight:MaP:u32,agg_server_status:MGP:u32,agg_server_check_status:MGP:u32,agg_check_status:MGP:u32,\
tocsin_live:MGP:u32,tocsin_known:MGP:u32,tocsin_ready:MGP:u32";

/// Tags and type of a field.
fn tags(field: &str) -> (&'static str, &'static str) {
    let mut entries = TAGS.split(',').filter_map(|entry| {
        let mut parts = entry.split(':');
        Some((parts.next()?, parts.next()?, parts.next()?))
    });
    entries.find(|(name, ..)| *name == field).map_or(("MCP", "u64"), |(_, tags, kind)| (tags, kind))
}

/// Fields of a row that apply, with their positions.
fn fields(row: &Row) -> impl Iterator<Item = (usize, &'static str, &String)> {
    let all = FIELDS.split(',').zip(&row.values).enumerate();
    all.filter(|(_, (name, value))| !value.is_empty() && *name != "-").map(|(p, (n, v))| (p, n, v))
}

/// `T.proxy.id.position.name.process:tags:type:value`, a line a field, an empty line after each row.
pub(crate) fn typed(rows: &[Row]) -> String {
    let mut out = String::new();
    for row in rows {
        let letter = match row.kind {
            Kind::Frontend => 'F',
            Kind::Backend => 'B',
            Kind::Server => 'S',
        };
        for (position, name, value) in fields(row) {
            let (tags, kind) = tags(name);
            let (proxy, id) = (row.proxy, row.server);
            let _ =
                writeln!(out, "{letter}.{proxy}.{id}.{position}.{name}.1:{tags}:{kind}:{value}");
        }
        out.push('\n');
    }
    out
}

/// A list of rows, each a list of HAProxy's field objects.
pub(crate) fn json(rows: &[Row]) -> String {
    let rows: Vec<_> = rows.iter().map(row).collect();
    format!("[{}]", rows.join(","))
}

fn row(row: &Row) -> String {
    let kind = match row.kind {
        Kind::Frontend => "Frontend",
        Kind::Backend => "Backend",
        Kind::Server => "Server",
    };
    let object = |(position, name, value): (usize, &str, &String)| {
        let (tags, kind_of_value) = tags(name);
        let mut text = Vec::new();
        match kind_of_value {
            "str" => json_text(&mut text, value.as_bytes()),
            _ => text.extend_from_slice(value.as_bytes()),
        }
        format!(
            "{{\"objType\":\"{kind}\",\"proxyId\":{},\"id\":{},\"field\":{{\"pos\":{position},\
             \"name\":\"{name}\"}},\"processNum\":1,\"tags\":{{{}}},\"value\":{{\"type\":\
             \"{kind_of_value}\",\"value\":{}}}}}",
            row.proxy,
            row.server,
            words(tags),
            String::from_utf8_lossy(&text)
        )
    };
    let objects: Vec<_> = fields(row).map(object).collect();
    format!("[{}]", objects.join(","))
}

/// Tags in words.
fn words(tags: &str) -> String {
    let mut letters = tags.chars();
    let mut next = || letters.next().unwrap_or(' ');
    let origin = match next() {
        'M' => "Metric",
        'S' => "Status",
        'K' => "Key",
        'C' => "Config",
        _ => "Product",
    };
    let nature = match next() {
        'C' => "Counter",
        'G' => "Gauge",
        'L' => "Limit",
        'M' => "Max",
        'R' => "Rate",
        'A' => "Age",
        'D' => "Duration",
        'N' => "Name",
        'O' => "Output",
        _ => "Avg",
    };
    let scope = if next() == 'S' { "Service" } else { "Process" };
    format!("\"origin\":\"{origin}\",\"nature\":\"{nature}\",\"scope\":\"{scope}\"")
}
