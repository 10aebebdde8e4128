//! The sandbox's own switches, for a person with curl and for the demo: the account, changes, faults, quiet, revoke.

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    call::{Answer, Call, Refusal, bad_body, json, not_found},
    faults::FaultPlan,
    world::World,
};

/// Changes that one request may ask for.
const CHANGES_MAX: usize = 100_000;
/// Entries of the account in one answer.
const ENTRIES_MAX: usize = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    count: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeleteBody {
    ids: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RevokeBody {
    refresh: bool,
}

pub(super) fn control(world: &mut World, call: &Call) -> Answer {
    let answer = match (call.method, call.path) {
        (&Method::GET, "/sandbox/account") => Ok(json!(world.report())),
        (&Method::GET, "/sandbox/account/entries") => entries(world, call),
        (&Method::GET, "/sandbox/faults") => Ok(json!(world.faults())),
        (&Method::POST, "/sandbox/change") => change(world, call),
        (&Method::POST, "/sandbox/delete") => delete(world, call),
        (&Method::POST, "/sandbox/faults") => faults(world, call),
        (&Method::POST, "/sandbox/quiet") => {
            world.quiet();
            Ok(json!({ "quiet": true }))
        }
        (&Method::POST, "/sandbox/revoke") => revoke(world, call),
        _ => Err(not_found()),
    };
    match answer {
        Ok(body) => json(StatusCode::OK, &body),
        Err(refusal) => *refusal,
    }
}

fn entries(world: &World, call: &Call) -> Result<Value, Refusal> {
    let after = call.number("after", 0)?;
    let limit = call.page_size("limit", ENTRIES_MAX, ENTRIES_MAX)?;
    let entries: Vec<_> = world.entries(after).take(limit).collect();
    Ok(json!({ "entries": entries }))
}

fn change(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    let ChangeBody { count } = serde_json::from_slice(call.body).map_err(|error| bad_body(&error.to_string()))?;
    if count > CHANGES_MAX {
        return Err(bad_body(&format!("count is at most {CHANGES_MAX}")));
    }
    let (updated, created) = world.change(call.now, count);
    Ok(json!({ "updated": updated, "created": created }))
}

/// Deletes the customers that it names, and brings back those that are deleted.
fn delete(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    let DeleteBody { ids } = serde_json::from_slice(call.body).map_err(|error| bad_body(&error.to_string()))?;
    if ids.len() > CHANGES_MAX {
        return Err(bad_body(&format!("ids are at most {CHANGES_MAX}")));
    }
    Ok(json!({ "turned": world.delete(call.now, &ids) }))
}

fn faults(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    let body: Map<String, Value> = call.object()?;
    let plan = match body.get("preset") {
        Some(_) if body.len() > 1 => return Err(bad_body("give a preset or numbers, not both")),
        Some(preset) => preset
            .as_str()
            .and_then(FaultPlan::preset)
            .ok_or_else(|| bad_body("the presets are none, mild and harsh"))?,
        None => serde_json::from_value(Value::Object(body)).map_err(|error| bad_body(&error.to_string()))?,
    };
    plan.check().map_err(|trouble| bad_body(&trouble))?;
    let shown = json!(plan);
    world.set_faults(plan);
    Ok(shown)
}

fn revoke(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    let body = if call.body.is_empty() { b"{}" } else { call.body.as_ref() };
    let RevokeBody { refresh } = serde_json::from_slice(body).map_err(|error| bad_body(&error.to_string()))?;
    world.revoke_tokens();
    if refresh {
        world.revoke_refresh_tokens();
    }
    Ok(json!({ "revoked": true }))
}
