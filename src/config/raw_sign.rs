//! Session logins and request signatures, as typed.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    raw_stream::RawBody,
    shape::{Named, Secret, Source, Spanned},
    units::Time,
};

/// A login request gives a token or cookie that is used until it ends.
#[derive(Clone, Default, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawSession {
    /// The login request.
    pub login: Option<Spanned<RawLogin>>,
    /// Where its answer has the token.
    pub token: Option<Spanned<RawSessionToken>>,
    /// How long a token is used. Default: until the server refuses it.
    pub lifetime: Option<Spanned<RawLifetime>>,
    /// Headers that carry the token. Templates see `config` and `token`. Default for a cookie: that cookie.
    pub send: Option<Named<Spanned<Source>>>,
    /// What the login's templates see as `secrets.<name>`, each as a reference such as `${PASSWORD}`.
    pub secrets: Option<Named<Spanned<Secret>>>,
}

/// A login request.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawLogin {
    /// Sent with POST to this path under the base URL. Templates of the request see `config` and `secrets`.
    pub post: Spanned<Source>,
    /// Further headers.
    #[serde(default)]
    pub headers: Named<Spanned<Source>>,
    /// The body.
    pub body: Option<RawBody>,
}

/// Where a login's answer has the token.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawSessionToken {
    /// At this path of the JSON body.
    Body(Spanned<String>),
    /// In this header.
    Header(Spanned<String>),
    /// In this cookie.
    Cookie(Spanned<String>),
}

/// How long a session's token is used.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawLifetime {
    /// So long.
    Fixed(Spanned<Time>),
    /// So many seconds as the JSON body says at this path.
    Seconds(Spanned<String>),
    /// Until the time that the JSON body tells at this path: RFC 3339, or seconds or milliseconds since 1970.
    Until(Spanned<String>),
}

/// Each request carries a signature over parts of it.
#[derive(Clone, Default, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawHmac {
    /// The hash of the signature. Default `sha256`.
    pub algorithm: Option<RawHash>,
    /// The secret that signs, as a reference such as `${SIGNING_SECRET}`.
    pub secret: Option<Spanned<Secret>>,
    /// How the secret is written. Default `text`.
    pub secret_encoding: Option<RawSecretEncoding>,
    /// What is signed. Templates see `method`, `host`, `path`, `query`, `sorted_query`, `headers`, `body`, `body_hash`,
    /// `timestamp`, `nonce`, `config` and `secrets`.
    pub string: Option<Spanned<Source>>,
    /// How the body is hashed for `body_hash`. Default `{ algorithm: sha256, encoding: hex }`.
    pub body_hash: Option<RawBodyHash>,
    /// How `timestamp` is written. It is the server's time, as far as its answers told it. Default `epoch_seconds`.
    pub timestamp: Option<RawTimestamp>,
    /// How the signature is written. Default `hex`.
    pub encoding: Option<RawEncoding>,
    /// Headers that are added. Templates see what `string` sees, and `signature`.
    pub headers: Option<Named<Spanned<Source>>>,
    /// What templates see as `secrets.<name>`, such as a key's id.
    pub secrets: Option<Named<Spanned<Secret>>>,
}

/// How a body is hashed.
#[derive(Clone, Copy, Default, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawBodyHash {
    /// Default `sha256`.
    pub algorithm: Option<RawHash>,
    /// Default `hex`.
    pub encoding: Option<RawEncoding>,
}

/// A hash.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawHash {
    /// SHA-1, for old APIs.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// How bytes are written.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawEncoding {
    /// Hexadecimal, in small letters.
    Hex,
    /// Base64 with padding.
    Base64,
    /// Base64 for URLs, without padding.
    Base64url,
}

/// How a secret is written.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawSecretEncoding {
    /// Its bytes are those of the text.
    Text,
    /// Hexadecimal.
    Hex,
    /// Base64.
    Base64,
}

/// How a time is written.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawTimestamp {
    /// Seconds since 1970.
    EpochSeconds,
    /// Milliseconds since 1970.
    EpochMillis,
    /// `2026-01-01T00:00:00Z`.
    Rfc3339,
    /// `Thu, 01 Jan 2026 00:00:00 GMT`, as in the header `Date`.
    HttpDate,
}
