//! Takes personal values out of a text that somebody else wrote about them: a vendor's message about the record that it was
//! sent.
//!
//! The hard idea is that vendors repeat values, but not as they were: in small letters, without hyphens, cut short. So only letters and
//! digits count, and a stretch of the text goes as soon as it is a part of a value: six letters anywhere, or four that are whole
//! words. It is better to lose a word of a message than to keep a part of an address.

use std::ops::Range;

use secrecy::{ExposeSecret, SecretString};

const HIDDEN: &str = "***";
const WHOLE: &str = "(the message repeats a personal value)";
/// A part of a value that stands alone as words.
const WORD_CHARS: usize = 4;
/// A part of a value inside of words.
const PART_CHARS: usize = 6;
/// What lies behind is cut off, and of a longer value not looked at: no message repeats so much.
const TEXT_CHARS_MAX: usize = 2_000;
const VALUE_CHARS_MAX: usize = 4_000;

/// The text without the values.
pub fn without(text: &str, values: &[SecretString]) -> String {
    let values: Vec<String> =
        values.iter().map(|value| bare(value.expose_secret())).filter(|value| !value.is_empty()).collect();
    let text: String = text.chars().take(TEXT_CHARS_MAX).collect();
    if text.contains('%') {
        // As URLs and forms write it. There is no telling which part of the text that is.
        let parts = url::form_urlencoded::parse(text.as_bytes()).flat_map(|(name, value)| [name, value]);
        let decoded = parts.collect::<String>();
        if spans(&decoded, &values).len() > spans(&text, &values).len() {
            return WHOLE.to_owned();
        }
    }
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for span in spans(&text, &values) {
        out.push_str(&text[at..span.start]);
        out.push_str(HIDDEN);
        at = span.end;
    }
    out + &text[at..]
}

/// Letters and digits in small letters.
fn bare(text: &str) -> String {
    letters(text).into_iter().take(VALUE_CHARS_MAX).map(|letter| letter.c).collect()
}

/// A letter or digit and where it stands.
struct Letter {
    c: char,
    at: Range<usize>,
}

fn letters(text: &str) -> Vec<Letter> {
    let all = text.char_indices().filter(|(_, c)| c.is_alphanumeric());
    all.flat_map(|(at, c)| c.to_lowercase().map(move |low| Letter { c: low, at: at..at + c.len_utf8() })).collect()
}

/// The stretches of a text that are parts of values.
fn spans(text: &str, values: &[String]) -> Vec<Range<usize>> {
    let letters = letters(text);
    let mut spans = Vec::new();
    let mut at = 0;
    while at < letters.len() {
        match values.iter().map(|value| hidden(&letters, at, value)).max().unwrap_or(0) {
            0 => at += 1,
            count => {
                spans.push(letters[at].at.start..letters[at + count - 1].at.end);
                at += count;
            }
        }
    }
    spans
}

/// How many letters from here on are to be hidden because of a value.
fn hidden(letters: &[Letter], at: usize, value: &str) -> usize {
    let begins_word = at == 0 || letters[at - 1].at.end < letters[at].at.start;
    let ends_word =
        |count: usize| letters.get(at + count).is_none_or(|next| letters[at + count - 1].at.end < next.at.start);
    let (length, mut found, mut part) = (value.chars().count(), 0, String::new());
    for count in 1..=letters.len() - at {
        part.push(letters[at + count - 1].c);
        if !value.contains(&part) {
            break;
        }
        let is_word = begins_word && ends_word(count);
        let is_whole = count == length && (is_word || !value.is_ascii());
        if count >= PART_CHARS || (count >= WORD_CHARS && is_word) || is_whole {
            found = count;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str, values: &[&str]) -> String {
        without(text, &values.iter().map(|value| SecretString::from(*value)).collect::<Vec<_>>())
    }

    #[test]
    fn a_value_is_found_however_it_is_repeated() {
        for (text, values, wanted) in [
            ("must contain @", &["Ann@X.example"][..], "must contain @"),
            ("Ann@X.example is taken", &["Ann@X.example"], "*** is taken"),
            ("'ann@x.example' is taken", &["Ann@X.example"], "'***' is taken"),
            ("\"ann@x.exam...\" is too long", &["Ann@X.example"], "\"***...\" is too long"),
            ("the number +81312345678 is bad", &["+81-3-1234-5678"], "the number +*** is bad"),
            ("phone (81) 3 1234 5678: bad", &["+81-3-1234-5678"], "phone (***: bad"),
            ("no user ann at x.example", &["Ann@X.example"], "no user ann at ***"),
            ("email: no mail there", &["michael@mail.com"], "email: no *** there"),
            ("age 34 of 344 is bad, M too", &["34", "M"], "age *** of 344 is bad, *** too"),
            ("山田は不正です", &["山田"], "***は不正です"),
            ("see /x/a%40b.example?n=1", &["a@b.example"], "see /x/a%40***?n=1"),
            ("see /x/ann%2Dmary?n=1", &["ann-mary"], "(the message repeats a personal value)"),
            ("nothing", &["", " ", "@"], "nothing"),
        ] {
            assert_eq!(shown(text, values), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_very_long_is_cut_and_costs_nothing() {
        let (text, value) = ("ab".repeat(50_000), "ba".repeat(500_000));
        assert_eq!(shown(&text, &[&value]), "***");
    }

    proptest! {
        #[test]
        fn nothing_that_is_left_holds_a_value(before in "[a-zA-Z ]{0,9}", value in "[a-zA-Z0-9@.+-]{4,16}", after in "[a-z ]{0,9}") {
            prop_assume!(bare(&value).len() >= WORD_CHARS);
            for written in [value.clone(), value.to_lowercase(), value.replace('-', " ")] {
                let told = shown(&format!("{before} {written} {after}"), &[&value]);
                prop_assert!(!told.contains(&value), "{}", told);
            }
        }
    }
}
