//! One connection's credentials that end: one access token for everybody, renewed ahead of its end, and once when the
//! server refuses it.
//!
//! The hard idea: a refresh token may be good for one use only. So
//!
//! * one renewal runs at a time, and whoever comes meanwhile shares its outcome. Other processes cannot come: the store
//!   that holds the token is held by one process at a time;
//! * it runs in a task of its own, so that a caller who gives up cannot drop it between the server's answer and our disk;
//! * that the token is being spent is durable before it leaves, and what came for it is durable before anybody uses it.
//!   Until then the old token stays, and is what the next attempt sends;
//! * a token that the server refuses for good is never sent again: the connection is parked until a person acts.

use std::{
    convert::Infallible,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    sync::{Mutex, MutexGuard},
    time::sleep,
};
use tracing::Instrument;

use super::{
    Ground,
    kept::{Access, Kept, Parked, Pending},
    vault::TokenKey,
};
use crate::model::{Blame, BoxFuture, Code, Fault};

/// Where new credentials come from.
pub trait Issuer: Send + Sync {
    fn needs(&self) -> Needs;

    /// Asks for new credentials. `spent` is the refresh token to spend. A fault with [`Code::SignInAgain`] says that it is
    /// dead.
    fn issue<'a>(&'a self, spent: Option<&'a SecretString>) -> BoxFuture<'a, Result<Granted, Fault>>;
}

/// What a renewal takes.
pub enum Needs {
    /// Nothing but what the issuer has itself.
    Nothing,
    /// A refresh token: the newest one, or this one while none is kept.
    Refresh(Option<SecretString>),
}

/// What a server gave.
pub struct Granted {
    /// A fault where it cannot be used. What came along with it counts all the same: the next refresh token must not be
    /// lost with a bad access token.
    pub access: Result<SecretString, Fault>,
    pub refresh: Option<SecretString>,
    pub lives_seconds: Option<u64>,
    /// The scopes that the server named. Nothing: it named none, which means those that were asked for.
    pub scopes: Option<Vec<String>>,
}

#[derive(Clone)]
pub struct Keeper(Arc<Shared>);

struct Shared {
    connection: String,
    issuer: Box<dyn Issuer>,
    key: TokenKey,
    made_with: Option<String>,
    ground: Ground,
    state: Mutex<State>,
    /// Renewals that ended, well or not.
    ended: AtomicU64,
}

#[derive(Default)]
struct State {
    loaded: bool,
    kept: Kept,
    /// What is kept is not in the store yet, because saving it failed.
    unsaved: bool,
    /// How the latest renewal failed, if it did.
    failed: Option<Fault>,
}

/// What a caller wants.
#[derive(Clone)]
enum Want {
    /// A fresh token.
    Fresh,
    /// Another one than this, which the server does not take any more.
    Other(SecretString),
    /// A new one, also where a person was asked to act first.
    New,
}

impl Keeper {
    /// `made_with` is a hash of secrets that must not be part of the name: what was got with others is not used.
    pub fn new(
        connection: &str,
        issuer: Box<dyn Issuer>,
        key: TokenKey,
        made_with: Option<String>,
        ground: &Ground,
    ) -> Self {
        let (connection, ground) = (connection.to_owned(), ground.clone());
        let (state, ended) = (Mutex::default(), AtomicU64::new(0));
        Self(Arc::new(Shared { connection, issuer, key, made_with, ground, state, ended }))
    }

    /// The token everybody uses.
    pub async fn fresh(&self) -> Result<SecretString, Fault> {
        self.get(Want::Fresh).await
    }

    /// The token after this one, which the server does not take any more.
    pub async fn after(&self, refused: SecretString) -> Result<SecretString, Fault> {
        self.get(Want::Other(refused)).await
    }

    /// Gets a new token now, also where the connection waits for a person: it was the person who asked.
    pub async fn renew(&self) -> Result<(), Fault> {
        self.get(Want::New).await.map(drop)
    }

    /// Renews the token whenever it is time, for as long as it is polled; it never ends by itself. For waits in which
    /// nobody asks for the token, so that neither it nor the refresh token behind it ends meanwhile.
    pub async fn keep_fresh(&self) -> Infallible {
        loop {
            let refresh_at = self.0.state.lock().await.kept.access.as_ref().and_then(|access| access.refresh_at);
            let Some(at) = refresh_at else { return pending().await };
            sleep((at - self.0.now()).to_std().unwrap_or_default()).await;
            // Whoever needs the token next is told why there is none.
            if self.fresh().await.is_err() {
                return pending().await;
            }
        }
    }

    /// Takes what a person got by signing in. Durable when it returns.
    pub async fn accept(&self, granted: Granted) -> Result<(), Fault> {
        let _renewal = self.0.ground.vault.renewal().await;
        let mut state = self.0.state.lock().await;
        state.kept = Kept { since: Some(self.0.now()), ..Kept::default() };
        state.loaded = true;
        self.0.take(&mut state, granted, None).await.map(drop)
    }

    /// Forgets everything that is kept, here and in the store.
    pub async fn forget(&self) -> Result<(), Fault> {
        let mut state = self.0.state.lock().await;
        *state = State { loaded: true, ..State::default() };
        self.0.ground.vault.forget(&self.0.key).await
    }

    /// What is kept in the store.
    pub async fn kept(&self) -> Result<Kept, Fault> {
        let mut state = self.0.state.lock().await;
        self.0.load(&mut state).await?;
        Ok(state.kept.clone())
    }

    async fn get(&self, want: Want) -> Result<SecretString, Fault> {
        let ended_before = self.0.ended.load(Relaxed);
        if let Some(access) = self.0.state.lock().await.ready(self.0.now(), &want) {
            return Ok(access);
        }
        let shared = self.0.clone();
        // Dropping the caller leaves the task running to its end.
        let task = tokio::spawn(async move { shared.get(&want, ended_before).await }.in_current_span());
        task.await.unwrap_or_else(|error| {
            let (code, blame) =
                if error.is_panic() { (Code::Bug, Blame::Bug) } else { (Code::Interrupted, Blame::Host) };
            Err(Fault::halt(code, blame, "signing in did not come to its end")
                .help("Nothing was sent. Run again; if it happens again, please report it."))
        })
    }
}

impl State {
    /// The token, where it is at hand, durable, and what is wanted.
    fn ready(&self, now: DateTime<Utc>, want: &Want) -> Option<SecretString> {
        let access = self.kept.access.as_ref().filter(|access| !self.unsaved && access.is_fresh(now))?;
        let wanted = match want {
            Want::Fresh => true,
            Want::Other(refused) => refused.expose_secret() != access.token.expose_secret(),
            Want::New => false,
        };
        wanted.then(|| access.token.clone())
    }
}

impl Shared {
    fn now(&self) -> DateTime<Utc> {
        self.ground.clock.now()
    }

    async fn get(&self, want: &Want, ended_before: u64) -> Result<SecretString, Fault> {
        let mut state = self.state.lock().await;
        self.load(&mut state).await?;
        self.save(&mut state).await?;
        if let Some(access) = state.ready(self.now(), want) {
            return Ok(access);
        }
        // Somebody's renewal failed while we waited for it. Ours would be the same.
        let failed_meanwhile = state.failed.clone().filter(|_| self.ended.load(Relaxed) != ended_before);
        if let Some(fault) = failed_meanwhile {
            return Err(fault);
        }
        if matches!(want, Want::New) {
            state.kept.parked = None;
        }
        let renewed = self.renew(&mut state).await;
        state.failed = renewed.as_ref().err().cloned();
        self.ended.fetch_add(1, Relaxed);
        renewed
    }

    async fn load(&self, state: &mut State) -> Result<(), Fault> {
        if !state.loaded {
            let kept = self.ground.vault.load(&self.key).await?;
            state.kept = kept.filter(|kept| kept.made_with == self.made_with).unwrap_or_default();
            state.loaded = true;
        }
        Ok(())
    }

    async fn renew(&self, state: &mut MutexGuard<'_, State>) -> Result<SecretString, Fault> {
        if let Some(parked) = &state.kept.parked {
            return Err(parked.fault());
        }
        let spent = self.spent(state)?;
        let _renewal = self.ground.vault.renewal().await;
        if spent.is_some() {
            let begun = state.kept.pending.unwrap_or(Pending { since: self.now(), tries: 0 });
            state.kept.pending = Some(Pending { tries: begun.tries.saturating_add(1), ..begun });
            state.unsaved = true;
            self.save(state).await?;
        }
        match self.issuer.issue(spent.as_ref()).await {
            Ok(granted) => self.take(state, granted, spent).await,
            Err(fault) if fault.code == Code::SignInAgain => Err(self.park(state, fault).await),
            Err(fault) => {
                // Refused for another reason, it was not spent. Whether it is noted now or with the next save is the same.
                if fault.code == Code::TokenRefused {
                    state.kept.pending = None;
                    state.unsaved = true;
                }
                Err(fault)
            }
        }
    }

    /// The refresh token to spend: never an older one than the newest that is durable.
    fn spent(&self, state: &State) -> Result<Option<SecretString>, Fault> {
        match self.issuer.needs() {
            Needs::Nothing => Ok(None),
            Needs::Refresh(first) => match state.kept.refresh.clone().or(first) {
                Some(token) => Ok(Some(token)),
                None => Err(not_signed_in(&self.connection, state.kept.since.is_some())),
            },
        }
    }

    /// Keeps what the server gave, and hands the access token out once it is durable. After a failure to save it stays in
    /// memory, because the server may already have forgotten the one before, and the next caller tries again.
    async fn take(
        &self,
        state: &mut MutexGuard<'_, State>,
        granted: Granted,
        spent: Option<SecretString>,
    ) -> Result<SecretString, Fault> {
        let now = self.now();
        let access = granted.access.as_ref().ok().cloned();
        let share = self.ground.entropy.share();
        state.kept.access = access.map(|token| Access::new(token, now, granted.lives_seconds, share));
        if matches!(self.issuer.needs(), Needs::Refresh(_)) {
            // A server that rotates sends the next one; one that does not means the old one to hold.
            state.kept.refresh = granted.refresh.or(spent);
            // RFC 6749, 6: a refresh that names no scopes keeps those of the grant.
            state.kept.scopes = granted.scopes.or(state.kept.scopes.take());
        } else {
            state.kept.scopes = granted.scopes;
        }
        (state.kept.pending, state.kept.parked) = (None, None);
        state.kept.made_with.clone_from(&self.made_with);
        state.kept.since.get_or_insert(now);
        state.unsaved = true;
        self.save(state).await?;
        granted.access
    }

    /// The refresh token is dead, and sending it again would not change that.
    async fn park(&self, state: &mut MutexGuard<'_, State>, fault: Fault) -> Fault {
        let fault = match state.kept.pending {
            Some(Pending { since, tries }) if tries > 1 => {
                let since = since.format("%Y-%m-%d %H:%M:%S UTC");
                let lost = format!("it was tried {tries} times since {since}, so an answer may have been lost");
                let message = format!("{}; {lost}", fault.message);
                Fault { message, ..fault }
            }
            _ => fault,
        };
        state.kept.parked = Some(Parked::new(self.now(), &fault));
        (state.kept.pending, state.kept.access) = (None, None);
        state.unsaved = true;
        match self.save(state).await {
            Ok(()) => fault,
            Err(host) => host,
        }
    }

    /// Makes what is kept durable.
    async fn save(&self, state: &mut State) -> Result<(), Fault> {
        if state.unsaved {
            self.ground.vault.save(&self.key, &state.kept).await?;
            state.unsaved = false;
        }
        Ok(())
    }
}

fn not_signed_in(connection: &str, before: bool) -> Fault {
    let (code, message) = match before {
        false => (Code::NotSignedIn, "nobody has signed in for this connection yet"),
        true => (Code::SignInAgain, "the token has ended, and the vendor gave no refresh token with it"),
    };
    let help = format!("Nothing was sent. Type: renkei auth login {connection}");
    Fault::halt(code, Blame::Credentials, message).help(help)
}
