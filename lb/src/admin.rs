//! The admin socket: HAProxy's commands on a unix stream, one line of commands an answer. An empty answer means success.

mod info;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use crate::LbError;
use crate::backend::Admin;
use crate::balancer::Balancer;
use crate::config::{AdminSocket, Level};
use crate::control::Refused;
use crate::page::{all_rows, csv, json, typed};
use crate::privileges;
use crate::watch::Fired;

/// Longest line of commands.
const LINE_MAX: u64 = 16 << 10;

/// Binds the socket under a temporary name and moves it into place, so that there is no gap and no moment with other permissions.
/// # Errors
/// Why it cannot be had.
pub(crate) fn bind(options: &AdminSocket) -> Result<std::os::unix::net::UnixListener, LbError> {
    let file = |source| LbError::File { path: options.path.clone(), source };
    let temporary = options.path.with_extension(format!("{}.tmp", std::process::id()));
    let _ = std::fs::remove_file(&temporary);
    let listener = std::os::unix::net::UnixListener::bind(&temporary).map_err(file)?;
    let mode = std::fs::Permissions::from_mode(options.mode);
    let given = options.owner.as_deref().map_or(Ok(()), |o| privileges::give(&temporary, o));
    let placed = given
        .and_then(|()| std::fs::set_permissions(&temporary, mode))
        .and_then(|()| std::fs::rename(&temporary, &options.path))
        .and_then(|()| listener.set_nonblocking(true));
    placed.map_err(|source| {
        let _ = std::fs::remove_file(&temporary);
        file(source)
    })?;
    Ok(listener)
}

/// Serves on a socket from now on, and no more on the one before. Whoever is connected stays so.
pub(crate) fn serve_on(
    lb: &Arc<Balancer>,
    listener: std::os::unix::net::UnixListener,
    options: AdminSocket,
) {
    let task = tokio::spawn(listen(lb.clone(), listener, options)).abort_handle();
    let before = lock(lb).replace(task);
    before.iter().for_each(tokio::task::AbortHandle::abort);
}

/// Serves on no socket any more.
pub(crate) fn stop(lb: &Balancer) {
    lock(lb).take().iter().for_each(tokio::task::AbortHandle::abort);
}

fn lock(lb: &Balancer) -> std::sync::MutexGuard<'_, Option<tokio::task::AbortHandle>> {
    lb.admin_listens.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Serves the socket until the balancer ends.
async fn listen(
    lb: Arc<Balancer>,
    listener: std::os::unix::net::UnixListener,
    options: AdminSocket,
) {
    let Ok(listener) = UnixListener::from_std(listener) else {
        tracing::error!("admin socket cannot be watched");
        return;
    };
    let slots = Arc::new(tokio::sync::Semaphore::new(options.maxconn.max(1)));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (lb, options) = (lb.clone(), options.clone());
        tokio::spawn(async move {
            let _slot = slot;
            let _ = serve(&lb, stream, &options).await;
        });
    }
}

/// Removes the socket's file.
pub(crate) fn unlink(path: &Path) {
    let _ = std::fs::remove_file(path);
}

/// What is remembered of a client.
struct Session {
    level: Level,
    prompt: bool,
    over: bool,
    timeout: std::time::Duration,
    who: String,
}

async fn serve(
    lb: &Arc<Balancer>,
    stream: UnixStream,
    options: &AdminSocket,
) -> std::io::Result<()> {
    let who = match stream.peer_cred() {
        Ok(peer) => format!("socket uid {}", peer.uid()),
        Err(_) => "socket".to_owned(),
    };
    let mut session =
        Session { level: options.level, prompt: false, over: false, timeout: options.timeout, who };
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        let mut limited = (&mut stream).take(LINE_MAX);
        let read = tokio::time::timeout(session.timeout, limited.read_until(b'\n', &mut line));
        match read.await {
            Ok(Ok(n)) if n > 0 => {}
            _ => return Ok(()),
        }
        let line = String::from_utf8_lossy(&line);
        let mut answer = String::new();
        for command in split(line.trim_end_matches(['\n', '\r']), ';') {
            let words: Vec<_> =
                split(command.trim(), ' ').into_iter().filter(|w| !w.is_empty()).collect();
            if words.is_empty() && !session.prompt {
                continue;
            }
            let text = match words.first().map(String::as_str) {
                Some("upgrade") => upgrade(lb, &session).await,
                _ => execute(lb, &mut session, &words),
            };
            answer.push_str(&text);
            if !text.is_empty() && !text.ends_with('\n') {
                answer.push('\n');
            }
            answer.push('\n');
        }
        if session.prompt && !session.over {
            answer.push_str("> ");
        }
        stream.write_all(answer.as_bytes()).await?;
        if !session.prompt || session.over {
            return stream.shutdown().await;
        }
    }
}

/// Splits at `separator`, but not where it is escaped by a backslash.
fn split(text: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        let last = parts.len() - 1;
        match c {
            '\\' if !escaped => escaped = true,
            c if c == separator && !escaped => parts.push(String::new()),
            c => {
                // What is no separator here keeps its backslash for the next split.
                if escaped && c != separator {
                    parts[last].push('\\');
                }
                parts[last].push(c);
                escaped = false;
            }
        }
    }
    parts
}

const HELP: &str = "The following commands are valid at this level:
  add server <bk>/<srv> <addr> [opts]*    : create a new server
  clear counters [all]                    : clear max statistics counters (or all counters)
  del server <bk>/<srv>                   : remove a server
  disable frontend <frontend>             : temporarily disable specific frontend
  disable health <bk>/<srv>               : disable health checks
  disable server <bk>/<srv>               : disable a server for maintenance
  enable frontend <frontend>              : re-enable specific frontend
  enable health <bk>/<srv>                : enable health checks
  enable server <bk>/<srv>                : enable a disabled server
  get weight <bk>/<srv>                   : report a server's current weight
  operator                                : lower the level of the current session to operator
  reload                                  : read the configuration again
  set maxconn frontend <frontend> <value> : change a frontend's maxconn setting
  set maxconn global <value>              : change the per-process maxconn setting
  set maxconn server <bk>/<srv> <value>   : change a server's maxconn setting
  set rate-limit connections global <n>   : change the rate of connections a second
  set server <bk>/<srv> [opts]            : change a server's state, weight, health or address
  set timeout cli <delay>                 : change the idle timeout of this session
  set weight <bk>/<srv> <value>           : change a server's weight
  show admin-token                        : the token that the stats page asks for
  show backend                            : list backends in the current running config
  show cli level                          : display the level of the current session
  show cli sockets                        : list admin sockets
  show config                             : the configuration in effect
  show env [var]                          : environment variables of the process
  show errors                             : report last request and response errors
  show events                             : the last changes of state
  show info [typed|json]                  : report information about the running process
  show peers                              : what the nodes say of themselves
  show schema json                        : schema of the JSON of show info and show stat
  show servers conn [<backend>]           : connections of servers
  show servers state [<backend>]          : state of servers
  show sess [id]                          : list the current sessions
  show stat [<proxy> <type> <server>] [typed|json|up|no-maint]*
  show version                            : show version of the current process
  shutdown frontend <frontend>            : stop a specific frontend
  shutdown session <id>                   : kill a specific session
  shutdown sessions server <bk>/<srv>     : kill sessions on a server
  upgrade                                 : let a new process take over
  user                                    : lower the level of the current session to user
  help                                    : this list
  prompt                                  : toggle interactive mode with prompt
  quit                                    : disconnect
";

const NOT_HERE: [&str; 13] = [
    "agent",
    "acl",
    "map",
    "table",
    "ssl",
    "cache",
    "peers",
    "pools",
    "fd",
    "profiling",
    "lua",
    "tls-keys",
    "resolvers",
];

/// Lets a new process take over.
async fn upgrade(lb: &Arc<Balancer>, session: &Session) -> String {
    if session.level < Level::Admin {
        return "Permission denied\n".to_owned();
    }
    match crate::run::hand_over(lb, &session.who).await {
        Ok(_) => String::new(),
        Err(error) => format!("{error}\n"),
    }
}

/// Shape of the JSON of `show info json` and `show stat json`.
pub(crate) const SCHEMA: &str = include_str!("admin/schema.json");

/// Carries out one command.
fn execute(lb: &Arc<Balancer>, session: &mut Session, words: &[String]) -> String {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let needs = match words.as_slice() {
        ["set", "timeout", ..] | ["get", ..] => Level::User,
        ["set" | "enable" | "disable" | "shutdown" | "add" | "del" | "reload" | "upgrade", ..] => {
            Level::Admin
        }
        ["show", "admin-token", ..] => Level::Admin,
        ["clear", ..] | ["show", "sess" | "errors" | "env" | "config", ..] => Level::Operator,
        _ => Level::User,
    };
    if session.level < needs {
        return "Permission denied\n".to_owned();
    }
    let result = match words.as_slice() {
        ["show", rest @ ..] => Ok(show(lb, session, rest)),
        ["set" | "get" | "enable" | "disable", ..] => change(lb, session, &words),
        ["shutdown", rest @ ..] => shutdown(lb, session, rest),
        ["add", "server", path, address, rest @ ..] => add(lb, session, path, address, rest),
        ["del", "server", path] => {
            lb.remove_server(path, &session.who).map(|()| "Server deleted.".to_owned())
        }
        ["clear", "counters", all @ ..] if matches!(all, [] | ["all"]) => {
            lb.clear(!all.is_empty(), &session.who);
            Ok(String::new())
        }
        ["reload"] => match crate::reload::reload(lb, &session.who) {
            Ok(()) => Ok("Success=1".to_owned()),
            Err(error) => Ok(format!("Success=0\n--\n{error}")),
        },
        [] | ["operator" | "user" | "prompt" | "quit"] => {
            match words.first() {
                Some(&"operator") => session.level = session.level.min(Level::Operator),
                Some(&"user") => session.level = Level::User,
                Some(&"prompt") => session.prompt = !session.prompt,
                Some(&"quit") => session.over = true,
                _ => {}
            }
            Ok(String::new())
        }
        ["help", ..] => Ok(HELP.to_owned()),
        [_, what, ..] if NOT_HERE.contains(what) => Ok(format!("'{what}' is not applicable here.")),
        _ => Ok(format!("Unknown command. {HELP}")),
    };
    result.unwrap_or_else(|refused| format!("{refused}\n"))
}

fn bad(text: &str) -> Refused {
    Refused::Bad(text.to_owned())
}

fn show(lb: &Balancer, session: &Session, words: &[&str]) -> String {
    match words {
        ["stat", rest @ ..] => stat(lb, rest),
        ["info", rest @ ..] => info::text(lb, rest),
        ["version"] => info::version(lb),
        ["servers", "state", rest @ ..] => info::servers_state(lb, rest.first().copied()),
        ["servers", "conn", rest @ ..] => info::servers_conn(lb, rest.first().copied()),
        ["backend"] => {
            let names = lb.topology.load();
            let names = names.backends.iter().map(|b| b.options.name.clone() + "\n");
            format!("# name\n{}", names.collect::<String>())
        }
        ["sess", rest @ ..] => info::sessions(lb, rest.first().copied()),
        ["errors", rest @ ..] => lb.errors.text(rest.first().copied(), lb.now()),
        ["config"] => lb.topology.load().config.to_yaml(),
        ["peers"] => info::peers(lb),
        ["env", rest @ ..] => info::environment(rest.first().copied()),
        ["schema", "json"] => SCHEMA.to_owned(),
        ["events"] => {
            let line = |e: &crate::balancer::Event| format!("{} {} {}\n", e.at, e.who, e.text);
            lb.events().iter().map(line).collect()
        }
        ["cli", "level"] => level_name(session.level).to_owned(),
        ["cli", "sockets"] => {
            let topology = lb.topology.load();
            let socket = topology.config.admin_socket.as_ref();
            let path = socket.map(|s| s.path.display().to_string()).unwrap_or_default();
            let level = socket.map_or("admin", |s| level_name(s.level));
            format!("# socket lvl processes\nunix@{path} {level} all\n")
        }
        ["admin-token"] => lb.admin.token().to_owned(),
        ["startup-logs"] => String::new(),
        [what, ..] if NOT_HERE.contains(what) => format!("'{what}' is not applicable here."),
        _ => format!("Unknown command. {HELP}"),
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::User => "user",
        Level::Operator => "operator",
        Level::Admin => "admin",
    }
}

fn stat(lb: &Balancer, words: &[&str]) -> String {
    let mut all = all_rows(lb, true);
    let numbers: Vec<_> = words
        .iter()
        .take(3)
        .take_while(|w| !["typed", "json", "up", "no-maint", "desc"].contains(w))
        .collect();
    if let [proxy, mask, server] = numbers.as_slice() {
        let number: i64 = proxy.parse().unwrap_or(-2);
        let mask: i64 = mask.parse().unwrap_or(-1);
        let server: i64 = server.parse().unwrap_or(-1);
        all.retain(|row| {
            let bit = [1, 2, 4][row.kind as usize];
            (number == -1 || number == i64::from(row.proxy) || row.get("pxname") == **proxy)
                && (mask == -1 || mask & bit != 0)
                && (server == -1 || server == i64::from(row.server))
        });
    }
    all.retain(|row| {
        let status = row.get("status");
        let hidden = |word: &str, state: &str| words.contains(&word) && status.starts_with(state);
        !hidden("up", "DOWN") && !hidden("no-maint", "MAINT")
    });
    if words.contains(&"typed") {
        typed(&all)
    } else if words.contains(&"json") {
        json(&all)
    } else {
        csv(&all)
    }
}

fn change(lb: &Balancer, session: &mut Session, words: &[&str]) -> Result<String, Refused> {
    let who = session.who.clone();
    let state = |word: &str| match word {
        "ready" => Ok(Admin::Ready),
        "drain" => Ok(Admin::Drain),
        "maint" => Ok(Admin::Maint),
        _ => Err(bad("'set server <srv> state' expects 'ready', 'drain' and 'maint'.")),
    };
    match words {
        ["set", "server", path, "state", word] => {
            lb.set_admin(&lb.server(path)?, state(word)?, false, &who)?;
        }
        ["enable", "server", path] => {
            lb.set_admin(&lb.server(path)?, Admin::Ready, false, &who)?;
        }
        ["disable", "server", path] => {
            lb.set_admin(&lb.server(path)?, Admin::Maint, false, &who)?;
        }
        ["set", "server", path, "weight", weight] | ["set", "weight", path, weight] => {
            lb.set_weight(&lb.server(path)?, weight, &who)?;
        }
        ["get", "weight", path] => {
            let (_, server) = lb.server(path)?;
            return Ok(format!("{} (initial {})", server.weight(), server.options.weight));
        }
        ["set", "server", path, "health", word] => {
            let place = lb.server(path)?;
            match *word {
                "up" => lb.force_health(&place, true, false, &who),
                "stopping" => lb.force_health(&place, true, true, &who),
                "down" => lb.force_health(&place, false, false, &who),
                _ => {
                    let text = "'set server <srv> health' expects 'up', 'stopping', or 'down'.";
                    return Err(bad(text));
                }
            }
        }
        ["set", "server", path, "addr", ip] => {
            return lb.set_address(&lb.server(path)?, ip, None, &who);
        }
        ["set", "server", path, "addr", ip, "port", port] => {
            return lb.set_address(&lb.server(path)?, ip, Some(port), &who);
        }
        ["set", "server", path, ..] => {
            lb.server(path)?;
            return Err(bad("usage: set server <backend>/<server> addr | health | state | weight"));
        }
        ["enable", "health", path] => lb.set_checks(&lb.server(path)?, true, &who),
        ["disable", "health", path] => lb.set_checks(&lb.server(path)?, false, &who),
        ["set", "maxconn", rest @ ..] => lb.set_maxconn(rest, &who)?,
        ["set", "rate-limit", rest @ ..] => lb.set_rate_limit(rest, &who)?,
        ["enable", "frontend", name] => {
            let front = lb.frontend(name)?;
            if front.is_stopped() {
                return Err(bad("Frontend was previously shut down, cannot enable."));
            }
            if !front.pause(false) {
                return Ok("All sockets are already enabled.".to_owned());
            }
            lb.freed.notify_waiters();
            lb.event(&who, format!("frontend {name} enabled"));
        }
        ["disable", "frontend", name] => {
            let front = lb.frontend(name)?;
            if !front.pause(true) {
                return Ok("All sockets are already disabled.".to_owned());
            }
            lb.event(&who, format!("frontend {name} disabled"));
        }
        ["set", "timeout", "cli", n] => {
            let text = if n.bytes().all(|b| b.is_ascii_digit()) {
                format!("{n}s")
            } else {
                (*n).to_owned()
            };
            let parsed = tocsin_service::duration::parse_duration(&text);
            session.timeout = parsed.map_err(|_| bad("Invalid timeout value."))?;
        }
        [_, what, ..] if NOT_HERE.contains(what) => {
            return Ok(format!("'{what}' is not applicable here."));
        }
        _ => return Ok(format!("Unknown command. {HELP}")),
    }
    Ok(String::new())
}

fn shutdown(lb: &Balancer, session: &Session, words: &[&str]) -> Result<String, Refused> {
    match words {
        ["sessions", "server", path] => lb.shutdown_sessions(&lb.server(path)?, &session.who),
        ["frontend", name] => lb.stop_frontend(name, &session.who)?,
        ["session", id] => {
            let id = id.trim_start_matches("0x");
            let id = u64::from_str_radix(id, 16).ok();
            let all = lb.registers.iter().flat_map(|r| r.all());
            let found = all.into_iter().find(|w| Some(w.about().id) == id);
            let none = || bad("No such session (use 'show sess').");
            found.ok_or_else(none)?.fire(Fired::Killed);
        }
        _ => return Ok(format!("Unknown command. {HELP}")),
    }
    Ok(String::new())
}

fn add(
    lb: &Balancer,
    session: &Session,
    path: &str,
    address: &str,
    rest: &[&str],
) -> Result<String, Refused> {
    let mut weight = 1;
    let mut check = false;
    let mut words = rest.iter();
    while let Some(word) = words.next() {
        match *word {
            "check" => check = true,
            "weight" => {
                let number = words.next().and_then(|n| n.parse().ok());
                weight = number.ok_or_else(|| bad("'weight' expects a number."))?;
            }
            other => return Err(Refused::Bad(format!("'{other}' is not supported here."))),
        }
    }
    lb.add_server(path, address, weight, check, &session.who)?;
    Ok("New server registered.".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_split_where_nothing_is_escaped() {
        assert_eq!(split("a;b\\;c;", ';'), ["a", "b;c", ""]);
        assert_eq!(split("a b\\ c", ' '), ["a", "b c"]);
        assert_eq!(split("a\\ b;c", ';'), ["a\\ b", "c"]);
    }
}
