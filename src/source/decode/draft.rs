//! A piece in the making: a JSON list that grows record by record.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::model::{Code, Reason};

/// How much a piece holds. It is ended by the record that reaches one of the two.
#[derive(Clone, Copy, Debug)]
pub struct Most {
    pub records: u64,
    pub bytes: usize,
}

impl Most {
    /// A page of a large answer.
    pub const PIECE: Self = Self { records: 1_000, bytes: 1 << 20 };
}

/// Some records of an answer.
#[derive(Debug)]
pub struct Piece {
    /// A JSON list.
    pub text: Bytes,
    /// Places in the list that hold no record, and why.
    pub broken: Vec<(usize, Reason)>,
    /// What stands around the records, with an empty list for them. Only at the answer's end.
    pub frame: Option<String>,
}

pub struct Draft {
    most: Most,
    conceals: bool,
    text: Vec<u8>,
    records: u64,
    broken: Vec<(usize, Reason)>,
}

impl Draft {
    pub fn new(most: Most, conceals: bool) -> Self {
        Self { most, conceals, text: vec![b'['], records: 0, broken: Vec::new() }
    }

    pub fn records(&self) -> u64 {
        self.records
    }

    pub fn is_full(&self) -> bool {
        self.records >= self.most.records || self.text.len() >= self.most.bytes
    }

    /// The place where the next record's JSON is to be appended.
    pub fn record(&mut self) -> &mut Vec<u8> {
        if self.records > 0 {
            self.text.push(b',');
        }
        self.records += 1;
        &mut self.text
    }

    /// A row that is no record. `shown` is what stands there, unless that must not be shown.
    pub fn broken(&mut self, line: u64, why: &str, shown: impl FnOnce() -> Value) {
        let place = self.records as usize;
        self.broken.push((place, Reason::new(Code::BadRow, format!("line {line} of the answer {why}"))));
        let row = if self.conceals { json!({ "line": line }) } else { json!({ "line": line, "row": shown() }) };
        self.record().extend_from_slice(row.to_string().as_bytes());
    }

    pub fn piece(mut self, frame: Option<String>) -> Piece {
        self.text.push(b']');
        Piece { text: self.text.into(), broken: self.broken, frame }
    }
}
