//! Amazon's request signature and the places where credentials come from. It knows no service.
//! Source: AWS "Signature Version 4", and the default credential chain of its SDKs.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use http::header::{AUTHORIZATION, HeaderName};
use jiff::Timestamp;
use ring::{digest, hmac};
use serde::Deserialize;
use tocsin_service::clock::Clock;
use url::Url;
use url::form_urlencoded::Serializer;

use super::call::hex;
use super::http::{Answer, Client, Request};
use super::{FailureReason, SendError};

const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";
const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
/// Borrowed credentials are renewed this long before they end.
const EARLY: Duration = Duration::from_secs(300);
const METADATA: &str = "http://169.254.169.254";
const CONTAINER: &str = "http://169.254.170.2";
const METADATA_TIMEOUT: Duration = Duration::from_secs(2);

/// Looks a variable up; tests bring their own environment.
pub(super) type Env = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The process's environment; an empty variable counts as unset.
pub(super) fn environment() -> Env {
    Arc::new(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

/// What the configuration says about identity.
#[derive(Clone, Default)]
pub(super) struct Identity {
    pub(super) region: String,
    pub(super) access_key: String,
    pub(super) secret_key: String,
    pub(super) profile: String,
    pub(super) role_arn: String,
    pub(super) external_id: String,
}

/// A key pair, for a while or for good.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    access_key: String,
    secret_key: String,
    token: String,
    expires_at: Option<Timestamp>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// Finds credentials and signs with them.
pub(super) struct Signer {
    identity: Identity,
    client: Client,
    clock: Arc<dyn Clock>,
    env: Env,
    kept: Mutex<Option<Credentials>>,
}

impl Signer {
    /// A signer whose own requests (roles, metadata) go through `client`.
    pub(super) fn new(identity: Identity, client: Client, clock: Arc<dyn Clock>, env: Env) -> Self {
        Self { identity, client, clock, env, kept: Mutex::default() }
    }

    /// The configured region, or the environment's, or the profile's.
    /// # Errors
    /// Retryable, as upstream.
    pub(super) fn region(&self) -> Result<String, SendError> {
        let env = |name: &str| (self.env)(name);
        let configured = Some(self.identity.region.clone()).filter(|region| !region.is_empty());
        configured
            .or_else(|| env("AWS_REGION"))
            .or_else(|| env("AWS_DEFAULT_REGION"))
            .or_else(|| self.profile().remove("region"))
            .ok_or_else(|| unavailable("no AWS region: set sigv4.region or AWS_REGION"))
    }

    /// A signed POST of a form.
    /// # Errors
    /// When there are no credentials: retryable.
    pub(super) async fn post(
        &self,
        service: &str,
        region: &str,
        url: Url,
        form: &[(String, String)],
    ) -> Result<Request, SendError> {
        let credentials = self.credentials(region).await?;
        sign(service, region, url, form, &credentials, self.clock.now())
    }

    async fn credentials(&self, region: &str) -> Result<Credentials, SendError> {
        let now = self.clock.now();
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(kept) = kept
            && kept.expires_at.is_none_or(|at| now + EARLY < at)
        {
            return Ok(kept);
        }
        let mut found = self.base(region).await?;
        if !self.identity.role_arn.is_empty() {
            found = self.assume_role(region, &found).await?;
        }
        // Files and variables may change, so only borrowed credentials are kept.
        if found.expires_at.is_some() {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            *kept = Some(found.clone());
        }
        Ok(found)
    }

    /// The first source that has a key pair.
    async fn base(&self, region: &str) -> Result<Credentials, SendError> {
        let identity = &self.identity;
        if !identity.access_key.is_empty() {
            let pair = (identity.access_key.clone(), identity.secret_key.clone());
            return Ok(forever(pair.0, pair.1, String::new()));
        }
        let env = |name: &str| (self.env)(name).unwrap_or_default();
        let pair = (env("AWS_ACCESS_KEY_ID"), env("AWS_SECRET_ACCESS_KEY"));
        if identity.profile.is_empty() && !pair.0.is_empty() && !pair.1.is_empty() {
            return Ok(forever(pair.0, pair.1, env("AWS_SESSION_TOKEN")));
        }
        let mut profile = self.profile();
        if let (Some(access), Some(secret)) =
            (profile.remove("aws_access_key_id"), profile.remove("aws_secret_access_key"))
        {
            let token = profile.remove("aws_session_token").unwrap_or_default();
            return Ok(forever(access, secret, token));
        }
        let token_file = env("AWS_WEB_IDENTITY_TOKEN_FILE");
        if !token_file.is_empty() {
            return self.web_identity(region, &token_file).await;
        }
        if let Some(url) = self.container_url() {
            return self.container(&url?).await;
        }
        if env("AWS_EC2_METADATA_DISABLED").eq_ignore_ascii_case("true") {
            return Err(unavailable("no AWS credentials found"));
        }
        self.instance().await
    }

    /// The settings of the profile in the shared files; the credentials file wins.
    fn profile(&self) -> BTreeMap<String, String> {
        let env = |name: &str| (self.env)(name);
        let home = env("HOME").unwrap_or_default();
        let place = |variable: &str, name: &str| {
            env(variable)
                .map_or_else(|| PathBuf::from(&home).join(".aws").join(name), PathBuf::from)
        };
        let name = match self.identity.profile.as_str() {
            "" => env("AWS_PROFILE").unwrap_or_else(|| "default".to_owned()),
            name => name.to_owned(),
        };
        let read = |path: PathBuf| std::fs::read_to_string(path).unwrap_or_default();
        let mut found = section(&read(place("AWS_CONFIG_FILE", "config")), &name);
        let credentials = read(place("AWS_SHARED_CREDENTIALS_FILE", "credentials"));
        found.extend(section(&credentials, &name));
        found
    }

    async fn assume_role(
        &self,
        region: &str,
        with: &Credentials,
    ) -> Result<Credentials, SendError> {
        let now = self.clock.now();
        let mut form = vec![
            pair("Action", "AssumeRole"),
            pair("Version", "2011-06-15"),
            pair("RoleArn", &self.identity.role_arn),
            pair("RoleSessionName", &format!("tocsin-{}", now.as_millisecond())),
        ];
        if !self.identity.external_id.is_empty() {
            form.push(pair("ExternalId", &self.identity.external_id));
        }
        let request = sign("sts", region, self.sts(region)?, &form, with, now)?;
        self.ask_sts(request).await
    }

    async fn web_identity(&self, region: &str, file: &str) -> Result<Credentials, SendError> {
        let env = |name: &str| (self.env)(name).unwrap_or_default();
        let token = std::fs::read_to_string(file)
            .map_err(|error| SendError::network("read AWS_WEB_IDENTITY_TOKEN_FILE", error))?;
        let session = match env("AWS_ROLE_SESSION_NAME").as_str() {
            "" => format!("tocsin-{}", self.clock.now().as_millisecond()),
            name => name.to_owned(),
        };
        let form = [
            pair("Action", "AssumeRoleWithWebIdentity"),
            pair("Version", "2011-06-15"),
            pair("RoleArn", &env("AWS_ROLE_ARN")),
            pair("RoleSessionName", &session),
            pair("WebIdentityToken", token.trim()),
        ];
        let request = Request::with_body(Method::POST, self.sts(region)?, FORM, encode(&form));
        self.ask_sts(request).await
    }

    fn sts(&self, region: &str) -> Result<Url, SendError> {
        let url = (self.env)("AWS_ENDPOINT_URL_STS")
            .unwrap_or_else(|| format!("https://sts.{region}.amazonaws.com/"));
        super::parse_url(&url)
    }

    async fn ask_sts(&self, request: Request) -> Result<Credentials, SendError> {
        let answer = Box::pin(self.client.send(request)).await?;
        if !answer.success() {
            return Err(unavailable(&format!("AWS STS: {}", error_text(&answer))));
        }
        let body = String::from_utf8_lossy(&answer.body);
        let field = |name: &str| element(&body, name).unwrap_or_default();
        if field("AccessKeyId").is_empty() {
            return Err(unavailable("AWS STS: answer without credentials"));
        }
        Ok(Credentials {
            access_key: field("AccessKeyId"),
            secret_key: field("SecretAccessKey"),
            token: field("SessionToken"),
            expires_at: field("Expiration").parse().ok(),
        })
    }

    /// Where a container's credentials are, when it is told.
    fn container_url(&self) -> Option<Result<Url, SendError>> {
        let env = |name: &str| (self.env)(name);
        let relative = env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
        let url = relative.map(|path| format!("{CONTAINER}{path}"));
        let url = url.or_else(|| env("AWS_CONTAINER_CREDENTIALS_FULL_URI"))?;
        Some(super::parse_url(&url))
    }

    async fn container(&self, url: &Url) -> Result<Credentials, SendError> {
        let env = |name: &str| (self.env)(name);
        let from_file = |path: String| std::fs::read_to_string(path).unwrap_or_default();
        let token = env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
            .map(from_file)
            .or_else(|| env("AWS_CONTAINER_AUTHORIZATION_TOKEN"));
        let mut request = Request::new(Method::GET, url.clone());
        if let Some(token) = token {
            request = request.secret(AUTHORIZATION, token.trim())?;
        }
        let answer = self.metadata(request, "container credentials").await?;
        json_credentials(&answer)
    }

    async fn instance(&self) -> Result<Credentials, SendError> {
        let base = (self.env)("AWS_EC2_METADATA_SERVICE_ENDPOINT");
        let base = base.unwrap_or_else(|| METADATA.to_owned());
        let base = base.trim_end_matches('/');
        let url = |path: &str| super::parse_url(&format!("{base}{path}"));
        let life = HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");
        let request = Request::new(Method::PUT, url("/latest/api/token")?).secret(life, "300")?;
        let session = self.metadata(request, "instance metadata").await?.text();
        let ask = async |path: &str| {
            let name = HeaderName::from_static("x-aws-ec2-metadata-token");
            let request = Request::new(Method::GET, url(path)?).secret(name, &session)?;
            self.metadata(request, "instance metadata").await
        };
        let place = "/latest/meta-data/iam/security-credentials/";
        let role = ask(place).await?.text();
        let role = role.lines().next().unwrap_or("").trim();
        json_credentials(&ask(&format!("{place}{role}")).await?)
    }

    async fn metadata(&self, request: Request, what: &str) -> Result<Answer, SendError> {
        let ask = Box::pin(self.client.send(request));
        let answer = tokio::time::timeout(METADATA_TIMEOUT, ask)
            .await
            .map_err(|error| SendError::network(&format!("no AWS credentials: {what}"), error))?;
        let answer = answer.map_err(|error| error.prefixed("no AWS credentials"))?;
        if answer.success() {
            return Ok(answer);
        }
        Err(unavailable(&format!("no AWS credentials: {what} answered {}", answer.status)))
    }
}

fn forever(access_key: String, secret_key: String, token: String) -> Credentials {
    Credentials { access_key, secret_key, token, expires_at: None }
}

fn unavailable(what: &str) -> SendError {
    SendError::unavailable(what, FailureReason::Other)
}

/// A form field.
pub(super) fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn encode(form: &[(String, String)]) -> Vec<u8> {
    Serializer::new(String::new()).extend_pairs(form).finish().into_bytes()
}

/// What metadata services answer.
fn json_credentials(answer: &Answer) -> Result<Credentials, SendError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Reply {
        access_key_id: String,
        secret_access_key: String,
        #[serde(default)]
        token: String,
        #[serde(default)]
        expiration: String,
    }
    let reply: Reply = serde_json::from_slice(&answer.body)
        .map_err(|error| SendError::network("no AWS credentials: answer not understood", error))?;
    Ok(Credentials {
        access_key: reply.access_key_id,
        secret_key: reply.secret_access_key,
        token: reply.token,
        expires_at: reply.expiration.parse().ok(),
    })
}

/// The settings of `[name]` or `[profile name]` in a shared file.
fn section(text: &str, name: &str) -> BTreeMap<String, String> {
    let mut inside = false;
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let line = line.trim();
        if let Some(title) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let title = title.trim();
            inside = title.strip_prefix("profile ").map_or(title, str::trim) == name;
        } else if inside
            && !line.starts_with(['#', ';'])
            && let Some((key, value)) = line.split_once('=')
        {
            found.insert(key.trim().to_lowercase(), value.trim().to_owned());
        }
    }
    found
}

/// The text of the first element `name` in an XML answer.
pub(super) fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let unescaped = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
    Some(unescaped.replace("&apos;", "'").replace("&amp;", "&"))
}

/// Code and message of an XML error, or the body.
pub(super) fn error_text(answer: &Answer) -> String {
    let body = answer.text();
    match (element(&body, "Code"), element(&body, "Message")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        _ => body,
    }
}

/// Signs a POST of a form to the root of an endpoint.
fn sign(
    service: &str,
    region: &str,
    url: Url,
    form: &[(String, String)],
    credentials: &Credentials,
    now: Timestamp,
) -> Result<Request, SendError> {
    let body = encode(form);
    let stamp = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let day = &stamp[..8];
    let host = match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (host, _) => host.unwrap_or_default().to_owned(),
    };
    let mut headers = vec![("content-type", FORM), ("host", &host), ("x-amz-date", &stamp)];
    if !credentials.token.is_empty() {
        headers.push(("x-amz-security-token", &credentials.token));
    }
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let canonical = format!("POST\n{}\n\n{lines}\n{names}\n{}", url.path(), sha256(&body));
    let scope = format!("{day}/{region}/{service}/aws4_request");
    let text = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}", sha256(canonical.as_bytes()));
    let mut key = format!("AWS4{}", credentials.secret_key).into_bytes();
    for part in [day, region, service, "aws4_request"] {
        key = mac(&key, part);
    }
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={}",
        credentials.access_key,
        hex(&mac(&key, &text))
    );
    let mut request = Request::with_body(Method::POST, url, FORM, body).secret(DATE, &stamp)?;
    if !credentials.token.is_empty() {
        request = request.secret(TOKEN, &credentials.token)?;
    }
    request.secret(AUTHORIZATION, &authorization)
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::config::http::HttpConfig;
    use crate::notify::testing::{NOW, Reply, Server, parts};

    #[test]
    fn the_signature_is_amazons() {
        let form = [
            pair("Action", "Publish"),
            pair("Message", "a b&c/é"),
            pair("TopicArn", "arn:aws:sns:eu-west-1:1:t"),
        ];
        let url = Url::parse("https://sns.eu-west-1.amazonaws.com/").unwrap();
        let credentials = forever("AKID".to_owned(), "secret".to_owned(), "TOK".to_owned());
        let request =
            sign("sns", "eu-west-1", url, &form, &credentials, NOW.parse().unwrap()).unwrap();
        let expected = "AWS4-HMAC-SHA256 Credential=AKID/20240501/eu-west-1/sns/aws4_request, \
                        SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, \
                        Signature=334d036de3375d3c8df2556acc115e577a9fb1d12e557eebaf2a7cbdff07234f";
        assert_eq!(request.header_text("authorization"), expected);
    }

    #[test]
    fn a_profile_is_a_section() {
        let text = "[default]\nregion = a\n[profile p]\n# region = x\nregion=b\n[q]\nregion=c\n";
        for (name, region) in [("default", "a"), ("p", "b"), ("q", "c")] {
            assert_eq!(section(text, name)["region"], region, "{name}");
        }
        assert!(section(text, "none").is_empty());
    }

    #[test]
    fn an_element_is_found_and_unescaped() {
        assert_eq!(element("<A><B>x &lt;&amp;lt;</B></A>", "B").as_deref(), Some("x <&lt;"));
        assert_eq!(element("<A></A>", "B"), None);
    }

    fn signer(identity: Identity, env: &[(&str, &str)]) -> Signer {
        let env: HashMap<String, String> =
            env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let client = Client::build(&HttpConfig::default(), &parts()).unwrap();
        Signer::new(identity, client, parts().clock, Arc::new(move |name| env.get(name).cloned()))
    }

    async fn found(identity: Identity, env: &[(&str, &str)]) -> Result<Credentials, SendError> {
        signer(identity, env).credentials("r").await
    }

    fn keys(access: &str, secret: &str, token: &str) -> Credentials {
        forever(access.to_owned(), secret.to_owned(), token.to_owned())
    }

    #[tokio::test]
    async fn the_first_source_wins() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials");
        let text = "[default]\naws_access_key_id=d\naws_secret_access_key=ds\n\
                    [p]\naws_access_key_id=p\naws_secret_access_key=ps\naws_session_token=pt\n";
        std::fs::write(&path, text).unwrap();
        let file = ("AWS_SHARED_CREDENTIALS_FILE", path.to_str().unwrap());
        let pair = [
            ("AWS_ACCESS_KEY_ID", "e"),
            ("AWS_SECRET_ACCESS_KEY", "es"),
            ("AWS_SESSION_TOKEN", "et"),
        ];
        let all = [pair[0], pair[1], pair[2], file];
        let configured = Identity {
            access_key: "c".to_owned(),
            secret_key: "cs".to_owned(),
            ..Identity::default()
        };
        assert_eq!(found(configured, &all).await.unwrap(), keys("c", "cs", ""));
        assert_eq!(found(Identity::default(), &all).await.unwrap(), keys("e", "es", "et"));
        let profile = Identity { profile: "p".to_owned(), ..Identity::default() };
        assert_eq!(found(profile, &all).await.unwrap(), keys("p", "ps", "pt"));
        assert_eq!(found(Identity::default(), &[file]).await.unwrap(), keys("d", "ds", ""));
        let none = [("AWS_EC2_METADATA_DISABLED", "true")];
        assert!(found(Identity::default(), &none).await.unwrap_err().retry());
    }

    #[tokio::test]
    async fn a_role_is_borrowed_and_kept() {
        let xml = "<R><Credentials><AccessKeyId>r</AccessKeyId><SecretAccessKey>rs</SecretAccessKey>\
                   <SessionToken>rt</SessionToken><Expiration>2024-05-01T11:05:00Z</Expiration></Credentials></R>";
        let server = Server::start([Reply::text(200, xml)]).await;
        let identity = Identity {
            access_key: "c".to_owned(),
            secret_key: "cs".to_owned(),
            role_arn: "arn:role".to_owned(),
            external_id: "x".to_owned(),
            ..Identity::default()
        };
        let signer = signer(identity, &[("AWS_ENDPOINT_URL_STS", &server.url("/"))]);
        for _ in 0..2 {
            let found = signer.credentials("r").await.unwrap();
            assert_eq!((found.access_key.as_str(), found.token.as_str()), ("r", "rt"));
        }
        let asked = server.only();
        assert!(asked.body.contains("RoleArn=arn%3Arole") && asked.body.contains("ExternalId=x"));
        assert!(
            asked.header("authorization").contains("Credential=c/20240501/r/sts/"),
            "{asked:?}"
        );
    }

    #[tokio::test]
    async fn an_instance_has_a_role() {
        let json = r#"{"AccessKeyId":"i","SecretAccessKey":"is","Token":"it","Expiration":"2024-05-01T16:00:00Z"}"#;
        let answers =
            [Reply::text(200, "SESSION"), Reply::text(200, "web\n"), Reply::json(200, json)];
        let server = Server::start(answers).await;
        let env = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.url(""))];
        let found = found(Identity::default(), &[(env[0].0, &env[0].1)]).await.unwrap();
        assert_eq!((found.access_key.as_str(), found.token.as_str()), ("i", "it"));
        let seen = server.seen();
        assert_eq!(seen[2].line, "GET /latest/meta-data/iam/security-credentials/web HTTP/1.1");
        assert_eq!(seen[2].header("x-aws-ec2-metadata-token"), "SESSION");
    }

    #[tokio::test]
    async fn a_container_is_told_where_to_ask() {
        let json = r#"{"AccessKeyId":"c","SecretAccessKey":"cs","Token":"ct","Expiration":"2024-05-01T16:00:00Z"}"#;
        let server = Server::start([Reply::json(200, json)]).await;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "from-file\n").unwrap();
        let url = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", server.url("/creds"));
        let inline = ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "inline");
        let path = file.path().to_str().unwrap();
        let in_file = ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", path);
        for (env, token) in [
            (vec![(url.0, url.1.as_str())], ""),
            (vec![(url.0, url.1.as_str()), inline], "inline"),
            (vec![(url.0, url.1.as_str()), inline, in_file], "from-file"),
        ] {
            let found = found(Identity::default(), &env).await.unwrap();
            assert_eq!((found.access_key.as_str(), found.token.as_str()), ("c", "ct"));
            let seen = server.seen();
            let last = seen.last().unwrap();
            assert_eq!(
                (last.line.as_str(), last.header("authorization")),
                ("GET /creds HTTP/1.1", token)
            );
        }
        let error =
            found(Identity::default(), &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", "nowhere")]).await;
        assert!(error.is_err());
        let relative = signer(
            Identity::default(),
            &[("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x"), url_of(&url)],
        );
        let place = relative.container_url().unwrap().unwrap();
        assert_eq!(place.as_str(), "http://169.254.170.2/v2/x");
    }

    #[tokio::test]
    async fn a_container_without_an_answer_is_tried_again() {
        let server = Server::start([Reply::text(500, "no")]).await;
        let env = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", server.url("/"))];
        let error = found(Identity::default(), &[url_of(&env[0])]).await.unwrap_err();
        assert!(error.retry() && crate::notify::report(&error).contains("container"), "{error}");
    }

    fn url_of<'a>(pair: &'a (&'static str, String)) -> (&'static str, &'a str) {
        (pair.0, &pair.1)
    }
}
