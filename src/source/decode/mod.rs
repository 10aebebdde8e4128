//! From the bytes of an answer to pieces of records, whatever it is written in: unpacked, put into UTF-8, and taken apart.
//!
//! ```text
//!   packed  files of text        gzip, zip
//!   text    UTF-8, piece by piece
//!   list    lines    table       JSON objects: one record each
//!       draft                    a JSON list of some records, which slice.rs cuts like any page
//! ```
//!
//! The hard idea is that nothing is ever held whole: a piece ends at a count of records or bytes, and the next one goes on
//! behind it. A row that cannot be read becomes a broken record of its piece, with the number of its line, and the rows
//! behind it go on; what makes all rows doubtful is one error.

mod draft;
mod lines;
mod list;
mod packed;
mod table;
mod text;
mod trouble;

use std::{fs::File, sync::Arc};

use bytes::Bytes;

pub use draft::{Most, Piece};
pub use trouble::Trouble;

use self::{draft::Draft, lines::Lines, list::List, packed::Files, table::Rows, text::Text};
use crate::{
    config::plan::{Decode, Format},
    model::Path,
};

/// Where an answer's bytes are.
#[derive(Clone, Debug)]
pub enum Body {
    Memory(Bytes),
    File(Arc<File>),
}

/// What one file of an answer has left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Left {
    More,
    Nothing,
}

/// The records of one answer, in its order.
pub struct Records {
    decode: Decode,
    /// Where the list of records stands; only in JSON.
    path: Path,
    /// Broken rows are not shown: they may hold personal fields.
    conceals: bool,
    files: Files,
    file: Option<OneFile>,
    /// What stands around the records.
    frame: String,
    handed: u64,
    /// Bytes that came out of the file before.
    came: u64,
}

enum OneFile {
    List(List),
    Lines(Lines),
    Table(Box<Rows>),
}

impl OneFile {
    fn came(&self) -> u64 {
        match self {
            Self::List(list) => list.came(),
            Self::Lines(lines) => lines.came(),
            Self::Table(rows) => rows.came(),
        }
    }
}

impl Records {
    /// Opens an answer at its first record. It may unpack to `bytes_max` at the most.
    pub fn open(body: Body, decode: &Decode, path: &Path, bytes_max: u64, conceals: bool) -> Result<Self, Trouble> {
        let files = Files::open(body, decode.packed, bytes_max)?;
        let (decode, path, frame) = (decode.clone(), path.clone(), "[]".to_owned());
        Ok(Self { decode, path, conceals, files, file: None, frame, handed: 0, came: 0 })
    }

    /// How many records were handed out.
    pub fn handed(&self) -> u64 {
        self.handed
    }

    /// The next records; the one that reaches `most` is the last of them.
    pub fn next(&mut self, most: Most) -> Result<Piece, Trouble> {
        let mut draft = Draft::new(most, self.conceals);
        loop {
            let Some(file) = &mut self.file else {
                match self.files.next(self.came)? {
                    Some(reader) => self.file = Some(self.begin(Text::new(reader, self.decode.charset))),
                    None => {
                        self.handed += draft.records();
                        return Ok(draft.piece(Some(self.frame.clone())));
                    }
                }
                continue;
            };
            let left = match file {
                OneFile::List(list) => list.take(&mut draft)?,
                OneFile::Lines(lines) => lines.take(&mut draft)?,
                OneFile::Table(rows) => rows.take(&mut draft)?,
            };
            if left == Left::More {
                self.handed += draft.records();
                return Ok(draft.piece(None));
            }
            self.came = file.came();
            if let Some(OneFile::List(list)) = self.file.take() {
                self.frame = list.into_frame();
            }
        }
    }

    /// Goes on behind the first `records`; false where there are not as many.
    pub fn skip_to(&mut self, records: u64) -> Result<bool, Trouble> {
        while self.handed < records {
            let most = Most { records: (records - self.handed).min(Most::PIECE.records), ..Most::PIECE };
            if self.next(most)?.frame.is_some() {
                return Ok(self.handed == records);
            }
        }
        Ok(true)
    }

    fn begin(&self, text: Text) -> OneFile {
        match &self.decode.format {
            Format::Json => OneFile::List(List::new(text, self.path.clone())),
            Format::JsonLines => OneFile::Lines(Lines::new(text)),
            Format::Csv(table) => OneFile::Table(Box::new(Rows::new(text, table))),
        }
    }
}

#[cfg(test)]
mod tests;
