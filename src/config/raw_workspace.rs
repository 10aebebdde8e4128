//! `renkei.yaml` as typed. The comments here are the descriptions in the JSON Schema.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    raw_auth::{RawAuth, RawClientCertificate},
    raw_budget::{RawBreaker, RawBudgetRule},
    raw_folder::{RawCsvFolder, RawJsonl, RawParquetFolder},
    raw_mysql::RawMysql,
    raw_personal::RawPersonalKeys,
    raw_s3::RawS3,
    raw_schedule::{RawCalendar, RawServe},
    raw_shared::{RawRetry, RawTimeouts},
    raw_slo::RawProbe,
    raw_sqlite::RawSqlite,
    raw_telemetry::RawTelemetry,
    shape::{Named, OneOrMany, SecretUrl, Spanned, Tree},
    units::{Size, Time},
};

/// A workspace: where state lives, and which accounts and places it may use.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawWorkspace {
    /// The version of this format. Always 1.
    pub version: Spanned<u32>,
    /// Where cursors, unfinished batches, links, dead letters and runs are kept.
    pub store: Option<RawStore>,
    /// How long and how many dead letters are kept. Default: for good, and all of them.
    #[serde(default)]
    pub dead_letters: RawDeadLetters,
    /// How much is kept of what became of records, for `renkei trace`.
    #[serde(default)]
    pub history: RawHistory,
    /// Keys for personal fields that are hashed or encrypted.
    pub personal: Option<Spanned<RawPersonalKeys>>,
    /// How `renkei serve` runs pipelines.
    pub serve: Option<RawServe>,
    /// What the program tells of itself to others: traces and logs.
    pub telemetry: Option<RawTelemetry>,
    /// Lists of holidays, by the names that schedules use. `japan` is there without being named.
    #[serde(default)]
    pub calendars: Named<RawCalendar>,
    /// Accounts and places, by the names that pipelines use.
    #[serde(default)]
    pub connections: Named<Spanned<RawConnection>>,
}

/// Which dead letters are kept. After each run of a pipeline the others go, the oldest first.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawDeadLetters {
    /// How long after they were met last, such as `90d`.
    pub keep: Option<Time>,
    /// How many of each pipeline.
    pub max: Option<u32>,
}

/// What became of records, for each pipeline.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawHistory {
    /// How long. Default 30d.
    pub keep: Option<Spanned<Time>>,
    /// How much of the store it may take; the oldest makes room for the newest. Default 32MB, at least 1MB; 0 keeps nothing.
    pub max: Option<Spanned<Size>>,
}

/// The kind of store.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawStore {
    /// The embedded store: a directory of this machine, used by one process at a time.
    Redb(RawRedb),
}

/// The embedded store.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawRedb {
    /// The state directory, relative to the workspace. Default `state`.
    pub path: Option<Spanned<String>>,
    /// The store refuses to grow beyond this. Default 10GB, at least 64MB.
    pub disk_max: Option<Spanned<Size>>,
}

/// One account or place. Exactly one of `connector`, `jsonl`, `csv`, `parquet`, `s3`, `postgres`, `mysql` and `sqlite` says what it is; the other
/// keys belong to `connector`, and `timeouts`, `retry`, `breaker`, `budget`, `egress` and `ca` to `s3` too.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawConnection {
    /// The folder in `connectors/` that describes the vendor's API.
    pub connector: Option<Spanned<String>>,
    /// A folder of JSON Lines files to write to.
    pub jsonl: Option<RawJsonl>,
    /// A folder of CSV files to write to.
    pub csv: Option<Spanned<RawCsvFolder>>,
    /// A folder of Parquet files to write to.
    pub parquet: Option<RawParquetFolder>,
    /// A bucket of S3, or of a server that speaks its language, to write files to.
    pub s3: Option<Spanned<RawS3>>,
    /// A PostgreSQL database to read from and write to.
    pub postgres: Option<RawPostgres>,
    /// A MySQL or MariaDB database to read from and write to.
    pub mysql: Option<RawMysql>,
    /// A SQLite file to read from and write to.
    pub sqlite: Option<RawSqlite>,
    /// Replaces the connector's base URL.
    pub base_url: Option<Spanned<String>>,
    /// The connector's settings, as its `config` declares them.
    pub config: Option<Named<Spanned<Tree>>>,
    /// The account's credentials. Must be of the kind that the connector declares.
    pub auth: Option<Spanned<RawAuth>>,
    /// Further limits for this account, besides those of the connector.
    #[serde(default)]
    pub budget: Vec<RawBudgetRule>,
    /// Replaces the connector's timeouts.
    pub timeouts: Option<RawTimeouts>,
    /// Replaces the connector's retry rule.
    pub retry: Option<RawRetry>,
    /// Replaces the connector's breaker, key by key.
    pub breaker: Option<RawBreaker>,
    /// Where requests may go besides the base URL's host.
    pub egress: Option<RawEgress>,
    /// PEM file with certificates to trust besides the system's, relative to the workspace.
    pub ca: Option<Spanned<String>>,
    /// Its requests carry `traceparent` and `tracestate`, so that its traces and ours are one. Default false: a vendor has no use
    /// for them.
    pub trace_context: Option<bool>,
    /// The certificate that the connection shows to its servers (mTLS).
    pub client_certificate: Option<Spanned<RawClientCertificate>>,
    /// A larger answer is refused. Default 64MiB, from 64KiB to 1GiB.
    pub body_max: Option<Spanned<Size>>,
    /// A small read, now and then, by which `renkei serve` tells whether the connection is well. Default: none.
    pub probe: Option<Spanned<RawProbe>>,
}

/// A PostgreSQL database.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawPostgres {
    /// `postgres://user:password@host:port/database`; the password must be a reference such as `${PGPASSWORD}`.
    pub url: Spanned<SecretUrl>,
    /// The schema of its tables. Default `public`.
    pub schema: Option<Spanned<String>>,
    /// PEM file with certificates to trust besides the system's, relative to the workspace.
    pub ca: Option<Spanned<String>>,
}

/// Where requests may go.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawEgress {
    /// Host names besides the base URL's and the token URL's.
    pub hosts: Option<OneOrMany<String>>,
    /// Names may resolve to private or loopback addresses. Default false.
    pub private: Option<bool>,
}
