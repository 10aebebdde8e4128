//! What vendors offer, or fail to offer, to a client whose answer was lost: a search that lags behind, revisions, a create that
//! knows no keys, and one that answers a repeated key with "already done".

use chrono::TimeDelta;
use http::StatusCode;
use serde_json::{Value, json};

use super::{
    account::Outcome,
    call::{Answer, Call, Refusal, bad_parameter, error, json},
    config::WorldConfig,
    crm::Crm,
    lead::Lead,
};

impl Crm {
    /// `POST /crm/leads/plain`: makes a lead each time, whatever key it is sent with.
    pub fn plain(&mut self, call: &Call) -> Outcome {
        self.create(call)
    }

    /// `GET /crm/leads/search?external_id=`: what the index knows by now.
    pub fn search(&self, call: &Call, config: &WorldConfig) -> Result<Answer, Refusal> {
        let wanted = call.parameter("external_id").filter(|wanted| !wanted.is_empty());
        let wanted = wanted.ok_or_else(|| bad_parameter("external_id", "is required"))?;
        let lag = TimeDelta::from_std(config.index_lag).unwrap_or(TimeDelta::MAX);
        let indexed = |lead: &&Lead| call.now - lead.made_at >= lag;
        let data: Vec<Value> = self.leads.with_external_id(&wanted).filter(indexed).map(Lead::to_json).collect();
        Ok(json(StatusCode::OK, &json!({ "data": data })))
    }
}

/// The revision of a lead, as an entity tag.
pub(super) fn etag(lead: &Lead) -> String {
    format!("\"{}\"", lead.revision)
}

/// The refusal of a write that names another revision than the lead has.
pub(super) fn moved_on(call: &Call, lead: &Lead) -> Option<Refusal> {
    let named = call.header("if-match").filter(|named| *named != "*" && *named != etag(lead));
    named.map(|_| error(StatusCode::PRECONDITION_FAILED, "revision_mismatch", "the lead has another revision by now"))
}

/// The answer to a key that was used before.
pub(super) fn already_done(first: &Answer) -> Answer {
    let lead: Value = serde_json::from_slice(first.body()).unwrap_or_default();
    json(StatusCode::BAD_REQUEST, &json!({ "code": "already_done", "id": lead["id"] }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sandbox::probe::{Probe, calm, json as body_of};

    fn lead() -> Value {
        json!({ "external_id": "cus_000001", "email": "a@example.com" })
    }

    #[test]
    fn a_plain_create_honours_no_key() {
        let mut probe = Probe::new(calm());
        let key = [("idempotency-key", "k")];
        for _ in 0..2 {
            assert_eq!(probe.send("POST", "/crm/leads/plain", &key, &lead().to_string()).status(), 201);
        }
        assert_eq!(probe.world.report().doubled, 1);
    }

    #[test]
    fn the_search_shows_a_new_lead_only_after_the_lag() {
        let mut probe = Probe::new(WorldConfig { index_lag: Duration::from_secs(10), ..calm() });
        probe.write("POST", "/crm/leads/plain", &lead());
        let path = "/crm/leads/search?external_id=cus_000001";
        probe.later(9_999);
        assert_eq!(probe.read(path), json!({ "data": [] }));
        probe.later(1);
        assert_eq!(probe.read(path)["data"][0]["id"], "lead_000001");
        assert_eq!(probe.get("/crm/leads/search").status(), 400);
    }

    #[test]
    fn a_change_that_names_an_old_revision_is_refused() {
        let mut probe = Probe::new(calm());
        probe.write("POST", "/crm/leads/plain", &lead());
        let path = "/crm/leads/lead_000001";
        assert_eq!(probe.get(path).headers()["etag"], "\"1\"");
        let mut patch = |revision: &str, name: &str| {
            let body = json!({ "name": name }).to_string();
            probe.send("PATCH", path, &[("if-match", revision)], &body).status().as_u16()
        };
        assert_eq!(
            (patch("\"1\"", "A"), patch("\"1\"", "B"), patch("\"2\"", "A"), patch("*", "C")),
            (200, 412, 200, 200)
        );
        // What changes nothing is no new revision.
        assert_eq!(probe.get(path).headers()["etag"], "\"3\"");
    }

    #[test]
    fn somebody_else_may_change_a_lead_that_was_read() {
        let mut probe = Probe::new(WorldConfig { meddle: 1.0, ..calm() });
        probe.write("POST", "/crm/leads/plain", &lead());
        let path = "/crm/leads/lead_000001";
        assert_eq!(
            (probe.get(path).headers()["etag"].clone(), probe.get(path).headers()["etag"].clone()),
            ("\"1\"".parse().unwrap(), "\"2\"".parse().unwrap())
        );
        assert_eq!(probe.world.report().doubled, 0);
    }

    #[test]
    fn a_key_that_was_used_is_already_done() {
        let mut probe = Probe::new(calm());
        let key = [("idempotency-key", "k")];
        assert_eq!(probe.send("POST", "/crm/leads/once", &key, &lead().to_string()).status(), 201);
        let again = probe.send("POST", "/crm/leads/once", &key, &lead().to_string());
        assert_eq!(
            (again.status().as_u16(), body_of(&again)),
            (400, json!({ "code": "already_done", "id": "lead_000001" }))
        );
        assert_eq!((probe.world.leads().len(), probe.world.counters().replayed), (1, 1));
    }
}
