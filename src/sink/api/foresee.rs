//! What a write would lead to, told without writing: by what is known here, and for a new record by a look-up where the operation
//! declares one. Nothing but look-ups leaves, and they are the ones that a run would begin with.

use std::sync::Arc;

use super::ApiSink;
use crate::{
    config::plan::Makes,
    model::{Code, Fault, Reason},
    sink::{
        Foreseen,
        lookup::Asking,
        repeat::Found,
        request::{self, Ready},
    },
    store::{Deed, Item},
};

impl ApiSink {
    pub(super) async fn foreseen(&self, item: &Item, may_ask: bool) -> Result<Foreseen, Fault> {
        let opened = self.clear.open(std::slice::from_ref(item));
        if let Some(reason) = opened.held(0) {
            return Ok(Foreseen::Reject(reason.clone()));
        }
        let item = opened.items().first().unwrap_or(item);
        if self.is_changed_create(self.operation_for(item), item) {
            let message = "it was created before and has changed since, and the operation only creates";
            return Ok(Foreseen::Reject(Reason::new(Code::ChangedCreate, message)));
        }
        if let Err(reason) = self.built(item) {
            return Ok(Foreseen::Reject(reason));
        }
        if item.deed == Deed::Delete {
            return Ok(Foreseen::Delete);
        }
        if may_ask
            && item.sink_id.is_none()
            && let Some(look_up) = self.operation.look_up()
        {
            let asking =
                Asking { client: &self.client, api: &self.api, operation: &self.operation, clear: &self.clear };
            return Ok(match asking.look_up(look_up, item, self.clock.now()).await? {
                Ok(Found::One(_)) => Foreseen::Update,
                Ok(Found::Several(count)) => {
                    let message = format!("the look-up found {count} records");
                    Foreseen::Reject(Reason::new(Code::AmbiguousLookUp, message))
                }
                Ok(_) => Foreseen::Create,
                Err(reason) => Foreseen::Reject(reason),
            });
        }
        let by_look_up = item.sink_id.is_none() && self.operation.look_up().is_some();
        Ok(match self.operation_for(item).makes {
            _ if item.generation > 0 && item.deed == Deed::Write => Foreseen::Update,
            Makes::Create if !by_look_up => Foreseen::Create,
            Makes::Create | Makes::Upsert => Foreseen::CreateOrUpdate,
            Makes::Update => Foreseen::Update,
            Makes::Delete => Foreseen::Delete,
        })
    }

    /// Whether its request can be built: what a template refuses is known before anything is sent.
    fn built(&self, item: &Item) -> Result<(), Reason> {
        let operation = self.operation_for(item);
        // What the record's revision is, only a reading tells.
        if operation.revision().is_some() {
            return Ok(());
        }
        let ready = Ready::new(&self.api, operation, 0, item)?;
        let name: Arc<str> = operation.name.as_str().into();
        request::call(&self.api, operation, &name, &[ready]).map(drop)
    }
}
