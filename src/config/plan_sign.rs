//! Session logins and request signatures, as meant.

use std::time::Duration;

use http::HeaderName;
use secrecy::SecretString;

use super::plan::RequestPlan;
use crate::{expr::Template, model::Path};

/// A login request gives a token that is used until it ends.
#[derive(Clone, Debug)]
pub struct Session {
    /// Templates see `config` and `secrets`.
    pub login: RequestPlan,
    pub token: SessionToken,
    pub lifetime: Lifetime,
    /// Headers that carry the token. Templates see `config` and `token`.
    pub send: Vec<(HeaderName, Template)>,
    pub secrets: Vec<(String, SecretString)>,
}

/// Where a login's answer has the token.
#[derive(Clone, Debug)]
pub enum SessionToken {
    Body(Path),
    Header(HeaderName),
    Cookie(String),
}

/// How long a session's token is used.
#[derive(Clone, Debug)]
pub enum Lifetime {
    /// Until the server refuses it.
    Unknown,
    Fixed(Duration),
    /// A number of seconds in the JSON body.
    Seconds(Path),
    /// A time in the JSON body.
    Until(Path),
}

/// Each request carries a signature over parts of it.
#[derive(Clone, Debug)]
pub struct Hmac {
    pub hash: Hash,
    /// The secret's bytes, read from how it is written.
    pub secret: SecretString,
    pub secret_encoding: Option<Encoding>,
    pub string: Template,
    pub body_hash: Hash,
    pub body_encoding: Encoding,
    pub timestamp: TimestampFormat,
    pub encoding: Encoding,
    pub headers: Vec<(HeaderName, Template)>,
    pub secrets: Vec<(String, SecretString)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hash {
    Sha1,
    Sha256,
    Sha512,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    Hex,
    Base64,
    Base64Url,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimestampFormat {
    EpochSeconds,
    EpochMillis,
    Rfc3339,
    HttpDate,
}
