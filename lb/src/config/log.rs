//! Where the access log goes, as the YAML file says it.

use std::path::PathBuf;

use tocsin_service::yaml::{Field, Section};

use super::flag::is_host_port;
use super::read::word;
use super::{Log, LogFormat, LogLevel, LogPrefix, LogTo};

/// Syslog's facilities in the order of their numbers.
pub(crate) const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "auth2",
    "ftp", "ntp", "audit", "alert", "cron2", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];

/// The list `log` of the section `global`; by default standard output.
pub(super) fn logs(global: &Section<'_>) -> Vec<Log> {
    let entries = global.list("log");
    if entries.is_empty() && !global.has("log") {
        return vec![Log::default()];
    }
    entries.iter().filter_map(Field::section).map(|section| log(&section)).collect()
}

fn log(section: &Section<'_>) -> Log {
    let default = Log::default();
    let formats = [("httplog", LogFormat::Httplog), ("json", LogFormat::Json)];
    let levels = [
        ("debug", LogLevel::Debug),
        ("info", LogLevel::Info),
        ("notice", LogLevel::Notice),
        ("warn", LogLevel::Warn),
        ("error", LogLevel::Error),
    ];
    let to = to(section);
    let auto = if to.is_syslog() { LogPrefix::Rfc3164 } else { LogPrefix::None };
    let prefixes = [
        ("auto", auto),
        ("none", LogPrefix::None),
        ("rfc3164", LogPrefix::Rfc3164),
        ("rfc5424", LogPrefix::Rfc5424),
    ];
    let facilities: Vec<_> = (0u8..).zip(FACILITIES).map(|(n, name)| (name, n)).collect();
    let tag = section.text_or("tag", &default.tag);
    if tag.is_empty() || tag.len() > 48 || !tag.bytes().all(|b| (b'!'..=b'~').contains(&b)) {
        section.mistake("tag is a word of at most 48 characters");
    }
    Log {
        to,
        format: word(section, "format", &formats, default.format),
        level: word(section, "level", &levels, default.level),
        prefix: word(section, "prefix", &prefixes, auto),
        facility: word(section, "facility", &facilities, default.facility),
        tag,
        separate_errors: section.bool_or("separate_errors", false),
    }
}

fn to(section: &Section<'_>) -> LogTo {
    let text = section.text_or("to", "stdout");
    let wrong = |why: &str| {
        let known = "stdout, stderr, an absolute path, udp://HOST:PORT, unix:///PATH";
        section.mistake(format!("{text:?} {why} {known}"));
        LogTo::Stdout
    };
    match text.as_str() {
        "stdout" => LogTo::Stdout,
        "stderr" => LogTo::Stderr,
        path if path.starts_with('/') => LogTo::File(PathBuf::from(path)),
        other => match other.split_once("://") {
            Some(("udp", address)) if is_host_port(address) => LogTo::Udp(address.to_owned()),
            Some(("unix", path)) if path.starts_with('/') => LogTo::Unix(PathBuf::from(path)),
            _ => wrong("is none of"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn read(log: &str) -> Result<Vec<Log>, String> {
        let text = format!("global: {{log: {log}}}\nbackends: [{{name: b, servers: ['a:1']}}]\n");
        parse(&text, "lb.yml").map(|c| c.log).map_err(|e| e.to_string())
    }

    #[test]
    fn each_target_has_its_own_form() {
        let logs = read(
            "[{to: stderr, format: json}, {to: 'udp://h:514', facility: local3, level: notice}, \
             {to: 'unix:///dev/log', prefix: rfc5424, tag: haproxy, separate_errors: true}]",
        )
        .unwrap();
        assert_eq!((&logs[0].to, logs[0].prefix), (&LogTo::Stderr, LogPrefix::None));
        assert_eq!((&logs[1].to, logs[1].facility), (&LogTo::Udp("h:514".into()), 19));
        assert_eq!((logs[1].prefix, logs[1].level), (LogPrefix::Rfc3164, LogLevel::Notice));
        assert_eq!((logs[2].prefix, logs[2].tag.as_str()), (LogPrefix::Rfc5424, "haproxy"));
        assert!(read("[]").unwrap().is_empty());
    }

    #[test]
    fn what_is_no_target_is_told() {
        for (log, why) in [
            ("[{to: syslog}]", "udp://HOST:PORT"),
            ("[{to: 'udp://h'}]", "udp://HOST:PORT"),
            ("[{to: stdout, facility: local8}]", "none of kern"),
            ("[{to: stdout, tag: 'a b'}]", "tag is a word"),
        ] {
            let error = read(log).expect_err(log);
            assert!(error.contains(why), "{why:?} not in {error}");
        }
    }
}
