//! Holds a record to its contract: what differs is counted with the first value as it may be shown, and what does not fit leads to
//! what the contract's terms say.
//!
//! Personal fields were protected before, so what stands there is ours and not the source's: whether it is there counts, and what it
//! is does not.

use serde_json::Value;

use super::{
    mask::{MASKED, masked_sample},
    personal::Personal,
};
use crate::{
    config::plan::{self, Terms},
    contract::Sighting,
    model::{Code, Drift, DriftKind, DriftRow, End, Fields, Path, Reason, Step},
};

/// Misfits that a reason names.
const NAMED_MAX: usize = 3;

/// A contract of a pipeline, ready to be applied. By default nothing is looked at.
#[derive(Clone, Default, Debug)]
pub struct Contract(Option<Held>);

#[derive(Clone, Debug)]
struct Held {
    plan: plan::Contract,
    end: End,
    /// The names on the way to each protected value.
    protected: Vec<Vec<String>>,
}

/// A record does not fit, and the terms say that it cannot go on so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unfit {
    /// It is a dead letter.
    Reject(Reason),
    /// The run stops. What is wrong, without a value.
    Freeze(String),
}

impl Contract {
    /// Of records as they are read.
    pub fn read(plan: &plan::Contracts, personal: &Personal) -> Self {
        Self::of(plan.read.as_ref(), End::Read, personal.paths())
    }

    /// Of records as the operation gets them. What is sent in the clear is still protected then.
    pub fn sent(plan: &plan::Contracts, personal: &Personal) -> Self {
        Self::of(plan.sent.as_ref(), End::Sent, personal.opened_paths())
    }

    fn of<'p>(plan: Option<&plan::Contract>, end: End, protected: impl Iterator<Item = &'p Path>) -> Self {
        let protected = protected.map(|path| names(path.steps()).map(str::to_owned).collect()).collect();
        Self(plan.map(|plan| Held { plan: plan.clone(), end, protected }))
    }

    /// What a difference leads to, where there is a contract.
    pub fn terms(&self) -> Option<Terms> {
        self.0.as_ref().map(|held| held.plan.terms)
    }

    /// Nothing is looked at.
    pub fn is_idle(&self) -> bool {
        self.0.is_none()
    }

    /// Counts in what a record differs, and says whether it may go on.
    pub fn hold(&self, fields: &Fields, drift: &mut Drift) -> Result<(), Unfit> {
        let Some(held) = &self.0 else { return Ok(()) };
        match serde_json::from_slice::<Value>(fields.as_bytes()) {
            Ok(record) => {
                let seen = held.plan.schema.look(&record, &|at, kind, inside| held.counts(at, kind, inside));
                seen.iter().for_each(|one| drift.add(held.row(one)));
                held.judge(&seen)
            }
            // Such as half a surrogate pair: JSON that means no text.
            Err(_) => {
                let (kind, expected) = (DriftKind::BrokenRule, "readable text".to_owned());
                let unreadable = Sighting { kind, at: Vec::new(), expected, value: None, fits: false, inside: true };
                drift.add(held.row(&unreadable));
                held.judge(&[unreadable])
            }
        }
    }
}

impl Held {
    /// A difference at a protected value, below it, or over something that holds one is none of the source's.
    fn counts(&self, at: &[Step], kind: DriftKind, inside: bool) -> bool {
        !self.protected.iter().any(|path| {
            let at: Vec<&str> = names(at).collect();
            let is_above = path.len() > at.len() && path.iter().zip(&at).all(|(one, other)| one == other);
            let is_at_or_below = at.len() >= path.len() && path.iter().zip(&at).all(|(one, other)| one == other);
            let is_missing = kind == DriftKind::MissingField && at.len() == path.len();
            (is_above && inside) || (is_at_or_below && !is_missing)
        })
    }

    fn row(&self, one: &Sighting<'_>) -> DriftRow {
        let hidden = self.protected.iter().any(|path| path.iter().zip(names(&one.at)).all(|(one, other)| one == other));
        let sample = match one.value {
            None => String::new(),
            Some(_) if hidden => MASKED.to_owned(),
            Some(value) => masked_sample(names(&one.at), value),
        };
        DriftRow {
            end: self.end,
            kind: one.kind,
            path: one.path(),
            expected: one.expected.clone(),
            found: one.found().to_owned(),
            sample,
            records: 1,
        }
    }

    fn judge(&self, seen: &[Sighting<'_>]) -> Result<(), Unfit> {
        let mut misfits = seen.iter().filter(|one| !one.fits).peekable();
        if misfits.peek().is_none() {
            return Ok(());
        }
        let count = misfits.clone().count();
        let named: Vec<String> = misfits.take(NAMED_MAX).map(Sighting::words).collect();
        let more = if count > NAMED_MAX { format!(", and {} more", count - NAMED_MAX) } else { String::new() };
        let words = format!("{}{more}", named.join(", "));
        match self.plan.terms {
            Terms::Evolve | Terms::Warn => Ok(()),
            Terms::Reject => {
                let end = if self.end == End::Read { "stream" } else { "operation" };
                Err(Unfit::Reject(Reason::new(Code::ContractRefused, format!("by the {end}'s schema {words}"))))
            }
            Terms::Freeze => Err(Unfit::Freeze(words)),
        }
    }
}

fn names(steps: &[Step]) -> impl Iterator<Item = &str> {
    steps.iter().filter_map(|step| match step {
        Step::Field(name) => Some(name.as_str()),
        Step::Item(_) => None,
    })
}
