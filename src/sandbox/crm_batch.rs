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

fn upsert(leads: &mut Leads, input: Value) -> (Deed, Result<(), Complaint>) {
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

fn inputs(call: &Call, max: usize) -> Result<Vec<Value>, Refusal> {
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
