//! One connection's sign-in, for whoever looks after it: how it stands, signing in, a new token now, and forgetting it.
//! Nothing here is secret: texts and times leave, tokens do not.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{
    Ground,
    endpoint::Endpoint,
    keeper::{Granted, Keeper},
    kept::{Kept, Parked, Pending},
    login::{self, Person},
    oauth, session,
};
use crate::{
    config::plan::{Api, Auth, Grant},
    http::{HttpTransport, Transport, identity},
    model::Fault,
};

/// A connection's sign-in.
pub struct Account<'a> {
    api: &'a Api,
    transport: Arc<dyn Transport>,
    ground: Ground,
    /// Nothing where the credentials stand in the configuration and never change.
    keeper: Option<Keeper>,
}

/// What came of signing in. It has no Debug.
pub struct SignedIn(Granted);

/// How a connection's sign-in stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// The credentials stand in the configuration: there is nothing to sign in to.
    Configured,
    /// No token is kept; the next call gets one by itself.
    NoToken,
    /// No token is kept, and a person has to sign in.
    NotSignedIn,
    SignedIn,
    /// A refresh was cut off. The next one sends the token that is here once more.
    RefreshCutOff,
    /// Nothing is tried until a person signs in again.
    SignInAgain,
}

#[derive(Clone, Debug, Serialize)]
pub struct Status {
    pub kind: &'static str,
    pub standing: Standing,
    pub signed_in_at: Option<DateTime<Utc>>,
    /// When the access token ends, as far as its server said.
    pub access_ends_at: Option<DateTime<Utc>>,
    /// When the next refresh is due.
    pub refresh_at: Option<DateTime<Utc>>,
    /// Whether a refresh token is kept.
    pub refresh_token: bool,
    pub pending: Option<Pending>,
    pub parked: Option<Parked>,
    /// The scopes that the connection asks for, beside those that it was granted, where it asks for any.
    pub scopes: Option<Scopes>,
    /// The client certificate, where the connection has one.
    pub certificate: Option<Certificate>,
}

/// Scopes. Those that were granted without being asked for are only counted: they are a server's own words.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Scopes {
    pub declared: Vec<String>,
    /// Of the declared ones. Empty where the server named none, because that means all that were asked for.
    pub missing: Vec<String>,
    pub others: usize,
    /// Whether the server named any.
    pub named: bool,
}

/// A client certificate as its files are now.
#[derive(Clone, Debug, Serialize)]
pub struct Certificate {
    pub subject: Option<String>,
    pub not_before: Option<DateTime<Utc>>,
    pub not_after: Option<DateTime<Utc>>,
    pub days_left: Option<i64>,
    /// It is over, or ends soon.
    pub warning: bool,
    /// Why it cannot be used.
    pub trouble: Option<String>,
}

impl<'a> Account<'a> {
    pub fn new(api: &'a Api, ground: &Ground) -> Result<Self, Fault> {
        Self::over(api, Arc::new(HttpTransport::new(api)), ground)
    }

    pub fn over(api: &'a Api, transport: Arc<dyn Transport>, ground: &Ground) -> Result<Self, Fault> {
        let keeper = match &api.auth {
            Auth::OAuth2(oauth2) => Some(oauth::keeper(api, oauth2, transport.clone(), ground)?),
            Auth::Session(session) => Some(session::keeper(api, session, transport.clone(), ground)?),
            Auth::None
            | Auth::Bearer { .. }
            | Auth::Basic { .. }
            | Auth::ApiKeyHeader { .. }
            | Auth::ApiKeyQuery { .. }
            | Auth::Hmac(_)
            | Auth::Aws(_) => None,
        };
        Ok(Self { api, transport, ground: ground.clone(), keeper })
    }

    pub async fn status(&self) -> Result<Status, Fault> {
        let kept = match &self.keeper {
            Some(keeper) => keeper.kept().await?,
            None => Kept::default(),
        };
        Ok(Status {
            kind: kind(&self.api.auth),
            standing: self.standing(&kept),
            signed_in_at: kept.since,
            access_ends_at: kept.access.as_ref().and_then(|access| access.ends_at),
            refresh_at: kept.access.as_ref().and_then(|access| access.refresh_at),
            refresh_token: kept.refresh.is_some(),
            scopes: self.scopes(&kept),
            pending: kept.pending,
            parked: kept.parked,
            certificate: self.certificate(),
        })
    }

    fn standing(&self, kept: &Kept) -> Standing {
        match (&self.keeper, kept) {
            (None, _) => Standing::Configured,
            (_, Kept { parked: Some(_), .. }) => Standing::SignInAgain,
            (_, Kept { pending: Some(_), .. }) => Standing::RefreshCutOff,
            (_, Kept { access: None, refresh: None, .. }) if self.needs_person() => Standing::NotSignedIn,
            (_, Kept { access: None, refresh: None, .. }) => Standing::NoToken,
            _ => Standing::SignedIn,
        }
    }

    fn needs_person(&self) -> bool {
        let Auth::OAuth2(oauth2) = &self.api.auth else { return false };
        matches!(oauth2.grant, Grant::AuthorizationCode(_) | Grant::DeviceCode { .. })
    }

    fn scopes(&self, kept: &Kept) -> Option<Scopes> {
        let Auth::OAuth2(oauth2) = &self.api.auth else { return None };
        let declared = oauth2.scopes.clone();
        let has_token = kept.access.is_some() || kept.refresh.is_some();
        if declared.is_empty() || !has_token {
            return None;
        }
        let granted = kept.scopes.as_deref();
        let is_missing = |scope: &&String| granted.is_some_and(|granted| !granted.contains(*scope));
        let missing = declared.iter().filter(is_missing).cloned().collect();
        let others = granted.unwrap_or_default().iter().filter(|scope| !declared.contains(scope)).count();
        Some(Scopes { missing, others, named: granted.is_some(), declared })
    }

    /// Makes sure that there is a token as a request would: one that holds is left as it is, and one that has ended or is
    /// not there is got and kept. False where there is none to get.
    pub async fn ready(&self) -> Result<bool, Fault> {
        match &self.keeper {
            Some(keeper) => keeper.fresh().await.map(|_| true),
            None => Ok(false),
        }
    }

    /// The client certificate as its files are now, where the connection has one.
    pub fn certificate(&self) -> Option<Certificate> {
        let plan = self.api.client_certificate.as_ref()?;
        let (dates, trouble) = match identity::look(plan) {
            Ok(dates) => (Some(dates), None),
            Err(trouble) => (None, Some(trouble.to_string())),
        };
        let left = dates.as_ref().map(|dates| dates.not_after - self.ground.clock.now());
        let warn_before = chrono::TimeDelta::from_std(plan.warn_before).unwrap_or(chrono::TimeDelta::MAX);
        Some(Certificate {
            not_before: dates.as_ref().map(|dates| dates.not_before),
            not_after: dates.as_ref().map(|dates| dates.not_after),
            subject: dates.map(|dates| dates.subject),
            days_left: left.map(|left| left.num_days()),
            warning: left.is_none_or(|left| left <= warn_before),
            trouble,
        })
    }

    /// Signs in with a person. What is kept stays as it is. Nothing where no person is needed.
    pub async fn sign_in(&self, person: &dyn Person) -> Result<Option<SignedIn>, Fault> {
        let Auth::OAuth2(oauth2) = &self.api.auth else { return Ok(None) };
        let tokens = Endpoint::new(self.api, oauth2, self.transport.clone(), &self.ground)?;
        let granted = match &oauth2.grant {
            Grant::AuthorizationCode(grant) => login::browser(&tokens, oauth2, grant, person).await?,
            Grant::DeviceCode { device_url } => {
                let codes = Endpoint::at(device_url, self.api, oauth2, self.transport.clone(), &self.ground)?;
                login::device(&codes, &tokens, person).await?
            }
            Grant::ClientCredentials | Grant::RefreshToken { .. } | Grant::JwtBearer(_) => return Ok(None),
        };
        Ok(Some(SignedIn(granted)))
    }

    /// Keeps what a person signed in to, in place of what was there. Durable when it returns.
    pub async fn keep(&self, signed_in: SignedIn) -> Result<(), Fault> {
        match &self.keeper {
            Some(keeper) => keeper.accept(signed_in.0).await,
            None => Ok(()),
        }
    }

    /// Gets a new token now, also where the connection waits for a person. False where there is none to get.
    pub async fn refresh(&self) -> Result<bool, Fault> {
        match &self.keeper {
            Some(keeper) => keeper.renew().await.map(|()| true),
            None => Ok(false),
        }
    }

    /// Forgets every token of the connection. False where none can be kept.
    pub async fn logout(&self) -> Result<bool, Fault> {
        match &self.keeper {
            Some(keeper) => keeper.forget().await.map(|()| true),
            None => Ok(false),
        }
    }
}

fn kind(auth: &Auth) -> &'static str {
    match auth {
        Auth::None => "none",
        Auth::Bearer { .. } => "bearer",
        Auth::Basic { .. } => "basic",
        Auth::ApiKeyHeader { .. } | Auth::ApiKeyQuery { .. } => "api_key",
        Auth::OAuth2(oauth2) => match &oauth2.grant {
            Grant::ClientCredentials => "oauth2/client_credentials",
            Grant::RefreshToken { .. } => "oauth2/refresh_token",
            Grant::AuthorizationCode(_) => "oauth2/authorization_code",
            Grant::DeviceCode { .. } => "oauth2/device_code",
            Grant::JwtBearer(_) => "oauth2/jwt_bearer",
        },
        Auth::Session(_) => "session",
        Auth::Hmac(_) => "hmac",
        Auth::Aws(_) => "aws",
    }
}
