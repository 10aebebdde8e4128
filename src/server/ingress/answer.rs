//! How a caller is answered whose records are durable. Pure: from what became of them to a status and a body.
//!
//! | of one record | status |
//! |---|---|
//! | has no verdict yet | 202, with where to ask |
//! | created | 201 |
//! | updated, unchanged, deleted, skipped | 200 |
//! | parked: a person decides | 202 |
//! | rejected by a step or the sink | 422, problem details with the reason's code |
//!
//! Several records are answered with 200 once all have a verdict, whatever it is, and with 202 before.

use axum::{body::Body, response::Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use super::problem::{PROBLEM, Problem};
use crate::{
    model::{Reason, Slip, Verdict},
    store::{Answered, Told},
};

/// Says that an answer was given before; Stripe's name for it (API reference, "Idempotent requests").
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const JSON: &str = "application/json";

/// A record and its verdict, if it has one.
pub type Outcome = (Slip, Option<Told>);

fn words(verdict: &Verdict) -> (&'static str, Option<&Reason>) {
    match verdict {
        Verdict::Created(_) => ("created", None),
        Verdict::Updated(_) => ("updated", None),
        Verdict::Unchanged => ("unchanged", None),
        Verdict::Deleted => ("deleted", None),
        Verdict::Skipped => ("skipped", None),
        Verdict::Rejected(reason) => ("rejected", Some(reason)),
        Verdict::Parked(reason) => ("parked", Some(reason)),
    }
}

/// Where one asks for a record's verdict.
pub fn place(segment: &str, slip: Slip) -> String {
    format!("/in/{segment}/records/{slip}")
}

/// A record, as a caller sees it.
pub fn record(segment: &str, (slip, told): &Outcome) -> Value {
    let mut all = Map::new();
    all.insert("id".to_owned(), json!(slip.to_string()));
    let Some(told) = told else {
        all.insert("status".to_owned(), json!("accepted"));
        all.insert("status_url".to_owned(), json!(place(segment, *slip)));
        return all.into();
    };
    let (verdict, reason) = words(&told.verdict);
    all.insert("status".to_owned(), json!("done"));
    all.insert("verdict".to_owned(), json!(verdict));
    if let Some(sink_id) = &told.sink_id {
        all.insert("sink_id".to_owned(), json!(sink_id));
    }
    if let Some(reason) = reason {
        all.insert("code".to_owned(), json!(reason.code.to_string()));
        all.insert("reason".to_owned(), json!(reason.message));
    }
    all.insert("status_url".to_owned(), json!(place(segment, *slip)));
    all.into()
}

/// The answer to a request that brought these records.
pub fn answer(segment: &str, outcomes: &[Outcome], as_list: bool) -> Answered {
    let written = |status: StatusCode, location: Option<String>, body: &Value| Answered {
        status: status.as_u16(),
        location,
        content_type: JSON.to_owned(),
        body: body.to_string(),
    };
    let all_done = outcomes.iter().all(|(_, told)| told.is_some());
    let [only] = outcomes else {
        let records: Vec<Value> = outcomes.iter().map(|outcome| record(segment, outcome)).collect();
        let status = if all_done { StatusCode::OK } else { StatusCode::ACCEPTED };
        return written(status, None, &json!({ "records": records }));
    };
    let shown = record(segment, only);
    if as_list {
        let status = if all_done { StatusCode::OK } else { StatusCode::ACCEPTED };
        return written(status, None, &json!({ "records": [shown] }));
    }
    match only.1.as_ref().map(|told| &told.verdict) {
        None => written(StatusCode::ACCEPTED, Some(place(segment, only.0)), &shown),
        Some(Verdict::Created(_)) => written(StatusCode::CREATED, None, &shown),
        Some(Verdict::Parked(_)) => written(StatusCode::ACCEPTED, None, &shown),
        Some(Verdict::Rejected(reason)) => {
            let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, reason.code, reason.message.clone());
            let problem = problem.with("id", shown["id"].clone()).with("verdict", shown["verdict"].clone());
            Answered {
                status: StatusCode::UNPROCESSABLE_ENTITY.as_u16(),
                location: None,
                content_type: PROBLEM.to_owned(),
                body: problem.json().to_string(),
            }
        }
        Some(_) => written(StatusCode::OK, None, &shown),
    }
}

/// An answer on its way, now or again.
pub fn response(answered: &Answered, is_again: bool, applied: Option<&'static str>) -> Response {
    let mut response = Response::new(Body::from(answered.body.clone()));
    *response.status_mut() = StatusCode::from_u16(answered.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set(header::CONTENT_TYPE, &answered.content_type);
    if let Some(location) = &answered.location {
        set(header::LOCATION, location);
    }
    if is_again {
        set(REPLAYED, "true");
    }
    if let Some(applied) = applied {
        set(HeaderName::from_static("preference-applied"), applied);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Code;

    fn slip() -> Slip {
        Slip::new(26, 7)
    }

    fn of(verdict: Option<Verdict>) -> (u16, Value) {
        let told = verdict.map(|verdict| Told { slip: slip(), verdict, sink_id: Some("lead_1".to_owned()) });
        let answered = answer("orders", &[(slip(), told)], false);
        (answered.status, serde_json::from_str(&answered.body).unwrap())
    }

    #[test]
    fn each_verdict_has_its_status_and_names_what_the_sink_made_of_it() {
        let reason = || Reason::new(Code::RecordRefused, "no such country");
        for (verdict, status, word) in [
            (Verdict::Created(None), 201, "created"),
            (Verdict::Updated(None), 200, "updated"),
            (Verdict::Unchanged, 200, "unchanged"),
            (Verdict::Skipped, 200, "skipped"),
            (Verdict::Parked(reason()), 202, "parked"),
            (Verdict::Rejected(reason()), 422, "rejected"),
        ] {
            let (found, body) = of(Some(verdict));
            assert_eq!((found, &body["verdict"]), (status, &json!(word)), "{body}");
            assert_eq!(body["id"], "1a-00000007");
        }
        assert_eq!(of(Some(Verdict::Created(None))).1["sink_id"], "lead_1");
        let (status, body) = of(Some(Verdict::Rejected(reason())));
        assert_eq!((status, &body["code"], &body["detail"]), (422, &json!("RK0401"), &json!("no such country")));
    }

    #[test]
    fn what_has_no_verdict_is_accepted_and_says_where_to_ask() {
        let (status, body) = of(None);
        assert_eq!((status, &body["status_url"]), (202, &json!("/in/orders/records/1a-00000007")));
        let told = Told { slip: slip(), verdict: Verdict::Unchanged, sink_id: None };
        let both = answer("orders", &[(slip(), Some(told.clone())), (Slip::new(27, 7), None)], true);
        assert_eq!(both.status, 202);
        let all = answer("orders", &[(slip(), Some(told))], true);
        assert_eq!((all.status, all.body.starts_with("{\"records\":[")), (200, true));
    }
}
