//! What a case came to, and where that is not what it says.

use serde::Serialize;
use serde_json::Value;

use super::compare::{Names, differences, shown};
use crate::{
    config::plan_case::{Case, ExpectedVerdict, Place},
    model::{Code, Cursor, Fault, Reason, Verdict},
};

/// Something that is not as the case says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Difference {
    #[serde(flatten)]
    pub place: Place,
    pub message: String,
}

impl Difference {
    pub fn new(place: &Place, message: impl Into<String>) -> Self {
        Self { place: place.clone(), message: message.into() }
    }
}

/// What came of a case.
#[derive(Default, Debug)]
pub struct Outcome {
    pub records: Vec<Value>,
    pub keys: Vec<String>,
    pub gone: Vec<String>,
    pub refused: Vec<Code>,
    pub cursor: Option<Cursor>,
    pub verdicts: Vec<Verdict>,
    pub fault: Option<Fault>,
}

/// Where an outcome is not the expected one.
pub fn judge(case: &Case, outcome: &Outcome, names: &mut Names) -> Vec<Difference> {
    let expect = &case.expect;
    let mut found = Vec::new();
    match (&expect.fault, &outcome.fault) {
        (None, Some(fault)) => found.push(Difference::new(&case.place, format!("it ended with {}", told(fault)))),
        (Some((place, code)), None) => {
            found.push(Difference::new(place, format!("expected {code}, and nothing failed")))
        }
        (Some((place, code)), Some(fault)) if fault.code != *code => {
            found.push(Difference::new(place, format!("expected {code}, got {}", told(fault))));
        }
        _ => {}
    }
    if let Some(records) = &expect.records {
        for ((place, expected), got) in records.iter().zip(&outcome.records) {
            let differing = differences("record", expected, got, true, names);
            found.extend(differing.into_iter().map(|message| Difference::new(place, message)));
        }
        found.extend(count(case, "records", records.len(), outcome.records.len()));
    }
    let lists = [("keys", &expect.keys, &outcome.keys), ("gone", &expect.gone, &outcome.gone)];
    for (what, expected, got) in lists {
        if let Some(expected) = expected.as_ref().filter(|expected| *expected != got) {
            let message = format!("{what}: expected [{}], got [{}]", expected.join(", "), got.join(", "));
            found.push(Difference::new(&case.place, message));
        }
    }
    if let Some(expected) = expect.refused.as_ref().filter(|expected| **expected != outcome.refused) {
        let codes = |codes: &[Code]| codes.iter().map(Code::to_string).collect::<Vec<_>>().join(", ");
        let message = format!("refused: expected [{}], got [{}]", codes(expected), codes(&outcome.refused));
        found.push(Difference::new(&case.place, message));
    }
    if let Some((place, expected)) = &expect.cursor
        && !is_same_cursor(expected, outcome.cursor.as_ref())
    {
        let got = outcome.cursor.as_ref().map_or_else(|| "none".to_owned(), Cursor::canonical);
        found.push(Difference::new(place, format!("cursor: expected {}, got {got}", expected.canonical())));
    }
    if let Some(verdicts) = &expect.verdicts {
        found.extend(count(case, "verdicts", verdicts.len(), outcome.verdicts.len()));
        for ((place, expected), got) in verdicts.iter().zip(&outcome.verdicts) {
            found.extend(verdict(expected, got).map(|message| Difference::new(place, message)));
        }
    }
    found
}

fn count(case: &Case, what: &str, expected: usize, got: usize) -> Option<Difference> {
    (expected != got).then(|| Difference::new(&case.place, format!("{what}: expected {expected}, got {got}")))
}

fn told(fault: &Fault) -> String {
    format!("{fault} ({})", fault.place.join(", "))
}

/// A token that looks like a number is one for the file, and a text for the stream.
fn is_same_cursor(expected: &Cursor, got: Option<&Cursor>) -> bool {
    got.is_some_and(|got| expected == got || expected.canonical() == got.canonical())
}

/// How a verdict differs.
fn verdict(expected: &ExpectedVerdict, got: &Verdict) -> Option<String> {
    let (is, id, reason): (_, Option<&String>, Option<&Reason>) = match got {
        Verdict::Created(id) => ("created", id.as_ref(), None),
        Verdict::Updated(id) => ("updated", id.as_ref(), None),
        Verdict::Unchanged => ("unchanged", None, None),
        Verdict::Deleted => ("deleted", None, None),
        Verdict::Skipped => ("skipped", None, None),
        Verdict::Rejected(reason) => ("rejected", None, Some(reason)),
        Verdict::Parked(reason) => ("parked", None, Some(reason)),
    };
    let why = reason.map(|reason| format!(" ({}: {})", reason.code, reason.message)).unwrap_or_default();
    if expected.is != is {
        return Some(format!("verdict: expected {}, got {is}{why}", expected.is));
    }
    if let Some(expected) = expected.id.as_ref().filter(|expected| Some(*expected) != id) {
        return Some(format!("id: expected {expected}, got {}", id.map_or("none", String::as_str)));
    }
    if let Some(code) = expected.code.filter(|code| Some(*code) != reason.map(|reason| reason.code)) {
        return Some(format!("code: expected {code}, got {is}{why}"));
    }
    let says = expected.says.as_ref()?;
    let is_said = reason.is_some_and(|reason| reason.message.contains(says.as_str()));
    (!is_said).then(|| format!("expected a reason that says {}, got {is}{why}", shown(&says.as_str().into())))
}
