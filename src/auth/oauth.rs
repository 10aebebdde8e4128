//! One OAuth 2.0 connection: one token for everybody, refreshed ahead of its end, and once when the server refuses it.
//!
//! The hard idea: a refresh token may be good for one use only. So one refresh runs at a time and whoever comes
//! meanwhile shares its outcome; it runs in a task of its own, so that a caller who gives up cannot drop it between the
//! server's answer and our disk; and the new refresh token is durable before anybody uses what came with it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use chrono::{DateTime, Utc};
use http::header;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{Mutex, MutexGuard};

use super::{
    Ground,
    exchange::{self, TokenSecrets},
    fixed::sensitive,
    token::{self, Token},
    vault::TokenKey,
};
use crate::{
    config::plan::{Api, Grant, OAuth2},
    http::{Client, Policy, Request, Seams, Signer, Transport},
    model::{Blame, BoxFuture, Code, Fault},
};

pub struct OAuth(Arc<Shared>);

struct Shared {
    oauth2: OAuth2,
    /// What no answer to any request may carry into a text.
    secrets: Arc<TokenSecrets>,
    key: TokenKey,
    ground: Ground,
    /// For the token endpoint alone.
    client: Client,
    state: Mutex<State>,
    /// Refreshes that ended, well or not.
    ended: AtomicU64,
}

#[derive(Default)]
struct State {
    loaded: bool,
    token: Option<Token>,
    /// The token is not in the store yet, because saving it failed.
    unsaved: bool,
    /// How the latest refresh failed, if it did.
    failed: Option<Fault>,
}

impl OAuth {
    pub fn new(api: &Api, oauth2: &OAuth2, transport: Arc<dyn Transport>, ground: &Ground) -> Result<Self, Fault> {
        let Ground { clock, entropy, .. } = ground.clone();
        let secrets = Arc::new(TokenSecrets::new(oauth2));
        let seams = Seams { transport, signer: secrets.clone(), clock, entropy };
        Ok(Self(Arc::new(Shared {
            oauth2: oauth2.clone(),
            secrets,
            key: TokenKey::new(&api.name, oauth2),
            ground: ground.clone(),
            client: Client::new(Policy::for_tokens(api, &oauth2.token_url), seams),
            state: Mutex::default(),
            ended: AtomicU64::new(0),
        })))
    }

    /// The token everybody uses. `refused` is an access token that the server does not take any more.
    async fn token(&self, refused: Option<SecretString>) -> Result<SecretString, Fault> {
        let ended_before = self.0.ended.load(Relaxed);
        if let Some(access) = self.0.state.lock().await.ready(self.0.now(), refused.as_ref()) {
            return Ok(access);
        }
        let shared = self.0.clone();
        // Dropping the caller leaves the task running to its end.
        let task = tokio::spawn(async move { shared.token(refused.as_ref(), ended_before).await });
        task.await.unwrap_or_else(|error| {
            let (code, blame) =
                if error.is_panic() { (Code::Bug, Blame::Bug) } else { (Code::Interrupted, Blame::Host) };
            Err(Fault::halt(code, blame, "signing in did not come to its end")
                .help("Nothing was sent. Run again; if it happens again, please report it."))
        })
    }
}

impl State {
    /// The token, where it is at hand, durable, and not the refused one.
    fn ready(&self, now: DateTime<Utc>, refused: Option<&SecretString>) -> Option<SecretString> {
        let token = self.token.as_ref().filter(|token| !self.unsaved && token.is_fresh(now))?;
        let taken = refused.is_none_or(|refused| refused.expose_secret() != token.access.expose_secret());
        taken.then(|| token.access.clone())
    }
}

impl Shared {
    fn now(&self) -> DateTime<Utc> {
        self.ground.clock.now()
    }

    async fn token(&self, refused: Option<&SecretString>, ended_before: u64) -> Result<SecretString, Fault> {
        let mut state = self.state.lock().await;
        self.load(&mut state).await?;
        self.save(&mut state).await?;
        if let Some(access) = state.ready(self.now(), refused) {
            return Ok(access);
        }
        // Somebody's refresh failed while we waited for it. Ours would be the same.
        let failed_meanwhile = state.failed.clone().filter(|_| self.ended.load(Relaxed) != ended_before);
        if let Some(fault) = failed_meanwhile {
            return Err(fault);
        }
        let refreshed = self.refresh(&mut state).await;
        state.failed = refreshed.as_ref().err().cloned();
        self.ended.fetch_add(1, Relaxed);
        refreshed
    }

    async fn load(&self, state: &mut State) -> Result<(), Fault> {
        if !state.loaded {
            state.token = self.ground.vault.load(&self.key).await?;
            state.loaded = true;
        }
        Ok(())
    }

    async fn refresh(&self, state: &mut MutexGuard<'_, State>) -> Result<SecretString, Fault> {
        let spent = match &self.oauth2.grant {
            Grant::ClientCredentials => None,
            Grant::RefreshToken { token } => {
                let rotated = state.token.as_ref().and_then(|token| token.refresh.clone());
                Some(rotated.unwrap_or_else(|| token.clone()))
            }
        };
        self.secrets.spend(spent.as_ref());
        let granted = exchange::exchange(&self.client, &self.oauth2, spent.as_ref()).await?;
        let access = granted.access.clone();
        state.token = Some(Token {
            access: granted.access,
            // A server that rotates sends the next one; one that does not means the old one to hold.
            refresh: granted.refresh.filter(|_| spent.is_some()).or(spent),
            refresh_at: token::refresh_at(self.now(), granted.lives_seconds, self.ground.entropy.share()),
        });
        state.unsaved = true;
        self.save(state).await?;
        Ok(access)
    }

    /// Makes the token durable before anybody uses it. After a failure it stays in memory, because the server may
    /// already have forgotten the one before, and the next caller tries again.
    async fn save(&self, state: &mut MutexGuard<'_, State>) -> Result<(), Fault> {
        if let Some(token) = state.token.as_ref().filter(|_| state.unsaved) {
            self.ground.vault.save(&self.key, token).await?;
            state.unsaved = false;
        }
        Ok(())
    }
}

impl Signer for OAuth {
    fn sign<'a>(&'a self, request: &'a mut Request) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let access = self.token(None).await?;
            let value = sensitive(&format!("Bearer {}", access.expose_secret()))?;
            request.headers.insert(header::AUTHORIZATION, value);
            request.secrets.push(access);
            request.secrets.extend(self.0.secrets.configured.iter().cloned());
            Ok(())
        })
    }

    fn refused<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(async move {
            let carried = request.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
            let Some(refused) = carried.and_then(|text| text.strip_prefix("Bearer ")) else { return Ok(false) };
            self.token(Some(refused.into())).await?;
            Ok(true)
        })
    }
}
