//! When certificates end, for the metric that warns of it. It reads the one field of a certificate that says so.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::yaml::{self, Kind, Node};

/// Name of the metric; its label is `file`, its value seconds since 1970.
pub const EXPIRY_METRIC: &str = "tocsin_certificate_expiry_timestamp_seconds";

/// The files that a `web.yml` or a cluster's TLS file names by `cert_file`, from the folder it is in.
#[must_use]
pub fn named_in(config: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(config).unwrap_or_default();
    let mut names = Vec::new();
    if let Ok(document) = yaml::parse(&text, "") {
        document.root().into_iter().for_each(|root| collect(root, &mut names));
    }
    let folder = config.parent().unwrap_or(Path::new(""));
    names.iter().map(|name| folder.join(name)).collect()
}

fn collect(node: &Node, names: &mut Vec<String>) {
    let Kind::Map(entries) = node.kind() else { return };
    for entry in entries.iter() {
        match entry.value.kind() {
            Kind::Scalar(name) if entry.key.text() == "cert_file" => {
                names.push(name.text().to_owned());
            }
            _ => collect(&entry.value, names),
        }
    }
}

/// The earliest end of the certificates in a PEM file; `None` if there is none that can be read.
#[must_use]
pub fn expiry(file: &Path) -> Option<Timestamp> {
    let certificates = CertificateDer::pem_file_iter(file).ok()?;
    certificates.filter_map(|certificate| not_after(&certificate.ok()?)).min()
}

/// `notAfter` out of a certificate: `SEQUENCE { tbs SEQUENCE { [0] version?, serial, algorithm, issuer, validity, …`.
fn not_after(certificate: &[u8]) -> Option<Timestamp> {
    let (_, mut tbs, _) = element(element(certificate)?.1)?;
    if element(tbs)?.0 == 0xa0 {
        tbs = element(tbs)?.2;
    }
    for _ in ["serial", "algorithm", "issuer"] {
        tbs = element(tbs)?.2;
    }
    let (_, validity, _) = element(tbs)?;
    let (_, _, after_begin) = element(validity)?;
    let (tag, end, _) = element(after_begin)?;
    moment(tag, std::str::from_utf8(end).ok()?)
}

/// Tag, content, and what follows, of the first element of DER.
pub(crate) fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |length, &digit| length << 8 | usize::from(digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// `UTCTime` (`YYMMDDhhmmssZ`, 1950 to 2049) or `GeneralizedTime` (`YYYYMMDDhhmmssZ`).
fn moment(tag: u8, text: &str) -> Option<Timestamp> {
    let whole = match tag {
        0x17 if text.get(..2)? < "50" => format!("20{text}"),
        0x17 => format!("19{text}"),
        0x18 => text.to_owned(),
        _ => return None,
    };
    let end = jiff::civil::DateTime::strptime("%Y%m%d%H%M%SZ", whole).ok()?;
    jiff::tz::TimeZone::UTC.to_timestamp(end).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(year: i32, expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 3, 4);
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        std::fs::write(folder.path().join("c.pem"), pem).unwrap();
        let config = folder.path().join("web.yml");
        std::fs::write(&config, "tls_server_config: {cert_file: c.pem, key_file: k}\n").unwrap();
        let [file] = &named_in(&config)[..] else { panic!("one file") };
        assert_eq!(expiry(file).unwrap().to_string(), expected);
    }

    #[test]
    fn end_is_read_in_both_forms() {
        check(2031, "2031-03-04T00:00:00Z");
        check(2099, "2099-03-04T00:00:00Z");
    }

    #[test]
    fn garbage_has_no_end() {
        assert_eq!(not_after(b""), None);
        assert_eq!(not_after(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 1]), None);
        assert_eq!(expiry(Path::new("/nowhere")), None);
    }
}
