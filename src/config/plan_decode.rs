//! How the answers of a stream are written.

use std::{sync::Arc, time::Duration};

use super::plan::Export;

/// How the answers of a stream are written, and how large they may be.
#[derive(Clone, Default, Debug)]
pub struct Form {
    /// Nothing: JSON in UTF-8, not packed.
    pub decode: Option<Decode>,
    /// Nothing: an answer fits into memory.
    pub large: Option<Large>,
    /// Its request makes a job, and what is said of answers is said of the job's files.
    pub export: Option<Arc<Export>>,
}

/// What makes text of a body, and records of text.
#[derive(Clone, Debug)]
pub struct Decode {
    pub format: Format,
    pub charset: Charset,
    pub packed: Packed,
}

impl Decode {
    /// JSON in UTF-8, not packed.
    pub const PLAIN: Self = Self { format: Format::Json, charset: Charset::UTF_8, packed: Packed::No };
}

#[derive(Clone, Debug)]
pub enum Format {
    Json,
    JsonLines,
    Csv(Table),
}

#[derive(Clone, Debug)]
pub struct Table {
    /// Nothing: the first row names them.
    pub columns: Option<Vec<String>>,
    pub separator: u8,
    pub quote: u8,
    pub empty: EmptyCell,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EmptyCell {
    Null,
    Absent,
    Text,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Packed {
    No,
    Gzip,
    Zip,
}

/// A charset of the WHATWG Encoding Standard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Charset(pub(super) &'static encoding_rs::Encoding);

impl Charset {
    pub const UTF_8: Self = Self(encoding_rs::UTF_8);

    /// A charset by one of its names.
    pub fn named(name: &str) -> Option<Self> {
        encoding_rs::Encoding::for_label(name.as_bytes()).map(Self)
    }

    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// What reads it; a byte order mark of the same charset is left out.
    pub fn decoder(self) -> encoding_rs::Decoder {
        self.0.new_decoder_with_bom_removal()
    }
}

/// Bounds of an answer that is kept in a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Large {
    pub bytes_max: u64,
    pub silence_max: Duration,
    pub time_max: Duration,
}
