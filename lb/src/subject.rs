//! The common name in a certificate's subject: a walk over DER that reads nothing else. Pure.

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT: u8 = 0x06;
/// Explicit version of the certificate.
const VERSION: u8 = 0xa0;
/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// The last common name of the subject, if it is plain text that may stand in a header.
pub(crate) fn common_name(certificate: &[u8]) -> Option<String> {
    let (certificate, _) = expect(certificate, SEQUENCE)?;
    let (mut body, _) = expect(certificate, SEQUENCE)?;
    if body.first() == Some(&VERSION) {
        body = element(body)?.2;
    }
    // Serial number, algorithm, issuer, validity.
    for _ in 0..4 {
        body = element(body)?.2;
    }
    let (mut names, _) = expect(body, SEQUENCE)?;
    let mut found = None;
    while !names.is_empty() {
        let (set, rest) = expect(names, SET)?;
        names = rest;
        let (pair, _) = expect(set, SEQUENCE)?;
        let (object, after) = expect(pair, OBJECT)?;
        if object == COMMON_NAME {
            found = Some(element(after)?.1);
        }
    }
    let text = std::str::from_utf8(found?).ok()?;
    let legal = !text.is_empty() && text.len() <= 256 && text.chars().all(|c| !c.is_control());
    legal.then(|| text.to_owned())
}

/// Tag and content of the first element, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |n, digit| n << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

fn expect(bytes: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = element(bytes)?;
    (tag == wanted).then_some((content, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn certificate(name: &str) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new(vec!["other".to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "us");
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_subjects_name_is_found() {
        assert_eq!(common_name(&certificate("prometheus 1")).as_deref(), Some("prometheus 1"));
        assert_eq!(common_name(&certificate("a\r\nX: b")), None);
        assert_eq!(common_name(b""), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(at in 0usize..400, byte: u8, len in 0usize..500) {
            let mut bytes = certificate("x");
            let n = bytes.len();
            bytes[at % n] = byte;
            bytes.truncate(len);
            let _ = common_name(&bytes);
        }
    }
}
