//! What people ask of a pipeline of a running service.

use serde_json::{Value, json};

use crate::{engine::letters::audited, store::DeadLetter};

/// What a person wants of one pipeline.
#[derive(Debug)]
pub struct Wish {
    pub pipeline: String,
    pub what: What,
}

#[derive(Debug)]
pub enum What {
    Trigger,
    Pause,
    Resume,
    Cancel,
    /// The letters are of the pipeline, and may go again.
    Replay {
        letters: Vec<DeadLetter>,
        accept_doubt: bool,
    },
    /// Keep what was changed about a letter.
    Mend(Box<DeadLetter>),
    /// Take letters away for good.
    Drop(Vec<DeadLetter>),
}

impl What {
    pub fn name(&self) -> &'static str {
        match self {
            What::Trigger => "trigger",
            What::Pause => "pause",
            What::Resume => "resume",
            What::Cancel => "cancel",
            What::Replay { .. } => "replay",
            What::Mend(_) => "edit",
            What::Drop(_) => "drop",
        }
    }

    /// What the audit log says besides: which letters, and nothing of their records.
    pub fn details(&self) -> Value {
        match self {
            What::Trigger | What::Pause | What::Resume | What::Cancel => Value::Null,
            What::Replay { letters, accept_doubt } => {
                let mut details = audited(letters);
                details["accept_doubt"] = json!(accept_doubt);
                details
            }
            What::Mend(letter) => audited(std::slice::from_ref(letter)),
            What::Drop(letters) => audited(letters),
        }
    }
}
