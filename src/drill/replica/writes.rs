//! Writes to a replica: what takes effect, as the operation declares it, and what is answered from memory. Searches and readings of
//! what is there stand beside it. It knows no sockets and no faults.

use std::collections::HashMap;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::{
    super::{
        book::Book,
        leaves::{self, find, put},
    },
    call::{Answer, Asked, answer, error},
    verdicts::{self, Done},
};
use crate::{
    config::plan::{AnswerShape, Body, KeyPlan, LookUp, Makes, MatchBy, Node, Operation, Repeat, Revision, RevisionAt},
    model::Step,
};

/// What a replica remembers of requests.
#[derive(Default)]
pub struct Memory {
    /// Answers by the key of their request.
    answers: HashMap<(String, String), (Bytes, Answer)>,
    jobs: Vec<Vec<Done>>,
    pub replayed: u64,
    pub looked_up: u64,
    pub read_back: u64,
    /// Requests in which no list of records was found.
    pub unread: u64,
}

/// Begins the name of a job.
const JOB: &str = "drilljob";

/// One write.
pub fn write(operation: &Operation, asked: &Asked, book: &mut Book, memory: &mut Memory) -> Answer {
    let Some(plan) = operation.key() else { return take_effect(operation, asked, book, memory) };
    let Some(key) = asked.header(&plan.header) else {
        return error(StatusCode::BAD_REQUEST, "the idempotency key is missing");
    };
    let name = (operation.name.clone(), key.to_owned());
    if let Some((sent, answer)) = memory.answers.get(&name) {
        memory.replayed += 1;
        return match *sent == asked.bytes {
            true => replayed(plan, answer.clone()),
            false => error(plan.mismatch, "this key came with another body"),
        };
    }
    let answer = take_effect(operation, asked, book, memory);
    if answer.status().is_success() {
        memory.answers.insert(name, (asked.bytes.clone(), answer.clone()));
    }
    answer
}

/// The same answer, with the mark that the connector declares.
fn replayed(plan: &KeyPlan, mut answer: Answer) -> Answer {
    let mark = plan.replayed.as_ref().and_then(|when| when.header.as_ref());
    if let Some((name, text)) = mark
        && let Ok(value) = HeaderValue::from_str(text)
    {
        answer.headers_mut().insert(name.clone(), value);
    }
    answer
}

fn take_effect(operation: &Operation, asked: &Asked, book: &mut Book, memory: &mut Memory) -> Answer {
    let entries = match &operation.batch {
        None => vec![asked.body.clone().unwrap_or(Value::Null)],
        Some(_) => match batch(operation, asked, book) {
            Some(entries) => entries,
            None => {
                memory.unread += 1;
                return error(StatusCode::NOT_IMPLEMENTED, "the replica found no list of records in this request");
            }
        },
    };
    let mut done = Vec::with_capacity(entries.len());
    for entry in entries {
        let texts = match &operation.batch {
            None => asked.texts(),
            Some(_) => leaves::of(&entry),
        };
        match one(operation, asked, &texts, entry, book) {
            Ok(one) => done.push(one),
            // Single records only: an update or a revision that does not fit.
            Err(status) => return error(status, "no such record, or another revision of it"),
        }
    }
    memory.jobs.push(done.clone());
    verdicts::answered(operation, &done, &format!("{JOB}{}", memory.jobs.len() - 1))
}

/// The effect of one record.
fn one(
    operation: &Operation,
    asked: &Asked,
    texts: &[String],
    sent: Value,
    book: &mut Book,
) -> Result<Done, StatusCode> {
    let named = book.named(texts);
    let called = book.row_called(texts);
    let kept = || named.and_then(|named| book.rows_of(named.record).next());
    let merges = operation.repeat.iter().any(|kind| matches!(kind, Repeat::Upsert { .. }));
    let found = match operation.makes {
        Makes::Create if !merges => None,
        _ => called.or_else(kept),
    };
    if let (Some(revision), Some(row)) = (operation.revision(), found)
        && !names_revision(revision, asked, texts, book, row)
    {
        return Err(revision.conflict.first().copied().unwrap_or(StatusCode::CONFLICT));
    }
    let key = key_of(operation, &sent);
    let (row, new) = match (operation.makes, found) {
        (Makes::Create | Makes::Upsert, None) => (book.create(named, sent.clone()), true),
        (Makes::Update | Makes::Delete, None) => return Err(StatusCode::NOT_FOUND),
        (Makes::Delete, Some(row)) => {
            book.remove(row);
            (row, false)
        }
        (_, Some(row)) => {
            book.change(row, named, sent.clone());
            (row, false)
        }
    };
    let (id, revision) = book.row(row).map(|row| (row.id.clone(), row.revision)).unwrap_or_default();
    let mapped = named.and_then(|named| book.fields(named)).cloned();
    Ok(Done { id, revision, new, sent, mapped, key })
}

fn revision_text(revision: u64) -> String {
    format!("rev-{revision:06}")
}

/// Whether the request names the revision that the record has now.
fn names_revision(plan: &Revision, asked: &Asked, texts: &[String], book: &Book, row: usize) -> bool {
    let now = book.row(row).map(|row| revision_text(row.revision)).unwrap_or_default();
    match &plan.header {
        Some(header) => asked.header(header) == Some(now.as_str()),
        None => texts.contains(&now),
    }
}

/// The list of records of a request: where the declared body has its `batch`, or the list all of whose items name records.
fn batch(operation: &Operation, asked: &Asked, book: &Book) -> Option<Vec<Value>> {
    let body = asked.body.as_ref()?;
    if let Some(Body::Json(node)) = &operation.request.body
        && let Some(steps) = place_of(node, "batch")
    {
        return find(body, &steps)?.as_array().cloned();
    }
    list_of_records(body, book)
}

fn list_of_records(value: &Value, book: &Book) -> Option<Vec<Value>> {
    match value {
        Value::Array(items) if !items.is_empty() && items.iter().all(|it| book.named(&leaves::of(it)).is_some()) => {
            Some(items.clone())
        }
        Value::Array(items) => items.iter().find_map(|item| list_of_records(item, book)),
        Value::Object(fields) => fields.values().find_map(|field| list_of_records(field, book)),
        _ => None,
    }
}

/// Where a node is filled with nothing but this variable.
fn place_of(node: &Node, variable: &str) -> Option<Vec<Step>> {
    let inside = |step: Step, node: &Node| {
        place_of(node, variable).map(|rest| [step].into_iter().chain(rest).collect::<Vec<_>>())
    };
    match node {
        Node::Literal(_) => None,
        Node::Text(template) => {
            template.single().filter(|expression| expression.as_str() == variable).map(|_| Vec::new())
        }
        Node::Value(expression) => (expression.as_str() == variable).then(Vec::new),
        Node::Object(fields) => fields.iter().find_map(|(name, node)| inside(Step::Field(name.clone()), node)),
        Node::List(items) => items.iter().enumerate().find_map(|(at, node)| inside(Step::Item(at), node)),
    }
}

/// The idempotency key that an entry carries, where its answer must repeat it.
fn key_of(operation: &Operation, sent: &Value) -> Option<String> {
    let matched = match &operation.answer {
        AnswerShape::Listed { matched, .. } => matched,
        AnswerShape::Job(job) => &job.matched,
        _ => return None,
    };
    let each = operation.batch.as_ref().filter(|_| matches!(matched.by, MatchBy::Key(_)))?;
    leaves::text(find(sent, &place_of(&each.each, "key")?)?)
}

/// A search by natural key.
pub fn look_up(plan: &LookUp, asked: &Asked, book: &Book, memory: &mut Memory) -> Answer {
    memory.looked_up += 1;
    let named = book.named(&asked.texts());
    let found = named.into_iter().flat_map(|named| book.rows_of(named.record).map(move |row| (named, row)));
    let shown = found.filter_map(|(named, at)| {
        let row = book.row(at)?;
        let mut value = json!({});
        put(
            &mut value,
            plan.compare.answer.steps(),
            find(&row.sent, plan.compare.sent.steps()).cloned().unwrap_or(Value::Null),
        );
        put(&mut value, plan.id.steps(), json!(row.id));
        if let Some((answer, sent)) = &plan.matched {
            let ours = book.fields(row.named.unwrap_or(named)).and_then(|fields| fields.get(sent));
            let ours = ours.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or(Value::Null);
            put(&mut value, answer.steps(), ours);
        }
        Some(value)
    });
    let shown = Value::Array(shown.collect());
    let mut body = json!({});
    put(&mut body, plan.list.steps(), shown);
    answer(StatusCode::OK, &body)
}

/// The reading of a record with its revision.
pub fn read_revision(plan: &Revision, asked: &Asked, book: &Book, memory: &mut Memory) -> Answer {
    memory.read_back += 1;
    let texts = asked.texts();
    let kept = || book.named(&texts).and_then(|named| book.rows_of(named.record).next());
    let Some(row) = book.row_called(&texts).or_else(kept).and_then(|at| book.row(at)) else {
        return error(StatusCode::NOT_FOUND, "no such record");
    };
    let mut body = json!({});
    put(
        &mut body,
        plan.compare.answer.steps(),
        find(&row.sent, plan.compare.sent.steps()).cloned().unwrap_or(Value::Null),
    );
    let text = revision_text(row.revision);
    match &plan.at {
        RevisionAt::Body(path) => {
            put(&mut body, path.steps(), json!(text));
            answer(StatusCode::OK, &body)
        }
        RevisionAt::Header(name) => {
            let mut answer = answer(StatusCode::OK, &body);
            answer.headers_mut().remove(header::ETAG);
            HeaderValue::from_str(&text).into_iter().for_each(|it| drop(answer.headers_mut().insert(name.clone(), it)));
            answer
        }
    }
}

/// The records of the job that a request names.
pub fn job<'m>(asked: &Asked, memory: &'m Memory) -> Option<&'m [Done]> {
    let number = asked.texts().iter().find_map(|text| text.strip_prefix(JOB)?.parse::<usize>().ok())?;
    memory.jobs.get(number).map(Vec::as_slice)
}
