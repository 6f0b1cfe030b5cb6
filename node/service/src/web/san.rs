//! The names in a certificate: DNS names, e-mail and IP addresses, URIs of its subjectAltName.
//! A walk over DER that reads nothing else.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::certificate::element;

/// All names in the certificate; nothing when it is not a certificate.
pub(super) fn names(certificate: &[u8]) -> Option<Vec<String>> {
    let (certificate, _) = expect(certificate, SEQUENCE)?;
    let (mut body, _) = expect(certificate, SEQUENCE)?;
    // The extensions are the field with context tag 3.
    while !body.is_empty() {
        let (tag, value, rest) = element(body)?;
        if tag == 0xa3 {
            let (extensions, _) = expect(value, SEQUENCE)?;
            return Some(alternative_names(extensions).unwrap_or_default());
        }
        body = rest;
    }
    Some(Vec::new())
}

const SEQUENCE: u8 = 0x30;
const OBJECT: u8 = 0x06;
const BOOLEAN: u8 = 0x01;
const OCTETS: u8 = 0x04;
/// 2.5.29.17
const ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];

fn alternative_names(mut extensions: &[u8]) -> Option<Vec<String>> {
    while !extensions.is_empty() {
        let (extension, rest) = expect(extensions, SEQUENCE)?;
        extensions = rest;
        let (object, after) = expect(extension, OBJECT)?;
        if object != ALTERNATIVE_NAME {
            continue;
        }
        let after = expect(after, BOOLEAN).map_or(after, |(_, rest)| rest);
        let (value, _) = expect(after, OCTETS)?;
        let (mut list, _) = expect(value, SEQUENCE)?;
        let mut names = Vec::new();
        while !list.is_empty() {
            let (tag, value, rest) = element(list)?;
            names.extend(name(tag, value));
            list = rest;
        }
        return Some(names);
    }
    None
}

/// E-mail 1, DNS 2, URI 6, IP 7; others are passed over.
fn name(tag: u8, value: &[u8]) -> Option<String> {
    match tag {
        0x81 | 0x82 | 0x86 => String::from_utf8(value.to_vec()).ok(),
        0x87 => match value.len() {
            4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?).to_string()),
            16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(value).ok()?).to_string()),
            _ => None,
        },
        _ => None,
    }
}

/// The value of an element with this tag, and what follows it.
fn expect(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, value, rest) = element(bytes)?;
    (found == tag).then_some((value, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    #[test]
    fn names_of_every_kind_are_found() {
        let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.subject_alt_names.push(SanType::IpAddress("10.0.0.1".parse().unwrap()));
        params.subject_alt_names.push(SanType::Rfc822Name("a@b".try_into().unwrap()));
        params.subject_alt_names.push(SanType::URI("spiffe://x/y".try_into().unwrap()));
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let found = names(certificate.der()).unwrap();
        assert_eq!(found, ["a.example", "10.0.0.1", "a@b", "spiffe://x/y"]);
    }

    #[test]
    fn certificate_without_names_has_none() {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::default().self_signed(&key).unwrap();
        assert_eq!(names(certificate.der()), Some(Vec::new()));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = names(&bytes);
        }
    }
}
