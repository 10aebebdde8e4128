//! Bytes of a charset as UTF-8, piece by piece. The only file that decodes.
//!
//! What is not of the charset becomes [`MARK`], a code point that is never used in interchange, so that whoever takes rows
//! apart can tell which of them it broke.

use std::io::{self, Read};

use encoding_rs::{Decoder, DecoderResult};

use crate::config::plan::Charset;

/// Stands where bytes were not of the charset.
pub const MARK: char = '\u{fdd0}';

const RAW_BYTES: usize = 64 << 10;

pub struct Text {
    from: Box<dyn Read + Send>,
    decoder: Decoder,
    raw: Box<[u8]>,
    is_over: bool,
    /// Some bytes were not of the charset.
    pub is_marked: bool,
    /// What [`Read`] hands out next.
    ready: String,
    at: usize,
    pub counted: Counted,
}

/// What is counted for a reader that knows neither rows nor bounds.
#[derive(Debug)]
pub struct Counted {
    pub quote: u8,
    pub quotes: u64,
    /// Bytes since somebody last set this to 0, and how many there may be.
    pub bytes: usize,
    pub bytes_max: usize,
}

impl Text {
    pub fn new(from: Box<dyn Read + Send>, charset: Charset) -> Self {
        let counted = Counted { quote: b'"', quotes: 0, bytes: 0, bytes_max: usize::MAX };
        let raw = vec![0; RAW_BYTES].into_boxed_slice();
        let decoder = charset.decoder();
        Self { from, decoder, raw, is_over: false, is_marked: false, ready: String::new(), at: 0, counted }
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
        self.is_over = got == 0;
        let mut rest = &self.raw[..got];
        loop {
            out.reserve(self.decoder.max_utf8_buffer_length_without_replacement(rest.len()).unwrap_or(RAW_BYTES));
            let (result, read) = self.decoder.decode_to_string_without_replacement(rest, out, self.is_over);
            rest = &rest[read..];
            match result {
                DecoderResult::InputEmpty => return Ok(true),
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => {
                    out.push(MARK);
                    self.is_marked = true;
                }
            }
        }
    }
}

impl Read for Text {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.counted.bytes > self.counted.bytes_max {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        while self.at == self.ready.len() {
            let mut ready = std::mem::take(&mut self.ready);
            ready.clear();
            self.at = 0;
            let more = self.fill(&mut ready)?;
            self.counted.quotes += memchr::memchr_iter(self.counted.quote, ready.as_bytes()).count() as u64;
            self.ready = ready;
            if !more {
                return Ok(0);
            }
        }
        let some = out.len().min(self.ready.len() - self.at);
        out[..some].copy_from_slice(&self.ready.as_bytes()[self.at..self.at + some]);
        self.at += some;
        self.counted.bytes += some;
        Ok(some)
    }
}
