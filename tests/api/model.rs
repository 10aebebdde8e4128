//! A vendor in miniature for every shape of answer: each record has its lot, drawn from a seed, and the answer says it in the
//! shape's own way.

use std::sync::{Arc, Mutex};

use http::Method;
use renkei::config::plan::{
    AnswerShape, FirstError, JobPlan, Makes, Match, MatchBy, Operation, Poll, Repeat, ResultForm, ResultPlan, RowTest,
    RowsAre, WholeAnswer,
};
use serde_json::{Value, json};

use super::{
    server::{Asked, Reply, Server, ok, path, request, status},
    writing::{create_batch, object, value},
};

/// A record as it came, with its place in the request.
#[derive(Clone, Debug)]
pub struct Input {
    pub at: usize,
    pub id: String,
    key: String,
}

impl Input {
    /// Whether the vendor dislikes this record; the seed decides how many it dislikes.
    pub fn is_bad(id: &str, seed: u64) -> bool {
        let share = [0.0, 0.05, 0.5, 1.0][(seed % 4) as usize];
        let number: u64 = id[1..].parse().unwrap();
        fastrand::Rng::with_seed(seed.wrapping_mul(1_000_003) ^ number).f64() < share
    }

    pub fn complaint(id: &str) -> String {
        format!("lead no. {} is disliked", id[1..].parse::<u32>().unwrap() + 1000)
    }

    fn to_json(&self, seed: u64) -> Value {
        let mut said = json!({"at": self.at, "ref": self.id, "echo": self.key, "id": format!("crm-{}", self.id)});
        if Self::is_bad(&self.id, seed) {
            said["message"] = Self::complaint(&self.id).into();
        }
        said["ok"] = (!Self::is_bad(&self.id, seed)).into();
        said
    }
}

pub fn inputs(asked: &Asked) -> Vec<Input> {
    let inputs = asked.json()["inputs"].as_array().unwrap().clone();
    let text = |input: &Value, name: &str| input[name].as_str().unwrap().to_owned();
    let of = |(at, input): (usize, &Value)| Input { at, id: text(input, "id"), key: text(input, "key") };
    inputs.iter().enumerate().map(of).collect()
}

/// One way of answering.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    Positional,
    ByIndex,
    ByField,
    ByKey,
    ById,
    FirstError,
    AllErrors,
    NoWithStatus200,
    JobInJson,
    JobInCsv,
    JobInItsState,
}

pub const SHAPES: [Shape; 11] = [
    Shape::Positional,
    Shape::ByIndex,
    Shape::ByField,
    Shape::ByKey,
    Shape::ById,
    Shape::FirstError,
    Shape::AllErrors,
    Shape::NoWithStatus200,
    Shape::JobInJson,
    Shape::JobInCsv,
    Shape::JobInItsState,
];

impl Shape {
    /// The operation that a connector would declare for it.
    pub fn operation(self, size: usize) -> Operation {
        let plain = create_batch(size, self.answer());
        let mut batch = plain.batch.clone().unwrap();
        batch.each = object(&[("id", value("record.id")), ("key", value("key"))]);
        let mut operation = Operation { batch: Some(batch), first_error: self.first_error(), ..plain };
        match self {
            Self::ById => operation.makes = Makes::Update,
            Self::FirstError | Self::AllErrors => operation.sink_id = Some(path(".")),
            Self::JobInCsv => operation.repeat = vec![Repeat::Upsert { unique: "id".to_owned() }],
            // What speaks of all records alike names no single one's id.
            Self::NoWithStatus200 => operation.sink_id = None,
            _ => {}
        }
        operation
    }

    fn answer(self) -> AnswerShape {
        let listed =
            |by: MatchBy| AnswerShape::Listed { ok: path("results"), errors: Some(path("errors")), matched: by.into() };
        match self {
            Self::Positional => AnswerShape::Positional {
                list: path("."),
                test: RowTest { ok: Some(path("ok")), errors: Some(path("message")) },
            },
            Self::ByIndex => listed(MatchBy::Index(path("at"))),
            Self::ByField => listed(MatchBy::Field { answer: path("ref"), sent: path("id") }),
            Self::ByKey => listed(MatchBy::Key(path("echo"))),
            Self::ById => AnswerShape::Listed {
                ok: path("results"),
                errors: Some(path("errors")),
                matched: Match { by: MatchBy::Id(path("id")), in_errors: Some(path("about.ids")) },
            },
            Self::FirstError | Self::AllErrors => {
                AnswerShape::Positional { list: path("ids"), test: RowTest::default() }
            }
            Self::NoWithStatus200 => {
                AnswerShape::Whole(WholeAnswer { ok: Some(path("ok")), errors: vec![path("error")] })
            }
            Self::JobInJson | Self::JobInCsv | Self::JobInItsState => AnswerShape::Job(Box::new(self.job())),
        }
    }

    fn first_error(self) -> Option<FirstError> {
        let message = Some(path("message"));
        match self {
            Self::FirstError => Some(FirstError { index: path("row"), after: None, from: 1, message }),
            Self::AllErrors => {
                Some(FirstError { index: path("errors"), after: Some("records[".to_owned()), from: 0, message })
            }
            _ => None,
        }
    }

    pub fn job(self) -> JobPlan {
        let test = RowTest { ok: Some(path("ok")), errors: Some(path("message")) };
        let file = |route: &str, form: ResultForm, rows: RowsAre| ResultPlan {
            request: Some(request(Method::GET, route)),
            form,
            rows,
        };
        let csv = || ResultForm::Csv { delimiter: ',', open_end: false };
        let results = match self {
            Self::JobInCsv => vec![
                file("/jobs/{{ job.id }}/good", csv(), RowsAre::Accepted),
                file("/jobs/{{ job.id }}/bad", csv(), RowsAre::Refused(Some(path("message")))),
            ],
            Self::JobInJson => {
                vec![file("/jobs/{{ job.id }}/all", ResultForm::Json(path("rows")), RowsAre::Either(test))]
            }
            _ => vec![ResultPlan { request: None, form: ResultForm::Json(path("rows")), rows: RowsAre::Either(test) }],
        };
        JobPlan {
            id: path("job.id"),
            poll: Poll {
                request: request(Method::GET, "/jobs/{{ job.id }}"),
                every: std::time::Duration::from_millis(1),
                wait_max: std::time::Duration::from_secs(20),
                state: path("state"),
                done: vec!["done".to_owned()],
                failed: vec!["failed".to_owned()],
            },
            results,
            matched: MatchBy::Field { answer: path("ref"), sent: path("id") }.into(),
        }
    }

    /// A server that answers in this shape.
    pub async fn serve(self, seed: u64) -> Server {
        let jobs: Arc<Mutex<Vec<Kept>>> = Arc::default();
        Server::answering(move |asked| self.reply(asked, seed, &jobs)).await
    }

    fn reply(self, asked: &Asked, seed: u64, jobs: &Mutex<Vec<Kept>>) -> Reply {
        if asked.method == Method::GET {
            return of_job(&asked.path, seed, &mut jobs.lock().unwrap());
        }
        let all = inputs(asked);
        let bad: Vec<&Input> = all.iter().filter(|input| Input::is_bad(&input.id, seed)).collect();
        let ids = || json!({"ids": all.iter().map(|input| format!("crm-{}", input.id)).collect::<Vec<_>>()});
        match (self, bad.first()) {
            (Self::Positional, _) => {
                ok(Value::Array(all.iter().map(|input| input.to_json(seed)).collect()).to_string())
            }
            (Self::ByIndex | Self::ByField | Self::ByKey | Self::ById, _) => listed(self, all, seed),
            (Self::FirstError, Some(first)) => {
                status(400, json!({"row": first.at + 1, "message": Input::complaint(&first.id)}).to_string())
            }
            (Self::AllErrors, Some(first)) => {
                let named = bad.iter().map(|input| (format!("records[{}].email", input.at), json!({})));
                let errors: serde_json::Map<String, Value> = named.collect();
                status(400, json!({"errors": errors, "message": Input::complaint(&first.id)}).to_string())
            }
            (Self::NoWithStatus200, Some(first)) => {
                ok(json!({"ok": false, "error": Input::complaint(&first.id)}).to_string())
            }
            (Self::NoWithStatus200, None) => ok(r#"{"ok":true}"#),
            (Self::FirstError | Self::AllErrors, None) => ok(ids().to_string()),
            (Self::JobInJson | Self::JobInCsv | Self::JobInItsState, _) => {
                let mut jobs = jobs.lock().unwrap();
                jobs.push(Kept { asked: 0, inputs: all });
                status(202, json!({"job": {"id": format!("{}/{}", jobs.len() - 1, seed)}}).to_string())
            }
        }
    }
}

struct Kept {
    asked: usize,
    inputs: Vec<Input>,
}

/// In two lists, each in an order of its own.
fn listed(shape: Shape, mut all: Vec<Input>, seed: u64) -> Reply {
    fastrand::Rng::with_seed(seed).shuffle(&mut all);
    let (bad, good): (Vec<Input>, Vec<Input>) = all.into_iter().partition(|input| Input::is_bad(&input.id, seed));
    let good: Vec<Value> = good.iter().map(|input| input.to_json(seed)).collect();
    let bad = bad.iter().map(|input| match shape {
        Shape::ById => {
            json!({"about": {"ids": [format!("crm-{}", input.id)]}, "message": Input::complaint(&input.id)})
        }
        _ => input.to_json(seed),
    });
    status(207, json!({"results": good, "errors": bad.collect::<Vec<_>>()}).to_string())
}

fn of_job(path: &str, seed: u64, jobs: &mut [Kept]) -> Reply {
    // The id holds a slash, which stays one segment of the path.
    let mut parts = path.trim_start_matches("/jobs/").split('/');
    let (number, own_seed) = parts.next().unwrap().split_once("%2F").unwrap();
    assert_eq!(own_seed, seed.to_string());
    let job = &mut jobs[number.parse::<usize>().unwrap()];
    let rows: Vec<Value> = job.inputs.iter().rev().map(|input| input.to_json(seed)).collect();
    let csv = |is_good: bool| {
        let mut text = "message,\"ref\",id\r\n".to_owned();
        for row in rows.iter().filter(|row| row["ok"] == is_good) {
            let word = |name: &str| row[name].as_str().unwrap_or_default().replace('"', "\"\"");
            text += &format!("\"{}\",{},\"{}\"\r\n", word("message"), word("ref"), word("id"));
        }
        text
    };
    match parts.next() {
        None => {
            job.asked += 1;
            let state = ["queued", "running", "done"][job.asked.min(3) - 1];
            ok(json!({"state": state, "rows": rows}).to_string())
        }
        Some("good") => ok(csv(true)),
        Some("bad") => ok(csv(false)),
        Some(_) => ok(json!({"rows": rows}).to_string()),
    }
}
