//! Where a span belongs: the identities of its trace and of itself, as W3C Trace Context writes them.

use std::fmt;
use std::sync::Arc;

/// As much of a foreign `tracestate` is handed on; a longer one is dropped, as the standard allows.
const STATE_MAX_BYTES: usize = 512;

/// The identity of a span.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TraceContext {
    pub(super) trace: [u8; 16],
    pub(super) span: [u8; 8],
    /// Whether anybody keeps this trace; all its spans are kept or none.
    pub(super) sampled: bool,
    /// What others wrote about the trace.
    pub(super) state: Option<Arc<str>>,
}

impl TraceContext {
    /// A new trace, kept with probability `fraction`. The decision is upstream's, a function of the trace's identity.
    pub(super) fn root(fraction: f64) -> Self {
        let trace: [u8; 16] = random();
        let sampled = is_sampled(trace, fraction);
        Self { trace, span: random(), sampled, state: None }
    }

    /// Another span of the same trace.
    pub(super) fn child(&self) -> Self {
        Self { span: random(), ..self.clone() }
    }

    /// The sender's span. `None` on what the standard calls invalid.
    pub(super) fn parse(parent: &str, state: Option<&str>) -> Option<Self> {
        let mut parts = parent.split('-');
        let mut next = || parts.next();
        let [version] = hex::<1>(next()?)?;
        let trace = hex::<16>(next()?)?;
        let span = hex::<8>(next()?)?;
        let [flags] = hex::<1>(next()?)?;
        let rest = next();
        let invalid = version == 0xff || (version == 0 && (rest.is_some() || 3 <= flags));
        if invalid || trace == [0; 16] || span == [0; 8] {
            return None;
        }
        let state = state.filter(|state| !state.is_empty() && state.len() <= STATE_MAX_BYTES);
        Some(Self { trace, span, sampled: flags & 1 == 1, state: state.map(Arc::from) })
    }
}

/// Writes `traceparent`.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("00-")?;
        self.trace.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("-")?;
        self.span.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, "-{:02x}", u8::from(self.sampled))
    }
}

/// Source: OpenTelemetry's `TraceIDRatioBased`.
fn is_sampled(trace: [u8; 16], fraction: f64) -> bool {
    let [.., a, b, c, d, e, f, g, h] = trace;
    let x = u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1;
    #[expect(clippy::cast_precision_loss, reason = "a probability")]
    let part = x as f64 / (1_u64 << 63) as f64;
    1.0 <= fraction || part < fraction
}

/// Lower-case hexadecimal digits, two a byte.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// Random, and never all zero, which would be no identity.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Without a source of randomness all spans look alike; nothing but traces is lost by that.
    if getrandom::fill(&mut bytes).is_err() || bytes == [0; N] {
        bytes[0] = 1;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_is_read_is_written_again() {
        let context = TraceContext::parse(PARENT, Some("a=b")).unwrap();
        assert_eq!(context.to_string(), PARENT);
        assert_eq!(context.child().trace, context.trace);
        assert_eq!(context.child().state.as_deref(), Some("a=b"));
        let newer = format!("cc{}-what", &PARENT[2..]);
        assert!(TraceContext::parse(&newer, None).unwrap().sampled);
    }

    #[test]
    fn invalid_parents_are_none() {
        for bad in [
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
        ] {
            assert_eq!(TraceContext::parse(bad, None), None, "{bad}");
        }
    }

    #[test]
    fn a_fraction_of_traces_is_kept() {
        let kept = |fraction| (0..4000).filter(|_| TraceContext::root(fraction).sampled).count();
        assert_eq!((kept(0.0), kept(1.0)), (0, 4000));
        let quarter = kept(0.25);
        assert!((800..1200).contains(&quarter), "{quarter}");
    }
}
