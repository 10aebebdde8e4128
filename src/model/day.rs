//! Dates as instants: when a day begins where somebody is.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;

/// When the day of `2026-01-31` begins in a zone. Where clocks jump over midnight it begins behind the jump.
pub fn midnight(text: &str, zone: Tz) -> Option<DateTime<Utc>> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| text.len() == 10)?;
    let begins = |date: NaiveDate| zone.from_local_datetime(&date.and_time(NaiveTime::MIN)).earliest();
    let at = begins(date).or_else(|| {
        let next = begins(date.checked_add_days(Days::new(1))?)?;
        (1..=24).rev().map(|hours| next - chrono::TimeDelta::hours(hours)).find(|at| at.date_naive() == date)
    });
    at.map(|at| at.to_utc())
}

/// The day that an instant lies in, as `2026-01-31`.
pub fn day(at: DateTime<Utc>, zone: Tz) -> String {
    at.with_timezone(&zone).format("%Y-%m-%d").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_where_somebody_is_and_is_told_again() {
        for (text, zone, begins) in [
            ("2026-01-31", Tz::UTC, "2026-01-31T00:00:00Z"),
            ("2026-01-31", Tz::Asia__Tokyo, "2026-01-30T15:00:00Z"),
            ("2026-01-31", Tz::America__Los_Angeles, "2026-01-31T08:00:00Z"),
            // Clocks went from midnight to one o'clock.
            ("2018-11-04", Tz::America__Sao_Paulo, "2018-11-04T03:00:00Z"),
            // And from one o'clock back to midnight.
            ("2018-10-28", Tz::Atlantic__Azores, "2018-10-28T00:00:00Z"),
        ] {
            let at = midnight(text, zone).unwrap();
            assert_eq!(at, begins.parse::<DateTime<Utc>>().unwrap(), "{text} {zone}");
            assert_eq!(day(at, zone), text, "{zone}");
        }
        assert_eq!(
            ["2026-1-31", "2026-02-30", "20260131", "2026-01-31T00:00:00Z"].map(|text| midnight(text, Tz::UTC)),
            [None; 4]
        );
    }
}
