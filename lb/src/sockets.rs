//! Listening sockets: who accepts on them, and a hold on each, so that they can be given up or passed on while clients come.

use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::LbError;
use crate::config::{BindOptions, Config};
use crate::listen;

/// Sockets that may wait for a worker to take them.
pub(crate) const WAITING: usize = 256;

/// To whom a socket belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The frontend; none for the stats listener.
    pub frontend: Option<String>,
    /// The address as configured.
    pub bind: String,
}

impl Owner {
    /// All that `config` names, with their binds.
    pub(crate) fn all(config: &Config) -> Vec<(Owner, &BindOptions, u32)> {
        let fronts = config.frontends.iter().flat_map(|f| {
            let name = Some(f.name.clone());
            f.bind.iter().map(move |b| (name.clone(), b, f.maxconn))
        });
        let stats = config.stats.iter().flat_map(|s| s.bind.iter().map(|b| (None, b, 128)));
        let all = fronts.chain(stats);
        all.map(|(frontend, bind, backlog)| {
            (Owner { frontend, bind: bind.address.clone() }, bind, backlog)
        })
        .collect()
    }
}

/// A socket on which somebody accepts until told otherwise.
#[derive(Debug)]
pub(crate) struct Accepting {
    /// Whose it is.
    pub owner: Owner,
    /// The socket.
    pub listener: TcpListener,
    /// Cancelled when it is given up.
    pub closed: CancellationToken,
}

#[derive(Debug)]
struct Bound {
    owner: Owner,
    listener: TcpListener,
    closed: CancellationToken,
}

/// All listening sockets of the process.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    bound: Mutex<Vec<Bound>>,
    workers: OnceLock<Vec<mpsc::Sender<Accepting>>>,
}

impl Sockets {
    fn lock(&self) -> MutexGuard<'_, Vec<Bound>> {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says where workers take sockets from.
    pub(crate) fn workers(&self, workers: Vec<mpsc::Sender<Accepting>>) {
        let _ = self.workers.set(workers);
    }

    /// Lets clients come: sockets of frontends go to workers in turn, those of the stats page are returned.
    /// # Errors
    /// [`LbError::Start`] when there are no descriptors left, or far too many sockets at once.
    pub(crate) fn open(
        &self,
        sockets: Vec<(Owner, TcpListener)>,
    ) -> Result<Vec<Accepting>, LbError> {
        let mut stats = Vec::new();
        for (turn, (owner, listener)) in sockets.into_iter().enumerate() {
            listener.set_nonblocking(true).map_err(LbError::Start)?;
            let kept = listener.try_clone().map_err(LbError::Start)?;
            let closed = CancellationToken::new();
            self.lock().push(Bound {
                owner: owner.clone(),
                listener: kept,
                closed: closed.clone(),
            });
            let is_stats = owner.frontend.is_none();
            let accepting = Accepting { owner, listener, closed };
            if is_stats {
                stats.push(accepting);
                continue;
            }
            let workers = self.workers.get().map_or(&[][..], Vec::as_slice);
            let worker = workers.get(turn % workers.len().max(1));
            let sent = worker.map(|w| w.try_send(accepting).is_ok());
            if sent != Some(true) {
                let why = "too many listening sockets at once";
                return Err(LbError::Start(std::io::Error::other(why)));
            }
        }
        Ok(stats)
    }

    /// Binds what `config` names and is not bound yet. An address that changes hands stays bound.
    /// # Errors
    /// [`LbError::Listen`] names the first address that cannot be had.
    pub(crate) fn bind_new(
        &self,
        config: &Config,
        threads: usize,
    ) -> Result<Vec<(Owner, TcpListener)>, LbError> {
        let bound = self.lock();
        let mut fresh = Vec::new();
        for (owner, bind, backlog) in Owner::all(config) {
            if bound.iter().any(|b| b.owner == owner) {
                continue;
            }
            let taken_over = bound.iter().filter(|b| b.owner.bind == owner.bind);
            let taken_over: Result<Vec<_>, _> =
                taken_over.map(|b| b.listener.try_clone()).collect();
            let mut sockets = taken_over.map_err(LbError::Start)?;
            if sockets.is_empty() {
                let count = if owner.frontend.is_some() { threads } else { 1 };
                sockets = listen::bind_all(bind, count, backlog)
                    .map_err(|source| listen::listen_error(&bind.address, source))?;
            }
            fresh.extend(sockets.into_iter().map(|s| (owner.clone(), s)));
        }
        Ok(fresh)
    }

    /// Gives up the sockets that `goes` names.
    pub(crate) fn close(&self, goes: impl Fn(&Owner) -> bool) {
        self.lock().retain(|bound| {
            let stays = !goes(&bound.owner);
            if !stays {
                bound.closed.cancel();
            }
            stays
        });
    }

    /// Gives up what `config` does not name.
    pub(crate) fn close_others(&self, config: &Config) {
        let wanted = Owner::all(config);
        self.close(|owner| !wanted.iter().any(|(w, ..)| w == owner));
    }

    /// A hold on each socket, for the process that takes over.
    /// # Errors
    /// When there are no descriptors left.
    pub(crate) fn copies(&self) -> std::io::Result<Vec<(Owner, TcpListener)>> {
        let bound = self.lock();
        bound.iter().map(|b| Ok((b.owner.clone(), b.listener.try_clone()?))).collect()
    }

    /// Frontends that have a socket.
    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }
}

/// Which of several addresses a bound socket is for.
pub(crate) fn owner_of(
    frontend: Option<&str>,
    binds: &[BindOptions],
    listener: &TcpListener,
) -> Owner {
    let address = listener.local_addr().ok();
    let fits = |bind: &&BindOptions| address.is_some_and(|a| listen::fits(bind, a));
    let bind = binds.iter().find(fits).or(binds.first());
    Owner {
        frontend: frontend.map(str::to_owned),
        bind: bind.map_or(String::new(), |b| b.address.clone()),
    }
}

/// Shared by the workers of a process.
pub(crate) type Workers = Arc<Vec<mpsc::Sender<crate::accept::Accepted>>>;
