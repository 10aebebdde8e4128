//! CSV: each row an object of texts. The only file that knows the CSV reader.
//!
//! The reader takes whatever it finds for rows, and an answer that ends inside of a quoted cell for a whole one. So a row
//! of our own is put behind the text: it comes out alone, or the text did not end where a row ends.

use std::collections::BTreeSet;

use csv::{ReaderBuilder, StringRecord};
use serde_json::Value;

use super::{
    Left, Trouble,
    draft::Draft,
    text::{END, MARK, Text},
    trouble::RECORD_BYTES_MAX,
};
use crate::config::plan::{EmptyCell, Table};

/// Cells in one row before it is an error.
const COLUMNS_MAX: usize = 10_000;

pub struct Rows {
    reader: csv::Reader<Text>,
    /// The columns' names, each as JSON.
    columns: Vec<String>,
    empty: EmptyCell,
    row: StringRecord,
    is_begun: bool,
}

impl Rows {
    pub fn new(text: Text, table: &Table) -> Self {
        let text = text.ended_by_a_row().bounded(RECORD_BYTES_MAX);
        let mut builder = ReaderBuilder::new();
        builder.has_headers(false).flexible(true).delimiter(table.separator).quote(table.quote);
        let columns = table.columns.iter().flatten().map(|name| json(name)).collect();
        let is_begun = table.columns.is_some();
        Self { reader: builder.from_reader(text), columns, empty: table.empty, row: StringRecord::new(), is_begun }
    }

    /// How many bytes of text were read.
    pub fn came(&self) -> u64 {
        self.reader.get_ref().came
    }

    pub fn take(&mut self, draft: &mut Draft) -> Result<Left, Trouble> {
        if !self.is_begun {
            if !self.next()? {
                return Ok(Left::Nothing);
            }
            self.columns = self.names()?;
            self.is_begun = true;
        }
        while !draft.is_full() {
            if !self.next()? {
                return Ok(Left::Nothing);
            }
            self.one(draft)?;
        }
        Ok(Left::More)
    }

    /// Goes to the next row; false at the end of the text.
    fn next(&mut self) -> Result<bool, Trouble> {
        self.reader.get_mut().counted = 0;
        let is_row = self.reader.read_record(&mut self.row).map_err(|error| match error.into_kind() {
            csv::ErrorKind::Io(error) if error.kind() == std::io::ErrorKind::QuotaExceeded => {
                Trouble::Overlong("a row of the answer")
            }
            csv::ErrorKind::Io(error) => Trouble::from(error),
            _ => Trouble::Disk(std::io::Error::other("the CSV reader failed")),
        })?;
        if !is_row {
            return Ok(false);
        }
        if !self.reader.get_ref().is_behind(self.reader.position().byte()) {
            return Ok(true);
        }
        let holds_end = self.row.iter().next_back().is_some_and(|cell| cell.contains(END));
        match self.row.len() == 1 && self.row[0].chars().eq([END]) {
            true => Ok(false),
            false if holds_end => Err(Trouble::OpenQuote { line: self.line_of(false) }),
            false => Ok(true),
        }
    }

    /// The line in which the row begins. The reader counts a line when it is past its line feed, which is not yet so behind a
    /// row that ends with a carriage return.
    fn line(&self) -> u64 {
        self.line_of(!self.reader.get_ref().has_returns)
    }

    /// The same, where it is known whether the reader is past the row's own line feed.
    fn line_of(&self, is_past: bool) -> u64 {
        let inside =
            self.row.iter().map(|cell| memchr::memchr_iter(b'\n', cell.as_bytes()).count() as u64).sum::<u64>();
        self.reader.position().line().saturating_sub(inside + u64::from(is_past))
    }

    /// The row is the text's last one, and has no line break.
    fn is_open(&self) -> bool {
        let text = self.reader.get_ref();
        text.is_open() && text.is_behind(self.reader.position().byte())
    }

    /// The columns as the first row names them.
    fn names(&self) -> Result<Vec<String>, Trouble> {
        if self.row.iter().any(|cell| cell.contains(MARK)) {
            return Err(Trouble::Charset { line: Some(self.line()) });
        }
        if self.row.len() > COLUMNS_MAX {
            return Err(Trouble::Columns(format!("the first row names more than {COLUMNS_MAX} columns")));
        }
        let mut seen = BTreeSet::new();
        for (at, name) in self.row.iter().enumerate() {
            if name.trim().is_empty() {
                return Err(Trouble::Columns(format!("the first row gives column {} no name", at + 1)));
            }
            if !seen.insert(name) {
                return Err(Trouble::Columns(format!("the first row names two columns `{}`", name.escape_debug())));
            }
        }
        Ok(self.row.iter().map(json).collect())
    }

    fn one(&self, draft: &mut Draft) -> Result<(), Trouble> {
        let (line, cells, columns) = (self.line(), self.row.len(), self.columns.len());
        let shown = || Value::from(self.row.iter().map(str::to_owned).collect::<Vec<_>>());
        let text = self.reader.get_ref();
        if text.is_marked && self.row.iter().any(|cell| cell.contains(MARK)) {
            if text.is_foreign {
                return Err(Trouble::Charset { line: Some(line) });
            }
            draft.broken(line, "has bytes that are not of the declared charset", shown);
        } else if cells != columns {
            if cells < columns && self.is_open() {
                return Err(Trouble::CutRow { line, cells, columns });
            }
            draft.broken(line, &format!("has {cells} cells where there are {columns} columns"), shown);
        } else {
            self.write(draft.record());
        }
        Ok(())
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        let begin = out.len();
        for (name, cell) in self.columns.iter().zip(self.row.iter()) {
            if cell.is_empty() && self.empty == EmptyCell::Absent {
                continue;
            }
            if out.len() > begin {
                out.push(b',');
            }
            out.extend_from_slice(name.as_bytes());
            out.push(b':');
            match (cell.is_empty(), self.empty) {
                (true, EmptyCell::Null) => out.extend_from_slice(b"null"),
                _ => out.extend_from_slice(json(cell).as_bytes()),
            }
        }
        out.push(b'}');
    }
}

fn json(text: &str) -> String {
    Value::from(text).to_string()
}
