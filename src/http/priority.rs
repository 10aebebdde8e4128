//! Whose turn it is first. What a person or another system waits for goes before what a schedule wants, and that before
//! catching up with the past; see `budget/queue.rs` for why nobody starves.

/// How urgent a client's calls are. The order of the variants is the order of their turns.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Priority {
    /// Somebody waits for the answer.
    Interactive,
    /// What changed since the last run.
    Incremental,
    /// What was there before: a first pass, or a stream that is read again.
    Backfill,
}

impl Priority {
    pub const ALL: [Priority; 3] = [Priority::Interactive, Priority::Incremental, Priority::Backfill];

    pub fn name(self) -> &'static str {
        match self {
            Priority::Interactive => "interactive",
            Priority::Incremental => "incremental",
            Priority::Backfill => "backfill",
        }
    }
}
