//! An account's allowance and the breaker, as typed.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    shape::{OneOrMany, Spanned},
    units::{Share, Time},
};

/// One limit of the account's allowance. All of them hold at once.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawBudgetRule {
    /// So many requests in such a time, evenly paced.
    Bucket(Spanned<RawBucket>),
    /// So many requests in such a time, as fast as they come.
    Window(Spanned<RawWindow>),
    /// So many requests within any 24 hours.
    Daily(Spanned<RawDaily>),
    /// Each request costs points, and the answer's body says how many are left.
    Points(Spanned<RawPoints>),
    /// A limit of some streams and operations, which share it.
    Tier(Spanned<RawTier>),
    /// Requests under way at once. Default 8, from 1 to 1000.
    Concurrency(Spanned<u64>),
    /// The longest wait for quota before a call gives up. Default 15m, at most 24h.
    WaitMax(Spanned<Time>),
    /// The part of every daily quota that is left to others. Replaces what a `daily` says.
    Reserve(Spanned<Share>),
    /// Connections that say the same name here share one allowance.
    Account(Spanned<String>),
}

/// So many requests in such a time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawBucket {
    /// Requests. At least 1.
    pub requests: Spanned<u64>,
    /// In this time. From 1ms to 31d.
    pub per: Spanned<Time>,
    /// Requests that may go at once after a pause. Default 1.
    pub burst: Option<Spanned<u64>>,
}

/// So many requests in such a time; the answers may tell how many are left.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawWindow {
    /// Requests. At least 1.
    pub requests: Spanned<u64>,
    /// In this time. From 1s to 31d.
    pub per: Spanned<Time>,
    /// The header that tells how many are left.
    pub remaining_header: Option<Spanned<String>>,
    /// The header that tells how many are used, as `used/all` or as a number.
    pub used_header: Option<Spanned<String>>,
    /// The header that tells when the window ends: a delay in seconds, or seconds or milliseconds since 1970.
    pub reset_header: Option<Spanned<String>>,
}

/// So many requests within any 24 hours.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawDaily {
    /// Requests. At least 1.
    pub requests: Spanned<u64>,
    /// The header that tells how many are left.
    pub remaining_header: Option<Spanned<String>>,
    /// The header that tells how many are used, as `used/all` or as a number.
    pub used_header: Option<Spanned<String>>,
    /// The part that is left to others. Default 0%.
    pub reserve: Option<Spanned<Share>>,
}

/// A bucket of points that refills by itself.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawPoints {
    /// Points of a full bucket.
    pub max: Spanned<u64>,
    /// Points that come back per second.
    pub per_second: Spanned<u64>,
    /// What a call is taken to cost until an answer told. Default 1.
    pub cost: Option<Spanned<u64>>,
    /// In the answer: the points that are left, such as `extensions.cost.throttleStatus.currentlyAvailable`.
    pub available: Option<Spanned<String>>,
    /// In the answer: what the call was asked to pay, such as `extensions.cost.requestedQueryCost`.
    pub requested: Option<Spanned<String>>,
    /// In the answer: the points of a full bucket.
    pub maximum: Option<Spanned<String>>,
    /// In the answer: the points that come back per second.
    pub restore: Option<Spanned<String>>,
}

/// A limit of some streams and operations: a bucket, a number of requests under way, or both.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawTier {
    /// The streams and operations that share it.
    pub calls: OneOrMany<String>,
    /// Evenly paced requests. With `per`.
    pub requests: Option<Spanned<u64>>,
    /// In this time. From 1ms to 31d.
    pub per: Option<Spanned<Time>>,
    /// Requests that may go at once after a pause. Default 1.
    pub burst: Option<Spanned<u64>>,
    /// Requests under way at once. From 1 to 1000.
    pub concurrency: Option<Spanned<u64>>,
}

/// When a stream or operation that keeps failing is left alone for a while.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawBreaker {
    /// This part of its attempts failed. Default 50%.
    pub failures: Option<Spanned<Share>>,
    /// Of at least so many. Default 20, from 1 to 10000.
    pub of: Option<Spanned<u64>>,
    /// Within this time. Default 30s, from 1s to 1h.
    pub within: Option<Spanned<Time>>,
    /// So long nothing is sent; then one attempt shows whether it is well. Default 30s, from 1s to 1h.
    pub pause: Option<Spanned<Time>>,
}
