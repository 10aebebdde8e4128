//! What a pipeline's own rules make of a record: its key, its personal fields, its steps and its mapping, which are pure. The
//! book asks it what must arrive, and whoever makes records asks how far one gets.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::{book::Expected, leaves};
use crate::{
    config::plan::{Api, Operation, Pipeline, Stream, To},
    expr::Scope,
    http::render,
    model::{Fields, Key},
    source::read_one,
    transform::{Mapping, Outcome, Personal, Transform},
};

pub struct Rules {
    stream: Arc<Stream>,
    personal: Arc<Personal>,
    transform: Transform,
    mapping: Mapping,
    to: Option<(Arc<Api>, Arc<Operation>)>,
}

/// What became of a record.
pub struct Judged {
    /// As the store names it.
    pub key: Option<String>,
    pub expected: Expected,
    /// How far it got, for whoever looks for one that gets to the end: more is further.
    pub reach: usize,
}

/// The reach of a record that gets through all steps and the mapping, and whose request can be built.
const THROUGH: usize = usize::MAX;
const MAPPED: usize = 100_000;

impl Judged {
    pub fn is_through(&self) -> bool {
        self.reach == THROUGH
    }
}

impl Rules {
    pub fn of(pipeline: &Pipeline) -> Self {
        let personal = Arc::new(Personal::new(&pipeline.personal));
        Self {
            stream: pipeline.from.stream.clone(),
            transform: Transform::new(&pipeline.steps),
            mapping: Mapping::new(pipeline.fields.as_deref()).protected(personal.clone()),
            personal,
            to: match &pipeline.to {
                To::Operation { api, operation, .. } => Some((api.clone(), operation.clone())),
                To::File { .. } | To::Table { .. } => None,
            },
        }
    }

    /// The pipeline's own verdict of a record.
    pub fn judge(&self, record: &Value) -> Judged {
        let fields = Fields::from_object(Bytes::from(record.to_string()));
        let record = match read_one(&self.stream, fields) {
            Ok(record) => record,
            Err(reject) => {
                let key = reject.key.map(|key| self.name(key));
                return Judged { key, expected: Expected::Refused, reach: 0 };
            }
        };
        let key = Some(self.name(record.key.clone()));
        let again = record.clone();
        let protected = |mut record: crate::model::Record| {
            record.fields = self.personal.read(record.fields, true);
            record
        };
        match self.transform.apply(protected(record)) {
            Outcome::Skipped(skip) => Judged { key, expected: Expected::Skipped, reach: 2 * step_of(&skip.by) + 1 },
            Outcome::Rejected(reject) => {
                Judged { key, expected: Expected::Refused, reach: 2 * step_of(&reject.reason.message) }
            }
            Outcome::Kept(kept) => {
                let Some(fields) = self.mapped(kept.fields) else {
                    return Judged { key, expected: Expected::Refused, reach: MAPPED - 1 };
                };
                let mut texts = texts_of(&fields);
                // What is encrypted reads differently each time.
                if let Outcome::Kept(kept) = self.transform.apply(protected(again))
                    && let Some(fields) = self.mapped(kept.fields)
                {
                    let same = texts_of(&fields);
                    texts.retain(|text| same.contains(text));
                }
                let reach = if self.can_be_sent(&fields) { THROUGH } else { MAPPED };
                Judged { key, expected: Expected::Delivered { fields, texts }, reach }
            }
        }
    }

    fn name(&self, key: Key) -> String {
        self.personal.key(key).as_str().to_owned()
    }

    /// What the sink gets. Fields that it may have in the clear are opened.
    fn mapped(&self, kept: Fields) -> Option<Fields> {
        let mapped = self.mapping.apply(kept).ok()?;
        match self.personal.opens() {
            true => self.personal.open(&mapped, false).ok(),
            false => Some(mapped),
        }
    }

    /// Whether the operation's request can be built of it.
    fn can_be_sent(&self, fields: &Fields) -> bool {
        let Some((api, operation)) = &self.to else { return true };
        let scope = Scope::of(fields)
            .json("sink", r#"{"id":"sink-1","revision":"1"}"#)
            .text("key", "00000000000000000000000000000000")
            .json("config", api.settings.as_str());
        match &operation.batch {
            Some(batch) => render::json(&batch.each, &scope).is_ok(),
            None => render::call(api, &operation.request, &operation.name.as_str().into(), &scope, true).is_ok(),
        }
    }
}

fn texts_of(fields: &Fields) -> Vec<String> {
    serde_json::from_str(fields.as_str()).map(|value| leaves::of(&value)).unwrap_or_default()
}

/// The number in `step 3 (filter): ...`.
fn step_of(words: &str) -> usize {
    let digits = words.strip_prefix("step ").and_then(|rest| rest.split(' ').next());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}
