//! Asynchronous jobs: a request names one, it is asked after until it is done, and its result files are fetched.
//!
//! The hard idea is what survives a crash: nothing of the job. The request that made it is sent again under its repeat
//! kind, so with an idempotency key the vendor names the same job, and with an upsert a second job does the same again.
//! Every way in which a job can disappoint is therefore a fault that leaves the batch staged.

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, header};
use secrecy::SecretString;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep};

use super::{
    answer::{self, Rows},
    csv,
    matching::text,
    redact,
};
use crate::{
    config::plan::{Api, JobPlan, Operation, RequestPlan, ResultForm, ResultPlan},
    expr::Scope,
    http::{Answer, Client, render, without},
    model::{Blame, Code, Fault},
};

/// One job that a request made.
pub struct Job<'a> {
    pub client: &'a Client,
    pub api: &'a Api,
    pub operation: &'a Operation,
    pub plan: &'a JobPlan,
    pub id: &'a str,
    /// Personal values of its records, which no message repeats.
    pub hides: Vec<SecretString>,
}

impl<'a> Job<'a> {
    /// Waits for the job and returns all rows of its results, and what signed the requests for them. Dropping the future
    /// gives up waiting, not the job.
    pub async fn results(&self) -> Result<(Vec<Rows<'a>>, Vec<SecretString>), Fault> {
        let last = self.wait().await?;
        let mut secrets = last.secrets.clone();
        let mut files = Vec::with_capacity(self.plan.results.len());
        for result in &self.plan.results {
            let rows = match &result.request {
                None => self.rows(result, &last.body)?,
                Some(request) => {
                    let answer = self.get(request, &result.form).await?;
                    secrets.extend(answer.secrets);
                    self.rows(result, &answer.body)?
                }
            };
            files.push(Rows { are: &result.rows, rows });
        }
        Ok((files, secrets))
    }

    /// Asks after the job until it is done, and returns the last answer.
    async fn wait(&self) -> Result<Answer, Fault> {
        let began = Instant::now();
        let form = ResultForm::Json(self.plan.poll.state.clone());
        loop {
            let answer = self.get(&self.plan.poll.request, &form).await?;
            let body = std::str::from_utf8(&answer.body).unwrap_or_default();
            let Some(state) = self.plan.poll.state.find(body).and_then(|raw| text(raw.get())) else {
                let why = format!("it names no state of job {} at `{}`", self.id, self.plan.poll.state);
                return Err(answer::strange(self.operation, &why));
            };
            if self.plan.poll.done.contains(&state) {
                return Ok(answer);
            }
            if self.plan.poll.failed.contains(&state) {
                return Err(self.failed(&state, &answer));
            }
            let asked = self.client.asked_to_wait(&answer).filter(|asked| !asked.is_zero());
            let wait = asked.unwrap_or(self.plan.poll.every);
            if began.elapsed() + wait > self.plan.poll.wait_max {
                return Err(self.unfinished(&answer.hushed(&state), began.elapsed(), asked));
            }
            sleep(wait).await;
        }
    }

    async fn get(&self, request: &RequestPlan, form: &ResultForm) -> Result<Answer, Fault> {
        let job = serde_json::json!({ "id": self.id }).to_string();
        let scope = Scope::new().json("job", job).json("config", self.api.settings.as_str());
        let name: Arc<str> = self.operation.name.as_str().into();
        let call = render::call(self.api, request, &name, &scope, true);
        let mut call = call.map_err(|reason| {
            let message = format!("the request after job {}: {}", self.id, reason.message);
            Fault::halt(reason.code, Blame::Config, message).help(STAYS_STAGED)
        })?;
        if matches!(form, ResultForm::Csv { .. }) {
            call.headers.insert(header::ACCEPT, HeaderValue::from_static("text/csv"));
        }
        call.hides = self.hides.clone();
        self.client.execute(&call).await?.accepted()
    }

    fn rows(&self, result: &ResultPlan, body: &[u8]) -> Result<Vec<String>, Fault> {
        let read =
            std::str::from_utf8(body).map_err(|_| "it is no text".to_owned()).and_then(|text| match &result.form {
                ResultForm::Csv { delimiter, open_end } => csv::rows(text, *delimiter, *open_end),
                ResultForm::Json(path) => {
                    let list = answer::list(text, path)?.ok_or_else(|| format!("it has no list at `{path}`"))?;
                    Ok(list.into_iter().map(RawValue::get).map(str::to_owned).collect())
                }
            });
        read.map_err(|why| {
            let place = result.request.as_ref().map_or("the answer about its state", |request| &*request.route);
            let message = format!("a result file of job {} ({place}) cannot be read: {why}", self.id);
            self.fault(Code::ResultFile, message)
        })
    }

    fn failed(&self, state: &str, answer: &Answer) -> Fault {
        let words = redact::words(std::str::from_utf8(&answer.body).unwrap_or_default());
        let words =
            words.map(|words| format!(": {}", without(&answer.hushed(&words), &self.hides))).unwrap_or_default();
        self.fault(Code::JobFailed, format!("job {} ended as `{state}`{words}", self.id))
    }

    fn unfinished(&self, state: &str, waited: Duration, asked: Option<Duration>) -> Fault {
        let further = asked.map(|asked| format!(", and asks to wait {asked:?} more")).unwrap_or_default();
        let message = format!(
            "job {} is still `{state}` after {} s{further}; `wait_max` is {:?}",
            self.id,
            waited.as_secs(),
            self.plan.poll.wait_max
        );
        self.fault(Code::JobUnfinished, message)
    }

    fn fault(&self, code: Code, message: String) -> Fault {
        Fault::halt(code, Blame::Remote, message).help(STAYS_STAGED).at(format!("operation {}", self.operation.name))
    }
}

const STAYS_STAGED: &str = "Nothing is lost: the batch stays staged, and the next run sends the request that made the job again: under its \
    idempotency key the vendor names the same job, and an upsert does the same a second time. Look at the job at the \
    vendor, and compare `answer:` of the operation with what it answers.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::plan::{AnswerShape, Auth, Makes, MatchBy, Poll, Repeat, RowTest, RowsAre},
        expr::Template,
        http::{
            Policy, Seams, Unsigned,
            script::{Script, SetClock, answer, api},
        },
        model::{Path, SystemEntropy},
    };

    fn path(text: &str) -> Path {
        Path::parse(text).unwrap()
    }

    fn get(route: &str) -> RequestPlan {
        RequestPlan::new(http::Method::GET, route, Template::compile(route).unwrap())
    }

    fn plan(wait_max: u64) -> JobPlan {
        let rows = RowsAre::Either(RowTest { ok: Some(path("ok")), errors: None });
        JobPlan {
            id: path("id"),
            poll: Poll {
                request: get("/jobs/{{ job.id }}"),
                every: Duration::from_secs(5),
                wait_max: Duration::from_secs(wait_max),
                state: path("state"),
                done: vec!["done".to_owned()],
                failed: Vec::new(),
            },
            results: vec![ResultPlan { request: None, form: ResultForm::Json(path("rows")), rows }],
            matched: MatchBy::Index(path("at")).into(),
        }
    }

    /// Waits for a job whose states come with these Retry-After headers. Returns the rows and the seconds it took.
    async fn wait(plan: &JobPlan, states: &[(&str, Option<&str>)]) -> (Result<usize, Fault>, u64, usize) {
        let answers = states.iter().map(|(state, after)| {
            let headers: Vec<_> = after.iter().map(|after| ("retry-after", *after)).collect();
            answer(200, &headers, &format!(r#"{{"state":"{state}","rows":[{{}},{{}}]}}"#))
        });
        let server = Script::list(answers.collect());
        let api = api(Auth::None);
        let seams = Seams {
            transport: server.clone(),
            signer: Arc::new(Unsigned),
            clock: SetClock::new(),
            entropy: Arc::new(SystemEntropy::seeded(3)),
        };
        let client = Client::new(Policy::of(&api), seams);
        let operation = Operation {
            name: "write".to_owned(),
            request: get("/leads"),
            makes: Makes::Upsert,
            created: None,
            batch: None,
            repeat: vec![Repeat::Upsert { unique: "id".to_owned() }],
            answer: AnswerShape::whole(),
            first_error: None,
            read: None,
            schema: None,
            sink_id: None,
        };
        let began = Instant::now();
        let job = Job { client: &client, api: &api, operation: &operation, plan, id: "7", hides: Vec::new() };
        let rows = job.results().await.map(|(files, _)| files.iter().map(|file| file.rows.len()).sum());
        (rows, began.elapsed().as_secs(), server.seen().len())
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_is_asked_after_when_its_answer_says_and_else_by_the_clock() {
        let states = [("queued", Some("30")), ("running", None), ("running", Some("0")), ("done", None)];
        let (rows, seconds, asked) = wait(&plan(60), &states).await;
        assert_eq!((rows.unwrap(), seconds, asked), (2, 30 + 5 + 5, 4));
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_never_ends_is_given_up_at_its_bound_and_not_before() {
        let (rows, seconds, asked) = wait(&plan(60), &[("running", None)]).await;
        let fault = rows.unwrap_err();
        assert_eq!((fault.code, seconds, asked), (Code::JobUnfinished, 60, 13));
        assert!(fault.message.contains("still `running` after 60 s; `wait_max` is 60s"), "{fault}");
        let (rows, seconds, _) = wait(&plan(60), &[("running", Some("59")), ("running", Some("2"))]).await;
        assert_eq!((rows.unwrap_err().code, seconds), (Code::JobUnfinished, 59));
    }
}
