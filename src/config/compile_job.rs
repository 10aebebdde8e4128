//! Asynchronous jobs: how one is asked after, when it is over, and where its results stand.

use http::Method;

use super::{
    check::Check,
    compile_answer::Around,
    compile_body::RawRequest,
    compile_poll::Polling,
    plan::{AnswerShape, JobPlan, RequestPlan, ResultForm, ResultPlan, RowTest, RowsAre},
    raw_answer::{RawAll, RawCsv, RawJob, RawPoll, RawResult},
    shape::{Named, Source, Spanned},
};
use crate::model::Path;

const JOB_ROOTS: [&str; 2] = ["config", "job"];

impl Check<'_> {
    pub fn job(&self, raw: &RawJob, around: &Around<'_>) -> Option<AnswerShape> {
        let poll = &raw.poll.value;
        let poll = self.poll(&polling(poll), self.job_request(&poll.get, &Named::default()));
        if raw.results.is_empty() {
            let help =
                "write where the rows stand, such as `results: [{ get: \"/jobs/{{ job.id }}/results\", ok: ok }]`";
            self.missing_key(raw.poll.span, raw.poll.span, "results", help);
        }
        let results: Vec<Option<ResultPlan>> = raw.results.iter().map(|result| self.job_result(result)).collect();
        let matched = self.matched(&raw.matched, around);
        Some(AnswerShape::Job(Box::new(JobPlan {
            id: self.path(&raw.id),
            poll: poll?,
            results: results.into_iter().collect::<Option<Vec<ResultPlan>>>()?,
            matched: matched?,
        })))
    }

    fn job_request(&self, get: &Spanned<Source>, query: &Named<Spanned<Source>>) -> Option<RequestPlan> {
        let headers = Named::default();
        let raw = RawRequest { method: Method::GET, path: get, query, headers: &headers, timeout: None };
        self.request(&raw, None, &JOB_ROOTS)
    }

    fn job_result(&self, raw: &Spanned<RawResult>) -> Option<ResultPlan> {
        let (span, raw) = (raw.span, &raw.value);
        let form = match (&raw.csv, &raw.rows) {
            (Some(csv), rows) => {
                if let Some(rows) = rows {
                    let help = "a CSV file is nothing but rows: remove `rows`";
                    self.conflict(rows.span, "`rows` is a place in JSON", help);
                }
                self.csv(&csv.value)
            }
            (None, rows) => ResultForm::Json(rows.as_ref().map_or_else(Path::whole, |rows| self.path(rows))),
        };
        let test = RowTest { ok: self.maybe_path(raw.ok.as_ref()), errors: self.maybe_path(raw.errors.as_ref()) };
        let rows = match raw.all {
            None if test.ok.is_none() && test.errors.is_none() => {
                let help = "add `all: accepted`, `all: refused`, or `ok:` or `errors:` with a path in a row";
                self.conflict(span, "nothing says whether a row was accepted", help);
                return None;
            }
            None => RowsAre::Either(test),
            Some(all) => {
                if let Some(ok) = &raw.ok {
                    self.conflict(ok.span, "`all` and `ok` both say what a row is", "keep one of the two");
                }
                match all {
                    RawAll::Accepted => RowsAre::Accepted,
                    RawAll::Refused => RowsAre::Refused(test.errors),
                }
            }
        };
        let request = match &raw.get {
            None => {
                if let Some((name, _)) = raw.query.iter().next() {
                    self.conflict(name.span, "`query` without `get`", "add `get:`, or remove it");
                }
                None
            }
            Some(get) => Some(self.job_request(get, &raw.query)?),
        };
        Some(ResultPlan { request, form, rows })
    }

    fn csv(&self, raw: &RawCsv) -> ResultForm {
        let delimiter = raw.delimiter.as_ref().map_or(Some(','), |text| {
            let mut letters = text.value.chars();
            let one = letters.next().filter(|c| !matches!(c, '"' | '\r' | '\n') && letters.next().is_none());
            if one.is_none() {
                let help = "write one character that is no quote and no line break, such as `;` or a tab";
                self.conflict(text.span, "this cannot stand between two fields", help);
            }
            one
        });
        ResultForm::Csv { delimiter: delimiter.unwrap_or(','), open_end: raw.open_end.is_some() }
    }
}

fn polling(raw: &RawPoll) -> Polling<'_> {
    let RawPoll { every, wait_max, state, done, failed, .. } = raw;
    let (every, wait_max, failed) = (every.as_ref(), wait_max.as_ref(), failed.as_ref());
    Polling { every, wait_max, state, done, failed, leads_to: "results" }
}
