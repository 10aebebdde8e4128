//! Stand-ins for secrets, where a case of a connector is played: every reference is filled, and every kind of credentials that
//! needs nothing but secrets is there without being written.

use std::path::Path;

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use secrecy::SecretString;

use super::{
    environment::Environment,
    plan::{Api, Auth, Grant},
    raw_auth::{
        RawApiKey, RawAuth, RawBasic, RawBearer, RawClientAuth, RawGrant, RawJwtBearer, RawOauth2, RawPrivateKeyJwt,
        RawRefreshToken,
    },
    shape::{Secret, Spanned},
    source::Span,
};

/// Fills every reference: `${API_TOKEN}` with `stand-in-api-token`; `${KEY_BASE64}` with a text in base64, where a secret must be one.
pub struct StandIns;

impl Environment for StandIns {
    fn variable(&self, name: &str) -> Option<SecretString> {
        Some(stand_in(name).into())
    }

    fn file(&self, _: &Path) -> Result<SecretString, String> {
        Ok(stand_in("file").into())
    }
}

fn stand_in(name: &str) -> String {
    if name.ends_with("_BASE64") {
        return STANDARD.encode(name);
    }
    format!("stand-in-{}", name.to_ascii_lowercase().replace('_', "-"))
}

/// Credentials of the kind that a connector declares. Nothing where secrets alone do not make them.
pub fn credentials(declared: &RawAuth, span: Span) -> Option<RawAuth> {
    let secret = |name: &str| Some(Spanned { value: Secret(stand_in(name).into()), span });
    let text = |name: &str| Some(Spanned { value: stand_in(name), span });
    Some(match declared {
        RawAuth::Bearer(_) => RawAuth::Bearer(RawBearer { token: secret("token") }),
        RawAuth::Basic(declared) => RawAuth::Basic(RawBasic {
            user: if declared.user.is_some() { None } else { text("user") },
            password: secret("password"),
        }),
        RawAuth::ApiKey(_) => RawAuth::ApiKey(RawApiKey { value: secret("key"), ..RawApiKey::default() }),
        RawAuth::Oauth2(declared) => {
            let is_assertion =
                matches!(declared.grant.as_ref().map(|grant| &grant.value), Some(RawGrant::JwtBearer(_)));
            let grant = match &declared.grant.as_ref()?.value {
                RawGrant::RefreshToken(_) => {
                    Some(RawGrant::RefreshToken(RawRefreshToken { token: secret("refresh_token") }))
                }
                RawGrant::JwtBearer(_) => Some(RawGrant::JwtBearer(RawJwtBearer {
                    private_key: Some(Spanned { value: Secret(signing_key()?), span }),
                    issuer: text("issuer"),
                    ..RawJwtBearer::default()
                })),
                _ => None,
            };
            let client_auth = match declared.client_auth.as_ref().map(|client_auth| &client_auth.value) {
                Some(RawClientAuth::PrivateKeyJwt(_)) => Some(RawClientAuth::PrivateKeyJwt(RawPrivateKeyJwt {
                    private_key: Some(Spanned { value: Secret(signing_key()?), span }),
                    ..RawPrivateKeyJwt::default()
                })),
                Some(RawClientAuth::TlsClientAuth(_)) | None => None,
            };
            RawAuth::Oauth2(Box::new(RawOauth2 {
                grant: grant.map(|value| Spanned { value, span }),
                client_auth: client_auth.map(|value| Spanned { value, span }),
                client_id: if is_assertion { None } else { text("client_id") },
                client_secret: if is_assertion || declared.client_auth.is_some() {
                    None
                } else {
                    secret("client_secret")
                },
                ..RawOauth2::default()
            }))
        }
        RawAuth::Session(_) | RawAuth::Hmac(_) => return None,
    })
}

/// A key that was never used before and signs for nobody.
fn signing_key() -> Option<SecretString> {
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).ok()?;
    let label = "PRIVATE KEY";
    Some(format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(key.as_ref())).into())
}

/// What a person would do in a browser was done: there is a refresh token.
pub fn signed_in(mut api: Api) -> Api {
    if let Auth::OAuth2(oauth2) = &mut api.auth
        && matches!(oauth2.grant, Grant::AuthorizationCode(_) | Grant::DeviceCode { .. })
    {
        oauth2.grant = Grant::RefreshToken { token: stand_in("refresh_token").into() };
    }
    api
}
