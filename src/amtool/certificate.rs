//! Why a server's certificate is not accepted, in words that say what to do.

use std::error::Error;
use std::io;

use rustls::CertificateError;

/// The words, when that is what an error is about.
pub(super) fn refusal(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(inner) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        return refusal(inner);
    }
    match error.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(why) => Some(words(why)),
        _ => None,
    }
}

fn words(why: &CertificateError) -> String {
    let what = match why {
        CertificateError::UnknownIssuer => {
            "is signed by no authority known here: name its file as ca_file of the tls_config in --http.config.file"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet: do both clocks agree?"
        }
        // The library has no variant for it.
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "is that of an authority (CA:TRUE), which no server may use as its own"
        }
        other => return format!("the server's certificate is not accepted: {other}"),
    };
    format!("the server's certificate {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(why: CertificateError) -> io::Error {
        io::Error::other(io::Error::other(rustls::Error::InvalidCertificate(why)))
    }

    #[track_caller]
    fn check(why: CertificateError, expected: &str) {
        let told = refusal(&failed(why)).unwrap();
        assert!(
            told.starts_with("the server's certificate ") && told.ends_with(expected),
            "{told}"
        );
    }

    #[test]
    fn certificates_are_refused_in_words() {
        check(CertificateError::Expired, "has expired");
        check(CertificateError::NotValidYet, "do both clocks agree?");
        check(CertificateError::UnknownIssuer, "in --http.config.file");
        check(CertificateError::Revoked, "is not accepted: Revoked");
    }

    #[test]
    fn other_errors_are_left_alone() {
        assert_eq!(refusal(&io::Error::other("x")), None);
        assert_eq!(refusal(&io::Error::other(rustls::Error::DecryptError)), None);
    }
}
