//! `dead-letters`: records that were rejected or parked, and why. The list never shows a record's content; `show` does,
//! because somebody asked for that one.

use std::path::Path;

use super::{
    args::{Filters, Picked},
    failure::{DONE, Failure},
    format, letters_pick,
    output::{Output, Paint, printable},
    table::{self, Column},
};
pub use crate::engine::letters::{head, kind};
use crate::{model::Reason, store::DeadLetter};

pub async fn list(
    dir: &Path,
    pipeline: Option<String>,
    filters: Filters,
    limit: usize,
    output: &Output,
) -> Result<u8, Failure> {
    let picked = Picked { ids: Vec::new(), pipeline, filters, all: false };
    let (_, mut letters, _) = letters_pick::pick(dir, &picked, output).await?;
    let more = letters.len().saturating_sub(limit);
    letters.truncate(limit);
    if output.json() {
        output.document(&letters.iter().map(head).collect::<Vec<_>>());
        return Ok(DONE);
    }
    let columns = ["id", "last met (UTC)", "times", "pipeline", "kind", "key", "why"];
    let columns = columns.map(|title| Column(title, title == "times"));
    let rows = letters.iter().map(|letter| {
        vec![
            letter.id.clone(),
            format::time(letter.at),
            letter.times.to_string(),
            letter.pipeline.clone(),
            kind(letter).to_owned(),
            letter.key.as_ref().map_or("-".to_owned(), |key| printable(key.as_str())),
            why(&letter.reason),
        ]
    });
    table::print(output, &columns, rows.collect(), "no dead letters");
    if more > 0 {
        output.note(format_args!("{more} more: --limit {}", more + limit));
    }
    Ok(DONE)
}

/// The reason in one cell. A message says where, and then what; the cell is cut at its end, so what comes first.
pub fn why(reason: &Reason) -> String {
    let message = reason.message.as_str();
    let told = match cause(message) {
        "" => message.to_owned(),
        cause => {
            let place = message.strip_suffix(cause).unwrap_or_default();
            format!("{cause} ({})", place.trim_end_matches(": "))
        }
    };
    format!("{} {}", reason.code, format::cut(&printable(&told), 72))
}

/// What stands behind the place, and behind the expression in which it happened. Nothing: the message names no place.
fn cause(message: &str) -> &str {
    let Some((_, rest)) = message.split_once(": ") else { return "" };
    match rest.strip_prefix('`').and_then(|rest| rest.split_once("`: ")) {
        Some((_, cause)) => cause,
        None => rest,
    }
}

pub async fn show(dir: &Path, id: &str, output: &Output) -> Result<u8, Failure> {
    let (_, letters, _) = letters_pick::pick(dir, &Picked::one(id), output).await?;
    let Some(letter) = letters.first() else { return Ok(DONE) };
    if output.json() {
        output.document(letter);
        return Ok(DONE);
    }
    let paint = Paint(output.color_stdout);
    let fact =
        |name: &str, value: String| output.line(format_args!("{} {value}", paint.bold(format_args!("{name:<9}"))));
    fact("id", letter.id.clone());
    fact("at", met(letter));
    fact("pipeline", format!("{}, stream {}", letter.pipeline, letter.stream));
    fact("run", letter.run.clone());
    fact("key", letter.key.as_ref().map_or("-".to_owned(), |key| printable(key.as_str())));
    fact(kind(letter), format!("{} {}", letter.reason.code, printable(&letter.reason.message)));
    fact("as read", record(letter.source.get()));
    if let Some(edited) = &letter.edited {
        fact("edited", record(edited.get()));
    }
    if let Some(fields) = &letter.fields {
        fact("as sent", record(fields.get()));
    }
    fact("more", format!("renkei explain {}", letter.reason.code));
    Ok(DONE)
}

fn met(letter: &DeadLetter) -> String {
    match letter.first_at {
        Some(first) => {
            let (last, times) = (format::time(letter.at), letter.times);
            format!("{last} for the last time; {times} times since {}", format::time(first))
        }
        None => format::time(letter.at),
    }
}

/// JSON over several lines, safe for a terminal.
fn record(json: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    let text = serde_json::to_string_pretty(&value).unwrap_or_default();
    text.lines().map(printable).collect::<Vec<_>>().join("\n          ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Code;

    #[test]
    fn the_cause_stands_before_the_place_so_that_a_cut_takes_the_place() {
        let shown = |message: &str| why(&Reason::new(Code::RecordRefused, message));
        assert_eq!(
            shown("the server refused the request (422): must contain @"),
            "RK0401 must contain @ (the server refused the request (422))"
        );
        assert_eq!(
            shown(r#"field contact: `record.name ~ "<"`: `~` meets a part without a value"#),
            r#"RK0401 `~` meets a part without a value (field contact: `record.name ~ "<"`)"#
        );
        assert_eq!(shown("too old"), "RK0401 too old");
        let long = format!("the server refused the request (422): {}", "x".repeat(70));
        assert_eq!(shown(&long), format!("RK0401 {} (...", "x".repeat(70)));
    }
}
