//! What a fault leads to. This is the only place that acts on a disposition that reached a run.

use crate::{
    model::{Disposition, Fault},
    store::RunState,
};

/// How a run ends, and what the process tells its caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ending {
    pub state: RunState,
    pub exit_code: u8,
}

/// Decides a run's ending from its fault, whether it was asked to stop, and whether it left dead letters.
pub fn ending(fault: Option<&Fault>, stopped: bool, dead_letters: u64) -> Ending {
    match fault {
        Some(fault) => match fault.disposition {
            // Whatever it was about, it reached the run: the run ends, and everything staged stays staged.
            Disposition::Retry { .. } | Disposition::Reject | Disposition::Park | Disposition::Halt => {
                Ending { state: RunState::Failed, exit_code: fault.exit_code() }
            }
        },
        None if stopped => Ending { state: RunState::Stopped, exit_code: 0 },
        None if dead_letters > 0 => Ending { state: RunState::Done, exit_code: 1 },
        None => Ending { state: RunState::Done, exit_code: 0 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Blame, Code};

    #[test]
    fn a_fault_outranks_a_stop_and_a_stop_outranks_dead_letters() {
        let fault = Fault::halt(Code::Unauthorized, Blame::Credentials, "401");
        assert_eq!(ending(Some(&fault), true, 3), Ending { state: RunState::Failed, exit_code: 4 });
        assert_eq!(ending(None, true, 3), Ending { state: RunState::Stopped, exit_code: 0 });
        assert_eq!(ending(None, false, 3), Ending { state: RunState::Done, exit_code: 1 });
        assert_eq!(ending(None, false, 0), Ending { state: RunState::Done, exit_code: 0 });
    }
}
