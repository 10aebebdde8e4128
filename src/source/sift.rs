//! The records that a stream holds, where its vendor cannot filter them. What the others are is said once, here, for pages, for what
//! is pushed and for dead letters: they were read, and are skipped.

use std::sync::Arc;

use crate::{
    config::plan::Stream,
    expr::Scope,
    model::{Record, Reject, Skip},
};

/// Characters of the expression that are kept.
const WORDS_MAX: usize = 160;

/// Records, each where it belongs.
#[derive(Default, Debug)]
pub struct Sifted {
    pub records: Vec<Record>,
    pub rejects: Vec<Reject>,
    pub skipped: Vec<Skip>,
}

/// Tells the records of a stream from others. What is gone stays: often nothing else is said of it.
pub fn sift(records: Vec<Record>, stream: &Stream) -> Sifted {
    let Some(only) = &stream.only else { return Sifted { records, ..Sifted::default() } };
    let words: String = only.as_str().chars().take(WORDS_MAX).collect();
    let by: Arc<str> = format!("stream {} (where): {words}", stream.name).into();
    let mut sifted = Sifted { records: Vec::with_capacity(records.len()), ..Sifted::default() };
    for record in records {
        let wanted = if record.gone { Ok(true) } else { only.evaluate_bool(&Scope::of(&record.fields)) };
        match wanted {
            Ok(true) => sifted.records.push(record),
            Ok(false) => sifted.skipped.push(Skip { key: record.key, by: by.clone(), slip: record.slip }),
            Err(error) => {
                let reason = error.reason(&format!("stream {} (where)", stream.name));
                let Record { key, gone, fields, slip, .. } = record;
                sifted.rejects.push(Reject { key: Some(key), gone, fields, reason, slip });
            }
        }
    }
    sifted
}
