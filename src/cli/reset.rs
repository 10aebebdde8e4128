//! `state reset`: the one command that makes the store forget, and says what that leads to.

use std::path::Path;

use serde_json::json;

use super::{
    failure::{DONE, Failure},
    listing::known,
    output::Output,
    workspace,
};
use crate::{engine::stream_id, store::StreamId};

pub async fn reset(dir: &Path, pipeline: &str, links: bool, output: &Output) -> Result<u8, Failure> {
    let plan = workspace::plan_without_secrets(dir, output)?;
    let Some(opened) = workspace::look(&plan.store).await? else {
        known(pipeline, &plan, std::iter::empty())?;
        output.note("nothing is remembered yet, so there is nothing to forget");
        return Ok(DONE);
    };
    let stored: Vec<StreamId> = opened.state.checkpoints().await?.into_iter().map(|(stream, _)| stream).collect();
    known(pipeline, &plan, stored.iter().map(|stream| stream.pipeline.as_str()))?;
    // A backfill keeps its place: it is forgotten by `backfill --drop`.
    let own = |stream: &StreamId| stream.pipeline == pipeline && *stream == stream.ledger();
    let mut streams: Vec<StreamId> = stored.into_iter().filter(own).collect();
    // Links outlive their checkpoint, so the stream of the file is reset also when it has none.
    streams.extend(plan.pipelines.get(pipeline).map(|pipeline| stream_id(pipeline)));
    streams.sort();
    streams.dedup();
    opened.note("reset", pipeline, json!({ "links": links })).await?;
    for stream in &streams {
        opened.state.reset(stream, links).await?;
    }
    opened.close().await;
    if output.json() {
        let streams: Vec<&str> = streams.iter().map(|stream| stream.stream.as_str()).collect();
        output.document(&json!({ "pipeline": pipeline, "streams": streams, "links_forgotten": links }));
        return Ok(DONE);
    }
    output.line(format_args!("{pipeline} starts over: the next run reads everything again"));
    output.line(match links {
        true => "what the sink was sent is forgotten too, so everything is written again, under the same keys",
        false => "what the sink already holds unchanged is not written again",
    });
    Ok(DONE)
}

/// Opens a store that lost acknowledged commits, which makes its present state the one that counts. What the sinks were
/// sent since is unknown to it, so its links are in doubt.
pub async fn accept_older(dir: &Path, output: &Output) -> Result<u8, Failure> {
    let plan = workspace::plan_without_secrets(dir, output)?;
    let mut opened = workspace::open(&plan.store, true).await?;
    opened.note("accept_older", "state", json!(null)).await?;
    opened.state.doubt_links().await?;
    opened.close().await;
    if output.json() {
        output.document(&json!({ "accepted": true }));
    } else {
        output.line("the older state is accepted; the next run reads on from it, and writes each record once more under its key");
    }
    Ok(DONE)
}
