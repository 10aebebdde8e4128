//! What people ask of a pipeline with a button. It goes the same way as over the API, and is in the audit log as that is.

use axum::response::Response;

use super::{path, see};
use crate::server::{
    admin::{
        Desk,
        call::Call,
        letters::{ReplayBody, Which, replayed},
        pipelines::known,
        problem::Problem,
    },
    service::What,
};

pub async fn ask(desk: &Desk, call: &Call, what: What) -> Result<Response, Problem> {
    let name = known(&desk.look().await?, call.name())?.name.clone();
    let done = what.name();
    desk.act(call, &name, what).await?;
    see(&format!("{}?said={done}", path("/pipelines/", &name)))
}

/// Sends all letters of a pipeline again that may go.
pub async fn replay_all(desk: &Desk, call: &Call) -> Result<Response, Problem> {
    let name = known(&desk.look().await?, call.name())?.name.clone();
    let (begun, _) =
        replayed(desk, call, &ReplayBody { which: Which::of_pipeline(&name), ..ReplayBody::default() }).await?;
    let done = if begun.is_empty() { "held" } else { "replay" };
    see(&format!("{}?said={done}#dead-letters", path("/pipelines/", &name)))
}
