//! The replica's own book: what was served, what of it the pipeline's filters let through, and what took effect at the sink. What a
//! drill says about lost and doubled records comes from here, and never from what the engine believes about itself.
//!
//! The hard idea is how an effect is tied to its record. A sink's request may carry a record in any shape, so nothing is read by
//! name: every record is made of texts that no other record has, and whatever arrives is whose texts it holds. Of those, some
//! belong to one state of the record alone and tell which one arrived.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::model::{Code, Fields};

/// Shorter texts are not looked for inside of longer ones: they stand there by chance.
const INSIDE_BYTES_MIN: usize = 8;
/// Records that are named in a report.
const SHOWN_MAX: usize = 20;

/// What the pipeline's own rules make of one state of a record.
#[derive(Clone, Debug)]
pub enum Expected {
    /// The sink gets these fields, and of their texts those that are the same each time it is asked.
    Delivered { fields: Fields, texts: Vec<String> },
    /// A filter does not let it through.
    Skipped,
    /// A step fails for it: it must be a dead letter.
    Refused,
}

/// One state of a record, as it was served.
struct State {
    expected: Expected,
    /// Passes that had ended before.
    since: usize,
}

impl State {
    /// The texts that the sink gets.
    fn texts(&self) -> &[String] {
        match &self.expected {
            Expected::Delivered { texts, .. } => texts,
            Expected::Skipped | Expected::Refused => &[],
        }
    }
}

struct Known {
    /// As the store names it in a dead letter.
    key: String,
    states: Vec<State>,
}

/// Whose texts something holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Named {
    pub record: usize,
    /// From 0; nothing where no text tells.
    pub state: Option<usize>,
}

/// One record at the sink.
#[derive(Clone, Debug)]
pub struct Row {
    pub id: String,
    pub named: Option<Named>,
    /// What was sent for it last.
    pub sent: Value,
    pub revision: u64,
    pub gone: bool,
}

/// How the sink of a pipeline keeps records.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Keeping {
    /// Every state of a record is an effect of its own, as in a file to which lines are added.
    pub every_state: bool,
    /// Such a sink gets all records again in each pass over the stream, because the stream has no cursor.
    pub every_pass: bool,
    /// The pipeline leaves what it created as it is.
    pub first_state: bool,
}

#[derive(Default)]
pub struct Book {
    keeping: Keeping,
    records: Vec<Known>,
    /// Which states hold a text.
    texts: HashMap<String, Vec<(usize, usize)>>,
    rows: Vec<Row>,
    /// Passes over the stream that came to their end.
    passes: usize,
}

/// What the book says at the end.
#[derive(Clone, Default, Debug, serde::Serialize)]
pub struct Account {
    /// Records that the source served.
    pub served: u64,
    /// Of those: arrived, in their last state.
    pub delivered: u64,
    /// Left out by the pipeline's own filters.
    pub skipped: u64,
    /// Dead letters that say no.
    pub refused: u64,
    /// Dead letters that say that nobody knows.
    pub uncertain: u64,
    pub lost: u64,
    pub doubled: u64,
    /// The keys of the first of them.
    pub lost_keys: Vec<String>,
    pub doubled_keys: Vec<String>,
    /// Effects that hold no record's texts.
    pub unnamed: u64,
}

impl Book {
    pub fn new(keeping: Keeping) -> Self {
        Self { keeping, ..Self::default() }
    }

    /// Enters a new state of a record; a record's first state enters the record. `served` are its own texts.
    pub fn tell(&mut self, record: usize, key: &str, expected: Expected, served: Vec<String>) {
        while self.records.len() <= record {
            self.records.push(Known { key: key.to_owned(), states: Vec::new() });
        }
        let known = &mut self.records[record];
        key.clone_into(&mut known.key);
        let (at, state) = ((record, known.states.len()), State { expected, since: self.passes });
        for text in served.iter().chain(state.texts()) {
            let holders = self.texts.entry(text.clone()).or_default();
            if holders.last() != Some(&at) {
                holders.push(at);
            }
        }
        known.states.push(state);
    }

    /// A pass over the stream came to its end.
    pub fn end_pass(&mut self) {
        self.passes += 1;
    }

    /// The record that something is about which holds these texts. Nothing: none of them belongs to one record alone, or they
    /// belong to different ones alike.
    pub fn named(&self, texts: &[String]) -> Option<Named> {
        let whole: Vec<&[(usize, usize)]> =
            texts.iter().filter_map(|text| self.texts.get(text)).map(Vec::as_slice).collect();
        self.elect(&whole).or_else(|| self.elect(&self.inside(texts)))
    }

    /// Texts that stand inside of longer ones, as in a search that is written as one sentence.
    fn inside(&self, texts: &[String]) -> Vec<&[(usize, usize)]> {
        let long: Vec<&String> = texts.iter().filter(|text| text.len() > INSIDE_BYTES_MIN).collect();
        let held = |name: &str| name.len() >= INSIDE_BYTES_MIN && long.iter().any(|text| text.contains(name));
        self.texts.iter().filter(|(name, _)| held(name)).map(|(_, holders)| holders.as_slice()).collect()
    }

    fn elect(&self, found: &[&[(usize, usize)]]) -> Option<Named> {
        let own = |holders: &[(usize, usize)]| {
            let (record, _) = *holders.first()?;
            holders.iter().all(|(other, _)| *other == record).then_some(record)
        };
        let mut votes: BTreeMap<usize, usize> = BTreeMap::new();
        for record in found.iter().filter_map(|holders| own(holders)) {
            *votes.entry(record).or_default() += 1;
        }
        let most = votes.values().copied().max()?;
        let mut first = votes.iter().filter(|(_, votes)| **votes == most);
        let (record, None) = (*first.next()?.0, first.next()) else { return None };
        let told = found.iter().filter_map(|holders| match holders {
            [(of, state)] if *of == record => Some(*state),
            _ => None,
        });
        Some(Named { record, state: told.max() })
    }

    /// Whether a text at the sink tells this state from every other.
    fn is_told(&self, record: usize, state: usize) -> bool {
        let Some(known) = self.records.get(record).and_then(|known| known.states.get(state)) else { return false };
        known.texts().iter().any(|text| self.texts.get(text).is_some_and(|holders| holders[..] == [(record, state)]))
    }

    /// What the sink gets of the record's state, or of its last one.
    pub fn fields(&self, named: Named) -> Option<&Fields> {
        let states = &self.records.get(named.record)?.states;
        let state = named.state.and_then(|state| states.get(state)).or(states.last())?;
        match &state.expected {
            Expected::Delivered { fields, .. } => Some(fields),
            Expected::Skipped | Expected::Refused => None,
        }
    }

    /// A new record at the sink, whatever is there already.
    pub fn create(&mut self, named: Option<Named>, sent: Value) -> usize {
        let id = format!("sink-{:06}", self.rows.len() + 1);
        self.rows.push(Row { id, named, sent, revision: 1, gone: false });
        self.rows.len() - 1
    }

    /// The record at the sink has another state.
    pub fn change(&mut self, row: usize, named: Option<Named>, sent: Value) {
        let Some(row) = self.rows.get_mut(row) else { return };
        row.named = named.or(row.named.map(|known| Named { state: None, ..known }));
        row.sent = sent;
        row.revision += 1;
    }

    pub fn remove(&mut self, row: usize) {
        if let Some(row) = self.rows.get_mut(row) {
            row.gone = true;
        }
    }

    pub fn row(&self, at: usize) -> Option<&Row> {
        self.rows.get(at)
    }

    /// The rows of a record, oldest first.
    pub fn rows_of(&self, record: usize) -> impl Iterator<Item = usize> {
        let is_its = move |row: &Row| !row.gone && row.named.is_some_and(|named| named.record == record);
        self.rows.iter().enumerate().filter(move |(_, row)| is_its(row)).map(|(at, _)| at)
    }

    /// The row that one of the texts names by its id.
    pub fn row_called(&self, texts: &[String]) -> Option<usize> {
        let holds = |row: &Row| texts.contains(&row.id);
        self.rows.iter().position(|row| !row.gone && holds(row))
    }

    /// Judges all records. `letters` are the codes of the dead letters of each record, by key.
    pub fn account(&self, letters: &HashMap<String, Vec<Code>>) -> Account {
        let mut account = Account { served: self.records.len() as u64, ..Account::default() };
        account.unnamed = self.rows.iter().filter(|row| row.named.is_none()).count() as u64;
        for (record, known) in self.records.iter().enumerate() {
            let rows: Vec<&Row> = self.rows_of(record).filter_map(|at| self.row(at)).collect();
            let codes = letters.get(&known.key).map(Vec::as_slice).unwrap_or_default();
            let doubt = codes.iter().any(|code| code.leaves_doubt());
            account.uncertain += u64::from(doubt);
            if self.is_doubled(known, &rows) {
                account.doubled += 1;
                account.doubled_keys.push(known.key.clone());
            }
            let answered = !codes.is_empty();
            match known.states.last().map(|state| &state.expected) {
                None => {}
                Some(Expected::Skipped) => account.skipped += 1,
                Some(Expected::Delivered { .. }) if self.has_arrived(record, known, &rows) => account.delivered += 1,
                Some(_) if answered => account.refused += u64::from(!doubt),
                Some(_) => {
                    account.lost += 1;
                    account.lost_keys.push(known.key.clone());
                }
            }
        }
        account.lost_keys.truncate(SHOWN_MAX);
        account.doubled_keys.truncate(SHOWN_MAX);
        account
    }

    fn has_arrived(&self, record: usize, known: &Known, rows: &[&Row]) -> bool {
        let last = known.states.len().saturating_sub(1);
        let tells = self.is_told(record, last) && !self.keeping.first_state;
        let is_last = |row: &&Row| row.named.is_some_and(|named| named.state.is_none_or(|state| state == last));
        rows.iter().any(|row| !tells || is_last(row))
    }

    fn is_doubled(&self, known: &Known, rows: &[&Row]) -> bool {
        if !self.keeping.every_state {
            return rows.len() > 1;
        }
        let of = |state: Option<usize>| {
            rows.iter().filter(|row| row.named.is_some_and(|named| named.state == state)).count()
        };
        let most = |state: usize| match self.keeping.every_pass {
            false => 1,
            true => {
                let since = |state: &State| state.since;
                let until = known.states.get(state + 1).map_or(self.passes, since);
                until.saturating_sub(known.states.get(state).map_or(0, since)).max(1)
            }
        };
        let states = 0..known.states.len();
        of(None) > states.clone().map(most).sum() || states.into_iter().any(|state| of(Some(state)) > most(state))
    }
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
