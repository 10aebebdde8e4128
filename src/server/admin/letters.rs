//! Dead letters: list, show, mend, send again, drop. What is decided about them is decided in `engine::letters`; what changes them is done by
//! the loop, while nothing of their pipeline is at work.

use axum::response::Response;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Desk, call::Call, json as answer, pipelines::known, problem::Problem};
use crate::{
    config::nearest,
    engine::{
        Accepted, HeldBack,
        letters::{Again, Change, Picking, WithDetails, again, head, mended},
    },
    server::service::{View, What},
    store::DeadLetter,
};

/// Letters of one request.
const PICKED_MAX: usize = 10_000;

pub const PARAMETERS: &[(&str, &str)] = &[
    ("pipeline", "Only of this pipeline."),
    ("code", "Only of this code; several: any of them."),
    ("where", "Only those for which this expression is true; it sees `letter` and `record`."),
    ("older_than", "Only those that were met last longer ago than this, such as 7d."),
    ("newer_than", "Only those that were met last within this time, such as 1h."),
    ("limit", "How many."),
];

/// How a record is mended: exactly one of the three.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// Fields by their path, each with an expression over the record as it is, such as `"\"ada@example.com\""`.
    #[serde(default)]
    set: std::collections::BTreeMap<String, String>,
    /// Fields that stand in place of the record's own; one that is null goes.
    patch: Option<serde_json::Map<String, Value>>,
    /// The record is as it was read.
    #[serde(default)]
    undo: bool,
}

/// Which letters are meant, by ids or by what they have in common.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Which {
    #[serde(default)]
    ids: Vec<String>,
    pipeline: Option<String>,
    #[serde(default)]
    code: Vec<String>,
    #[serde(rename = "where")]
    condition: Option<String>,
    older_than: Option<String>,
    newer_than: Option<String>,
    /// All that there are.
    #[serde(default)]
    all: bool,
}

/// What is to be sent again.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayBody {
    pub which: Which,
    /// Send also what may have taken effect.
    #[serde(default)]
    pub accept_doubt: bool,
    /// Send also letters of earlier versions, which do not know whether their record was accepted since.
    #[serde(default)]
    pub force: bool,
}

/// What is to be taken away for good.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DropBody {
    which: Which,
}

pub fn edit_schema() -> Value {
    schemars::schema_for!(Edit).into()
}

pub fn replay_schema() -> Value {
    schemars::schema_for!(ReplayBody).into()
}

pub fn drop_schema() -> Value {
    schemars::schema_for!(DropBody).into()
}

impl Which {
    pub fn letter(id: &str) -> Self {
        Self { ids: vec![id.to_owned()], ..Self::default() }
    }

    pub fn of_pipeline(name: &str) -> Self {
        Self { pipeline: Some(name.to_owned()), ..Self::default() }
    }

    fn is_nothing(&self) -> bool {
        let by_details = self.condition.is_some() || self.older_than.is_some() || self.newer_than.is_some();
        self.ids.is_empty() && self.pipeline.is_none() && self.code.is_empty() && !by_details && !self.all
    }
}

/// The letters that are meant, newest first, and all of those pipelines.
async fn picked(view: &View, which: &Which) -> Result<(Vec<DeadLetter>, Vec<DeadLetter>), Problem> {
    let typed = WithDetails {
        codes: &which.code,
        condition: which.condition.as_deref(),
        older_than: which.older_than.as_deref(),
        newer_than: which.newer_than.as_deref(),
    };
    let picking = Picking::of(typed, view.engine.clock().now())?;
    let all = view.engine.state().dead_letters(which.pipeline.as_deref()).await?;
    if let Some(name) = which.pipeline.as_deref().filter(|_| all.is_empty()) {
        known(view, name)?;
    }
    if let Some(id) = which.ids.iter().find(|id| all.iter().all(|letter| letter.id != **id)) {
        return Err(missing(id, &all));
    }
    let mut letters = Vec::new();
    for letter in &all {
        if (which.ids.is_empty() || which.ids.contains(&letter.id)) && picking.takes(letter)? {
            letters.push(letter.clone());
        }
    }
    letters.sort_by(|a, b| (b.at, &b.id).cmp(&(a.at, &a.id)));
    Ok((letters, all))
}

fn missing(id: &str, all: &[DeadLetter]) -> Problem {
    let help = match nearest(id, all.iter().map(|letter| letter.id.as_str())) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "GET /api/v1/dead-letters lists them; a letter goes when its record is accepted".to_owned(),
    };
    Problem::unknown("dead letter", id, help)
}

/// The letters that a change is about. Nothing is never all.
async fn chosen(view: &View, which: &Which) -> Result<(Vec<DeadLetter>, Vec<DeadLetter>), Problem> {
    if which.is_nothing() {
        let help = "write `which` with ids, pipeline, code, where, older_than or newer_than, or all: true";
        return Err(Problem::request("it does not say which letters", help));
    }
    let (letters, all) = picked(view, which).await?;
    if letters.len() > PICKED_MAX {
        let detail = format!("{} letters are more than one request may be about", letters.len());
        return Err(Problem::request(detail, format!("choose {PICKED_MAX} at the most")));
    }
    Ok((letters, all))
}

pub async fn list(desk: &Desk, call: &Call) -> Result<Response, Problem> {
    call.only(&["pipeline", "code", "where", "older_than", "newer_than", "limit"])?;
    let limit = call.limit(100, PICKED_MAX)?;
    let own = |name: &str| call.parameter(name).map(str::to_owned);
    let which = Which {
        pipeline: own("pipeline"),
        code: call.parameters("code"),
        condition: own("where"),
        older_than: own("older_than"),
        newer_than: own("newer_than"),
        ..Which::default()
    };
    let (letters, _) = picked(&desk.look().await?, &which).await?;
    let shown: Vec<Value> = letters.iter().take(limit).map(head).collect();
    answer(&json!({ "dead_letters": shown, "found": letters.len() }))
}

pub async fn one(view: &View, id: &str) -> Result<DeadLetter, Problem> {
    let all = view.engine.state().dead_letters(None).await?;
    let found = all.iter().find(|letter| letter.id == id).cloned();
    found.ok_or_else(|| missing(id, &all))
}

pub async fn show(desk: &Desk, call: &Call) -> Result<Response, Problem> {
    answer(&one(&desk.look().await?, call.name()).await?)
}

pub async fn edit(desk: &Desk, call: &Call) -> Result<Response, Problem> {
    let Edit { set, patch, undo } = call.json()?;
    let change = match (set.is_empty(), patch, undo) {
        (false, None, false) => Change::Set(set.into_iter().collect()),
        (true, Some(patch), false) => Change::Patch(Value::Object(patch).to_string().into_bytes()),
        (true, None, true) => Change::Undo,
        _ => return Err(Problem::request("it says not exactly one of `set`, `patch` and `undo`", "write one of them")),
    };
    answer(&mend(desk, call, &change).await?)
}

/// Changes the letter that the path names, and gives it back as it is kept.
pub async fn mend(desk: &Desk, call: &Call, change: &Change) -> Result<DeadLetter, Problem> {
    let view = desk.look().await?;
    let letter = mended(view.engine.plan(), one(&view, call.name()).await?, change)?;
    let pipeline = letter.pipeline.clone();
    desk.act(call, &pipeline, What::Mend(Box::new(letter.clone()))).await?;
    Ok(letter)
}

pub async fn replay(desk: &Desk, call: &Call) -> Result<Response, Problem> {
    let (begun, held) = replayed(desk, call, &call.json()?).await?;
    let held = held.iter().map(|(letter, why)| json!({ "id": letter.id, "why": HeldBack::word(*why) }));
    let mut response = answer(&json!({ "replays": begun, "held_back": held.collect::<Vec<_>>() }))?;
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}

/// Begins the replays, and says which letters are held back and why.
pub async fn replayed(
    desk: &Desk,
    call: &Call,
    body: &ReplayBody,
) -> Result<(Vec<Value>, Vec<(DeadLetter, Option<HeldBack>)>), Problem> {
    let ReplayBody { which, accept_doubt, force } = body;
    let view = desk.look().await?;
    let (letters, all) = chosen(&view, which).await?;
    let accepted = Accepted { doubt: *accept_doubt, older: *force };
    let Again { work, held } = again(view.engine.plan(), letters, &all, accepted);
    let mut begun = Vec::new();
    for (pipeline, letters) in work {
        let ids: Vec<String> = letters.iter().map(|letter| letter.id.clone()).collect();
        desk.act(call, &pipeline, What::Replay { letters, accept_doubt: *accept_doubt }).await?;
        begun.push(json!({ "pipeline": pipeline, "ids": ids }));
    }
    Ok((begun, held))
}

pub async fn remove(desk: &Desk, call: &Call) -> Result<Response, Problem> {
    let DropBody { which } = call.json()?;
    let (letters, _) = chosen(&desk.look().await?, &which).await?;
    let mut by_pipeline: std::collections::BTreeMap<String, Vec<DeadLetter>> = std::collections::BTreeMap::new();
    letters.into_iter().for_each(|letter| by_pipeline.entry(letter.pipeline.clone()).or_default().push(letter));
    let mut dropped = Vec::new();
    for (pipeline, letters) in by_pipeline {
        dropped.extend(letters.iter().map(|letter| letter.id.clone()));
        desk.act(call, &pipeline, What::Drop(letters)).await?;
    }
    answer(&json!({ "dropped": dropped.len(), "ids": dropped }))
}
