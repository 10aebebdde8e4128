//! How the answer to a write speaks of each record, as meant.

use super::plan::{Poll, RequestPlan};
use crate::model::Path;

/// How the answer says what became of each record.
#[derive(Clone, Debug)]
pub enum AnswerShape {
    /// The whole answer is about the one record (or about all of a batch alike). A success may say no.
    Whole(WholeAnswer),
    /// One entry per record in the order sent.
    Positional {
        list: Path,
        test: RowTest,
    },
    /// Accepted and refused ones in separate lists, matched by what an entry says of its record.
    Listed {
        ok: Path,
        errors: Option<Path>,
        matched: Match,
    },
    Job(Box<JobPlan>),
}

impl AnswerShape {
    /// The status alone tells.
    pub fn whole() -> Self {
        Self::Whole(WholeAnswer::default())
    }
}

/// What a success must say to be one. Nothing given: its status is enough.
#[derive(Clone, Debug, Default)]
pub struct WholeAnswer {
    /// True means accepted.
    pub ok: Option<Path>,
    /// Errors at any of these places mean refused.
    pub errors: Vec<Path>,
}

/// How one entry says whether its record was accepted.
#[derive(Clone, Debug, Default)]
pub struct RowTest {
    /// True means accepted. Absent: an entry without errors is accepted.
    pub ok: Option<Path>,
    /// The list or text of errors.
    pub errors: Option<Path>,
}

/// How an entry names its record.
#[derive(Clone, Debug)]
pub struct Match {
    pub by: MatchBy,
    /// Where an entry of the refused ones has it, if elsewhere.
    pub in_errors: Option<Path>,
}

impl From<MatchBy> for Match {
    /// The same place in accepted and refused entries.
    fn from(by: MatchBy) -> Self {
        Self { by, in_errors: None }
    }
}

#[derive(Clone, Debug)]
pub enum MatchBy {
    /// The entry carries the record's position in the batch.
    Index(Path),
    /// The entry's field `answer` equals the field `sent` of the record that was sent.
    Field { answer: Path, sent: Path },
    /// The entry echoes the record's idempotency key.
    Key(Path),
    /// The entry carries the id that the record has at the sink.
    Id(Path),
}

/// How a refusal of a whole request names the records that are to blame.
#[derive(Clone, Debug)]
pub struct FirstError {
    pub index: Path,
    /// The position is the number behind this text.
    pub after: Option<String>,
    /// The position of the first record.
    pub from: usize,
    pub message: Option<Path>,
}

/// An asynchronous job: created, asked after until it is done, and its results fetched.
#[derive(Clone, Debug)]
pub struct JobPlan {
    /// Where the id stands in the answer.
    pub id: Path,
    pub poll: Poll,
    /// At least one. Together they speak of every record.
    pub results: Vec<ResultPlan>,
    pub matched: Match,
}

/// One list of results of a job.
#[derive(Clone, Debug)]
pub struct ResultPlan {
    /// Nothing: the last answer about the state holds them.
    pub request: Option<RequestPlan>,
    pub form: ResultForm,
    pub rows: RowsAre,
}

#[derive(Clone, Debug)]
pub enum ResultForm {
    /// The list stands there.
    Json(Path),
    /// A line of names and a line per row. `open_end`: the last line may end without a line break.
    Csv { delimiter: char, open_end: bool },
}

/// What the rows of a result file are.
#[derive(Clone, Debug)]
pub enum RowsAre {
    Accepted,
    /// The words stand at this path, if anywhere in particular.
    Refused(Option<Path>),
    Either(RowTest),
}
