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
    /// The bytes are not of the declared charset.
    Charset,
    /// The text is no JSON at this byte, or lacks its end there.
    Json { at: u64, ended: bool },
    /// One record, or what is around all of them, is larger than it may be.
    Overlong(&'static str),
    /// The columns cannot be told.
    Columns(String),
    /// The last cell has no closing quote.
    OpenQuote,
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
        let remote = |code, message: String| Fault::halt(code, Blame::Remote, message);
        let again = Disposition::Retry { after: None };
        match self {
            Self::Packed(why) => remote(Code::Unpacking, format!("the packed answer cannot be unpacked: {why}"))
                .with(again)
                .help(format!("{SAFE} Run again; if it stays so, compare `compressed:` of the stream with what the API sends.")),
            Self::TooLarge => {
                let message = "the answer unpacks to more than it may".to_owned();
                Fault::halt(Code::UnpackedTooLarge, Blame::Config, message).help(format!(
                    "{SAFE} If it is that large, declare `large:` with a higher `bytes_max`; if it should not be, somebody \
                     sent a file that is made to fill disks."
                ))
            }
            Self::Charset => {
                let message = format!("the answer is not in {charset}");
                Fault::halt(Code::WrongCharset, Blame::Config, message)
                    .help(format!("{SAFE} Declare what it is in as `decode: {{ charset: .. }}` of the stream."))
            }
            Self::Json { at, ended: true } => remote(Code::Truncated, format!("the answer's JSON ends early, after {at} bytes"))
                .with(again)
                .help(format!("{SAFE} Run again. If it stays so, something between here and the API cuts answers off.")),
            Self::Json { at, ended: false } => remote(Code::NotJson, format!("the answer is no JSON from byte {at} on"))
                .with(again)
                .help(format!("{SAFE} Run again. If it stays so, look at what the API sends there.")),
            Self::OpenQuote => remote(Code::Truncated, "the answer's CSV ends inside of a quoted cell".to_owned())
                .with(again)
                .help(format!("{SAFE} Run again. If it stays so, compare `quote:` of the stream with what the API sends.")),
            Self::Overlong(what) => remote(Code::BodyTooLarge, format!("{what} is larger than it may be"))
                .help(format!("{SAFE} A record may have 8 MiB, and 1 MiB may stand around all of them. Check `records:` or the quotes.")),
            Self::Columns(why) => remote(Code::NoColumns, why).help(format!(
                "{SAFE} Name the columns yourself with `columns:` where the first row is a record, or have the API name each once."
            )),
            Self::Disk(error) => Fault::halt(Code::AnswerFile, Blame::Host, format!("the kept answer cannot be read: {error}"))
                .help(format!("{SAFE} Run again; the answer is asked for once more.")),
        }
    }
}
