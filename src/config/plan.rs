//! The plan: configuration as meant. Every default is filled in, every name is resolved, every expression is compiled.
//! Only these types leave `config/`; nothing outside reads YAML, the environment or a secret file.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use http::{HeaderName, Method};
use secrecy::SecretString;
use url::Url;

pub use super::{
    plan_admin::{AdminPlan, TlsFiles},
    plan_answer::{
        AnswerShape, FirstError, JobPlan, Match, MatchBy, ResultForm, ResultPlan, RowTest, RowsAre, WholeAnswer,
    },
    plan_auth::{
        Auth, AwsKeys, CertificateFiles, ClientAuth, ClientCertificate, CodeGrant, Grant, JwtBearer, OAuth2, SigningKey,
    },
    plan_budget::{Breaker, Bucket, Budget, Daily, LeftHeader, Points, Tier, Window},
    plan_contract::{Contract, Contracts, Terms},
    plan_decode::{Charset, Decode, EmptyCell, Form, Format, Large, Packed, Table},
    plan_deletes::{Brake, Deletes, Deletions, Flag, Sweep},
    plan_export::{Download, Export},
    plan_incremental::{CursorField, CursorFormat, Incremental, Lag},
    plan_ingress::{
        Callers, Idempotency, Ingress, ListenPlan, Mode, Rate, Signed, SignedPart, StandardWebhooks, TimestampAt,
    },
    plan_operation::{BatchPlan, CreatedTest, Makes, Operation, ReadBack},
    plan_paginate::{NextToken, PageSize, Paginate},
    plan_personal::{Personal, PersonalKeys, PersonalRule, Protect, RingKey},
    plan_pipeline::Pipeline,
    plan_place::{ColumnKind, Database, FileColumn, Files, Folder, Mysql, Place, Postgres, S3, Sqlite},
    plan_poll::Poll,
    plan_repeat::{Compare, KeyFormat, KeyPlan, LookUp, Repeat, Revision, RevisionAt},
    plan_rows::{OutboxTable, Rows, RowsOf},
    plan_schedule::{Busy, Cadence, Calendar, CronLine, Days, Missed, Schedule, ServePlan},
    plan_sign::{Encoding, Hash, Hmac, Lifetime, Session, SessionToken, TimestampFormat},
    plan_slices::{Parent, SliceBy, SliceStep, SliceWay, Slices, Windows},
    plan_slo::{Act, Burns, Canary, Limits, Objective, Probe, Reaction, Slo},
    plan_steps::{Asks, Dedupe, Expand, Flatten, Kind, Lookup, Missing, Otherwise, Rule, StepPlan, Winner},
    plan_telemetry::{Destination, OtlpPlan, TelemetryPlan},
};
use crate::{
    contract::RecordSchema,
    expr::{Expression, Template},
    model::{Fields, Path},
};

/// A whole workspace, checked.
#[derive(Clone, Debug)]
pub struct Plan {
    pub store: StorePlan,
    pub dead_letters: Keep,
    pub history: HistoryPlan,
    pub serve: ServePlan,
    pub telemetry: TelemetryPlan,
    pub connections: BTreeMap<String, Connection>,
    pub pipelines: BTreeMap<String, Arc<Pipeline>>,
    /// Names all that is not a pipeline's own: two plans that share it have the same connections.
    pub made_of: Digest,
    /// What it was made of besides the files in their usual places: calendars and secret files.
    pub files: Vec<PathBuf>,
}

/// Names the text that something was made of.
pub type Digest = [u8; 16];

/// Where cursors, outbox, links, dead letters and runs live.
#[derive(Clone, Debug)]
pub struct StorePlan {
    /// The state directory, resolved against the workspace.
    pub path: PathBuf,
    /// The store refuses to grow beyond this.
    pub disk_bytes_max: u64,
    /// 32 bytes from `RENKEI_KEY`, if it is set; else the store keeps a key file.
    pub key: Option<SecretString>,
}

/// How long and how many dead letters of a pipeline are kept. Nothing: for good, and all of them.
#[derive(Clone, Copy, Default, Debug)]
pub struct Keep {
    pub keep: Option<Duration>,
    pub max: Option<usize>,
}

/// How long and how much is kept of what became of a pipeline's records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HistoryPlan {
    pub keep: Duration,
    /// Nothing is kept: 0.
    pub bytes_max: u64,
}

/// A connector + an account's settings, or a built-in kind.
#[derive(Clone, Debug)]
pub enum Connection {
    Api(Arc<Api>),
    Folder(Arc<Folder>),
    Postgres(Arc<Postgres>),
    Sqlite(Arc<Sqlite>),
    Mysql(Arc<Mysql>),
}

impl Connection {
    /// The database that it is, if it is one.
    pub fn database(&self) -> Option<Database> {
        match self {
            Connection::Postgres(postgres) => Some(Database::Postgres(postgres.clone())),
            Connection::Sqlite(sqlite) => Some(Database::Sqlite(sqlite.clone())),
            Connection::Mysql(mysql) => Some(Database::Mysql(mysql.clone())),
            Connection::Api(_) | Connection::Folder(_) => None,
        }
    }

    /// The account that requests are sent with, if there is one: a vendor's, or a bucket's.
    pub fn api(&self) -> Option<&Arc<Api>> {
        match self {
            Connection::Api(api) => Some(api),
            Connection::Folder(folder) => folder.api(),
            Connection::Postgres(_) | Connection::Sqlite(_) | Connection::Mysql(_) => None,
        }
    }
}

/// The default of [`Api::body_bytes_max`].
pub const BODY_BYTES_MAX: usize = 64 << 20;

/// How one account of a vendor's API is spoken to.
#[derive(Clone, Debug)]
pub struct Api {
    /// The connection's name in `renkei.yaml`.
    pub name: String,
    /// The connector's folder name.
    pub connector: String,
    /// Every path is joined to it. Its host is the only one requests may go to, besides `egress`.
    pub base_url: Url,
    /// Sent with every request.
    pub headers: Vec<(HeaderName, Template)>,
    /// What templates see as `config`: the connection's settings, one JSON object.
    pub settings: Fields,
    pub auth: Auth,
    pub budget: Budget,
    pub timeouts: Timeouts,
    pub retry: Retry,
    pub breaker: Breaker,
    /// The connector's own rules about answers, tried in order before the defaults.
    pub answers: Vec<AnswerRule>,
    pub egress: Egress,
    /// PEM file with certificates trusted besides the system's.
    pub ca: Option<PathBuf>,
    /// Shown to servers that ask for one.
    pub client_certificate: Option<ClientCertificate>,
    /// Its requests say which trace they belong to. Default false.
    pub trace_context: bool,
    /// An answer larger than this is refused. Default 64 MiB.
    pub body_bytes_max: usize,
    /// Where large answers are kept while they are read: the state directory.
    pub scratch: PathBuf,
    /// How it is looked at now and then.
    pub probe: Option<Probe>,
    pub streams: BTreeMap<String, Arc<Stream>>,
    pub operations: BTreeMap<String, Arc<Operation>>,
}

impl Api {
    /// An account of a connector that declares nothing, so every bound is the default.
    pub fn new(name: &str, base_url: Url) -> Self {
        Self {
            name: name.to_owned(),
            connector: name.to_owned(),
            base_url,
            headers: Vec::new(),
            settings: Fields::from_object("{}".into()),
            auth: Auth::None,
            budget: Budget::default(),
            timeouts: Timeouts::default(),
            retry: Retry::default(),
            breaker: Breaker::default(),
            answers: Vec::new(),
            egress: Egress::default(),
            ca: None,
            client_certificate: None,
            trace_context: false,
            body_bytes_max: BODY_BYTES_MAX,
            scratch: std::env::temp_dir(),
            probe: None,
            streams: BTreeMap::new(),
            operations: BTreeMap::new(),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Timeouts {
    /// Default 1 s, at most 60 s.
    pub connect: Duration,
    /// One attempt, from sending to the last byte of the answer. Default 5 s, at most 10 min.
    pub attempt: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(1), attempt: Duration::from_secs(5) }
    }
}

#[derive(Clone, Debug)]
pub struct Retry {
    /// Attempts in all, the first one included. Default 3, at most 10.
    pub attempts: u32,
    /// The first delay's upper bound; doubled for each further attempt. Default 500 ms.
    pub base: Duration,
    /// No delay is longer. Default 30 s.
    pub cap: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 3, base: Duration::from_millis(500), cap: Duration::from_secs(30) }
    }
}

#[derive(Clone, Debug, Default)]
pub struct Egress {
    /// Hosts besides the base URL's that requests may go to (a token endpoint, a page link).
    pub hosts: Vec<String>,
    /// Names may resolve to private or loopback addresses. A literal address or `localhost` in a configured URL is
    /// always allowed: whoever wrote it meant it.
    pub private: bool,
}

/// When an answer looks so, it means that.
#[derive(Clone, Debug)]
pub struct AnswerRule {
    pub when: When,
    pub is: Meaning,
}

/// All the given conditions must hold; an absent one holds.
#[derive(Clone, Debug, Default)]
pub struct When {
    /// Inclusive ranges: `404` is (404, 404), `5xx` is (500, 599).
    pub status: Vec<(u16, u16)>,
    /// The header is present and contains the text.
    pub header: Option<(HeaderName, String)>,
    /// The JSON value at the path, as text, is one of these. No texts: it is present and not null.
    pub body: Option<(Path, Vec<String>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    Accept,
    /// Try again, after the given time or the usual delay.
    Retry {
        after: Option<Duration>,
    },
    /// The account is asked to slow down: everybody on the connection pauses.
    Throttle {
        after: Option<Duration>,
    },
    /// This record or request will never be accepted.
    Reject,
    /// What was asked for is not there, as 404 says it elsewhere.
    Missing,
    /// This record waits for a person.
    Park,
    /// The credentials need a person.
    Credentials,
    /// Stop the run.
    Halt,
}

/// A request with its holes.
#[derive(Clone, Debug)]
pub struct RequestPlan {
    pub method: Method,
    /// The path template as written; it names the route in logs and metrics.
    pub route: Arc<str>,
    /// Joined to the base URL; values filled in are encoded as one segment.
    pub path: Template,
    /// A parameter whose template comes to nothing is left out.
    pub query: Vec<(String, Template)>,
    pub headers: Vec<(HeaderName, Template)>,
    pub body: Option<Body>,
    /// Replaces the connection's attempt timeout.
    pub timeout: Option<Duration>,
}

impl RequestPlan {
    /// A path and nothing else.
    pub fn new(method: Method, route: impl Into<Arc<str>>, path: Template) -> Self {
        let (query, headers, body, timeout) = (Vec::new(), Vec::new(), None, None);
        Self { method, route: route.into(), path, query, headers, body, timeout }
    }
}

#[derive(Clone, Debug)]
pub enum Body {
    Json(Node),
    /// `application/x-www-form-urlencoded`; nested values become `a[b]=c`, lists `a[0]=c`.
    Form(Node),
}

/// JSON with holes. A text that is one `{{ expression }}` stands for the value itself, of whatever type.
#[derive(Clone, Debug)]
pub enum Node {
    /// Raw JSON text of a number, boolean or null.
    Literal(String),
    Text(Template),
    Value(Expression),
    Object(Vec<(String, Node)>),
    List(Vec<Node>),
}

/// A readable collection.
#[derive(Clone, Debug)]
pub struct Stream {
    pub name: String,
    pub request: RequestPlan,
    /// Where the list of records stands in the answer.
    pub records: Path,
    /// The fields that name a record for good. At least one.
    pub key: Vec<Path>,
    /// A revision field that names the record's state where there is no cursor field.
    pub version: Option<Path>,
    pub paginate: Paginate,
    pub incremental: Option<Incremental>,
    /// How one learns that a record is gone.
    pub deletions: Option<Deletions>,
    /// The parts that it is read in.
    pub slices: Option<Arc<Slices>>,
    /// Lists inside of the answer's items that become the records, one after the other.
    pub expand: Vec<Expand>,
    /// The stream holds only the records for which this is true.
    pub only: Option<Expression>,
    /// A listing begins by asking whether anything is new.
    pub conditional: bool,
    /// What its records look like.
    pub schema: Option<Arc<RecordSchema>>,
    /// The list's place holds one record instead, as the answer to a question for one.
    pub single: bool,
    /// How its answers are written.
    pub form: Form,
    /// Pages of one listing before it is an error. Default 100,000.
    pub pages_max: u64,
    /// Consecutive pages without records that still claim more before it is an error. Default 10.
    pub empty_pages_max: u32,
}

impl Stream {
    /// What a request answers, whole and in one page, with no bound but those of answers.
    pub fn new(name: impl Into<String>, request: RequestPlan) -> Self {
        Self {
            name: name.into(),
            request,
            records: Path::whole(),
            key: Vec::new(),
            version: None,
            paginate: Paginate::None,
            incremental: None,
            deletions: None,
            slices: None,
            expand: Vec::new(),
            only: None,
            conditional: false,
            schema: None,
            single: false,
            form: Form::default(),
            pages_max: u64::MAX,
            empty_pages_max: u32::MAX,
        }
    }

    /// Whether a record says of itself that it is gone.
    pub fn says_gone(&self, record: &Fields) -> bool {
        let flag = self.deletions.as_ref().and_then(|deletions| deletions.flag.as_ref());
        flag.is_some_and(|flag| flag.is_set(record.as_str()))
    }
}

#[derive(Clone, Debug)]
pub struct From {
    /// Where the stream is read.
    pub api: Option<Arc<Api>>,
    /// The rows of a database that are its records. Neither these nor `api`: its records are only pushed here.
    pub rows: Option<Arc<Rows>>,
    pub stream: Arc<Stream>,
    /// How records of the stream are taken in that others push.
    pub ingress: Option<Arc<Ingress>>,
}

#[derive(Clone, Debug)]
pub enum To {
    Operation {
        api: Arc<Api>,
        operation: Arc<Operation>,
        /// The mapped field that names the record at the sink; order is kept per value. Nothing: the source's key.
        key: Option<Path>,
        /// What to do with a record that changed after this pipeline created it.
        changed: Changed,
        /// What to do about records that are gone at the source. Nothing: they stay.
        deletes: Option<Arc<Deletes>>,
    },
    File {
        folder: Arc<Folder>,
        /// Base name of the segments: `<name>.000000.jsonl`, ...
        name: String,
        /// The columns of its files, where they have some.
        columns: Vec<FileColumn>,
    },
    Table {
        database: Database,
        table: String,
        /// Columns of the unique key. At least one.
        key: Vec<String>,
        /// Column types that are declared instead of learned.
        columns: BTreeMap<String, String>,
    },
}

impl From {
    /// The connection and the stream; or that its records are only pushed here.
    pub fn place(&self) -> String {
        let name =
            self.api.as_ref().map(|api| api.name.as_str()).or(self.rows.as_ref().map(|rows| rows.database.name()));
        name.map_or_else(|| "ingress".to_owned(), |name| format!("{name}/{}", self.stream.name))
    }

    /// Nothing is read: records come by being pushed, and only so.
    pub fn is_only_pushed(&self) -> bool {
        self.api.is_none() && self.rows.is_none()
    }

    /// Each pass reads all there is.
    pub fn lists_all(&self) -> bool {
        let is_outbox = self.rows.as_ref().is_some_and(|rows| rows.outbox().is_some());
        !self.is_only_pushed() && !is_outbox && self.stream.incremental.is_none()
    }
}

impl To {
    /// The connection, and the operation, file or table.
    pub fn place(&self) -> String {
        match self {
            To::Operation { api, operation, .. } => format!("{}/{}", api.name, operation.name),
            To::File { folder, name, .. } => format!("{}/{name}", folder.name),
            To::Table { database, table, .. } => format!("{}/{table}", database.name()),
        }
    }
}

/// Only for `Makes::Create`; `Same` everywhere else.
#[derive(Clone, Debug)]
pub enum Changed {
    /// The operation updates by itself, or the stream is read once.
    Same,
    /// Leave what was created as it is.
    Skip,
    /// Send this operation instead; it sees the id as `sink.id`.
    Operation(Arc<Operation>),
}
