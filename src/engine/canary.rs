//! The first records of a run go alone, and what follows is only prepared once their verdicts are there and good.
//!
//! Nothing new is made durable for it. A page is cut where the canary ends, as it is cut before a key that stands in it twice: every part
//! but the last leaves the checkpoint where the page began. So what is held back was never staged, and whatever happens the next run
//! meets it again; and what the canary delivered is known by its links. The one rule: **while a canary is out, nothing else is staged.**

use super::{Engine, prepare::Drafted, stream_id};
use crate::{
    config::plan::{self, Pipeline},
    model::{Blame, Checkpoint, Code, Counts, Disposition, Fault},
    store::{RunState, StreamId},
};

/// How many records go first, and how many of them must go well.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Canary {
    pub size: u64,
    /// From 0 to 1.
    pub success: f64,
}

impl Canary {
    /// Of so many records that the last run that was done had to write.
    pub fn of(plan: &plan::Canary, last: u64) -> Self {
        Self { size: plan.min.max((plan.share * last as f64) as u64), success: plan.success }
    }
}

/// What stands between a canary and the records behind it. Open from the beginning where there is none.
pub struct Gate {
    canary: Option<Canary>,
    sent: u64,
    before: Counts,
}

impl Gate {
    /// A gate of a run that has these counts so far.
    pub fn new(canary: Option<Canary>, before: Counts) -> Self {
        Self { canary, sent: 0, before }
    }

    pub fn is_open(&self) -> bool {
        self.canary.is_none()
    }

    /// As much of what was drafted as may go now, and the rest. The page begins at `at`.
    pub fn cut(&self, drafted: Drafted, at: &Checkpoint) -> (Drafted, Option<Drafted>) {
        match self.canary {
            Some(canary) => drafted.cut(usize::try_from(canary.size - self.sent).unwrap_or(usize::MAX), at),
            None => (drafted, None),
        }
    }

    /// Notes what went, and says whether the canary is out.
    pub fn goes(&mut self, records: u64) -> bool {
        let Some(canary) = self.canary else { return false };
        self.sent = (self.sent + records).min(canary.size);
        self.sent == canary.size
    }

    /// Opens, when what came of the canary is good.
    pub fn judge(&mut self, now: &Counts, stream: &StreamId) -> Result<(), Fault> {
        let Some(canary) = self.canary else { return Ok(()) };
        let written = |counts: &Counts| counts.created + counts.updated + counts.deleted;
        let bad = now.dead_letters().saturating_sub(self.before.dead_letters());
        let all = (written(now).saturating_sub(written(&self.before)) + bad).max(self.sent);
        if bad as f64 > (1.0 - canary.success) * all as f64 + 1e-9 {
            return Err(held(stream, canary, bad, all));
        }
        self.canary = None;
        Ok(())
    }
}

fn held(StreamId { pipeline, .. }: &StreamId, canary: Canary, bad: u64, all: u64) -> Fault {
    let message =
        format!("of the first {all} records {bad} were rejected or parked; {}% must go well", canary.success * 100.0);
    Fault::halt(Code::CanaryHeld, Blame::Record, message).with(Disposition::Park).help(format!(
        "The others were not sent and nothing is lost: the next run meets them again, behind a canary. See renkei dead-letters list for \
         the reasons, mend the pipeline or the sink, and run again. If these verdicts are right: renkei run {pipeline} --skip-canary"
    ))
}

impl Engine {
    /// The canary of a run of the pipeline, where it declares one.
    pub(super) async fn canary(&self, pipeline: &Pipeline) -> Result<Option<Canary>, Fault> {
        let Some(plan) = &pipeline.canary else { return Ok(None) };
        let stream = stream_id(pipeline);
        let own = |run: &crate::store::Run| {
            run.state == RunState::Done && run.pipeline == stream.pipeline && run.stream == stream.stream
        };
        let last = self.state().latest_runs(None, self.clock().now(), 1, own).await?;
        let last = last.first().map_or(0, |run| run.counts.created + run.counts.updated + run.counts.dead_letters());
        Ok(Some(Canary::of(plan, last)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(size: u64) -> Gate {
        Gate::new(Some(Canary { size, success: 0.9 }), Counts { created: 7, rejected: 3, ..Counts::default() })
    }

    #[test]
    fn a_canary_is_a_share_of_the_last_run_and_a_few_in_any_case() {
        let plan = plan::Canary { share: 0.05, min: 20, success: 0.99 };
        assert_eq!([0, 400, 1_000].map(|last| Canary::of(&plan, last).size), [20, 20, 50]);
    }

    #[test]
    fn a_gate_opens_when_enough_of_the_canary_went_well_and_what_was_before_does_not_count() {
        let stream = StreamId::new("leads", "customers");
        let mut good = gate(20);
        assert!(!good.goes(12) && good.goes(8) && !good.is_open());
        good.judge(&Counts { created: 25, rejected: 5, ..Counts::default() }, &stream).unwrap();
        assert!(good.is_open() && !good.goes(5));
        let mut bad = gate(20);
        assert!(bad.goes(20));
        let fault = bad.judge(&Counts { created: 24, rejected: 6, ..Counts::default() }, &stream).unwrap_err();
        assert_eq!((fault.code, fault.disposition, bad.is_open()), (Code::CanaryHeld, Disposition::Park, false));
        assert_eq!(fault.message, "of the first 20 records 3 were rejected or parked; 90% must go well");
    }

    #[test]
    fn a_sink_that_holds_everything_already_is_no_reason_to_stop() {
        let mut gate = gate(20);
        assert!(gate.goes(20));
        gate.judge(&Counts { created: 7, rejected: 3, unchanged: 20, ..Counts::default() }, &StreamId::new("a", "b"))
            .unwrap();
    }
}
