//! Bytes of a charset as UTF-8, piece by piece. The only file that decodes.
//!
//! What is not of the charset becomes [`MARK`], a code point that is never used in interchange, so that whoever takes rows
//! apart can tell which of them it broke. Whether a row or the whole declaration is wrong is told by what comes first beyond
//! ASCII: where not even that can be read, the text is in another charset.

use std::io::{self, Read};

use encoding_rs::{Decoder, DecoderResult};

use crate::config::plan::Charset;

/// Stands where bytes were not of the charset.
pub const MARK: char = '\u{fdd0}';
/// The one cell of the row that is put behind a text whose end must be seen.
pub const END: char = '\u{fdd1}';

const RAW_BYTES: usize = 64 << 10;

pub struct Text {
    from: Box<dyn Read + Send>,
    decoder: Decoder,
    raw: Box<[u8]>,
    is_over: bool,
    /// Bytes that were read, before they were decoded.
    pub came: u64,
    /// Some bytes were not of the charset.
    pub is_marked: bool,
    /// They came before anything else that is beyond ASCII.
    pub is_foreign: bool,
    is_beyond_ascii: bool,
    /// What [`Read`] hands out next.
    ready: String,
    at: usize,
    /// Bytes of text, and whether the last of them is a line break.
    pub bytes: u64,
    is_at_line: bool,
    /// Its first line break has a carriage return.
    pub has_returns: bool,
    is_broken: bool,
    has_end_row: bool,
    /// Bytes handed out since somebody last set this to 0, and how many there may be.
    pub counted: usize,
    counted_max: usize,
}

impl Text {
    pub fn new(from: Box<dyn Read + Send>, charset: Charset) -> Self {
        Self {
            from,
            decoder: charset.decoder(),
            raw: vec![0; RAW_BYTES].into_boxed_slice(),
            is_over: false,
            came: 0,
            is_marked: false,
            is_foreign: false,
            is_beyond_ascii: false,
            ready: String::new(),
            at: 0,
            bytes: 0,
            is_at_line: true,
            has_returns: false,
            is_broken: false,
            has_end_row: false,
            counted: 0,
            counted_max: usize::MAX,
        }
    }

    /// The same for a reader that hands out rows: behind the text comes one more.
    pub fn ended_by_a_row(self) -> Self {
        Self { has_end_row: true, ..self }
    }

    /// The same for a reader that holds what it has read: after as many bytes it is an error.
    pub fn bounded(self, bytes_max: usize) -> Self {
        Self { counted_max: bytes_max, ..self }
    }

    /// Whether a place in what was handed out is behind the text.
    pub fn is_behind(&self, at: u64) -> bool {
        self.is_over && at >= self.bytes
    }

    /// The text is over, and its last line has no line break.
    pub fn is_open(&self) -> bool {
        self.is_over && !self.is_at_line
    }

    /// Appends some more of the text; false when there is none.
    pub fn fill(&mut self, out: &mut String) -> io::Result<bool> {
        if self.is_over {
            return Ok(false);
        }
        let got = loop {
            match self.from.read(&mut self.raw) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                got => break got?,
            }
        };
        self.came += got as u64;
        self.is_over = got == 0;
        let begin = out.len();
        self.decode(got, out);
        self.note(&out.as_bytes()[begin..]);
        Ok(true)
    }

    /// Notes what readers ask about.
    fn note(&mut self, more: &[u8]) {
        self.bytes += more.len() as u64;
        if !self.is_broken
            && let Some(at) = memchr::memchr2(b'\r', b'\n', more)
        {
            (self.is_broken, self.has_returns) = (true, more[at] == b'\r');
        }
        if let Some(last) = more.last() {
            self.is_at_line = *last == b'\n';
        }
    }

    fn decode(&mut self, got: usize, out: &mut String) {
        let mut rest = &self.raw[..got];
        loop {
            let begin = out.len();
            out.reserve(self.decoder.max_utf8_buffer_length_without_replacement(rest.len()).unwrap_or(RAW_BYTES));
            let (result, read) = self.decoder.decode_to_string_without_replacement(rest, out, self.is_over);
            rest = &rest[read..];
            self.is_beyond_ascii |= !self.is_beyond_ascii && !out.as_bytes()[begin..].is_ascii();
            match result {
                DecoderResult::InputEmpty => return,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => {
                    self.is_foreign |= !self.is_beyond_ascii;
                    self.is_marked = true;
                    out.push(MARK);
                }
            }
        }
    }
}

impl Read for Text {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.counted > self.counted_max {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        while self.at == self.ready.len() {
            let mut ready = std::mem::take(&mut self.ready);
            ready.clear();
            self.at = 0;
            let more = self.fill(&mut ready)?;
            if !more && std::mem::take(&mut self.has_end_row) {
                let line_break = if self.is_at_line { "" } else { "\n" };
                ready = format!("{line_break}{END}\n");
            } else if !more {
                return Ok(0);
            }
            self.ready = ready;
        }
        let some = out.len().min(self.ready.len() - self.at);
        out[..some].copy_from_slice(&self.ready.as_bytes()[self.at..self.at + some]);
        self.at += some;
        self.counted += some;
        Ok(some)
    }
}
