//! The files of a proposal. What could not be told stands as a comment beside the place it is about.

use super::{
    Draft,
    auth::{Base, Signing},
    operation::{Operation, key},
    stream::Stream,
};
use crate::openapi::words::{line, yaml};

const WIDTH: usize = 128;

/// Lines of YAML.
#[derive(Default)]
pub struct Lines(pub String);

impl Lines {
    pub fn line(&mut self, depth: usize, text: impl std::fmt::Display) {
        self.0.push_str(&format!("{:1$}{text}\n", "", depth * 2));
    }

    /// A comment, over as many lines as it needs.
    pub fn comment(&mut self, depth: usize, text: &str) {
        let mut row = String::new();
        let room = WIDTH - depth * 2 - 2;
        for word in text.split_whitespace() {
            if !row.is_empty() && row.chars().count() + word.chars().count() + 1 > room {
                self.line(depth, format_args!("# {row}"));
                row.clear();
            }
            row.push_str(if row.is_empty() { "" } else { " " });
            row.push_str(word);
        }
        if !row.is_empty() {
            self.line(depth, format_args!("# {row}"));
        }
    }

    fn described(&mut self, depth: usize, words: &str) {
        let words = line(words, 100);
        if !words.is_empty() {
            self.line(depth, format_args!("description: {}", yaml(&words)));
        }
    }

    fn map(&mut self, depth: usize, name: &str, fields: &[(String, String)]) {
        if !fields.is_empty() {
            let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{}: {value}", key(name))).collect();
            self.line(depth, format_args!("{name}: {{ {} }}", fields.join(", ")));
        }
    }
}

/// connector.yaml.
pub fn connector(draft: &Draft<'_>) -> String {
    let mut out = Lines::default();
    out.line(0, "version: 1");
    out.comment(0, &format!("Proposed from {}.", draft.origin));
    out.described(0, &draft.title);
    head(&mut out, &draft.base, &draft.signing);
    if !draft.settings.is_empty() {
        out.line(0, "config:");
        for (name, words) in &draft.settings {
            match words.as_str() {
                "" => out.line(1, format_args!("{}: {{}}", key(name))),
                words => out.line(1, format_args!("{}: {{ description: {} }}", key(name), yaml(words))),
            }
        }
    }
    if draft.says_ok {
        out.comment(0, "An answer says with `ok` whether the call went well, whatever its status.");
        out.line(0, "answers:");
        out.line(1, "- when: { status: 200, body: { path: ok, equals: [\"false\"] } }");
        out.line(1, "  is: reject");
    }
    if !draft.streams.is_empty() {
        out.line(0, "streams:");
        draft.streams.iter().for_each(|stream| of_stream(&mut out, stream));
    }
    if !draft.operations.is_empty() {
        out.line(0, "operations:");
        draft.operations.iter().for_each(|operation| of_operation(&mut out, operation));
    }
    out.0
}

fn head(out: &mut Lines, base: &Base, signing: &Signing) {
    if let Some(note) = &base.note {
        out.comment(0, &format!("To look at: {note}."));
    }
    if let Some(url) = &base.url {
        out.line(0, format_args!("base_url: {}", yaml(url)));
    }
    for note in &signing.notes {
        out.comment(0, &format!("To look at: {note}."));
    }
    if let Some(auth) = &signing.auth {
        out.line(0, "auth:");
        out.line(1, auth);
    }
}

fn notes(out: &mut Lines, notes: &[String]) {
    for note in notes {
        out.comment(2, &format!("To look at: {note}."));
    }
}

fn of_stream(out: &mut Lines, stream: &Stream<'_>) {
    out.line(1, format_args!("{}:", key(&stream.name)));
    out.described(2, stream.call.summary);
    notes(out, &stream.notes);
    out.line(2, format_args!("{}: {}", stream.call.method, yaml(&stream.path)));
    out.map(2, "query", &stream.query);
    out.map(2, "headers", &stream.headers);
    if stream.call.method == "post" {
        let fields: Vec<String> = stream.body.iter().map(|(name, value)| format!("{}: {value}", key(name))).collect();
        let inside = if fields.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", fields.join(", ")) };
        out.line(2, format_args!("body: {{ json: {inside} }}"));
    }
    out.line(2, format_args!("records: {}", yaml(&stream.records)));
    out.line(2, format_args!("key: {}", yaml(&stream.key)));
    if let Some(paginate) = &stream.paging.paginate {
        out.line(2, format_args!("paginate: {paginate}"));
    }
    if let Some(incremental) = &stream.since.incremental {
        out.line(2, format_args!("incremental: {incremental}"));
    }
    if let Some(offered) = &stream.since.offered {
        out.comment(2, "This would read what is new since the last run, and never again what changed:");
        out.line(2, format_args!("# {offered}"));
    }
}

fn of_operation(out: &mut Lines, operation: &Operation<'_>) {
    out.line(1, format_args!("{}:", key(&operation.name)));
    out.described(2, operation.call.summary);
    notes(out, &operation.notes);
    out.line(2, format_args!("{}: {}", operation.call.method, yaml(&operation.path)));
    out.map(2, "query", &operation.query);
    out.map(2, "headers", &operation.headers);
    if let Some(fields) = &operation.fields {
        out.comment(2, &format!("The body {fields}."));
    }
    if let Some(body) = &operation.body {
        out.line(2, format_args!("body: {body}"));
    }
    out.line(2, format_args!("makes: {}", operation.makes));
    out.line(2, format_args!("repeat: {}", operation.repeat));
    if let Some(id) = &operation.sink_id {
        out.line(2, format_args!("sink_id: {}", yaml(id)));
    }
}

/// The part of `renkei.yaml` that uses the connector.
pub fn connection(draft: &Draft<'_>) -> String {
    let mut out = Lines::default();
    out.line(0, "connections:");
    out.line(1, format_args!("{}:", key(&draft.name)));
    out.line(2, format_args!("connector: {}", key(&draft.name)));
    if draft.base.url.is_none() {
        out.line(2, format_args!("base_url: {}", yaml(&draft.base.example)));
    }
    if let Some(auth) = &draft.signing.connection {
        out.line(2, "auth:");
        out.line(3, auth);
    }
    out.0
}

pub fn readme(draft: &Draft<'_>) -> String {
    let mut out = format!("# {}\n\n", if draft.title.is_empty() { &draft.name } else { &draft.title });
    out.push_str(&format!(
        "Proposed from {} (SHA-256 {}).\nIt was not tried against the vendor.\n\n",
        draft.origin, draft.digest
    ));
    out.push_str(&format!("## How to connect\n\n```yaml\n# renkei.yaml\n{}```\n\n", connection(draft)));
    let cell = |text: &str| line(text, 90).replace('|', "\\|");
    if !draft.streams.is_empty() {
        out.push_str("## Streams\n\n| stream | reads | needs the setting |\n|---|---|---|\n");
        for stream in &draft.streams {
            let needs: Vec<String> =
                stream.needs.iter().map(|(name, _)| format!("`{}`", crate::openapi::words::setting(name))).collect();
            out.push_str(&format!("| `{}` | {} | {} |\n", stream.name, cell(stream.call.summary), needs.join(", ")));
        }
        out.push('\n');
    }
    if !draft.operations.is_empty() {
        out.push_str("## Operations\n\n| operation | makes | does |\n|---|---|---|\n");
        for one in &draft.operations {
            out.push_str(&format!("| `{}` | {} | {} |\n", one.name, one.makes, cell(one.call.summary)));
        }
        out.push('\n');
    }
    let look_at = draft.look_at();
    if !look_at.is_empty() {
        out.push_str("## To look at\n\n");
        for look in look_at {
            out.push_str(&format!(
                "* {}{}\n",
                look.words,
                if look.places.is_empty() { String::new() } else { format!(": {}", look.shown()) }
            ));
        }
    }
    out
}
