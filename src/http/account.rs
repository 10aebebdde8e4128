//! The allowances of a workspace's accounts: one for each, however many connections, pipelines and callers use it, and
//! kept in the store, so that a process that begins anew obeys what its predecessor was told.
//!
//! What is kept is a help and no promise: it is written a few seconds apart, and a store that cannot be written stops a
//! run elsewhere. After a crash the last seconds of use are missing from it, which the next answers of the vendor mend.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{sync::OnceCell, time::Instant};

use super::{
    breaker,
    budget::{Ask, Blocked, Budget, LimitView, Saved, Slot},
};
use crate::{
    config::plan::{self, Api},
    model::{Clock, Fault},
    store::{Op, StateStore, Tree},
};

/// How far apart an account is written while it is used.
const APART: Duration = Duration::from_secs(5);

/// The accounts of a workspace.
#[derive(Clone)]
pub struct Accounts {
    store: Arc<dyn StateStore>,
    clock: Arc<dyn Clock>,
    known: Arc<Mutex<BTreeMap<Vec<u8>, Account>>>,
}

/// One account's allowance. Clones are the same one.
#[derive(Clone)]
pub struct Account(Arc<Kept>);

struct Kept {
    budget: Arc<Budget>,
    /// Nothing: it ends with the process.
    place: Option<Place>,
}

struct Place {
    store: Arc<dyn StateStore>,
    key: Vec<u8>,
    restored: OnceCell<()>,
    written: Mutex<Option<Instant>>,
}

/// The breakers of a connection that were open, and when.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct OpenBreakers {
    /// In milliseconds since 1970.
    pub at: i64,
    pub open: Vec<breaker::Open>,
}

/// What the store knows of one connection's limits.
#[derive(Clone, PartialEq, Debug)]
pub struct Standing {
    pub limits: Vec<LimitView>,
    /// Everybody waits until then, because the server asked for it.
    pub blocked_until: Option<DateTime<Utc>>,
    /// When it was written; nothing: never.
    pub known_at: Option<DateTime<Utc>>,
    pub breakers: OpenBreakers,
}

impl Accounts {
    pub fn new(store: Arc<dyn StateStore>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, known: Arc::default() }
    }

    /// The account of a connection.
    pub fn of(&self, api: &Api) -> Account {
        let key = account_key(api);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || {
            let (restored, written) = (OnceCell::new(), Mutex::default());
            let place = Place { store: self.store.clone(), key: key.clone(), restored, written };
            let budget = Budget::new(&api.budget, self.clock.now());
            Account(Arc::new(Kept { budget, place: Some(place) }))
        };
        known.entry(key.clone()).or_insert_with(made).clone()
    }

    /// Writes what changed, for a process that ends.
    pub async fn keep(&self) {
        let known: Vec<Account> = self.known.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        for account in known {
            account.keep_now().await;
        }
    }
}

/// What a connection declares, and what the store knows of it where there is one.
pub async fn standing(store: Option<&dyn StateStore>, api: &Api, now: DateTime<Utc>) -> Result<Standing, Fault> {
    let budget = Budget::new(&api.budget, now);
    let (saved, breakers) = match store {
        Some(store) => (read::<Saved>(store, &account_key(api)).await?, read(store, &breakers_key(&api.name)).await?),
        None => (None, None),
    };
    if let Some(saved) = &saved {
        budget.restore(saved);
    }
    let time = DateTime::from_timestamp_millis;
    let blocked_until = saved.as_ref().and_then(|saved| time(saved.blocked_until?)).filter(|until| *until > now);
    Ok(Standing {
        limits: budget.view(),
        blocked_until,
        known_at: saved.and_then(|saved| time(saved.at)),
        breakers: breakers.unwrap_or_default(),
    })
}

impl Account {
    /// An account that nobody else uses and that ends with the process.
    pub fn alone(plan: &plan::Budget, now: DateTime<Utc>) -> Self {
        Self(Arc::new(Kept { budget: Budget::new(plan, now), place: None }))
    }

    pub fn budget(&self) -> &Arc<Budget> {
        &self.0.budget
    }

    /// Waits for a slot, after an earlier process's knowledge was taken over.
    pub async fn slot(&self, ask: Ask, patience: Duration) -> Result<Slot, Blocked> {
        self.restore().await;
        self.0.budget.slot(ask, patience).await
    }

    async fn restore(&self) {
        let Some(place) = &self.0.place else { return };
        let take_over = || async {
            match read(&*place.store, &place.key).await {
                Ok(Some(saved)) => self.0.budget.restore(&saved),
                Ok(None) => {}
                // The store says so itself where it matters.
                Err(fault) => tracing::warn!(code = %fault.code, "{}; limits begin as declared", fault.message),
            }
        };
        place.restored.get_or_init(take_over).await;
    }

    /// Writes what changed, if it was not written a moment ago.
    pub async fn keep(&self) {
        let Some(place) = &self.0.place else { return };
        let is_due = {
            let mut written = place.written.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let is_due = written.is_none_or(|written| now >= written + APART);
            if is_due {
                *written = Some(now);
            }
            is_due
        };
        if is_due {
            self.keep_now().await;
        }
    }

    /// Remembers which breakers of a connection are open.
    pub async fn keep_breakers(&self, connection: &str, open: Vec<breaker::Open>, now: DateTime<Utc>) {
        let Some(place) = &self.0.place else { return };
        let open = OpenBreakers { at: now.timestamp_millis(), open };
        write(&*place.store, breakers_key(connection), &open).await;
    }

    /// Writes what changed.
    pub async fn keep_now(&self) {
        let Some(place) = &self.0.place else { return };
        if let Some(saved) = self.0.budget.unsaved() {
            write(&*place.store, place.key.clone(), &saved).await;
        }
    }
}

/// Names hold no NUL, and a connection cannot be taken for an account.
fn account_key(api: &Api) -> Vec<u8> {
    match &api.budget.account {
        Some(account) => [b"limits\0account\0", account.as_bytes()].concat(),
        None => [b"limits\0connection\0", api.name.as_bytes()].concat(),
    }
}

fn breakers_key(connection: &str) -> Vec<u8> {
    [b"breakers\0", connection.as_bytes()].concat()
}

/// What cannot be read any more, because a later version wrote it, is as good as nothing.
async fn read<T: DeserializeOwned>(store: &dyn StateStore, key: &[u8]) -> Result<Option<T>, Fault> {
    let bytes = store.get(Tree::Meta, key).await?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

async fn write<T: Serialize>(store: &dyn StateStore, key: Vec<u8>, value: &T) {
    let Ok(value) = serde_json::to_vec(value) else { return };
    if let Err(error) = store.commit(vec![Op::Put { tree: Tree::Meta, key, value }]).await {
        let fault = Fault::from(error);
        tracing::warn!(code = %fault.code, "{}; limits are not remembered", fault.message);
    }
}
