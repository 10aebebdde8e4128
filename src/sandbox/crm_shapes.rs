//! Two ways of saying no that vendors also use: all or nothing with the place of the first bad record, and a 200 whose body
//! says that it went wrong.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{
    account::{Deed, Effect, Outcome},
    call::{Call, json},
    crm::{deed, deed_refused},
    crm_batch::inputs,
    lead::{Complaint, Leads},
};

/// `POST /crm/leads/batch/atomic`: creates all leads, or none and names the first bad one.
pub(super) fn atomic(leads: &mut Leads, call: &Call, max: usize) -> Outcome {
    let inputs = match inputs(call, max) {
        Ok(inputs) => inputs,
        Err(answer) => return Outcome::refused(answer),
    };
    let mut all: Vec<Map<String, Value>> = Vec::with_capacity(inputs.len());
    for (index, input) in inputs.into_iter().enumerate() {
        let fields = input.as_object().cloned().unwrap_or_default();
        if let Err(trouble) = leads.may_create(&fields, all.len()) {
            let error = json!({ "index": index, "code": trouble.code, "message": said(&trouble) });
            return Outcome {
                answer: json(StatusCode::BAD_REQUEST, &json!({ "error": error })),
                deeds: vec![deed_refused(&fields)],
            };
        }
        all.push(fields);
    }
    let places: Vec<usize> = all.into_iter().filter_map(|fields| leads.create(fields).ok()).collect();
    let made: Vec<_> = places.into_iter().map(|place| leads.at(place)).collect();
    let ids: Vec<&str> = made.iter().map(|lead| lead.id.as_str()).collect();
    let answer = json(StatusCode::OK, &json!({ "ids": ids }));
    Outcome { answer, deeds: made.iter().map(|lead| deed(Effect::Created, lead)).collect() }
}

/// `POST /crm/rpc/lead.upsert`: always 200; `ok` says whether it is true.
pub(super) fn rpc(leads: &mut Leads, call: &Call) -> Outcome {
    let fields = match call.object() {
        Ok(fields) => fields,
        Err(answer) => return Outcome::refused(answer),
    };
    let refused: Deed = deed_refused(&fields);
    match leads.upsert(fields) {
        Ok((place, effect)) => {
            let lead = leads.at(place);
            let body = json!({ "ok": true, "lead": { "id": lead.id, "created": effect == Effect::Created } });
            Outcome { answer: json(StatusCode::OK, &body), deeds: vec![deed(effect, lead)] }
        }
        Err(trouble) => {
            let body = json!({ "ok": false, "errors": [{ "field": trouble.field, "message": said(&trouble) }] });
            Outcome { answer: json(StatusCode::OK, &body), deeds: vec![refused] }
        }
    }
}

fn said(trouble: &Complaint) -> String {
    format!("{} {}", trouble.field, trouble.message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::sandbox::probe::{Probe, calm};

    #[test]
    fn an_atomic_batch_creates_all_or_none_and_names_the_first_bad_one() {
        let mut probe = Probe::new(calm());
        let good = json!({ "external_id": "a", "email": "a@b" });
        let (status, answer) =
            probe.write("POST", "/crm/leads/batch/atomic", &json!({ "inputs": [good, { "email": "x" }, 7] }));
        let error = json!({ "index": 1, "code": "invalid_email", "message": "email must contain @" });
        assert_eq!((status, answer), (400, json!({ "error": error })));
        assert_eq!(probe.world.leads().len(), 0);
        let (status, answer) = probe.write("POST", "/crm/leads/batch/atomic", &json!({ "inputs": [good, good] }));
        assert_eq!((status, answer), (200, json!({ "ids": ["lead_000001", "lead_000002"] })));
        assert_eq!(probe.write("POST", "/crm/leads/batch/atomic", &json!({ "inputs": [7] })).0, 400);
    }

    #[test]
    fn a_remote_call_says_no_with_status_200() {
        let mut probe = Probe::new(calm());
        let lead = json!({ "external_id": "a", "email": "a@b" });
        let made = |created| json!({ "ok": true, "lead": { "id": "lead_000001", "created": created } });
        assert_eq!(probe.write("POST", "/crm/rpc/lead.upsert", &lead), (200, made(true)));
        assert_eq!(probe.write("POST", "/crm/rpc/lead.upsert", &lead), (200, made(false)));
        let errors = json!([{ "field": "email", "message": "email must contain @" }]);
        let bad = json!({ "external_id": "a", "email": "x" });
        assert_eq!(probe.write("POST", "/crm/rpc/lead.upsert", &bad), (200, json!({ "ok": false, "errors": errors })));
        assert_eq!(probe.world.counters().refused, 1);
    }
}
