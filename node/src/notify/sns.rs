//! Amazon SNS.

use tocsin_service::secret::Secret;

use crate::config::block::Block;
use crate::config::global::Global;
use crate::config::http::{HttpConfig, of_receiver};

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
