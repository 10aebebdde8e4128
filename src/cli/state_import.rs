//! `state import`: goes on where another tool stopped, by its state file.

use std::path::Path;

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use super::{
    args_state::StateImportArgs,
    failure::{DONE, Failure},
    output::{Output, printable},
    peer_state::{self, PeerStream},
    suggest, workspace,
};
use crate::{
    config::plan::{CursorFormat, Incremental, Makes, Pipeline, To},
    engine::stream_id,
    model::{Checkpoint, Clock, Cursor, SystemClock},
    source::read_cursor,
};

/// Clocks differ, but not by more.
const AHEAD_MAX: TimeDelta = TimeDelta::days(1);

pub async fn import(args: &StateImportArgs, dir: &Path, output: &Output) -> Result<u8, Failure> {
    let plan = workspace::plan_without_secrets(dir, output)?;
    let pipeline = args.pipeline.as_str();
    let Some(found) = plan.pipelines.get(pipeline) else { return Err(suggest::no_pipeline(pipeline, &plan)) };
    let way = fits(found)?;
    let state = peer_state::read(&args.file)?;
    let name = args.stream.as_deref().unwrap_or(&found.from.stream.name);
    let Some(stream) = state.streams.iter().find(|stream| stream.name == name) else {
        let names = state.streams.iter().map(|stream| stream.name.as_str());
        let help = format!("{}; name it with --stream", suggest::help(name, "stream", names));
        return Err(Failure::usage(format!("{} tells of no stream `{}`", args.file.display(), printable(name)), help));
    };
    let (cursor, field) = cursor(way, stream, args.field.as_deref(), SystemClock.now())?;

    let id = stream_id(found);
    let opened = workspace::open(&plan.store, false).await?;
    let known = opened.state.checkpoint(&id).await?;
    let is_begun = known.is_some_and(|known| known != known.from_the_start());
    if is_begun || !opened.state.outbox(&id).await?.is_empty() {
        opened.close().await;
        let help = format!(
            "nothing was changed; `renkei state show {pipeline}` tells it, and `renkei state reset {pipeline}` forgets it"
        );
        return Err(Failure::usage(format!("`{pipeline}` has a cursor or a listing of its own already"), help));
    }
    let details = json!({ "tool": state.tool, "stream": stream.name, "field": field, "cursor": cursor.canonical() });
    opened.note("import_state", pipeline, details.clone()).await?;
    let begins = Checkpoint { cursor: Some(cursor.clone()), ..Checkpoint::default() };
    opened.state.adopt(&id, &Some(begins)).await?;
    opened.close().await;
    if output.json() {
        output.document(&json!({ "pipeline": pipeline, "imported": details, "partitions": stream.parts.len() }));
        return Ok(DONE);
    }
    tell(found, &cursor, &field, state.tool, stream, output);
    Ok(DONE)
}

fn tell(pipeline: &Pipeline, cursor: &Cursor, field: &str, tool: &str, stream: &PeerStream, output: &Output) {
    let (name, at) = (&pipeline.name, printable(&cursor.canonical()).to_string());
    output.line(format_args!(
        "{name} goes on from {at}: {tool}'s `{}` of {}",
        printable(field),
        printable(&stream.name)
    ));
    if stream.parts.len() > 1 {
        let parts = stream.parts.len();
        output.line(format_args!(
            "it is the earliest of {parts} partitions, so what the others delivered since is read again"
        ));
    }
    if let To::Operation { operation, .. } = &pipeline.to
        && operation.makes == Makes::Create
    {
        output.line(format_args!(
            "records that {tool} delivered have no link here, and one that changes would be created again: give their ids to \
             `renkei links import {name} FILE` first"
        ));
    }
}

/// How the stream tells what changed, if a pipeline can go on by a cursor.
fn fits(pipeline: &Pipeline) -> Result<&Incremental, Failure> {
    let stream = &pipeline.from.stream;
    let refuse = |why: &str, help: &str| {
        Err(Failure::usage(format!("`{}` {why}", pipeline.name), format!("nothing was changed; {help}")))
    };
    match (&stream.incremental, &pipeline.to) {
        (_, To::Table { .. }) => refuse(
            "writes a table, which keeps its own checkpoint",
            "let it read everything once: what the table holds is recognised by its key",
        ),
        _ if stream.slices.is_some() => refuse(
            "reads a stream in slices, each with a cursor of its own",
            "let it read everything once; give the ids at the sink to `links import`",
        ),
        (None, _) => refuse("reads a stream that is listed whole each time", "it needs no cursor"),
        (Some(incremental), _) => Ok(incremental),
    }
}

/// Where the stream goes on, and by which field of the state.
fn cursor(
    way: &Incremental,
    stream: &PeerStream,
    asked: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(Cursor, String), Failure> {
    let mut earliest: Option<(Cursor, String)> = None;
    for (at, part) in stream.parts.iter().enumerate() {
        let refuse = |why: String| {
            let place = match stream.parts.len() {
                1 => String::new(),
                _ => format!(", partition {}", at + 1),
            };
            Failure::usage(format!("the state of {}{place} {why}", printable(&stream.name)), "nothing was changed")
        };
        let own = match way {
            Incremental::Field(field) => field.field.as_str().rsplit('.').next(),
            Incremental::Token { .. } => None,
        };
        let (name, value) = chosen(part, asked, own).map_err(refuse)?;
        let cursor = match way {
            Incremental::Field(field) => read(field.format, value),
            Incremental::Token { .. } => value.as_str().map(|token| Cursor::Token(token.to_owned())),
        };
        let cursor =
            cursor.ok_or_else(|| refuse(format!("has {value} as `{name}`, which is no cursor of this stream")))?;
        if matches!(cursor, Cursor::Instant(at) if at > now + AHEAD_MAX) {
            return Err(refuse(format!(
                "has {value} as `{name}`, which lies in the future: everything before it would be left out"
            )));
        }
        earliest = match earliest.take() {
            None => Some((cursor, name.to_owned())),
            Some((known, field)) => match known.compare(&cursor) {
                Some(std::cmp::Ordering::Greater) => Some((cursor, name.to_owned())),
                Some(_) => Some((known, field)),
                None => return Err(refuse("cannot be compared with that of another partition".to_owned())),
            },
        };
    }
    earliest.ok_or_else(|| Failure::usage(format!("the state of {} is empty", stream.name), "nothing was changed"))
}

/// The field that was asked for, that of the stream's cursor, or the only one.
fn chosen<'p>(
    part: &'p Map<String, Value>,
    asked: Option<&str>,
    own: Option<&str>,
) -> Result<(&'p str, &'p Value), String> {
    let named = |name: &str| part.get_key_value(name).map(|(name, value)| (name.as_str(), value));
    let all = || part.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    match (asked, own.and_then(named), part.len()) {
        (_, _, 0) => Err("holds no cursor".to_owned()),
        (Some(asked), ..) => named(asked).ok_or_else(|| format!("has no field `{asked}`; it has {}", all())),
        (None, Some(own), _) => Ok(own),
        (None, None, 1) => part.iter().next().map(|(name, value)| (name.as_str(), value)).ok_or_else(String::new),
        (None, None, _) => Err(format!("has several fields, name one with --field: {}", all())),
    }
}

/// A value in the stream's own format, or as these tools write times: without a zone it is UTC.
fn read(format: CursorFormat, value: &Value) -> Option<Cursor> {
    if let Some((cursor, _)) = read_cursor(format, &value.to_string()) {
        return Some(cursor);
    }
    if format == CursorFormat::Integer {
        return None;
    }
    let text = value.as_str()?.trim();
    let zoned = DateTime::parse_from_rfc3339(text).map(|at| at.to_utc());
    let naive = || {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f")
            .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f"))
    };
    let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").map(|day| day.and_time(chrono::NaiveTime::MIN));
    let at = zoned.or_else(|_| naive().or_else(|_| day()).map(|at| at.and_utc())).ok()?;
    Some(Cursor::Instant(at))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parts(values: &[Value]) -> PeerStream {
        let part = |value: &Value| Map::from_iter([("token".to_owned(), value.clone())]);
        PeerStream { name: "s".to_owned(), parts: values.iter().map(part).collect() }
    }

    fn of(format: CursorFormat, values: &[Value]) -> Result<Cursor, String> {
        let field = crate::config::plan::CursorField {
            field: crate::model::Path::parse("inside.token").unwrap(),
            format,
            days: None,
            ascending: false,
            overlap: crate::config::plan::Lag::Count(0),
            settle: std::time::Duration::ZERO,
            since: None,
            until: None,
            start: None,
        };
        let now = DateTime::from_timestamp(1_767_225_600, 0).unwrap();
        let found = cursor(&Incremental::Field(field), &parts(values), None, now);
        found.map(|(cursor, _)| cursor).map_err(|failure| format!("{failure:?}"))
    }

    #[test]
    fn of_several_partitions_the_earliest_cursor_counts_and_all_must_have_one() {
        let values = [json!("2025-03-01T00:00:00+09:00"), json!("2025-02-28T12:00:00Z"), json!("2025-03-02")];
        let earliest = Cursor::Instant(DateTime::parse_from_rfc3339("2025-02-28T12:00:00Z").unwrap().to_utc());
        assert_eq!(of(CursorFormat::Rfc3339, &values), Ok(earliest));
        assert_eq!(of(CursorFormat::Integer, &[json!(9), json!(7), json!("8")]), Ok(Cursor::Integer(7)));
        let ahead = of(CursorFormat::Rfc3339, &[json!("2025-01-01"), json!("2026-01-02T00:00:01Z")]).unwrap_err();
        assert!(ahead.contains("partition 2") && ahead.contains("lies in the future"), "{ahead}");
        let refused = of(CursorFormat::Integer, &[json!(9), json!("2025-01-01")]).unwrap_err();
        assert!(refused.contains("partition 2"), "{refused}");
    }
}
