//! How a job at a vendor is asked after, as meant: one that takes records, and one whose files are read.

use std::time::Duration;

use super::plan::RequestPlan;
use crate::model::Path;

#[derive(Clone, Debug)]
pub struct Poll {
    pub request: RequestPlan,
    /// Time between two questions, where the answer has no Retry-After. Default 5 s.
    pub every: Duration,
    /// The job must be done after this. Default 30 min.
    pub wait_max: Duration,
    /// Where the state stands in the answer.
    pub state: Path,
    pub done: Vec<String>,
    pub failed: Vec<String>,
}
