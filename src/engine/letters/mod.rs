//! Dead letters as a work list: which ones somebody means, what a mended record has to keep to, and which may go again. Commands and
//! the admin API ask here, so that both decide alike.

mod again;
mod mend;
mod pick;

pub use again::{Again, again};
pub use mend::{Change, Unmended, mended};
pub use pick::{Picking, WithDetails, about, head, kind};

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
