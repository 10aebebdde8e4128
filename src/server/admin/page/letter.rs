//! One dead letter: why it was refused, its record to be mended, and the buttons that send it again.

use axum::response::Response;
use chrono::{DateTime, Utc};
use http::StatusCode;
use maud::{Markup, html};
use serde_json::{Value, value::RawValue};

use super::{
    frame::{self, Notice},
    path, respond, see,
    words::{number, when},
};
use crate::{
    engine::{
        HeldBack,
        letters::{Change, kind},
    },
    model::{Fields, entries},
    server::admin::{
        Desk,
        call::Call,
        letters::{ReplayBody, Which, mend, one, replayed},
        problem::Problem,
    },
    store::DeadLetter,
};

pub async fn show(desk: &Desk, call: &Call) -> Result<Response, Problem> {
    let view = desk.look().await?;
    let letter = one(&view, call.name()).await?;
    let notice = match call.parameter("said") {
        Some("held_back") => Some(held_back(call.parameter("why").unwrap_or_default())),
        said => Notice::done(said),
    };
    Ok(respond(StatusCode::OK, page(&letter, &lines(&letter.record()), notice.as_ref(), view.engine.clock().now())))
}

fn page(letter: &DeadLetter, typed: &str, notice: Option<&Notice>, now: DateTime<Utc>) -> Markup {
    let name = letter.key.as_ref().map_or("a record without a key", |key| key.as_str());
    let pipeline = path("/pipelines/", &letter.pipeline);
    let own = path("/dead-letters/", &letter.id);
    let body = html! {
        p.lead { (letter.reason.message) " " code { (letter.reason.code) } }
        p.fine { (letter.reason.code.title()) ". " code { "renkei explain " (letter.reason.code) } " says more." }
        dl.facts {
            dt { "Kind" } dd { (kind(letter)) @if letter.gone { ", a deletion" } @if letter.in_doubt() { ", and it may have taken effect" } }
            dt { "Met" } dd { (number(letter.times)) " ×, last " (when(letter.at, now)) @if let Some(first) = letter.first_at { ", first " (when(first, now)) } }
            dt { "Stream" } dd { (letter.stream) }
            dt { "Run" } dd { a href=(path("/runs/", &letter.run)) { code { (letter.run) } } }
        }
        section aria-labelledby="h-record" {
            h2 #h-record { @if letter.edited.is_some() { "The record, as it was mended" } @else { "The record" } }
            form method="post" action={ (own) "/edit" } {
                label for="record" { "A replay sends it as it stands here. A field that is taken out, or null, goes; its key stays." }
                textarea #record name="record" rows=(typed.lines().count().clamp(6, 24)) spellcheck="false" autocomplete="off" { (typed) }
                @if letter.in_doubt() { (doubt()) }
                div.actions {
                    button.main type="submit" name="then" value="replay" { "Keep and replay" }
                    button type="submit" name="then" value="stay" { "Keep the change" }
                }
            }
            div.actions {
                form method="post" action={ (own) "/replay" } {
                    @if letter.in_doubt() { (doubt()) }
                    button type="submit" { "Replay it unchanged" }
                }
                @if letter.edited.is_some() { (frame::button(&format!("{own}/undo"), "Undo the change", "")) }
            }
        }
        @if letter.edited.is_some() { section aria-labelledby="h-read" { h2 #h-read { "As it was read" } pre tabindex="0" { (lines(&fields(&letter.source))) } } }
        @if let Some(mapped) = &letter.fields {
            section aria-labelledby="h-mapped" { h2 #h-mapped { "As the sink was to get it" } pre tabindex="0" { (lines(&fields(mapped))) } }
        }
    };
    frame::page(name, notice, &[(pipeline, letter.pipeline.as_str())], body)
}

fn doubt() -> Markup {
    html! { label.check { input type="checkbox" name="accept_doubt" value="yes"; " send it although the write may have taken effect" } }
}

fn fields(raw: &RawValue) -> Fields {
    Fields::from_object(raw.get().to_owned().into())
}

/// A record with a line for each of its fields, every value exactly as it stands.
fn lines(record: &Fields) -> String {
    let lines: Vec<String> =
        record.entries().iter().map(|(name, raw)| format!("  {}: {}", Value::from(name.as_ref()), raw.get())).collect();
    if lines.is_empty() { "{}".to_owned() } else { format!("{{\n{}\n}}", lines.join(",\n")) }
}

/// What has to be changed to make the record what was typed: a field that is not there any more is null. Values that were left alone are
/// not touched, however they are written.
fn patch(record: &Fields, typed: &str) -> Result<Vec<u8>, Problem> {
    let typed = Fields::parse(typed.as_bytes()).map_err(|error| {
        Problem::request(
            format!("what was typed is no JSON object: {error}"),
            "nothing was changed; mend the text and send it again",
        )
    })?;
    let (before, after) = (record.entries(), entries(typed.as_str()));
    let changed =
        after.iter().filter(|(name, raw)| !before.iter().any(|(known, old)| known == name && old.get() == raw.get()));
    let gone = before.iter().filter(|(name, _)| !after.iter().any(|(kept, _)| kept == name));
    let changed = changed.map(|(name, raw)| format!("{}:{}", Value::from(name.as_ref()), raw.get()));
    let all: Vec<String> =
        changed.chain(gone.map(|(name, _)| format!("{}:null", Value::from(name.as_ref())))).collect();
    Ok(format!("{{{}}}", all.join(",")).into_bytes())
}

pub async fn edit(desk: &Desk, call: &Call) -> Result<Response, Problem> {
    let view = desk.look().await?;
    let letter = one(&view, call.name()).await?;
    let typed = call.field("record").unwrap_or_default().replace("\r\n", "\n");
    let kept = async {
        let patch = patch(&letter.record(), &typed)?;
        mend(desk, call, &Change::Patch(patch)).await
    };
    if let Err(problem) = kept.await {
        // What was typed must not be lost with the refusal.
        let page = page(&letter, &typed, Some(&Notice::of(&problem)), view.engine.clock().now());
        return Ok(respond(problem.status(), page));
    }
    match call.field("then") {
        Some("replay") => send(desk, call, &letter).await,
        _ => see(&format!("{}?said=edit", path("/dead-letters/", &letter.id))),
    }
}

pub async fn undo(desk: &Desk, call: &Call) -> Result<Response, Problem> {
    let letter = mend(desk, call, &Change::Undo).await?;
    see(&format!("{}?said=undo", path("/dead-letters/", &letter.id)))
}

pub async fn replay(desk: &Desk, call: &Call) -> Result<Response, Problem> {
    let letter = one(&desk.look().await?, call.name()).await?;
    send(desk, call, &letter).await
}

async fn send(desk: &Desk, call: &Call, letter: &DeadLetter) -> Result<Response, Problem> {
    let accept_doubt = call.field("accept_doubt").is_some();
    let body = ReplayBody { which: Which::letter(&letter.id), accept_doubt, force: false };
    let (_, held) = replayed(desk, call, &body).await?;
    match held.first() {
        None => see(&format!("{}?said=replay#dead-letters", path("/pipelines/", &letter.pipeline))),
        Some((_, why)) => {
            see(&format!("{}?said=held_back&why={}", path("/dead-letters/", &letter.id), HeldBack::word(*why)))
        }
    }
}

fn held_back(why: &str) -> Notice {
    let (text, help) = match why {
        "superseded" => {
            ("A later letter of the same record is open.", "Replay that one: it is the newer state of the record.")
        }
        "in_doubt" => ("The write may have taken effect.", "Look at the sink; tick the box to send it all the same."),
        "untracked" => (
            "The letter is of an earlier version and does not know whether its record was accepted since.",
            "renkei dead-letters replay --force sends it.",
        ),
        "no_key" => {
            ("The record has no key, so nothing tells whether it was written.", "Mend the record, or drop the letter.")
        }
        _ => ("No pipeline reads its stream any more.", "Put the pipeline's file back, or drop the letter."),
    };
    Notice::refusal(text, help)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &str) -> Fields {
        Fields::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn only_what_was_changed_is_changed_and_no_number_loses_a_digit() {
        let known =
            record(r#"{"id": 12345678901234567890123, "name": "Ada", "tags": [ 1,2 ], "old": null, "a\"b": 1.10}"#);
        let shown = lines(&known);
        assert!(
            shown.contains("  \"id\": 12345678901234567890123,\n") && shown.contains(r#"  "a\"b": 1.10"#),
            "{shown}"
        );
        assert_eq!(patch(&known, &shown).unwrap(), b"{}");
        let typed = shown.replace("\"Ada\"", "\"Grace\"").replace("  \"tags\": [ 1,2 ],\n", "");
        assert_eq!(String::from_utf8(patch(&known, &typed).unwrap()).unwrap(), r#"{"name":"Grace","tags":null}"#);
        for wrong in ["", "[1]", "{\"id\": 1", "{\"id\": 1} trailing"] {
            assert!(patch(&known, wrong).is_err(), "{wrong}");
        }
        assert_eq!(lines(&record("{}")), "{}");
    }
}
