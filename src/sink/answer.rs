//! What an answer means for each record that was sent. Pure: an accepted answer goes in, one verdict per record comes out,
//! or a refusal of all of them, or a fault that leaves the batch as it is.
//!
//! The hard idea: silence is no verdict. An answer that speaks of fewer records than were sent, or of one that was not
//! sent, decides nothing at all, not even for the records it names: the batch stays staged and is sent again under the same
//! key.

use http::StatusCode;
use serde_json::value::RawValue;

use super::{
    matching::{Sent, Tally, text},
    redact,
};
use crate::{
    config::plan::{AnswerShape, CreatedTest, JobPlan, Makes, Match, Operation, RowTest, RowsAre, WholeAnswer},
    model::{Blame, Code, Fault, Path, Reason, Verdict},
};

/// What an accepted answer says.
#[derive(Clone, PartialEq, Debug)]
pub enum Said {
    /// One verdict per record, in the order in which they were sent.
    Verdicts(Vec<Verdict>),
    /// A success that says no to the whole request, with the vendor's words.
    Refused(Option<String>),
    /// A job with this id will tell.
    Job(String),
}

/// Reads an accepted answer.
pub fn read(operation: &Operation, status: StatusCode, body: &[u8], sent: &[Sent<'_>]) -> Result<Said, Fault> {
    let reading = Reading { operation, status, text: std::str::from_utf8(body).unwrap_or_default(), sent };
    match &operation.answer {
        AnswerShape::Whole(plan) => reading.whole(plan),
        AnswerShape::Positional { list, test } => reading.positional(list, test).map(Said::Verdicts),
        AnswerShape::Listed { ok, errors, matched } => reading.listed(ok, errors.as_ref(), matched).map(Said::Verdicts),
        AnswerShape::Job(job) => match job.id.find(reading.text).and_then(|raw| text(raw.get())) {
            Some(id) if !id.is_empty() => Ok(Said::Job(id)),
            _ => Err(strange(operation, &format!("it names no job at `{}`", job.id))),
        },
    }
}

/// One result file of a job: its rows, each a JSON object.
pub struct Rows<'a> {
    pub are: &'a RowsAre,
    pub rows: Vec<String>,
}

/// Reads the verdicts out of all rows of a job. `status` is that of the answer that named the job.
pub fn of_job(
    operation: &Operation,
    job: &JobPlan,
    status: StatusCode,
    files: &[Rows<'_>],
    sent: &[Sent<'_>],
) -> Result<Vec<Verdict>, Fault> {
    let reading = Reading { operation, status, text: "", sent };
    let mut tally = Tally::new(&job.matched, sent);
    for file in files {
        for row in &file.rows {
            let refusal = match file.are {
                RowsAre::Accepted => None,
                RowsAre::Refused(words) => Some(words.as_ref().and_then(|path| path.find(row)).map(RawValue::get)),
                RowsAre::Either(test) => match reading.accepts(row, test)? {
                    true => None,
                    false => Some(test.errors.as_ref().and_then(|path| path.find(row)).map(RawValue::get)),
                },
            };
            match refusal {
                None => reading.accept(&mut tally, row)?,
                Some(words) => reading.refuse(&mut tally, row, words.unwrap_or(row))?,
            }
        }
    }
    tally.finish().map_err(|answered| reading.unanswered(answered))
}

struct Reading<'a> {
    operation: &'a Operation,
    status: StatusCode,
    text: &'a str,
    sent: &'a [Sent<'a>],
}

impl Reading<'_> {
    fn whole(&self, plan: &WholeAnswer) -> Result<Said, Fault> {
        let at = |path: &Path| path.find(self.text).map(RawValue::get);
        let errors = plan.errors.iter().filter_map(at).find(|raw| says_something(raw));
        let is_accepted = match plan.ok.as_ref().map(|path| (path, at(path))) {
            Some((_, Some(raw))) => is_true(raw),
            Some((path, None)) => return Err(self.strange(&format!("it says neither yes nor no at `{path}`"))),
            None if plan.errors.is_empty() || errors.is_some() => errors.is_none(),
            None => self.is_about_a_write(plan)?,
        };
        if !is_accepted {
            return Ok(Said::Refused(redact::words(errors.unwrap_or(self.text))));
        }
        // An answer about several records names no single one's id.
        let about = if self.sent.len() == 1 { self.text } else { "" };
        Ok(Said::Verdicts(self.sent.iter().map(|_| self.made(about)).collect()))
    }

    /// Without errors and without a yes, an answer must at least have the place for errors, or an id.
    fn is_about_a_write(&self, plan: &WholeAnswer) -> Result<bool, Fault> {
        let found = |path: &Path| path.find(self.text).is_some_and(|raw| raw.get() != "null");
        match plan.errors.iter().any(found) || self.operation.sink_id.as_ref().is_some_and(found) {
            true => Ok(true),
            false => Err(self.strange("it has neither errors nor an id where they are declared")),
        }
    }

    fn positional(&self, list: &Path, test: &RowTest) -> Result<Vec<Verdict>, Fault> {
        let entries = self.list(list)?.ok_or_else(|| self.strange(&format!("it has no list at `{list}`")))?;
        if entries.len() < self.sent.len() {
            return Err(self.unanswered(entries.len()));
        }
        if entries.len() > self.sent.len() {
            return Err(self.strange(&format!("it has {} entries for {} records", entries.len(), self.sent.len())));
        }
        let pairs = entries.iter().map(|entry| entry.get()).zip(self.sent);
        pairs
            .map(|(entry, sent)| {
                Ok(match self.accepts(entry, test)? {
                    true => self.made(entry),
                    false => refused(complaint(entry, test).unwrap_or(entry), sent),
                })
            })
            .collect()
    }

    fn listed(&self, ok: &Path, errors: Option<&Path>, matched: &Match) -> Result<Vec<Verdict>, Fault> {
        let mut tally = Tally::new(matched, self.sent);
        for entry in self.list(ok)?.unwrap_or_default() {
            self.accept(&mut tally, entry.get())?;
        }
        for entry in errors.map(|path| self.list(path)).transpose()?.flatten().unwrap_or_default() {
            self.refuse(&mut tally, entry.get(), entry.get())?;
        }
        tally.finish().map_err(|answered| self.unanswered(answered))
    }

    fn accept(&self, tally: &mut Tally<'_>, entry: &str) -> Result<(), Fault> {
        let at = tally.place(entry).map_err(|why| self.strange(why))?;
        tally.enter(at, self.made(entry)).map_err(|why| self.strange(why))
    }

    fn refuse(&self, tally: &mut Tally<'_>, entry: &str, words: &str) -> Result<(), Fault> {
        for at in tally.places(entry).map_err(|why| self.strange(why))? {
            tally.enter(at, refused(words, &self.sent[at])).map_err(|why| self.strange(why))?;
        }
        Ok(())
    }

    /// Whether an entry says that its record was accepted.
    fn accepts(&self, entry: &str, test: &RowTest) -> Result<bool, Fault> {
        match test.ok.as_ref().map(|path| path.find(entry).map(RawValue::get)) {
            Some(Some(raw)) => Ok(is_true(raw)),
            Some(None) => Err(self.strange("an entry does not say whether its record was accepted")),
            None => Ok(complaint(entry, test).is_none()),
        }
    }

    /// The list at a path; nothing where it is absent or null.
    fn list(&self, path: &Path) -> Result<Option<Vec<&RawValue>>, Fault> {
        list(self.text, path).map_err(|why| self.strange(&why))
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
                .is_some_and(|raw| is_true(raw.get()) || text(raw.get()).is_some_and(|text| values.contains(&text))),
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
        strange(self.operation, why)
    }
}

/// The list at a path of a JSON text; nothing where it is absent or null.
pub fn list<'t>(json: &'t str, path: &Path) -> Result<Option<Vec<&'t RawValue>>, String> {
    if serde_json::from_str::<&RawValue>(json).is_err() {
        return Err("it is no JSON".to_owned());
    }
    match path.find(json).map(RawValue::get) {
        None | Some("null") => Ok(None),
        Some(raw) => serde_json::from_str(raw).map(Some).map_err(|_| format!("what it has at `{path}` is no list")),
    }
}

/// An answer that does not fit what was sent.
pub fn strange(operation: &Operation, why: &str) -> Fault {
    let message = format!("the answer to operation {} cannot be matched to what was sent: {why}", operation.name);
    Fault::halt(Code::StrangeAnswer, Blame::Remote, message).help(STAYS_STAGED)
}

const STAYS_STAGED: &str = "Nothing is lost or doubled: the batch stays staged, and the next run sends it again under the same \
    key. If it stays so, compare `answer:` of the operation with an answer of the API.";

fn is_true(raw: &str) -> bool {
    text(raw).is_some_and(|text| text.eq_ignore_ascii_case("true"))
}

/// The errors of an entry, if it has any.
fn complaint<'e>(entry: &'e str, test: &RowTest) -> Option<&'e str> {
    let raw = test.errors.as_ref()?.find(entry)?.get();
    says_something(raw).then_some(raw)
}

/// Whether a field for errors holds any.
fn says_something(raw: &str) -> bool {
    let bare: String = raw.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    !matches!(bare.as_str(), "null" | "[]" | "{}" | "\"\"" | "false" | "0")
}

/// The verdict of a record that the sink refused in these words.
pub fn refused(said: &str, sent: &Sent<'_>) -> Verdict {
    refused_with(redact::words(said).as_deref(), sent)
}

/// As [`refused`], with words that were found before.
pub fn refused_with(words: Option<&str>, sent: &Sent<'_>) -> Verdict {
    let message = match words {
        Some(words) => {
            format!("the sink refused the record: {}", redact::without_values(words, sent.fields, sent.secrets))
        }
        None => "the sink refused the record and did not say why".to_owned(),
    };
    Verdict::Rejected(Reason::new(Code::RecordRefused, message))
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
