//! Records that are pushed here: as meant.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::HeaderName;
use secrecy::{SecretSlice, SecretString};

use super::plan_sign::{Encoding, Hash};
use crate::contract::RecordSchema;

/// Where pushed records are taken in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListenPlan {
    /// Default 127.0.0.1:8686.
    pub address: SocketAddr,
    pub connections_max: usize,
    pub header_time_max: Duration,
}

/// How records of a pipeline are taken in.
#[derive(Debug)]
pub struct Ingress {
    /// What a record must fit.
    pub schema: Option<Arc<RecordSchema>>,
    pub callers: Callers,
    /// Of callers that do not say.
    pub mode: Mode,
    /// How long a caller of `Sync` waits for the sink.
    pub deadline: Duration,
    pub rate: Option<Rate>,
    pub body_bytes_max: usize,
    pub body_time_max: Duration,
    pub records_max: usize,
    pub depth_max: usize,
    pub waiting_max: usize,
    /// How long verdicts are kept.
    pub keep: Duration,
    pub idempotency: Idempotency,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Answered with the sink's verdict.
    Sync,
    /// Answered once it is durable.
    Async,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    pub requests: u32,
    pub per: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Idempotency {
    pub keep: Duration,
    pub max: usize,
    pub required: bool,
}

/// Who may push. Of several secrets each is good.
#[derive(Debug)]
pub enum Callers {
    /// Whoever can reach the listener, which is on a loopback address.
    Anybody,
    Bearer(Vec<SecretString>),
    ApiKey {
        header: HeaderName,
        values: Vec<SecretString>,
    },
    StandardWebhooks(StandardWebhooks),
    Signed(Box<Signed>),
}

#[derive(Debug)]
pub struct StandardWebhooks {
    pub secrets: Vec<SecretSlice<u8>>,
    pub tolerance: Duration,
}

/// Signatures of a vendor.
#[derive(Debug)]
pub struct Signed {
    pub header: HeaderName,
    pub secrets: Vec<SecretSlice<u8>>,
    pub hash: Hash,
    pub encoding: Encoding,
    /// What stands before the signature.
    pub prefix: String,
    /// Signatures are the header's elements of this name.
    pub element: Option<String>,
    pub signed: Vec<SignedPart>,
    pub timestamp: Option<TimestampAt>,
    pub tolerance: Duration,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SignedPart {
    Text(String),
    Timestamp,
    Body,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TimestampAt {
    Header(HeaderName),
    Element(String),
}
