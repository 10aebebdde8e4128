//! Connections: what is left of their limits, which of their calls are left alone, and how they are signed in.

use axum::response::Response;
use serde_json::{Value, json};

use super::{Desk, call::Call, json as answer, problem::Problem};
use crate::{
    auth::Account,
    http::Client,
    server::{metrics::apis, service::View},
};

pub async fn budgets(desk: &Desk, call: &Call) -> Result<Response, Problem> {
    call.only(&[])?;
    let view = desk.look().await?;
    let mut all = Vec::new();
    for api in apis(&view.engine) {
        let client = view.engine.clients().into_iter().find(|client| client.name() == api.name);
        let standing = view.engine.limits_of(api).await?;
        // One that was used knows better than what was written of it.
        let limits = client.as_ref().map_or(standing.limits, Client::limits);
        let limits: Vec<Value> = limits
            .into_iter()
            .map(|limit| {
                let mut shown = json!(limit);
                shown["closed_until"] = json!(limit.closed_until_ms.and_then(chrono::DateTime::from_timestamp_millis));
                shown
            })
            .collect();
        let breakers = client.as_ref().map(Client::breakers).unwrap_or_default();
        let breakers: Vec<Value> =
            breakers.into_iter().map(|(call, state)| json!({ "call": call, "state": state })).collect();
        let usage = client.as_ref().map(Client::usage).unwrap_or_default();
        all.push(json!({
            "connection": api.name,
            "account": api.budget.account,
            "limits": limits,
            "blocked_until": standing.blocked_until,
            "breakers": breakers,
            "requests": usage.requests,
            "retries": usage.retries,
            "throttled": usage.throttled,
            "waited_ms": usage.waited.as_millis() as u64,
        }));
    }
    answer(&json!({ "budgets": all }))
}

pub async fn connections(desk: &Desk, call: &Call) -> Result<Response, Problem> {
    call.only(&[])?;
    let view = desk.look().await?;
    let (mut all, probes) = (signed_in(&view).await, desk.hub.probes());
    for shown in &mut all {
        shown["probe"] = json!(shown["connection"].as_str().and_then(|connection| probes.get(connection)));
    }
    answer(&json!({ "connections": all }))
}

async fn signed_in(view: &View) -> Vec<Value> {
    let mut all = Vec::new();
    for api in apis(&view.engine) {
        let looked = match Account::new(api, view.engine.ground()) {
            Ok(account) => account.status().await,
            Err(fault) => Err(fault),
        };
        all.push(match looked {
            Ok(status) => {
                let mut shown = json!(status);
                shown["connection"] = json!(api.name);
                shown
            }
            Err(fault) => json!({
                "connection": api.name,
                "fault": { "code": fault.code, "message": fault.message, "help": fault.help },
            }),
        });
    }
    all
}
