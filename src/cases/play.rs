//! Plays a case: a stream is read to the end of its pass by the real source, or the given records are written in one batch by the
//! real sink.

use std::sync::Arc;

use serde_json::Value;

use super::{
    clock::CaseClock,
    outcome::{Difference, Outcome, judge},
    tape::Tape,
};
use crate::{
    auth::{self, Ground, Vault},
    config::{
        plan::{Changed, Makes, Operation, Stream},
        plan_case::{Case, Given, Subject},
    },
    http::Client,
    model::{Checkpoint, ContentHash, Cursor, Fault, Page, SystemEntropy, Verdict, idempotency_key},
    sink::{ApiSink, Sink},
    source,
    store::{Batch, Deed, Item, Memory, Run, Seal, State, StreamId},
};

/// The chance of every case: what is jittered is jittered the same way each time.
const SEED: u64 = 1;

/// What differs from what the case says. It must be run where time stands still (`standing_still`).
pub async fn play(case: Arc<Case>) -> Vec<Difference> {
    let stage = Stage::new(case.clone());
    let outcome = match &case.subject {
        Subject::Stream { stream, cursor, pages_max } => stage.read(stream, cursor.clone(), *pages_max).await,
        Subject::Operation { operation, records } => stage.write(operation, records).await,
    };
    let (found, mut names) = stage.tape.over();
    match found.is_empty() {
        true => judge(&case, &outcome, &mut names),
        false => found,
    }
}

/// What a case is played on.
struct Stage {
    case: Arc<Case>,
    tape: Arc<Tape>,
    state: State,
    ground: Ground,
}

impl Stage {
    fn new(case: Arc<Case>) -> Self {
        let (store, seal) = (Arc::new(Memory::new()), Arc::new(Seal::plain()));
        let ground = Ground {
            vault: Vault::new(store.clone(), seal.clone()),
            clock: Arc::new(CaseClock::new(case.now)),
            entropy: Arc::new(SystemEntropy::seeded(SEED)),
        };
        Self { tape: Arc::new(Tape::new(case.clone())), case, state: State::new(store, seal), ground }
    }

    fn client(&self) -> Result<Client, Fault> {
        auth::client_over(&self.case.api, self.tape.clone(), &self.ground)
    }

    async fn read(&self, stream: &Arc<Stream>, cursor: Option<Cursor>, pages_max: u64) -> Outcome {
        let mut outcome = Outcome::default();
        let source = match self.client() {
            Ok(client) => source::in_order(&self.case.api, stream, &client),
            Err(fault) => return Outcome { fault: Some(fault), ..outcome },
        };
        let mut at = Checkpoint { cursor, ..Checkpoint::default() };
        for _ in 0..pages_max {
            match source.read(&at).await {
                Ok(page) => {
                    outcome.take(&page);
                    let is_over = page.end;
                    at = page.next;
                    if is_over {
                        break;
                    }
                }
                Err(fault) => {
                    outcome.fault = Some(fault);
                    break;
                }
            }
        }
        Outcome { cursor: at.cursor, ..outcome }
    }

    async fn write(&self, operation: &Arc<Operation>, records: &[Given]) -> Outcome {
        match self.written(operation, records).await {
            Ok(verdicts) => Outcome { verdicts, ..Outcome::default() },
            Err(fault) => Outcome { fault: Some(fault), ..Outcome::default() },
        }
    }

    async fn written(&self, operation: &Arc<Operation>, records: &[Given]) -> Result<Vec<Verdict>, Fault> {
        let (stream, clock) = (StreamId::new("case", operation.name.clone()), self.ground.clock.clone());
        let mut run = Run::begin("case", &stream, clock.now());
        let items = records.iter().map(|record| item(&self.case.api.name, operation, record)).collect();
        let batch = Batch { items, ..Batch::default() };
        let staged = self.state.stage(&stream, batch, clock.now(), &mut run).await?;
        let (api, journal) = (self.case.api.clone(), self.state.journal(&stream));
        let sink = ApiSink::new(api, operation.clone(), Changed::Same, self.client()?, clock, journal);
        sink.write(&staged).await
    }
}

/// A record as the engine stages it, for its first write of this content.
pub fn item(connection: &str, operation: &Operation, record: &Given) -> Item {
    let content = ContentHash::of(&record.fields);
    Item {
        deed: if operation.makes == Makes::Delete { Deed::Delete } else { Deed::Write },
        content: Some(content),
        sink_id: record.sink_id.clone(),
        idempotency_key: idempotency_key(connection, &operation.name, &record.key, &content, "0"),
        ..Item::new(record.key.clone(), record.fields.clone())
    }
}

impl Outcome {
    fn take(&mut self, page: &Page) {
        for record in &page.records {
            self.records.push(serde_json::from_str(record.fields.as_str()).unwrap_or(Value::Null));
            self.keys.push(record.key.to_string());
            if record.gone {
                self.gone.push(record.key.to_string());
            }
        }
        self.refused.extend(page.rejects.iter().map(|reject| reject.reason.code));
    }
}
