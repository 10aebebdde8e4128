//! How far a stream is in a database, as the database itself keeps it: one row per stream in `renkei_checkpoints`, moved in the
//! transaction that writes the records. Its value has a format version.
//!
//! Two hard ideas. Every move names the number it moves from, so a transaction that was given up, but that the server
//! finishes after all, cannot overtake or be overtaken unnoticed. And the row keeps a trail of the last checkpoints: when
//! the store's own checkpoint is on it, the database is ahead only by batches whose verdicts the store never heard of,
//! and those are read and written again. That is safe, because an upsert repeats, and it is needed, because otherwise
//! their dead letters would be missing.

use serde::{Deserialize, Serialize};

use crate::model::{Blame, Checkpoint, Code, ContentHash, Disposition, Fault, Fields};

const FORMAT: u32 = 1;
pub const TABLE: &str = "renkei_checkpoints";
/// Batches that may be in the database before the store hears of them.
const TRAIL_MAX: usize = 32;

/// What the row holds.
#[derive(Clone, Serialize, Deserialize, Debug)]
pub struct Progress {
    format: u32,
    /// Moves so far.
    number: u64,
    checkpoint: Option<Checkpoint>,
    /// Names of the last checkpoints, oldest first.
    trail: Vec<String>,
    /// Fields of the stream that have a column.
    pub fields: Vec<String>,
}

/// Only the version, to be read before the rest.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

impl Default for Progress {
    fn default() -> Self {
        Self { format: FORMAT, number: 0, checkpoint: None, trail: Vec::new(), fields: Vec::new() }
    }
}

impl Progress {
    pub fn parse(text: &str, table: &str) -> Result<Self, Fault> {
        match serde_json::from_str::<Version>(text) {
            Ok(version) if version.format > FORMAT => {
                let message = format!("the checkpoint in {table} has format {}, and {FORMAT} is known", version.format);
                return Err(Fault::halt(Code::NewerFormat, Blame::Host, message)
                    .help("Nothing was changed. Use the newer renkei that wrote it."));
            }
            _ => {}
        }
        serde_json::from_str(text).map_err(|error| {
            Fault::halt(Code::Database, Blame::Host, format!("the checkpoint in {table} cannot be read: {error}"))
                .help(format!("Nothing was changed. To begin from the start, delete the stream's row in {table}."))
        })
    }

    /// Where to go on, given what the store knows. An empty checkpoint is a person's wish to read everything again.
    pub fn agree(&self, known: Option<Checkpoint>) -> Option<Checkpoint> {
        match known {
            Some(known) if known == Checkpoint::default() || self.trail.contains(&name(&known)) => Some(known),
            _ => self.checkpoint.clone(),
        }
    }

    /// Forgets how far the stream came, because its table is gone. The number stays.
    pub fn start_over(&mut self) {
        *self = Self { number: self.number, ..Self::default() };
    }

    /// What follows once a batch is written, and its text.
    pub fn moved(&self, next: &Checkpoint, fields: Vec<String>) -> Result<(Self, String), Fault> {
        let mut trail = self.trail.clone();
        trail.push(name(next));
        trail.drain(..trail.len().saturating_sub(TRAIL_MAX));
        let moved = Self { format: FORMAT, number: self.number + 1, checkpoint: Some(next.clone()), trail, fields };
        let text = serde_json::to_string(&moved).map_err(|error| {
            Fault::halt(Code::Bug, Blame::Bug, format!("a checkpoint cannot be written as JSON: {error}"))
        })?;
        Ok((moved, text))
    }

    /// The number that the next move moves from.
    pub fn number(&self) -> i64 {
        self.number as i64
    }
}

/// Another process moved the row first.
pub fn overtaken(stream: &str) -> Fault {
    let message = format!("the checkpoint of {stream} in the database was moved by somebody else meanwhile");
    Fault::halt(Code::Database, Blame::Remote, message).with(Disposition::Retry { after: None }).help(
        "This batch was rolled back. Either an earlier transaction of ours ended late, which the next run settles, or a \
         second renkei with another state directory writes the same stream: stop one of them.",
    )
}

/// A short name of a checkpoint's content.
fn name(checkpoint: &Checkpoint) -> String {
    let text = serde_json::to_vec(checkpoint).unwrap_or_else(|_| b"{}".to_vec());
    let hash = ContentHash::of(&Fields::from_object(text.into()));
    hash.0[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Cursor;

    fn at(number: i64) -> Checkpoint {
        Checkpoint { cursor: Some(Cursor::Integer(number)), ..Checkpoint::default() }
    }

    fn row(last: i64, trail: &[i64]) -> Progress {
        let trail = trail.iter().map(|number| name(&at(*number))).collect();
        Progress { checkpoint: Some(at(last)), trail, ..Progress::default() }
    }

    #[test]
    fn batches_that_only_the_database_has_heard_of_are_read_again() {
        assert_eq!(row(3, &[1, 2, 3]).agree(Some(at(2))), Some(at(2)));
        assert_eq!(row(3, &[1, 2, 3]).agree(Some(at(3))), Some(at(3)));
    }

    #[test]
    fn a_database_that_went_back_or_a_store_that_was_lost_goes_on_from_the_database() {
        assert_eq!(row(3, &[1, 2, 3]).agree(Some(at(9))), Some(at(3)));
        assert_eq!(row(3, &[1, 2, 3]).agree(None), Some(at(3)));
        assert_eq!(Progress::default().agree(Some(at(9))), None);
    }

    #[test]
    fn a_stream_that_was_reset_starts_over() {
        assert_eq!(row(3, &[1, 2, 3]).agree(Some(Checkpoint::default())), Some(Checkpoint::default()));
    }

    #[test]
    fn a_row_of_a_newer_version_is_refused() {
        let fault = Progress::parse(r#"{"format":2,"surprise":true}"#, "t").unwrap_err();
        assert_eq!((fault.code, fault.exit_code()), (Code::NewerFormat, 6));
        assert_eq!(Progress::parse("{}", "t").unwrap_err().code, Code::Database);
    }

    #[test]
    fn the_released_format_can_be_read() {
        let text = r#"{"format":1,"number":7,"checkpoint":{"cursor":{"integer":3}},"trail":["00"],"fields":["id"]}"#;
        assert_eq!(Progress::parse(text, "t").unwrap().agree(None), Some(at(3)));
    }
}
