//! A bucket as typed.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    shape::{Secret, Spanned},
    units::Size,
};

/// A bucket of S3, or of a server that speaks its language.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawS3 {
    /// The bucket. It must be there.
    pub bucket: Spanned<String>,
    /// The region that requests are signed for, such as `ap-northeast-1`. Servers other than AWS take `us-east-1`, or say theirs.
    pub region: Spanned<String>,
    /// Where the server is, such as `https://minio.example.com:9000`. Default: the region's own of AWS.
    pub endpoint: Option<Spanned<String>>,
    /// The bucket is a part of the path and not of the host. Default: true where `endpoint` is given or the bucket has a dot, else false.
    pub path_style: Option<bool>,
    /// What the names of all objects begin with, such as `raw/shop`; a `/` stands between. Default: nothing.
    pub prefix: Option<Spanned<String>>,
    /// The account's key id.
    pub access_key_id: Spanned<String>,
    /// The account's secret key.
    pub secret_access_key: Spanned<Secret>,
    /// The token of keys that were lent for a while. Default: none, and an empty one is none.
    pub session_token: Option<Spanned<Secret>>,
    /// What the objects hold. Default `jsonl`.
    pub format: Option<Spanned<RawFiles>>,
    /// For `format: csv`: what stands between two cells. Default `,`.
    pub separator: Option<Spanned<String>>,
    /// An object ends with the page that makes its records this large. It is put together in memory. Default 8MiB, from 1kB to 64MiB.
    pub rotate: Option<Spanned<Size>>,
}

/// What files hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawFiles {
    /// A line of JSON for each record.
    Jsonl,
    /// A row of CSV for each record, below a line of names.
    Csv,
    /// Parquet, with the columns that the pipeline declares.
    Parquet,
}
