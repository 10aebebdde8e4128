//! Filters of dates. An instant is a text in RFC 3339, because that is what JSON has; every filter takes one (or a
//! date alone, which means its midnight in UTC) and those that give an instant keep its offset. There is no `now`: the
//! same record must give the same result on every run.

use chrono::{DateTime, Days, Duration, FixedOffset, Months, NaiveDate, NaiveDateTime, SecondsFormat, TimeZone, Utc};
use chrono_tz::Tz;
use minijinja::{Environment, value::Value};

use super::{Result, integer_argument, no_value, text_argument, trouble, type_name};
use crate::expr::number::{Decimal, decimal, is_number};

pub const FILTERS: &[&str] = &[
    "parse_date",
    "datetime",
    "date",
    "to_epoch",
    "to_epoch_ms",
    "from_epoch",
    "from_epoch_ms",
    "add_seconds",
    "add_days",
    "add_months",
    "add_time",
    "in_timezone",
    "as_timezone",
    "year",
    "month",
    "day",
    "weekday",
];
pub const FUNCTIONS: &[&str] = &["date_diff"];

type Instant = DateTime<FixedOffset>;

pub fn add(language: &mut Environment<'static>) {
    language.add_filter("parse_date", parse_with);
    language.add_filter("datetime", |value: &Value| map(value, Some));
    language.add_filter("date", format);
    language.add_filter("to_epoch", |value: &Value| read(value, |at| Value::from(at.timestamp())));
    language.add_filter("to_epoch_ms", |value: &Value| read(value, |at| Value::from(at.timestamp_millis())));
    language.add_filter("from_epoch", |value: &Value| from_epoch(value, 1000));
    language.add_filter("from_epoch_ms", |value: &Value| from_epoch(value, 1));
    language.add_filter("add_seconds", |value: &Value, count: &Value| {
        let seconds = Duration::try_seconds(integer_argument(count, "seconds")?).ok_or_else(out_of_range)?;
        map(value, |at| at.checked_add_signed(seconds))
    });
    language.add_filter("add_days", |value: &Value, count: &Value| {
        let count = integer_argument(count, "days")?;
        let days = Days::new(count.unsigned_abs());
        map(value, |at| if count < 0 { at.checked_sub_days(days) } else { at.checked_add_days(days) })
    });
    language.add_filter("add_months", |value: &Value, count: &Value| {
        let count = integer_argument(count, "months")?;
        let months = Months::new(u32::try_from(count.unsigned_abs()).map_err(|_| out_of_range())?);
        map(value, |at| if count < 0 { at.checked_sub_months(months) } else { at.checked_add_months(months) })
    });
    language.add_filter("add_time", |value: &Value, length: &Value| {
        let length = duration(text_argument(length, "length")?)?;
        map(value, |at| at.checked_add_signed(length))
    });
    language.add_filter("in_timezone", |value: &Value, zone: &Value| {
        let zone = timezone(zone)?;
        map(value, |at| Some(at.with_timezone(&zone).fixed_offset()))
    });
    language.add_filter("as_timezone", as_timezone);
    for (name, layout) in [("year", "%Y"), ("month", "%m"), ("day", "%d")] {
        language.add_filter(name, move |value: &Value| {
            read(value, |at| at.format(layout).to_string().parse::<i64>().map_or_else(|_| Value::from(()), Value::from))
        });
    }
    language.add_filter("weekday", |value: &Value| read(value, |at| Value::from(at.format("%A").to_string())));
    language.add_function("date_diff", date_diff);
}

fn out_of_range() -> minijinja::Error {
    trouble("the instant is outside the years that can be calculated with")
}

/// Reads RFC 3339 (also with a space for the T, and without an offset, which means UTC) and a date alone.
fn instant(value: &Value) -> Result<Instant> {
    let Some(text) = value.as_str() else {
        let hint = if is_number(value) { "; a number becomes one with from_epoch or from_epoch_ms" } else { "" };
        return Err(trouble(format!("needs an instant as a text, not {}{hint}", type_name(value))));
    };
    let text = text.trim();
    if let Ok(instant) =
        DateTime::parse_from_rfc3339(text).or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z"))
    {
        return Ok(instant);
    }
    let plain = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M"];
    let plain = plain.iter().find_map(|layout| NaiveDateTime::parse_from_str(text, layout).ok());
    let plain = plain.or_else(|| midnight(NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?));
    plain
        .map(|plain| plain.and_utc().fixed_offset())
        .ok_or_else(|| trouble("the text is no instant; read other layouts with parse_date(\"%d.%m.%Y\")"))
}

fn midnight(date: NaiveDate) -> Option<NaiveDateTime> {
    date.and_hms_opt(0, 0, 0)
}

fn text(at: Instant) -> Value {
    Value::from(at.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

/// An instant out of an instant.
fn map(value: &Value, change: impl Fn(Instant) -> Option<Instant>) -> Result {
    if no_value(value) {
        return Ok(value.clone());
    }
    change(instant(value)?).map(text).ok_or_else(out_of_range)
}

/// Anything else out of an instant.
fn read(value: &Value, take: impl Fn(Instant) -> Value) -> Result {
    if no_value(value) { Ok(value.clone()) } else { instant(value).map(take) }
}

/// Reads a text in the given layout; without an offset in it, in UTC.
fn parse_with(value: &Value, layout: &Value) -> Result {
    let layout = text_argument(layout, "layout")?;
    if no_value(value) {
        return Ok(value.clone());
    }
    let given =
        value.as_str().ok_or_else(|| trouble(format!("parse_date needs a text, not {}", type_name(value))))?.trim();
    let parsed = DateTime::parse_from_str(given, layout).ok();
    let parsed = parsed.or_else(|| Some(NaiveDateTime::parse_from_str(given, layout).ok()?.and_utc().fixed_offset()));
    let parsed =
        parsed.or_else(|| Some(midnight(NaiveDate::parse_from_str(given, layout).ok()?)?.and_utc().fixed_offset()));
    parsed.map(text).ok_or_else(|| trouble("the text is no date of this layout"))
}

fn format(value: &Value, layout: Option<&str>) -> Result {
    use chrono::format::{Item, StrftimeItems};
    let layout = layout.unwrap_or("%Y-%m-%d");
    let items: Vec<Item<'_>> = StrftimeItems::new(layout).collect();
    // Writing with a broken layout would panic, so it is looked at first.
    if items.contains(&Item::Error) {
        return Err(trouble("the layout has a part that is unknown"));
    }
    read(value, |at| Value::from(at.format_with_items(items.iter()).to_string()))
}

/// `unit_ms` milliseconds are one of the number. A fraction counts, down to a millisecond.
fn from_epoch(value: &Value, unit_ms: i128) -> Result {
    if no_value(value) {
        return Ok(value.clone());
    }
    let spelled = || Decimal::parse(value.as_str()?.trim());
    let number = if is_number(value) { decimal(value) } else { spelled() };
    let number = number.ok_or_else(|| trouble(format!("needs a number, not {}", type_name(value))))?;
    let millis = number.times(Decimal::from(unit_ms)).and_then(Decimal::floor).and_then(Decimal::to_i64);
    let at = millis.and_then(DateTime::from_timestamp_millis).ok_or_else(out_of_range)?;
    Ok(text(at.fixed_offset()))
}

/// `90s`, `15m`, `2h`, `1d`, `1w`, also with a minus before it.
fn duration(length: &str) -> Result<Duration> {
    let broken = || trouble("a length of time is written 90s, 15m, 2h, 1d or 1w");
    let unit = length.chars().next_back().ok_or_else(broken)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return Err(broken()),
    };
    let count: i64 = length[..length.len() - 1].parse().map_err(|_| broken())?;
    count.checked_mul(seconds).and_then(Duration::try_seconds).ok_or_else(out_of_range)
}

fn timezone(zone: &Value) -> Result<Tz> {
    let name = text_argument(zone, "timezone")?;
    name.parse().map_err(|_| trouble("the timezone is unknown; write a name such as Asia/Tokyo or UTC"))
}

/// Reads a local time without an offset as one of the zone. In the hour that a clock change repeats, the earlier; in
/// the one it skips, an error.
fn as_timezone(value: &Value, zone: &Value) -> Result {
    let zone = timezone(zone)?;
    if no_value(value) {
        return Ok(value.clone());
    }
    let local = instant(value)?.naive_local();
    let at = zone.from_local_datetime(&local).earliest();
    at.map(|at| text(at.fixed_offset())).ok_or_else(|| trouble("this local time does not exist in the timezone"))
}

/// The time from `start` to `end` in whole units, cut off toward zero.
fn date_diff(start: &Value, end: &Value, unit: Option<&str>) -> Result {
    if no_value(start) || no_value(end) {
        return Ok(if no_value(start) { start.clone() } else { end.clone() });
    }
    let length = instant(end)?.with_timezone(&Utc) - instant(start)?.with_timezone(&Utc);
    Ok(Value::from(match unit.unwrap_or("days") {
        "seconds" => length.num_seconds(),
        "minutes" => length.num_minutes(),
        "hours" => length.num_hours(),
        "days" => length.num_days(),
        "weeks" => length.num_weeks(),
        _ => return Err(trouble("the unit of date_diff is seconds, minutes, hours, days or weeks")),
    }))
}
