//! Filters of Japanese texts: widths, kana, eras, postal codes and forms of companies. Each reads what people type, in whatever
//! width, and gives one spelling; what it cannot read is an error, never a guess.
//!
//! ```text
//!   width.rs     full and half width, hiragana and katakana
//!   era.rs       dates in the years of an era
//!   company.rs   the legal form in a company's name
//! ```

mod company;
mod era;
mod width;

use minijinja::{Environment, value::Value};
use unicode_normalization::UnicodeNormalization;

use super::{Result, bounded, no_value, text_of, trouble};
use company::Form;
use width::Part;

pub const FILTERS: &[&str] =
    &["nfkc", "fullwidth", "halfwidth", "hiragana", "katakana", "era_date", "to_era", "postal_code", "company"];

pub fn add(language: &mut Environment<'static>) {
    language.add_filter("nfkc", |value: &Value| map(value, |text| Ok(text.nfkc().collect())));
    language.add_filter("fullwidth", |value: &Value, what: Option<&str>| {
        let part = part(what)?;
        map(value, |text| Ok(width::full(text, part)))
    });
    language.add_filter("halfwidth", |value: &Value, what: Option<&str>| {
        let part = part(what)?;
        map(value, |text| Ok(width::half(text, part)))
    });
    language.add_filter("hiragana", |value: &Value| map(value, |text| Ok(width::hiragana(text))));
    language.add_filter("katakana", |value: &Value| map(value, |text| Ok(width::katakana(text))));
    language.add_filter("era_date", |value: &Value| {
        map(value, |text| match era::read(&plain(text)) {
            Some(date) => Ok(date.to_string()),
            None => Err(trouble("the text is no date of an era, such as 令和6年4月1日 or R6.4.1")),
        })
    });
    language.add_filter("to_era", |value: &Value, style: Option<&str>| {
        let is_short = match style {
            None | Some("long") => false,
            Some("short") => true,
            Some(_) => return Err(trouble("the style of to_era is \"long\" or \"short\"")),
        };
        map(value, |text| {
            era::write(text, is_short).ok_or_else(|| trouble("needs a date (2024-04-01) of 1873 or later"))
        })
    });
    language.add_filter("postal_code", |value: &Value| map(value, postal_code));
    language.add_filter("company", |value: &Value, form: Option<&str>| {
        let form = match form {
            None | Some("long") => Form::Long,
            Some("short") => Form::Short,
            Some("none") => Form::Without,
            Some(_) => return Err(trouble("the form of company is \"long\", \"short\" or \"none\"")),
        };
        map(value, |text| Ok(company::name(&plain(text), form)))
    });
}

fn map(value: &Value, change: impl Fn(&str) -> Result<String>) -> Result {
    if no_value(value) { Ok(value.clone()) } else { bounded(change(&text_of(value)?)?) }
}

/// The text with one width and one spelling of each sign, and no spaces around it.
pub fn plain(text: &str) -> String {
    text.nfkc().collect::<String>().trim().to_owned()
}

fn part(what: Option<&str>) -> Result<Part> {
    match what {
        None => Ok(Part::All),
        Some("ascii") => Ok(Part::Ascii),
        Some("kana") => Ok(Part::Kana),
        Some(_) => Err(trouble("what changes its width is \"ascii\" or \"kana\"; without an argument both")),
    }
}

/// What people type for a dash between digits.
pub fn is_dash(c: char) -> bool {
    matches!(c, '-' | '‐' | '‑' | '‒' | '–' | '—' | '―' | '−' | 'ー')
}

/// `123-4567`, as Japan Post writes it.
fn postal_code(text: &str) -> Result<String> {
    let plain = plain(text);
    let code = plain.strip_prefix('〒').unwrap_or(&plain);
    let digits: String = code.chars().filter(|c| !c.is_whitespace() && !is_dash(*c)).collect();
    match digits.len() == 7 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Ok(format!("{}-{}", &digits[..3], &digits[3..])),
        false => Err(trouble("a postal code of Japan has seven digits")),
    }
}
