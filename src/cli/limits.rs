//! `renkei limits`: what each connection may use, what is left of it, and who is left alone. Declared limits come from the
//! files, the rest from what the last process kept in the store; while a run is under way the store is its own, and what
//! is left is only known to it.

use std::{path::Path, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::{
    failure::{DONE, Failure},
    format, listing,
    output::Output,
    suggest,
    table::{self, Column},
    workspace::{self, Opened},
};
use crate::{
    config::{
        Plan,
        plan::{Api, Connection, Pipeline, To},
    },
    http::{self, LimitView},
    model::{Clock, Code, SystemClock},
    store::Run,
};

/// Runs that are shown for a connection.
const RUNS: usize = 5;

/// One connection's limits.
#[derive(Serialize)]
struct Limits {
    connection: String,
    /// Its allowance is shared with the connections of the same account.
    account: Option<String>,
    limits: Vec<Limit>,
    /// Everybody waits until then, because the server asked for it.
    blocked_until: Option<DateTime<Utc>>,
    left_alone: Vec<LeftAlone>,
    /// When this was known; nothing: nothing is known but what is declared.
    known_at: Option<DateTime<Utc>>,
    /// The last runs that used it, newest first.
    runs: Vec<Waits>,
}

#[derive(Serialize)]
struct Limit {
    #[serde(flatten)]
    seen: LimitView,
    closed_until: Option<DateTime<Utc>>,
}

/// A stream or operation whose breaker was open.
#[derive(Serialize)]
struct LeftAlone {
    call: String,
    until: DateTime<Utc>,
    /// Rests in a row, without an answer between them.
    rests: u32,
}

#[derive(Serialize)]
struct Waits {
    id: String,
    pipeline: String,
    started_at: DateTime<Utc>,
    requests: u64,
    retries: u64,
    throttled: u64,
    waited_ms: u64,
}

pub async fn limits(dir: &Path, connection: Option<&str>, output: &Output) -> Result<u8, Failure> {
    let plan = workspace::plan_without_secrets(dir, output)?;
    let chosen = choose(&plan, connection)?;
    let opened = match workspace::look(&plan.store).await {
        Err(Failure::Fault(fault)) if fault.code == Code::AlreadyRunning => {
            output.note("a run is under way: what is left is known when it ends; these are the declared limits");
            None
        }
        opened => opened?,
    };
    let mut all = Vec::new();
    for api in chosen {
        all.push(seen(api, &plan, opened.as_ref()).await?);
    }
    listing::close(opened).await;
    match output.json() {
        true => output.document(&all),
        false => show(&all, output),
    }
    Ok(DONE)
}

fn choose<'p>(plan: &'p Plan, connection: Option<&str>) -> Result<Vec<&'p Arc<Api>>, Failure> {
    let apis: Vec<&Arc<Api>> = plan.connections.values().filter_map(Connection::api).collect();
    let Some(name) = connection else { return Ok(apis) };
    match apis.iter().find(|api| api.name == name) {
        Some(api) => Ok(vec![api]),
        None => {
            let help = suggest::help(name, "connection", apis.iter().map(|api| api.name.as_str()));
            Err(Failure::usage(format!("there is no connection `{name}` with limits"), help))
        }
    }
}

async fn seen(api: &Api, plan: &Plan, opened: Option<&Opened>) -> Result<Limits, Failure> {
    let now = SystemClock.now();
    let standing = http::standing(opened.map(Opened::store), api, now).await?;
    let runs = match opened {
        Some(opened) => opened.state.runs().await?,
        None => Vec::new(),
    };
    let of = |name: &str| plan.pipelines.get(name).is_some_and(|pipeline| uses(pipeline, api));
    let time = |ms: i64| DateTime::from_timestamp_millis(ms);
    let opened_at = time(standing.breakers.at).unwrap_or_default();
    let ends = |ms: u64| opened_at.checked_add_signed(TimeDelta::milliseconds(i64::try_from(ms).ok()?));
    let left_alone = standing.breakers.open.into_iter().filter_map(|open| {
        // A probe that was under way when this was written is over by now, and a new process begins with closed breakers.
        let until = ends(open.left_ms?).filter(|until| *until > now)?;
        Some(LeftAlone { call: open.call, until, rests: open.rests })
    });
    Ok(Limits {
        connection: api.name.clone(),
        account: api.budget.account.clone(),
        limits: standing
            .limits
            .into_iter()
            .map(|seen| Limit { closed_until: seen.closed_until_ms.and_then(time), seen })
            .collect(),
        blocked_until: standing.blocked_until,
        left_alone: left_alone.collect(),
        known_at: standing.known_at,
        runs: runs.into_iter().rev().filter(|run| of(&run.pipeline)).take(RUNS).map(waits).collect(),
    })
}

fn uses(pipeline: &Pipeline, api: &Api) -> bool {
    let writes = matches!(&pipeline.to, To::Operation { api: to, .. } if to.name == api.name);
    writes || pipeline.from.api.as_ref().is_some_and(|from| from.name == api.name)
}

fn waits(run: Run) -> Waits {
    let Run { id, pipeline, started_at, requests, retries, throttled, waited_ms, .. } = run;
    Waits { id, pipeline, started_at, requests, retries, throttled, waited_ms }
}

fn show(all: &[Limits], output: &Output) {
    let columns = [
        Column("connection", false),
        Column("limit", false),
        Column("left", true),
        Column("of", true),
        Column("closed until (UTC)", false),
        Column("note", false),
    ];
    let rows = all.iter().flat_map(|one| {
        let limits = one.limits.iter().map(|limit| limit_row(one, limit));
        limits.chain(pause_row(one)).chain(one.left_alone.iter().map(|left| alone_row(one, left))).collect::<Vec<_>>()
    });
    table::print(output, &columns, rows.collect(), "no connection has limits: none has a connector");
    let columns = [
        Column("connection", false),
        Column("last runs (UTC)", false),
        Column("pipeline", false),
        Column("requests", true),
        Column("retries", true),
        Column("429s", true),
        Column("waited", true),
    ];
    let runs: Vec<Vec<String>> =
        all.iter().flat_map(|one| one.runs.iter().map(|run| run_row(&one.connection, run))).collect();
    if !runs.is_empty() {
        output.line("");
        table::print(output, &columns, runs, "");
    }
}

fn limit_row(of: &Limits, limit: &Limit) -> Vec<String> {
    let Limit { seen, closed_until } = limit;
    let number = |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
    let notes = [
        of.account.as_ref().map(|account| format!("account {account}")),
        seen.reserve.map(|reserve| format!("{reserve} left to others")),
        seen.others.map(|others| format!("others used {others}")),
        seen.pace.map(|pace| format!("at {:.0} % of it, because the server refused more", pace * 100.0)),
        seen.learned.then(|| "told by the server".to_owned()),
    ];
    vec![
        of.connection.clone(),
        seen.limit.clone(),
        number(seen.left),
        number(seen.of),
        closed_until.map_or("-".to_owned(), format::time),
        notes.into_iter().flatten().collect::<Vec<_>>().join(", "),
    ]
}

fn pause_row(of: &Limits) -> Option<Vec<String>> {
    let until = format::time(of.blocked_until?);
    let dash = || "-".to_owned();
    Some(vec![
        of.connection.clone(),
        "everything".to_owned(),
        dash(),
        dash(),
        until,
        "the server asked to wait".to_owned(),
    ])
}

fn alone_row(of: &Limits, left: &LeftAlone) -> Vec<String> {
    let dash = || "-".to_owned();
    let until = format::time(left.until);
    let note = match left.rests {
        1 => "left alone, because it kept failing".to_owned(),
        rests => format!("left alone {rests} times in a row, because it kept failing"),
    };
    vec![of.connection.clone(), left.call.clone(), dash(), dash(), until, note]
}

fn run_row(connection: &str, run: &Waits) -> Vec<String> {
    vec![
        connection.to_owned(),
        format::time(run.started_at),
        run.pipeline.clone(),
        run.requests.to_string(),
        run.retries.to_string(),
        run.throttled.to_string(),
        format::duration(std::time::Duration::from_millis(run.waited_ms)),
    ]
}
