//! Asynchronous jobs: how one is asked after, when it is over, and where its results stand.

use std::time::Duration;

use http::Method;

use super::{
    check::Check,
    compile_answer::Around,
    compile_body::RawRequest,
    plan::{AnswerShape, JobPlan, RequestPlan, ResultForm, ResultPlan, RowTest, RowsAre},
    raw_answer::{RawAll, RawCsv, RawJob, RawPoll, RawResult},
    shape::{Named, OneOrMany, Source, Spanned},
};
use crate::model::Path;

const JOB_ROOTS: [&str; 2] = ["config", "job"];
const HOUR: Duration = Duration::from_secs(3600);

impl Check<'_> {
    pub fn job(&self, raw: &RawJob, around: &Around<'_>) -> Option<AnswerShape> {
        let poll = &raw.poll.value;
        let every = self.time(poll.every.as_ref(), Duration::from_secs(5), Duration::from_millis(100)..=HOUR);
        let wait_max = self.time(poll.wait_max.as_ref(), HOUR / 2, Duration::from_secs(1)..=24 * HOUR);
        if let Some(span) = poll.every.as_ref().filter(|_| every > wait_max).map(|every| every.span) {
            self.conflict(span, "`every` is longer than `wait_max`", "the job would never be asked after");
        }
        let (done, failed) = self.states(poll);
        if raw.results.is_empty() {
            let help =
                "write where the rows stand, such as `results: [{ get: \"/jobs/{{ job.id }}/results\", ok: ok }]`";
            self.missing_key(raw.poll.span, raw.poll.span, "results", help);
        }
        let results: Vec<Option<ResultPlan>> = raw.results.iter().map(|result| self.job_result(result)).collect();
        let request = self.job_request(&poll.get, &Named::default());
        let matched = self.matched(&raw.matched, around);
        Some(AnswerShape::Job(Box::new(JobPlan {
            id: self.path(&raw.id),
            poll: request?,
            every,
            wait_max,
            state: self.path(&poll.state),
            done,
            failed,
            results: results.into_iter().collect::<Option<Vec<ResultPlan>>>()?,
            matched: matched?,
        })))
    }

    fn states(&self, poll: &RawPoll) -> (Vec<String>, Vec<String>) {
        let texts = |states: &OneOrMany<String>| states.0.iter().map(|state| state.value.clone()).collect::<Vec<_>>();
        let done = texts(&poll.done);
        let failed = poll.failed.as_ref().map(texts).unwrap_or_default();
        if done.is_empty() {
            self.conflict(poll.state.span, "a job that is never done", "name at least one state under `done:`");
        }
        let both = poll.failed.iter().flat_map(|failed| &failed.0).find(|state| done.contains(&state.value));
        if let Some(state) = both {
            let message = format!("`{}` is both done and failed", state.value);
            self.conflict(state.span, message, "a state leads to the results or to an error: keep it in one list");
        }
        (done, failed)
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
