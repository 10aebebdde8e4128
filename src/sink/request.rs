//! Turns items into the requests that carry them. Pure.
//!
//! The same items make the same request on every attempt, in every run: the key of a request that carries several items is
//! made from their keys in their order, so what was sent before a crash is recognised after it.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use uuid::Builder;

use crate::{
    config::plan::{AnswerRule, Api, BatchPlan, KeyFormat, Meaning, Operation, When},
    expr::Scope,
    http::{Call, render},
    model::{Code, Reason, idempotency_key_of_batch},
    store::Item,
};

/// One item made ready for its operation.
pub struct Ready<'a> {
    /// The item's place in its batch.
    pub at: usize,
    pub item: &'a Item,
    /// What templates see as `sink`.
    sink: String,
    /// The revision that the request must name.
    revision: Option<String>,
    /// What `each` made of it, where the operation takes several records at once.
    each: Option<String>,
}

impl<'a> Ready<'a> {
    /// Renders the item's own part. An error is the verdict of this item alone.
    pub fn new(api: &Api, operation: &Operation, at: usize, item: &'a Item) -> Result<Self, Reason> {
        Self::to(api, operation, at, item, item.sink_id.as_deref(), None)
    }

    /// The same for what is now known to be the record's id and revision at the sink.
    pub fn to(
        api: &Api,
        operation: &Operation,
        at: usize,
        item: &'a Item,
        id: Option<&str>,
        revision: Option<&str>,
    ) -> Result<Self, Reason> {
        let sink = match revision {
            None => serde_json::json!({"id": id}).to_string(),
            Some(revision) => serde_json::json!({"id": id, "revision": revision}).to_string(),
        };
        let each = match &operation.batch {
            None => None,
            Some(BatchPlan { each, .. }) => {
                let scope = Scope::of(&item.fields)
                    .json("sink", sink.as_str())
                    .text("key", &item.idempotency_key)
                    .json("config", api.settings.as_str());
                Some(render::json(each, &scope)?.unwrap_or_else(|| "null".to_owned()))
            }
        };
        Ok(Self { at, item, sink, revision: revision.map(str::to_owned), each })
    }
}

impl Ready<'_> {
    /// What `each` made of it, where the operation takes several records at once.
    pub fn each(&self) -> Option<&str> {
        self.each.as_deref()
    }
}

/// Builds the call for some ready items: one, or as many as the operation's batch takes.
pub fn call(api: &Api, operation: &Operation, name: &Arc<str>, part: &[Ready<'_>]) -> Result<Call, Reason> {
    let sink = part.first().map_or("{}", |ready| ready.sink.as_str());
    let batch: Vec<&str> = part.iter().filter_map(|ready| ready.each.as_deref()).collect();
    let mut scope = Scope::new().json("sink", sink).json("config", api.settings.as_str());
    if operation.batch.is_some() {
        scope = scope.json("batch", format!("[{}]", batch.join(",")));
    } else if let [only] = part {
        scope = scope.record(&only.item.fields);
    }
    let mut call = render::call(api, &operation.request, name, &scope, operation.resends())?;
    if let Some(plan) = operation.key() {
        let (header, value) = key_header(&plan.header, plan.format, &key(operation, part))?;
        call.headers.insert(header, value);
        let status =
            |status: http::StatusCode| When { status: vec![(status.as_u16(), status.as_u16())], ..When::default() };
        // Many vendors use one status for a bad record and for a misused key. The connector's rules can tell them apart by
        // the body, so they are asked first.
        call.answers = api.answers.clone();
        let done = plan.done.iter().map(|when| AnswerRule { when: when.clone(), is: Meaning::Accept });
        call.answers.splice(0..0, done.chain(plan.replayed.iter().map(remembered_failure)));
        call.answers.extend([
            AnswerRule { when: status(plan.mismatch), is: Meaning::Park },
            AnswerRule { when: status(plan.in_flight), is: Meaning::Retry { after: None } },
        ]);
    }
    let header = operation.revision().and_then(|revision| revision.header.as_ref());
    if let (Some(header), [Ready { revision: Some(revision), .. }]) = (header, part) {
        let value = HeaderValue::from_str(revision)
            .map_err(|_| Reason::new(Code::BodyTemplate, "the record's revision cannot be written into its header"))?;
        call.headers.insert(header.clone(), value);
    }
    Ok(call)
}

/// A failure that comes out of the vendor's memory comes out of it every time: asking again under the same key is vain, and what
/// the first attempt did is unknown.
fn remembered_failure(replayed: &When) -> AnswerRule {
    AnswerRule { when: When { status: vec![(500, 599)], ..replayed.clone() }, is: Meaning::Park }
}

/// Names the request: the item's own key, or one made from the keys of all its items in their order.
pub fn key(operation: &Operation, part: &[Ready<'_>]) -> String {
    match (&operation.batch, part) {
        (None, [only]) => only.item.idempotency_key.clone(),
        _ => idempotency_key_of_batch(part.iter().map(|ready| ready.item.idempotency_key.as_str())),
    }
}

fn key_header(name: &HeaderName, format: KeyFormat, key: &str) -> Result<(HeaderName, HeaderValue), Reason> {
    let text = match (format, u128::from_str_radix(key, 16)) {
        (KeyFormat::Raw, _) => key.to_owned(),
        (KeyFormat::Quoted, _) => format!("\"{}\"", key.replace('\\', "\\\\").replace('"', "\\\"")),
        (KeyFormat::Uuid, Ok(bits)) => Builder::from_random_bytes(bits.to_be_bytes()).into_uuid().to_string(),
        (KeyFormat::Uuid, Err(_)) => return Err(unusable()),
    };
    Ok((name.clone(), HeaderValue::from_str(&text).map_err(|_| unusable())?))
}

fn unusable() -> Reason {
    Reason::new(Code::BodyTemplate, "the idempotency key cannot be written into its header")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(format: KeyFormat) -> String {
        let (_, value) =
            key_header(&HeaderName::from_static("idempotency-key"), format, "000102030405060708090a0b0c0d0e0f")
                .unwrap();
        value.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_key_is_written_as_the_vendor_wants_it() {
        assert_eq!(header(KeyFormat::Raw), "000102030405060708090a0b0c0d0e0f");
        assert_eq!(header(KeyFormat::Quoted), "\"000102030405060708090a0b0c0d0e0f\"");
        assert_eq!(header(KeyFormat::Uuid), "00010203-0405-4607-8809-0a0b0c0d0e0f");
    }
}
