//! Windows of time: where each begins and ends. Pure.
//!
//! Days, weeks, months, quarters and years begin at midnight of their time zone, so they are as long as the calendar makes them: a
//! day of 23 hours where clocks are set forward, a February of 28 days. A midnight that does not exist is the first moment after it.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, TimeDelta, TimeZone, Utc};

use crate::config::plan::{SliceStep, Windows};

/// A window shorter than this is not halved: most vendors keep no finer times.
const SHORTEST: TimeDelta = TimeDelta::seconds(2);

/// The end of the window that begins at `since`: the next beginning of a step after it.
pub fn end_of(windows: &Windows, since: DateTime<Utc>) -> DateTime<Utc> {
    let day = since.with_timezone(&windows.zone).date_naive();
    let next = match windows.step {
        SliceStep::Every(every) => {
            let every = TimeDelta::from_std(every).unwrap_or(TimeDelta::MAX);
            return since.checked_add_signed(every).unwrap_or(DateTime::<Utc>::MAX_UTC);
        }
        SliceStep::Day => day.checked_add_days(Days::new(1)),
        SliceStep::Week => day.checked_add_days(Days::new(7 - u64::from(day.weekday().num_days_from_monday()))),
        SliceStep::Month => day.with_day(1).and_then(|first| first.checked_add_months(Months::new(1))),
        SliceStep::Quarter => {
            let month = day.month0() / 3 * 3 + 1;
            NaiveDate::from_ymd_opt(day.year(), month, 1).and_then(|first| first.checked_add_months(Months::new(3)))
        }
        SliceStep::Year => NaiveDate::from_ymd_opt(day.year() + 1, 1, 1),
    };
    next.and_then(|next| midnight(windows, next)).filter(|end| *end > since).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

fn midnight(windows: &Windows, day: NaiveDate) -> Option<DateTime<Utc>> {
    // No zone sets its clocks forward by more than a day's quarter at midnight.
    (0..24).find_map(|quarter| {
        let local = day.and_hms_opt(0, 0, 0)? + TimeDelta::minutes(15 * quarter);
        windows.zone.from_local_datetime(&local).earliest().map(|at| at.with_timezone(&Utc))
    })
}

/// The middle of a window that is too full, on a whole second. Nothing: it is too short.
pub fn middle_of(since: DateTime<Utc>, until: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let length = until - since;
    let middle = DateTime::from_timestamp((since + length / 2).timestamp(), 0)?;
    (length >= SHORTEST && middle > since).then_some(middle)
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;

    use super::*;

    fn ends(step: SliceStep, zone: Tz, since: &str) -> String {
        end_of(&Windows { step, zone }, since.parse().unwrap()).to_rfc3339()
    }

    #[test]
    fn steps_follow_the_calendar() {
        let utc = |step, since| ends(step, Tz::UTC, since);
        assert_eq!(utc(SliceStep::Month, "2026-01-31T23:59:59Z"), "2026-02-01T00:00:00+00:00");
        assert_eq!(utc(SliceStep::Month, "2026-12-01T00:00:00Z"), "2027-01-01T00:00:00+00:00");
        assert_eq!(utc(SliceStep::Month, "2024-02-01T00:00:00Z"), "2024-03-01T00:00:00+00:00");
        assert_eq!(utc(SliceStep::Week, "2026-11-30T00:00:00Z"), "2026-12-07T00:00:00+00:00", "a Monday");
        assert_eq!(utc(SliceStep::Week, "2026-12-06T12:00:00Z"), "2026-12-07T00:00:00+00:00", "a Sunday");
        assert_eq!(utc(SliceStep::Quarter, "2026-11-30T00:00:00Z"), "2027-01-01T00:00:00+00:00");
        assert_eq!(utc(SliceStep::Year, "2026-01-01T00:00:00Z"), "2027-01-01T00:00:00+00:00");
        let every = SliceStep::Every(std::time::Duration::from_secs(3600));
        assert_eq!(utc(every, "2026-01-01T00:30:00Z"), "2026-01-01T01:30:00+00:00");
    }

    #[test]
    fn days_begin_at_midnight_where_people_are() {
        let in_tokyo = ends(SliceStep::Day, Tz::Asia__Tokyo, "2026-05-01T15:00:00Z");
        assert_eq!(in_tokyo, "2026-05-02T15:00:00+00:00");
        let short = ends(SliceStep::Day, Tz::Europe__Berlin, "2026-03-28T23:00:00Z");
        assert_eq!(short, "2026-03-29T22:00:00+00:00", "a day of 23 hours");
        let no_midnight = ends(SliceStep::Day, Tz::America__Santiago, "2026-09-05T12:00:00Z");
        assert_eq!(no_midnight, "2026-09-06T04:00:00+00:00", "clocks go from 24:00 to 01:00");
    }

    #[test]
    fn a_full_window_is_halved_until_it_is_too_short() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        assert_eq!(middle_of(at("2026-01-01T00:00:00Z"), at("2026-01-01T00:00:05Z")), Some(at("2026-01-01T00:00:02Z")));
        assert_eq!(middle_of(at("2026-01-01T00:00:00Z"), at("2026-01-01T00:00:02Z")), Some(at("2026-01-01T00:00:01Z")));
        assert_eq!(middle_of(at("2026-01-01T00:00:00Z"), at("2026-01-01T00:00:01Z")), None);
    }
}
