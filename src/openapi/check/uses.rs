//! What a connector uses of its vendor's API: each call with the parameters that it sends and the places in answers that it reads.

use crate::{
    config::{
        OneConnector,
        plan::{
            AnswerShape, CreatedTest, Incremental, NextToken, Operation, PageSize, Paginate, Repeat, RequestPlan,
            RevisionAt, Stream,
        },
    },
    model::Path,
};

/// One call.
pub struct Use<'c> {
    /// Such as `stream customers`.
    pub name: String,
    pub request: &'c RequestPlan,
    /// Query parameters besides those of the request.
    pub query: Vec<&'c str>,
    /// Places in the answer as a whole.
    pub in_answer: Vec<&'c Path>,
    /// Where its records stand, and places in each of them.
    pub records: Option<(&'c Path, Vec<&'c Path>)>,
    /// What an idempotency key or a revision is sent in.
    pub header: Option<&'c str>,
    /// Of an operation: the answer's parts for each record are not followed.
    pub batch: bool,
}

impl<'c> Use<'c> {
    fn new(name: String, request: &'c RequestPlan) -> Self {
        Self { name, request, query: Vec::new(), in_answer: Vec::new(), records: None, header: None, batch: false }
    }
}

/// Every call of a connector.
pub fn of(connector: &OneConnector) -> Vec<Use<'_>> {
    let streams = connector.streams.iter().map(|stream| of_stream(stream));
    streams.chain(connector.operations.iter().flat_map(|operation| of_operation(operation))).collect()
}

fn of_stream(stream: &Stream) -> Use<'_> {
    let mut one = Use::new(format!("stream {}", stream.name), &stream.request);
    let mut inside: Vec<&Path> = stream.version.iter().collect();
    // What names a record may stand around it, or come from its slice.
    if stream.expand.is_empty() && stream.slices.is_none() {
        inside.extend(&stream.key);
    }
    match &stream.incremental {
        Some(Incremental::Field(field)) => {
            one.query.extend(field.since.iter().chain(&field.until).map(String::as_str));
            if stream.expand.is_empty() {
                inside.push(&field.field);
            }
        }
        Some(Incremental::Token { next, query, .. }) => {
            one.query.extend(query.as_deref());
            one.in_answer.push(next);
        }
        None => {}
    }
    if let Some(flag) = stream.deletions.as_ref().and_then(|deletions| deletions.flag.as_ref()) {
        inside.push(&flag.path);
    }
    paging(&stream.paginate, &mut one, &mut inside);
    one.records = Some((&stream.records, inside));
    one
}

fn paging<'c>(paginate: &'c Paginate, one: &mut Use<'c>, inside: &mut Vec<&'c Path>) {
    let sized = |size: &'c Option<PageSize>| size.as_ref().and_then(|size| size.query.as_deref());
    match paginate {
        Paginate::None | Paginate::Link => {}
        Paginate::Cursor { next, query, more, size } => {
            match next {
                NextToken::Body(path) => one.in_answer.push(path),
                NextToken::UntilEnd { token, end } => one.in_answer.extend([token, end]),
                NextToken::Counted { token, total, .. } => one.in_answer.extend([token, total]),
                NextToken::LastRecord(path) => inside.push(path),
            }
            one.query.extend(query.as_deref().into_iter().chain(sized(size)));
            one.in_answer.extend(more);
        }
        Paginate::NextUrl { next, more } => one.in_answer.extend([next].into_iter().chain(more)),
        Paginate::Page { query, size, more, total_pages, .. } => {
            one.query.extend([query.as_str()].into_iter().chain(sized(size)));
            one.in_answer.extend(more.iter().chain(total_pages));
        }
        Paginate::Offset { query, size, more, total, .. } => {
            one.query.extend([query.as_str()].into_iter().chain(size.query.as_deref()));
            one.in_answer.extend(more.iter().chain(total));
        }
    }
}

fn of_operation(operation: &Operation) -> Vec<Use<'_>> {
    let mut one = Use::new(format!("operation {}", operation.name), &operation.request);
    one.batch = operation.batch.is_some();
    match &operation.answer {
        AnswerShape::Whole(whole) => {
            if !one.batch {
                one.in_answer.extend(&operation.sink_id);
                if let Some(CreatedTest::Field { path, .. }) = &operation.created {
                    one.in_answer.push(path);
                }
            }
            one.in_answer.extend(&whole.ok);
        }
        AnswerShape::Positional { list, .. } => {
            one.records = Some((list, operation.sink_id.iter().collect()));
        }
        AnswerShape::Listed { ok, .. } => one.records = Some((ok, operation.sink_id.iter().collect())),
        AnswerShape::Job(_) => {}
    }
    let mut all = Vec::new();
    for kind in &operation.repeat {
        match kind {
            Repeat::IdempotencyKey(key) => one.header = Some(key.header.as_str()),
            Repeat::LookUp(look_up) => {
                let mut found = Use::new(format!("operation {} (look_up)", operation.name), &look_up.request);
                found.records = Some((&look_up.list, vec![&look_up.id]));
                all.push(found);
            }
            Repeat::Revision(revision) => {
                let mut read = Use::new(format!("operation {} (revision)", operation.name), &revision.read);
                if let RevisionAt::Body(path) = &revision.at {
                    read.in_answer.push(path);
                }
                all.push(read);
            }
            Repeat::Upsert { .. } | Repeat::Never => {}
        }
    }
    if let Some(read) = &operation.read {
        all.push(Use::new(format!("operation {} (read)", operation.name), &read.request));
    }
    all.insert(0, one);
    all
}
