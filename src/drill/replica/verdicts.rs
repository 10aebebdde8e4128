//! What a replica answers to a write: that it was done, in the shape that the operation declares. Pure.

use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use super::{
    super::leaves::{find, put, text},
    call::{Answer, answer},
};
use crate::{
    config::plan::{AnswerShape, CreatedTest, JobPlan, Match, MatchBy, Operation, ResultForm, ResultPlan, RowsAre},
    model::{Fields, Path},
};

/// One record of a request, done.
#[derive(Clone, Debug)]
pub struct Done {
    /// Its id at the sink.
    pub id: String,
    pub revision: u64,
    pub new: bool,
    /// What was sent for it.
    pub sent: Value,
    /// What the pipeline's own mapping made of it.
    pub mapped: Option<Fields>,
    /// Its idempotency key, where the request carries one for each record.
    pub key: Option<String>,
}

/// The answer to a request that was done; `job` is the id of the job that it made, where it makes one.
pub fn answered(operation: &Operation, done: &[Done], job: &str) -> Answer {
    let mut body = json!({});
    match &operation.answer {
        AnswerShape::Whole(plan) => {
            plan.ok.iter().for_each(|path| put(&mut body, path.steps(), json!(true)));
            plan.errors.iter().for_each(|path| put(&mut body, path.steps(), json!([])));
            if let [only] = done {
                about(operation, only, &mut body);
            }
        }
        AnswerShape::Positional { list, test } => {
            let entries = done.iter().map(|done| {
                let mut entry = json!({});
                test.ok.iter().for_each(|path| put(&mut entry, path.steps(), json!(true)));
                test.errors.iter().for_each(|path| put(&mut entry, path.steps(), json!([])));
                about(operation, done, &mut entry);
                entry
            });
            let entries = Value::Array(entries.collect());
            put(&mut body, list.steps(), entries);
        }
        AnswerShape::Listed { ok, errors, matched } => {
            let entries = done.iter().enumerate().map(|(at, done)| entry(operation, matched, at, done));
            let entries = Value::Array(entries.collect());
            put(&mut body, ok.steps(), entries);
            if let Some(errors) = errors.as_ref().filter(|errors| *errors != ok && body.is_object()) {
                put(&mut body, errors.steps(), json!([]));
            }
        }
        AnswerShape::Job(plan) => put(&mut body, plan.id.steps(), json!(job)),
    }
    let status = match (&operation.created, done) {
        (Some(CreatedTest::Status(status)), [only]) if only.new => *status,
        (None, [only]) if only.new => StatusCode::CREATED,
        _ => StatusCode::OK,
    };
    let mut answer = answer(status, &body);
    if let [only] = done {
        let tag = HeaderValue::from_str(&format!("\"{}\"", only.revision));
        tag.into_iter().for_each(|tag| drop(answer.headers_mut().insert(header::ETAG, tag)));
    }
    answer
}

/// Puts what the operation reads of a record: its id, and whether it is new.
fn about(operation: &Operation, done: &Done, entry: &mut Value) {
    if let Some(CreatedTest::Field { path, values }) = &operation.created {
        let yes = values.first().map_or(json!(true), |value| json!(value));
        put(entry, path.steps(), if done.new { yes } else { json!(false) });
    }
    if let Some(path) = &operation.sink_id {
        put(entry, path.steps(), json!(done.id));
    }
}

/// The entry of a record where the answer names each by what it says.
fn entry(operation: &Operation, matched: &Match, at: usize, done: &Done) -> Value {
    let mut entry = json!({});
    about(operation, done, &mut entry);
    match &matched.by {
        MatchBy::Index(path) => put(&mut entry, path.steps(), json!(at)),
        MatchBy::Field { answer, sent } => {
            let value = field(done, sent).unwrap_or(Value::Null);
            put(&mut entry, answer.steps(), value);
        }
        MatchBy::Key(path) => put(&mut entry, path.steps(), json!(done.key)),
        MatchBy::Id(path) => put(&mut entry, path.steps(), json!(done.id)),
    }
    entry
}

/// A field of a record as it was sent.
pub fn field(done: &Done, path: &Path) -> Option<Value> {
    let mapped = done.mapped.as_ref().and_then(|fields| fields.get(path));
    let mapped = mapped.and_then(|raw| serde_json::from_str(raw.get()).ok());
    mapped.or_else(|| find(&done.sent, path.steps()).cloned())
}

/// What a question after a job is answered with: it is done.
pub fn job_state(operation: &Operation, plan: &JobPlan, done: &[Done]) -> Answer {
    let mut body = json!({});
    put(&mut body, plan.poll.state.steps(), json!(plan.poll.done.first().map_or("done", String::as_str)));
    for result in plan.results.iter().filter(|result| result.request.is_none()) {
        if let ResultForm::Json(path) = &result.form {
            put(&mut body, path.steps(), Value::Array(rows(operation, plan, result, done)));
        }
    }
    answer(StatusCode::OK, &body)
}

/// One list of results of a job.
pub fn job_result(operation: &Operation, plan: &JobPlan, result: &ResultPlan, done: &[Done]) -> Answer {
    let rows = rows(operation, plan, result, done);
    match &result.form {
        ResultForm::Json(path) => {
            let mut body = json!({});
            put(&mut body, path.steps(), Value::Array(rows));
            answer(StatusCode::OK, &body)
        }
        ResultForm::Csv { delimiter, .. } => super::call::csv(table(&rows, &columns(plan), *delimiter)),
    }
}

fn rows(operation: &Operation, plan: &JobPlan, result: &ResultPlan, done: &[Done]) -> Vec<Value> {
    if matches!(result.rows, RowsAre::Refused(_)) {
        return Vec::new();
    }
    let row = |(at, done): (usize, &Done)| {
        let mut row = entry(operation, &plan.matched, at, done);
        if let RowsAre::Either(test) = &result.rows {
            test.ok.iter().for_each(|path| put(&mut row, path.steps(), json!(true)));
            test.errors.iter().for_each(|path| put(&mut row, path.steps(), Value::Null));
        }
        row
    };
    done.iter().enumerate().map(row).collect()
}

/// The names that a result file without rows has all the same.
fn columns(plan: &JobPlan) -> Vec<String> {
    let named = match &plan.matched.by {
        MatchBy::Index(path) | MatchBy::Key(path) | MatchBy::Id(path) => path,
        MatchBy::Field { answer, .. } => answer,
    };
    let errors = plan.results.iter().filter_map(|result| match &result.rows {
        RowsAre::Refused(words) => words.as_ref(),
        _ => None,
    });
    [named].into_iter().chain(errors).map(|path| path.as_str().to_owned()).collect()
}

fn table(rows: &[Value], columns: &[String], delimiter: char) -> String {
    let empty = Map::new();
    let fields = |row: &'_ Value| row.as_object().cloned().unwrap_or_default();
    let first = rows.first().map_or(empty, fields);
    let names: Vec<String> = if rows.is_empty() { columns.to_vec() } else { first.keys().cloned().collect() };
    let line = |cells: Vec<String>| {
        let quoted: Vec<String> = cells.iter().map(|cell| format!("\"{}\"", cell.replace('"', "\"\""))).collect();
        format!("{}\n", quoted.join(&delimiter.to_string()))
    };
    let mut out = line(names.clone());
    for row in rows.iter().map(fields) {
        let cell = |name: &String| match row.get(name) {
            Some(Value::Bool(yes)) => yes.to_string(),
            Some(value) => text(value).unwrap_or_default(),
            None => String::new(),
        };
        out.push_str(&line(names.iter().map(cell).collect()));
    }
    out
}
