//! Operations: what is written, how the answer is read, and why sending it a second time is safe. An operation that does
//! not say so is refused, whatever its method: a PUT that appends, and a DELETE that answers 404 the second time, exist.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, Method, StatusCode};

use super::{
    check::Check,
    compile_body::RawRequest,
    diagnostic::Problem,
    plan::{
        AnswerShape, BatchPlan, Body, CreatedTest, KeyFormat, Makes, MatchBy, Node, Operation, Repeat, RequestPlan,
    },
    raw_operation::{
        RawAnswer, RawCreated, RawIdempotencyKey, RawKeyFormat, RawListed, RawMakes, RawOperation, RawRepeat,
    },
    shape::{Source, Spanned},
};
use crate::{
    expr::Expression,
    model::{Code, Path},
};

const RECORD_ROOTS: [&str; 3] = ["config", "record", "sink"];
const BATCH_ROOTS: [&str; 2] = ["config", "batch"];
const DAY: Duration = Duration::from_secs(86_400);

impl Check<'_> {
    pub fn operation(&self, name: &Spanned<String>, raw: &Spanned<RawOperation>) -> Option<Arc<Operation>> {
        let operation = &raw.value;
        let request = self.operation_request(name, raw);
        let makes = makes(operation.makes.value);
        let created = operation.created.as_ref().map(|created| self.created(created, makes));
        let batch = self.batch(operation);
        let repeat = self.repeat(name, raw, makes);
        let answer = self.answer(operation);
        let sink_id = self.maybe_path(operation.sink_id.as_ref());
        Some(Arc::new(Operation {
            name: name.value.clone(),
            request: request?,
            makes,
            created,
            batch: batch?,
            repeat: repeat?,
            answer: answer?,
            sink_id,
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
            Some(each) => self.tree(each, &RECORD_ROOTS),
            None => Expression::compile("record").ok().map(Node::Value),
        };
        Some(Some(BatchPlan { size: usize::try_from(size).unwrap_or(1), each: each? }))
    }

    fn repeat(&self, name: &Spanned<String>, raw: &Spanned<RawOperation>, makes: Makes) -> Option<Repeat> {
        let Some(repeat) = &raw.value.repeat else {
            let message = format!("the operation `{}` declares no safe way to repeat it", name.value);
            let help = "an answer can get lost, and then the write is sent again. Add `repeat: { idempotency_key: {} }` \
                        if the vendor remembers keys, or `repeat: { upsert: { unique: <field> } }` if it keeps one \
                        record per value of a field; a method such as PUT or DELETE is no promise";
            self.absent(raw.span, Problem::new(Code::UnsafeRepeat, name.span, message).help(help));
            return None;
        };
        match &repeat.value {
            RawRepeat::IdempotencyKey(key) => self.idempotency_key(key),
            RawRepeat::Upsert(upsert) => {
                if makes == Makes::Create {
                    let help = "write `makes: upsert` if the vendor keeps one record per value, else use \
                                `repeat: { idempotency_key: {} }`";
                    self.conflict(
                        repeat.span,
                        "`makes: create` makes a new record each time, so it is no upsert",
                        help,
                    );
                }
                Some(Repeat::Upsert { unique: upsert.unique.value.clone() })
            }
        }
    }

    fn idempotency_key(&self, raw: &RawIdempotencyKey) -> Option<Repeat> {
        let header = match &raw.header {
            Some(header) => self.header(header),
            None => Some(HeaderName::from_static("idempotency-key")),
        };
        let format = match raw.format {
            None | Some(RawKeyFormat::Raw) => KeyFormat::Raw,
            Some(RawKeyFormat::Quoted) => KeyFormat::Quoted,
            Some(RawKeyFormat::Uuid) => KeyFormat::Uuid,
        };
        let retention = self.time(raw.retention.as_ref(), DAY, Duration::from_secs(60)..=3660 * DAY);
        let mismatch = self.status(raw.mismatch.as_ref(), StatusCode::UNPROCESSABLE_ENTITY);
        let in_flight = self.status(raw.in_flight.as_ref(), StatusCode::CONFLICT);
        if let Some(status) = raw.in_flight.as_ref().filter(|_| mismatch == in_flight) {
            let help = "one says that the key came with another body, the other that the first request still runs";
            self.conflict(status.span, "`mismatch` and `in_flight` are the same status", help);
        }
        Some(Repeat::IdempotencyKey { header: header?, format, retention, mismatch, in_flight })
    }

    fn answer(&self, raw: &RawOperation) -> Option<AnswerShape> {
        let Some(answer) = &raw.answer else { return Some(AnswerShape::Whole) };
        if raw.batch.is_none() {
            self.conflict(
                answer.span,
                "`answer` describes a batch's answer",
                "add `batch: { size: .. }`, or remove it",
            );
        }
        match &answer.value {
            RawAnswer::Positional(positional) => Some(AnswerShape::Positional {
                list: positional.list.as_ref().map_or_else(Path::whole, |list| self.path(list)),
                ok: self.maybe_path(positional.ok.as_ref()),
                errors: self.maybe_path(positional.errors.as_ref()),
            }),
            RawAnswer::List(listed) => Some(AnswerShape::Listed {
                ok: self.path(&listed.ok),
                errors: self.maybe_path(listed.errors.as_ref()),
                matched: self.matched(listed)?,
            }),
        }
    }

    fn matched(&self, listed: &RawListed) -> Option<MatchBy> {
        let matched = &listed.matched.value;
        match (&matched.index, &matched.answer, &matched.sent) {
            (Some(index), None, None) => Some(MatchBy::Index(self.path(index))),
            (None, Some(answer), Some(sent)) => {
                Some(MatchBy::Field { answer: self.path(answer), sent: self.path(sent) })
            }
            _ => {
                let message = "`match` names a record either by its position or by a field";
                let help = "write { index: <path> }, or { answer: <path in the entry>, sent: <path in what was sent> }";
                self.conflict(listed.matched.span, message, help);
                None
            }
        }
    }
}

fn makes(raw: RawMakes) -> Makes {
    match raw {
        RawMakes::Create => Makes::Create,
        RawMakes::Upsert => Makes::Upsert,
        RawMakes::Update => Makes::Update,
        RawMakes::Delete => Makes::Delete,
    }
}
