//! A batch as rows: each record's fields are found once, matched to the columns learned so far, and written as COPY
//! text. What the table cannot hold yet is noticed on the way.
//!
//! A field that a record does not have is NULL in its row, whatever else is in its batch, because vendors leave out what
//! is empty. Columns that no record of the stream ever had are never touched.

use std::collections::HashMap;

use super::{columns::Column, encode::push_value};
use crate::{
    model::{Code, Reason},
    sink::kinds::{Kind, Kinds},
    store::Item,
};

/// The fields of a stream in the order they were first met, the key's first.
#[derive(Debug, Default)]
pub struct Layout {
    slots: Vec<Slot>,
    index: HashMap<String, usize>,
    key_slots: usize,
}

#[derive(Debug)]
pub struct Slot {
    pub name: String,
    /// Kinds met since the session began.
    pub seen: Kinds,
    /// Kinds that need no look at the table.
    fits: Kinds,
    /// Position among the columns that are written.
    column: Option<usize>,
    is_json: bool,
}

/// Where each record's values stand in its text.
#[derive(Debug)]
pub struct Rows<'b> {
    values: Vec<(usize, &'b str)>,
    /// Where the values of each item end.
    ends: Vec<usize>,
    /// Something in here needs the table to change, or at least to be looked at.
    pub is_new: bool,
}

/// COPY text of the records that can be sent.
#[derive(Debug, Default)]
pub struct Encoded {
    pub text: Vec<u8>,
    /// The item of each line, and where the line ends.
    pub lines: Vec<(usize, usize)>,
    pub rejected: Vec<(usize, Reason)>,
}

impl Layout {
    /// Begins with the key and the fields that the stream is known to have.
    pub fn new(key: &[String], known: &[String]) -> Self {
        let mut layout = Self { key_slots: key.len(), ..Self::default() };
        for name in key.iter().chain(known) {
            layout.slot(name);
        }
        layout
    }

    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Fields that have a column, the key's first.
    pub fn written(&self) -> Vec<String> {
        self.slots.iter().filter(|slot| slot.column.is_some()).map(|slot| slot.name.clone()).collect()
    }

    /// Matches every field to its column. Returns the columns that are written, in the order of the fields.
    pub fn settle(&mut self, columns: &[Column]) -> Vec<Column> {
        let mut written = Vec::new();
        for slot in &mut self.slots {
            let column = columns.iter().find(|column| column.name == slot.name && !column.is_generated);
            slot.column = column.map(|_| written.len());
            slot.is_json = column.is_some_and(Column::is_json);
            slot.fits = column.map_or(Kinds::of(&[Kind::Null]), Column::holds);
            written.extend(column.cloned());
        }
        written
    }

    /// Finds the values of all records.
    pub fn read<'b>(&mut self, items: &'b [Item]) -> Rows<'b> {
        let mut rows = Rows { values: Vec::new(), ends: Vec::with_capacity(items.len()), is_new: false };
        for item in items {
            // Records of one stream mostly have the same fields in the same order: guess before looking up.
            let mut guess = 0;
            for (name, raw) in item.fields.entries() {
                let number = match self.slots.get(guess) {
                    Some(slot) if slot.name == name => guess,
                    _ => self.slot(&name),
                };
                guess = number + 1;
                let kind = Kind::of(raw.get());
                let slot = &mut self.slots[number];
                if !slot.fits.has(kind) {
                    slot.seen.insert(kind);
                    rows.is_new = true;
                }
                rows.values.push((number, raw.get()));
            }
            rows.ends.push(rows.values.len());
        }
        rows
    }

    /// Writes the records as lines of `item number, columns..`.
    pub fn encode(&self, rows: &Rows<'_>) -> Encoded {
        let mut encoded = Encoded::default();
        let width = self.slots.iter().filter(|slot| slot.column.is_some()).count();
        let mut row: Vec<(&str, bool)> = Vec::with_capacity(width);
        let mut start = 0;
        for (item, &end) in rows.ends.iter().enumerate() {
            row.clear();
            row.resize(width, ("null", false));
            for &(number, raw) in &rows.values[start..end] {
                if let Some(column) = self.slots[number].column {
                    row[column] = (raw, self.slots[number].is_json);
                }
            }
            start = end;
            self.push_line(item, &row, &mut encoded);
        }
        encoded
    }

    fn push_line(&self, item: usize, row: &[(&str, bool)], encoded: &mut Encoded) {
        if let Some(slot) = self.slots[..self.key_slots].iter().find(|slot| is_absent(slot, row)) {
            let message = format!("the key field \"{}\" is missing or null", slot.name);
            encoded.rejected.push((item, Reason::new(Code::MissingSinkKey, message)));
            return;
        }
        let before = encoded.text.len();
        push_number(&mut encoded.text, item);
        for (column, (raw, is_json)) in row.iter().enumerate() {
            encoded.text.push(b'\t');
            if push_value(&mut encoded.text, raw, *is_json).is_err() {
                encoded.text.truncate(before);
                let name = self.slots.iter().find(|slot| slot.column == Some(column)).map_or("", |slot| &slot.name);
                let message = format!("column \"{name}\": a text holds a character that PostgreSQL cannot store");
                encoded.rejected.push((item, Reason::new(Code::ValueRefused, message)));
                return;
            }
        }
        encoded.text.push(b'\n');
        encoded.lines.push((item, encoded.text.len()));
    }

    fn slot(&mut self, name: &str) -> usize {
        if let Some(number) = self.index.get(name) {
            return *number;
        }
        let number = self.slots.len();
        self.index.insert(name.to_owned(), number);
        self.slots.push(Slot {
            name: name.to_owned(),
            seen: Kinds::default(),
            fits: Kinds::default(),
            column: None,
            is_json: false,
        });
        number
    }
}

fn is_absent(slot: &Slot, row: &[(&str, bool)]) -> bool {
    slot.column.is_none_or(|column| row[column].0 == "null")
}

fn push_number(out: &mut Vec<u8>, number: usize) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

impl Encoded {
    /// Where the text of some lines stands.
    pub fn range(&self, lines: &std::ops::Range<usize>) -> std::ops::Range<usize> {
        let end_of = |line: usize| if line == 0 { 0 } else { self.lines[line - 1].1 };
        end_of(lines.start)..end_of(lines.end)
    }
}
