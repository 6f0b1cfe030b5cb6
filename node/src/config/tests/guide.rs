//! The file of the guide, as it stands.

use std::time::Duration;

use super::{good, stable};
use crate::notify::Settings;

const GUIDE: &str = include_str!("guide.yml");

#[test]
fn the_guide_loads_as_it_stands() {
    let config = good(GUIDE);
    assert_eq!(config.receivers.len(), 3);
    assert_eq!(config.inhibit.len(), 1);
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let root = config.routes.get(config.routes.root()).unwrap();
    assert_eq!(&*root.receiver, "default");
    assert_eq!(root.repeat_interval, Duration::from_secs(12 * 3600));
    let keys: Vec<_> = config.routes.iter().map(|(_, route)| &*route.key).collect();
    assert_eq!(keys, ["{}/{severity=\"critical\"}", "{}/{severity=\"warning\"}", "{}"]);
    stable(&config);
}

#[test]
fn short_forms_of_mail_are_a_subject_and_a_text_without_html() {
    let config = good(GUIDE);
    let integration = &config.receivers[1].integrations[0];
    assert!(!integration.send_resolved);
    let Settings::Email(email) = &integration.config else { panic!("no mail") };
    let subject = "CRITICAL: {{ .GroupLabels.alertname }}".to_owned();
    assert_eq!(email.headers, [("Subject".to_owned(), subject)]);
    assert_eq!(email.html, "");
    assert!(email.text.starts_with("{{ range .Alerts }}\nAlert: "));
    assert!(email.text.ends_with("{{ end }}\n"));
    assert_eq!(email.smarthost.to_string(), "localhost:587");
    assert_eq!(email.from, "alertmanager@example.com");
    assert_eq!(email.hello, "localhost");
    assert!(email.require_tls);
}
