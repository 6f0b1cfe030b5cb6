//! Where log lines end: files, standard output, syslog servers. One thread writes; what it cannot take is dropped and counted.

use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use crate::LbError;
use crate::access::push_padded;
use crate::config::{Log, LogLevel, LogPrefix, LogTo};

/// Buffers that may wait for the writer.
const WAITING: usize = 64;
/// Bytes of one message to a syslog server; longer ones are cut.
const MESSAGE_MAX: usize = 8192;

/// How bad something is, by syslog's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// Nothing is served any more.
    Emergency = 0,
    /// A server went down.
    Alert = 1,
    /// A stream went wrong, where those are told apart.
    Error = 3,
    /// A server came up, an operator did something.
    Notice = 5,
    /// A stream.
    Info = 6,
}

impl Severity {
    /// Whether a log of this level takes it.
    pub(crate) fn passes(self, level: LogLevel) -> bool {
        let most = match level {
            LogLevel::Debug | LogLevel::Info => Severity::Info,
            LogLevel::Notice => Severity::Notice,
            LogLevel::Warn | LogLevel::Error => Severity::Error,
        };
        self <= most
    }
}

/// One place where lines go, with what stands before them.
#[derive(Debug)]
pub(crate) struct Target {
    /// As configured.
    pub options: Log,
    /// What follows the date in the prefix.
    sender: String,
}

impl Target {
    fn new(options: &Log) -> Self {
        let (tag, pid) = (&options.tag, std::process::id());
        let sender = match options.prefix {
            LogPrefix::None => String::new(),
            LogPrefix::Rfc3164 => format!(" {tag}[{pid}]: "),
            LogPrefix::Rfc5424 => {
                let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
                format!("+00:00 {host} {tag} {pid} - - ")
            }
        };
        Target { options: options.clone(), sender }
    }

    /// Appends the prefix; `texts` are the date for RFC 3164, in local time, and for RFC 5424, in UTC.
    pub(crate) fn prefix(
        &self,
        severity: Severity,
        at_us: i64,
        texts: (&str, &str),
        out: &mut Vec<u8>,
    ) {
        if self.options.prefix == LogPrefix::None {
            return;
        }
        out.push(b'<');
        crate::head::push_int(out, u64::from(self.options.facility) * 8 + severity as u64);
        out.push(b'>');
        if self.options.prefix == LogPrefix::Rfc3164 {
            out.extend_from_slice(texts.0.as_bytes());
        } else {
            out.extend_from_slice(b"1 ");
            out.extend_from_slice(texts.1.as_bytes());
            out.push(b'.');
            push_padded(out, at_us.rem_euclid(1_000_000).unsigned_abs(), 6);
        }
        out.extend_from_slice(self.sender.as_bytes());
    }
}

/// All places of the log. Its thread ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Sink {
    targets: Vec<Target>,
    to_writer: SyncSender<(usize, Vec<u8>)>,
}

/// The thread that writes.
#[derive(Debug)]
pub(crate) struct Writer(JoinHandle<()>);

impl Writer {
    /// Waits until all was written.
    pub(crate) fn join(self) {
        let _ = self.0.join();
    }
}

impl Sink {
    /// Opens every place and starts the thread.
    /// # Errors
    /// As [`outlets`].
    pub(crate) fn open(logs: &[Log]) -> Result<(Self, Writer), LbError> {
        Sink::start(logs, outlets(logs)?)
    }

    /// Starts the thread, which writes to `outlets`.
    /// # Errors
    /// [`LbError::Start`] when there is no thread to be had.
    pub(crate) fn start(logs: &[Log], outlets: Vec<Outlet>) -> Result<(Self, Writer), LbError> {
        let (to_writer, lines) = sync_channel(WAITING);
        let thread = std::thread::Builder::new().name("access-log".to_owned());
        let thread = thread.spawn(|| write(lines, outlets)).map_err(LbError::Start)?;
        let targets = logs.iter().map(Target::new).collect();
        Ok((Sink { targets, to_writer }, Writer(thread)))
    }

    /// The places.
    pub(crate) fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Gives lines to the thread. Returns how many were dropped.
    pub(crate) fn write(&self, target: usize, lines: Vec<u8>) -> u64 {
        match self.to_writer.try_send((target, lines)) {
            Ok(()) => 0,
            Err(TrySendError::Full((_, lines)) | TrySendError::Disconnected((_, lines))) => {
                memchr::memchr_iter(b'\n', &lines).count() as u64
            }
        }
    }
}

fn write(lines: Receiver<(usize, Vec<u8>)>, mut outlets: Vec<Outlet>) {
    for (target, bytes) in lines {
        if let Some(outlet) = outlets.get_mut(target) {
            // Nobody is left to be told.
            let _ = outlet.write(&bytes);
        }
    }
}

/// Opens every place.
/// # Errors
/// [`LbError`] names the first place that cannot be used. A syslog daemon may be missing: it is looked for again.
pub(crate) fn outlets(logs: &[Log]) -> Result<Vec<Outlet>, LbError> {
    logs.iter().map(|log| Outlet::open(&log.to)).collect()
}

/// A place that takes bytes.
pub(crate) enum Outlet {
    Stream(Box<dyn Write + Send>),
    Udp(UdpSocket),
    Unix(PathBuf, Option<UnixDatagram>),
}

impl Outlet {
    fn open(to: &LogTo) -> Result<Self, LbError> {
        Ok(match to {
            LogTo::Stdout => Outlet::Stream(Box::new(io::stdout())),
            LogTo::Stderr => Outlet::Stream(Box::new(io::stderr())),
            LogTo::File(path) => {
                let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
                let failed = |source| LbError::File { path: path.clone(), source };
                Outlet::Stream(Box::new(file.map_err(failed)?))
            }
            LogTo::Udp(address) => {
                let failed = |source| LbError::Log { to: address.clone(), source };
                Outlet::Udp(udp(address).map_err(failed)?)
            }
            LogTo::Unix(path) => Outlet::Unix(path.clone(), unix(path).ok()),
        })
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Outlet::Stream(to) => to.write_all(lines).and_then(|()| to.flush()),
            Outlet::Udp(socket) => messages(lines).try_for_each(|m| socket.send(m).map(drop)),
            Outlet::Unix(path, socket) => {
                for message in messages(lines) {
                    let sent = socket.as_ref().is_some_and(|s| s.send(message).is_ok());
                    if !sent {
                        // The daemon may have been started anew.
                        *socket = unix(path).ok();
                        socket.as_ref().map(|s| s.send(message)).transpose()?;
                    }
                }
                Ok(())
            }
        }
    }
}

/// Each line without its end, as one message.
fn messages(lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = lines.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| &line[..line.len().min(MESSAGE_MAX)])
}

fn udp(address: &str) -> io::Result<UdpSocket> {
    let found = address.to_socket_addrs()?.next();
    let to = found.ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))?;
    let from: SocketAddr = match to {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(from)?;
    socket.connect(to)?;
    Ok(socket)
}

/// A daemon that does not keep up must not hold the thread for ever.
fn unix(path: &std::path::Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    socket.set_write_timeout(Some(std::time::Duration::from_secs(1)))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(to: LogTo) -> Log {
        Log { to, ..Log::default() }
    }

    #[test]
    fn each_line_is_a_datagram() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = LogTo::Udp(server.local_addr().unwrap().to_string());
        let (sink, writer) = Sink::open(&[log(to)]).unwrap();
        assert_eq!(sink.write(0, b"one\ntwo\n".to_vec()), 0);
        let mut space = [0; 64];
        for want in ["one", "two"] {
            let n = server.recv(&mut space).unwrap();
            assert_eq!(&space[..n], want.as_bytes());
        }
        drop(sink);
        writer.join();
    }

    #[test]
    fn a_daemon_may_come_and_come_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (sink, writer) = Sink::open(&[log(LogTo::Unix(path.clone()))]).unwrap();
        for round in 0..2 {
            let daemon = UnixDatagram::bind(&path).unwrap();
            assert_eq!(sink.write(0, format!("round {round}\n").into_bytes()), 0);
            let mut space = [0; 64];
            let n = daemon.recv(&mut space).unwrap();
            assert_eq!(&space[..n], format!("round {round}").as_bytes());
            std::fs::remove_file(&path).unwrap();
        }
        drop(sink);
        writer.join();
    }

    #[test]
    fn levels_let_through_what_is_bad_enough() {
        assert!(Severity::Info.passes(LogLevel::Info) && !Severity::Info.passes(LogLevel::Notice));
        assert!(Severity::Notice.passes(LogLevel::Notice));
        assert!(Severity::Error.passes(LogLevel::Error));
        assert!(!Severity::Notice.passes(LogLevel::Warn));
        assert!(Severity::Emergency.passes(LogLevel::Error));
    }

    #[test]
    fn a_place_that_cannot_be_used_is_named() {
        let error = Sink::open(&[log(LogTo::File("/nowhere/x".into()))]).map(drop).unwrap_err();
        assert_eq!(error.to_string(), "cannot use /nowhere/x");
        let error =
            Sink::open(&[log(LogTo::Udp("nowhere.invalid:1".into()))]).map(drop).unwrap_err();
        assert_eq!(error.to_string(), "cannot log to nowhere.invalid:1");
    }
}
