//! How the answers of a stream are written, as typed: formats, charsets, packed files, and answers that are large.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    shape::{Empty, Spanned},
    units::{Size, Time},
};

/// How the answers are written. Default: JSON in UTF-8, not packed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawDecode {
    /// One JSON value in each line.
    pub json_lines: Option<Spanned<Empty>>,
    /// CSV; each row becomes an object of texts.
    pub csv: Option<Spanned<RawTable>>,
    /// The charset, by a name of the WHATWG Encoding Standard, such as `shift_jis`, `euc-jp` or `windows-1252`. Default
    /// `utf-8`. A byte order mark is left out.
    pub charset: Option<Spanned<String>>,
    /// The body is a packed file. A Content-Encoding is unpacked by itself and not declared here.
    pub compressed: Option<RawCompressed>,
}

/// A file around the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawCompressed {
    /// A gzip file, of one or several members.
    Gzip,
    /// A zip file. Its files are read one after another, in its order.
    Zip,
}

/// How a CSV answer is written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawTable {
    /// The names of the columns, for answers whose first row is a record. Default: the first row names them.
    #[serde(default)]
    pub columns: Vec<Spanned<String>>,
    /// One ASCII character between two cells. Default `,`.
    pub separator: Option<Spanned<String>>,
    /// One ASCII character around cells that hold separators or line breaks; doubled inside of them. Default `"`.
    pub quote: Option<Spanned<String>>,
    /// What an empty cell is. Default: null.
    pub empty: Option<RawEmptyCell>,
}

/// What an empty cell is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawEmptyCell {
    /// The record has no such field.
    Absent,
    /// The field is an empty text.
    Text,
}

/// Answers that do not fit into memory. They are kept in an unnamed file of the state directory and read piece by piece.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawLarge {
    /// A larger answer is refused, as it comes and unpacked. Default 8GiB, from 1MiB to 1TiB.
    pub bytes_max: Option<Spanned<Size>>,
    /// The longest wait for the answer's head, and between two parts of its body. Default 60s, from 100ms to 1h.
    pub silence_max: Option<Spanned<Time>>,
    /// The answer is whole after this. Default 2h, from 1s to 24h. It replaces the attempt timeout.
    pub time_max: Option<Spanned<Time>>,
}
