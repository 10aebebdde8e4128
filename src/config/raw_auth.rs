//! How a connection signs in, as typed. The connector declares the kind and what is the same for everybody; the connection
//! adds the account's own.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    raw_sign::{RawHmac, RawSession},
    shape::{Empty, Named, OneOrMany, Secret, Spanned, Tree},
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
    Oauth2(Box<RawOauth2>),
    /// A login request gives a token or cookie that is used until it ends.
    Session(Box<RawSession>),
    /// Each request carries a signature over parts of it.
    Hmac(Box<RawHmac>),
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
    /// Where the client's id and secret travel. Default `header`.
    pub secret_in: Option<RawSecretIn>,
    /// How the client proves who it is, instead of with a secret.
    pub client_auth: Option<Spanned<RawClientAuth>>,
    /// The scopes to ask for.
    pub scopes: Option<OneOrMany<String>>,
    /// Further fields of every token request, such as `audience`.
    pub parameters: Option<Named<Spanned<String>>>,
}

/// How tokens are got.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawGrant {
    /// The client signs in by itself.
    ClientCredentials(Empty),
    /// A person consented once; the refresh token renews the access.
    RefreshToken(RawRefreshToken),
    /// A person signs in with a browser: `renkei auth login CONNECTION`.
    AuthorizationCode(RawAuthorizationCode),
    /// A person signs in on another device: `renkei auth login CONNECTION`.
    DeviceCode(RawDeviceCode),
    /// A signed assertion is the grant (RFC 7523): service accounts.
    JwtBearer(RawJwtBearer),
}

/// The refresh token to begin with.
#[derive(Clone, Default, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawRefreshToken {
    /// The first refresh token, as a reference. One that the vendor rotated is kept in the store and used instead.
    pub token: Option<Spanned<Secret>>,
}

/// Signing in with a browser (RFC 6749, 4.1, with PKCE).
#[derive(Clone, Default, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawAuthorizationCode {
    /// The page that a person signs in at: a URL, or a path under the base URL.
    pub authorize_url: Option<Spanned<String>>,
    /// Where the browser is sent back to, as registered with the vendor. On 127.0.0.1 or localhost renkei listens for it,
    /// without a port on any free one; elsewhere the person pastes the address. Default `http://127.0.0.1/callback`.
    pub redirect_uri: Option<Spanned<String>>,
    /// What the answer must name as its issuer (RFC 9207). Default: not checked.
    pub issuer: Option<Spanned<String>>,
    /// Further parameters of the page's URL, such as `prompt`.
    pub parameters: Option<Named<Spanned<String>>>,
}

/// Signing in on another device (RFC 8628).
#[derive(Clone, Default, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawDeviceCode {
    /// The endpoint that gives codes: a URL, or a path under the base URL.
    pub device_url: Option<Spanned<String>>,
}

/// A signed assertion as the grant.
#[derive(Clone, Default, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawJwtBearer {
    /// The key, as a reference such as `${file:key.pem}`: PEM, or the JSON key file of a Google service account, which
    /// also gives issuer and key id.
    pub private_key: Option<Spanned<Secret>>,
    /// The password of a key that is sealed with one.
    pub password: Option<Spanned<Secret>>,
    /// The key's id, for the header `kid`.
    pub key_id: Option<Spanned<String>>,
    /// The claim `iss`. Default the client's id.
    pub issuer: Option<Spanned<String>>,
    /// The claim `sub`. Default the issuer.
    pub subject: Option<Spanned<String>>,
    /// The claim `aud`. Default the token endpoint.
    pub audience: Option<Spanned<String>>,
    /// Further claims, such as `scope`.
    pub claims: Option<Named<Spanned<Tree>>>,
    /// How long an assertion holds. Default 5m, from 10s to 1h.
    pub lifetime: Option<Spanned<Time>>,
}

/// How the client proves who it is, instead of with a secret.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawClientAuth {
    /// With a signed assertion (RFC 7523).
    PrivateKeyJwt(RawPrivateKeyJwt),
    /// With the connection's client certificate (RFC 8705).
    TlsClientAuth(Empty),
}

/// A signed assertion of the client.
#[derive(Clone, Default, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawPrivateKeyJwt {
    /// The key in PEM, as a reference such as `${file:key.pem}`.
    pub private_key: Option<Spanned<Secret>>,
    /// The password of a key that is sealed with one.
    pub password: Option<Spanned<Secret>>,
    /// The key's id, for the header `kid`.
    pub key_id: Option<Spanned<String>>,
    /// The claim `aud`. Default the token endpoint.
    pub audience: Option<Spanned<String>>,
}

/// Where the client's id and secret travel.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawSecretIn {
    /// In the Authorization header (HTTP Basic): `client_secret_basic`.
    Header,
    /// In the form body: `client_secret_post`.
    Body,
}

/// The certificate that the connection shows to its servers (mTLS): one of `pem` and `pkcs12`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawClientCertificate {
    /// Certificate and key in PEM.
    pub pem: Option<RawPem>,
    /// Both in one PKCS#12 file.
    pub pkcs12: Option<RawPkcs12>,
    /// So long before its end it is warned of. Default 30d, at most 366d.
    pub warn_before: Option<Spanned<Time>>,
}

/// Certificate and key in PEM. The files are read again when they change.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawPem {
    /// The file with the certificate, and with those that vouch for it behind it; relative to the workspace.
    pub certificate: Spanned<String>,
    /// The file with the key. Default the same file.
    pub key: Option<Spanned<String>>,
    /// The password of a key that is sealed with one.
    pub password: Option<Spanned<Secret>>,
}

/// A PKCS#12 file. It is read again when it changes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawPkcs12 {
    /// The file, relative to the workspace.
    pub file: Spanned<String>,
    /// Its password, as a reference such as `${P12_PASSWORD}`.
    pub password: Option<Spanned<Secret>>,
}
