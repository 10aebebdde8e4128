//! Who a span is, and how that travels between processes: W3C Trace Context, level 1 (W3C Recommendation of 2021-11-23, read
//! 2026-11-25).
//!
//! What comes from outside is read strictly: whatever is not exactly a `traceparent` is as if it were not there, and a `tracestate` goes
//! along only with a good one. A later version of the header is read as far as this one goes, as the recommendation asks.

use std::{fmt, sync::Arc};

/// A longer `tracestate` is left out whole: one that was cut could be read as another.
const STATE_BYTES_MAX: usize = 512;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TraceId(pub [u8; 16]);

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SpanId(pub [u8; 8]);

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One span, as another process may know it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TraceContext {
    pub trace: TraceId,
    pub span: SpanId,
    /// Whether it is recorded; whoever continues the trace does the same.
    pub sampled: bool,
    /// What other systems put beside it. It is passed on as it came.
    pub state: Option<Arc<str>>,
}

impl TraceContext {
    /// Reads the headers `traceparent` and `tracestate`. Nothing: there is no trace to continue.
    pub fn parse(parent: &str, state: Option<&str>) -> Option<Self> {
        let (version, rest) = parent.split_once('-')?;
        let version = hex::<1>(version)?[0];
        let mut parts = rest.split('-');
        let (trace, span, flags) = (hex(parts.next()?)?, hex(parts.next()?)?, hex::<1>(parts.next()?)?[0]);
        let is_whole = match version {
            0xff => false,
            0 => parts.next().is_none(),
            _ => true,
        };
        if !is_whole || trace == [0; 16] || span == [0; 8] {
            return None;
        }
        let state = state.map(str::trim).filter(|state| is_state(state)).map(Arc::from);
        Some(Self { trace: TraceId(trace), span: SpanId(span), sampled: flags & 1 == 1, state })
    }

    /// The header `traceparent`.
    pub fn parent(&self) -> String {
        format!("00-{}-{}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

/// So many bytes in small letters, as the recommendation has them.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

/// Members are `name=value`, split by commas; what is in them is the matter of whoever put them there.
fn is_state(state: &str) -> bool {
    let is_visible = state.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let is_member = |member: &str| member.trim().is_empty() || member.contains('=');
    !state.is_empty() && state.len() <= STATE_BYTES_MAX && is_visible && state.split(',').all(is_member)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_good_header_is_read_and_written_as_it_came() {
        let read = TraceContext::parse(GOOD, Some("congo=t61rcWkgMzE, rojo=00f067aa0ba902b7")).unwrap();
        assert_eq!(read.parent(), GOOD);
        assert_eq!((read.trace.to_string(), read.sampled), ("4bf92f3577b34da6a3ce929d0e0e4736".to_owned(), true));
        assert_eq!(read.state.as_deref(), Some("congo=t61rcWkgMzE, rojo=00f067aa0ba902b7"));
        let unsampled = TraceContext::parse(&GOOD.replace("-01", "-00"), None).unwrap();
        assert!(!unsampled.sampled && unsampled.state.is_none());
        assert!(TraceContext::parse(&GOOD.replace("-01", "-03"), None).unwrap().sampled, "only the last bit counts");
    }

    #[test]
    fn a_later_version_is_read_as_far_as_this_one_goes() {
        let later = GOOD.replacen("00", "cc", 1);
        assert_eq!(TraceContext::parse(&format!("{later}-what-the-future-has"), None).unwrap().parent(), GOOD);
        assert!(TraceContext::parse(&later, None).is_some());
    }

    #[test]
    fn whatever_is_not_exactly_a_header_is_as_if_it_were_not_there() {
        let zeros = |count| "0".repeat(count);
        for bad in [
            "",
            "00",
            "00-",
            "4bf92f3577b34da6a3ce929d0e0e4736",
            &GOOD.to_uppercase(),
            &GOOD.replace("4bf9", "4Bf9"),
            &GOOD.replace("4bf9", "4bg9"),
            &GOOD.replacen("00", "ff", 1),
            &GOOD.replacen("00", "0", 1),
            &format!("{GOOD}-"),
            &format!("{GOOD}-00"),
            &format!(" {GOOD}"),
            &format!("{GOOD} "),
            &format!("{GOOD}0"),
            &GOOD[..54],
            &GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &zeros(32)),
            &GOOD.replace("00f067aa0ba902b7", &zeros(16)),
            &GOOD.replace("00f067aa0ba902b7", &zeros(14)),
            &GOOD.replace('-', "_"),
            "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::parse(bad, Some("a=b")), None, "{bad}");
        }
    }

    #[test]
    fn a_bad_tracestate_goes_and_its_traceparent_stays() {
        let long = format!("a={}", "x".repeat(STATE_BYTES_MAX));
        for bad in ["", "  ", "no member", "a=b\u{7f}", "a=é", &long] {
            assert_eq!(TraceContext::parse(GOOD, Some(bad)).unwrap().state, None, "{bad}");
        }
    }
}
