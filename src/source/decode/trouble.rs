//! What can be wrong with an answer as a whole, and what it is called.

use std::io;

use crate::model::{Blame, Code, Disposition, Fault};

/// Longer records are refused: they would not fit into memory with others.
pub const RECORD_BYTES_MAX: usize = 8 << 20;
/// As much may stand around the records of a JSON answer.
pub const FRAME_BYTES_MAX: usize = 1 << 20;

#[derive(Debug)]
pub enum Trouble {
    /// What was unpacked is no such file, or is damaged.
    Packed(String),
    /// It unpacks to more than it may.
    TooLarge,
    /// The bytes are not of the declared charset, in rows from this line on.
    Charset { line: Option<u64> },
    /// The text is no JSON at this byte, or lacks its end there.
    Json { at: u64, ended: bool },
    /// One record, or what is around all of them, is larger than it may be.
    Overlong(&'static str),
    /// The columns cannot be told.
    Columns(String),
    /// A cell of this line has no closing quote.
    OpenQuote { line: u64 },
    /// The last row ends before its last cell, and without a line break.
    CutRow { line: u64, cells: usize, columns: usize },
    /// The last line ends inside of its JSON, and without a line break.
    CutLine { line: u64 },
    /// The file we keep the answer in.
    Disk(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::FileTooLarge => Self::TooLarge,
            io::ErrorKind::UnexpectedEof => Self::Packed("it ends early".to_owned()),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => Self::Packed(error.to_string()),
            _ => Self::Disk(error),
        }
    }
}

const SAFE: &str = "No record behind this place was taken over, and the cursor did not move past it.";

impl Trouble {
    /// `charset` is the declared one.
    pub fn fault(self, charset: &str) -> Fault {
        match self {
            Self::Packed(why) => {
                let message = format!("the packed answer cannot be unpacked: {why}");
                again(Code::Unpacking, message, "compare `compressed:` of the stream with what the API sends")
            }
            Self::TooLarge => {
                let message = "the answer unpacks to more than it may".to_owned();
                Fault::halt(Code::UnpackedTooLarge, Blame::Config, message).help(format!(
                    "{SAFE} If it is that large, declare `large:` with a higher `bytes_max`; if it should not be, somebody \
                     sent a file that is made to fill disks."
                ))
            }
            Self::Charset { line } => {
                let place = line.map(|line| format!("line {line} of ")).unwrap_or_default();
                let message = format!("{place}the answer is not in {charset}");
                Fault::halt(Code::WrongCharset, Blame::Config, message)
                    .help(format!("{SAFE} Declare what it is in, such as `decode: {{ charset: shift_jis }}` of the stream."))
            }
            Self::Json { at, ended: true } => {
                again(Code::Truncated, format!("the answer's JSON ends early, after {at} bytes"), CUT_OFF)
            }
            Self::Json { at, ended: false } => {
                again(Code::NotJson, format!("the answer is no JSON from byte {at} on"), "look at what the API sends there")
            }
            Self::OpenQuote { line } => {
                let message = format!("the answer's CSV ends inside of a quoted cell that begins in line {line}");
                again(Code::Truncated, message, "compare `quote:` of the stream with what the API sends")
            }
            Self::CutRow { line, cells, columns } => {
                let message = format!("the answer's CSV ends in line {line}, after {cells} of {columns} cells");
                again(Code::Truncated, message, CUT_OFF)
            }
            Self::CutLine { line } => {
                again(Code::Truncated, format!("the answer's JSON ends early, in line {line}"), CUT_OFF)
            }
            Self::Overlong(what) => {
                Fault::halt(Code::BodyTooLarge, Blame::Remote, format!("{what} is larger than it may be")).help(format!(
                    "{SAFE} A record may have 8 MiB, and 1 MiB may stand around all of them. Check `records:` or the quotes."
                ))
            }
            Self::Columns(why) => Fault::halt(Code::NoColumns, Blame::Remote, why).help(format!(
                "{SAFE} Name the columns yourself with `columns:` where the first row is a record, or have the API name each once."
            )),
            Self::Disk(error) => {
                let message = format!("the kept answer cannot be read: {error}");
                let help = format!("{SAFE} Run again; the answer is asked for once more.");
                Fault::halt(Code::AnswerFile, Blame::Host, message).help(help)
            }
        }
    }
}

const CUT_OFF: &str = "something between here and the API cuts answers off";

/// A fault of an answer that may be a better one the next time.
fn again(code: Code, message: String, else_: &str) -> Fault {
    Fault::halt(code, Blame::Remote, message)
        .with(Disposition::Retry { after: None })
        .help(format!("{SAFE} Run again. If it stays so, {else_}."))
}
