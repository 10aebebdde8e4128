//! What an answer leads to: verdicts, a job to wait for, a search for the record that is to blame, or a fault that leaves
//! the batch as it is. Pure; the hard idea is that a refusal that is the same for every record is about none of them.

use http::StatusCode;

use crate::{
    config::plan::{FirstError, Makes, Operation},
    http::{Answer, Ruling},
    model::{Code, Disposition, Fault, Reason, Verdict},
    sink::{
        answer::{self, Said},
        matching::{Sent, text},
        redact,
    },
};

/// What an answer leads to.
#[derive(Debug, PartialEq)]
pub(super) enum Meant {
    Verdicts(Vec<Verdict>),
    /// The request as a whole was refused: look for the record that is the reason.
    Divide,
    /// The request as a whole was refused because of the records at these places, as the answer says.
    Isolate(Vec<usize>),
    /// The records' verdicts are the results of this job.
    Job(String),
}

pub(super) fn meaning(operation: &Operation, answer: &Answer, sent: &[Sent<'_>]) -> Result<Meant, Fault> {
    let Ruling::Refused(fault) = &answer.ruling else {
        return Ok(match answer::read(operation, answer.status, &answer.body, sent)? {
            Said::Verdicts(verdicts) => Meant::Verdicts(verdicts),
            Said::Job(id) => Meant::Job(id),
            Said::Refused(words) => refusal(operation, answer, sent, &|words_of, sent| {
                answer::refused_with(words_of.or(words.as_deref()), sent)
            }),
        });
    };
    let all = |verdict: &dyn Fn(&Sent<'_>) -> Verdict| Ok(Meant::Verdicts(sent.iter().map(verdict).collect()));
    let told = |sent: &Sent<'_>| redact::without_values(&fault.message, sent.fields, sent.secrets);
    let gone = fault.code == Code::NotFound;
    // Rejected instead of parked: a rule of the connector knows better what this status means here.
    if operation.key().is_some_and(|key| answer.status == key.mismatch) && fault.disposition == Disposition::Park {
        return all(&|sent| Verdict::Parked(Reason::new(Code::KeyMismatch, told(sent))));
    }
    if gone && operation.makes == Makes::Delete && sent.len() == 1 {
        return all(&|_| Verdict::Deleted);
    }
    // The address is the same for every record, so this is not about any of them.
    let everywhere = operation.request.path.constant().is_some();
    if answer.status == StatusCode::METHOD_NOT_ALLOWED || (answer.status == StatusCode::NOT_FOUND && everywhere) {
        return Err(fault.clone().with(Disposition::Halt).help(
            "The batch stays staged and no record of it is rejected. Check the connection's base URL and the operation's \
             path and method, and run again.",
        ));
    }
    match fault.disposition {
        Disposition::Reject => Ok(refusal(operation, answer, sent, &|words, sent| match words {
            Some(_) => answer::refused_with(words, sent),
            None => Verdict::Rejected(Reason::new(Code::RecordRefused, told(sent))),
        })),
        Disposition::Park => all(&|sent| Verdict::Parked(Reason::new(Code::RecordRefused, told(sent)))),
        Disposition::Retry { .. } | Disposition::Halt => Err(fault.clone()),
    }
}

/// A refused request that carried one record is that record's verdict; of several, it is a search. `verdict` gets the
/// words that stand where the connector says, if they do.
fn refusal(
    operation: &Operation,
    answer: &Answer,
    sent: &[Sent<'_>],
    verdict: &dyn Fn(Option<&str>, &Sent<'_>) -> Verdict,
) -> Meant {
    let body = std::str::from_utf8(&answer.body).unwrap_or_default();
    let first_error = operation.first_error.as_ref();
    match (sent, first_error) {
        ([only], _) => {
            let at = first_error.and_then(|first| first.message.as_ref());
            let words = at.and_then(|path| redact::words(path.find(body)?.get()));
            Meant::Verdicts(vec![verdict(words.as_deref(), only)])
        }
        (_, Some(first_error)) => match blamed(first_error, body, sent.len()) {
            at if at.is_empty() => Meant::Divide,
            at => Meant::Isolate(at),
        },
        (_, None) => Meant::Divide,
    }
}

/// The places that a refusal names, in ascending order. None where one is not a place of the batch: who counts otherwise
/// than declared is not believed at all.
fn blamed(first_error: &FirstError, body: &str, count: usize) -> Vec<usize> {
    let Some(found) = first_error.index.find(body).map(|raw| raw.get()) else { return Vec::new() };
    let numbers: Option<Vec<usize>> = match &first_error.after {
        Some(after) => found
            .split(after.as_str())
            .skip(1)
            .map(|rest| rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())].parse().ok())
            .collect(),
        None => {
            let listed = serde_json::from_str::<Vec<&serde_json::value::RawValue>>(found);
            let texts = listed.map_or_else(|_| vec![found], |all| all.into_iter().map(|raw| raw.get()).collect());
            texts.into_iter().map(|raw| text(raw)?.parse().ok()).collect()
        }
    };
    let places = numbers.unwrap_or_default().into_iter().map(|number| number.checked_sub(first_error.from));
    let places: Option<Vec<usize>> = places.map(|at| at.filter(|at| *at < count)).collect();
    let mut places = places.unwrap_or_default();
    places.sort_unstable();
    places.dedup();
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Path;

    fn read(index: &str, after: Option<&str>, from: usize, body: &str) -> Vec<usize> {
        let first =
            FirstError { index: Path::parse(index).unwrap(), after: after.map(str::to_owned), from, message: None };
        blamed(&first, body, 5)
    }

    #[test]
    fn a_refusal_names_places_as_numbers_texts_lists_or_inside_a_text() {
        assert_eq!(read("error.index", None, 0, r#"{"error":{"index":3}}"#), [3]);
        assert_eq!(read("error.index", None, 1, r#"{"error":{"index":"5"}}"#), [4]);
        assert_eq!(read("rows", None, 0, r#"{"rows":[4,1,1]}"#), [1, 4]);
        let kintone = r#"{"errors":{"records[3].a.value":{"messages":["no"]},"records[0].b":{}}}"#;
        assert_eq!(read("errors", Some("records["), 0, kintone), [0, 3]);
    }

    #[test]
    fn who_counts_otherwise_than_declared_is_not_believed() {
        for (index, after, from, body) in [
            ("index", None, 0, r#"{"index":5}"#),
            ("index", None, 1, r#"{"index":0}"#),
            ("index", None, 0, r#"{"index":-1}"#),
            ("index", None, 0, r#"{"index":[1,9]}"#),
            ("index", None, 0, r#"{"index":null}"#),
            ("index", None, 0, "<html>"),
            ("error", Some("row "), 0, r#"{"error":"row x is bad"}"#),
            ("error", Some("row "), 0, r#"{"error":"all is bad"}"#),
        ] {
            assert!(read(index, after, from, body).is_empty(), "{body}");
        }
    }
}
