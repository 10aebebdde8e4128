//! Why sending an operation a second time is safe, as meant. What follows from it for one record is decided in
//! `sink/repeat.rs`.

use std::time::Duration;

use http::{HeaderName, StatusCode};

use super::{
    plan::{RequestPlan, When},
    plan_operation::Operation,
};
use crate::model::Path;

/// One reason why sending it a second time is safe. An operation has at least one: `validate` refuses it otherwise.
#[derive(Clone, Debug)]
pub enum Repeat {
    IdempotencyKey(KeyPlan),
    /// The vendor keeps one record per value of this field, so repeating changes nothing.
    Upsert {
        unique: String,
    },
    LookUp(LookUp),
    Revision(Revision),
    /// Nothing does: the intent of each write is durable before it leaves.
    Never,
}

/// The vendor remembers a key and answers a repetition from memory.
#[derive(Clone, Debug)]
pub struct KeyPlan {
    pub header: HeaderName,
    pub format: KeyFormat,
    /// The vendor forgets a key after this.
    pub retention: Duration,
    /// The status that says "this key came with another body". Default 422.
    pub mismatch: StatusCode,
    /// The status that says "the first request is still running". Default 409; it is tried again.
    pub in_flight: StatusCode,
    /// An answer that says "this was done before".
    pub done: Option<When>,
    /// How an answer from memory is told.
    pub replayed: Option<When>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyFormat {
    /// The bare text.
    Raw,
    /// A quoted string, as the IETF draft (RFC 8941 strings) wants it.
    Quoted,
    /// Shaped as a UUID, for vendors that insist.
    Uuid,
}

/// A search by natural key.
#[derive(Clone, Debug)]
pub struct LookUp {
    pub request: RequestPlan,
    /// Where what was found stands: a list, or one object.
    pub list: Path,
    /// In a found record: its id.
    pub id: Path,
    /// The field of a found record that must equal the field of ours, in this order.
    pub matched: Option<(Path, Path)>,
    /// The operation for a record that is found, by name. It exists, and is safe to repeat.
    pub update: Option<String>,
    /// How long a new record may stay invisible to the search.
    pub lag: Duration,
    pub compare: Compare,
}

/// Where the fields of one record stand on both sides.
#[derive(Clone, Debug)]
pub struct Compare {
    /// In what was read.
    pub answer: Path,
    /// In what is sent.
    pub sent: Path,
}

/// An optimistic lock.
#[derive(Clone, Debug)]
pub struct Revision {
    pub read: RequestPlan,
    pub at: RevisionAt,
    /// The header that carries it. Nothing: templates use `sink.revision`.
    pub header: Option<HeaderName>,
    /// "The record has another revision by now."
    pub conflict: Vec<StatusCode>,
    pub compare: Compare,
}

#[derive(Clone, Debug)]
pub enum RevisionAt {
    Header(HeaderName),
    Body(Path),
}

impl Operation {
    /// The key that its requests carry.
    pub fn key(&self) -> Option<&KeyPlan> {
        self.repeat.iter().find_map(|kind| match kind {
            Repeat::IdempotencyKey(key) => Some(key),
            _ => None,
        })
    }

    pub fn look_up(&self) -> Option<&LookUp> {
        self.repeat.iter().find_map(|kind| match kind {
            Repeat::LookUp(look_up) => Some(look_up),
            _ => None,
        })
    }

    pub fn revision(&self) -> Option<&Revision> {
        self.repeat.iter().find_map(|kind| match kind {
            Repeat::Revision(revision) => Some(revision),
            _ => None,
        })
    }

    /// Whether the very same request may be sent twice in a row: a key, an upsert, or a revision makes the second one
    /// harmless. Where only a look-up or nothing does, one request is one attempt.
    pub fn resends(&self) -> bool {
        matches!(self.repeat.first(), Some(Repeat::IdempotencyKey(_) | Repeat::Upsert { .. } | Repeat::Revision(_)))
    }

    /// Whether a write that may have taken effect can be sent again whenever one likes: what the sink holds decides then.
    pub fn outlives_doubt(&self) -> bool {
        let asks = |kind: &Repeat| matches!(kind, Repeat::Upsert { .. } | Repeat::LookUp(_) | Repeat::Revision(_));
        self.repeat.iter().any(asks)
    }

    /// Whether the intent of a write must be durable before it leaves.
    pub fn is_journalled(&self) -> bool {
        matches!(self.repeat.first(), Some(Repeat::Never))
    }
}
