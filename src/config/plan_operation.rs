//! Operations as meant: what is written, why sending it a second time is safe, and how the answer speaks of each record.

use std::sync::Arc;

use http::StatusCode;

use super::{
    plan::{Node, RequestPlan},
    plan_answer::{AnswerShape, FirstError},
    plan_repeat::{Compare, Repeat},
};
use crate::{contract::RecordSchema, model::Path};

/// A declared write.
#[derive(Clone, Debug)]
pub struct Operation {
    pub name: String,
    pub request: RequestPlan,
    /// What success means for a record.
    pub makes: Makes,
    /// How to tell a new record from a changed one, for `Makes::Upsert`.
    pub created: Option<CreatedTest>,
    pub batch: Option<BatchPlan>,
    /// Why sending it a second time is safe, in order of preference. At least one.
    pub repeat: Vec<Repeat>,
    pub answer: AnswerShape,
    /// How a refusal of a whole batch names the records that are to blame.
    pub first_error: Option<FirstError>,
    /// Where a record's id stands in its (part of the) answer.
    pub sink_id: Option<Path>,
    /// How one record is read for a plan.
    pub read: Option<ReadBack>,
    /// What the records that it gets look like.
    pub schema: Option<Arc<RecordSchema>>,
}

/// A request that reads one record, and where its fields stand.
#[derive(Clone, Debug)]
pub struct ReadBack {
    pub request: RequestPlan,
    pub compare: Compare,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Makes {
    Create,
    Upsert,
    Update,
    Delete,
}

#[derive(Clone, Debug)]
pub enum CreatedTest {
    /// This status means created.
    Status(StatusCode),
    /// The field is true, or its text is one of these.
    Field { path: Path, values: Vec<String> },
}

/// Several records in one request. The request's body sees them as `batch`, a list of what `each` made of each record.
#[derive(Clone, Debug)]
pub struct BatchPlan {
    /// Records in one request at the most.
    pub size: usize,
    pub each: Node,
}
