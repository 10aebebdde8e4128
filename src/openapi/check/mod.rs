//! Holds a connector against a vendor's document: whether what it calls, sends and expects is there and fits, and what changed there
//! since an older document.
//!
//! The hard idea is not to cry wolf. A document leaves things out, and a connector fills things in that only a connection knows; what
//! cannot be told is counted as such and is no misfit.

mod answer;
mod request;
mod route;
mod since;
mod uses;

use super::{
    call::{Call, calls},
    document::Document,
};
use crate::config::OneConnector;

use uses::Use;

/// What became of the check.
#[derive(Debug)]
pub struct Checked {
    /// Calls of the connector that the document has.
    pub calls: usize,
    /// Parameters, fields of bodies and places in answers that were compared.
    pub compared: usize,
    pub misfits: Vec<Told>,
    /// What the document does not tell.
    pub untold: Vec<Told>,
    /// What changed since the older document, in the calls that are used.
    pub changes: Vec<Changed>,
}

/// A sentence about a part of the connector.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Told {
    /// Such as `stream customers`.
    pub part: String,
    pub words: String,
}

/// A change of the document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Changed {
    pub part: String,
    pub breaking: bool,
    pub words: String,
}

/// What is collected while one call is compared.
pub(super) struct Notes<'c> {
    part: &'c str,
    all: &'c mut Checked,
}

impl Notes<'_> {
    fn fits(&mut self) {
        self.all.compared += 1;
    }

    fn misfit(&mut self, words: impl Into<String>) {
        self.all.compared += 1;
        push(&mut self.all.misfits, self.part, words.into());
    }

    fn untold(&mut self, words: impl Into<String>) {
        push(&mut self.all.untold, self.part, words.into());
    }
}

fn push(all: &mut Vec<Told>, part: &str, words: String) {
    let told = Told { part: part.to_owned(), words };
    if !all.contains(&told) {
        all.push(told);
    }
}

/// Compares a connector with a document, and the document with an older one.
pub fn check(connector: &OneConnector, document: &Document, older: Option<&Document>) -> Checked {
    let (known, before) = (calls(document), older.map(calls));
    let (base, bases) = (connector.base_url.as_deref(), route::bases(document));
    let (misfits, untold, changes) = (Vec::new(), Vec::new(), Vec::new());
    let mut all = Checked { calls: 0, compared: 0, misfits, untold, changes };
    for one in uses::of(connector) {
        let mut notes = Notes { part: &one.name, all: &mut all };
        let found = match route::find(&one, base, &bases, &known) {
            Ok(found) => found,
            Err(why) => {
                notes.misfit(why);
                continue;
            }
        };
        notes.all.calls += 1;
        if found.deprecated {
            notes.untold(format!("{} {} is marked as deprecated", one.request.method, found.path));
        }
        request::compare(&one, found, connector, document, &mut notes);
        answer::compare(&one, found, &mut notes);
        if let (Some(older), Some(before)) = (older, &before) {
            let then = route::find(&one, base, &route::bases(older), before).ok();
            all.changes.extend(since::changes(&one, then.map(|call| (older, call)), (document, found)));
        }
    }
    all
}

/// The calls that two documents share are told apart by this.
fn is_same(one: &Call<'_>, other: &Call<'_>) -> bool {
    (one.method, one.path) == (other.method, other.path)
}
