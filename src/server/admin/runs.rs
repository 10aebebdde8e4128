//! Runs: what they did, what it cost, and why records were not written.

use axum::response::Response;
use serde_json::{Value, json};

use super::{Desk, call::Call, json as answer, pipelines::known, problem::Problem};
use crate::store::{Cause, Run, StreamId};

pub async fn list(desk: &Desk, call: &Call) -> Result<Response, Problem> {
    call.only(&["pipeline", "before", "limit"])?;
    let limit = call.limit(50, 1_000)?;
    let view = desk.look().await?;
    let pipeline = call.parameter("pipeline");
    let before = call.parameter("before");
    if let Some(id) = before.filter(|id| uuid::Uuid::try_parse(id).is_err()) {
        return Err(Problem::request(
            format!("before: `{}` is no id of a run", id.escape_debug()),
            "take the last one's",
        ));
    }
    let wanted = |run: &Run| pipeline.is_none_or(|name| run.pipeline == name);
    let runs = view.engine.state().latest_runs(before, view.engine.clock().now(), limit, wanted).await?;
    if let Some(name) = pipeline.filter(|_| runs.is_empty()) {
        known(&view, name)?;
    }
    let next = runs.last().filter(|_| runs.len() == limit).map(|run| run.id.clone());
    answer(&json!({ "runs": runs, "next_before": next }))
}

pub async fn show(desk: &Desk, call: &Call) -> Result<Response, Problem> {
    let view = desk.look().await?;
    let state = view.engine.state();
    let found = state.run(call.name()).await?;
    let run = found.ok_or_else(|| Problem::unknown("run", call.name(), "GET /api/v1/runs lists them"))?;
    let stream = StreamId::new(run.pipeline.clone(), run.stream.clone());
    let causes = state.causes(&stream, &run.id).await?;
    let mut letters = state.dead_letters(Some(&run.pipeline)).await?;
    letters.retain(|letter| letter.run == run.id);
    let causes = causes.into_iter().map(|(cause, records)| told(&cause, records));
    let mut shown = json!(run);
    shown["letters"] = json!(letters.len());
    shown["causes"] = causes.collect();
    answer(&shown)
}

/// Why so many records were not written.
pub fn told(cause: &Cause, records: u64) -> Value {
    let (verdict, reason) = match cause {
        Cause::Passed(_) => ("passed", None),
        Cause::Rejected(reason) => ("rejected", Some(reason)),
        Cause::Parked(reason) => ("parked", Some(reason)),
    };
    let passed = match cause {
        Cause::Passed(why) => Some(why),
        Cause::Rejected(_) | Cause::Parked(_) => None,
    };
    json!({ "verdict": verdict, "records": records, "reason": reason, "why": passed })
}
