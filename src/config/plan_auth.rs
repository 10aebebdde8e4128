//! How a connection signs in, as meant.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use http::HeaderName;
use secrecy::SecretString;
use url::Url;

use super::plan_sign::{Hmac, Session};

/// How requests prove who sends them.
#[derive(Clone, Debug)]
pub enum Auth {
    None,
    Bearer { token: SecretString },
    Basic { user: String, password: SecretString },
    ApiKeyHeader { header: HeaderName, value: SecretString },
    ApiKeyQuery { parameter: String, value: SecretString },
    OAuth2(Box<OAuth2>),
    Session(Box<Session>),
    Hmac(Box<Hmac>),
    Aws(Box<AwsKeys>),
}

impl Auth {
    /// Where signing in sends requests to, besides the base URL.
    pub fn places(&self) -> Vec<&Url> {
        let Self::OAuth2(oauth2) = self else { return Vec::new() };
        match &oauth2.grant {
            Grant::DeviceCode { device_url } => vec![&oauth2.token_url, device_url],
            // The authorization page is for a browser.
            _ => vec![&oauth2.token_url],
        }
    }
}

/// The keys of an account of AWS, or of a server that signs as S3 does.
#[derive(Clone, Debug)]
pub struct AwsKeys {
    pub id: String,
    pub secret: SecretString,
    /// Of keys that were lent for a while.
    pub token: Option<SecretString>,
    pub region: String,
}

#[derive(Clone, Debug)]
pub struct OAuth2 {
    pub grant: Grant,
    pub token_url: Url,
    /// Empty where the grant needs no client.
    pub client_id: String,
    pub client: ClientAuth,
    pub scopes: Vec<String>,
    /// Further fields of every token request.
    pub parameters: Vec<(String, String)>,
}

impl OAuth2 {
    /// The configured texts that must not be shown.
    pub fn secrets(&self) -> Vec<SecretString> {
        let client = match &self.client {
            ClientAuth::Basic { secret } | ClientAuth::Post { secret } => vec![secret],
            ClientAuth::PrivateKeyJwt { key, .. } => key.secrets(),
            ClientAuth::Public | ClientAuth::Tls => Vec::new(),
        };
        let grant = match &self.grant {
            Grant::RefreshToken { token } => vec![token],
            Grant::JwtBearer(JwtBearer { key, .. }) => key.secrets(),
            Grant::ClientCredentials | Grant::AuthorizationCode(_) | Grant::DeviceCode { .. } => Vec::new(),
        };
        client.into_iter().chain(grant).cloned().collect()
    }
}

/// How the client proves to the token endpoint who it is.
#[derive(Clone, Debug)]
pub enum ClientAuth {
    /// It names itself and proves nothing: `none`.
    Public,
    /// HTTP Basic: `client_secret_basic`.
    Basic { secret: SecretString },
    /// In the form: `client_secret_post`.
    Post { secret: SecretString },
    /// A signed assertion: `private_key_jwt`.
    PrivateKeyJwt { key: SigningKey, audience: String },
    /// The connection's client certificate: `tls_client_auth`.
    Tls,
}

/// A private key that signs. Its kind says the algorithm: RS256 for RSA, ES256 for P-256.
#[derive(Clone, Debug)]
pub struct SigningKey {
    pub pem: SecretString,
    pub password: Option<SecretString>,
    /// The header `kid`.
    pub id: Option<String>,
}

impl SigningKey {
    fn secrets(&self) -> Vec<&SecretString> {
        self.password.iter().chain([&self.pem]).collect()
    }
}

#[derive(Clone, Debug)]
pub enum Grant {
    ClientCredentials,
    /// The first refresh token, as configured. A rotated one in the store takes precedence.
    RefreshToken {
        token: SecretString,
    },
    AuthorizationCode(CodeGrant),
    DeviceCode {
        device_url: Url,
    },
    JwtBearer(JwtBearer),
}

/// A person signs in with a browser.
#[derive(Clone, Debug)]
pub struct CodeGrant {
    pub authorize_url: Url,
    /// As registered with the vendor. One on this machine without a port takes any free one.
    pub redirect_uri: Url,
    /// What the answer must name as its issuer. Nothing: not checked.
    pub issuer: Option<String>,
    pub parameters: Vec<(String, String)>,
}

/// A signed assertion is the grant.
#[derive(Clone, Debug)]
pub struct JwtBearer {
    pub key: SigningKey,
    pub issuer: String,
    pub subject: String,
    pub audience: String,
    /// Further claims, with their JSON texts.
    pub claims: Vec<(String, String)>,
    pub lifetime: Duration,
}

/// The certificate that the connection shows to its servers (mTLS).
#[derive(Clone, Debug)]
pub struct ClientCertificate {
    pub files: CertificateFiles,
    /// So long before its end it is warned of. Default 30 days.
    pub warn_before: Duration,
}

/// Files, and not their content: they are read again when they change.
#[derive(Clone, Debug)]
pub enum CertificateFiles {
    Pem { certificate: PathBuf, key: PathBuf, password: Option<SecretString> },
    Pkcs12 { file: PathBuf, password: Option<SecretString> },
}

impl CertificateFiles {
    /// The file that the certificate is in.
    pub fn path(&self) -> &Path {
        match self {
            Self::Pem { certificate: file, .. } | Self::Pkcs12 { file, .. } => file,
        }
    }

    /// All of them.
    pub fn paths(&self) -> Vec<&Path> {
        match self {
            Self::Pem { certificate, key, .. } => vec![certificate, key],
            Self::Pkcs12 { file, .. } => vec![file],
        }
    }
}
