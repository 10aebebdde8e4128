//! Reads a crontab line: what each field allows, and where in the line it makes no sense.
//!
//! The meaning is that of the crontab(5) of Vixie cron and its heirs: 0 and 7 are Sunday; a name stands for its number; a field that
//! begins with `*` restricts nothing as far as the rule of the two day fields goes. Two things are read more kindly: a range
//! of weekdays may go over the end of the week (`FRI-MON`), and a sixth field in front stands for seconds. What leaves a person
//! with another time than they think of is refused: `*/90` minutes, and days that no month has.

use std::ops::{Range, RangeInclusive};

use super::plan_schedule::CronLine;

/// Why a line cannot be used, and which bytes of it are to blame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CronError {
    pub at: Range<usize>,
    pub message: String,
    pub help: String,
    /// It can be understood, and never comes.
    pub never: bool,
}

struct Kind {
    name: &'static str,
    bounds: RangeInclusive<u32>,
    names: &'static [&'static str],
}

const SECONDS: Kind = Kind { name: "second", bounds: 0..=59, names: &[] };
const MINUTES: Kind = Kind { name: "minute", bounds: 0..=59, names: &[] };
const HOURS: Kind = Kind { name: "hour", bounds: 0..=23, names: &[] };
const DAYS: Kind = Kind { name: "day of the month", bounds: 1..=31, names: &[] };
/// The first one is 1.
const MONTHS: Kind = Kind {
    name: "month",
    bounds: 1..=12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
/// The first one is 0.
const WEEKDAYS: Kind =
    Kind { name: "weekday", bounds: 0..=7, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };

/// Days of each month, the longest that it can have.
const MONTH_DAYS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

const FIELDS: &str = "write five fields: minute, hour, day of the month, month, weekday; or six with seconds in front";

/// Reads a line.
pub fn read(text: &str) -> Result<CronLine, CronError> {
    let fields = fields(text);
    if let [only] = fields.as_slice()
        && text[only.clone()].starts_with('@')
    {
        let spelt =
            spelt_out(&text[only.clone()]).map_err(|help| error(only.clone(), "this name is not known", help))?;
        return read(spelt).map(|line| CronLine { text: text.trim().to_owned(), ..line });
    }
    let (seconds, rest) = match fields.len() {
        5 => (None, fields.as_slice()),
        6 => (fields.first().cloned(), &fields[1..]),
        count => {
            return Err(error(
                0..text.len(),
                &format!("a crontab line has 5 or 6 fields, this one has {count}"),
                FIELDS,
            ));
        }
    };
    let field = |kind: &Kind, at: &Range<usize>| set(kind, text, at.clone());
    let starred = |at: &Range<usize>| text[at.clone()].starts_with('*');
    let [minutes, hours, days, months, weekdays] = rest else { return Err(error(0..text.len(), "no fields", FIELDS)) };
    let weekday_set = field(&WEEKDAYS, weekdays)?;
    let line = CronLine {
        text: fields.iter().map(|at| &text[at.clone()]).collect::<Vec<_>>().join(" "),
        seconds: seconds.map_or(Ok(1), |at| field(&SECONDS, &at))?,
        minutes: field(&MINUTES, minutes)?,
        hours: field(&HOURS, hours)?,
        days: field(&DAYS, days)?,
        months: field(&MONTHS, months)?,
        // 7 is Sunday, too.
        weekdays: (weekday_set | weekday_set >> 7) & 0x7f,
        either_day: !starred(days) && !starred(weekdays),
        elapsed: starred(minutes) || starred(hours),
    };
    if !line.either_day && !has_a_date(&line) {
        let at = days.start..months.end;
        let help = "no year has such a day; for the last day of a month, run on the first of the next one";
        return Err(CronError { never: true, ..error(at, "this day never comes", help) });
    }
    Ok(line)
}

fn has_a_date(line: &CronLine) -> bool {
    let months = (1..=12u32).zip(MONTH_DAYS).filter(|(month, _)| line.months >> month & 1 == 1);
    months.into_iter().any(|(_, length)| (1..=length).any(|day| line.days >> day & 1 == 1))
}

fn error(at: Range<usize>, message: &str, help: &str) -> CronError {
    CronError { at, message: message.to_owned(), help: help.to_owned(), never: false }
}

/// The places of the words of a line.
fn fields(text: &str) -> Vec<Range<usize>> {
    let start = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
    text.split_ascii_whitespace().map(|word| start(word)..start(word) + word.len()).collect()
}

fn spelt_out(name: &str) -> Result<&'static str, &'static str> {
    Ok(match name.to_ascii_lowercase().as_str() {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        "@reboot" => {
            return Err(
                "a pipeline does not run because the service starts; `missed: last` makes up for what it missed",
            );
        }
        _ => return Err("the names are @hourly, @daily, @weekly, @monthly and @yearly"),
    })
}

/// What one field allows: a list of `*`, numbers and ranges, with steps.
fn set(kind: &Kind, text: &str, field: Range<usize>) -> Result<u64, CronError> {
    let (mut bits, mut from) = (0, field.start);
    for part in text[field].split(',') {
        bits |= part_set(kind, part, from)?;
        from += part.len() + 1;
    }
    Ok(bits)
}

fn part_set(kind: &Kind, part: &str, start: usize) -> Result<u64, CronError> {
    let whole = start..start + part.len();
    if let Some(at) = foreign(part) {
        let message = format!("`{}` is no part of a crontab line", &part[at..at + 1]);
        let help = "`?`, `L`, `W` and `#` are of other schedulers; crontab knows numbers, names, `*`, `-`, `,` and `/`";
        return Err(error(start + at..start + at + 1, &message, help));
    }
    let (range, step) = match part.split_once('/') {
        Some((range, step)) => (range, Some(step)),
        None => (part, None),
    };
    let (low, high) = range_of(kind, range, start)?;
    let Some(step_text) = step else { return Ok(bits(kind, low, high, 1)) };
    let at = whole.end - step_text.len()..whole.end;
    let step = step_text.parse::<u32>().ok().filter(|step| *step > 0 && step_text.bytes().all(|b| b.is_ascii_digit()));
    let Some(step) = step else {
        return Err(error(at, "a step is a whole number from 1", "write `*/15` for every fifteenth"));
    };
    if range != "*" && !range.contains('-') {
        let help = format!("write `{range}-{}/{step}`", kind.bounds.end());
        return Err(error(whole, "a step needs a range before it", &help));
    }
    let span = span(kind, low, high);
    if step > span {
        let message = format!("a step of {step} leaves one {} of {}", kind.name, span + 1);
        return Err(error(
            at,
            &message,
            "a field begins anew with the next larger one; for longer times use `every: 90m`",
        ));
    }
    Ok(bits(kind, low, high, step))
}

/// Where a sign of another dialect stands, such as in `?`, `L`, `15W` or `1#2`.
fn foreign(part: &str) -> Option<usize> {
    let is_mark = |c: char| matches!(c.to_ascii_uppercase(), 'L' | 'W');
    let marked = part.contains(is_mark) && part.chars().all(|c| c.is_ascii_digit() || is_mark(c));
    part.find(['?', '#']).or_else(|| part.find(is_mark).filter(|_| marked))
}

fn range_of(kind: &Kind, text: &str, start: usize) -> Result<(u32, u32), CronError> {
    let all = start..start + text.len();
    if text == "*" {
        // Sunday counts once.
        let last = if kind.name == WEEKDAYS.name { 6 } else { *kind.bounds.end() };
        return Ok((*kind.bounds.start(), last));
    }
    let known = |word: &str, at: usize| value(kind, word).ok_or_else(|| unknown(kind, word, at));
    let Some((low, high)) = text.split_once('-') else { return known(text, start).map(|one| (one, one)) };
    let (low, high) = (known(low, start)?, known(high, start + low.len() + 1)?);
    if low > high && kind.name != WEEKDAYS.name {
        let (first, last) = (kind.bounds.start(), kind.bounds.end());
        let help = format!("write `{low}-{last},{first}-{high}` for a range over the end");
        return Err(error(all, "this range goes backwards", &help));
    }
    Ok((low, high))
}

fn unknown(kind: &Kind, word: &str, at: usize) -> CronError {
    let (first, last) = (kind.bounds.start(), kind.bounds.end());
    let names = match kind.names {
        [] => String::new(),
        [first, .., last] => format!(", or a name from {} to {}", first.to_uppercase(), last.to_uppercase()),
        _ => String::new(),
    };
    let message =
        if word.is_empty() { "a number is missing".to_owned() } else { format!("`{word}` is no {}", kind.name) };
    error(at..at + word.len().max(1), &message, &format!("write a number from {first} to {last}{names}"))
}

/// A number within its bounds, or a name.
fn value(kind: &Kind, word: &str) -> Option<u32> {
    let named = kind.names.iter().position(|name| word.eq_ignore_ascii_case(name));
    if let Some(place) = named {
        let offset = if kind.name == MONTHS.name { 1 } else { 0 };
        return u32::try_from(place).ok().map(|place| place + offset);
    }
    let plain = !word.is_empty() && word.len() <= 2 && word.bytes().all(|byte| byte.is_ascii_digit());
    word.parse().ok().filter(|number| plain && kind.bounds.contains(number))
}

/// How far a range goes beyond its first value. Weekdays go round.
fn span(kind: &Kind, low: u32, high: u32) -> u32 {
    if kind.name == WEEKDAYS.name && high < low { high + 7 - low } else { high - low }
}

fn bits(kind: &Kind, low: u32, high: u32, step: u32) -> u64 {
    let wraps = kind.name == WEEKDAYS.name && high < low;
    let all = (0..=span(kind, low, high)).step_by(step as usize).map(|more| low + more);
    all.map(|value| if wraps { value % 7 } else { value }).fold(0, |bits, value| bits | 1 << value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(bits: u64) -> Vec<u32> {
        (0..64).filter(|bit| bits >> bit & 1 == 1).collect()
    }

    fn weekdays(field: &str) -> Vec<u32> {
        allowed(read(&format!("0 0 * * {field}")).unwrap().weekdays)
    }

    #[test]
    fn fields_are_lists_of_numbers_names_ranges_and_steps() {
        let line = read(" 1,30-33,50-59/4  */6 1-3 jan,Mar-MAY *").unwrap();
        assert_eq!(line.text, "1,30-33,50-59/4 */6 1-3 jan,Mar-MAY *");
        assert_eq!(allowed(line.minutes), [1, 30, 31, 32, 33, 50, 54, 58]);
        assert_eq!(allowed(line.hours), [0, 6, 12, 18]);
        assert_eq!((allowed(line.days), allowed(line.months)), (vec![1, 2, 3], vec![1, 3, 4, 5]));
        assert_eq!((allowed(line.seconds), allowed(line.weekdays).len()), (vec![0], 7));
        assert_eq!(allowed(read("*/20 0 12 * * *").unwrap().seconds), [0, 20, 40]);
    }

    #[test]
    fn sunday_is_0_and_7_and_a_range_of_weekdays_may_go_over_the_end_of_the_week() {
        for sunday in ["0", "7", "SUN", "sun"] {
            assert_eq!(weekdays(sunday), [0], "{sunday}");
        }
        assert_eq!(weekdays("5-7"), [0, 5, 6]);
        assert_eq!(weekdays("FRI-MON"), [0, 1, 5, 6]);
        assert_eq!(weekdays("sat-2"), [0, 1, 2, 6]);
        assert_eq!(weekdays("1-5"), [1, 2, 3, 4, 5]);
        assert_eq!(weekdays("7-2"), [0, 1, 2]);
        assert_eq!(weekdays("*/2"), [0, 2, 4, 6]);
        assert_eq!(weekdays("FRI-MON/2"), [0, 5]);
        assert_eq!(weekdays("0-7").len(), 7);
    }

    #[test]
    fn either_day_counts_where_both_fields_restrict_and_a_star_restricts_nothing() {
        let either = |line: &str| read(line).unwrap().either_day;
        assert!(either("0 0 13 * 5"));
        assert!(!either("0 0 13 * *") && !either("0 0 * * 5") && !either("0 0 * * *"));
        assert!(!either("0 0 */2 * 5"), "as in Vixie cron, a field that begins with a star");
        let elapsed = |line: &str| read(line).unwrap().elapsed;
        assert!(elapsed("*/15 2 * * *") && elapsed("5 * * * *") && elapsed("* * * * * *"));
        assert!(!elapsed("0-59 2 * * *") && !elapsed("30 2 * * *") && !elapsed("*/5 30 2 * * *"));
    }

    #[test]
    fn names_of_whole_lines_are_spelt_out() {
        for (name, line) in [("@hourly", "0 * * * *"), ("@Daily", "0 0 * * *"), ("@weekly", "0 0 * * 0")] {
            assert_eq!(CronLine { text: line.to_owned(), ..read(name).unwrap() }, read(line).unwrap());
        }
        assert_eq!(read("@yearly").unwrap().text, "@yearly");
        assert!(read("@reboot").unwrap_err().help.contains("missed: last"));
        assert!(read("@often").unwrap_err().help.contains("@hourly"));
    }

    #[test]
    fn what_makes_no_sense_is_pointed_at() {
        let wrong = |line: &str| {
            let error = read(line).unwrap_err();
            (
                line[error.at.start..error.at.end.min(line.len())].to_owned(),
                format!("{}; {}", error.message, error.help),
            )
        };
        for (line, at, says) in [
            ("60 * * * *", "60", "`60` is no minute; write a number from 0 to 59"),
            ("* 24 * * *", "24", "from 0 to 23"),
            ("* * 0 * *", "0", "from 1 to 31"),
            ("* * * 13 *", "13", "from 1 to 12, or a name from JAN to DEC"),
            ("* * * * 8", "8", "from 0 to 7, or a name from SUN to SAT"),
            ("* * * * FRYDAY", "FRYDAY", "`FRYDAY` is no weekday"),
            ("* * * * JUL", "JUL", "`JUL` is no weekday"),
            ("0 0 15W * *", "W", "of other schedulers"),
            ("* * * * FR", "FR", "`FR` is no weekday"),
            ("50-10 * * * *", "50-10", "write `50-59,0-10`"),
            ("*/90 * * * *", "90", "a step of 90 leaves one minute of 60"),
            ("0 */0 * * *", "0", "a whole number from 1"),
            ("5/10 * * * *", "5/10", "write `5-59/10`"),
            ("0 0 L * *", "L", "of other schedulers"),
            ("0 0 ? * 1", "?", "of other schedulers"),
            ("0 0 * * 1#2", "#", "of other schedulers"),
            ("1,,2 * * * *", ",", "a number is missing"),
            ("-5 * * * *", "-", "a number is missing"),
            ("+5 * * * *", "+5", "`+5` is no minute"),
            ("0 0 30 2 *", "30 2", "never comes"),
            ("0 0 31 4,6,9,11 *", "31 4,6,9,11", "never comes"),
            ("* * * *", "* * * *", "this one has 4"),
            ("0 0 0 1 1 * 2030", "0 0 0 1 1 * 2030", "this one has 7"),
            ("", "", "this one has 0"),
        ] {
            let (found, said) = wrong(line);
            assert!(said.contains(says), "{line}: {said}");
            assert_eq!(found, at, "{line}: {said}");
        }
        assert!(read("0 0 30 2 *").unwrap_err().never && !read("60 * * * *").unwrap_err().never);
        assert!(read("0 0 29 2 *").is_ok() && read("0 0 30 2 1").is_ok(), "any Monday of February will do");
    }
}
