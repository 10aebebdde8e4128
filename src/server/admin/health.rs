//! Health, metrics and version, for those who watch.

use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use super::{Desk, call::Call, json as answer, problem::Problem};
use crate::engine::Doing;

pub async fn live(_: &Desk, _: &Call) -> Result<Response, Problem> {
    answer(&json!({ "status": "live" }))
}

pub async fn ready(desk: &Desk, _: &Call) -> Result<Response, Problem> {
    if desk.hub.is_stopping() {
        return Err(Problem::busy());
    }
    desk.look().await?;
    answer(&json!({ "status": "ready" }))
}

/// Pipelines that need a person do not make the service unwell: it does for the others what it should.
pub async fn health(desk: &Desk, _: &Call) -> Result<Response, Problem> {
    let view = desk.look().await;
    let store = match &view {
        Ok(view) => Some(view.engine.state().run("").await.is_ok()),
        Err(_) => None,
    };
    let count = |doing| {
        let standings = view.as_ref().map(|view| view.standings.as_slice()).unwrap_or_default();
        standings.iter().filter(|standing| standing.state == doing).count()
    };
    let is_well = store == Some(true);
    // A vendor that is down is told, and makes nobody restart the service.
    let probes = desk.hub.probes();
    let down: Vec<&String> = probes.iter().filter(|(_, probed)| !probed.up).map(|(connection, _)| connection).collect();
    let pipelines: serde_json::Map<_, _> =
        Doing::ALL.iter().map(|doing| (doing.name().to_owned(), json!(count(*doing)))).collect();
    let mut response = answer(&json!({
        "status": if is_well { "ok" } else { "unwell" },
        "loop": view.is_ok(),
        "store": store,
        "pipelines": pipelines,
        "connections_down": down,
    }))?;
    if !is_well {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    Ok(response)
}

pub async fn version(_: &Desk, _: &Call) -> Result<Response, Problem> {
    answer(&json!({ "name": "renkei", "version": env!("CARGO_PKG_VERSION") }))
}

pub async fn metrics(desk: &Desk, _: &Call) -> Result<Response, Problem> {
    let text = desk.page(&desk.look().await?).await?.text();
    let mut response = Response::new(text.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(crate::telemetry::CONTENT_TYPE));
    Ok(response)
}
