//! JSON Lines: one value in each line. Empty lines are nothing.

use serde_json::json;

use super::{
    Left, Trouble,
    draft::Draft,
    text::{MARK, Text},
    trouble::RECORD_BYTES_MAX,
};
use crate::source::json::{Malformed, Walker};

pub struct Lines {
    text: Text,
    window: String,
    at: usize,
    /// Up to here no line ends.
    searched: usize,
    line: u64,
}

impl Lines {
    pub fn new(text: Text) -> Self {
        Self { text, window: String::new(), at: 0, searched: 0, line: 0 }
    }

    /// How many bytes of text were read.
    pub fn came(&self) -> u64 {
        self.text.came
    }

    pub fn take(&mut self, draft: &mut Draft) -> Result<Left, Trouble> {
        while !draft.is_full() {
            let end = memchr::memchr(b'\n', &self.window.as_bytes()[self.searched..]).map(|at| self.searched + at);
            match end {
                Some(end) => self.one(end, true, draft)?,
                None if self.more()? => {}
                None => {
                    self.one(self.window.len(), false, draft)?;
                    return Ok(Left::Nothing);
                }
            }
        }
        Ok(Left::More)
    }

    fn more(&mut self) -> Result<bool, Trouble> {
        self.window.drain(..self.at);
        (self.at, self.searched) = (0, self.window.len());
        if self.window.len() > RECORD_BYTES_MAX {
            return Err(Trouble::Overlong("a line of the answer"));
        }
        Ok(self.text.fill(&mut self.window)?)
    }

    /// Takes the line up to `end`.
    fn one(&mut self, end: usize, is_ended: bool, draft: &mut Draft) -> Result<(), Trouble> {
        let line = self.window[self.at..end].trim_ascii();
        self.line += 1;
        let mut walker = Walker::new(line);
        if line.is_empty() {
        } else if self.text.is_marked && line.contains(MARK) {
            if self.text.is_foreign {
                return Err(Trouble::Charset { line: Some(self.line) });
            }
            draft.broken(self.line, "has bytes that are not of the declared charset", || json!(line));
        } else if walker.skip().and_then(|()| walker.end()).is_ok() {
            draft.record().extend_from_slice(line.as_bytes());
        } else {
            let Malformed { at, ended } = walker.malformed();
            if ended && !is_ended {
                return Err(Trouble::CutLine { line: self.line });
            }
            draft.broken(self.line, &format!("is no JSON from its byte {at} on"), || json!(line));
        }
        self.at = (end + 1).min(self.window.len());
        self.searched = self.at;
        Ok(())
    }
}
