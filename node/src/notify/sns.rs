//! Amazon SNS.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tocsin_service::secret::Secret;
use tracing::warn;

use crate::config::block::Block;
use crate::config::global::Global;
use crate::config::http::{HttpConfig, of_receiver, Auth, Source};
use super::aws::{self, Identity, Signer, pair};
use super::call::Call;
use super::http::Client;
use super::{BuildError, FailureReason, Parts, SendError, Sent, cut, parse_url};

/// What an SNS integration needs to know.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct Config {
    pub api_url: String,
    pub sigv4: SigV4,
    pub topic_arn: String,
    pub phone_number: String,
    pub target_arn: String,
    pub subject: String,
    pub message: String,
    pub attributes: Vec<(String, String)>,
    pub use_aws_http_client: bool,
    pub http: HttpConfig,
}

/// Who signs the requests.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct SigV4 {
    pub region: String,
    pub access_key: String,
    pub secret_key: Secret,
    pub profile: String,
    pub role_arn: String,
    pub external_id: String,
}

/// Reads a block of `sns_configs`.
pub(crate) fn check(block: &mut Block<'_>, global: &Global) -> Config {
    let http = of_receiver(block, global);
    let api_url = block.text("api_url", "");
    let sigv4 = block.sub("sigv4", sigv4);
    if sigv4.is_none() {
        block.show("sigv4", tocsin_service::yaml::Value::Map(Vec::new()));
    }
    let topic_arn = block.text("topic_arn", "");
    let phone_number = block.text("phone_number", "");
    let target_arn = block.text("target_arn", "");
    let targets = [&topic_arn, &phone_number, &target_arn];
    if targets.iter().filter(|target| !target.is_empty()).count() != 1 {
        let message = "exactly one of topic_arn, phone_number & target_arn must be configured";
        block.section().mistake(message);
    }
    Config {
        http,
        api_url,
        sigv4: sigv4.unwrap_or_default(),
        topic_arn,
        phone_number,
        target_arn,
        subject: block.text("subject", r#"{{ template "sns.default.subject" . }}"#),
        message: block.text("message", r#"{{ template "sns.default.message" . }}"#),
        attributes: block.map("attributes"),
        use_aws_http_client: block.bool("use_aws_http_client", false),
    }
}

fn sigv4(block: &mut Block<'_>) -> SigV4 {
    let sigv4 = SigV4 {
        region: block.text("region", ""),
        access_key: block.text("access_key", ""),
        secret_key: block.secret("secret_key"),
        profile: block.text("profile", ""),
        role_arn: block.text("role_arn", ""),
        external_id: block.text("external_id", ""),
    };
    block.bool("use_fips_sts_endpoint", false);
    block.text("service_name", "");
    if sigv4.access_key.is_empty() != sigv4.secret_key.is_empty() {
        let message = "must provide an AWS SigV4 access key and secret key if credentials are specified in the SigV4 config";
        block.section().mistake(message);
    }
    if !sigv4.external_id.is_empty() && sigv4.role_arn.is_empty() {
        block.mistake_at("external_id", "external_id can only be used with role_arn");
    }
    sigv4
}

const TEXT_MAX_BYTES: usize = 256 << 10;
const PHONE_MAX_BYTES: usize = 1600;
/// Words of the service for "too fast", all told with status 400.
const THROTTLED: [&str; 4] =
    ["Throttling", "ThrottlingException", "RequestThrottled", "KMSThrottling"];

/// Publishes to one topic, endpoint or phone.
pub(crate) struct Sender {
    config: Config,
    client: Client,
    signer: Signer,
}

impl Sender {
    /// Prepares the clients; credentials are looked for at the first message.
    pub(crate) fn build(config: &Config, parts: &Parts) -> Result<Self, BuildError> {
        let http = http_config(config);
        let sigv4 = &config.sigv4;
        let identity = Identity {
            region: sigv4.region.clone(),
            access_key: sigv4.access_key.clone(),
            secret_key: sigv4.secret_key.reveal().to_owned(),
            profile: sigv4.profile.clone(),
            role_arn: sigv4.role_arn.clone(),
            external_id: sigv4.external_id.clone(),
        };
        // Metadata and token services want neither the authorization nor the headers of a receiver.
        let plain = HttpConfig { auth: Auth::None, headers: Vec::new(), ..http.clone() };
        let own = Client::build(&plain, parts)?;
        let clock = Arc::clone(&parts.clock);
        let signer = Signer::new(identity, own, clock, aws::environment());
        Ok(Self { config: config.clone(), client: Client::build(&http, parts)?, signer })
    }

    /// None of its own.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        None
    }

    /// One signed `Publish`.
    pub(crate) async fn send(&self, call: Call<'_>) -> Result<Sent, SendError> {
        let form = self.form(&call)?;
        let configured = call.text(&self.config.api_url)?;
        let region = self.signer.region()?;
        let url = match configured.as_str() {
            "" => format!("https://sns.{region}.amazonaws.com/"),
            url => url.to_owned(),
        };
        let request = self.signer.post("sns", &region, parse_url(&url)?, &form).await?;
        let answer = self.client.send(request).await?;
        if answer.success() {
            return Ok(Sent::default());
        }
        let detail = aws::error_text(&answer);
        if THROTTLED.iter().any(|word| detail.starts_with(word)) {
            return Err(SendError::unavailable(detail, FailureReason::RateLimited));
        }
        Err(answer.failure(&[], &detail))
    }

    fn form(&self, call: &Call<'_>) -> Result<Vec<(String, String)>, SendError> {
        let config = &self.config;
        let mut form = vec![pair("Action", "Publish"), pair("Version", "2010-03-31")];
        let mut limit = TEXT_MAX_BYTES;
        let mut fifo = false;
        if !config.topic_arn.is_empty() {
            let topic = call.text(&config.topic_arn)?;
            fifo = topic.ends_with(".fifo");
            form.push(pair("TopicArn", &topic));
        }
        if !config.phone_number.is_empty() {
            limit = PHONE_MAX_BYTES;
            form.push(pair("PhoneNumber", &call.text(&config.phone_number)?));
        }
        if !config.target_arn.is_empty() {
            form.push(pair("TargetArn", &call.text(&config.target_arn)?));
        }
        if !config.subject.is_empty() {
            form.push(pair("Subject", &call.text(&config.subject)?));
        }
        let message = call.text(&config.message)?;
        let kept = cut::prefix(&message, limit);
        form.push(pair("Message", kept));
        if fifo {
            form.push(pair("MessageDeduplicationId", &call.hash()));
            form.push(pair("MessageGroupId", &call.hash()));
        }
        for (number, (name, value)) in
            (1..).zip(self.attributes(call, kept.len() < message.len())?)
        {
            let entry = format!("MessageAttributes.entry.{number}");
            form.push((format!("{entry}.Name"), name));
            form.push((format!("{entry}.Value.DataType"), "String".to_owned()));
            form.push((format!("{entry}.Value.StringValue"), value));
        }
        form.sort();
        Ok(form)
    }

    fn attributes(
        &self,
        call: &Call<'_>,
        was_cut: bool,
    ) -> Result<BTreeMap<String, String>, SendError> {
        let mut attributes = BTreeMap::new();
        for (name, value) in &self.config.attributes {
            attributes.insert(call.text(name)?, call.text(value)?);
        }
        if was_cut {
            warn!(group_key = %call.context.group_key, "text cut to the receiver's limit");
            attributes.insert("truncated".to_owned(), "true".to_owned());
        }
        Ok(attributes)
    }
}

/// With `use_aws_http_client` only TLS and proxy settings count, and AWS's own bundle of roots.
fn http_config(config: &Config) -> HttpConfig {
    let bundle = std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty());
    let mut http = config.http.clone();
    if config.use_aws_http_client || bundle.is_some() {
        http = HttpConfig { tls: http.tls, proxy: http.proxy, ..HttpConfig::default() };
    }
    if let Some(path) = bundle
        && http.tls.ca.is_none()
    {
        http.tls.ca = Source::File(path.into());
    }
    http
}

#[cfg(test)]
mod tests_send {
    use expect_test::expect_file;

    use crate::notify::testing::*;

    const CONFIG: &str = "sns_configs:\n- api_url: URL\n  topic_arn: arn:aws:sns:eu-west-1:1:t.fifo\n  sigv4:\n    region: eu-west-1\n    access_key: AKID\n    secret_key: s\n  attributes:\n    sev: '{{ .CommonLabels.severity }}'";

    fn decoded(seen: &Seen) -> String {
        let pairs = url::form_urlencoded::parse(seen.body.as_bytes());
        pairs.map(|(name, value)| format!("{name}={value}\n")).collect()
    }

    #[tokio::test]
    async fn a_signed_form_is_posted() {
        let server = Server::start([Reply::text(200, "<PublishResponse/>")]).await;
        let seen = request_of(&server.notifier(CONFIG), &firing(), &server).await;
        expect_file!["golden/sns.txt"].assert_eq(&decoded(&seen));
        let signed = seen.header("authorization");
        assert!(signed.starts_with("AWS4-HMAC-SHA256 Credential=AKID/20240501/eu-west-1/sns/aws4_request, "), "{signed}");
        assert_eq!(seen.header("x-amz-date"), "20240501T100500Z");
    }

    #[tokio::test]
    async fn a_text_message_is_short() {
        let server = Server::start([Reply::text(200, "")]).await;
        let config = CONFIG.replace("topic_arn: arn:aws:sns:eu-west-1:1:t.fifo", "phone_number: '+1'\n  message: '{{ printf \"%1700s\" \"é\" }}é'");
        let seen = request_of(&server.notifier(&config), &firing(), &server).await;
        let text = decoded(&seen);
        assert!(text.contains(&format!("Message={}\n", " ".repeat(1600))), "{text}");
        assert!(text.contains("entry.2.Name=truncated\n"), "{text}");
        assert!(!text.contains("MessageGroupId"), "{text}");
    }

    #[tokio::test]
    async fn answers_are_classed_by_status_and_word() {
        let error = |code: &str| format!("<ErrorResponse><Error><Code>{code}</Code><Message>m</Message></Error></ErrorResponse>");
        let failure = async |status, code: &str| failure(CONFIG, Reply::text(status, &error(code))).await;
        assert_eq!(failure(403, "AuthorizationError").await, "final authError: unexpected status code 403: AuthorizationError: m");
        assert_eq!(failure(400, "Throttling").await, "retry rateLimited: Throttling: m");
        assert_eq!(failure(500, "InternalError").await, "retry serverError: unexpected status code 500: InternalError: m");
    }
}
