//! Pipelines: where they stand, and what people ask of them.

use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use super::{Desk, call::Call, json as answer, problem::Problem};
use crate::{
    config::{self, plan::Pipeline},
    engine::{Standing, Timetable, stream_id},
    server::{
        care,
        metrics::Stored,
        service::{View, What},
    },
    store::Run,
};

/// Runs that are shown with a pipeline.
const RUNS: usize = 10;
/// Next times that are shown with a pipeline.
const TIMES: usize = 5;

pub async fn list(desk: &Desk, call: &Call) -> Result<Response, Problem> {
    call.only(&[])?;
    let view = desk.look().await?;
    let stored = desk.metrics.stored(&view.engine).await?;
    let shown = view.standings.iter().filter_map(|standing| shown(desk, &view, &stored, standing));
    answer(&json!({ "pipelines": shown.collect::<Vec<_>>() }))
}

/// One pipeline in a few words.
fn shown(desk: &Desk, view: &View, stored: &Stored, standing: &Standing) -> Option<Value> {
    let plan = view.engine.plan().pipelines.get(&*standing.pipeline)?;
    let staged = stored.staged.get(&plan.name).copied().unwrap_or_default();
    let mut shown = json!(standing);
    shown["from"] = json!(plan.from.place());
    shown["to"] = json!(plan.to.place());
    shown["schedule"] = json!(plan.schedule.as_ref().map(ToString::to_string));
    shown["fresh_as_of"] = json!(desk.hub.tally.of(&plan.name).done_at);
    shown["staged_batches"] = json!(staged.batches);
    shown["oldest_staged_at"] = json!(staged.oldest);
    shown["slo"] = json!(care::shown(&desk.hub, view, plan, standing));
    shown["dead_letters"] = json!(stored.letters.get(&plan.name).copied().unwrap_or_default());
    Some(shown)
}

pub async fn show(desk: &Desk, call: &Call) -> Result<Response, Problem> {
    let view = desk.look().await?;
    let plan = known(&view, call.name())?;
    let (state, now) = (view.engine.state(), view.engine.clock().now());
    let stored = desk.metrics.stored(&view.engine).await?;
    let standing = view.standings.iter().find(|standing| *standing.pipeline == *plan.name);
    let mut shown = standing.and_then(|standing| shown(desk, &view, &stored, standing)).unwrap_or_default();
    let own = |run: &Run| run.pipeline == plan.name;
    let progress = view.engine.progress(&plan.name);
    shown["checkpoint"] = json!(state.checkpoint(&stream_id(plan)).await?);
    shown["runs"] = json!(state.latest_runs(None, now, RUNS, own).await?);
    shown["next_times"] = json!(next_times(plan, now));
    shown["records_read"] = json!(progress.records_read());
    shown["records"] =
        progress.settled().into_iter().map(|(verdict, count)| (verdict.to_owned(), json!(count))).collect();
    answer(&shown)
}

pub fn next_times(plan: &Pipeline, now: chrono::DateTime<chrono::Utc>) -> Vec<chrono::DateTime<chrono::Utc>> {
    let Some(timetable) = plan.schedule.as_ref().and_then(|schedule| Timetable::new(&plan.name, schedule)) else {
        return Vec::new();
    };
    let dues = std::iter::successors(timetable.next_after(now), |due| timetable.next_after(due.at));
    dues.take(TIMES).map(|due| due.start).collect()
}

/// The pipeline of a name, or the name that was probably meant.
pub fn known<'v>(view: &'v View, name: &str) -> Result<&'v Pipeline, Problem> {
    let pipelines = &view.engine.plan().pipelines;
    pipelines.get(name).map(|pipeline| &**pipeline).ok_or_else(|| {
        let near = config::nearest(name, pipelines.keys().map(String::as_str));
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "GET /api/v1/pipelines lists all of them".to_owned(),
        };
        Problem::unknown("pipeline", name, help)
    })
}

pub async fn ask(desk: &Desk, call: &Call, what: What) -> Result<Response, Problem> {
    let pipeline = known(&desk.look().await?, call.name())?.name.clone();
    let status = match what {
        What::Trigger | What::Cancel => StatusCode::ACCEPTED,
        _ => StatusCode::OK,
    };
    desk.act(call, &pipeline, what).await?;
    let view = desk.look().await?;
    let standing = view.standings.iter().find(|standing| *standing.pipeline == *pipeline);
    let mut response = answer(&standing)?;
    *response.status_mut() = status;
    Ok(response)
}

pub async fn checkpoints(desk: &Desk, call: &Call) -> Result<Response, Problem> {
    call.only(&["pipeline"])?;
    let view = desk.look().await?;
    let mut all = view.engine.state().checkpoints().await?;
    if let Some(name) = call.parameter("pipeline") {
        // What was deleted from the files is still known to the store.
        if all.iter().all(|(stream, _)| stream.pipeline != name) {
            known(&view, name)?;
        }
        all.retain(|(stream, _)| stream.pipeline == name);
    }
    let shown = all.into_iter().map(|(stream, checkpoint)| {
        json!({ "pipeline": stream.pipeline, "stream": stream.stream, "checkpoint": checkpoint })
    });
    answer(&json!({ "checkpoints": shown.collect::<Vec<_>>() }))
}
