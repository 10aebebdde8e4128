//! `connectors/<name>/connector.yaml` as typed: one vendor's API.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    raw_auth::RawAuth,
    raw_budget::{RawBreaker, RawBudgetRule},
    raw_operation::RawOperation,
    raw_shared::{RawRetry, RawTimeouts},
    raw_stream::RawStream,
    shape::{Named, OneOrMany, Source, Spanned, Tree},
    units::{Size, Statuses, Time},
};

/// How one vendor's API is read and written. What differs from account to account stands in the connection.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawConnector {
    /// The version of this format. Always 1.
    pub version: Spanned<u32>,
    /// What it connects to, in a sentence.
    #[expect(dead_code, reason = "for readers of the file and for the schema")]
    pub description: Option<String>,
    /// Every path is joined to it. A connection may replace it; one of the two must say it.
    pub base_url: Option<Spanned<String>>,
    /// Sent with every request. Templates see `config`.
    #[serde(default)]
    pub headers: Named<Spanned<Source>>,
    /// The kind of credentials, and what is the same for everybody.
    pub auth: Option<Spanned<RawAuth>>,
    /// The vendor's limits. All of them hold at once.
    #[serde(default)]
    pub budget: Vec<RawBudgetRule>,
    /// How long a request may take.
    pub timeouts: Option<RawTimeouts>,
    /// How often a call is tried.
    pub retry: Option<RawRetry>,
    /// When a stream or operation that keeps failing is left alone for a while.
    pub breaker: Option<RawBreaker>,
    /// What the vendor's answers mean where it is not what their status says. The first rule that fits counts.
    #[serde(default)]
    pub answers: Vec<Spanned<RawAnswerRule>>,
    /// Settings that a connection may or must give. Templates see them as `config.<name>`.
    #[serde(default)]
    pub config: Named<RawSetting>,
    /// Hosts besides the base URL's that requests may go to.
    pub hosts: Option<OneOrMany<String>>,
    /// A larger answer is refused. Default 64MiB, from 64KiB to 1GiB.
    pub body_max: Option<Spanned<Size>>,
    /// What can be read, by name.
    #[serde(default)]
    pub streams: Named<Spanned<RawStream>>,
    /// What can be written, by name.
    #[serde(default)]
    pub operations: Named<Spanned<RawOperation>>,
}

/// A setting of the connector.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawSetting {
    /// What it is for.
    #[expect(dead_code, reason = "for readers of the file and for the schema")]
    pub description: Option<String>,
    /// Its value when the connection gives none. Without it the setting is null.
    pub default: Option<Spanned<Tree>>,
    /// The connection must give it. Default false.
    #[serde(default)]
    pub required: bool,
}

/// When an answer looks so, it means that.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawAnswerRule {
    /// All the given conditions must hold.
    pub when: Spanned<RawWhen>,
    /// What the answer means.
    pub is: RawMeaning,
}

/// Conditions on an answer. At least one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawWhen {
    /// The status is one of these.
    pub status: Option<OneOrMany<Statuses>>,
    /// A header is there and contains a text.
    pub header: Option<RawWhenHeader>,
    /// A value of the JSON body is there, or is one of some values.
    pub body: Option<RawWhenBody>,
}

/// A condition on a header.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawWhenHeader {
    /// The header.
    pub name: Spanned<String>,
    /// It contains this text, upper and lower case alike. Default: any value.
    pub contains: Option<String>,
}

/// A condition on the JSON body.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawWhenBody {
    /// Where the value stands, such as `error.code`.
    pub path: Spanned<String>,
    /// Its text is one of these. Default: it is there and not null.
    pub equals: Option<OneOrMany<String>>,
}

/// What an answer means.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawMeaning {
    /// It is a success.
    Accept,
    /// The record or request will never be accepted.
    Reject,
    /// What was asked for is not there, as 404 says it elsewhere: a parent whose children are read is gone, a record that is to be
    /// deleted is gone already. Otherwise as `reject`.
    Missing,
    /// The record waits for a person.
    Park,
    /// The credentials need a person.
    Credentials,
    /// Stop the run.
    Halt,
    /// Try again, after the given time or the usual delay.
    Retry(RawAfter),
    /// The account is asked to slow down: everybody on the connection pauses.
    Throttle(RawAfter),
}

/// How long to wait.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawAfter {
    /// Wait this long. Default: what the answer says, else the usual delay. At most 1h.
    pub after: Option<Spanned<Time>>,
}
