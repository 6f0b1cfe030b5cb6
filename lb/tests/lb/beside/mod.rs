//! The guide's `haproxy.cfg` twice: run by Debian's HAProxy, and translated and run by us. The same scenarios are played on both,
//! and what a client, a server, the log and the counters show must be equal, or differ as a scenario says and why.
//! Each scenario has a twin with its cause taken away, whose outcome must differ: what would pass without its cause proves nothing.

mod client;
mod figures;
mod health;
mod limits;
mod operator;
mod server;
mod stage;
mod traffic;

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};

pub(crate) use stage::{Stage, Subject};

/// A line of the guide's file and what stands in its place.
pub(crate) type Change = (&'static str, &'static str);

/// What a scenario shows, line by line.
pub(crate) type Facts = Vec<String>;

/// One difference that is meant: HAProxy's fact, ours, and why ours is better.
pub(crate) struct Better {
    haproxy: &'static str,
    ours: &'static str,
    why: &'static str,
}

/// What happens, and how the guide's file is changed for it.
pub(crate) struct Scenario {
    name: &'static str,
    play: fn(&Stage),
    servers: usize,
    file: &'static [Change],
    twin_file: Option<&'static [Change]>,
    better: Vec<Better>,
}

/// A scenario with one server and the guide's file; its twin is played without the fault.
pub(crate) fn scenario(name: &'static str, play: fn(&Stage)) -> Scenario {
    Scenario { name, play, servers: 1, file: &[], twin_file: None, better: Vec::new() }
}

impl Scenario {
    fn servers(self, servers: usize) -> Self {
        Scenario { servers, ..self }
    }

    fn file(self, file: &'static [Change]) -> Self {
        Scenario { file, ..self }
    }

    /// The twin differs by its file, which is the guide's with these changes; the fault stays.
    fn twin(self, file: &'static [Change]) -> Self {
        Scenario { twin_file: Some(file), ..self }
    }

    fn better(mut self, haproxy: &'static str, ours: &'static str, why: &'static str) -> Self {
        self.better.push(Better { haproxy, ours, why });
        self
    }

    /// Plays it on both, with and without its cause.
    fn judge(&self) -> Result<(), String> {
        let once = |subject, twin: bool| move || self.once(subject, twin);
        let [theirs, ours, their_twin, our_twin] = std::thread::scope(|scope| {
            let runs = [
                scope.spawn(once(Subject::HAProxy, false)),
                scope.spawn(once(Subject::Tocsin, false)),
                scope.spawn(once(Subject::HAProxy, true)),
                scope.spawn(once(Subject::Tocsin, true)),
            ];
            runs.map(|run| run.join().map_err(|_| "panicked, see above".to_owned()))
        });
        let (theirs, ours) = (theirs?, ours?);
        let (their_twin, our_twin) = (their_twin?, our_twin?);
        let mut used = vec![false; self.better.len()];
        let main = self.compare(&theirs, &ours, &mut used).err();
        let twin = self.compare(&their_twin, &our_twin, &mut used).err();
        if main.is_some() || twin.is_some() {
            let (main, twin) = (main.unwrap_or_default(), twin.unwrap_or_default());
            return Err(format!("{main}\n twin:{twin}"));
        }
        if let Some(at) = used.iter().position(|u| !u) {
            return Err(format!("no longer true: {}", self.better[at].why));
        }
        if ours == our_twin {
            return Err(format!("the twin shows the same: {ours:#?}"));
        }
        if theirs == their_twin && self.better.is_empty() {
            return Err(format!("HAProxy's twin shows the same: {theirs:#?}"));
        }
        Ok(())
    }

    fn once(&self, subject: Subject, twin: bool) -> Facts {
        let file = if twin { self.twin_file.unwrap_or(self.file) } else { self.file };
        let fault = !twin || self.twin_file.is_some();
        let stage = Stage::set(subject, self.servers, file, fault);
        (self.play)(&stage);
        stage.facts()
    }

    fn compare(&self, theirs: &[String], ours: &[String], used: &mut [bool]) -> Result<(), String> {
        let mut different = String::new();
        for at in 0..theirs.len().max(ours.len()) {
            let fact = |facts: &[String]| facts.get(at).cloned().unwrap_or_default();
            let (theirs, ours) = (fact(theirs), fact(ours));
            let meant = self.better.iter().position(|b| b.haproxy == theirs && b.ours == ours);
            match meant {
                Some(meant) => used[meant] = true,
                None if theirs == ours => {}
                None => different += &format!("\n  HAProxy: {theirs}\n  ours:    {ours}"),
            }
        }
        if different.is_empty() { Ok(()) } else { Err(different) }
    }
}

/// Plays all, some at a time, and tells every difference at the end. `SCENARIO` plays only those whose name holds it.
#[track_caller]
pub(crate) fn play(scenarios: &[Scenario]) {
    let only = std::env::var("SCENARIO").unwrap_or_default();
    let chosen: Vec<_> = scenarios.iter().filter(|s| s.name.contains(&only)).collect();
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while let Some(scenario) = chosen.get(next.fetch_add(1, SeqCst)) {
                    if let Err(difference) = scenario.judge() {
                        let text = format!("{}: {difference}", scenario.name);
                        wrong.lock().unwrap_or_else(PoisonError::into_inner).push(text);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), chosen.len(), wrong.join("\n"));
}
