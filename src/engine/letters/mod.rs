//! Dead letters as a work list: which ones somebody means, what a mended record has to keep to, and which may go again. Commands and
//! the admin API ask here, so that both decide alike.

mod again;
mod mend;
mod pick;

use serde_json::{Value, json};

use crate::store::DeadLetter;

pub use again::{Again, again};
pub use mend::{Change, Unmended, mended};
pub use pick::{Picking, WithDetails, about, head, kind};

/// Letters that one entry of the audit log names.
const AUDITED_MAX: usize = 100;

/// What the audit log says of letters: how many, and which ones first.
pub fn audited(letters: &[DeadLetter]) -> Value {
    let ids: Vec<&str> = letters.iter().take(AUDITED_MAX).map(|letter| letter.id.as_str()).collect();
    json!({ "letters": letters.len(), "ids": ids })
}

/// What was asked for makes no sense here. Nothing was changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mistake {
    pub message: String,
    pub help: String,
}

impl Mistake {
    pub fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into() }
    }
}
