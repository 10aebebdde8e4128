//! Numbers and times as people read them. Times are in UTC, because the reader of a log may sit anywhere.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

use crate::model::{Checkpoint, Cursor};

pub fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

pub fn clock(at: DateTime<Utc>) -> String {
    at.format("%H:%M:%S UTC").to_string()
}

/// `0.4 s`, `12.3 s`, `4 min 05 s`, `2 h 07 min`.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..=59 => format!("{:.1} s", time.as_secs_f64()),
        60..=3599 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// The time between two moments; nothing for a clock that was set back between them.
pub fn between(from: DateTime<Utc>, until: DateTime<Utc>) -> Duration {
    (until - from).to_std().unwrap_or_default()
}

/// How far a stream is delivered, in one cell.
pub fn checkpoint(checkpoint: &Checkpoint) -> String {
    let cursor = checkpoint.cursor.as_ref().map(cursor);
    let scan = checkpoint.scan.as_ref().map(|scan| format!("listing, page {}", scan.pages));
    let place = match (cursor, scan) {
        (Some(cursor), Some(scan)) => format!("{cursor} ({scan})"),
        (Some(text), None) | (None, Some(text)) => text,
        (None, None) => "no cursor: the next run reads from the start".to_owned(),
    };
    match checkpoint.deletions.as_ref().is_some_and(|deletions| deletions.braked) {
        true => format!("{place}; deletions are held back"),
        false => place,
    }
}

fn cursor(cursor: &Cursor) -> String {
    match cursor {
        Cursor::Instant(at) => at.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        Cursor::Integer(number) => number.to_string(),
        Cursor::Token(token) if token.chars().count() > 24 => {
            format!("{}...", token.chars().take(24).collect::<String>())
        }
        Cursor::Token(token) => token.clone(),
    }
}

/// At most `chars` characters of a text, for a cell.
pub fn cut(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_as_exact_as_a_person_wants_it() {
        let shown = |ms| duration(Duration::from_millis(ms));
        assert_eq!(
            [shown(0), shown(12_340), shown(245_000), shown(7_620_000)],
            ["0.0 s", "12.3 s", "4 min 05 s", "2 h 07 min"]
        );
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(cut("連携する", 2), "連携...");
        assert_eq!(cut("ab", 2), "ab");
    }
}
