//! `links`: what ties a record of the source to its id at the sink. A link is kept under a hash of the record's key, so one key
//! can be asked for, and a list names hashes.

use std::path::Path;

use serde_json::json;

use super::{
    failure::{DONE, Failure},
    links_file,
    listing::known,
    output::{Output, Paint, printable},
    suggest,
    table::{self, Column},
    workspace::{self, Opened},
};
use crate::{
    config::plan::To,
    engine::{agree, naming, stream_id},
    model::{Fault, Key, KeyHash},
    store::{Imported, Link, Naming, State, StreamId},
};

/// Links of one commit of an import.
const COMMIT_LINKS: usize = 1_000;

/// A pipeline's stream, the key that was asked for, and, where there is one, the open store.
struct Ledger {
    stream: StreamId,
    key: Option<Key>,
    opened: Option<Opened>,
}

impl Ledger {
    async fn open(dir: &Path, pipeline: &str, key: Option<&str>, output: &Output) -> Result<Self, Failure> {
        let plan = workspace::plan_without_secrets(dir, output)?;
        known(pipeline, &plan, std::iter::empty())?;
        let found = plan.pipelines.get(pipeline);
        let stream = found.map_or_else(|| StreamId::new(pipeline, ""), |pipeline| stream_id(pipeline));
        let key = key.map(|key| workspace::record_key(found.map(|found| &**found), key)).transpose()?;
        Ok(Self { stream, key, opened: workspace::look(&plan.store).await? })
    }

    async fn close(self) {
        super::listing::close(self.opened).await;
    }
}

pub async fn show(dir: &Path, pipeline: &str, key: &str, output: &Output) -> Result<u8, Failure> {
    let ledger = Ledger::open(dir, pipeline, Some(key), output).await?;
    let key = ledger.key.clone().unwrap_or_else(|| Key::new(key));
    let link = match &ledger.opened {
        Some(opened) => opened.state.links(&ledger.stream, std::slice::from_ref(&key)).await?.into_iter().next(),
        None => None,
    };
    ledger.close().await;
    let Some(link) = link.flatten() else {
        return Err(no_link(&key, pipeline));
    };
    if output.json() {
        let mut shown = link_json(KeyHash::of(&key), &link);
        shown["key"] = json!(key);
        output.document(&shown);
        return Ok(DONE);
    }
    let paint = Paint(output.color_stdout);
    let fact = |name: &str, value: &str| {
        output.line(format_args!("{} {}", paint.bold(format_args!("{name:<10}")), printable(value)));
    };
    fact("key", key.as_str());
    fact("sink id", link.sink_id.as_deref().unwrap_or("-"));
    fact("generation", &link.generation.to_string());
    fact("content", content(&link));
    fact("hash", &KeyHash::of(&key).to_string());
    Ok(DONE)
}

pub async fn list(
    dir: &Path,
    pipeline: &str,
    limit: usize,
    after: Option<&str>,
    output: &Output,
) -> Result<u8, Failure> {
    let after = after.map(hash_of).transpose()?;
    let ledger = Ledger::open(dir, pipeline, None, output).await?;
    let (links, count) = match &ledger.opened {
        Some(opened) => (
            opened.state.links_after(&ledger.stream, after, limit).await?,
            opened.state.link_count(&ledger.stream).await?,
        ),
        None => (Vec::new(), 0),
    };
    ledger.close().await;
    if output.json() {
        output.document(&links.iter().map(|(hash, link)| link_json(*hash, link)).collect::<Vec<_>>());
        return Ok(DONE);
    }
    let columns =
        [Column("hash of key", false), Column("generation", true), Column("sink id", false), Column("content", false)];
    let rows = links.iter().map(|(hash, link)| {
        let id = link.sink_id.as_deref().map_or("-".to_owned(), printable);
        vec![hash.to_string(), link.generation.to_string(), id, content(link).to_owned()]
    });
    table::print(output, &columns, rows.collect(), "no links");
    if let Some((last, _)) = links.last().filter(|_| links.len() == limit && count > limit) {
        output.note(format_args!("{count} in all; the next ones: --after {}", last));
    }
    Ok(DONE)
}

pub async fn forget(dir: &Path, pipeline: &str, key: Option<&str>, output: &Output) -> Result<u8, Failure> {
    let ledger = Ledger::open(dir, pipeline, key, output).await?;
    let key = ledger.key.clone();
    if let Some(opened) = &ledger.opened {
        opened.note("forget_links", &ledger.stream.pipeline, json!({ "all": key.is_none() })).await?;
    }
    let forgotten = match (&ledger.opened, &key) {
        (None, _) => Ok(0),
        (Some(opened), None) => opened.state.forget_all_links(&ledger.stream).await,
        (Some(opened), Some(key)) => opened.state.forget_link(&ledger.stream, key).await.map(usize::from),
    };
    ledger.close().await;
    let forgotten = forgotten?;
    if let (0, Some(key)) = (forgotten, &key) {
        return Err(no_link(key, pipeline));
    }
    if output.json() {
        output.document(&json!({ "pipeline": pipeline, "forgotten": forgotten }));
        return Ok(DONE);
    }
    output.line(format_args!("{} of {pipeline} forgotten", links_of(forgotten as u64)));
    if forgotten > 0 {
        output.line("when they are read again, these records are written as new ones: an operation that only creates makes doubles once the vendor forgot their keys");
    }
    Ok(DONE)
}

pub async fn import(dir: &Path, pipeline: &str, file: &Path, output: &Output) -> Result<u8, Failure> {
    let plan = workspace::plan_without_secrets(dir, output)?;
    let Some(found) = plan.pipelines.get(pipeline) else {
        return Err(suggest::no_pipeline(pipeline, &plan));
    };
    if !matches!(found.to, To::Operation { .. }) {
        let help = "a file or a table knows its records by their keys; there is nothing to import";
        return Err(Failure::usage(format!("`{pipeline}` does not write to an API"), help));
    }
    let personal = workspace::personal(found)?;
    // The file names records as the source does; links go by the names that a run gives them.
    let pairs = links_file::read(file)?.into_iter().map(|(key, id)| match personal.is_hashed(&key) {
        true => (key, id),
        false => (personal.key(key), id),
    });
    let pairs: Vec<(Key, String)> = pairs.collect();
    let opened = workspace::open(&plan.store, false).await?;
    opened.note("import_links", pipeline, json!({ "links": pairs.len() })).await?;
    let imported = take_over(&opened.state, &stream_id(found), &naming(found, &personal), &pairs).await;
    opened.close().await;
    let Imported { added, replaced, known } = imported?;
    if output.json() {
        output.document(&json!({ "pipeline": pipeline, "added": added, "replaced": replaced, "known": known }));
        return Ok(DONE);
    }
    output.line(format_args!("{} added, {replaced} replaced, {known} known before", links_of(added)));
    output.line("what the sink holds is in doubt, so each of these records is written once when it is read");
    Ok(DONE)
}

async fn take_over(
    state: &State,
    stream: &StreamId,
    named: &Naming,
    pairs: &[(Key, String)],
) -> Result<Imported, Fault> {
    agree(state, stream, named).await?;
    let mut imported = Imported::default();
    for part in pairs.chunks(COMMIT_LINKS) {
        let more = state.import_links(stream, part).await?;
        imported.added += more.added;
        imported.replaced += more.replaced;
        imported.known += more.known;
    }
    Ok(imported)
}

fn links_of(count: u64) -> String {
    if count == 1 { "1 link".to_owned() } else { format!("{count} links") }
}

fn no_link(key: &Key, pipeline: &str) -> Failure {
    let message = format!("`{pipeline}` has no link for the key `{}`", printable(key.as_str()));
    Failure::usage(message, "nothing was changed; the key is the one of the source, as dead letters show it")
}

pub fn content(link: &Link) -> &'static str {
    match (link.uncertain, link.content) {
        _ if link.gone && link.sink_id.is_none() => "deleted",
        _ if link.gone => "archived",
        (true, _) => "sent with an unknown outcome",
        (false, Some(_)) => "as sent",
        (false, None) => "in doubt",
    }
}

pub fn link_json(hash: KeyHash, link: &Link) -> serde_json::Value {
    json!({
        "hash": hash.to_string(),
        "sink_id": link.sink_id,
        "generation": link.generation,
        "in_doubt": link.uncertain || link.content.is_none(),
        "uncertain": link.uncertain,
        "gone": link.gone,
        "key": link.key,
        "content": link.content.map(|content| hex(&content.0)),
    })
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hash_of(text: &str) -> Result<KeyHash, Failure> {
    let wrong = || Failure::usage(format!("`{text}` is no hash"), "renkei links show lists hashes of 32 digits");
    KeyHash::parse(text).ok_or_else(wrong)
}
