//! The service manager's side channel: readiness, status, watchdog and inherited sockets.
//! Everything is a no-op when the process was not started by systemd.

use std::{env, io, os::unix::net::UnixDatagram, time::Duration};

/// Speaks the `sd_notify` protocol to the socket named by `NOTIFY_SOCKET`.
#[derive(Debug)]
pub struct Notifier {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// Reads `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` of this process.
    #[must_use]
    pub fn from_environment() -> Self {
        let read = |name: &str| env::var(name).ok();
        let own = read("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id().to_string());
        let watchdog = read("WATCHDOG_USEC").filter(|_| own).and_then(|text| text.parse().ok());
        Self {
            socket: read("NOTIFY_SOCKET").and_then(|path| connect(&path).ok()),
            watchdog: watchdog.map(Duration::from_micros),
        }
    }

    /// A notifier that talks to nobody.
    #[must_use]
    pub fn silent() -> Self {
        Self { socket: None, watchdog: None }
    }

    /// How often [`Notifier::alive`] must be called: half of what systemd allows.
    #[must_use]
    pub fn watchdog_period(&self) -> Option<Duration> {
        self.watchdog.map(|limit| limit / 2)
    }

    /// The service is up.
    pub fn ready(&self) {
        self.send("READY=1");
    }

    /// One line for `systemctl status`; line breaks become spaces.
    pub fn status(&self, text: &str) {
        self.send(&format!("STATUS={}", text.replace(['\n', '\r'], " ")));
    }

    /// A reload has begun; [`Notifier::ready`] ends it.
    pub fn reloading(&self) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// The service is going down.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// Another process is the service from now on, and it is up.
    pub fn main_process(&self, pid: u32) {
        self.send(&format!("MAINPID={pid}\nREADY=1"));
    }

    /// The watchdog's sign of life.
    pub fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    /// A manager that does not listen is no reason to stop working, so errors are dropped.
    fn send(&self, message: &str) {
        if let Some(socket) = &self.socket {
            let _ = socket.send(message.as_bytes());
        }
    }
}

fn connect(path: &str) -> io::Result<UnixDatagram> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;

    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(path)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Listening sockets passed by systemd (`LISTEN_FDS`, for this process only), in its order;
/// empty when there are none. Call once, early: the descriptors are taken over.
///
/// # Errors
/// When a descriptor is not a socket that can be used.
pub fn listeners() -> io::Result<Vec<std::net::TcpListener>> {
    let read = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
    if read("LISTEN_PID") != Some(std::process::id()) {
        return Ok(Vec::new());
    }
    let count = read("LISTEN_FDS").unwrap_or(0);
    (0..count).map(|index| take_listener(FIRST_DESCRIPTOR.saturating_add_unsigned(index))).collect()
}

/// `SD_LISTEN_FDS_START`.
const FIRST_DESCRIPTOR: i32 = 3;

fn take_listener(descriptor: i32) -> io::Result<std::net::TcpListener> {
    use std::os::fd::FromRawFd;

    #[expect(unsafe_code, reason = "descriptors passed by systemd have no owner yet")]
    // SAFETY: LISTEN_PID names this process and LISTEN_FDS counts this descriptor, so systemd
    // opened it for us; nothing else in the process takes it.
    let listener = unsafe { std::net::TcpListener::from_raw_fd(descriptor) };
    listener.set_nonblocking(true)?;
    rustix::io::fcntl_setfd(&listener, rustix::io::FdFlags::CLOEXEC)?;
    listener.local_addr()?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_reach_the_socket_one_datagram_each() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let socket = connect(path.to_str().unwrap()).unwrap();
        let notifier = Notifier { socket: Some(socket), watchdog: Some(Duration::from_secs(30)) };

        notifier.ready();
        notifier.status("3 of 3\npeers");
        notifier.reloading();
        notifier.alive();

        let receive = || {
            let mut buffer = [0; 256];
            let length = manager.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..length].to_vec()).unwrap()
        };
        assert_eq!(receive(), "READY=1");
        assert_eq!(receive(), "STATUS=3 of 3 peers");
        assert!(receive().starts_with("RELOADING=1\nMONOTONIC_USEC="));
        assert_eq!(receive(), "WATCHDOG=1");
        assert_eq!(notifier.watchdog_period(), Some(Duration::from_secs(15)));
    }

    #[test]
    fn without_systemd_nothing_happens() {
        let notifier = Notifier::silent();
        notifier.ready();
        assert_eq!(notifier.watchdog_period(), None);
    }
}
