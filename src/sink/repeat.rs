//! What to do next for one record, given what is known of it. Pure: the kinds that its operation declares and what was learned
//! go in, one step comes out; `api/mod.rs` takes the steps.
//!
//! The kinds are asked in their order. The first that is safe for what is known decides; if none is, the record waits for a
//! person.
//!
//! | kind | never sent | may have been sent |
//! |---|---|---|
//! | idempotency_key | send | send, while the vendor surely remembers the key; else not safe |
//! | upsert | send | send |
//! | look_up | look up: found, update; nothing, send | look up: found, it was us (update where its state may be older); nothing, once the search must know: send |
//! | revision | read: ours, done; else send with what was read | the same |
//! | never | send | not safe |

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    config::plan::{KeyPlan, LookUp, Makes, Operation, Repeat},
    model::{Code, Reason, Verdict},
};

/// How often one record is sent, or found changed, before it waits for a person.
const ROUNDS_MAX: u32 = 5;

/// Whether a write of a record may have left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Left {
    No,
    Maybe {
        /// No earlier than this.
        first: DateTime<Utc>,
        /// No later than this.
        last: DateTime<Utc>,
        /// It was this very state of the record.
        same: bool,
    },
}

/// What the sink says about a record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    /// A look-up that was sent at this time found nothing.
    Nothing {
        asked: DateTime<Utc>,
    },
    /// A look-up found one record, with this id.
    One(String),
    Several(usize),
    /// A reading: the record's revision, and whether it holds what we want to write.
    Read {
        revision: String,
        ours: bool,
    },
    /// A reading: the record is not there.
    Gone,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing { .. } => f.write_str("nothing was found"),
            Self::One(id) => write!(f, "{id} was found"),
            Self::Several(count) => write!(f, "{count} records were found"),
            Self::Read { revision, ours: true } => {
                write!(f, "it has revision {revision}, and holds what is to be written")
            }
            Self::Read { revision, ours: false } => write!(f, "it has revision {revision}"),
            Self::Gone => f.write_str("it is not there"),
        }
    }
}

/// What is known of a record on its way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Known {
    pub left: Left,
    /// What the sink said since the last attempt.
    pub found: Option<Found>,
    /// Attempts of this run that ended without a verdict.
    pub rounds: u32,
}

/// The next step for a record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Next {
    Send,
    /// Look it up, not before this time.
    LookUp {
        at: DateTime<Utc>,
    },
    ReadAgain,
    /// Send the operation that updates, to this id.
    Update(String),
    /// Enough for this run: the batch stays staged, and the next run goes on.
    Later,
    Done(Verdict),
}

impl Known {
    pub fn new(left: Left) -> Self {
        Self { left, found: None, rounds: 0 }
    }

    /// An attempt between two moments had an unknown outcome.
    pub fn lost(&mut self, first: DateTime<Utc>, last: DateTime<Utc>) {
        self.left = match self.left {
            Left::No => Left::Maybe { first, last, same: true },
            Left::Maybe { first: earlier, same, .. } => Left::Maybe { first: earlier.min(first), last, same },
        };
        self.again();
    }

    /// The key's answer is no longer worth asking for.
    pub fn key_is_spent(&mut self, now: DateTime<Utc>) {
        self.lost(DateTime::<Utc>::MIN_UTC, now);
    }

    /// What was known of the sink is out of date.
    pub fn again(&mut self) {
        self.found = None;
        self.rounds += 1;
    }

    pub fn revision(&self) -> Option<&str> {
        match &self.found {
            Some(Found::Read { revision, .. }) => Some(revision),
            _ => None,
        }
    }
}

/// Decides the next step. `patience` is the longest time between this decision and the last byte that may leave because of it;
/// `updates`: the record that a look-up finds can be updated.
pub fn next(operation: &Operation, known: &Known, now: DateTime<Utc>, patience: TimeDelta, updates: bool) -> Next {
    let step = operation.repeat.iter().find_map(|kind| match kind {
        Repeat::IdempotencyKey(key) => is_remembered(key, known, now, patience).then_some(Next::Send),
        Repeat::Upsert { .. } => Some(Next::Send),
        Repeat::LookUp(look_up) => Some(by_look_up(look_up, known, now, updates)),
        Repeat::Revision(_) => Some(by_revision(operation.makes, known)),
        Repeat::Never => (known.left == Left::No).then_some(Next::Send),
    });
    step.unwrap_or_else(|| nothing_is_safe(operation, known))
}

/// Whether the vendor will still know the key when the last attempt arrives.
fn is_remembered(key: &KeyPlan, known: &Known, now: DateTime<Utc>, patience: TimeDelta) -> bool {
    let retention = TimeDelta::from_std(key.retention).unwrap_or(TimeDelta::MAX);
    match known.left {
        Left::No => true,
        Left::Maybe { same: false, .. } => false,
        Left::Maybe { first, .. } => now.signed_duration_since(first) < retention - patience.min(retention),
    }
}

fn by_look_up(look_up: &LookUp, known: &Known, now: DateTime<Utc>, updates: bool) -> Next {
    let lag = TimeDelta::from_std(look_up.lag).unwrap_or(TimeDelta::MAX);
    // From when on the search must know what may have been sent.
    let told = match known.left {
        Left::No => now,
        Left::Maybe { last, .. } => last.checked_add_signed(lag).unwrap_or(DateTime::<Utc>::MAX_UTC),
    };
    match &known.found {
        None if known.rounds >= ROUNDS_MAX => Next::Later,
        None => Next::LookUp { at: told },
        Some(Found::Nothing { asked }) if known.left != Left::No && *asked < told => Next::LookUp { at: told },
        Some(Found::Nothing { .. }) => Next::Send,
        Some(Found::One(id)) if updates => Next::Update(id.clone()),
        Some(Found::One(id)) => match known.left {
            Left::Maybe { same: true, .. } => Next::Done(Verdict::Created(Some(id.clone()))),
            _ => park(
                Code::Uncertain,
                "the sink holds a record of this key, in a state that is not known, and the operation's `look_up` names no \
                 `update`",
            ),
        },
        Some(Found::Several(count)) => {
            park(Code::AmbiguousLookUp, &format!("the look-up found {count} records, and nothing says which one it is"))
        }
        Some(Found::Read { .. } | Found::Gone) => Next::LookUp { at: told },
    }
}

fn by_revision(makes: Makes, known: &Known) -> Next {
    match &known.found {
        None if known.rounds >= ROUNDS_MAX => {
            park(Code::RevisionMoved, "each time it was read and written, it had changed at the sink in between")
        }
        Some(Found::Read { ours: true, .. }) if makes != Makes::Delete => Next::Done(Verdict::Updated(None)),
        Some(Found::Read { .. }) => Next::Send,
        Some(Found::Gone) if makes == Makes::Delete => Next::Done(Verdict::Deleted),
        Some(Found::Gone) => Next::Done(Verdict::Rejected(Reason::new(
            Code::RecordRefused,
            "the sink has no record of this id any more, so there is nothing to update",
        ))),
        None | Some(Found::Nothing { .. } | Found::One(_) | Found::Several(_)) => Next::ReadAgain,
    }
}

fn nothing_is_safe(operation: &Operation, known: &Known) -> Next {
    match operation.key() {
        Some(_) if known.rounds == 0 => park(
            Code::KeyExpired,
            "it may have been sent before, and the sink no longer remembers the key it was sent under",
        ),
        _ => park(Code::Uncertain, "it may have taken effect, and nothing makes it safe to send it again"),
    }
}

fn park(code: Code, message: &str) -> Next {
    Next::Done(Verdict::Parked(Reason::new(code, message)))
}

#[cfg(test)]
#[path = "repeat_tests.rs"]
mod tests;
