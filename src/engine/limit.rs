//! When a run refuses too much: a mistake in a mapping or at the sink should not turn a whole stream into dead letters.

use crate::{
    config::plan::Limits,
    model::{Blame, Code, Counts, Disposition, Fault},
};

/// How much of a run may be refused.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RejectLimit(pub Limits);

impl RejectLimit {
    /// The fault that ends the run, once more is refused or parked than the pipeline allows.
    pub fn check(&self, counts: &Counts) -> Result<(), Fault> {
        let Limits { share, count, sample } = self.0;
        let (refused, verdicts) = (counts.dead_letters(), counts.verdicts());
        let allowed = match (share, count) {
            (Some(share), _) if verdicts >= sample && refused as f64 > share * verdicts as f64 => {
                format!("{}%", (share * 100_000.0).round() / 1_000.0)
            }
            (_, Some(count)) if refused > count => count.to_string(),
            _ => return Ok(()),
        };
        let message = format!("{refused} of {verdicts} records were refused or parked; the pipeline allows {allowed}");
        Err(Fault::halt(Code::RejectLimit, Blame::Record, message).with(Disposition::Park).help(
            "Nothing is lost: the checkpoint stands behind the last record with a verdict, each refused record is a dead \
             letter, and what is staged waits in the outbox. See renkei dead-letters list for the reasons, mend the pipeline \
             or the sink, run again, and then renkei dead-letters replay.",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(limits: Limits, created: u64, rejected: u64, parked: u64) -> Option<Fault> {
        RejectLimit(limits).check(&Counts { created, rejected, parked, ..Counts::default() }).err()
    }

    #[test]
    fn a_share_counts_from_its_sample_on_and_a_number_at_once() {
        let share = Limits { share: Some(0.02), count: None, sample: 100 };
        assert_eq!(check(share, 0, 99, 0), None);
        assert_eq!(check(share, 98, 1, 1), None);
        let over = check(share, 97, 2, 1).unwrap();
        assert_eq!((over.code, over.disposition), (Code::RejectLimit, Disposition::Park));
        assert_eq!(over.message, "3 of 100 records were refused or parked; the pipeline allows 2%");
        let count = Limits { share: None, count: Some(2), sample: 100 };
        assert_eq!(check(count, 0, 2, 0), None);
        assert!(check(count, 0, 2, 1).is_some());
    }
}
