//! An OAuth 2.0 connection: a bearer token from its keeper on every request.

use std::{convert::Infallible, sync::Arc};

use http::header;
use secrecy::{ExposeSecret, SecretString};

use super::{
    Ground,
    endpoint::Endpoint,
    fixed::sensitive,
    keeper::{Granted, Issuer, Keeper, Needs},
    vault::TokenKey,
};
use crate::{
    config::plan::{Api, Grant, JwtBearer, OAuth2},
    http::{Request, Signer, Transport},
    model::{BoxFuture, Fault},
};

/// Puts the token on requests.
pub struct Bearer {
    keeper: Keeper,
    /// What no answer to any request may carry into a text.
    secrets: Vec<SecretString>,
}

impl Bearer {
    pub fn new(api: &Api, oauth2: &OAuth2, transport: Arc<dyn Transport>, ground: &Ground) -> Result<Self, Fault> {
        Ok(Self { keeper: keeper(api, oauth2, transport, ground)?, secrets: oauth2.secrets() })
    }
}

/// The keeper of the connection's token.
pub fn keeper(api: &Api, oauth2: &OAuth2, transport: Arc<dyn Transport>, ground: &Ground) -> Result<Keeper, Fault> {
    let issuer = Grants { endpoint: Endpoint::new(api, oauth2, transport, ground)?, grant: oauth2.grant.clone() };
    Ok(Keeper::new(&api.name, Box::new(issuer), token_key(&api.name, oauth2), None, ground))
}

/// Changed settings never meet an old token.
pub fn token_key(connection: &str, oauth2: &OAuth2) -> TokenKey {
    let scopes = oauth2.scopes.join(" ");
    let mut settings = vec![oauth2.client_id.as_str(), oauth2.token_url.as_str(), &scopes];
    match &oauth2.grant {
        Grant::ClientCredentials => settings.extend(["client_credentials", ""]),
        Grant::RefreshToken { token } => settings.extend(["refresh_token", token.expose_secret()]),
        Grant::AuthorizationCode(grant) => settings.extend(["authorization_code", grant.authorize_url.as_str()]),
        Grant::DeviceCode { device_url } => settings.extend(["device_code", device_url.as_str()]),
        Grant::JwtBearer(JwtBearer { issuer, subject, audience, claims, .. }) => {
            settings.extend(["jwt_bearer", issuer, subject, audience]);
            settings.extend(claims.iter().flat_map(|(name, json)| [name.as_str(), json]));
        }
    }
    settings.extend(oauth2.parameters.iter().flat_map(|(name, value)| [name.as_str(), value]));
    TokenKey::new(connection, &settings)
}

/// Asks the token endpoint as the grant says.
struct Grants {
    endpoint: Endpoint,
    grant: Grant,
}

impl Issuer for Grants {
    fn needs(&self) -> Needs {
        match &self.grant {
            Grant::ClientCredentials | Grant::JwtBearer(_) => Needs::Nothing,
            Grant::RefreshToken { token } => Needs::Refresh(Some(token.clone())),
            Grant::AuthorizationCode(_) | Grant::DeviceCode { .. } => Needs::Refresh(None),
        }
    }

    fn issue<'a>(&'a self, spent: Option<&'a SecretString>) -> BoxFuture<'a, Result<Granted, Fault>> {
        Box::pin(async move {
            match (spent, &self.grant) {
                (Some(token), _) => self.endpoint.refresh(token).await,
                (None, Grant::JwtBearer(_)) => self.endpoint.jwt_bearer().await,
                (None, _) => self.endpoint.client_credentials().await,
            }
        })
    }
}

impl Signer for Bearer {
    fn sign<'a>(&'a self, request: &'a mut Request) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let access = self.keeper.fresh().await?;
            let value = sensitive(&format!("Bearer {}", access.expose_secret()))?;
            request.headers.insert(header::AUTHORIZATION, value);
            request.secrets.push(access);
            request.secrets.extend(self.secrets.iter().cloned());
            Ok(())
        })
    }

    fn refused<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(async move {
            let carried = request.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
            let Some(refused) = carried.and_then(|text| text.strip_prefix("Bearer ")) else { return Ok(false) };
            self.keeper.after(refused.into()).await?;
            Ok(true)
        })
    }

    fn keep(&self) -> BoxFuture<'_, Infallible> {
        Box::pin(self.keeper.keep_fresh())
    }
}
