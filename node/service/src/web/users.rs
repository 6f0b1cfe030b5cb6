//! Users and their passwords: bcrypt, a few checks at a time, results kept.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use base64::Engine;
use tokio::sync::Semaphore;

use super::settings;
use crate::{
    mistake::{Mistake, Mistakes},
    secret::Secret,
};

/// Names with their bcrypt hashes.
pub type UserList = Vec<(String, Secret)>;

/// The users of a file of the form of `web.yml`, who may all do everything; what else it says is
/// checked, but not used.
///
/// # Errors
/// Every mistake of the file at once; `read_only_users`, which would not be kept to.
pub fn users(path: &Path) -> Result<UserList, Mistakes> {
    let settings = settings::load(path)?;
    if !settings.read_only.is_empty() {
        let message =
            "read_only_users is for the web.yml of nodes and has no effect here: leave it out";
        return Err(Mistake::of_file(path.display().to_string(), message).into());
    }
    Ok(settings.users)
}

/// Whether a text is a bcrypt hash.
#[must_use]
pub fn is_hash(text: &Secret) -> bool {
    text.reveal().parse::<bcrypt::HashParts>().is_ok()
}

/// A password's bcrypt hash, for those who write it into a file; nothing for one that bcrypt cannot take.
#[must_use]
pub fn hash(password: &str) -> Option<String> {
    let takes = !password.is_empty() && password.len() <= 72 && !password.contains('\0');
    takes.then(|| bcrypt::hash(password, 10).ok()).flatten()
}

/// Name and password of an `Authorization` header of the scheme `Basic`.
fn credentials(value: &str) -> Option<(String, String)> {
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(encoded.trim()).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    let (name, password) = decoded.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

/// Nobody's password: unknown names take as long as known ones.
const NOBODY: &str = "$2b$10$abcdefghijklmnopqrstuu5Tz0eyRXa8p1J0nGv7kF8tqQkMeSmIa";
/// Results kept, so that a client that asks often costs one bcrypt.
const RESULTS_MAX: usize = 100;
/// bcrypt at a time: a flood of wrong passwords must leave room for work.
const CHECKS_MAX: usize = 2;

/// Password checks that were made.
pub struct Passwords {
    results: Mutex<HashMap<(u64, u64), bool>>,
    /// Nobody outside knows these, so nobody can make two triples collide.
    hashers: (RandomState, RandomState),
    room: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            results: Mutex::default(),
            hashers: Default::default(),
            room: Arc::new(Semaphore::new(CHECKS_MAX)),
        }
    }
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passwords")
    }
}

impl Passwords {
    /// Which of `users` an `Authorization` header proves to be. Runs on a tokio runtime; what was
    /// checked before is answered at once.
    pub async fn who<'a>(
        &self,
        users: &'a [(String, Secret)],
        authorization: &str,
    ) -> Option<&'a str> {
        let (name, password) = credentials(authorization)?;
        let known = users.iter().find(|(user, _)| *user == name);
        let hash = known.map_or(NOBODY, |(_, hash)| hash.reveal());
        let passes = self.check(&name, &password, hash).await;
        known.filter(|_| passes).map(|(user, _)| user.as_str())
    }

    async fn check(&self, name: &str, password: &str, hash: &str) -> bool {
        let triple = (name, password, hash);
        let key = (self.hashers.0.hash_one(triple), self.hashers.1.hash_one(triple));
        if let Some(result) = self.results().get(&key) {
            return *result;
        }
        let Ok(place) = Arc::clone(&self.room).acquire_owned().await else { return false };
        let (password, hash) = (password.to_owned(), hash.to_owned());
        let check = tokio::task::spawn_blocking(move || {
            let result = bcrypt::verify(password, &hash).unwrap_or(false);
            drop(place);
            result
        });
        let result = check.await.unwrap_or(false);
        let mut results = self.results();
        if results.len() >= RESULTS_MAX {
            results.clear();
        }
        results.insert(key, result);
        result
    }

    fn results(&self) -> MutexGuard<'_, HashMap<(u64, u64), bool>> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_only_users_are_refused_where_nobody_would_hold_them_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.yml");
        let text = format!("basic_auth_users: {{eve: {NOBODY}}}\n");
        std::fs::write(&path, &text).unwrap();
        assert_eq!(users(&path).unwrap().len(), 1);
        std::fs::write(&path, text + "read_only_users: [eve]\n").unwrap();
        let said = users(&path).unwrap_err().to_string();
        assert!(said.contains("read_only_users is for the web.yml of nodes"), "{said}");
    }

    #[test]
    fn nobodys_hash_costs_as_much_as_any() {
        assert!(!bcrypt::verify("x", NOBODY).unwrap());
    }
}
