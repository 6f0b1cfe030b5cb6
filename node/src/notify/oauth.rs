//! OAuth2 tokens for `http_config`: client credentials and the signed-assertion (JWT) grant.
//! Source: Go's `oauth2/clientcredentials` and prometheus/common's JWT source.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use http::header::{AUTHORIZATION, HeaderValue};
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{self, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Map, Value, json};
use tocsin_service::clock::Clock;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize, parse};

use super::http::{Answer, Client, Request, basic, read_secret, secret_header};
use super::{BuildError, Deny, FailureReason, SendError};
use crate::config::http::{Auth, HttpConfig, OAuth2, Source};

const JWT_GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const FORM: &str = "application/x-www-form-urlencoded";
/// A token is renewed this long before it ends.
const EARLY: Duration = Duration::from_secs(10);
const ASSERTION_LIFE: Duration = Duration::from_secs(600);

/// The tokens of one client.
pub(super) struct Tokens {
    config: OAuth2,
    url: Url,
    client: Client,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    /// How the server wants the client's secret, once it is known.
    in_body: Option<bool>,
}

#[derive(Clone)]
struct Token {
    authorization: HeaderValue,
    expires_at: Option<Timestamp>,
    /// The secret that it was got with: a changed file means a new token.
    secret: String,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("client_id", &self.config.client_id).finish_non_exhaustive()
    }
}

impl Tokens {
    /// Prepares the client of the token requests.
    /// # Errors
    /// On a bad URL or TLS file.
    pub(super) fn build(
        config: &OAuth2,
        deny: &Arc<Deny>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, BuildError> {
        let http = HttpConfig {
            auth: Auth::None,
            tls: config.tls.clone(),
            proxy: config.proxy.clone(),
            ..HttpConfig::default()
        };
        let url = Url::parse(&config.token_url)
            .map_err(|error| BuildError::new("oauth2: token_url", error))?;
        Ok(Self {
            config: config.clone(),
            url,
            client: Client::with(&http, deny, clock)?,
            clock: Arc::clone(clock),
            state: Mutex::default(),
        })
    }

    /// The `Authorization` value of a token that is valid now.
    /// # Errors
    /// Retryable when the token server is not there; final when it refuses.
    pub(super) async fn authorization(&self) -> Result<HeaderValue, SendError> {
        let secret = match self.config.grant_type.as_str() {
            JWT_GRANT => self.signing_key()?,
            _ => read_secret(&self.config.client_secret)?,
        };
        let now = self.clock.now();
        if let Some(token) = &self.state().token {
            let ends = token.expires_at.is_some_and(|at| at <= now + EARLY);
            if !ends && token.secret == secret {
                return Ok(token.authorization.clone());
            }
        }
        let answer = match self.config.grant_type.as_str() {
            JWT_GRANT => self.ask_with_assertion(&secret, now).await?,
            _ => self.ask_with_secret(&secret).await?,
        };
        let (authorization, life) = parse_token(&answer)?;
        let expires_at = life.map(|life| now + life);
        let token = Token { authorization: authorization.clone(), expires_at, secret };
        self.state().token = Some(token);
        Ok(authorization)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// First with HTTP Basic, on rejection in the body; the style that worked is remembered.
    async fn ask_with_secret(&self, secret: &str) -> Result<Answer, SendError> {
        let styles: &[bool] = match self.state().in_body {
            None => &[false, true],
            Some(false) => &[false],
            Some(true) => &[true],
        };
        let mut failure = None;
        for &in_body in styles {
            let answer = self.ask(self.secret_request(secret, in_body)?).await?;
            if answer.success() {
                self.state().in_body = Some(in_body);
                return Ok(answer);
            }
            failure = Some(answer.failure(&[429], &answer.text()).prefixed("oauth2 token"));
        }
        Err(failure.unwrap_or_else(|| SendError::invalid("oauth2: no way to authenticate")))
    }

    fn secret_request(&self, secret: &str, in_body: bool) -> Result<Request, SendError> {
        let mut form = self.form("client_credentials");
        if in_body {
            form.append_pair("client_id", &self.config.client_id);
            if !secret.is_empty() {
                form.append_pair("client_secret", secret);
            }
        }
        let request = self.request(form);
        if in_body {
            return Ok(request);
        }
        let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        request.secret(AUTHORIZATION, &basic(&encode(&self.config.client_id), &encode(secret)))
    }

    async fn ask_with_assertion(&self, pem: &str, now: Timestamp) -> Result<Answer, SendError> {
        let request = {
            let mut form = self.form(JWT_GRANT);
            form.append_pair("assertion", &self.assertion(pem, now)?);
            self.request(form)
        };
        let answer = self.ask(request).await?;
        if answer.success() {
            return Ok(answer);
        }
        Err(answer.failure(&[429], &answer.text()).prefixed("oauth2 token"))
    }

    /// The form with what both grants have.
    fn form(&self, grant: &str) -> Serializer<'static, String> {
        let mut form = Serializer::new(String::new());
        let params = &self.config.endpoint_params;
        if !params.iter().any(|(name, _)| name == "grant_type") {
            form.append_pair("grant_type", grant);
        }
        if !self.config.scopes.is_empty() {
            form.append_pair("scope", &self.config.scopes.join(" "));
        }
        form.extend_pairs(params);
        form
    }

    fn request(&self, mut form: Serializer<'static, String>) -> Request {
        Request::with_body(Method::POST, self.url.clone(), FORM, form.finish().into_bytes())
    }

    async fn ask(&self, request: Request) -> Result<Answer, SendError> {
        let answer = Box::pin(self.client.send(request)).await;
        answer.map_err(|error| error.prefixed("oauth2 token"))
    }

    fn signing_key(&self) -> Result<String, SendError> {
        match &self.config.key {
            Source::None => Err(SendError::invalid("oauth2: the JWT grant needs a private key")),
            key => read_secret(key),
        }
    }

    /// The signed assertion: header, claims, signature.
    fn assertion(&self, pem: &str, now: Timestamp) -> Result<String, SendError> {
        let algorithm = match self.config.signature_algorithm.as_str() {
            "" => "RS256",
            other => other,
        };
        let mut header = json!({"alg": algorithm, "typ": "JWT"});
        if !self.config.key_id.is_empty() {
            header["kid"] = json!(self.config.key_id);
        }
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", encode(&header), encode(&Value::Object(self.claims(now))));
        let signed = sign(algorithm, pem, text.as_bytes())?;
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signed)))
    }

    fn claims(&self, now: Timestamp) -> Map<String, Value> {
        let config = &self.config;
        let or = |text: &str, default: &str| json!(if text.is_empty() { default } else { text });
        let mut claims = Map::new();
        claims.insert("iss".to_owned(), or(&config.iss, &config.client_id));
        claims.insert("sub".to_owned(), json!(config.client_id));
        claims.insert("jti".to_owned(), json!(uuid::Uuid::new_v4().to_string()));
        claims.insert("aud".to_owned(), or(&config.audience, &config.token_url));
        claims.insert("iat".to_owned(), json!(now.as_second()));
        claims.insert("exp".to_owned(), json!((now + ASSERTION_LIFE).as_second()));
        if !config.scopes.is_empty() {
            claims.insert("scope".to_owned(), json!(config.scopes.join(" ")));
        }
        claims.extend(config.claims.iter().cloned());
        claims
    }
}

fn sign(algorithm: &str, pem: &str, text: &[u8]) -> Result<Vec<u8>, SendError> {
    let padding: &dyn signature::RsaEncoding = match algorithm {
        "RS384" => &signature::RSA_PKCS1_SHA384,
        "RS512" => &signature::RSA_PKCS1_SHA512,
        _ => &signature::RSA_PKCS1_SHA256,
    };
    let bad = || SendError::invalid("oauth2: the private key is not an RSA key in PEM form");
    let key = match PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| bad())? {
        PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
        _ => return Err(bad()),
    };
    let key = key.map_err(|_| bad())?;
    let mut signed = vec![0; key.public().modulus_len()];
    key.sign(padding, &SystemRandom::new(), text, &mut signed)
        .map_err(|_| SendError::invalid("oauth2: the assertion cannot be signed"))?;
    Ok(signed)
}

/// Header value and life time of the token in a JSON or form-encoded answer.
fn parse_token(answer: &Answer) -> Result<(HeaderValue, Option<Duration>), SendError> {
    let refused = |what: &str| SendError::refused(what, FailureReason::AuthError);
    let form =
        answer.content_type.starts_with(FORM) || answer.content_type.starts_with("text/plain");
    let fields: Map<String, Value> = if form {
        parse(&answer.body).map(|(name, value)| (name.into_owned(), json!(value))).collect()
    } else {
        serde_json::from_slice(&answer.body)
            .map_err(|_| refused("oauth2: the token answer is not JSON"))?
    };
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or("");
    if text("access_token").is_empty() {
        return Err(refused("oauth2: the token answer has no access_token"));
    }
    let seconds = match fields.get("expires_in") {
        Some(Value::String(text)) => text.parse().ok(),
        other => other.and_then(Value::as_u64),
    };
    let scheme = match text("token_type").to_lowercase().as_str() {
        "" | "bearer" => "Bearer".to_owned(),
        "mac" => "MAC".to_owned(),
        "basic" => "Basic".to_owned(),
        _ => text("token_type").to_owned(),
    };
    let value = secret_header(&format!("{scheme} {}", text("access_token")))
        .map_err(|_| refused("oauth2: the access_token is no header"))?;
    Ok((value, seconds.filter(|&seconds| seconds > 0).map(Duration::from_secs)))
}
