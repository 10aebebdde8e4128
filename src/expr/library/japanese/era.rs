//! Dates in the years of an era. The first year of an era begins on the day the emperor changed and is called 元年; that day
//! counts to both eras, as documents of the day do. Days before 1873 were counted by the moon and are not read.
//!
//! First days: Meiji's calendar from 1873-01-01 (its year 6), Taisho 1912-07-30, Showa 1926-12-25, Heisei 1989-01-08, Reiwa
//! 2019-05-01 (National Diet Library of Japan, 和暦・西暦対照表, looked at in November 2026).

use chrono::{Datelike, NaiveDate};

struct Era {
    name: &'static str,
    letter: char,
    /// The year of our count before its first.
    zero: i32,
    first: (i32, u32, u32),
}

/// The newest first.
const ERAS: [Era; 5] = [
    Era { name: "令和", letter: 'R', zero: 2018, first: (2019, 5, 1) },
    Era { name: "平成", letter: 'H', zero: 1988, first: (1989, 1, 8) },
    Era { name: "昭和", letter: 'S', zero: 1925, first: (1926, 12, 25) },
    Era { name: "大正", letter: 'T', zero: 1911, first: (1912, 7, 30) },
    Era { name: "明治", letter: 'M', zero: 1867, first: (1873, 1, 1) },
];

impl Era {
    fn first(&self) -> Option<NaiveDate> {
        let (year, month, day) = self.first;
        NaiveDate::from_ymd_opt(year, month, day)
    }
}

/// Reads `令和6年4月1日`, `令6.4.1`, `R6.4.1`, `r06/04/01` or `平成元年1月8日`; half width, no spaces around.
pub fn read(text: &str) -> Option<NaiveDate> {
    let (at, rest) = ERAS.iter().enumerate().find_map(|(at, era)| Some((at, after_name(era, text)?)))?;
    let rest = rest.trim_end().strip_suffix('日').unwrap_or(rest);
    let mut parts = rest.split(['年', '月', '.', '/', '-', '・']);
    let mut part = || parts.next().map(str::trim);
    let (year, month, day) = (part()?, part()?, part()?);
    if part().is_some() {
        return None;
    }
    let year = if year == "元" { 1 } else { number(year)? };
    let era = &ERAS[at];
    let date = NaiveDate::from_ymd_opt(era.zero + i32::try_from(year).ok()?, number(month)?, number(day)?)?;
    let until = at.checked_sub(1).and_then(|newer| ERAS[newer].first());
    (year > 0 && date >= era.first()? && until.is_none_or(|until| date <= until)).then_some(date)
}

fn after_name<'t>(era: &Era, text: &'t str) -> Option<&'t str> {
    let short = era.name.chars().next()?;
    text.strip_prefix(era.name)
        .or_else(|| text.strip_prefix(short))
        .or_else(|| text.strip_prefix([era.letter, era.letter.to_ascii_lowercase()]))
}

/// One or two digits; `parse` alone would take a plus.
fn number(text: &str) -> Option<u32> {
    (matches!(text.len(), 1 | 2) && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// `令和6年4月1日`, or short `R6.4.1`, out of a date that begins with `2024-04-01`. On a day that counts to two eras the
/// newer.
pub fn write(text: &str, is_short: bool) -> Option<String> {
    let date = NaiveDate::parse_from_str(text.trim().get(..10)?, "%Y-%m-%d").ok()?;
    let era = ERAS.iter().find(|era| era.first().is_some_and(|first| date >= first))?;
    let (year, month, day) = (date.year() - era.zero, date.month(), date.day());
    Some(match is_short {
        true => format!("{}{year}.{month}.{day}", era.letter),
        false if year == 1 => format!("{}元年{month}月{day}日", era.name),
        false => format!("{}{year}年{month}月{day}日", era.name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_since_1873_is_written_and_read_as_itself() {
        let mut date = NaiveDate::from_ymd_opt(1873, 1, 1).unwrap();
        while date.year() < 2100 {
            for is_short in [false, true] {
                let written = write(&date.to_string(), is_short).unwrap();
                assert_eq!(read(&written), Some(date), "{written}");
            }
            date = date.succ_opt().unwrap();
        }
    }

    #[test]
    fn the_day_of_a_change_counts_to_both_eras_and_the_next_only_to_the_newer() {
        let day = |text: &str| read(text).map(|date| date.to_string());
        assert_eq!(day("昭和64年1月7日").as_deref(), Some("1989-01-07"));
        assert_eq!((day("昭和64年1月8日"), day("平成元年1月8日")), (day("H1.1.8"), day("平1/1/8")));
        assert_eq!((day("昭和64年1月9日"), day("平成元年1月7日"), day("明治5年12月2日")), (None, None, None));
        for broken in
            ["令和", "令和6年", "令和6年13月1日", "令和0年5月1日", "R6.4.1.2", "X6.4.1", "令和+6年4月1日", "2024-04-01"]
        {
            assert_eq!(day(broken), None, "{broken}");
        }
    }
}
