//! Full and half width, hiragana and katakana. A kana of half width and its mark of voice are two characters for one of full
//! width, so kana go through composition (NFKC) on the way to full width and through decomposition (NFD) on the way back.

use unicode_normalization::UnicodeNormalization;

/// From `!` to `!`, the first of full width; in the same order up to `~`.
const ASCII_OFFSET: u32 = 0xFEE0;
const IDEOGRAPHIC_SPACE: char = '\u{3000}';

/// From ぁ to ァ; in the same order up to ゖ and ヶ, and for the marks of iteration.
const KANA_OFFSET: u32 = 0x60;

/// What changes its width.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    Ascii,
    Kana,
    All,
}

/// Of half width, in the order of U+FF61 to U+FF9F, with their counterparts of full width.
const HALF: &str = "｡｢｣､･ｦｧｨｩｪｫｬｭｮｯｰｱｲｳｴｵｶｷｸｹｺｻｼｽｾｿﾀﾁﾂﾃﾄﾅﾆﾇﾈﾉﾊﾋﾌﾍﾎﾏﾐﾑﾒﾓﾔﾕﾖﾗﾘﾙﾚﾛﾜﾝﾞﾟ";
const FULL: &str = "。「」、・ヲァィゥェォャュョッーアイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワン゛゜";

pub fn full(text: &str, part: Part) -> String {
    let mut out = String::with_capacity(text.len());
    let mut kana = String::new();
    for c in text.chars() {
        if is_half_kana(c) && part != Part::Ascii {
            kana.push(c);
            continue;
        }
        out.push_str(&composed(&std::mem::take(&mut kana)));
        out.push(match c {
            '!'..='~' if part != Part::Kana => shifted(c, ASCII_OFFSET),
            ' ' if part != Part::Kana => IDEOGRAPHIC_SPACE,
            _ => c,
        });
    }
    out.push_str(&composed(&kana));
    out
}

pub fn half(text: &str, part: Part) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '！'..='～' if part != Part::Kana => out.push(lowered(c, ASCII_OFFSET)),
            IDEOGRAPHIC_SPACE if part != Part::Kana => out.push(' '),
            _ if part != Part::Ascii && is_full_kana(c) => out.push_str(&decomposed(c)),
            _ => out.push(c),
        }
    }
    out
}

/// Kana of any width as hiragana. The few that katakana alone has (ヷ ヸ ヹ ヺ) stay.
pub fn hiragana(text: &str) -> String {
    full(text, Part::Kana)
        .chars()
        .map(|c| if matches!(c, 'ァ'..='ヶ' | 'ヽ' | 'ヾ') { lowered(c, KANA_OFFSET) } else { c })
        .collect()
}

/// Kana of any width as katakana of full width.
pub fn katakana(text: &str) -> String {
    full(text, Part::Kana)
        .chars()
        .map(|c| if matches!(c, 'ぁ'..='ゖ' | 'ゝ' | 'ゞ') { shifted(c, KANA_OFFSET) } else { c })
        .collect()
}

fn is_half_kana(c: char) -> bool {
    matches!(c, '\u{FF61}'..='\u{FF9F}')
}

fn is_full_kana(c: char) -> bool {
    matches!(c, 'ァ'..='ー' | '。' | '「' | '」' | '、' | '゛' | '゜')
}

/// A mark of voice joins the kana before it.
fn composed(half: &str) -> String {
    // Alone, a mark would become a space and a combining one.
    let alone = |c: char| match c {
        'ﾞ' => '゛',
        'ﾟ' => '゜',
        _ => c,
    };
    half.nfkc()
        .map(|c| {
            if c == '\u{3099}' {
                'ﾞ'
            } else if c == '\u{309A}' {
                'ﾟ'
            } else {
                c
            }
        })
        .map(alone)
        .collect()
}

/// A kana of full width in half width; as it is where there is none (ヰ ヱ ヮ ヵ ヶ).
fn decomposed(c: char) -> String {
    let half = |part: char| match part {
        '\u{3099}' => Some('ﾞ'),
        '\u{309A}' => Some('ﾟ'),
        _ => HALF.chars().nth(FULL.chars().position(|full| full == part)?),
    };
    std::iter::once(c).nfd().map(half).collect::<Option<String>>().unwrap_or_else(|| c.to_string())
}

fn shifted(c: char, by: u32) -> char {
    char::from_u32(u32::from(c) + by).unwrap_or(c)
}

fn lowered(c: char, by: u32) -> char {
    char::from_u32(u32::from(c).saturating_sub(by)).unwrap_or(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_as_long_as_the_block_and_each_way_leads_back() {
        assert_eq!((HALF.chars().count(), FULL.chars().count()), (63, 63));
        assert!(HALF.chars().zip('\u{FF61}'..).all(|(listed, real)| listed == real));
        for (half_one, full_one) in HALF.chars().zip(FULL.chars()) {
            assert_eq!(full(&half_one.to_string(), Part::Kana), full_one.to_string(), "{half_one}");
            assert_eq!(half(&full_one.to_string(), Part::Kana), half_one.to_string(), "{full_one}");
        }
        for c in ' '..='~' {
            assert_eq!(half(&full(&c.to_string(), Part::All), Part::All), c.to_string());
        }
        let voiced = "ガギグゲゴザジズゼゾダヂヅデドバビブベボパピプペポヴ";
        assert_eq!(full(&half(voiced, Part::All), Part::All), voiced);
        assert_eq!(half(voiced, Part::All).chars().count(), 2 * voiced.chars().count());
    }

    #[test]
    fn hiragana_and_katakana_are_each_others_ways_back() {
        let all: String = ('ぁ'..='ゖ').chain(['ゝ', 'ゞ']).collect();
        assert_eq!(hiragana(&katakana(&all)), all);
        assert_eq!(katakana(&all).chars().count(), all.chars().count());
        assert_eq!((hiragana("ヷ漢ａ").as_str(), katakana("ｶﾞﾙ").as_str()), ("ヷ漢ａ", "ガル"));
    }
}
