//! `serve.admin` of `renkei.yaml`, as typed.

use schemars::JsonSchema;
use serde::Deserialize;

use super::shape::{Secret, Spanned};

/// The admin API of `renkei serve`: health, metrics, and everything that people do with a running service.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawAdmin {
    /// Where it listens, as `IP:port`. Default `127.0.0.1:7365`; port 0 takes a free one.
    pub address: Option<Spanned<String>>,
    /// What callers send as `Authorization: Bearer`; at least 16 characters. Required on any address that others reach.
    pub token: Option<Spanned<Secret>>,
    /// It is spoken to over TLS. Default: in the clear.
    pub tls: Option<RawTls>,
}

/// Certificate and key of a listener, in PEM.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawTls {
    /// The file with the certificate, and with those that vouch for it behind it; relative to the workspace.
    pub certificate: Spanned<String>,
    /// The file with the key.
    pub key: Spanned<String>,
}
