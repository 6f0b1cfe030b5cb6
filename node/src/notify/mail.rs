//! The text of a mail: addresses, headers, parts. It knows neither SMTP nor alerts.

use std::collections::BTreeMap;
use std::fmt::Write;

use jiff::civil::Weekday;
use jiff::{Timestamp, ZonedDateTime};
use lettre::Address;
use lettre::message::header::{ContentTransferEncoding, ContentType};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::extension::ClientId;

use super::SendError;

/// An encoded word of RFC 2047 has at most 75 characters; this leaves room for its frame.
const WORD_MAX_BYTES: usize = 75 - "=?utf-8?q??=".len();

/// The addresses of a header such as `Ops <ops@example.org>, root@example.org`; empty members are
/// skipped.
/// # Errors
/// Names the member that is no address, or says that there is none.
pub(super) fn addresses(text: &str) -> Result<Vec<Address>, SendError> {
    let members: Vec<&str> =
        members(text).into_iter().map(str::trim).filter(|member| !member.is_empty()).collect();
    if members.is_empty() {
        return Err(SendError::invalid(format!("no address in {text:?}")));
    }
    let parse = |member: &str| {
        member
            .parse::<Mailbox>()
            .map(|mailbox| mailbox.email)
            .map_err(|error| SendError::unmade(format!("parse address {member:?}"), error))
    };
    members.into_iter().map(parse).collect()
}

/// Splits at commas outside of quotes, angle brackets and comments.
fn members(text: &str) -> Vec<&str> {
    let (mut quoted, mut escaped, mut depth) = (false, false, 0_u32);
    text.split(|c| {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' | '(' if !quoted => depth += 1,
            '>' | ')' if !quoted => depth = depth.saturating_sub(1),
            ',' => return !quoted && depth == 0,
            _ => {}
        }
        false
    })
    .collect()
}

/// `<nanoseconds.random@host>`
pub(super) fn message_id(now: Timestamp) -> String {
    let host = match ClientId::default() {
        ClientId::Domain(host) if host.is_ascii() && !host.is_empty() => host,
        _ => "localhost.localdomain".to_owned(),
    };
    let random = getrandom::u64().unwrap_or_default();
    format!("<{}.{random}@{host}>", now.as_nanosecond())
}

/// The id that all mails of a group, or of a group and a day, refer to; no mail has it.
pub(super) fn thread_id(hash: &str, now: &ZonedDateTime, by_date: bool) -> String {
    let day = if by_date { now.date().to_string() } else { String::new() };
    format!("<alert-{}-{day}@alertmanager>", &hash[..16.min(hash.len())])
}

/// The mail as it is sent: headers (From, To, Subject, then by name), then the parts that are not
/// empty, plain text first, as quoted-printable.
pub(super) fn write(
    headers: &BTreeMap<String, String>,
    now: &ZonedDateTime,
    text: &str,
    html: &str,
) -> Vec<u8> {
    let mut head = String::new();
    let first = ["From", "To", "Subject"];
    let rest = headers.keys().map(String::as_str).filter(|name| !first.contains(name));
    for name in first.into_iter().chain(rest) {
        if let Some(value) = headers.get(name) {
            let _ = write!(head, "{name}: {}\r\n", encoded(value));
        }
    }
    let _ = write!(head, "Date: {}\r\nMIME-Version: 1.0\r\n", date(now));
    let mut bytes = head.into_bytes();
    bytes.extend(parts(text, html).formatted());
    bytes
}

fn parts(text: &str, html: &str) -> MultiPart {
    let mut parts = MultiPart::alternative().boundary(boundary()).build();
    for (body, kind) in [(text, ContentType::TEXT_PLAIN), (html, ContentType::TEXT_HTML)] {
        if !body.is_empty() {
            let part = SinglePart::builder()
                .header(ContentTransferEncoding::QuotedPrintable)
                .header(kind)
                .body(body.to_owned());
            parts = parts.singlepart(part);
        }
    }
    parts
}

fn boundary() -> String {
    let mut random = [0_u8; 30];
    let _ = getrandom::fill(&mut random);
    super::call::hex(&random)
}

/// RFC 1123 with a numeric zone.
fn date(now: &ZonedDateTime) -> String {
    let day = match now.weekday() {
        Weekday::Monday => "Mon",
        Weekday::Tuesday => "Tue",
        Weekday::Wednesday => "Wed",
        Weekday::Thursday => "Thu",
        Weekday::Friday => "Fri",
        Weekday::Saturday => "Sat",
        Weekday::Sunday => "Sun",
    };
    format!("{day}, {}", now.strftime("%d %b %Y %H:%M:%S %z"))
}

/// A header's value: as it is when printable ASCII, else in words of RFC 2047, unfolded as
/// upstream. Line feeds are encoded too, so no value can become a header of its own.
fn encoded(value: &str) -> String {
    if value.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte)) {
        return value.to_owned();
    }
    let mut words = vec![String::new()];
    for c in value.chars() {
        let code = encoded_char(c);
        if words.last().is_some_and(|word| word.len() + code.len() > WORD_MAX_BYTES) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push_str(&code);
        }
    }
    let framed: Vec<String> = words.iter().map(|word| format!("=?utf-8?q?{word}?=")).collect();
    framed.join(" ")
}

fn encoded_char(c: char) -> String {
    match c {
        ' ' => "_".to_owned(),
        '!'..='~' if !matches!(c, '=' | '?' | '_') => c.to_string(),
        _ => {
            let mut utf8 = [0; 4];
            c.encode_utf8(&mut utf8).bytes().map(|byte| format!("={byte:02X}")).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::{Offset, TimeZone};
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check_addresses(text: &str, expected: &[&str]) {
        let found: Vec<String> = addresses(text).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn lists_have_names_commas_and_holes() {
        check_addresses("a@x.org", &["a@x.org"]);
        check_addresses("a@x.org, ,b@y.org,", &["a@x.org", "b@y.org"]);
        check_addresses(r#""Doe, John" <j@x.org>, Ops <o@x.org>"#, &["j@x.org", "o@x.org"]);
        for bad in ["", " , ", "nobody", "a@x.org b@y.org", "a@x.org\r\nRCPT TO:<b@y.org>"] {
            assert!(addresses(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_printable_ascii_is_sent_as_it_is() {
        assert_eq!(encoded("a =?b_c\t"), "a =?b_c\t");
        assert_eq!(encoded("ü a=b"), "=?utf-8?q?=C3=BC_a=3Db?=");
        assert_eq!(encoded("a\r\nBcc: x"), "=?utf-8?q?a=0D=0ABcc:_x?=");
        let long = encoded(&"é".repeat(30));
        let words: Vec<&str> = long.split(' ').collect();
        assert_eq!((words.len(), words[0].len()), (3, 72));
    }

    proptest! {
        #[test]
        fn no_value_breaks_out_of_its_header(value in any::<String>()) {
            let encoded = encoded(&value);
            prop_assert!(!encoded.contains(['\r', '\n']));
            prop_assert!(encoded.is_ascii());
        }

        #[test]
        fn addresses_never_panic(text in any::<String>()) {
            let _ = addresses(&text);
        }
    }

    #[test]
    fn a_thread_is_a_group_or_a_group_and_a_day() {
        let now: Timestamp = "2026-11-24T23:30:00Z".parse().unwrap();
        let berlin = now.to_zoned_datetime(TimeZone::fixed(Offset::constant(1)));
        let hash = "17c4e445d234645c9e547ff6d32a864a";
        assert_eq!(
            thread_id(hash, &berlin, true),
            "<alert-17c4e445d234645c-2026-11-25@alertmanager>"
        );
        assert_eq!(thread_id(hash, &berlin, false), "<alert-17c4e445d234645c-@alertmanager>");
        assert_eq!(date(&berlin), "Wed, 25 Nov 2026 00:30:00 +0100");
    }

    #[test]
    fn parts_without_text_are_left_out() {
        let headers = BTreeMap::from([
            ("X-A".to_owned(), "1".to_owned()),
            ("Subject".to_owned(), "s".to_owned()),
            ("From".to_owned(), "a@x.org".to_owned()),
        ]);
        let now = Timestamp::UNIX_EPOCH.to_zoned_datetime(TimeZone::UTC);
        let mail = String::from_utf8(write(&headers, &now, "täxt\n", "")).unwrap();
        assert!(mail.starts_with("From: a@x.org\r\nSubject: s\r\nX-A: 1\r\nDate: "), "{mail}");
        assert!(mail.contains("Content-Type: multipart/alternative;"), "{mail}");
        assert!(mail.contains("t=C3=A4xt"), "{mail}");
        assert!(!mail.contains("text/html"), "{mail}");
        assert!(!mail.replace("\r\n", "").contains('\n'), "bare line feed in {mail}");
    }
}
