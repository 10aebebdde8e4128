//! A connector proposed from a document: where requests go, how they are signed, what can be read and what can be written.

mod auth;
mod operation;
mod paging;
mod records;
mod since;
mod stream;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use self::{
    auth::{Base, Signing},
    operation::Operation,
    stream::Stream,
};
use super::{
    call::{Call, calls},
    document::{Document, Trouble},
    schema::Types,
    words::{fits, line, setting, singular, snake},
};

/// Proposed where nobody says which.
const STREAMS: usize = 40;
const OPERATIONS: usize = 60;
/// Proposed at the most. A connector's file has a bound of its own.
const CALLS_MAX: usize = 1000;

/// Which calls are wanted.
#[derive(Clone, Default, Debug)]
pub struct Wanted {
    /// Patterns of paths, operation ids and names; all of a document within bounds where there are none.
    pub only: Vec<String>,
}

/// Something that could not be told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Look {
    pub words: String,
    /// Streams and operations it is about; none: the whole connector.
    pub places: Vec<String>,
}

impl Look {
    /// The places, of many the first.
    pub fn shown(&self) -> String {
        const SHOWN: usize = 6;
        let more = self.places.len().saturating_sub(SHOWN);
        let names = self.places[..self.places.len() - more].join(", ");
        if more == 0 { names } else { format!("{names} and {more} more") }
    }
}

/// What is written, and what is told.
#[derive(Debug)]
pub struct Proposal {
    pub connector: String,
    pub readme: String,
    /// The part of `renkei.yaml` that uses it.
    pub connection: String,
    pub streams: Vec<String>,
    pub operations: Vec<String>,
    /// Streams and operations that the document has besides.
    pub streams_left: usize,
    pub operations_left: usize,
    pub look_at: Vec<Look>,
}

/// Everything that is written, before it is text.
pub struct Draft<'d> {
    pub name: String,
    pub title: String,
    pub origin: String,
    pub digest: String,
    pub base: Base,
    pub signing: Signing,
    /// By name, with what they are for.
    pub settings: BTreeMap<String, String>,
    /// Answers say with a boolean whether a call went well.
    pub says_ok: bool,
    pub streams: Vec<Stream<'d>>,
    pub operations: Vec<Operation<'d>>,
}

/// Proposes the connector `name`.
pub fn propose(document: &Document, name: &str, wanted: &Wanted) -> Result<Proposal, Trouble> {
    let all = calls(document);
    let picked = |call: &Call<'_>, name: &str| match wanted.only.is_empty() {
        true => !call.deprecated,
        false => wanted.only.iter().any(|only| [call.path, call.id, name].iter().any(|text| fits(only, text))),
    };
    let mut streams = streams(&all);
    streams.retain(|stream| picked(&stream.call, &stream.name));
    // What can be read with credentials alone comes first, and what is told before what is guessed.
    streams.sort_by_key(|stream| (!stream.needs.is_empty(), !stream.told, stream.call.method == "post"));
    let reads: BTreeSet<&str> =
        streams.iter().filter(|one| one.call.method == "post").map(|one| one.call.pointer.as_str()).collect();
    let mut operations = operations(&all);
    operations.retain(|one| !reads.contains(one.call.pointer.as_str()) && picked(&one.call, &one.name));
    let (streams_max, operations_max) =
        if wanted.only.is_empty() { (STREAMS, OPERATIONS) } else { (CALLS_MAX, CALLS_MAX) };
    let (all_streams, all_operations) = (streams.len(), operations.len());
    streams.truncate(streams_max);
    operations.truncate(operations_max);
    if streams.is_empty() && operations.is_empty() {
        let message = if wanted.only.is_empty() {
            "nothing in it can be read as a list or written as JSON or a form"
        } else {
            "nothing in it that can be read or written fits what was asked for"
        };
        let help =
            "look at its paths; --only takes paths, operation ids and names, and `*` in them stands for anything";
        return Err(Trouble::new("/paths", message, help));
    }
    let info = document.place().get("info");
    let said = |key: &str| info.as_ref().and_then(|info| info.text(key)).map(|text| line(text, 80)).unwrap_or_default();
    let (title, version) = (said("title"), said("version"));
    let prefix = snake(name).unwrap_or_default().to_uppercase();
    let draft = Draft {
        name: name.to_owned(),
        origin: format!("the document \"{title}\", version {}", if version.is_empty() { "unknown" } else { &version }),
        title,
        digest: document.digest.clone(),
        base: auth::base(document),
        signing: auth::signing(document, &all, &prefix),
        settings: settings(&streams, &operations),
        says_ok: says_ok(&all),
        streams,
        operations,
    };
    Ok(Proposal {
        connector: text::connector(&draft),
        readme: text::readme(&draft),
        connection: text::connection(&draft),
        streams: draft.streams.iter().map(|one| one.name.clone()).collect(),
        operations: draft.operations.iter().map(|one| one.name.clone()).collect(),
        streams_left: all_streams - draft.streams.len(),
        operations_left: all_operations - draft.operations.len(),
        look_at: draft.look_at(),
    })
}

impl Draft<'_> {
    /// What could not be told, each once, with the streams and operations that it is about.
    pub fn look_at(&self) -> Vec<Look> {
        let mut all: Vec<Look> = Vec::new();
        let whole = self.base.note.iter().chain(&self.signing.notes);
        all.extend(whole.map(|words| Look { words: words.clone(), places: Vec::new() }));
        let of_streams = self.streams.iter().flat_map(|one| one.notes.iter().map(|note| (note, &one.name)));
        let of_operations = self.operations.iter().flat_map(|one| one.notes.iter().map(|note| (note, &one.name)));
        for (words, place) in of_streams.chain(of_operations) {
            match all.iter_mut().find(|look| look.words == *words) {
                Some(look) => look.places.push(place.clone()),
                None => all.push(Look { words: words.clone(), places: vec![place.clone()] }),
            }
        }
        all
    }
}

fn streams<'d>(all: &[Call<'d>]) -> Vec<Stream<'d>> {
    let mut streams: Vec<Stream<'d>> = all.iter().filter_map(|call| stream::of(call, None)).collect();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let told = streams.iter().filter(|one| one.told && one.records != ".");
    told.for_each(|one| *counts.entry(one.records.clone()).or_default() += 1);
    // Where others have their records is the best guess for an answer that is not described.
    if let Some((usual, _)) = counts.into_iter().max_by_key(|(_, count)| *count) {
        streams = all.iter().filter_map(|call| stream::of(call, Some(&usual))).collect();
    }
    let mut taken = BTreeSet::new();
    for stream in &mut streams {
        stream.name = free(&mut taken, &stream_names(&stream.call));
    }
    streams
}

fn operations<'d>(all: &[Call<'d>]) -> Vec<Operation<'d>> {
    let reads: Vec<Call<'d>> = all.iter().filter(|call| call.method == "get").cloned().collect();
    let mut operations: Vec<Operation<'d>> = all.iter().filter_map(|call| operation::of(call, &reads)).collect();
    let mut taken = BTreeSet::new();
    for one in &mut operations {
        one.name = free(&mut taken, &operation_names(&one.call, one.makes));
    }
    operations
}

/// The first name that is free, else the last one with a number.
fn free(taken: &mut BTreeSet<String>, names: &[String]) -> String {
    let last = names.last().cloned().unwrap_or_else(|| "call".to_owned());
    let numbered = (2..).map(|n| format!("{last}_{n}"));
    let name = names.iter().cloned().chain(numbered).find(|name| !taken.contains(name)).unwrap_or(last);
    taken.insert(name.clone());
    name
}

/// Names of a path: its last word, its last two words, and so on.
fn path_names(path: &str) -> Vec<String> {
    let statics: Vec<String> = path
        .split('/')
        .filter(|part| !part.is_empty() && !part.contains('{'))
        .filter_map(|part| snake(part.strip_suffix(".json").unwrap_or(part)))
        .map(|part| part.strip_suffix("_list").map(str::to_owned).unwrap_or(part))
        .collect();
    let names = (1..=statics.len()).map(|count| statics[statics.len() - count..].join("_"));
    names.filter_map(|name| snake(&name)).collect()
}

fn stream_names(call: &Call<'_>) -> Vec<String> {
    let mut names = path_names(call.path);
    names.truncate(3);
    names.extend(snake(call.id));
    if names.is_empty() {
        names.push("records".to_owned());
    }
    names
}

fn operation_names(call: &Call<'_>, makes: &str) -> Vec<String> {
    let mut names: Vec<String> = snake(call.id).into_iter().collect();
    let of_path = path_names(call.path);
    names.extend(of_path.into_iter().filter_map(|name| snake(&format!("{makes}_{}", singular(&name)))));
    if names.is_empty() {
        names.push(makes.to_owned());
    }
    names
}

fn settings(streams: &[Stream<'_>], operations: &[Operation<'_>]) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    let needs = streams.iter().flat_map(|one| &one.needs).chain(operations.iter().flat_map(|one| &one.needs));
    for (name, words) in needs {
        let known = all.entry(setting(name)).or_default();
        if known.is_empty() {
            known.clone_from(words);
        }
    }
    all
}

/// Most answers have a boolean `ok` at their top.
fn says_ok(all: &[Call<'_>]) -> bool {
    let says = |call: &&Call<'_>| {
        let schema = call.answer.as_ref().and_then(|answer| answer.schema.as_ref());
        schema.and_then(|schema| schema.field("ok")).is_some_and(|field| {
            let types = field.schema.types();
            types.may_be(Types::BOOLEAN) && !types.surely(Types::TEXT) && !types.surely(Types::OBJECT)
        })
    };
    all.len() > 3 && all.iter().filter(says).count() * 2 > all.len()
}
