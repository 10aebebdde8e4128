//! What an answer means for each record that was sent. Pure: an accepted answer goes in, one verdict per record comes out,
//! or a fault that leaves the batch as it is.
//!
//! The hard idea: silence is no verdict. An answer that speaks of fewer records than were sent, or of one that was not
//! sent, decides nothing at all, not even for the records it names: the batch stays staged and is sent again under the same
//! key.

use std::collections::{HashMap, VecDeque};

use http::StatusCode;
use serde_json::value::RawValue;

use super::redact;
use crate::{
    config::plan::{AnswerShape, CreatedTest, Makes, MatchBy, Operation},
    model::{Blame, Code, Fault, Fields, Path, Reason, Verdict},
};

/// Reads the verdicts out of an accepted answer, in the order in which the records were sent.
pub fn verdicts(
    operation: &Operation,
    status: StatusCode,
    body: &[u8],
    sent: &[&Fields],
) -> Result<Vec<Verdict>, Fault> {
    let text = std::str::from_utf8(body).unwrap_or_default();
    let reading = Reading { operation, status, text, sent };
    match &operation.answer {
        AnswerShape::Whole => Ok(reading.whole()),
        AnswerShape::Positional { list, ok, errors } => reading.positional(list, ok.as_ref(), errors.as_ref()),
        AnswerShape::Listed { ok, errors, matched } => reading.listed(ok, errors.as_ref(), matched),
    }
}

struct Reading<'a> {
    operation: &'a Operation,
    status: StatusCode,
    text: &'a str,
    sent: &'a [&'a Fields],
}

impl Reading<'_> {
    fn whole(&self) -> Vec<Verdict> {
        // An answer about several records names no single one's id.
        let about = if self.sent.len() == 1 { self.text } else { "" };
        self.sent.iter().map(|_| self.made(about)).collect()
    }

    fn positional(&self, list: &Path, ok: Option<&Path>, errors: Option<&Path>) -> Result<Vec<Verdict>, Fault> {
        let entries = self.list(list)?.ok_or_else(|| self.strange(&format!("it has no list at `{list}`")))?;
        if entries.len() < self.sent.len() {
            return Err(self.unanswered(entries.len()));
        }
        if entries.len() > self.sent.len() {
            return Err(self.strange(&format!("it has {} entries for {} records", entries.len(), self.sent.len())));
        }
        let pairs = entries.iter().zip(self.sent);
        pairs
            .map(|(entry, fields)| {
                let errors =
                    errors.and_then(|path| path.find(entry.get())).map(RawValue::get).filter(|raw| says_something(raw));
                let accepted = match ok.map(|path| path.find(entry.get()).map(RawValue::get)) {
                    Some(Some("true" | "\"true\"")) => true,
                    Some(Some(_)) => false,
                    Some(None) => return Err(self.strange("an entry does not say whether its record was accepted")),
                    None => errors.is_none(),
                };
                Ok(if accepted { self.made(entry.get()) } else { refused(errors.unwrap_or(entry.get()), fields) })
            })
            .collect()
    }

    fn listed(&self, ok: &Path, errors: Option<&Path>, matched: &MatchBy) -> Result<Vec<Verdict>, Fault> {
        let mut verdicts: Vec<Option<Verdict>> = vec![None; self.sent.len()];
        let mut places = Places::of(matched, self.sent);
        let accepted = self.list(ok)?.unwrap_or_default();
        let refusals = errors.map(|path| self.list(path)).transpose()?.flatten().unwrap_or_default();
        let entries =
            accepted.into_iter().map(|entry| (entry, true)).chain(refusals.into_iter().map(|entry| (entry, false)));
        for (entry, accepted) in entries {
            let at = places.take(entry.get()).map_err(|why| self.strange(why))?;
            let verdict = if accepted { self.made(entry.get()) } else { refused(entry.get(), self.sent[at]) };
            if verdicts[at].replace(verdict).is_some() {
                return Err(self.strange("it answers twice for one record"));
            }
        }
        let answered = verdicts.iter().flatten().count();
        let all: Option<Vec<Verdict>> = verdicts.into_iter().collect();
        all.ok_or_else(|| self.unanswered(answered))
    }

    /// The list at a path; nothing where it is absent or null.
    fn list(&self, path: &Path) -> Result<Option<Vec<&RawValue>>, Fault> {
        if serde_json::from_str::<&RawValue>(self.text).is_err() {
            return Err(self.strange("it is no JSON"));
        }
        match path.find(self.text).map(RawValue::get) {
            None | Some("null") => Ok(None),
            Some(raw) => serde_json::from_str(raw)
                .map(Some)
                .map_err(|_| self.strange(&format!("what it has at `{path}` is no list"))),
        }
    }

    /// The verdict of an accepted record; `about` is the part of the answer that is about it.
    fn made(&self, about: &str) -> Verdict {
        let id = || self.operation.sink_id.as_ref().and_then(|path| text(path.find(about)?.get()));
        match self.operation.makes {
            Makes::Create => Verdict::Created(id()),
            Makes::Upsert if self.is_new(about) => Verdict::Created(id()),
            Makes::Upsert | Makes::Update => Verdict::Updated(id()),
            Makes::Delete => Verdict::Deleted,
        }
    }

    fn is_new(&self, about: &str) -> bool {
        match &self.operation.created {
            None => false,
            Some(CreatedTest::Status(status)) => self.status == *status,
            Some(CreatedTest::Field { path, values }) => path
                .find(about)
                .is_some_and(|raw| raw.get() == "true" || text(raw.get()).is_some_and(|text| values.contains(&text))),
        }
    }

    fn unanswered(&self, answered: usize) -> Fault {
        let message = format!(
            "operation {} was sent {} records, and its answer speaks of {answered}",
            self.operation.name,
            self.sent.len()
        );
        Fault::halt(Code::Unanswered, Blame::Remote, message).help(STAYS_STAGED)
    }

    fn strange(&self, why: &str) -> Fault {
        let message =
            format!("the answer to operation {} cannot be matched to what was sent: {why}", self.operation.name);
        Fault::halt(Code::StrangeAnswer, Blame::Remote, message).help(STAYS_STAGED)
    }
}

const STAYS_STAGED: &str = "Nothing is lost or doubled: the batch stays staged, and the next run sends it again under the same \
    key. If it stays so, compare `answer:` of the operation with an answer of the API.";

/// Which places of the batch an entry may speak of.
enum Places<'a> {
    Index {
        path: &'a Path,
        count: usize,
    },
    /// Records may share a value; the answers for it are taken in their order.
    Field {
        path: &'a Path,
        waiting: HashMap<String, VecDeque<usize>>,
    },
}

impl<'a> Places<'a> {
    fn of(matched: &'a MatchBy, sent: &[&Fields]) -> Self {
        match matched {
            MatchBy::Index(path) => Self::Index { path, count: sent.len() },
            MatchBy::Field { answer, sent: field } => {
                let mut waiting: HashMap<String, VecDeque<usize>> = HashMap::new();
                for (at, fields) in sent.iter().enumerate() {
                    if let Some(value) = fields.get(field).and_then(|raw| text(raw.get())) {
                        waiting.entry(value).or_default().push_back(at);
                    }
                }
                Self::Field { path: answer, waiting }
            }
        }
    }

    fn take(&mut self, entry: &str) -> Result<usize, &'static str> {
        let named = |path: &Path| path.find(entry).and_then(|raw| text(raw.get())).ok_or("an entry names no record");
        match self {
            Self::Index { path, count } => {
                let at: usize = named(path)?.parse().map_err(|_| "an entry's position is no number")?;
                if at < *count { Ok(at) } else { Err("an entry's position is beyond the batch") }
            }
            Self::Field { path, waiting } => {
                let found = waiting.get_mut(&named(path)?).ok_or("an entry names a record that was not sent")?;
                found.pop_front().ok_or("it answers twice for one record")
            }
        }
    }
}

/// The text of a JSON text, number or boolean.
fn text(raw: &str) -> Option<String> {
    match raw.as_bytes().first()? {
        b'"' => serde_json::from_str(raw).ok(),
        b'{' | b'[' | b'n' => None,
        _ => Some(raw.to_owned()),
    }
}

/// Whether a field for errors holds any.
fn says_something(raw: &str) -> bool {
    let bare: String = raw.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    !matches!(bare.as_str(), "null" | "[]" | "{}" | "\"\"" | "false" | "0")
}

fn refused(said: &str, fields: &Fields) -> Verdict {
    let message = match redact::words(said) {
        Some(words) => format!("the sink refused the record: {}", redact::without_values(&words, fields)),
        None => "the sink refused the record and did not say why".to_owned(),
    };
    Verdict::Rejected(Reason::new(Code::RecordRefused, message))
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
