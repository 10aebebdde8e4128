//! Streams that are exports, as typed: a request makes a job, which is asked after until its files can be read.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    raw_stream::RawBody,
    shape::{Named, OneOrMany, Source, Spanned},
    units::Time,
};

/// The stream's own request makes a job; its records are in the files of the job. `decode`, `large`, `records` and `paginate` are
/// about these files.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawExport {
    /// Where the job's id stands in the answer. Templates see it as `job.id`.
    pub id: Spanned<String>,
    /// How to ask whether it is done.
    pub poll: Spanned<RawExportPoll>,
    /// Where its files are.
    pub download: Spanned<RawDownload>,
    /// The path that is sent a DELETE when all files are read. Whether it works makes no difference. Default: none.
    pub delete: Option<Spanned<Source>>,
}

/// How to ask whether a job is done. Exactly one of `get` and `post` gives the path; templates see `config` and `job.id`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawExportPoll {
    /// Asked with GET.
    pub get: Option<Spanned<Source>>,
    /// Asked with POST, for vendors whose questions are posts.
    pub post: Option<Spanned<Source>>,
    /// Query parameters.
    #[serde(default)]
    pub query: Named<Spanned<Source>>,
    /// The body of a POST.
    pub body: Option<RawBody>,
    /// The first time between two questions, where the answer has no Retry-After. It doubles up to one minute. Default 5s, from
    /// 100ms to 1h.
    pub every: Option<Spanned<Time>>,
    /// The job must be done after this. Default 30m, from 1s to 24h. The next run goes on waiting for the same job.
    pub wait_max: Option<Spanned<Time>>,
    /// Where the state stands in the answer.
    pub state: Spanned<String>,
    /// The job is done in these states.
    pub done: OneOrMany<String>,
    /// The job failed in these states. Default: none, and a job that fails is waited for in vain.
    pub failed: Option<OneOrMany<String>>,
}

/// Where the files of a job are. Either `get` or `urls`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawDownload {
    /// The path of the file, which goes on as `paginate` says. Templates see `config`, `job.id` and `page`.
    pub get: Option<Spanned<Source>>,
    /// Query parameters of `get`.
    #[serde(default)]
    pub query: Named<Spanned<Source>>,
    /// Where the last answer about the state has the file's URL, or a list of URLs that are read in their order. Null or empty:
    /// there are no records. A URL on another host must be declared under `hosts`, and is asked without credentials.
    pub urls: Option<Spanned<String>>,
}
