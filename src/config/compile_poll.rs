//! How a job at a vendor is asked after. What it leads to, rows of results or files with records, is told where it is declared.

use std::time::Duration;

use super::{
    check::Check,
    plan::{Poll, RequestPlan},
    shape::{OneOrMany, Spanned},
    units::Time,
};

const HOUR: Duration = Duration::from_secs(3600);

/// What every `poll:` says besides its request.
pub struct Polling<'r> {
    pub every: Option<&'r Spanned<Time>>,
    pub wait_max: Option<&'r Spanned<Time>>,
    pub state: &'r Spanned<String>,
    pub done: &'r OneOrMany<String>,
    pub failed: Option<&'r OneOrMany<String>>,
    /// What a job that is done has.
    pub leads_to: &'static str,
}

impl Check<'_> {
    pub(super) fn poll(&self, raw: &Polling<'_>, request: Option<RequestPlan>) -> Option<Poll> {
        let every = self.time(raw.every, Duration::from_secs(5), Duration::from_millis(100)..=HOUR);
        let wait_max = self.time(raw.wait_max, HOUR / 2, Duration::from_secs(1)..=24 * HOUR);
        if let Some(span) = raw.every.filter(|_| every > wait_max).map(|every| every.span) {
            self.conflict(span, "`every` is longer than `wait_max`", "the job would never be asked after");
        }
        let texts = |states: &OneOrMany<String>| states.0.iter().map(|state| state.value.clone()).collect::<Vec<_>>();
        let (done, failed) = (texts(raw.done), raw.failed.map(texts).unwrap_or_default());
        if done.is_empty() {
            self.conflict(raw.state.span, "a job that is never done", "name at least one state under `done:`");
        }
        let both = raw.failed.iter().flat_map(|failed| &failed.0).find(|state| done.contains(&state.value));
        if let Some(state) = both {
            let message = format!("`{}` is both done and failed", state.value);
            let help = format!("a state leads to the {} or to an error: keep it in one list", raw.leads_to);
            self.conflict(state.span, message, help);
        }
        Some(Poll { request: request?, every, wait_max, state: self.path(raw.state), done, failed })
    }
}
