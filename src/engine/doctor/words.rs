//! Numbers and times as the lines say them.

use chrono::{DateTime, TimeDelta, Utc};

pub fn counted(number: usize, word: &str) -> String {
    if number == 1 { format!("1 {word}") } else { format!("{number} {word}s") }
}

pub fn day(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

/// How far away something is.
pub fn days(left: TimeDelta) -> String {
    match left {
        left if left < TimeDelta::zero() => format!("{} ago", span(-left)),
        left => format!("in {}", span(left)),
    }
}

pub fn span(time: TimeDelta) -> String {
    match time.num_seconds() {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", (seconds + 30) / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}
