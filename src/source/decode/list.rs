//! A JSON answer of any length: finds its list of records, hands them out as they come, and keeps what is around them.

use super::{
    Left, Trouble,
    draft::Draft,
    text::Text,
    trouble::{FRAME_BYTES_MAX, RECORD_BYTES_MAX},
};
use crate::{
    model::{Path, Step},
    source::json::{Bad, Malformed, Walker},
};

pub struct List {
    text: Text,
    path: Path,
    window: String,
    /// Everything before is done with.
    at: usize,
    /// Bytes of the text that have left the window.
    passed: u64,
    stage: Stage,
    frame: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The list has not begun.
    Before,
    /// A record, or the end of an empty list.
    First,
    /// Behind a comma.
    Record,
}

/// What the next step over the list found.
enum Found {
    /// A record up to here; the list ends behind it, or does not.
    Record { begin: usize, end: usize, next: usize, is_last: bool },
    /// The end of an empty list.
    End(usize),
}

impl List {
    pub fn new(text: Text, path: Path) -> Self {
        let (window, frame) = (String::new(), String::new());
        Self { text, path, window, at: 0, passed: 0, stage: Stage::Before, frame }
    }

    /// How many bytes of text were read.
    pub fn came(&self) -> u64 {
        self.text.came
    }

    /// The answer with an empty list in place of its records; or the whole answer, where it has no list there.
    pub fn into_frame(self) -> String {
        self.frame
    }

    pub fn take(&mut self, draft: &mut Draft) -> Result<Left, Trouble> {
        if self.stage == Stage::Before && !self.find()? {
            return Ok(Left::Nothing);
        }
        while !draft.is_full() {
            let found = match self.step() {
                Ok(found) => found,
                Err(Malformed { ended: true, .. }) if self.more()? => continue,
                Err(Malformed { at, ended }) => {
                    return Err(Trouble::Json { at: self.passed + (self.at + at) as u64, ended });
                }
            };
            match found {
                Found::Record { begin, end, next, is_last } => {
                    draft.record().extend_from_slice(&self.window.as_bytes()[begin..end]);
                    (self.at, self.stage) = (next, Stage::Record);
                    if !is_last {
                        continue;
                    }
                }
                Found::End(next) => self.at = next,
            }
            return self.rest().map(|()| Left::Nothing);
        }
        Ok(Left::More)
    }

    /// Goes to the list's first record. False: there is no list, and the whole answer is the frame.
    fn find(&mut self) -> Result<bool, Trouble> {
        loop {
            if let Some(begin) = begin(&self.window, self.path.steps()) {
                self.frame = format!("{}[", &self.window[..begin]);
                (self.at, self.stage) = (begin + 1, Stage::First);
                return Ok(true);
            }
            if self.window.len() > FRAME_BYTES_MAX {
                return Err(Trouble::Overlong("what stands before the answer's records"));
            }
            if !self.fill()? {
                self.frame = std::mem::take(&mut self.window);
                return Ok(false);
            }
        }
    }

    /// A record counts only with what follows it: a number at the window's end may go on.
    fn step(&self) -> Result<Found, Malformed> {
        let mut walker = Walker::new(&self.window[self.at..]);
        let found = self.over(&mut walker);
        found.map_err(|Bad| walker.malformed())
    }

    fn over(&self, walker: &mut Walker<'_>) -> Result<Found, Bad> {
        if walker.peek()? == b']' && self.stage == Stage::First {
            return Ok(Found::End(self.at + walker.at() + 1));
        }
        let range = walker.value()?;
        let is_last = match walker.peek()? {
            b',' => false,
            b']' => true,
            _ => return Err(Bad),
        };
        let (begin, end, next) = (self.at + range.start, self.at + range.end, self.at + walker.at() + 1);
        Ok(Found::Record { begin, end, next, is_last })
    }

    /// Makes room, and reads on; false at the answer's end.
    fn more(&mut self) -> Result<bool, Trouble> {
        self.window.drain(..self.at);
        self.passed += self.at as u64;
        self.at = 0;
        if self.window.len() > RECORD_BYTES_MAX {
            return Err(Trouble::Overlong("a record of the answer"));
        }
        // A long record is walked again with each filling, so the fillings grow with it.
        let goal = self.window.len();
        while self.fill()? {
            if self.window.len() >= 2 * goal {
                return Ok(true);
            }
        }
        Ok(self.window.len() > goal)
    }

    /// Reads what stands behind the list.
    fn rest(&mut self) -> Result<(), Trouble> {
        self.frame.push(']');
        loop {
            self.frame.push_str(&self.window[self.at..]);
            if self.frame.len() > FRAME_BYTES_MAX {
                return Err(Trouble::Overlong("what stands around the answer's records"));
            }
            self.window.clear();
            self.at = 0;
            if !self.fill()? {
                return self.check_frame();
            }
        }
    }

    /// What stands around the records is JSON, too. What stands behind them ends with the text.
    fn check_frame(&self) -> Result<(), Trouble> {
        let mut walker = Walker::new(&self.frame);
        let walked = walker.skip().and_then(|()| walker.end());
        walked.map_err(|Bad| {
            let Malformed { at, ended } = walker.malformed();
            Trouble::Json { at: self.text.bytes.saturating_sub((self.frame.len() - at) as u64), ended }
        })
    }

    fn fill(&mut self) -> Result<bool, Trouble> {
        let more = self.text.fill(&mut self.window)?;
        if self.text.is_marked { Err(Trouble::Charset { line: None }) } else { Ok(more) }
    }
}

/// Where the list begins, as far as the text goes.
fn begin(text: &str, steps: &[Step]) -> Option<usize> {
    let mut found = None;
    // The walk is broken off where the list begins, and where the text ends.
    let _ = descend(&mut Walker::new(text), text, steps, &mut found);
    found
}

fn descend(walker: &mut Walker<'_>, text: &str, steps: &[Step], found: &mut Option<usize>) -> Result<(), Bad> {
    match (steps.split_first(), walker.peek()?) {
        (None, b'[') => {
            *found = Some(walker.at());
            Err(Bad)
        }
        (Some((Step::Field(name), rest)), b'{') => {
            walker.object(
                |walker, written| {
                    if written.is(text, name) { descend(walker, text, rest, found) } else { walker.skip() }
                },
            )
        }
        (Some((Step::Item(wanted), rest)), b'[') => {
            let mut index = 0;
            walker.list(|walker| {
                index += 1;
                if index - 1 == *wanted { descend(walker, text, rest, found) } else { walker.skip() }
            })
        }
        _ => walker.skip(),
    }
}
