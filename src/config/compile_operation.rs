//! Operations: what is written and what success makes of it. Why sending it a second time is safe stands in
//! `compile_repeat.rs`, how the answer is read in `compile_answer.rs`.

use std::sync::Arc;

use http::{Method, StatusCode};

use super::{
    check::Check,
    compile_answer::Around,
    compile_body::RawRequest,
    plan::{BatchPlan, Body, CreatedTest, Makes, Node, Operation, RequestPlan},
    raw_operation::{RawCreated, RawMakes, RawOperation},
    shape::{Source, Spanned},
};
use crate::expr::Expression;

/// What templates of a batch's `each` see: `key` is the record's idempotency key.
const EACH_ROOTS: [&str; 4] = ["config", "record", "sink", "key"];
const RECORD_ROOTS: [&str; 3] = ["config", "record", "sink"];
const BATCH_ROOTS: [&str; 2] = ["config", "batch"];

impl Check<'_> {
    pub fn operation(&self, name: &Spanned<String>, raw: &Spanned<RawOperation>) -> Option<Arc<Operation>> {
        let operation = &raw.value;
        let request = self.operation_request(name, raw);
        let makes = makes(operation.makes.value);
        let created = operation.created.as_ref().map(|created| self.created(created, makes));
        let batch = self.batch(operation);
        let repeat = self.repeat(name, raw, makes);
        let sink_id = self.maybe_path(operation.sink_id.as_ref());
        let read = self.read_back(operation.read.as_ref(), makes);
        let schema = self.schema(operation.schema.as_ref());
        let around = Around { makes, batch: batch.iter().flatten().next(), sink_id: sink_id.is_some() };
        let answer = self.answer(operation, &around);
        let (answer, first_error) = answer?;
        Some(Arc::new(Operation {
            name: name.value.clone(),
            request: request?,
            makes,
            created,
            batch: batch?,
            repeat: repeat?,
            answer,
            first_error,
            sink_id,
            read: read?,
            schema: schema?,
        }))
    }

    fn operation_request(&self, name: &Spanned<String>, raw: &Spanned<RawOperation>) -> Option<RequestPlan> {
        let (method, path) = self.method(name, raw)?;
        let raw = &raw.value;
        let roots: &[&str] = if raw.batch.is_some() { &BATCH_ROOTS } else { &RECORD_ROOTS };
        let body = match &raw.body {
            Some(body) => self.body(body, roots),
            None if method == Method::DELETE => None,
            None => {
                let whole = if raw.batch.is_some() { "batch" } else { "record" };
                Expression::compile(whole).ok().map(|value| Body::Json(Node::Value(value)))
            }
        };
        let (query, headers, timeout) = (&raw.query, &raw.headers, raw.timeout.as_ref());
        self.request(&RawRequest { method, path, query, headers, timeout }, body, roots)
    }

    fn method<'r>(
        &self,
        name: &Spanned<String>,
        raw: &'r Spanned<RawOperation>,
    ) -> Option<(Method, &'r Spanned<Source>)> {
        let (raw, owner) = (&raw.value, raw.span);
        let all = [
            (Method::POST, &raw.post),
            (Method::PUT, &raw.put),
            (Method::PATCH, &raw.patch),
            (Method::DELETE, &raw.delete),
        ];
        let mut given = all.into_iter().filter_map(|(method, path)| path.as_ref().map(|path| (method, path)));
        let first = given.next();
        if first.is_none() {
            let help = "write one of `post:`, `put:`, `patch:` and `delete:` with the path";
            self.missing_key(name.span, owner, "post", help);
        }
        if let Some((_, second)) = given.next() {
            self.conflict(
                second.span,
                "an operation has one method",
                "keep one of `post`, `put`, `patch` and `delete`",
            );
        }
        first
    }

    fn created(&self, raw: &Spanned<RawCreated>, makes: Makes) -> CreatedTest {
        if makes != Makes::Upsert {
            self.conflict(raw.span, "`created` tells new from changed, which only an upsert needs", "remove `created`");
        }
        match &raw.value {
            RawCreated::Status(status) => CreatedTest::Status(self.status(Some(status), StatusCode::CREATED)),
            RawCreated::Field(field) => CreatedTest::Field {
                path: self.path(&field.path),
                values: field.equals.iter().flat_map(|values| &values.0).map(|value| value.value.clone()).collect(),
            },
        }
    }

    /// The outer option is nothing when it cannot be compiled.
    fn batch(&self, raw: &RawOperation) -> Option<Option<BatchPlan>> {
        let Some(batch) = &raw.batch else {
            if let Some(each) = &raw.each {
                self.conflict(each.span, "`each` belongs to a batch", "add `batch: { size: .. }`, or use `body`");
            }
            return Some(None);
        };
        let size = self.number(Some(&batch.size), 1, 1..=10_000);
        let each = match &raw.each {
            Some(each) => self.tree(each, &EACH_ROOTS),
            None => Expression::compile("record").ok().map(Node::Value),
        };
        Some(Some(BatchPlan { size: usize::try_from(size).unwrap_or(1), each: each? }))
    }
}

pub fn makes(raw: RawMakes) -> Makes {
    match raw {
        RawMakes::Create => Makes::Create,
        RawMakes::Upsert => Makes::Upsert,
        RawMakes::Update => Makes::Update,
        RawMakes::Delete => Makes::Delete,
    }
}
