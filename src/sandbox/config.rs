//! What a world is made of and how badly it behaves. Every number here is a bound or a share; the default is a lively
//! but honest SaaS, without drift and without late records, which a test switches on by name.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::rotation::Rotation;

/// One of the two systems of the world.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum App {
    Oauth,
    Shop,
    Crm,
    /// The sandbox's own switches: no token, no quota, no faults, not in the account.
    Control,
}

/// A strict token bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quota {
    pub per_second: u32,
    pub burst: u32,
}

/// How a [`World`](super::World) begins and what it does to its clients.
#[derive(Clone, Debug)]
pub struct WorldConfig {
    /// Drives names, drift, late visibility and faults. The same seed and the same calls give the same world.
    pub seed: u64,
    /// The customers that exist at the start, at most a million.
    pub customers: usize,
    /// Every record of the start was changed before this moment.
    pub epoch: DateTime<Utc>,
    /// A larger `limit` is cut to this without a word, as most APIs do.
    pub page_size_max: usize,
    /// The page size of a request that names none.
    pub page_size: usize,
    /// Lists customers in an order that has nothing to do with `updated_at`.
    pub unordered: bool,
    /// A page token older than this answers 410.
    pub page_token_ttl: Option<Duration>,
    /// The chance that customers change or appear before a page of a listing is read.
    pub drift: f64,
    /// Drift ends after this many changes, so that a client can catch up.
    pub drift_changes_max: usize,
    /// The chance that a change deletes a customer, or brings a deleted one back as it was.
    pub deletions: f64,
    /// A change becomes visible up to this much after its `updated_at`, like the commit of a long transaction.
    pub late: Duration,
    /// `updated_at` is cut to a multiple of this.
    pub clock_grain: Duration,
    /// The share of customers without a usable e-mail address.
    pub bad_email: f64,
    pub client_id: String,
    pub client_secret: String,
    pub token_ttl: Duration,
    /// What becomes of a refresh token that is used.
    pub rotation: Rotation,
    /// The client may name itself without a secret.
    pub public_client: bool,
    /// The public key, in PEM, of clients and service accounts that sign assertions.
    pub client_key: Option<String>,
    /// People who are asked to consent say no.
    pub consent_denied: bool,
    /// How often a device code is asked for before somebody has typed it.
    pub device_polls: u32,
    /// Seconds between two questions after a device code. More than it says is asked of who comes too early.
    pub device_interval: u32,
    pub shop_quota: Option<Quota>,
    pub crm_quota: Option<Quota>,
    /// Says `Retry-After` as an HTTP date instead of seconds.
    pub retry_after_date: bool,
    /// How long the CRM remembers an idempotency key.
    pub key_retention: Duration,
    /// A create without an `Idempotency-Key` is refused instead of doubled.
    pub key_required: bool,
    pub batch_size_max: usize,
    /// A new lead shows up in the search only after this.
    pub index_lag: Duration,
    /// The chance that somebody else changes a lead right after it was read.
    pub meddle: f64,
    /// How often an asynchronous job is asked after before it is done.
    pub job_polls: u32,
    pub body_bytes_max: usize,
    pub leads_max: usize,
    /// Changes that `/shop/events` and `/shop/changes` remember.
    pub events_max: usize,
    /// Entries that the account keeps. Its counters are never cut.
    pub entries_max: usize,
}

impl Default for WorldConfig {
    fn default() -> Self {
        let usual = Some(Quota { per_second: 50, burst: 10 });
        Self {
            seed: 1,
            customers: 500,
            epoch: DateTime::from_timestamp(1_767_225_600, 0).unwrap_or_default(),
            page_size_max: 200,
            page_size: 50,
            unordered: false,
            page_token_ttl: None,
            drift: 0.0,
            drift_changes_max: 10_000,
            deletions: 0.0,
            late: Duration::ZERO,
            clock_grain: Duration::from_millis(1),
            bad_email: 0.03,
            client_id: "demo".into(),
            client_secret: "demo-secret".into(),
            token_ttl: Duration::from_secs(300),
            rotation: Rotation::None,
            public_client: false,
            client_key: None,
            consent_denied: false,
            device_polls: 2,
            device_interval: 1,
            shop_quota: usual,
            crm_quota: usual,
            retry_after_date: false,
            key_retention: Duration::from_secs(24 * 3600),
            key_required: false,
            batch_size_max: 100,
            index_lag: Duration::ZERO,
            meddle: 0.0,
            job_polls: 2,
            body_bytes_max: 8 << 20,
            leads_max: 1_000_000,
            events_max: 100_000,
            entries_max: 10_000,
        }
    }
}
