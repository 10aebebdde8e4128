//! What changed since the last time, as meant.

use std::time::Duration;

use chrono_tz::Tz;

use crate::model::{Cursor, Path};

#[derive(Clone, Debug)]
pub enum Incremental {
    Field(CursorField),
    /// The vendor gives an opaque token at the listing's end; the next pass starts with it (templates see it as
    /// `window.since`).
    Token {
        next: Path,
        query: Option<String>,
        /// Statuses by which the vendor says that it no longer knows the token: everything is listed again.
        expired: Vec<u16>,
    },
}

#[derive(Clone, Debug)]
pub struct CursorField {
    pub field: Path,
    pub format: CursorFormat,
    /// The vendor filters by days, which begin in this zone: a window begins with a day.
    pub days: Option<Tz>,
    /// The listing comes in the cursor's order, so the cursor moves page by page.
    pub ascending: bool,
    /// How far before the cursor the next pass starts: a time for instants, a count for integers.
    pub overlap: Lag,
    /// How far before the server's now a pass ends. Instants only.
    pub settle: Duration,
    /// Query parameter for the window's lower bound. Templates see it as `window.since`.
    pub since: Option<String>,
    /// Query parameter for the window's upper bound. Templates see it as `window.until`.
    pub until: Option<String>,
    /// Where the very first pass starts. Nothing: from the beginning.
    pub start: Option<Cursor>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CursorFormat {
    Rfc3339,
    EpochSeconds,
    EpochMillis,
    Integer,
    /// Days that begin in this zone.
    Date(Tz),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lag {
    Time(Duration),
    Count(u64),
}
