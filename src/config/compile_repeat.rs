//! Why sending an operation a second time is safe: what is typed becomes what is meant, and kinds that cannot go together are
//! told apart here. An operation that says nothing is refused, whatever its method: a PUT that appends, and a DELETE that answers
//! 404 the second time, exist.

use std::time::Duration;

use http::{HeaderName, Method, StatusCode};

use super::{
    check::Check,
    compile_body::{RawRequest, uses},
    diagnostic::Problem,
    plan::{Compare, KeyFormat, KeyPlan, LookUp, Makes, ReadBack, Repeat, RequestPlan, Revision, RevisionAt, When},
    raw_connector::RawWhen,
    raw_operation::{RawOperation, RawReadBack},
    raw_repeat::{RawCompare, RawIdempotencyKey, RawKeyFormat, RawLookUp, RawRepeat, RawRevision, RawRevisionAt},
    raw_stream::RawBody,
    shape::{Named, Source, Spanned},
    source::Span,
};
use crate::model::{Code, Path};

const LOOK_UP_ROOTS: [&str; 2] = ["config", "record"];
const READ_ROOTS: [&str; 3] = ["config", "record", "sink"];
const DAY: Duration = Duration::from_secs(86_400);
const HOUR: Duration = Duration::from_secs(3600);

impl Check<'_> {
    pub fn repeat(&self, name: &Spanned<String>, raw: &Spanned<RawOperation>, makes: Makes) -> Option<Vec<Repeat>> {
        let kinds: &[Spanned<RawRepeat>] = raw.value.repeat.as_ref().map_or(&[], |kinds| &kinds.0);
        if kinds.is_empty() {
            let message = format!("the operation `{}` declares no safe way to repeat it", name.value);
            let help = "an answer can get lost, and then the write is sent again. Add `repeat: { idempotency_key: {} }` \
                        if the vendor remembers keys, `{ upsert: { unique: <field> } }` if it keeps one record per value \
                        of a field, `look_up`, `revision`, or `{ never: {} }` if nothing makes it safe; a method such as \
                        PUT or DELETE is no promise";
            self.absent(raw.span, Problem::new(Code::UnsafeRepeat, name.span, message).help(help));
            return None;
        }
        let is_batch = raw.value.batch.is_some();
        self.order(kinds);
        for (at, kind) in kinds.iter().enumerate() {
            self.fits(kind, at == 0, makes, is_batch);
        }
        let compiled: Vec<Option<Repeat>> = kinds.iter().map(|kind| self.kind(kind)).collect();
        compiled.into_iter().collect()
    }

    /// The first kind is used while it is safe, then the next one. What can never be reached is a mistake.
    fn order(&self, kinds: &[Spanned<RawRepeat>]) {
        for pair in kinds.windows(2) {
            let (first, second) = (&pair[0], &pair[1]);
            let names = (word(&first.value), word(&second.value));
            match (&first.value, &second.value) {
                (_, RawRepeat::Never(_)) => self.conflict(
                    second.span,
                    format!("`never` stands behind `{}`", names.0),
                    "remove it: a write that no kind of the list makes safe waits for a person anyway",
                ),
                (RawRepeat::IdempotencyKey(_), RawRepeat::IdempotencyKey(_)) => self.conflict(
                    second.span,
                    "a request carries one idempotency key",
                    "keep the one whose header the vendor honours",
                ),
                (RawRepeat::IdempotencyKey(_), _) | (RawRepeat::Never(_), RawRepeat::LookUp(_)) => {}
                (RawRepeat::Never(_), _) => self.conflict(
                    second.span,
                    format!("`never` and `{}` contradict each other", names.1),
                    format!("remove `never` if `{}` holds; only `look_up` can stand behind it", names.1),
                ),
                _ => self.conflict(
                    second.span,
                    format!("`{}` is never reached: `{}` before it is always safe", names.1, names.0),
                    "put it first, or remove it; what stops being safe is an idempotency key, when the vendor forgets it",
                ),
            }
        }
    }

    /// Whether a kind goes with what the operation makes.
    fn fits(&self, kind: &Spanned<RawRepeat>, is_first: bool, makes: Makes, is_batch: bool) {
        let name = word(&kind.value);
        match &kind.value {
            RawRepeat::Upsert(_) if makes == Makes::Create => self.conflict(
                kind.span,
                "`makes: create` makes a new record each time, so it is no upsert",
                "write `makes: upsert` if the vendor keeps one record per value, else use `repeat: { idempotency_key: {} }`",
            ),
            RawRepeat::LookUp(_) if makes != Makes::Create => self.conflict(
                kind.span,
                "a look-up decides between creating and updating, so it belongs to `makes: create`",
                "declare the operation that creates with `look_up`, and name the one that updates in `look_up.update`",
            ),
            RawRepeat::Revision(_) if !matches!(makes, Makes::Update | Makes::Delete) => self.conflict(
                kind.span,
                "a revision is that of a record that exists, so it belongs to `makes: update` or `makes: delete`",
                "use `idempotency_key`, `upsert` or `look_up` for a record that may be new",
            ),
            RawRepeat::LookUp(_) | RawRepeat::Revision(_) if is_batch => self.conflict(
                kind.span,
                format!("`{name}` is about one record, and this operation sends several"),
                "remove `batch`, or use another kind",
            ),
            RawRepeat::LookUp(look_up) if is_first && look_up.update.is_none() => {
                let help = "a record that is found must be changed somehow: name the operation, such as \
                            `update: update_contact`; it sees the id as `sink.id`";
                self.missing_key(kind.span, kind.span, "update", help);
            }
            _ => {}
        }
    }

    fn kind(&self, kind: &Spanned<RawRepeat>) -> Option<Repeat> {
        match &kind.value {
            RawRepeat::IdempotencyKey(key) => self.idempotency_key(key).map(Repeat::IdempotencyKey),
            RawRepeat::Upsert(upsert) => Some(Repeat::Upsert { unique: upsert.unique.value.clone() }),
            RawRepeat::LookUp(look_up) => self.look_up(kind.span, look_up).map(Repeat::LookUp),
            RawRepeat::Revision(revision) => self.revision(kind.span, revision).map(Repeat::Revision),
            RawRepeat::Never(_) => Some(Repeat::Never),
        }
    }

    fn idempotency_key(&self, raw: &RawIdempotencyKey) -> Option<KeyPlan> {
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
        let done = raw.done.as_ref().map(|done| self.condition(done));
        for (name, status) in [("mismatch", &raw.mismatch), ("in_flight", &raw.in_flight)] {
            if let (Some(done), Some(status)) = (&done, status)
                && done.header.is_none()
                && done.body.is_none()
                && done.status.iter().any(|(from, to)| (u64::from(*from)..=u64::from(*to)).contains(&status.value))
            {
                let help = "tell them apart by `header` or `body` under `done`";
                self.conflict(status.span, format!("`done` and `{name}` are the same answer"), help);
            }
        }
        let replayed = raw.replayed.as_ref().map(|replayed| self.condition(replayed));
        Some(KeyPlan { header: header?, format, retention, mismatch, in_flight, done, replayed })
    }

    fn condition(&self, raw: &Spanned<RawWhen>) -> When {
        if raw.value.status.is_none() && raw.value.header.is_none() && raw.value.body.is_none() {
            self.missing_key(raw.span, raw.span, "status", "give at least one of `status`, `header` and `body`");
        }
        self.when(&raw.value)
    }

    fn look_up(&self, at: Span, raw: &RawLookUp) -> Option<LookUp> {
        let parts =
            Reading { get: &raw.get, post: &raw.post, query: &raw.query, headers: &raw.headers, body: &raw.body };
        let request = self.reading(at, &parts, &LOOK_UP_ROOTS);
        if request.as_ref().is_some_and(|request| !uses(request, "record")) {
            let help = "ask for this one record, such as `query: { email: \"{{ record.email }}\" }`";
            self.conflict(at, "the look-up does not depend on the record, so it finds the same for all", help);
        }
        let list = raw.list.as_ref().map_or_else(Path::whole, |list| self.path(list));
        let id = self.path(&raw.id);
        let matched = raw.matched.as_ref().map(|matched| (self.path(&matched.answer), self.path(&matched.sent)));
        let lag = self.time(raw.lag.as_ref(), Duration::ZERO, Duration::ZERO..=HOUR);
        let update = raw.update.as_ref().map(|update| update.value.clone());
        let compare = self.compare(raw.compare.as_ref());
        Some(LookUp { request: request?, list, id, matched, update, lag, compare })
    }

    fn revision(&self, at: Span, raw: &RawRevision) -> Option<Revision> {
        let read = &raw.read;
        let parts =
            Reading { get: &read.get, post: &read.post, query: &read.query, headers: &read.headers, body: &read.body };
        let request = self.reading_one(at, &parts);
        let given = raw.header.as_ref().map(|header| self.header(header));
        let (found, usual) = match &raw.at.value {
            RawRevisionAt::Header(header) => {
                (self.header(header).map(RevisionAt::Header), Some(http::header::IF_MATCH))
            }
            RawRevisionAt::Body(path) => (Some(RevisionAt::Body(self.path(path))), None),
        };
        let header = match given {
            Some(given) => Some(given?),
            None => usual,
        };
        let statuses = raw.conflict.iter().flat_map(|statuses| &statuses.0);
        let mut conflict: Vec<StatusCode> =
            statuses.map(|status| self.status(Some(status), StatusCode::CONFLICT)).collect();
        if conflict.is_empty() {
            conflict = vec![StatusCode::CONFLICT, StatusCode::PRECONDITION_FAILED];
        }
        Some(Revision { read: request?, at: found?, header, conflict, compare: self.compare(raw.compare.as_ref()) })
    }

    fn compare(&self, raw: Option<&RawCompare>) -> Compare {
        let side = |path: Option<&Spanned<String>>| path.map_or_else(Path::whole, |path| self.path(path));
        Compare {
            answer: side(raw.and_then(|raw| raw.answer.as_ref())),
            sent: side(raw.and_then(|raw| raw.sent.as_ref())),
        }
    }

    /// How one record is read for a plan. The outer option is nothing when it cannot be compiled.
    pub fn read_back(&self, raw: Option<&Spanned<RawReadBack>>, makes: Makes) -> Option<Option<ReadBack>> {
        let Some(Spanned { value: raw, span }) = raw else { return Some(None) };
        if matches!(makes, Makes::Create | Makes::Delete) {
            let message = "`read` is for a plan of updates, and this operation changes no record";
            self.conflict(*span, message, "give it to the operation with `makes: update` or `upsert`");
        }
        let parts =
            Reading { get: &raw.get, post: &raw.post, query: &raw.query, headers: &raw.headers, body: &raw.body };
        let request = self.reading_one(*span, &parts)?;
        Some(Some(ReadBack { request, compare: self.compare(raw.compare.as_ref()) }))
    }

    /// A reading that names its record.
    fn reading_one(&self, at: Span, raw: &Reading<'_>) -> Option<RequestPlan> {
        let request = self.reading(at, raw, &READ_ROOTS);
        if request.as_ref().is_some_and(|request| !uses(request, "record") && !uses(request, "sink")) {
            let help = "read this one record, such as `get: /contacts/{{ sink.id }}`";
            self.conflict(at, "`read` does not depend on the record, so it reads the same for all", help);
        }
        request
    }

    fn reading(&self, at: Span, raw: &Reading<'_>, roots: &[&str]) -> Option<RequestPlan> {
        let (method, path) = match (raw.get, raw.post) {
            (Some(path), None) => (Method::GET, path),
            (None, Some(path)) => (Method::POST, path),
            (None, None) => {
                self.missing_key(at, at, "get", "write `get: /path`, or `post: /path` for a search");
                return None;
            }
            (Some(_), Some(post)) => {
                self.conflict(post.span, "it has one path", "keep either `get` or `post`");
                return None;
            }
        };
        if method == Method::GET && raw.body.is_some() {
            self.conflict(path.span, "a GET has no body", "use `query`, or `post` instead of `get`");
        }
        let body = raw.body.as_ref().and_then(|body| self.body(body, roots));
        let (query, headers) = (raw.query, raw.headers);
        self.request(&RawRequest { method, path, query, headers, timeout: None }, body, roots)
    }

    /// The operations that look-ups name, once all are known.
    pub fn look_up_updates(&self, operations: &Named<Spanned<RawOperation>>) {
        for (_, operation) in operations.iter() {
            let kinds = operation.value.repeat.iter().flat_map(|kinds| &kinds.0);
            for kind in kinds {
                if let RawRepeat::LookUp(RawLookUp { update: Some(update), .. }) = &kind.value {
                    self.look_up_update(update, operations);
                }
            }
        }
    }

    fn look_up_update(&self, update: &Spanned<String>, operations: &Named<Spanned<RawOperation>>) {
        let Some((_, named)) = operations.get(&update.value) else {
            if !operations.has(&update.value) {
                self.unknown("operation", update, operations.names().into_iter(), "the operations here are");
            }
            return;
        };
        let named = &named.value;
        let says_never = |kinds: &[Spanned<RawRepeat>]| matches!(kinds.first(), Some(kind) if matches!(kind.value, RawRepeat::Never(_)));
        let trouble = if matches!(super::compile_operation::makes(named.makes.value), Makes::Create | Makes::Delete) {
            Some("does not change the record that was found")
        } else if named.batch.is_some() {
            Some("sends several records, and a look-up finds one")
        } else if named.repeat.as_ref().is_some_and(|kinds| says_never(&kinds.0)) {
            Some("is not safe to repeat itself")
        } else {
            None
        };
        if let Some(trouble) = trouble {
            let help = "name an operation for single records that updates or upserts and is safe to repeat";
            self.conflict(update.span, format!("`{}` {trouble}", update.value), help);
        }
    }
}

/// The parts of a request that reads, as typed.
struct Reading<'a> {
    get: &'a Option<Spanned<Source>>,
    post: &'a Option<Spanned<Source>>,
    query: &'a Named<Spanned<Source>>,
    headers: &'a Named<Spanned<Source>>,
    body: &'a Option<RawBody>,
}

fn word(kind: &RawRepeat) -> &'static str {
    match kind {
        RawRepeat::IdempotencyKey(_) => "idempotency_key",
        RawRepeat::Upsert(_) => "upsert",
        RawRepeat::LookUp(_) => "look_up",
        RawRepeat::Revision(_) => "revision",
        RawRepeat::Never(_) => "never",
    }
}
