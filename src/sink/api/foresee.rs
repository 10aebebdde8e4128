//! What a write would lead to, told without writing: by what is known here, for a new record by a look-up where the operation
//! declares one, and for one that is there by reading it. Nothing else leaves: look-ups are the ones that a run would begin with,
//! and readings change nothing.

use std::{slice, str, sync::Arc};

use serde_json::{Value, value::RawValue};

use super::ApiSink;
use crate::{
    config::plan::{Compare, LookUp, Makes, Operation, RequestPlan},
    model::{Code, Fault, Path, Reason},
    sink::{
        Ask, Foreseen, Foresight, Held,
        lookup::{Asking, revision_of},
        repeat::Found,
        request::{self, Ready},
    },
    store::{Deed, Item},
};

/// One record as it would be sent, and as it may be shown.
#[derive(Clone, Copy)]
struct Foreseeing<'a> {
    item: &'a Item,
    /// With its personal fields protected.
    protected: &'a Item,
}

/// Where the fields stand in what would be sent, and to which record.
struct Sent<'a> {
    operation: &'a Operation,
    path: &'a Path,
    id: Option<&'a str>,
    revision: Option<&'a str>,
}

impl ApiSink {
    pub(super) async fn foreseen(&self, protected: &Item, ask: Ask) -> Result<Foresight, Fault> {
        let opened = self.clear.open(slice::from_ref(protected));
        if let Some(reason) = opened.held(0) {
            return Ok(Foreseen::Reject(reason.clone()).into());
        }
        let record = Foreseeing { item: opened.items().first().unwrap_or(protected), protected };
        let (item, operation) = (record.item, self.operation_for(protected));
        if self.is_changed_create(operation, item) {
            let message = "it was created before and has changed since, and the operation only creates";
            return Ok(Foreseen::Reject(Reason::new(Code::ChangedCreate, message)).into());
        }
        if let Err(reason) = self.built(item) {
            return Ok(Foreseen::Reject(reason).into());
        }
        if item.deed == Deed::Delete {
            return Ok(Foreseen::Delete.into());
        }
        let look_up = self.operation.look_up().filter(|_| item.sink_id.is_none());
        if let Some(look_up) = look_up.filter(|_| ask != Ask::Nothing) {
            return self.foreseen_by_look_up(look_up, record).await;
        }
        let does = match operation.makes {
            _ if item.generation > 0 && item.deed == Deed::Write => Foreseen::Update,
            Makes::Create if look_up.is_none() => Foreseen::Create,
            Makes::Create | Makes::Upsert => Foreseen::CreateOrUpdate,
            Makes::Update => Foreseen::Update,
            Makes::Delete => Foreseen::Delete,
        };
        let is_worth_it = match ask {
            Ask::Nothing => false,
            Ask::WhetherItIsThere => does == Foreseen::CreateOrUpdate,
            Ask::WhatItHolds => matches!(does, Foreseen::CreateOrUpdate | Foreseen::Update),
        };
        match reading(operation).filter(|_| is_worth_it) {
            Some(reading) => self.foreseen_by_reading(does, operation, reading, record).await,
            None => Ok(does.into()),
        }
    }

    async fn foreseen_by_look_up(&self, look_up: &LookUp, record: Foreseeing<'_>) -> Result<Foresight, Fault> {
        let asking = self.asking_for(&self.operation);
        let (does, held) = match asking.look_up_whole(look_up, record.item, self.clock.now()).await? {
            Ok((Found::One(id), entry)) => {
                let operation = self.update(&self.operation).unwrap_or(&self.operation);
                let sent = Sent { operation, path: &look_up.compare.sent, id: Some(&id), revision: None };
                let entry = entry.unwrap_or_default();
                (Foreseen::Update, self.compared(sent, &look_up.compare.answer, record, &entry))
            }
            Ok((Found::Several(count), _)) => {
                let message = format!("the look-up found {count} records");
                (Foreseen::Reject(Reason::new(Code::AmbiguousLookUp, message)), Held::Unasked)
            }
            Ok(_) => (Foreseen::Create, Held::Unasked),
            Err(reason) => (Foreseen::Reject(reason), Held::Unasked),
        };
        Ok(Foresight { does, held, asked: true })
    }

    /// What cannot be read is still written: a run does not read it, or reads it again.
    async fn foreseen_by_reading(
        &self,
        does: Foreseen,
        operation: &Operation,
        (request, compare): (&RequestPlan, &Compare),
        record: Foreseeing<'_>,
    ) -> Result<Foresight, Fault> {
        let id = record.item.sink_id.as_deref();
        let held = match self.asking_for(operation).read_whole(request, record.item, id).await? {
            Ok(Some(answer)) => {
                let revision = operation.revision().and_then(|revision| revision_of(revision, &answer));
                let sent = Sent { operation, path: &compare.sent, id, revision: revision.as_deref() };
                self.compared(sent, &compare.answer, record, str::from_utf8(&answer.body).unwrap_or_default())
            }
            Ok(None) => Held::Gone,
            Err(reason) => Held::Unreadable(reason),
        };
        let does = match (does, &held) {
            (Foreseen::CreateOrUpdate, Held::Gone) => Foreseen::Create,
            (Foreseen::CreateOrUpdate, Held::Fields { .. }) => Foreseen::Update,
            (does, _) => does,
        };
        Ok(Foresight { does, held, asked: true })
    }

    fn asking_for<'a>(&'a self, operation: &'a Operation) -> Asking<'a> {
        Asking { client: &self.client, api: &self.api, operation, clear: &self.clear }
    }

    /// Both sides of a record: what would be sent for it, and the fields at `path` in what was read.
    fn compared(&self, sent: Sent<'_>, path: &Path, record: Foreseeing<'_>, read: &str) -> Held {
        let Some(there) = path.find(read) else { return Held::Gone };
        match serde_json::from_str(there.get()) {
            Ok(Value::Null) => Held::Gone,
            Ok(there @ Value::Object(_)) => Held::Fields {
                sent: self.sent_fields(&sent, record.item),
                protected: self.sent_fields(&sent, record.protected),
                there,
            },
            _ => {
                let message = format!("what was read of it has no fields at `{path}`");
                Held::Unreadable(Reason::new(Code::StrangeAnswer, message))
            }
        }
    }

    /// The fields in the body that would be sent, or where it is no JSON object the record's own.
    fn sent_fields(&self, sent: &Sent<'_>, item: &Item) -> Value {
        let Sent { operation, path, id, revision } = *sent;
        let body = || {
            let ready = Ready::to(&self.api, operation, 0, item, id, revision).ok()?;
            if let Some(each) = ready.each() {
                return Some(each.to_owned());
            }
            let name: Arc<str> = operation.name.as_str().into();
            let call = request::call(&self.api, operation, &name, &[ready]).ok()?;
            String::from_utf8(call.body.to_vec()).ok()
        };
        let fields = body().and_then(|body| serde_json::from_str(path.find(&body).map(RawValue::get)?).ok());
        fields
            .filter(Value::is_object)
            .unwrap_or_else(|| serde_json::from_str(item.fields.as_str()).unwrap_or_default())
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

/// How an operation's record is read, where it says so.
fn reading(operation: &Operation) -> Option<(&RequestPlan, &Compare)> {
    let declared = operation.read.as_ref().map(|read| (&read.request, &read.compare));
    declared.or_else(|| operation.revision().map(|revision| (&revision.read, &revision.compare)))
}
