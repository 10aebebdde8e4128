//! Which traces are sent. The decision is made once, where a trace begins, from its id alone, so that everybody who sees the same id
//! decides the same.

use crate::telemetry::trace_context::TraceId;

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Sampler {
    Never,
    /// This share of the traces, from 0 to 1. `follow`: a request that brings a trace along has decided already.
    Share {
        share: f64,
        follow: bool,
    },
}

impl Sampler {
    /// `parent`: what whoever began the trace decided.
    pub fn decides(self, trace: TraceId, parent: Option<bool>) -> bool {
        match (self, parent) {
            (Self::Never, _) => false,
            (Self::Share { follow: true, .. }, Some(sampled)) => sampled,
            (Self::Share { share, .. }, _) => below(trace, share),
        }
    }
}

/// The last 63 bits of an id against the same share of all numbers that they make.
fn below(trace: TraceId, share: f64) -> bool {
    let [.., a, b, c, d, e, f, g, h] = trace.0;
    let place = u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1;
    share >= 1.0 || place < (share * (1_u64 << 63) as f64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Entropy, SystemEntropy};

    #[test]
    fn a_share_of_the_traces_is_taken_and_the_same_ones_each_time() {
        let dice = SystemEntropy::seeded(7);
        let ids: Vec<TraceId> = (0..10_000)
            .map(|_| TraceId((u128::from(dice.bits()) << 64 | u128::from(dice.bits())).to_be_bytes()))
            .collect();
        let taken = |share| {
            let sampler = Sampler::Share { share, follow: true };
            ids.iter().filter(|id| sampler.decides(**id, None)).map(|id| id.0).collect::<Vec<_>>()
        };
        assert_eq!((taken(0.0).len(), taken(1.0).len()), (0, 10_000));
        assert!((2_300..2_700).contains(&taken(0.25).len()), "{}", taken(0.25).len());
        assert!(taken(0.25).iter().all(|id| taken(0.5).contains(id)), "a larger share holds the smaller one");
    }

    #[test]
    fn whoever_began_a_trace_has_decided_unless_it_is_said_otherwise() {
        let id = TraceId([0xff; 16]);
        let decides = |sampler: Sampler, parent| sampler.decides(id, parent);
        assert!(decides(Sampler::Share { share: 0.0, follow: true }, Some(true)));
        assert!(!decides(Sampler::Share { share: 1.0, follow: true }, Some(false)));
        assert!(decides(Sampler::Share { share: 1.0, follow: false }, Some(false)));
        assert!(!decides(Sampler::Never, Some(true)));
    }
}
