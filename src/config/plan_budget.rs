//! An account's allowance and the breaker, as meant. Every limit of a budget holds at once.

use std::{collections::BTreeSet, time::Duration};

use http::HeaderName;

use crate::model::Path;

/// The account's allowance. One per account, shared by everything that uses it.
#[derive(Clone, PartialEq, Debug)]
pub struct Budget {
    /// Connections with the same account share one allowance, which holds the limits of all of them. Nothing: the
    /// connection has an account of its own.
    pub account: Option<String>,
    pub buckets: Vec<Bucket>,
    pub windows: Vec<Window>,
    pub daily: Vec<Daily>,
    pub points: Vec<Points>,
    pub tiers: Vec<Tier>,
    /// Requests under way at once. Default 8.
    pub concurrency: u32,
    /// The longest wait for quota before the call gives up. Default 15 min.
    pub wait_max: Duration,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            account: None,
            buckets: Vec::new(),
            windows: Vec::new(),
            daily: Vec::new(),
            points: Vec::new(),
            tiers: Vec::new(),
            concurrency: 8,
            wait_max: Duration::from_secs(900),
        }
    }
}

/// `requests` per `per`, evenly paced, with `burst` let through at once after a pause. Default burst 1.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bucket {
    pub requests: u32,
    pub per: Duration,
    pub burst: u32,
}

/// At most `requests` in any `per`, as fast as they come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Window {
    pub requests: u32,
    pub per: Duration,
    pub left: Option<LeftHeader>,
    /// Tells when the window ends.
    pub reset: Option<HeaderName>,
}

/// At most `requests` in any 24 hours.
#[derive(Clone, PartialEq, Debug)]
pub struct Daily {
    pub requests: u64,
    pub left: Option<LeftHeader>,
    /// The part, from 0 to 1, that work which can wait leaves to others.
    pub reserve: f64,
}

/// How a header tells what is left of a quota.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LeftHeader {
    /// `790`: that much is left.
    Remaining(HeaderName),
    /// `18/5000`, also inside a longer text such as `api-usage=18/5000`, or the used number alone.
    Used(HeaderName),
}

/// Points that come back by themselves, and what calls cost of them.
#[derive(Clone, PartialEq, Debug)]
pub struct Points {
    pub max: u32,
    pub per_second: u32,
    /// What a call is taken to cost until an answer told.
    pub cost: u32,
    pub available: Option<Path>,
    pub requested: Option<Path>,
    pub maximum: Option<Path>,
    pub restore: Option<Path>,
}

/// A limit that some streams and operations share.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tier {
    /// Names are a connector's own.
    pub connector: String,
    pub calls: BTreeSet<String>,
    pub bucket: Option<Bucket>,
    pub concurrency: Option<u32>,
}

/// When a stream or operation that keeps failing is left alone.
#[derive(Clone, PartialEq, Debug)]
pub struct Breaker {
    /// From 0 to 1. Default a half.
    pub failures: f64,
    /// Default 20.
    pub of: u32,
    /// Default 30 s.
    pub within: Duration,
    /// Default 30 s.
    pub pause: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: 0.5, of: 20, within: Duration::from_secs(30), pause: Duration::from_secs(30) }
    }
}
