//! What others may know of an engine, and how they note what people do with it.

use std::sync::{Arc, PoisonError};

use super::Engine;
use crate::{
    auth::Ground,
    config::plan::Api,
    http::{Client, Meters, Standing, standing},
    model::Fault,
    store::audit::{Audit, Entry},
};

impl Engine {
    /// What signing in stands on.
    pub fn ground(&self) -> &Ground {
        &self.ground
    }

    /// What the store takes on disk, where it is on one.
    pub async fn disk_bytes(&self) -> Option<u64> {
        let disk = self.disk.clone()?;
        tokio::task::spawn_blocking(move || disk.bytes()).await.ok().flatten()
    }

    /// What is known of a connection's limits.
    pub async fn limits_of(&self, api: &Api) -> Result<Standing, Fault> {
        standing(Some(&*self.parts.store), api, self.parts.clock.now()).await
    }

    /// What its connections count, over reloads too.
    pub fn meters(&self) -> &Meters {
        &self.meters
    }

    /// The client of a connection, with the budget that everybody on it shares.
    pub fn client_of(&self, api: &Arc<Api>) -> Result<Client, Fault> {
        self.client(api)
    }

    /// The clients of connections that were used so far.
    pub fn clients(&self) -> Vec<Client> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Notes what somebody does. It is durable when this resolves, and may only be done then. A workspace in memory has no log.
    pub async fn note(&self, entry: Entry) -> Result<(), Fault> {
        match &self.audit {
            Some(audit) => audit.append(entry, self.parts.clock.now()).await,
            None => Ok(()),
        }
    }

    pub fn audit(&self) -> Option<&Arc<Audit>> {
        self.audit.as_ref()
    }
}
