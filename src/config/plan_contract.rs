//! Contracts as meant: the schema that records are held to, and what a difference leads to.

use std::sync::Arc;

use crate::contract::RecordSchema;

/// Those of a pipeline. Nothing: its records are held to no schema there.
#[derive(Clone, Default, Debug)]
pub struct Contracts {
    /// Of the records as they are read, before all steps.
    pub read: Option<Contract>,
    /// Of the records as the operation gets them, after the mapping.
    pub sent: Option<Contract>,
}

#[derive(Clone, Debug)]
pub struct Contract {
    pub schema: Arc<RecordSchema>,
    pub terms: Terms,
}

/// What a difference leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Terms {
    /// It is told once.
    Evolve,
    /// It is told by each run.
    Warn,
    /// A record that does not fit is a dead letter.
    Reject,
    /// A record that does not fit stops the run.
    Freeze,
}
