//! `trace`: one record's way through every pipeline that knows it, from the history, the outbox, its dead letters and its link.
//! What it holds was masked when it was kept; what is staged is masked here. How it is told stands in `trace_text.rs`.

use std::{collections::BTreeSet, path::Path};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    args::TraceArgs,
    failure::{DONE, Failure},
    format,
    letters::head,
    links::link_json,
    listing::{close, known},
    output::{Output, printable},
    trace_text,
    workspace::{self, Opened},
};
use crate::{
    config::Plan,
    engine::stream_id,
    model::{Key, KeyHash, Reason, Verdict},
    store::{About, DeadLetter, Hop, Link, Noted, Pass, StreamId, Trace, Why},
    transform::masked,
};

/// What one pipeline knows of the record.
pub struct Account {
    pub stream: StreamId,
    /// The record's name here: where the pipeline hashes its key, the hash.
    pub key: Key,
    /// Where its records go; nothing for a pipeline that is no longer there.
    pub to: Option<String>,
    /// In time order, the newest ones.
    pub events: Vec<Event>,
    /// Events before those.
    pub earlier: usize,
    pub staged: Vec<Staged>,
    pub letters: Vec<DeadLetter>,
    pub link: Option<Link>,
    pub since: Since,
}

/// How far the history goes back, and how much it holds.
pub struct Since {
    pub hops: Option<DateTime<Utc>>,
    pub passes: Option<DateTime<Utc>>,
    pub verdicts: u64,
}

/// One verdict of the record.
pub enum Event {
    Hop(Box<(About, Hop)>),
    Pass(Pass),
}

/// The record in a batch without a verdict.
pub struct Staged {
    pub at: DateTime<Utc>,
    pub read_by: Option<String>,
    /// It may have been sent.
    pub maybe_sent: bool,
    pub name: String,
    /// Masked; nothing for a record that was refused before it was mapped.
    pub fields: Option<Value>,
    pub reason: Option<Reason>,
}

impl Event {
    pub fn at(&self) -> DateTime<Utc> {
        match self {
            Self::Hop(hop) => hop.0.settled_at,
            Self::Pass(pass) => pass.settled_at,
        }
    }

    pub fn run(&self) -> &str {
        match self {
            Self::Hop(hop) => &hop.0.run,
            Self::Pass(pass) => &pass.run,
        }
    }
}

impl Account {
    fn knows_it(&self) -> bool {
        !(self.events.is_empty() && self.staged.is_empty() && self.letters.is_empty()) || self.link.is_some()
    }

    /// The command that leads on from here, and what for.
    pub fn next(&self) -> Option<(&'static str, String)> {
        let StreamId { pipeline, stream } = &self.stream;
        if !self.staged.is_empty() {
            return Some(("to deliver what is staged", format!("renkei run {pipeline}")));
        }
        if let Some(letter) = self.letters.first() {
            let what = "to see the whole record, before it is mended and replayed";
            return Some((what, format!("renkei dead-letters show {}", letter.id)));
        }
        Some(match self.events.last()? {
            Event::Pass(Pass { why: Why::Filtered(_), .. }) => {
                let what = "once the filter in the pipeline's file lets it through";
                (what, format!("renkei run {pipeline} --full-refresh {stream}"))
            }
            last => ("to see the last run that met it", format!("renkei runs show {}", last.run())),
        })
    }
}

pub async fn trace(dir: &Path, args: &TraceArgs, output: &Output) -> Result<u8, Failure> {
    let plan = workspace::plan_without_secrets(dir, output)?;
    let Some(opened) = workspace::look(&plan.store).await? else {
        if let Some(name) = &args.pipeline {
            known(name, &plan, std::iter::empty())?;
        }
        return Err(unknown(&args.key, "nothing is remembered yet: renkei run"));
    };
    let accounts = accounts(&plan, &opened, args).await;
    close(Some(opened)).await;
    let (knowing, others): (Vec<Account>, Vec<Account>) = accounts?.into_iter().partition(Account::knows_it);
    if knowing.is_empty() {
        return Err(unknown(&args.key, &what_is_known(&others)));
    }
    match output.json() {
        true => output.document(&document(&args.key, &knowing)),
        false => trace_text::tell(&args.key, &knowing, output),
    }
    Ok(DONE)
}

async fn accounts(plan: &Plan, opened: &Opened, args: &TraceArgs) -> Result<Vec<Account>, Failure> {
    let of_plan = plan.pipelines.values().map(|pipeline| stream_id(pipeline));
    let streams: BTreeSet<StreamId> = opened.state.traced_streams().await?.into_iter().chain(of_plan).collect();
    if let Some(name) = &args.pipeline {
        known(name, plan, streams.iter().map(|stream| stream.pipeline.as_str()))?;
    }
    let wanted = |stream: &&StreamId| args.pipeline.as_ref().is_none_or(|name| *name == stream.pipeline);
    let mut accounts = Vec::new();
    for stream in streams.iter().filter(wanted) {
        accounts.push(account(plan, opened, stream, args).await?);
    }
    Ok(accounts)
}

async fn account(plan: &Plan, opened: &Opened, stream: &StreamId, args: &TraceArgs) -> Result<Account, Failure> {
    let pipeline = plan.pipelines.get(&stream.pipeline).filter(|pipeline| stream_id(pipeline) == *stream);
    let (state, key) = (&opened.state, workspace::record_key(pipeline.map(|pipeline| &**pipeline), &args.key)?);
    let Trace { hops, passes, hops_kept, passes_kept, hops_since, passes_since } = state.trace(stream, &key).await?;
    let hops = hops.into_iter().map(|hop| Event::Hop(Box::new(hop)));
    let mut events: Vec<Event> = hops.chain(passes.into_iter().map(Event::Pass)).collect();
    // Both kinds are in the order of their commits, which a clock that was set back must not change.
    events.sort_by_key(Event::at);
    let earlier = events.len().saturating_sub(args.limit);
    events.drain(..earlier);
    Ok(Account {
        stream: stream.clone(),
        to: pipeline.map(|pipeline| pipeline.to.place()),
        events,
        earlier,
        staged: staged(opened, stream, &key).await?,
        letters: state.letters_of(stream, &key).await?,
        link: state.links(stream, std::slice::from_ref(&key)).await?.pop().flatten(),
        since: Since { hops: hops_since, passes: passes_since, verdicts: hops_kept + passes_kept },
        key,
    })
}

async fn staged(opened: &Opened, stream: &StreamId, key: &Key) -> Result<Vec<Staged>, Failure> {
    let mut found = Vec::new();
    for batch in opened.state.outbox(stream).await? {
        let (at, read_by) = (batch.staged_at(), batch.read_by().map(str::to_owned));
        for (place, item) in batch.items().iter().enumerate().filter(|(_, item)| item.key == *key) {
            found.push(Staged {
                at,
                read_by: read_by.clone(),
                // An operation that is not journalled may have sent any of its batch.
                maybe_sent: !matches!(batch.noted(place), Some(Noted::Answered(_))),
                name: item.idempotency_key.clone(),
                fields: Some(masked(&item.fields)),
                reason: None,
            });
        }
        for reject in batch.rejects().iter().filter(|reject| reject.key.as_ref() == Some(key)) {
            let (read_by, reason) = (read_by.clone(), Some(reject.reason.clone()));
            found.push(Staged { at, read_by, maybe_sent: false, name: String::new(), fields: None, reason });
        }
    }
    Ok(found)
}

fn unknown(key: &str, help: &str) -> Failure {
    Failure::usage(format!("no pipeline knows a record `{}`", printable(key)), help)
}

/// How far each pipeline remembers, for somebody whose key is not among what it remembers.
fn what_is_known(accounts: &[Account]) -> String {
    let told = accounts.iter().map(|Account { stream, since, .. }| {
        let back = [since.hops, since.passes].into_iter().flatten().min();
        match back {
            Some(back) => {
                format!("{} remembers {} verdicts, since {} UTC", stream.pipeline, since.verdicts, format::time(back))
            }
            None => format!("{} remembers none", stream.pipeline),
        }
    });
    let told: Vec<String> = told.collect();
    format!(
        "{}; history: in renkei.yaml says how long. The key is the one of the record in its source, as dead letters show it, \
         and a list of them where it has several fields",
        told.join("; ")
    )
}

fn document(key: &str, accounts: &[Account]) -> Value {
    let pipelines = accounts.iter().map(|account| {
        json!({
            "pipeline": account.stream.pipeline,
            "stream": account.stream.stream,
            "hash": KeyHash::of(&account.key).to_string(),
            "to": account.to,
            "events": account.events.iter().map(event).collect::<Vec<_>>(),
            "earlier": account.earlier,
            "staged": account.staged.iter().map(staged_json).collect::<Vec<_>>(),
            "dead_letters": account.letters.iter().map(head).collect::<Vec<_>>(),
            "link": account.link.as_ref().map(|link| link_json(KeyHash::of(&account.key), link)),
            "history": {
                "verdicts": account.since.verdicts,
                "writes_since": account.since.hops,
                "decisions_since": account.since.passes,
            },
            "next": account.next().map(|(_, command)| command),
        })
    });
    json!({ "key": key, "pipelines": pipelines.collect::<Vec<_>>() })
}

/// An event as programs read it: what both kinds have, and what only a hop has.
fn event(event: &Event) -> Value {
    let mut shown = json!({ "at": event.at(), "run": event.run() });
    match event {
        Event::Pass(Pass { why, .. }) => {
            let (verdict, words) = passed(why);
            shown["verdict"] = json!(verdict);
            shown["why"] = json!(words);
        }
        Event::Hop(hop) => {
            let (about, Hop { deed, version, generation, sink_id, name, fields, sent, verdict, letter }) = &**hop;
            let Verdicted { verdict, id, reason } = verdicted(verdict);
            shown["verdict"] = json!(verdict);
            shown["deed"] = json!(deed);
            shown["sink_id"] = json!(id.or(sink_id.as_deref()));
            shown["reason"] = json!(reason);
            shown["read_by"] = json!(about.read_by.as_deref().unwrap_or(&about.run));
            shown["read_at"] = json!(about.read_at);
            shown["staged_at"] = json!(about.staged_at);
            shown["version"] = json!(version);
            shown["generation"] = json!(generation);
            shown["name"] = json!(name);
            shown["sent"] = json!(sent);
            shown["fields"] = json!(fields);
            shown["letter"] = json!(letter);
        }
    }
    shown
}

fn staged_json(staged: &Staged) -> Value {
    json!({
        "at": staged.at,
        "read_by": staged.read_by,
        "maybe_sent": staged.maybe_sent,
        "name": staged.name,
        "fields": staged.fields,
        "reason": staged.reason,
    })
}

/// A verdict in its parts.
pub struct Verdicted<'a> {
    pub verdict: &'static str,
    pub id: Option<&'a str>,
    pub reason: Option<&'a Reason>,
}

pub fn verdicted(verdict: &Verdict) -> Verdicted<'_> {
    let (verdict, id, reason) = match verdict {
        Verdict::Created(id) => ("created", id.as_deref(), None),
        Verdict::Updated(id) => ("updated", id.as_deref(), None),
        Verdict::Unchanged => ("unchanged", None, None),
        Verdict::Deleted => ("deleted", None, None),
        Verdict::Skipped => ("skipped", None, None),
        Verdict::Rejected(reason) => ("rejected", None, Some(reason)),
        Verdict::Parked(reason) => ("parked", None, Some(reason)),
    };
    Verdicted { verdict, id, reason }
}

/// The verdict of a record that has no hop, and why.
pub fn passed(why: &Why) -> (&'static str, &str) {
    match why {
        Why::Unchanged => ("unchanged", "the sink was sent this content before"),
        Why::Filtered(step) => ("skipped", step),
        Why::LeftAlone => {
            ("skipped", "it changed after it was created, and the pipeline leaves such records alone (changed: skip)")
        }
        Why::NeverWritten => ("skipped", "it is gone at the source, and this pipeline never brought it to the sink"),
        Why::Buried => {
            ("unchanged", "it is gone at the source, and its deletion was delivered; or it has come back since")
        }
        Why::Created => ("created", "the sink took it"),
        Why::Updated => ("updated", "the sink took it"),
        Why::Held => ("unchanged", "the sink holds it already"),
        Why::Superseded => ("unchanged", "a newer state of it was delivered before"),
    }
}
