//! A connector's case as meant: all that is needed to play it, each part with its place in the file.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use serde::Serialize;
use serde_json::Value;
use url::Url;

use super::plan::{Api, Operation, Stream};
use crate::model::{Code, Cursor, Fields, Key};

/// Where something stands, from 1.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Place {
    pub file: PathBuf,
    pub line: usize,
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// One play of a stream or an operation.
#[derive(Debug)]
pub struct Case {
    /// The file's name without its ending.
    pub name: String,
    pub description: Option<String>,
    /// The connector's account, with stand-ins for secrets.
    pub api: Arc<Api>,
    pub subject: Subject,
    pub now: DateTime<Utc>,
    pub exchanges: Vec<Exchange>,
    pub expect: Expect,
    /// Where it says what is expected.
    pub place: Place,
}

/// What is played.
#[derive(Debug)]
pub enum Subject {
    Stream { stream: Arc<Stream>, cursor: Option<Cursor>, pages_max: u64 },
    Operation { operation: Arc<Operation>, records: Vec<Given> },
}

impl Subject {
    pub fn name(&self) -> &str {
        match self {
            Self::Stream { stream, .. } => &stream.name,
            Self::Operation { operation, .. } => &operation.name,
        }
    }
}

/// A record on its way to an operation.
#[derive(Debug)]
pub struct Given {
    pub key: Key,
    pub fields: Fields,
    pub sink_id: Option<String>,
}

/// A request and its answer.
#[derive(Debug)]
pub struct Exchange {
    pub place: Place,
    pub request: Expected,
    /// The bounds of the time between the answer before it and the request.
    pub after: Option<Duration>,
    pub within: Option<Duration>,
    /// Nothing: no answer ever comes.
    pub answer: Option<Answered>,
}

/// A request as it must come.
#[derive(Debug)]
pub struct Expected {
    pub method: Method,
    /// Without its query.
    pub url: Url,
    pub query: Vec<(String, String)>,
    pub headers: Vec<(HeaderName, String)>,
    pub body: ExpectedBody,
}

/// A body as it must come.
#[derive(Debug)]
pub enum ExpectedBody {
    None,
    Json(Value),
    Form(Vec<(String, String)>),
    Text(String),
}

/// What is answered.
#[derive(Debug)]
pub struct Answered {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What comes of it. Nothing: nobody looks.
#[derive(Debug)]
pub struct Expect {
    pub records: Option<Vec<(Place, Value)>>,
    pub keys: Option<Vec<String>>,
    pub gone: Option<Vec<String>>,
    pub refused: Option<Vec<Code>>,
    pub cursor: Option<(Place, Cursor)>,
    pub verdicts: Option<Vec<(Place, ExpectedVerdict)>>,
    pub fault: Option<(Place, Code)>,
}

/// What became of a record.
#[derive(Debug)]
pub struct ExpectedVerdict {
    /// As `Verdict` is named in the files.
    pub is: &'static str,
    pub id: Option<String>,
    pub code: Option<Code>,
    pub says: Option<String>,
}
