//! Reads state files of Singer taps and Airbyte sources: how far each of their streams came.
//!
//! Singer: a STATE message, or the state alone, with `bookmarks` by stream (Singer specification, SPEC.md; Meltano SDK for partitions and
//! `replication_key_value`). Airbyte: messages of type STATE, or the list of `streamDescriptor` and `streamState` that its user interface
//! shows, in the spelling of either (Airbyte protocol, airbyte_protocol.yaml). Both looked up 2026-11-30.

use std::path::Path;

use serde_json::{Map, Value};

use super::failure::Failure;

/// No state of a tool that keeps one value per stream and partition is larger.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// How far another tool came.
#[derive(Debug, PartialEq)]
pub struct PeerState {
    pub tool: &'static str,
    pub streams: Vec<PeerStream>,
}

/// How far it came in one stream.
#[derive(Debug, PartialEq)]
pub struct PeerStream {
    pub name: String,
    /// The fields with their values; of a stream in partitions for each of them.
    pub parts: Vec<Map<String, Value>>,
}

pub fn read(path: &Path) -> Result<PeerState, Failure> {
    let refuse = |what: String| {
        Failure::usage(
            format!("{}: {what}", path.display()),
            "nothing was changed; name a state file of Singer or Airbyte",
        )
    };
    let length = std::fs::metadata(path).map_err(|error| refuse(error.to_string()))?.len();
    if length > FILE_BYTES_MAX {
        return Err(refuse(format!("{length} bytes are more than the {FILE_BYTES_MAX} of a state file")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
    parse(&text).map_err(refuse)
}

fn parse(text: &str) -> Result<PeerState, String> {
    let text = text.trim_start_matches('\u{feff}').trim();
    let documents = match serde_json::from_str(text) {
        Ok(whole) => vec![whole],
        // Messages, one in each line.
        Err(error) => lines(text).map_err(|line| match text.lines().count() {
            0 | 1 => format!("it is no JSON: {error}"),
            _ => format!("line {line} is no JSON"),
        })?,
    };
    let mut found: Option<PeerState> = None;
    for one in documents.iter().filter_map(state_of) {
        match &mut found {
            // A message tells of one stream, or of all: the last word on each counts.
            Some(known) if known.tool == one.tool => {
                known.streams.retain(|stream| one.streams.iter().all(|newer| newer.name != stream.name));
                known.streams.extend(one.streams);
            }
            _ => found = Some(one),
        }
    }
    found.filter(|state| !state.streams.is_empty()).ok_or_else(|| "it tells of no stream".to_owned())
}

fn lines(text: &str) -> Result<Vec<Value>, usize> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(at, line)| serde_json::from_str(line).map_err(|_| at + 1)).collect()
}

fn state_of(value: &Value) -> Option<PeerState> {
    match value {
        Value::Array(streams) => airbyte(streams),
        Value::Object(fields) => {
            // What tools wrap their state in.
            let inside =
                ["value", "singer_state", "state", "streamState", "global"].iter().find_map(|name| fields.get(*name));
            match fields.get("bookmarks") {
                Some(Value::Object(bookmarks)) => Some(singer(bookmarks)),
                _ if name_of(value).is_some() => airbyte(std::slice::from_ref(value)),
                _ if fields.contains_key("stream_states") => airbyte(fields["stream_states"].as_array()?),
                _ => match (inside, fields.get("type"), fields.get("data")) {
                    (Some(inside), ..) => state_of(inside),
                    (None, Some(_), Some(Value::Object(legacy))) => Some(legacy_airbyte(legacy)),
                    _ => None,
                },
            }
        }
        _ => None,
    }
}

fn singer(bookmarks: &Map<String, Value>) -> PeerState {
    let streams = bookmarks.iter().map(|(name, bookmark)| PeerStream {
        name: name.clone(),
        parts: match bookmark.get("partitions").and_then(Value::as_array) {
            Some(partitions) => partitions.iter().map(bookmarked).collect(),
            None => vec![bookmarked(bookmark)],
        },
    });
    PeerState { tool: "Singer", streams: streams.collect() }
}

fn bookmarked(bookmark: &Value) -> Map<String, Value> {
    let named = (bookmark.get("replication_key").and_then(Value::as_str), bookmark.get("replication_key_value"));
    match (bookmark, named) {
        (_, (Some(key), Some(value))) => Map::from_iter([(key.to_owned(), value.clone())]),
        (Value::Object(fields), _) => scalars(fields),
        (Value::Null, _) => Map::new(),
        (value, _) => Map::from_iter([("value".to_owned(), value.clone())]),
    }
}

/// The name of the stream that an Airbyte state is of.
fn name_of(state: &Value) -> Option<(&str, &Value)> {
    let state = state.get("stream").filter(|stream| stream.is_object()).unwrap_or(state);
    let part = |names: [&str; 2]| names.iter().find_map(|name| state.get(*name));
    let descriptor = part(["streamDescriptor", "stream_descriptor"])?;
    Some((descriptor.get("name")?.as_str()?, part(["streamState", "stream_state"]).unwrap_or(&Value::Null)))
}

fn airbyte(states: &[Value]) -> Option<PeerState> {
    let streams: Vec<PeerStream> = states
        .iter()
        .filter_map(name_of)
        .map(|(name, state)| PeerStream { name: name.to_owned(), parts: parts(state) })
        .collect();
    (!streams.is_empty()).then_some(PeerState { tool: "Airbyte", streams })
}

fn legacy_airbyte(data: &Map<String, Value>) -> PeerState {
    let streams = data.iter().map(|(name, state)| PeerStream { name: name.clone(), parts: parts(state) });
    PeerState { tool: "Airbyte", streams: streams.collect() }
}

/// The cursors of a stream: of each partition, or the one for all.
fn parts(state: &Value) -> Vec<Map<String, Value>> {
    let cursor = |value: &Value| value.as_object().map(scalars).unwrap_or_default();
    let is_global = state.get("use_global_cursor").and_then(Value::as_bool).unwrap_or(false);
    match (state.get("states").and_then(Value::as_array), state.get("state")) {
        (Some(partitions), global) if !partitions.is_empty() && (!is_global || global.is_none()) => {
            partitions.iter().map(|part| cursor(part.get("cursor").unwrap_or(&Value::Null))).collect()
        }
        (_, Some(global)) if global.is_object() => vec![cursor(global)],
        _ => vec![cursor(state)],
    }
}

/// What can be a cursor among the fields.
fn scalars(fields: &Map<String, Value>) -> Map<String, Value> {
    let is_value = |value: &Value| matches!(value, Value::String(_) | Value::Number(_));
    fields.iter().filter(|(_, value)| is_value(value)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(text: &str) -> Vec<(&'static str, String, Value)> {
        let state = parse(text).unwrap();
        let tool = state.tool;
        state.streams.into_iter().map(|stream| (tool, stream.name, json!(stream.parts))).collect()
    }

    #[test]
    fn every_shape_of_a_singer_state_is_read() {
        let updated = json!([{"updated_at": "2026-01-02T00:00:00Z"}]);
        for text in [
            r#"{"bookmarks":{"people":{"updated_at":"2026-01-02T00:00:00Z"}}}"#,
            r#"{"type":"STATE","value":{"bookmarks":{"people":{"updated_at":"2026-01-02T00:00:00Z","version":null}}}}"#,
            r#"{"singer_state":{"bookmarks":{"people":{"replication_key":"updated_at","replication_key_value":"2026-01-02T00:00:00Z",
                "progress_markers":{"replication_key_value":"2026-05-01"}}}}}"#,
            "{\"type\":\"RECORD\",\"stream\":\"people\",\"record\":{}}\n{\"type\":\"STATE\",\"value\":{\"bookmarks\":{\"people\":\
             {\"updated_at\":\"2025-01-02T00:00:00Z\"}}}}\n{\"type\":\"STATE\",\"value\":{\"bookmarks\":{\"people\":{\"updated_at\":\
             \"2026-01-02T00:00:00Z\"}}}}\n",
        ] {
            assert_eq!(told(text), [("Singer", "people".to_owned(), updated.clone())], "{text}");
        }
        let parts = r#"{"bookmarks":{"issues":{"partitions":[{"context":{"repo":"a"},"replication_key":"at","replication_key_value":7},
            {"context":{"repo":"b"}}]}, "plain":"2026"}}"#;
        assert_eq!(
            told(parts),
            [
                ("Singer", "issues".to_owned(), json!([{"at": 7}, {}])),
                ("Singer", "plain".to_owned(), json!([{"value": "2026"}]))
            ]
        );
    }

    #[test]
    fn every_shape_of_an_airbyte_state_is_read() {
        let updated = json!([{"updated": 5}]);
        for text in [
            r#"[{"streamDescriptor":{"name":"people","namespace":"x"},"streamState":{"updated":5}}]"#,
            r#"{"state":[{"streamDescriptor":{"name":"people"},"streamState":{"updated":5}}]}"#,
            r#"{"type":"STATE","state":{"type":"STREAM","stream":{"stream_descriptor":{"name":"people"},"stream_state":{"updated":5}}}}"#,
            r#"{"type":"GLOBAL","global":{"shared_state":{},"stream_states":[{"stream_descriptor":{"name":"people"},"stream_state":
                {"updated":5}}]}}"#,
            r#"{"type":"LEGACY","data":{"people":{"updated":5}}}"#,
            r#"[{"streamDescriptor":{"name":"people"},"streamState":{"state":{"updated":5},"use_global_cursor":true,"states":[{"cursor":
                {"updated":9}}]}}]"#,
        ] {
            assert_eq!(told(text), [("Airbyte", "people".to_owned(), updated.clone())], "{text}");
        }
        let parts = r#"[{"streamDescriptor":{"name":"p"},"streamState":{"states":[{"partition":{"a":1},"cursor":{"at":"1"}},
            {"partition":{"a":2},"cursor":{"at":"2"}}],"state":{"at":"2"}}}]"#;
        assert_eq!(told(parts), [("Airbyte", "p".to_owned(), json!([{"at": "1"}, {"at": "2"}]))]);
    }

    #[test]
    fn what_is_no_state_is_refused() {
        for (text, why) in [
            ("", "no stream"),
            ("{", "it is no JSON"),
            ("{\"a\":1}\n{", "line 2 is no JSON"),
            ("{}", "no stream"),
            ("[]", "no stream"),
            ("{\"bookmarks\":{}}", "no stream"),
            ("[1, {\"streamState\": 3}]", "no stream"),
        ] {
            let told = parse(text).unwrap_err();
            assert!(told.contains(why), "{text}: {told}");
        }
    }
}
