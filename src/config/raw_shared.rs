//! What connectors and connections both may say, as typed.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    shape::{Empty, OneOrMany, Secret, Spanned},
    units::Time,
};

/// How requests prove who sends them. The connector declares the kind and what is the same for everybody; the connection
/// adds the account's secrets.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawAuth {
    /// `Authorization: Bearer <token>`.
    Bearer(RawBearer),
    /// `Authorization: Basic <user:password>`.
    Basic(RawBasic),
    /// A key in a header or a query parameter.
    ApiKey(RawApiKey),
    /// OAuth 2.0; tokens are fetched, kept and renewed.
    Oauth2(RawOauth2),
}

/// A token that does not change.
#[derive(Clone, Default, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawBearer {
    /// The token, as a reference such as `${API_TOKEN}`.
    pub token: Option<Spanned<Secret>>,
}

/// A user and a password.
#[derive(Clone, Default, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawBasic {
    /// The user name.
    pub user: Option<Spanned<String>>,
    /// The password, as a reference such as `${API_PASSWORD}`.
    pub password: Option<Spanned<Secret>>,
}

/// A key in a header or a query parameter: one of the two.
#[derive(Clone, Default, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawApiKey {
    /// The header that carries the key.
    pub header: Option<Spanned<String>>,
    /// The query parameter that carries the key.
    pub query: Option<Spanned<String>>,
    /// The key, as a reference such as `${API_KEY}`.
    pub value: Option<Spanned<Secret>>,
}

/// OAuth 2.0.
#[derive(Clone, Default, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawOauth2 {
    /// How tokens are got.
    pub grant: Option<Spanned<RawGrant>>,
    /// The token endpoint: a URL, or a path under the base URL.
    pub token_url: Option<Spanned<String>>,
    /// The client's id.
    pub client_id: Option<Spanned<String>>,
    /// The client's secret, as a reference such as `${CLIENT_SECRET}`.
    pub client_secret: Option<Spanned<Secret>>,
    /// The scopes to ask for.
    pub scopes: Option<OneOrMany<String>>,
    /// Where the client's id and secret travel. Default `header`.
    pub secret_in: Option<RawSecretIn>,
}

/// How tokens are got.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawGrant {
    /// The client signs in by itself.
    ClientCredentials(Empty),
    /// A person consented once; the refresh token renews the access.
    RefreshToken(RawRefreshToken),
}

/// The refresh token to begin with.
#[derive(Clone, Default, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawRefreshToken {
    /// The first refresh token, as a reference. One that the vendor rotated is kept in the store and used instead.
    pub token: Option<Spanned<Secret>>,
}

/// Where the client's id and secret travel.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawSecretIn {
    /// In the Authorization header (HTTP Basic).
    Header,
    /// In the form body.
    Body,
}

/// How long a request may take.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawTimeouts {
    /// Until the connection stands. Default 1s, at most 60s.
    pub connect: Option<Spanned<Time>>,
    /// One attempt, from sending to the last byte of the answer. Default 5s, at most 10m.
    pub attempt: Option<Spanned<Time>>,
}

/// How often a call is tried.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawRetry {
    /// Attempts in all, the first one included. Default 3, from 1 to 10.
    pub attempts: Option<Spanned<u64>>,
    /// The first delay is up to this; doubled for each further attempt. Default 500ms.
    pub base: Option<Spanned<Time>>,
    /// No delay is longer. Default 30s, at most 1h.
    pub cap: Option<Spanned<Time>>,
}
