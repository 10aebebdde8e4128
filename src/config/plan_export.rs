//! Streams that are exports, as meant.

use std::time::Duration;

use super::plan::RequestPlan;
use crate::model::Path;

/// A job that the stream's request makes, and whose files hold the records.
#[derive(Clone, Debug)]
pub struct Export {
    /// Where the id stands in the answer that made it.
    pub id: Path,
    pub poll: RequestPlan,
    /// The first time between two questions. Default 5 s.
    pub every: Duration,
    /// The job must be done after this. Default 30 min.
    pub wait_max: Duration,
    pub state: Path,
    pub done: Vec<String>,
    pub failed: Vec<String>,
    pub download: Download,
    pub delete: Option<RequestPlan>,
}

#[derive(Clone, Debug)]
pub enum Download {
    /// One file, page by page.
    Request(RequestPlan),
    /// Files whose URLs stand there in the last answer about the state.
    Urls(Path),
}
