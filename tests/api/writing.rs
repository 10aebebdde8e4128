//! Operations to send and batches to send them for.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use http::{HeaderName, Method, StatusCode};
use renkei::{
    config::plan::{
        AnswerShape, Api, BatchPlan, Body, Changed, KeyFormat, KeyPlan, Makes, Node, Operation, Repeat, RowTest,
    },
    expr::Expression,
    model::{ContentHash, Fields, Key, idempotency_key},
    sink::ApiSink,
    store::{Batch, Item, Memory, Run, Seal, Staged, State, StreamId},
};

use super::server::{Still, api, client, noon, path, request};

pub fn keyed() -> KeyPlan {
    KeyPlan {
        header: HeaderName::from_static("idempotency-key"),
        format: KeyFormat::Raw,
        retention: Duration::from_secs(24 * 3600),
        mismatch: StatusCode::UNPROCESSABLE_ENTITY,
        in_flight: StatusCode::CONFLICT,
        done: None,
        replayed: None,
    }
}

pub fn value(text: &str) -> Node {
    Node::Value(Expression::compile(text).unwrap())
}

pub fn object(fields: &[(&str, Node)]) -> Node {
    Node::Object(fields.iter().map(|(name, node)| ((*name).to_owned(), node.clone())).collect())
}

/// `POST /leads` with the record as its body.
pub fn create() -> Operation {
    let mut request = request(Method::POST, "/leads");
    request.body = Some(Body::Json(value("record")));
    Operation {
        name: "create_lead".to_owned(),
        request,
        makes: Makes::Create,
        created: None,
        batch: None,
        repeat: vec![Repeat::IdempotencyKey(keyed())],
        answer: AnswerShape::whole(),
        first_error: None,
        read: None,
        schema: None,
        sink_id: Some(path("id")),
    }
}

/// `POST /leads/batch` with `{"inputs": [...]}`.
pub fn create_batch(size: usize, answer: AnswerShape) -> Operation {
    let mut request = request(Method::POST, "/leads/batch");
    request.body = Some(Body::Json(object(&[("inputs", value("batch"))])));
    let each = object(&[("key", value("record.id")), ("fields", value("record"))]);
    Operation { request, batch: Some(BatchPlan { size, each }), answer, ..create() }
}

pub fn positional() -> AnswerShape {
    AnswerShape::Positional {
        list: path("results"),
        test: RowTest { ok: Some(path("ok")), errors: Some(path("errors")) },
    }
}

pub fn sink(base_url: &str, operation: Operation) -> ApiSink {
    sink_of(api(base_url), operation, Changed::Same, noon())
}

pub fn sink_of(api: Api, operation: Operation, changed: Changed, clock: Still) -> ApiSink {
    sink_over(&state(), api, operation, changed, clock)
}

/// A sink that keeps its journal in this state.
pub fn sink_over(state: &State, api: Api, operation: Operation, changed: Changed, clock: Still) -> ApiSink {
    let client = client(&api);
    let journal = state.journal(&stream());
    ApiSink::new(Arc::new(api), Arc::new(operation), changed, client, Arc::new(clock), journal)
}

pub fn item(id: &str, name: &str) -> Item {
    let fields = Fields::parse(serde_json::json!({"id": id, "name": name}).to_string().as_bytes()).unwrap();
    let (key, content) = (Key::new(id), ContentHash::of(&fields));
    Item {
        idempotency_key: idempotency_key("crm", "create_lead", &key, &content, "g0"),
        content: Some(content),
        ..Item::new(key, fields)
    }
}

pub fn items(count: usize) -> Vec<Item> {
    (0..count).map(|at| item(&format!("l{at}"), "Ann")).collect()
}

/// A batch that is staged in this run.
pub fn staged(items: Vec<Item>) -> Staged {
    state().guard(&stream(), Batch { items, ..Batch::default() }, noon().0)
}

/// A batch that an earlier run staged and left.
pub async fn resumed(items: Vec<Item>, staged_at: DateTime<Utc>) -> Staged {
    let state = state();
    let mut run = Run::begin("run", &stream(), staged_at);
    state.stage(&stream(), Batch { items, ..Batch::default() }, staged_at, &mut run).await.unwrap();
    state.outbox(&stream()).await.unwrap().pop().unwrap()
}

fn state() -> State {
    state_in(&Memory::new())
}

pub fn state_in(memory: &Memory) -> State {
    State::new(Arc::new(memory.clone()), Arc::new(Seal::plain()))
}

pub fn stream() -> StreamId {
    StreamId::new("pipeline", "leads")
}
