//! The CRM's routes for single leads, and the rule about keys that all its writes share. Batches are next door.

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::{
    account::{Deed, Effect, Outcome},
    call::{Answer, Call, Refusal, bytes, error, json, not_found, set},
    config::WorldConfig,
    crm_jobs::Jobs,
    idempotency::{Keys, Seen},
    lead::{Complaint, Lead, Leads},
};

const KEY_BYTES_MAX: usize = 255;

#[derive(Debug)]
pub(super) struct Crm {
    pub leads: Leads,
    pub jobs: Jobs,
    keys: Keys,
}

/// The writes that honour an `Idempotency-Key`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Keyed {
    Create,
    Batch,
    BatchUpsert,
    Atomic,
    Rpc,
    Job,
    /// A create that says so when it was done before.
    Once,
}

impl Crm {
    pub fn new(leads_max: usize) -> Self {
        Self { leads: Leads::new(leads_max), jobs: Jobs::default(), keys: Keys::default() }
    }

    pub fn keyed(&mut self, call: &Call, config: &WorldConfig, write: Keyed) -> Outcome {
        let key = match call.header("idempotency-key") {
            Some(key) if key.is_empty() || key.len() > KEY_BYTES_MAX => {
                return refused(StatusCode::BAD_REQUEST, "idempotency_key_invalid", "a key has 1 to 255 bytes");
            }
            None if config.key_required && write == Keyed::Create => {
                return refused(StatusCode::BAD_REQUEST, "idempotency_key_missing", "send an Idempotency-Key");
            }
            None => return self.write(call, config, write),
            Some(key) => key,
        };
        match self.keys.look(key, call) {
            Seen::New => {
                let outcome = self.write(call, config, write);
                // A refused request had no effect, so it may come again corrected under the same key.
                if outcome.answer.status().is_success() {
                    self.keys.keep(key, call, &outcome.answer, config.key_retention);
                }
                outcome
            }
            Seen::Replay(answer) if write == Keyed::Once => {
                Outcome::plain(Effect::Replayed, super::crm_repeat::already_done(&answer))
            }
            Seen::Replay(mut answer) => {
                set(&mut answer, "idempotency-replayed", "true");
                Outcome::plain(Effect::Replayed, answer)
            }
            Seen::OtherRequest => refused(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "this key came before with another request",
            ),
            Seen::InFlight => {
                let mut answer =
                    error(StatusCode::CONFLICT, "idempotency_key_in_flight", "the first request is being worked on");
                set(&mut answer, "retry-after", "1");
                Outcome::refused(answer)
            }
            Seen::Full => refused(StatusCode::INSUFFICIENT_STORAGE, "idempotency_keys_full", "no more keys are kept"),
        }
    }

    fn write(&mut self, call: &Call, config: &WorldConfig, write: Keyed) -> Outcome {
        match write {
            Keyed::Create | Keyed::Once => self.create(call),
            Keyed::Batch => super::crm_batch::positional(&mut self.leads, call, config.batch_size_max),
            Keyed::BatchUpsert => super::crm_batch::listed(&mut self.leads, call, config.batch_size_max),
            Keyed::Atomic => super::crm_shapes::atomic(&mut self.leads, call, config.batch_size_max),
            Keyed::Rpc => super::crm_shapes::rpc(&mut self.leads, call),
            Keyed::Job => self.jobs.create(&mut self.leads, call, config.batch_size_max),
        }
    }

    pub(super) fn create(&mut self, call: &Call) -> Outcome {
        let fields = match call.object() {
            Ok(fields) => fields,
            Err(answer) => return Outcome::refused(answer),
        };
        let created = self.leads.create(fields).map(|place| (place, Effect::Created));
        self.told(created, StatusCode::CREATED, Lead::to_json)
    }

    /// `PUT /crm/leads/by-external-id/{external_id}`
    pub fn upsert(&mut self, call: &Call, external_id: String) -> Outcome {
        let mut fields = match call.object() {
            Ok(fields) => fields,
            Err(answer) => return Outcome::refused(answer),
        };
        if fields.get("external_id").is_some_and(|given| given.as_str() != Some(&external_id)) {
            return Outcome::refused(complaint(&Complaint::new("external_id", "mismatch", "differs from the path")));
        }
        fields.insert("external_id".into(), external_id.into());
        let written = self.leads.upsert(fields);
        let created = matches!(written, Ok((_, Effect::Created)));
        let status = if created { StatusCode::CREATED } else { StatusCode::OK };
        self.told(written, status, |lead| json!({ "id": lead.id, "created": created }))
    }

    /// `GET`, `PATCH` and `DELETE /crm/leads/{id}`
    ///
    /// `meddles`: once the lead is read, somebody else changes it.
    pub fn one(&mut self, call: &Call, id: &str, meddles: bool) -> Outcome {
        let Some(place) = self.leads.place(id) else {
            return Outcome::refused(not_found());
        };
        if call.method == Method::GET {
            let mut answer = json(StatusCode::OK, &self.leads.at(place).to_json());
            set(&mut answer, "etag", &super::crm_repeat::etag(self.leads.at(place)));
            if meddles {
                self.leads.meddle(place);
            }
            return Outcome::plain(Effect::Read, answer);
        }
        if let Some(refusal) = super::crm_repeat::moved_on(call, self.leads.at(place)) {
            return Outcome::refused(refusal);
        }
        if call.method == Method::DELETE {
            let deed = deed(Effect::Deleted, self.leads.at(place));
            self.leads.delete(place);
            return Outcome { answer: bytes(StatusCode::NO_CONTENT, Vec::new()), deeds: vec![deed] };
        }
        match call.object() {
            Ok(fields) => {
                let patched = self.leads.patch(place, fields).map(|effect| (place, effect));
                self.told(patched, StatusCode::OK, Lead::to_json)
            }
            Err(answer) => Outcome::refused(answer),
        }
    }

    /// `GET /crm/leads?external_id=&cursor=&limit=`: the cursor is the id of the last lead seen.
    pub fn list(&self, call: &Call, config: &WorldConfig) -> Result<Answer, Refusal> {
        let limit = call.page_size("limit", config.page_size, config.page_size_max)?;
        let after = match call.parameter("cursor") {
            None => 0,
            Some(cursor) => match self.leads.place(&cursor) {
                Some(place) => place + 1,
                None => return Err(error(StatusCode::BAD_REQUEST, "invalid_cursor", "the cursor is not known")),
            },
        };
        let data: Vec<&Lead> = match call.parameter("external_id") {
            Some(wanted) => {
                let places = self.leads.places(&wanted).iter().filter(|&&place| place >= after);
                places.take(limit + 1).map(|&place| self.leads.at(place)).collect()
            }
            None => {
                let later = self.leads.all().filter(|(place, _)| *place >= after);
                later.take(limit + 1).map(|(_, lead)| lead).collect()
            }
        };
        let has_more = data.len() > limit;
        let data = &data[..data.len().min(limit)];
        let next = data.last().filter(|_| has_more).map(|lead| lead.id.as_str());
        let data: Vec<Value> = data.iter().map(|lead| lead.to_json()).collect();
        Ok(json(StatusCode::OK, &json!({ "data": data, "next_cursor": next, "has_more": has_more })))
    }

    /// Answers a write to one lead and names what was done.
    fn told(
        &self,
        written: Result<(usize, Effect), Complaint>,
        status: StatusCode,
        body: impl Fn(&Lead) -> Value,
    ) -> Outcome {
        match written {
            Ok((place, effect)) => {
                let lead = self.leads.at(place);
                Outcome { answer: json(status, &body(lead)), deeds: vec![deed(effect, lead)] }
            }
            Err(trouble) => Outcome::refused(complaint(&trouble)),
        }
    }
}

pub(super) fn deed(effect: Effect, lead: &Lead) -> Deed {
    Deed { effect, external_id: lead.text("external_id").map(String::from), lead_id: Some(lead.id.clone()) }
}

pub(super) fn deed_refused(fields: &Map<String, Value>) -> Deed {
    let external_id = fields.get("external_id").and_then(Value::as_str).map(String::from);
    Deed { effect: Effect::Refused, external_id, lead_id: None }
}

fn complaint(trouble: &Complaint) -> Refusal {
    let errors = json!({ "errors": [{ "field": trouble.field, "message": trouble.message }] });
    Box::new(json(StatusCode::UNPROCESSABLE_ENTITY, &errors))
}

fn refused(status: StatusCode, code: &str, message: &str) -> Outcome {
    Outcome::refused(error(status, code, message))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sandbox::probe::{Probe, calm, json as body_of};

    fn lead(name: &str) -> Value {
        json!({ "external_id": "cus_000001", "email": "a@example.com", "name": name })
    }

    #[test]
    fn an_upsert_creates_once_and_then_changes_only_what_it_says() {
        let mut probe = Probe::new(calm());
        let path = "/crm/leads/by-external-id/cus_000001";
        let id = json!("lead_000001");
        assert_eq!(probe.write("PUT", path, &lead("A")), (201, json!({ "id": id, "created": true })));
        assert_eq!(probe.write("PUT", path, &json!({ "phone": "1" })), (200, json!({ "id": id, "created": false })));
        assert_eq!(probe.write("PUT", path, &lead("A")), (200, json!({ "id": id, "created": false })));
        let stored = probe.read("/crm/leads/lead_000001");
        assert_eq!((&stored["name"], &stored["phone"], &stored["status"]), (&json!("A"), &json!("1"), &json!("new")));
        let counters = probe.world.counters();
        assert_eq!((counters.created, counters.updated, counters.unchanged), (1, 1, 1));
        assert_eq!(probe.write("PUT", path, &json!({ "external_id": "b", "email": "a@b" })).0, 422);
    }

    #[test]
    fn a_create_without_a_key_doubles_unless_a_key_is_required() {
        let mut probe = Probe::new(calm());
        probe.write("POST", "/crm/leads", &lead("A"));
        probe.write("POST", "/crm/leads", &lead("A"));
        let found = probe.read("/crm/leads?external_id=cus_000001");
        assert_eq!(found["data"].as_array().unwrap().len(), 2);
        assert_eq!(probe.world.report().doubled, 1);
        let mut strict = Probe::new(WorldConfig { key_required: true, ..calm() });
        assert_eq!(strict.write("POST", "/crm/leads", &lead("A")).0, 400);
        assert_eq!(strict.create("k", &lead("A")).status(), 201);
    }

    #[test]
    fn a_key_is_forgotten_after_its_retention_and_then_makes_a_double() {
        let mut probe = Probe::new(WorldConfig { key_retention: Duration::from_secs(100), ..calm() });
        probe.create("k", &lead("A"));
        probe.later(99_999);
        assert!(probe.create("k", &lead("A")).headers().contains_key("idempotency-replayed"));
        probe.later(1);
        assert!(!probe.create("k", &lead("A")).headers().contains_key("idempotency-replayed"));
        assert_eq!(probe.world.report().doubled, 1);
    }

    #[test]
    fn a_key_names_one_request_on_one_path() {
        let mut probe = Probe::new(calm());
        assert_eq!(probe.create("k", &lead("A")).status(), 201);
        assert_eq!(probe.create("k", &lead("B")).status(), 422);
        let batch = json!({ "inputs": [lead("A")] }).to_string();
        let key = [("idempotency-key", "l")];
        assert_eq!(probe.send("POST", "/crm/leads/batch", &key, &batch).status(), 200);
        let elsewhere = probe.send("POST", "/crm/leads/batch/upsert", &key, &batch);
        assert_eq!(body_of(&elsewhere)["error"], "idempotency_key_reused");
        assert_eq!(probe.create(&"k".repeat(256), &lead("A")).status(), 400);
    }

    #[test]
    fn a_refused_create_leaves_its_key_free() {
        let mut probe = Probe::new(calm());
        let refused = probe.create("k", &json!({ "email": "nobody" }));
        assert_eq!(refused.status(), 422);
        assert_eq!(body_of(&refused), json!({ "errors": [{ "field": "email", "message": "must contain @" }] }));
        assert_eq!(probe.create("k", &lead("A")).status(), 201);
    }

    #[test]
    fn a_key_is_in_flight_for_as_long_as_the_answer_takes() {
        let mut probe = Probe::new(calm());
        let request = http::Request::post("/crm/leads").header("idempotency-key", "k");
        let request = request.header("authorization", format!("Bearer {}", probe.token));
        let request = request.body(lead("A").to_string().into()).unwrap();
        probe.world.handle_slowly(probe.now, request, Duration::from_millis(500));
        probe.later(499);
        let early = probe.create("k", &lead("A"));
        assert_eq!((early.status().as_u16(), early.headers()["retry-after"].to_str().unwrap()), (409, "1"));
        probe.later(1);
        assert!(probe.create("k", &lead("A")).headers().contains_key("idempotency-replayed"));
    }

    #[test]
    fn a_patch_changes_a_lead_that_exists() {
        let mut probe = Probe::new(calm());
        probe.write("POST", "/crm/leads", &lead("A"));
        let (status, patched) = probe.write("PATCH", "/crm/leads/lead_000001", &json!({ "status": "open" }));
        assert_eq!((status, &patched["status"], &patched["name"]), (200, &json!("open"), &json!("A")));
        assert_eq!(probe.write("PATCH", "/crm/leads/lead_000002", &json!({})).0, 404);
        assert_eq!(probe.write("PATCH", "/crm/leads/lead_000001", &json!({ "external_id": "z" })).0, 422);
    }

    #[test]
    fn leads_are_listed_page_by_page() {
        let mut probe = Probe::new(calm());
        (0..5).for_each(|n| drop(probe.write("POST", "/crm/leads", &json!({ "email": format!("{n}@b") }))));
        let (mut path, mut seen) = ("/crm/leads?limit=2".to_owned(), Vec::new());
        loop {
            let page = probe.read(&path);
            seen.extend(page["data"].as_array().unwrap().iter().map(|lead| lead["id"].as_str().unwrap().to_owned()));
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            path = format!("/crm/leads?limit=2&cursor={cursor}");
        }
        assert_eq!(seen, ["lead_000001", "lead_000002", "lead_000003", "lead_000004", "lead_000005"]);
        assert_eq!(probe.get("/crm/leads?cursor=lead_000009").status(), 400);
    }

    #[test]
    fn a_body_that_is_not_an_object_is_a_problem() {
        let mut probe = Probe::new(calm());
        for body in ["", "{", "[]", "7"] {
            let answer = probe.send("POST", "/crm/leads", &[], body);
            assert_eq!((answer.status().as_u16(), body_of(&answer)["status"].as_u64()), (400, Some(400)), "{body}");
            assert_eq!(answer.headers()["content-type"], "application/problem+json");
        }
    }
}
