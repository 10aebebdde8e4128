//! How long a pipeline waits after a run that failed. Calls have been tried again by then, so this counts in minutes and hours.

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    model::{Blame, Code, Disposition, Fault},
    store::Wait,
};

/// After the first failure that may pass by itself, doubled for each further one.
const PASSES: (TimeDelta, TimeDelta) = (TimeDelta::seconds(30), TimeDelta::hours(1));
/// After one that needs a person. It is tried at all, because a person may mend it where nobody tells us.
const PERSON: (TimeDelta, TimeDelta) = (TimeDelta::hours(1), TimeDelta::hours(24));
/// A wait that is read after a restart ends this long after the failure: whoever restarts has mended something, and a
/// process that keeps crashing does not try more often than this.
const RESTARTED: TimeDelta = TimeDelta::minutes(1);

/// The wait after so many failures in a row.
pub fn after_failure(fault: &Fault, failures: u32, now: DateTime<Utc>) -> Wait {
    let person = needs_person(fault);
    let (first, most) = if person { PERSON } else { PASSES };
    let asked = match fault.disposition {
        Disposition::Retry { after: Some(after) } => TimeDelta::from_std(after).unwrap_or(most).min(most),
        _ => TimeDelta::zero(),
    };
    let doubled = first * 2i32.pow(failures.saturating_sub(1).min(16));
    Wait { since: now, until: now + doubled.min(most).max(asked), code: fault.code, person }
}

/// The wait of a pipeline whose run was cut off with the process: none the first time, for it may not be to blame.
pub fn after_crash(failures: u32, now: DateTime<Utc>) -> Option<Wait> {
    let cut = Fault::halt(Code::Bug, Blame::Host, "");
    (failures > 1).then(|| Wait { person: false, ..after_failure(&cut, failures - 1, now) })
}

/// What is left of a wait after a restart.
pub fn after_restart(wait: Wait) -> Wait {
    Wait { until: wait.until.min(wait.since + RESTARTED), ..wait }
}

/// Whether nobody but a person can do anything about it.
fn needs_person(fault: &Fault) -> bool {
    match (fault.blame, fault.disposition) {
        (Blame::Config | Blame::Credentials | Blame::Bug, _) | (_, Disposition::Park) => true,
        (
            Blame::Remote | Blame::Host | Blame::Record,
            Disposition::Retry { .. } | Disposition::Reject | Disposition::Halt,
        ) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    fn seconds(fault: &Fault, failures: u32) -> i64 {
        (after_failure(fault, failures, at(0)).until - at(0)).num_seconds()
    }

    #[test]
    fn what_may_pass_is_tried_again_soon_and_then_less_and_less() {
        let down = Fault::halt(Code::ServerError, Blame::Remote, "503").with(Disposition::Retry { after: None });
        assert_eq!([1, 2, 3, 7, 8, 99].map(|failures| seconds(&down, failures)), [30, 60, 120, 1_920, 3_600, 3_600]);
        let asked = down.with(Disposition::Retry { after: Some(Duration::from_secs(300)) });
        assert_eq!((seconds(&asked, 1), seconds(&asked, 8)), (300, 3_600));
        let for_ever = asked.with(Disposition::Retry { after: Some(Duration::MAX) });
        assert_eq!(seconds(&for_ever, 1), 3_600);
    }

    #[test]
    fn what_needs_a_person_is_not_tried_in_a_hot_loop() {
        let revoked = Fault::halt(Code::Unauthorized, Blame::Credentials, "401");
        let mistaken = Fault::halt(Code::NoRecords, Blame::Config, "no list");
        let refused = Fault::halt(Code::RejectLimit, Blame::Record, "too many").with(Disposition::Park);
        let panicked = Fault::halt(Code::Bug, Blame::Bug, "panicked");
        for fault in [revoked, mistaken, refused, panicked] {
            assert!(after_failure(&fault, 1, at(0)).person, "{fault}");
            assert_eq!([1, 2, 6].map(|failures| seconds(&fault, failures)), [3_600, 7_200, 86_400], "{fault}");
        }
    }

    #[test]
    fn a_run_that_a_crash_cut_off_goes_on_at_once_and_one_that_keeps_being_cut_off_waits() {
        assert_eq!(after_crash(1, at(0)), None);
        assert_eq!(after_crash(2, at(0)).unwrap().until, at(30));
        assert_eq!(after_crash(4, at(0)).unwrap().until, at(120));
    }

    #[test]
    fn a_restart_shortens_a_wait_to_a_minute_after_the_failure() {
        let wait = Wait { since: at(100), until: at(3_700), code: Code::Unauthorized, person: true };
        assert_eq!(after_restart(wait.clone()).until, at(160));
        assert_eq!(after_restart(Wait { until: at(130), ..wait }).until, at(130));
    }
}
