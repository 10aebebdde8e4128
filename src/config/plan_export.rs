//! Streams that are exports, as meant.

use super::plan::{Poll, RequestPlan};
use crate::model::Path;

/// A job that the stream's request makes, and whose files hold the records.
#[derive(Clone, Debug)]
pub struct Export {
    /// Where the id stands in the answer that made it.
    pub id: Path,
    /// Its `every` is the first time between two questions, and doubles.
    pub poll: Poll,
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
