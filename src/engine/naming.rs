//! Whether a pipeline still names its records as it did. A rule that hashes a key, and the key that it hashes with, are part of a
//! record's name; with others every record would look new, and an operation that only creates would double all of them. So
//! such a change is refused until a person says that starting over is meant.

use crate::{
    config::plan::Pipeline,
    model::{Blame, Code, Fault},
    store::{Named, Naming, State, StreamId},
    transform::Personal,
};

/// How the pipeline names its records now.
pub fn naming(pipeline: &Pipeline, personal: &Personal) -> Naming {
    let hashed = pipeline.from.stream.key.iter().zip(personal.hashed_key()).filter(|(_, is_hashed)| **is_hashed);
    Naming {
        hash_key: personal.hash_key().map(str::to_owned),
        hashed: hashed.map(|(path, _)| path.as_str().to_owned()).collect(),
    }
}

/// Refuses where the records of the stream are known by other names.
pub async fn check(state: &State, stream: &StreamId, now: &Naming) -> Result<(), Fault> {
    match state.named(stream).await? {
        Named::As(before) => compare(stream, &before, now),
        Named::Never | Named::Forgotten => Ok(()),
    }
}

/// The same, and remembers the names from here on.
pub async fn agree(state: &State, stream: &StreamId, now: &Naming) -> Result<(), Fault> {
    let before = match state.named(stream).await? {
        Named::As(before) => before,
        // A stream without rules needs no note.
        Named::Never if *now == Naming::default() => return Ok(()),
        Named::Never | Named::Forgotten => return state.set_naming(stream, now).await,
    };
    compare(stream, &before, now)?;
    // The key is remembered also while no rule needs it.
    let hash_key = now.hash_key.clone().or(before.hash_key.clone());
    let agreed = Naming { hash_key, hashed: now.hashed.clone() };
    if agreed == before { Ok(()) } else { state.set_naming(stream, &agreed).await }
}

fn compare(stream: &StreamId, before: &Naming, now: &Naming) -> Result<(), Fault> {
    if before.hashed != now.hashed {
        let message = match now.hashed.is_empty() {
            true => format!("the key of stream {} was hashed before and is not any more", stream.stream),
            false => format!("the key of stream {} was not hashed like this before", stream.stream),
        };
        return Err(other(stream, Code::PersonalRule, message, "put the rule back as it was"));
    }
    if let (Some(before), Some(now)) = (&before.hash_key, &now.hash_key)
        && before != now
    {
        let message = "another `hash_key` made the hashes until now".to_owned();
        return Err(other(stream, Code::PersonalKeys, message, "set `hash_key` to the key that it was"));
    }
    Ok(())
}

fn other(stream: &StreamId, code: Code, message: String, what: &str) -> Fault {
    let help = format!(
        "Nothing was read and nothing was written: under other names every record would be taken for a new one. Either {what}, or, \
         where all records shall be written as new ones, forget what is known of them: renkei state reset {} --links",
        stream.pipeline
    );
    Fault::halt(code, Blame::Config, message).help(help).at(format!("pipeline {}", stream.pipeline))
}
