//! Numbers and times as people read them at a glance. Times are relative, and stand in UTC in the title of their element.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use maud::{Markup, html};

/// `12,480`.
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `8 ms`, `1.2 s`, `48 s`, `4 min 05 s`, `2 h 07 min`, `3 d 4 h`.
pub fn span(time: Duration) -> String {
    let (ms, seconds) = (time.as_millis(), time.as_secs());
    match seconds {
        0 => format!("{ms} ms"),
        1..=9 => format!("{:.1} s", time.as_secs_f64()),
        10..=59 => format!("{seconds} s"),
        60..=3_599 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3_600..=86_399 => format!("{} h {:02} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// The one unit that tells enough: `48 s`, `4 min`, `2 h`, `3 d`.
fn about(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..=59 => format!("{seconds} s"),
        seconds @ 60..=3_599 => format!("{} min", seconds / 60),
        seconds @ 3_600..=172_799 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// The time between two moments; none for a clock that was set back between them.
pub fn between(from: DateTime<Utc>, until: DateTime<Utc>) -> Duration {
    (until - from).to_std().unwrap_or_default()
}

/// `4 min ago`, `in 2 h`.
pub fn when(at: DateTime<Utc>, now: DateTime<Utc>) -> Markup {
    let text = match (between(at, now), between(now, at)) {
        (ago, Duration::ZERO) if ago.as_secs() == 0 => "now".to_owned(),
        (ago, Duration::ZERO) => format!("{} ago", about(ago)),
        (_, ahead) => format!("in {}", about(ahead)),
    };
    html! { time datetime=(stamp(at)) title=(exact(at)) { (text) } }
}

/// The moment itself.
pub fn exact(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

pub fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Records in a time, by the unit that makes it a number one can read.
pub fn rate(records: u64, within: Duration) -> String {
    let seconds = within.as_secs_f64();
    if records == 0 || seconds <= 0.0 {
        return "0".to_owned();
    }
    let per_second = records as f64 / seconds;
    let units = [(1.0, "s"), (60.0, "min"), (3_600.0, "h"), (86_400.0, "d")];
    let (unit, name) = units.into_iter().find(|(unit, _)| per_second * unit >= 1.0).unwrap_or((86_400.0, "d"));
    match per_second * unit {
        small if small < 10.0 => format!("{small:.1}/{name}"),
        large => format!("{}/{name}", number(large.round() as u64)),
    }
}

/// Something that is one or many.
pub fn count(number_of: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(number_of), if number_of == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_read_at_a_glance() {
        assert_eq!([0, 999, 1_000, 12_480_001].map(number), ["0", "999", "1,000", "12,480,001"]);
        let spans = [8, 1_240, 48_000, 245_000, 7_620_000, 273_600_000].map(|ms| span(Duration::from_millis(ms)));
        assert_eq!(spans, ["8 ms", "1.2 s", "48 s", "4 min 05 s", "2 h 07 min", "3 d 4 h"]);
        let rates = [(500, 10), (30, 60), (2, 3_600), (0, 9), (1, 0), (1, 864_000)];
        let rates = rates.map(|(records, seconds)| rate(records, Duration::from_secs(seconds)));
        assert_eq!(rates, ["50/s", "30/min", "2.0/h", "0", "0", "0.1/d"]);
        let at = |second| DateTime::from_timestamp(second, 0).unwrap();
        let shown = |second| when(at(second), at(10_000)).into_string();
        assert!(shown(9_900).contains(">1 min ago<") && shown(10_000).contains(">now<"), "{}", shown(9_900));
        assert!(shown(17_300).contains(">in 2 h<") && shown(0).contains("1970-01-01 00:00:00 UTC"));
    }
}
