//! Batches of leads in the two shapes that vendors use: one answer per input by position, or two lists that name their
//! records. Each item stands alone: one bad lead does not stop the others.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{
    account::{Deed, Effect, Outcome},
    call::{Call, Refusal, bad_body, error, json},
    crm::{deed, deed_refused},
    lead::{Complaint, Leads},
};

/// `POST /crm/leads/batch`: the n-th answer belongs to the n-th input.
pub(super) fn positional(leads: &mut Leads, call: &Call, max: usize) -> Outcome {
    let inputs = match inputs(call, max) {
        Ok(inputs) => inputs,
        Err(answer) => return Outcome::refused(answer),
    };
    let (mut answers, mut deeds) = (Vec::with_capacity(inputs.len()), Vec::with_capacity(inputs.len()));
    for input in inputs {
        let (deed, written) = upsert(leads, input);
        answers.push(match written {
            Ok(_) => json!({
                "success": true,
                "id": deed.lead_id,
                "created": deed.effect == Effect::Created,
                "errors": [],
            }),
            Err(trouble) => json!({ "success": false, "id": null, "errors": [trouble.to_json()] }),
        });
        deeds.push(deed);
    }
    Outcome { answer: json(StatusCode::OK, &Value::Array(answers)), deeds }
}

/// `POST /crm/leads/batch/upsert`: what went well and what did not are two lists, and 207 says that both have items.
pub(super) fn listed(leads: &mut Leads, call: &Call, max: usize) -> Outcome {
    let inputs = match inputs(call, max) {
        Ok(inputs) => inputs,
        Err(answer) => return Outcome::refused(answer),
    };
    let (mut results, mut errors, mut deeds) = (Vec::new(), Vec::new(), Vec::with_capacity(inputs.len()));
    for (index, input) in inputs.into_iter().enumerate() {
        let (deed, written) = upsert(leads, input);
        match written {
            Ok(_) => results.push(json!({
                "id": deed.lead_id,
                "external_id": deed.external_id,
                "created": deed.effect == Effect::Created,
            })),
            Err(trouble) => errors.push(json!({
                "external_id": deed.external_id,
                "index": index,
                "message": format!("{} {}", trouble.field, trouble.message),
                "code": trouble.code,
            })),
        }
        deeds.push(deed);
    }
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::MULTI_STATUS };
    Outcome { answer: json(status, &json!({ "results": results, "errors": errors })), deeds }
}

pub(super) fn upsert(leads: &mut Leads, input: Value) -> (Deed, Result<(), Complaint>) {
    let Value::Object(fields) = input else {
        let trouble = Complaint::new("inputs", "invalid_type", "must hold objects");
        return (Deed::plain(Effect::Refused), Err(trouble));
    };
    let refused = deed_refused(&fields);
    match leads.upsert(fields) {
        Ok((place, effect)) => (deed(effect, leads.at(place)), Ok(())),
        Err(trouble) => (refused, Err(trouble)),
    }
}

pub(super) fn inputs(call: &Call, max: usize) -> Result<Vec<Value>, Refusal> {
    let mut body: Map<String, Value> = call.object()?;
    match body.remove("inputs") {
        Some(Value::Array(inputs)) if inputs.is_empty() => Err(bad_body("inputs is empty")),
        Some(Value::Array(inputs)) if inputs.len() > max => {
            let message = format!("inputs has {} items and at most {max} are taken", inputs.len());
            Err(error(StatusCode::PAYLOAD_TOO_LARGE, "batch_too_large", &message))
        }
        Some(Value::Array(inputs)) => Ok(inputs),
        _ => Err(bad_body("inputs is not a list")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::sandbox::{
        Effect, WorldConfig,
        probe::{Probe, calm},
    };

    fn batch() -> serde_json::Value {
        json!({ "inputs": [
            { "external_id": "a", "email": "a@example.com" },
            { "external_id": "b", "email": "none" },
            7,
            { "email": "d@example.com" },
            { "external_id": "a", "name": "A" },
        ] })
    }

    #[test]
    fn a_positional_batch_answers_each_input_in_its_place() {
        let mut probe = Probe::new(calm());
        let (status, answers) = probe.write("POST", "/crm/leads/batch", &batch());
        assert_eq!(status, 200);
        assert_eq!(answers[0], json!({ "success": true, "id": "lead_000001", "created": true, "errors": [] }));
        let error = json!({ "code": "invalid_email", "message": "must contain @", "field": "email" });
        assert_eq!(answers[1], json!({ "success": false, "id": null, "errors": [error] }));
        assert_eq!((&answers[2]["success"], &answers[3]["success"]), (&json!(false), &json!(false)));
        assert_eq!(answers[4], json!({ "success": true, "id": "lead_000001", "created": false, "errors": [] }));
        let entries: Vec<_> = probe.world.entries(0).skip(1).collect();
        let effects: Vec<_> = entries.iter().map(|entry| entry.effect).collect();
        let refused = Effect::Refused;
        assert_eq!(effects, [Effect::Created, refused, refused, refused, Effect::Updated]);
        assert!(entries.iter().all(|entry| entry.request == 2));
    }

    #[test]
    fn a_listed_batch_names_what_went_well_and_what_did_not() {
        let mut probe = Probe::new(calm());
        let (status, answer) = probe.write("POST", "/crm/leads/batch/upsert", &batch());
        assert_eq!((status, answer["results"].as_array().unwrap().len()), (207, 2));
        assert_eq!(answer["results"][0], json!({ "id": "lead_000001", "external_id": "a", "created": true }));
        let error =
            json!({ "external_id": "b", "index": 1, "message": "email must contain @", "code": "invalid_email" });
        assert_eq!((answer["errors"].as_array().unwrap().len(), &answer["errors"][0]), (3, &error));
        let good = json!({ "inputs": [{ "external_id": "c", "email": "c@example.com" }] });
        assert_eq!(probe.write("POST", "/crm/leads/batch/upsert", &good).0, 200);
    }

    #[test]
    fn a_batch_that_is_empty_too_large_or_no_list_is_refused_whole() {
        let mut probe = Probe::new(WorldConfig { batch_size_max: 4, ..calm() });
        assert_eq!(probe.write("POST", "/crm/leads/batch", &batch()).0, 413);
        assert_eq!(probe.write("POST", "/crm/leads/batch", &json!({ "inputs": [] })).0, 400);
        assert_eq!(probe.write("POST", "/crm/leads/batch", &json!({ "inputs": {} })).0, 400);
        assert_eq!(probe.world.leads().len(), 0);
    }

    #[test]
    fn a_batch_under_a_known_key_is_answered_from_memory() {
        let mut probe = Probe::new(calm());
        let key = [("idempotency-key", "k")];
        let first = probe.send("POST", "/crm/leads/batch", &key, &batch().to_string());
        let again = probe.send("POST", "/crm/leads/batch", &key, &batch().to_string());
        assert_eq!((first.body(), again.headers()["idempotency-replayed"].to_str().unwrap()), (again.body(), "true"));
        assert_eq!(probe.world.counters().created, 1);
    }
}
