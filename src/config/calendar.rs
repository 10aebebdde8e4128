//! Lists of holidays: the text files of a workspace, and the one that comes with the program.

use std::{collections::BTreeMap, ops::Range, path::Path, sync::Arc};

use chrono::NaiveDate;

use super::{
    check::Check,
    diagnostic::Problem,
    files,
    plan_schedule::Calendar,
    raw_schedule::RawCalendar,
    shape::{Named, Spanned},
};
use crate::model::Code;

/// The calendar that needs no file. Its source stands in the file's head.
const JAPAN: &str = include_str!("calendars/japan.txt");

/// The calendars by name. Nothing stands for one that cannot be used; its own problems are reported already.
pub type Calendars = BTreeMap<String, Option<Arc<Calendar>>>;

impl Check<'_> {
    /// Those of `renkei.yaml` and the built-in ones, which a workspace may replace: a list ends, and a file can be newer.
    pub fn calendars(&self, raw: &Named<RawCalendar>) -> Calendars {
        self.names("calendar", raw);
        let mut all = Calendars::new();
        let japan = holidays(JAPAN).unwrap_or_default().into_iter().collect();
        all.insert("japan".to_owned(), Some(Arc::new(Calendar { name: "japan".to_owned(), holidays: japan })));
        for (name, raw) in raw.iter() {
            all.insert(name.value.clone(), self.calendar(&name.value, &raw.file).map(Arc::new));
        }
        all.extend(raw.dropped().iter().map(|name| (name.clone(), None)));
        all
    }

    fn calendar(&self, name: &str, file: &Spanned<String>) -> Option<Calendar> {
        let refuse = |message: String, help: &str| {
            self.report(Problem::new(Code::CalendarFile, file.span, message).help(help));
            None
        };
        let path = self.place(file);
        let text = match files::text(Path::new(&path)) {
            Ok(text) => text,
            Err((_, message, help)) => return refuse(message, help),
        };
        match holidays(&text) {
            Ok(holidays) if holidays.is_empty() => {
                refuse("the calendar has no date".to_owned(), "write one date per line, such as 2027-01-01")
            }
            Ok(holidays) => Some(Calendar { name: name.to_owned(), holidays: holidays.into_iter().collect() }),
            Err((line, word)) => {
                let shown = word.escape_debug();
                refuse(
                    format!("line {line} begins with `{shown}`, which is no date"),
                    "begin each line with a date such as 2027-01-01; what follows it is for people, and so is a line after #",
                )
            }
        }
    }
}

/// The dates of a list, or the number of the line that begins with none, and what it begins with.
fn holidays(text: &str) -> Result<Vec<NaiveDate>, (usize, String)> {
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty() && !line.starts_with('#'));
    let date = |(line, number): (&str, usize)| {
        let word = line.split([' ', '\t', ',']).next().unwrap_or_default();
        date(word).ok_or_else(|| (number, word.chars().take(20).collect()))
    };
    lines.map(date).collect()
}

/// `2027-01-01` and no other notation: 01/02 is two days.
fn date(word: &str) -> Option<NaiveDate> {
    let number =
        |at: Range<usize>| word.get(at).filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok();
    let is_framed = word.len() == 10 && word.get(4..5) == Some("-") && word.get(7..8) == Some("-");
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    is_framed.then(|| NaiveDate::from_ymd_opt(year as i32, month, day)).flatten()
}

#[cfg(test)]
mod tests {
    use chrono::{Datelike, Days, Weekday};

    use super::*;

    fn day(text: &str) -> NaiveDate {
        date(text).unwrap()
    }

    #[test]
    fn a_list_has_a_date_at_the_start_of_each_line_and_says_which_has_none() {
        let text = "# office\n2027-01-04\n\n2027-12-31 year's end\n2028-02-29,leap\n";
        assert_eq!(holidays(text).unwrap(), [day("2027-01-04"), day("2027-12-31"), day("2028-02-29")]);
        for (text, line, word) in [
            ("2027-01-04\n2027-02-30", 2, "2027-02-30"),
            ("04.01.2027", 1, "04.01.2027"),
            ("2027/01/04", 1, "2027/01/04"),
            (" 2027-01-04", 1, ""),
            ("2027-1-4 x", 1, "2027-1-4"),
            ("x2027-01-04 and something long", 1, "x2027-01-04"),
        ] {
            assert_eq!(holidays(text).unwrap_err(), (line, word.to_owned()), "{text}");
        }
    }

    /// The law's own rules over the list: each fixed day is there, days off that follow from others are there, and no others.
    #[test]
    fn the_holidays_of_japan_follow_the_law() {
        let list: Vec<NaiveDate> = holidays(JAPAN).unwrap();
        assert!(list.windows(2).all(|pair| pair[0] < pair[1]), "in order, each once");
        let years: Vec<i32> = list.iter().map(Datelike::year).collect();
        assert_eq!((years[0], *years.last().unwrap()), (2026, 2027));
        let named = JAPAN.lines().filter(|line| line.starts_with("20") && !line.ends_with(" Holiday"));
        let named: Vec<NaiveDate> = named.map(|line| day(&line[..10])).collect();
        for year in [2026, 2027] {
            let of_year: Vec<NaiveDate> = named.iter().copied().filter(|date| date.year() == year).collect();
            assert_eq!(of_year.len(), 16, "{year}");
            let fixed = [(1, 1), (2, 11), (2, 23), (4, 29), (5, 3), (5, 4), (5, 5), (8, 11), (11, 3), (11, 23)];
            let fixed = fixed.map(|(month, day)| NaiveDate::from_ymd_opt(year, month, day).unwrap());
            let nth = |month, n| NaiveDate::from_weekday_of_month_opt(year, month, Weekday::Mon, n).unwrap();
            let mondays = [nth(1, 2), nth(7, 3), nth(9, 3), nth(10, 2)];
            assert!(fixed.iter().chain(&mondays).all(|date| of_year.contains(date)), "{year}");
        }
        let is_named = |date: &NaiveDate| named.contains(date);
        let days = NaiveDate::iter_days(&day("2026-01-01")).take(730);
        let expected: Vec<NaiveDate> = days.filter(|date| is_named(date) || is_added(*date, &is_named)).collect();
        assert_eq!(list, expected);
    }

    /// Paragraph 2: a holiday on a Sunday moves to the next day that is none. Paragraph 3: a day between two holidays is one.
    fn is_added(date: NaiveDate, is_named: &dyn Fn(&NaiveDate) -> bool) -> bool {
        let before = |days: u64| date.checked_sub_days(Days::new(days)).unwrap();
        let row = (1..8).map(before).take_while(is_named).collect::<Vec<_>>();
        let moved = row.iter().any(|date| date.weekday() == Weekday::Sun);
        let after = date.checked_add_days(Days::new(1)).unwrap();
        moved || (is_named(&before(1)) && is_named(&after) && date.weekday() != Weekday::Sun)
    }
}
