//! What `web.yml` asks of every connection and request. The file and those that it names are
//! looked at again each time, and read again when one of them has changed; if that fails, the
//! last good state stays and a warning says why.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use rustls::ServerConfig;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::{
    Body,
    settings::{self, RateLimit, WebSettings},
    tls::{self, TlsError},
    users::Passwords,
};
use crate::{mistake::Mistakes, secret::Secret};

/// Stands before the handler of a web server.
pub struct Gate {
    path: PathBuf,
    current: Mutex<Arc<Loaded>>,
    passwords: Passwords,
    bucket: Option<Mutex<Bucket>>,
}

/// Why `web.yml` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The file, or a file that it names.
    #[error("{0}")]
    Settings(Mistakes),
    /// Certificate or key.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

struct Loaded {
    settings: WebSettings,
    tls: Option<Arc<ServerConfig>>,
    stamps: Vec<Stamp>,
}

/// What tells one state of a file from another.
type Stamp = Option<(SystemTime, u64)>;

impl Gate {
    /// Reads the file.
    ///
    /// # Errors
    /// [`GateError`]: a server must not start with a file that cannot be used.
    pub fn open(path: &Path) -> Result<Self, GateError> {
        let loaded = load(path)?;
        let bucket = loaded.settings.rate_limit.map(|limit| Mutex::new(Bucket::new(limit)));
        Ok(Self {
            path: path.to_owned(),
            current: Mutex::new(Arc::new(loaded)),
            passwords: Passwords::default(),
            bucket,
        })
    }

    /// The TLS configuration for the next handshake; nothing for plain HTTP.
    #[must_use]
    pub fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.current().tls.clone()
    }

    /// Whether HTTP/2 is offered over TLS.
    #[must_use]
    pub fn http2(&self) -> bool {
        self.current().settings.http2
    }

    /// Lets a request in, with the headers that its answer must carry.
    ///
    /// # Errors
    /// The answer, when it must not come any further: 429, 401, or 403 for a write by somebody who
    /// may only read.
    pub(super) async fn admit<B>(
        &self,
        request: &Request<B>,
    ) -> Result<HeaderMap, Box<Response<Body>>> {
        let now = Instant::now();
        if self.bucket.as_ref().is_some_and(|bucket| !lock(bucket).take(now)) {
            return Err(Box::new(refusal(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests\n")));
        }
        let loaded = self.current();
        let headers: HeaderMap = loaded.settings.headers.iter().cloned().collect();
        let settings = &loaded.settings;
        if settings.users.is_empty() {
            return Ok(headers);
        }
        let mut answer = match self.who(&settings.users, request).await {
            Some(name) if writes(request.method()) && settings.read_only.contains(name) => {
                debug!(user = %name, path = request.uri().path(), "write refused, the user may only read");
                forbidden(name)
            }
            Some(_) => return Ok(headers),
            None => unauthorized(),
        };
        answer.headers_mut().extend(headers);
        Err(Box::new(answer))
    }

    /// The name in a request's credentials, if the password is right.
    async fn who<'a, B>(
        &self,
        users: &'a [(String, Secret)],
        request: &Request<B>,
    ) -> Option<&'a str> {
        let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
        self.passwords.who(users, value).await
    }

    fn current(&self) -> Arc<Loaded> {
        let mut current = lock(&self.current);
        let stamps = stamps(&current.settings.files);
        if stamps == current.stamps {
            return Arc::clone(&current);
        }
        match load(&self.path) {
            Ok(loaded) => *current = Arc::new(loaded),
            Err(error) => {
                warn!(file = %self.path.display(), %error, "web configuration is not read again");
                let settings = current.settings.clone();
                *current = Arc::new(Loaded { settings, tls: current.tls.clone(), stamps });
            }
        }
        Arc::clone(&current)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn load(path: &Path) -> Result<Loaded, GateError> {
    let settings = settings::load(path).map_err(GateError::Settings)?;
    let stamps = stamps(&settings.files);
    let tls = match &settings.tls {
        Some(tls) => Some(Arc::new(tls::server_config(tls, settings.http2)?)),
        None => None,
    };
    Ok(Loaded { settings, tls, stamps })
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |file: &PathBuf| {
        let facts = fs::metadata(file).ok()?;
        Some((facts.modified().ok()?, facts.len()))
    };
    files.iter().map(stamp).collect()
}

/// Whether a request may change something. What is not known to only read counts as a write.
fn writes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn unauthorized() -> Response<Body> {
    let mut answer = refusal(StatusCode::UNAUTHORIZED, "Unauthorized\n");
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
    answer
}

fn forbidden(name: &str) -> Response<Body> {
    let text = format!("Forbidden: user {name:?} may only read (read_only_users of web.yml)\n");
    refusal(StatusCode::FORBIDDEN, text)
}

fn refusal(status: StatusCode, text: impl Into<Body>) -> Response<Body> {
    let mut answer = Response::new(text.into());
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// Tokens for requests: one more each interval, `burst` at most.
struct Bucket {
    limit: RateLimit,
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    fn new(limit: RateLimit) -> Self {
        Self { limit, tokens: f64::from(limit.burst), filled: Instant::now() }
    }

    fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        let gained = passed / self.limit.interval.as_secs_f64();
        self.tokens = (self.tokens + gained).min(f64::from(self.limit.burst));
        self.filled = now;
        let has = self.tokens >= 1.0;
        if has {
            self.tokens -= 1.0;
        }
        has
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base64::Engine;

    use super::*;

    fn request(authorization: Option<&str>) -> Request<()> {
        let mut request = Request::new(());
        if let Some(text) = authorization {
            let encoded = base64::engine::general_purpose::STANDARD.encode(text);
            let value = HeaderValue::from_str(&format!("Basic {encoded}")).unwrap();
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        request
    }

    fn gate(text: &str) -> (tempfile::TempDir, Gate) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.yml");
        fs::write(&path, text).unwrap();
        let gate = Gate::open(&path).unwrap();
        (folder, gate)
    }

    #[tokio::test]
    async fn only_right_passwords_of_known_users_pass() {
        let hash = bcrypt::hash("secret", 4).unwrap();
        let (folder, gate) = gate(&format!("basic_auth_users:\n  ann: {hash}\n"));
        let status = async |authorization| match gate.admit(&request(authorization)).await {
            Ok(_) => StatusCode::OK,
            Err(answer) => answer.status(),
        };
        for _ in 0..2 {
            assert_eq!(status(Some("ann:secret")).await, StatusCode::OK);
            assert_eq!(status(Some("ann:other")).await, StatusCode::UNAUTHORIZED);
        }
        assert_eq!(status(Some("bob:secret")).await, StatusCode::UNAUTHORIZED);
        assert_eq!(status(Some("no colon")).await, StatusCode::UNAUTHORIZED);
        assert_eq!(status(None).await, StatusCode::UNAUTHORIZED);

        // The file is read again when it changes, and a broken one leaves things as they were.
        let path = folder.path().join("web.yml");
        fs::write(&path, "basic_auth_users: {ann: plain}\n").unwrap();
        assert_eq!(status(Some("ann:secret")).await, StatusCode::OK);
        assert_eq!(status(None).await, StatusCode::UNAUTHORIZED);
        fs::write(&path, "rate_limit: {}\n").unwrap();
        assert_eq!(status(None).await, StatusCode::OK);
    }

    #[tokio::test]
    async fn read_only_users_are_refused_every_method_that_may_write() {
        let hash = bcrypt::hash("secret", 4).unwrap();
        let users = format!("basic_auth_users: {{ann: {hash}, eve: {hash}}}\n");
        let (folder, gate) = gate(&format!("{users}read_only_users: [eve]\n"));
        let status = async |method: &str, authorization| {
            let mut request = request(authorization);
            *request.method_mut() = method.parse().unwrap();
            gate.admit(&request).await.map_or_else(|answer| answer.status(), |_| StatusCode::OK)
        };
        for method in ["GET", "HEAD", "OPTIONS"] {
            assert_eq!(status(method, Some("eve:secret")).await, StatusCode::OK, "{method}");
        }
        for method in ["POST", "PUT", "PATCH", "DELETE", "get", "MOVE"] {
            assert_eq!(status(method, Some("eve:secret")).await, StatusCode::FORBIDDEN, "{method}");
            assert_eq!(status(method, Some("ann:secret")).await, StatusCode::OK, "{method}");
            // Who has not shown to be eve does not learn what eve may do.
            let wrong = status(method, Some("eve:other")).await;
            assert_eq!(wrong, StatusCode::UNAUTHORIZED, "{method}");
        }
        fs::write(folder.path().join("web.yml"), users).unwrap();
        assert_eq!(status("POST", Some("eve:secret")).await, StatusCode::OK);
    }

    #[tokio::test(start_paused = true)]
    async fn bucket_gives_burst_and_then_one_each_interval() {
        let limit = RateLimit { interval: Duration::from_secs(1), burst: 2 };
        let mut bucket = Bucket::new(limit);
        let start = Instant::now();
        assert!(bucket.take(start) && bucket.take(start) && !bucket.take(start));
        assert!(!bucket.take(start + Duration::from_millis(900)));
        assert!(bucket.take(start + Duration::from_millis(1100)));
        assert!(!bucket.take(start + Duration::from_millis(1200)));
    }
}
