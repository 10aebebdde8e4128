//! Dead letters as a source: their records go the whole way again, as if they were read, while the checkpoint stays.
//!
//! The hard idea is the order. An open letter means that nothing later of its record was accepted, because any other verdict
//! ends it in the same commit. So of several letters of one record the one that was met last may go again, and the others
//! would take the sink back. What an earlier run staged is delivered first and may end letters, so they are read after it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::prepare::Replayed;
use crate::{
    config::plan::{Pipeline, Stream, To},
    model::{Blame, BoxFuture, Checkpoint, Code, Fault, Fields, Key, Overlap, Page, Record, Reject},
    source::{Sifted, Source, read_one, sift},
    store::{DeadLetter, State, StreamId},
    transform::Personal,
};

/// Letters of a page.
const PAGE: usize = 100;

/// What shall be replayed.
#[derive(Debug)]
pub struct Replay {
    pub letters: Vec<DeadLetter>,
    /// The stream that their records were read from.
    pub stream: Arc<Stream>,
    /// Send also what may have taken effect.
    pub accept_doubt: bool,
}

/// Why a letter is not replayed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum HeldBack {
    /// A later state of the record is a letter too.
    Superseded,
    /// A write of it may have taken effect, and sending it again may double it.
    Doubt,
    /// An earlier version wrote the letter and did not note whether its record was accepted since.
    Untracked,
    /// Its record has no key.
    NoKey,
}

/// What a person takes upon themselves.
#[derive(Clone, Copy, Default, Debug)]
pub struct Accepted {
    pub doubt: bool,
    pub older: bool,
}

/// Which of some letters of a pipeline may go again, given `all` of its letters, and why the others may not. `repeatable`:
/// a write that may have taken effect can be sent again.
pub fn choose(
    letters: Vec<DeadLetter>,
    all: &[DeadLetter],
    repeatable: bool,
    accepted: Accepted,
) -> (Vec<DeadLetter>, Vec<(DeadLetter, HeldBack)>) {
    let mut last: BTreeMap<&Key, &DeadLetter> = BTreeMap::new();
    for letter in all {
        let Some(key) = &letter.key else { continue };
        let known = last.entry(key).or_insert(letter);
        if (known.at, &known.run) < (letter.at, &letter.run) {
            *known = letter;
        }
    }
    let held = |letter: &DeadLetter| match &letter.key {
        Some(key) if last.get(key).is_some_and(|last| last.id != letter.id) => Some(HeldBack::Superseded),
        None if letter.edited.is_none() || letter.gone => Some(HeldBack::NoKey),
        _ if letter.in_doubt() && !repeatable && !accepted.doubt => Some(HeldBack::Doubt),
        _ if !letter.tracked && !accepted.older => Some(HeldBack::Untracked),
        _ => None,
    };
    let (mut chosen, mut others) = (Vec::new(), Vec::new());
    for letter in letters {
        match held(&letter) {
            None => chosen.push(letter),
            Some(why) => others.push((letter, why)),
        }
    }
    (chosen, others)
}

/// Whether a write that may have taken effect can be sent again whenever one likes.
pub fn is_repeatable(pipeline: &Pipeline) -> bool {
    match &pipeline.to {
        To::Operation { operation, .. } => operation.outlives_doubt(),
        To::File { .. } | To::Table { .. } => true,
    }
}

impl Replay {
    /// Refuses where a listing is under way that may take its file back to where it began: what is replayed would go too.
    pub fn check(&self, at: &Checkpoint) -> Result<(), Fault> {
        if at.mark.is_none() || at.scan.is_none() {
            return Ok(());
        }
        let message = "a listing into this file has not ended, and may take the file back to where it began";
        Err(Fault::halt(Code::Conflict, Blame::Config, message)
            .help("nothing was changed; run the pipeline until its listing ends, then replay"))
    }

    /// The letters as they are now. One that was met since is left out: it is another refusal than the one that was chosen.
    pub(super) async fn read(
        &self,
        state: &State,
        stream: &StreamId,
        personal: &Personal,
    ) -> Result<(Letters, Replayed), Fault> {
        let ids: Vec<&str> = self.letters.iter().map(|letter| letter.id.as_str()).collect();
        let now = state.dead_letters_named(stream, &ids).await?;
        let chosen: BTreeMap<&str, &DeadLetter> = self.letters.iter().map(|letter| (&*letter.id, letter)).collect();
        let mut replayed = Replayed { accept_doubt: self.accept_doubt, ..Replayed::default() };
        let mut pages = Vec::new();
        for letter in now.iter().filter(|now| chosen.get(&*now.id).is_some_and(|then| then.at == now.at)) {
            let read = match (personal.stored(letter.record(), letter.gone), &letter.key) {
                // It names its record as its own stream does, which is not this one.
                (Ok(fields), Some(key)) if letter.gone => Ok(tombstone(key.clone(), fields)),
                (Ok(fields), _) => read_one(&self.stream, fields),
                (Err(reason), key) => {
                    Err(Reject { key: key.clone(), gone: letter.gone, fields: letter.record(), reason, slip: None })
                }
            };
            let key = match &read {
                Ok(record) => Some(record.key.clone()),
                Err(reject) => reject.key.clone(),
            };
            if let Some(key) = key {
                replayed.letters.insert(key, letter.id.clone());
            }
            pages.push(read);
        }
        Ok((Letters { left: Mutex::new(pages), of: self.stream.clone() }, replayed))
    }
}

fn tombstone(key: Key, fields: Fields) -> Record {
    Record { key, version: None, overlap: Overlap::default(), gone: true, fields, slip: None }
}

/// The records of letters. Unlike other sources it keeps its place: what a crash leaves unread is still a letter.
pub struct Letters {
    left: Mutex<Vec<Result<Record, Reject>>>,
    of: Arc<Stream>,
}

impl Source for Letters {
    fn read<'a>(&'a self, at: &'a Checkpoint) -> BoxFuture<'a, Result<Page, Fault>> {
        let (mut records, mut rejects) = (Vec::new(), Vec::new());
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = left.len().min(PAGE);
        for read in left.drain(..taken) {
            match read {
                // A file remembers it like one that may be read again, which it may.
                Ok(record) => records.push(Record { overlap: Overlap { before: true, after: true }, ..record }),
                Err(reject) => rejects.push(reject),
            }
        }
        let end = left.is_empty();
        let scan = at.scan.clone().unwrap_or_default();
        let Sifted { records, rejects: unsifted, skipped } = sift(records, &self.of);
        rejects.extend(unsifted);
        let page = Page { records, rejects, skipped, next: at.clone(), scan, end, restarted: false, body_bytes: 0 };
        Box::pin(async move { Ok(page) })
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;

    use super::*;

    fn letter(id: &str, key: Option<&str>, second: i64, more: serde_json::Value) -> DeadLetter {
        let mut letter = json!({
            "id": id, "pipeline": "p", "stream": "s", "run": "r", "at": DateTime::from_timestamp(second, 0),
            "parked": false, "key": key, "reason": { "code": "RK0401", "message": "no" }, "source": {}, "tracked": true,
        });
        let fields = more.as_object().unwrap().clone();
        letter.as_object_mut().unwrap().extend(fields);
        serde_json::from_str(&letter.to_string()).unwrap()
    }

    fn chosen(all: &[DeadLetter], repeatable: bool, accepted: Accepted) -> (Vec<String>, Vec<(String, HeldBack)>) {
        let (chosen, held) = choose(all.to_vec(), all, repeatable, accepted);
        let held = held.into_iter().map(|(letter, why)| (letter.id, why)).collect();
        (chosen.into_iter().map(|letter| letter.id).collect(), held)
    }

    #[test]
    fn of_several_letters_of_a_record_only_the_last_may_go_again_whatever_was_picked() {
        let all = [letter("old", Some("1"), 1, json!({})), letter("new", Some("1"), 2, json!({}))];
        let held = [("old".to_owned(), HeldBack::Superseded)];
        assert_eq!(chosen(&all, true, Accepted::default()), (vec!["new".to_owned()], held.to_vec()));
        let (picked, held) = choose(all[..1].to_vec(), &all, true, Accepted { doubt: true, older: true });
        assert_eq!((picked.len(), held[0].1), (0, HeldBack::Superseded));
    }

    #[test]
    fn what_is_in_doubt_untracked_or_nameless_waits_until_somebody_takes_it_upon_themselves() {
        let doubt = json!({ "parked": true, "reason": { "code": "RK0420", "message": "who knows" } });
        let all = [
            letter("doubt", Some("1"), 1, doubt),
            letter("untracked", Some("2"), 1, json!({ "tracked": false })),
            letter("nameless", None, 1, json!({})),
            letter("mended", None, 1, json!({ "edited": { "id": 4 } })),
        ];
        let (free, held) = chosen(&all, false, Accepted::default());
        let why: Vec<HeldBack> = held.into_iter().map(|(_, why)| why).collect();
        assert_eq!(
            (free, why),
            (vec!["mended".to_owned()], vec![HeldBack::Doubt, HeldBack::Untracked, HeldBack::NoKey])
        );
        assert_eq!(chosen(&all, true, Accepted::default()).0, ["doubt", "mended"]);
        let (free, held) = chosen(&all, false, Accepted { doubt: true, older: true });
        assert_eq!((free.len(), held), (3, vec![("nameless".to_owned(), HeldBack::NoKey)]));
    }
}
