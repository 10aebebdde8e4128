//! A request that was refused whole under its key, cut into parts, and cut off by a crash: the whole must never leave again,
//! because by then the vendor may accept it on top of the parts that it accepted before.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use renkei::{
    config::plan::{Changed, FirstError, Operation},
    model::Verdict,
    sink::{ApiSink, Sink},
    store::{Batch, Memory, PowerLoss, Run, State},
};
use serde_json::{Value, json};

use super::{
    server::{Asked, Reply, Server, api, noon, ok, path, status},
    writing::{create_batch, items, positional, sink_over, state_in, stream},
};

const COUNT: usize = 20;

/// A vendor that remembers the keys of what it accepted, and forgets what it refused.
#[derive(Default)]
struct Vendor {
    /// The requests that it wrote, by key.
    written: BTreeMap<String, Vec<String>>,
    /// It takes the poison record by now.
    mended: bool,
    /// From this request on the account is locked.
    locked_at: Option<usize>,
}

impl Vendor {
    fn answer(&mut self, asked: &Asked) -> Reply {
        let inputs = asked.json()["inputs"].as_array().unwrap().clone();
        let keys: Vec<String> = inputs.iter().map(|input| input["key"].as_str().unwrap().to_owned()).collect();
        let poison = keys.iter().position(|key| key == "l13");
        match poison {
            _ if self.locked_at == Some(asked.number) => status(403, "{}"),
            Some(at) if !self.mended => status(400, json!({"error": {"index": at}}).to_string()),
            _ => {
                self.written.insert(asked.header("idempotency-key").unwrap().to_owned(), keys.clone());
                let results: Vec<Value> = keys.iter().map(|key| json!({"ok": true, "id": key})).collect();
                ok(json!({"results": results}).to_string())
            }
        }
    }

    /// How often each record was written.
    fn times(&self) -> BTreeSet<usize> {
        let mut times: BTreeMap<&String, usize> = BTreeMap::new();
        self.written.values().flatten().for_each(|key| *times.entry(key).or_default() += 1);
        times.into_values().collect()
    }
}

async fn serve(vendor: &Arc<Mutex<Vendor>>) -> Server {
    let vendor = Arc::clone(vendor);
    Server::answering(move |asked| vendor.lock().unwrap().answer(asked)).await
}

fn searching() -> Operation {
    create_batch(COUNT, positional())
}

fn told() -> Operation {
    let first_error = FirstError { index: path("error.index"), after: None, from: 0, message: None };
    Operation { first_error: Some(first_error), ..searching() }
}

fn sink(state: &State, server: &Server, operation: Operation) -> ApiSink {
    sink_over(state, api(&server.url), operation, Changed::Same, noon())
}

async fn stage(state: &State) {
    let mut run = Run::begin("run", &stream(), noon().0);
    let batch = Batch { items: items(COUNT), ..Batch::default() };
    state.stage(&stream(), batch, noon().0, &mut run).await.unwrap();
}

#[tokio::test]
async fn a_request_that_was_cut_before_a_crash_never_leaves_whole_again() {
    for operation in [searching, told] {
        let mut crash = 1;
        loop {
            let (memory, vendor) = (Memory::new(), Arc::new(Mutex::new(Vendor::default())));
            vendor.lock().unwrap().locked_at = Some(crash);
            let server = serve(&vendor).await;
            let state = state_in(&memory);
            stage(&state).await;
            let batch = state.outbox(&stream()).await.unwrap().pop().unwrap();
            let crashed = sink(&state, &server, operation()).write(&batch).await.is_err();

            {
                let mut vendor = vendor.lock().unwrap();
                vendor.mended = true;
                vendor.locked_at = None;
            }
            let state = state_in(&memory.reopen());
            let batch = state.outbox(&stream()).await.unwrap().pop().unwrap();
            let verdicts = sink(&state, &server, operation()).write(&batch).await.unwrap();
            assert!(verdicts.iter().all(|verdict| matches!(verdict, Verdict::Created(_))), "{verdicts:?}");
            assert_eq!(vendor.lock().unwrap().times(), BTreeSet::from([1]), "crash at request {crash}");
            if !crashed {
                break;
            }
            crash += 1;
        }
        assert!(crash >= 3, "the search ended after {crash} requests");
    }
}

#[tokio::test]
async fn a_cut_that_is_not_durable_lets_no_part_leave() {
    let (memory, vendor) = (Memory::new(), Arc::new(Mutex::new(Vendor::default())));
    let server = serve(&vendor).await;
    let state = state_in(&memory);
    stage(&state).await;
    let batch = state.outbox(&stream()).await.unwrap().pop().unwrap();
    memory.lose_power_at(memory.operations() + 1, PowerLoss::Before);
    sink(&state, &server, searching()).write(&batch).await.unwrap_err();
    assert_eq!(server.asked().len(), 1);
}
