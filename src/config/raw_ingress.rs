//! Records that are pushed here, as typed: who may push, what a record must be, and how the caller is answered.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    raw_sign::{RawEncoding, RawHash, RawSecretEncoding},
    shape::{OneOrMany, Secret, Spanned},
    units::{Size, Time},
};

/// Where pushed records are taken in.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawListen {
    /// An address of this machine and a port; port 0 takes a free one. Default `127.0.0.1:8686`.
    pub address: Option<Spanned<String>>,
    /// Open connections; more of them wait. Default 512, from 1 to 65536.
    pub connections_max: Option<Spanned<u64>>,
    /// A request's headers must be there within this, and an idle connection is closed after it. Default 10s, from 100ms to 5m.
    pub header_time: Option<Spanned<Time>>,
}

/// Records that others push.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawIngress {
    /// The fields that name a record for good. Needed unless the pipeline also reads a stream, which has its own.
    pub key: Option<OneOrMany<String>>,
    /// A field that tells the record's state: a number or a time that grows. A record older than one that was delivered is not
    /// written. The stream's own, where the pipeline also reads one.
    pub version: Option<Spanned<String>>,
    /// A JSON Schema (draft 2020-12) that a record must fit, in a file relative to the workspace.
    pub schema: Option<Spanned<String>>,
    /// Who may push. Without it the listener must be on a loopback address.
    pub auth: Option<Spanned<RawCallers>>,
    /// How a caller is answered that does not say: `async` once the record is durable, `sync` once the sink has answered.
    /// Default `async`; a request with `Prefer: respond-async` or `Prefer: wait=N` decides for itself.
    pub mode: Option<Spanned<RawMode>>,
    /// How long a caller of `sync` waits for the sink before it gets the answer of `async`. Default 3s, from 100ms to 4s.
    pub deadline: Option<Spanned<Time>>,
    /// How many requests may come. Default: as many as can be taken.
    pub rate: Option<Spanned<RawRate>>,
    /// A larger body is refused. Default 1MiB, from 1KiB to 32MiB.
    pub body_max: Option<Spanned<Size>>,
    /// A body that takes longer is refused. Default 10s, from 100ms to 2m.
    pub body_time: Option<Spanned<Time>>,
    /// Records of one request. Default 100, from 1 to 10000.
    pub records_max: Option<Spanned<u64>>,
    /// Levels of objects and lists in a body. Default 32, from 1 to 100.
    pub depth_max: Option<Spanned<u64>>,
    /// Records that may wait to be delivered; beyond that callers are asked to come back. Default 10000, from 1 to 1000000.
    pub waiting_max: Option<Spanned<u64>>,
    /// How long one may ask what became of a record. Default 24h, from 1m to 90d; of the newest 100000 records.
    pub keep: Option<Spanned<Time>>,
    /// What a repeated `Idempotency-Key` leads to.
    #[serde(default)]
    pub idempotency: RawIdempotency,
}

/// How a caller is answered.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawMode {
    /// With the sink's verdict.
    Sync,
    /// As soon as the record is durable, with where to ask for its verdict.
    Async,
}

/// How many requests may come.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawRate {
    /// So many, and as many at once.
    pub requests: Spanned<u64>,
    /// Within this. Default 1s.
    pub per: Option<Spanned<Time>>,
}

/// Answers are kept by the `Idempotency-Key` of their requests.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawIdempotency {
    /// How long. Default 24h, from 1m to 30d.
    pub keep: Option<Spanned<Time>>,
    /// How many; the oldest make room. Default 100000, from 1 to 1000000.
    pub max: Option<Spanned<u64>>,
    /// A request without a key is refused. Default false.
    pub required: Option<bool>,
}

/// Who may push.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawCallers {
    /// Whoever sends `Authorization: Bearer` with the token.
    Bearer(RawBearerCallers),
    /// Whoever sends the key in a header.
    ApiKey(RawKeyCallers),
    /// Whoever signs as standardwebhooks.com says: `webhook-id`, `webhook-timestamp`, `webhook-signature` with `v1`.
    StandardWebhooks(RawStandardWebhooks),
    /// Whoever signs with a shared secret in a vendor's own way.
    Hmac(RawSigned),
}

/// A token.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawBearerCallers {
    /// The token, as a reference such as `${PUSH_TOKEN}`; a list while it is being changed.
    pub token: Spanned<OneOrMany<Secret>>,
}

/// A key in a header.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawKeyCallers {
    /// The header. Default `X-Api-Key`.
    pub header: Option<Spanned<String>>,
    /// The key, as a reference such as `${PUSH_KEY}`; a list while it is being changed.
    pub value: Spanned<OneOrMany<Secret>>,
}

/// Signatures by the specification Standard Webhooks.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawStandardWebhooks {
    /// The secret, with or without `whsec_`, as a reference such as `${WEBHOOK_SECRET}`; a list while it is being changed.
    pub secret: Spanned<OneOrMany<Secret>>,
    /// How far the signed time may be from ours. Default 5m, from 1s to 1h.
    pub tolerance: Option<Spanned<Time>>,
}

/// Signatures of a vendor.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawSigned {
    /// The header that carries the signature.
    pub header: Spanned<String>,
    /// The secret, as a reference such as `${WEBHOOK_SECRET}`; a list while it is being changed.
    pub secret: Spanned<OneOrMany<Secret>>,
    /// How the secret is written. Default `text`.
    pub secret_encoding: Option<RawSecretEncoding>,
    /// The hash. Default `sha256`.
    pub algorithm: Option<RawHash>,
    /// How the signature is written. Default `hex`.
    pub encoding: Option<RawEncoding>,
    /// What stands before the signature, such as `sha256=`.
    pub prefix: Option<String>,
    /// The header is a list such as `t=1492774577,v1=5257a8`, and signatures are its elements of this name.
    pub element: Option<String>,
    /// What is signed, of `{timestamp}`, `{body}` and text between them. Default `{body}`.
    pub signed: Option<Spanned<String>>,
    /// Where the signed time stands, in seconds since 1970. Needed where `signed` names it.
    pub timestamp: Option<Spanned<RawTimestampAt>>,
    /// How far the signed time may be from ours. Default 5m, from 1s to 1h.
    pub tolerance: Option<Spanned<Time>>,
}

/// Where a signed time stands.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawTimestampAt {
    /// In this header.
    Header(Spanned<String>),
    /// In this element of the signature's header.
    Element(Spanned<String>),
}
