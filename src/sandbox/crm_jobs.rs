//! Asynchronous jobs: a request makes one, its state moves on each time it is asked for, and its results can be read when it
//! is done. The leads are written when the job is made, because nobody can look into a job from outside.

use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::{
    account::{Effect, Outcome},
    call::{Answer, Call, Refusal, bytes, error, json, not_found},
    crm_batch::{inputs, upsert},
    lead::Leads,
};

/// Jobs that are kept; one too many is refused, as by a vendor whose queue is full.
const JOBS_MAX: usize = 100_000;

#[derive(Debug, Default)]
pub(super) struct Jobs(Vec<Job>);

#[derive(Debug)]
struct Job {
    /// How often it was asked after.
    asked: u32,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    external_id: Option<String>,
    id: Option<String>,
    created: bool,
    error: Option<String>,
}

impl Jobs {
    /// `POST /crm/jobs`
    pub fn create(&mut self, leads: &mut Leads, call: &Call, max: usize) -> Outcome {
        if self.0.len() >= JOBS_MAX {
            return Outcome::refused(error(StatusCode::INSUFFICIENT_STORAGE, "jobs_full", "no more jobs are kept"));
        }
        let inputs = match inputs(call, max) {
            Ok(inputs) => inputs,
            Err(answer) => return Outcome::refused(answer),
        };
        let (mut rows, mut deeds) = (Vec::with_capacity(inputs.len()), Vec::with_capacity(inputs.len()));
        for input in inputs {
            let (deed, written) = upsert(leads, input);
            rows.push(Row {
                external_id: deed.external_id.clone(),
                id: written.is_ok().then(|| deed.lead_id.clone()).flatten(),
                created: deed.effect == Effect::Created,
                error: written.err().map(|trouble| format!("{} {}", trouble.field, trouble.message)),
            });
            deeds.push(deed);
        }
        self.0.push(Job { asked: 0, rows });
        let body = json!({ "id": format!("job_{:06}", self.0.len()), "state": "queued" });
        Outcome { answer: json(StatusCode::ACCEPTED, &body), deeds }
    }

    /// `GET /crm/jobs/{id}`: `queued`, then `running`, and `done` when it was asked for `polls` times before.
    pub fn state(&mut self, id: &str, polls: u32) -> Result<Answer, Refusal> {
        let job = self.job(id)?;
        let state = match job.asked {
            asked if asked >= polls => "done",
            0 => "queued",
            _ => "running",
        };
        job.asked = job.asked.saturating_add(1);
        Ok(json(StatusCode::OK, &json!({ "id": id, "state": state, "inputs": job.rows.len() })))
    }

    /// `GET /crm/jobs/{id}/{file}`, where the file is `results`, `accepted.csv` or `refused.csv`.
    pub fn file(&mut self, id: &str, file: &str, polls: u32) -> Result<Answer, Refusal> {
        let job = self.job(id)?;
        if job.asked <= polls {
            return Err(error(StatusCode::CONFLICT, "job_not_done", "the job has no results yet"));
        }
        let empty = String::new();
        let text = |text: &Option<String>| quoted(text.as_ref().unwrap_or(&empty));
        let (names, lines): (&str, Vec<String>) = match file {
            "results" => return Ok(json(StatusCode::OK, &json!({ "rows": job.to_json() }))),
            "accepted.csv" => {
                let line = |row: &Row| format!("{},{},{}", text(&row.external_id), text(&row.id), row.created);
                ("external_id,id,created", job.rows.iter().filter(|row| row.error.is_none()).map(line).collect())
            }
            "refused.csv" => {
                let line = |row: &Row| format!("{},{}", text(&row.external_id), text(&row.error));
                ("external_id,error", job.rows.iter().filter(|row| row.error.is_some()).map(line).collect())
            }
            _ => return Err(not_found()),
        };
        let body: String = std::iter::once(names.to_owned()).chain(lines).map(|line| line + "\n").collect();
        let mut answer = bytes(StatusCode::OK, body.into_bytes());
        answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv"));
        Ok(answer)
    }

    fn job(&mut self, id: &str) -> Result<&mut Job, Refusal> {
        let number: Option<usize> = id.strip_prefix("job_").and_then(|digits| digits.parse().ok());
        let place = number.and_then(|number| number.checked_sub(1));
        place.and_then(|place| self.0.get_mut(place)).ok_or_else(not_found)
    }
}

impl Job {
    fn to_json(&self) -> Vec<Value> {
        let rows = self.rows.iter().enumerate();
        rows.map(|(index, row)| {
            json!({
                "index": index, "external_id": row.external_id, "success": row.error.is_none(), "id": row.id,
                "created": row.created, "error": row.error,
            })
        })
        .collect()
    }
}

/// A field as CSV wants it.
fn quoted(text: &str) -> String {
    match text.contains(['"', ',', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::sandbox::{
        WorldConfig,
        probe::{Probe, calm},
    };

    #[test]
    fn a_job_is_done_after_it_was_asked_for_and_has_its_results_in_two_forms() {
        let mut probe = Probe::new(WorldConfig { job_polls: 2, ..calm() });
        let inputs =
            json!({ "inputs": [{ "external_id": "a,\"", "email": "a@b" }, { "external_id": "b", "email": "x" }] });
        let (status, made) = probe.write("POST", "/crm/jobs", &inputs);
        assert_eq!((status, made), (202, json!({ "id": "job_000001", "state": "queued" })));
        let mut states = Vec::new();
        for _ in 0..4 {
            assert_eq!(probe.get("/crm/jobs/job_000001/results").status(), if states.len() < 3 { 409 } else { 200 });
            states.push(probe.read("/crm/jobs/job_000001")["state"].clone());
        }
        assert_eq!(states, ["queued", "running", "done", "done"]);
        let rows = probe.read("/crm/jobs/job_000001/results")["rows"].clone();
        assert_eq!((&rows[0]["success"], &rows[1]["error"]), (&json!(true), &json!("email must contain @")));
        let accepted = probe.get("/crm/jobs/job_000001/accepted.csv");
        assert_eq!(accepted.body(), "external_id,id,created\n\"a,\"\"\",lead_000001,true\n");
        assert_eq!(probe.get("/crm/jobs/job_000001/refused.csv").body(), "external_id,error\nb,email must contain @\n");
        for wrong in ["/crm/jobs/job_000002", "/crm/jobs/x", "/crm/jobs/job_000001/other"] {
            assert_eq!(probe.get(wrong).status(), 404, "{wrong}");
        }
    }

    #[test]
    fn the_same_key_names_the_same_job() {
        let mut probe = Probe::new(calm());
        let inputs = json!({ "inputs": [{ "external_id": "a", "email": "a@b" }] }).to_string();
        let first = probe.send("POST", "/crm/jobs", &[("idempotency-key", "k")], &inputs);
        let again = probe.send("POST", "/crm/jobs", &[("idempotency-key", "k")], &inputs);
        assert_eq!((first.body(), again.headers()["idempotency-replayed"].to_str().unwrap()), (again.body(), "true"));
    }
}
