//! Look-ups, as far as they are pure: which values a page needs, and what a record becomes with what was found. Who fetches it is no
//! business of this room.

use std::{borrow::Cow, collections::HashMap};

use super::{draft::Draft, each::words, steps::Outcome};
use crate::{
    config::plan::{self, Missing},
    expr::{Expression, Scope},
    model::{Code, Fields, Path, Reason, Record, Reject, Skip},
};

/// What is known of a value.
#[derive(Clone, PartialEq, Debug)]
pub enum Found {
    Nothing,
    One(Fields),
    /// Several records claim the value.
    Several,
    /// The request for it was refused.
    Refused(String),
}

/// What was found for the values of a page.
pub type Table = HashMap<String, Found>;

#[derive(Clone, Debug)]
pub struct Lookup {
    number: usize,
    matched: Expression,
    into: Path,
    missing: Missing,
    /// Names what is looked up, for messages.
    place: String,
}

impl Lookup {
    pub(super) fn new(number: usize, plan: &plan::Lookup) -> Self {
        let place = format!("{}/{}", plan.api.name, plan.stream.name);
        let (matched, into) = (plan.matched.fresh(), plan.into.clone());
        Self { number, matched, into, missing: plan.missing, place }
    }

    /// Where it stands, for messages.
    pub fn place(&self) -> String {
        format!("step {} (lookup)", self.number)
    }

    /// The values of a page's records, each once, in their order.
    pub fn values<'o>(&self, page: impl Iterator<Item = &'o Outcome>) -> Vec<String> {
        let mut seen = std::collections::HashSet::new();
        let mut all = Vec::new();
        for outcome in page {
            let Outcome::Kept(record) = outcome else { continue };
            // What fails is told when it is filled in.
            if let Ok(Some(value)) = self.value(record)
                && seen.insert(value.clone())
            {
                all.push(value);
            }
        }
        all
    }

    fn value(&self, record: &Record) -> Result<Option<String>, Reason> {
        let text = self.matched.evaluate_text(&Scope::of(&record.fields));
        Ok(text.map_err(|error| error.reason(&self.place()))?.filter(|text| !text.is_empty()))
    }

    /// Fills in what was found.
    pub fn fill(&self, outcome: &mut Outcome, table: &Table) {
        let Outcome::Kept(record) = outcome else { return };
        match self.filled(record, table) {
            Ok(Some(fields)) => record.fields = fields,
            Ok(None) => {
                let by = words(self.number, "lookup", "nothing was found");
                *outcome = Outcome::Skipped(Skip { key: record.key.clone(), by, slip: record.slip });
            }
            Err(reason) => {
                let Record { key, gone, fields, slip, .. } = record.clone();
                *outcome = Outcome::Rejected(Reject { key: Some(key), gone, fields, reason, slip });
            }
        }
    }

    /// The record with what was found. Nothing: it does not go on.
    fn filled(&self, record: &Record, table: &Table) -> Result<Option<Fields>, Reason> {
        let value = self.value(record)?;
        let found = value.as_ref().and_then(|value| table.get(value)).unwrap_or(&Found::Nothing);
        let text = match (found, self.missing) {
            (Found::One(fields), _) => Cow::Borrowed(fields.as_str()),
            (Found::Nothing, Missing::Empty) => Cow::Borrowed("null"),
            (Found::Nothing, Missing::Skip) => return Ok(None),
            (Found::Nothing, Missing::Reject) => {
                let why = match value {
                    Some(_) => format!("{} has no record of this value", self.place),
                    None => "there is no value to look up".to_owned(),
                };
                return Err(Reason::new(Code::LookUpMissing, format!("{}: {why}", self.place())));
            }
            (Found::Several, _) => {
                let message = format!("{}: {} has several records of this value", self.place(), self.place);
                return Err(Reason::new(Code::LookUpSeveral, message));
            }
            (Found::Refused(why), _) => {
                return Err(Reason::new(Code::LookUpRefused, format!("{}: {why}", self.place())));
            }
        };
        let mut draft = Draft::of(&record.fields);
        let place = |error| Reason::new(Code::Evaluation, format!("{}, field {}: {error}", self.place(), self.into));
        draft.set(&self.into, text.into_owned()).map_err(place)?;
        Ok(Some(draft.finish().unwrap_or_else(|| record.fields.clone())))
    }
}
