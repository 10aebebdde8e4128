//! Walks over JSON text without building anything: it says where values begin and end, as strictly as a full parser.
//!
//! The hard idea: a page is walked exactly once. A parser that hands out slices would walk it for the list, again for each
//! record's fields and again for the next page's token; one strict walk that reports ranges costs a third of that. That it
//! accepts and refuses what `serde_json` does is checked by a property test below.

use std::ops::Range;

/// Deeper texts are refused, as `serde_json` refuses to build them.
const DEPTH_MAX: u32 = 127;

/// Where a text stops being JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed {
    pub at: usize,
    /// The text is only too short: more of it could still make it JSON.
    pub ended: bool,
}

/// The text is no JSON at the place where its walker stands. Small, because it is returned for every value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bad;

type Result<T> = std::result::Result<T, Bad>;

/// A field's name as it stands in the text.
#[derive(Clone, Debug)]
pub struct Name {
    /// Between the quotes.
    range: Range<usize>,
    escaped: bool,
}

impl Name {
    /// Whether it is `name`, however it is written.
    #[inline]
    pub fn is(&self, text: &str, name: &str) -> bool {
        let written = &text.as_bytes()[self.range.clone()];
        if !self.escaped {
            return written == name.as_bytes();
        }
        let quoted = &text[self.range.start - 1..self.range.end + 1];
        serde_json::from_str::<String>(quoted).is_ok_and(|decoded| decoded == name)
    }
}

/// A place in a text.
pub struct Walker<'t> {
    text: &'t [u8],
    at: usize,
    depth: u32,
}

impl<'t> Walker<'t> {
    pub fn new(text: &'t str) -> Self {
        Self { text: text.as_bytes(), at: 0, depth: 0 }
    }

    /// The first byte of the next value, which is not consumed.
    #[inline]
    pub fn peek(&mut self) -> Result<u8> {
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                _ => return Ok(byte),
            }
        }
        Err(Bad)
    }

    /// Steps over one value and says where it stood.
    #[inline]
    pub fn value(&mut self) -> Result<Range<usize>> {
        self.peek()?;
        let begin = self.at;
        self.skip()?;
        Ok(begin..self.at)
    }

    /// Steps over one value.
    pub fn skip(&mut self) -> Result<()> {
        match self.peek()? {
            b'"' => self.string().map(drop),
            b'{' => self.object(|walker, _| walker.skip()),
            b'[' => self.list(Self::skip),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => self.number(),
        }
    }

    /// Steps over an object; `field` is called with each name before its value, and must step over the value.
    #[inline]
    pub fn object(&mut self, mut field: impl FnMut(&mut Self, Name) -> Result<()>) -> Result<()> {
        self.open(b'{')?;
        if self.peek()? != b'}' {
            loop {
                self.peek()?;
                let name = self.string()?;
                self.expect(b':')?;
                field(self, name)?;
                if self.is_over(b'}')? {
                    break;
                }
            }
        }
        self.close();
        Ok(())
    }

    /// Steps over a list; `item` must step over each value.
    #[inline]
    pub fn list(&mut self, mut item: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        self.open(b'[')?;
        if self.peek()? != b']' {
            loop {
                item(self)?;
                if self.is_over(b']')? {
                    break;
                }
            }
        }
        self.close();
        Ok(())
    }

    /// Nothing but white space is left.
    pub fn end(&mut self) -> Result<()> {
        if self.peek().is_ok() { Err(Bad) } else { Ok(()) }
    }

    /// Where the walker stands.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Why the last step failed.
    pub fn malformed(&self) -> Malformed {
        Malformed { at: self.at, ended: self.at >= self.text.len() }
    }

    fn open(&mut self, bracket: u8) -> Result<()> {
        self.expect(bracket)?;
        self.depth += 1;
        if self.depth > DEPTH_MAX { Err(Bad) } else { Ok(()) }
    }

    fn close(&mut self) {
        self.at += 1;
        self.depth -= 1;
    }

    /// After an item: steps over the comma, or says that the bracket that ends it all is next.
    fn is_over(&mut self, bracket: u8) -> Result<bool> {
        match self.peek()? {
            b',' => {
                self.at += 1;
                Ok(false)
            }
            byte if byte == bracket => Ok(true),
            _ => Err(Bad),
        }
    }

    fn expect(&mut self, byte: u8) -> Result<()> {
        if self.peek()? != byte {
            return Err(Bad);
        }
        self.at += 1;
        Ok(())
    }

    #[inline]
    fn string(&mut self) -> Result<Name> {
        if self.text.get(self.at) != Some(&b'"') {
            return Err(Bad);
        }
        self.at += 1;
        let begin = self.at;
        let mut escaped = false;
        loop {
            self.plain();
            match self.text.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Name { range: begin..self.at - 1, escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                _ => return Err(Bad),
            }
        }
    }

    /// Steps to the next quote, backslash or control character, eight bytes at a time: in each byte of `found` the top
    /// bit says that this byte is one of them. Only the lowest one is exact, and only that one is used.
    #[inline]
    fn plain(&mut self) {
        const ONES: u64 = u64::MAX / 255;
        while let Some(eight) = self.text.get(self.at..).and_then(<[u8]>::first_chunk::<8>) {
            let word = u64::from_le_bytes(*eight);
            let control = word.wrapping_sub(ONES * 0x20) & !word;
            let (quote, escape) = (word ^ (ONES * u64::from(b'"')), word ^ (ONES * u64::from(b'\\')));
            let (quote, escape) = (quote.wrapping_sub(ONES) & !quote, escape.wrapping_sub(ONES) & !escape);
            let found = (control | quote | escape) & (ONES << 7);
            if found != 0 {
                self.at += found.trailing_zeros() as usize / 8;
                return;
            }
            self.at += 8;
        }
        while self.text.get(self.at).is_some_and(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20)) {
            self.at += 1;
        }
    }

    fn escape(&mut self) -> Result<()> {
        self.at += 1;
        match self.text.get(self.at) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.skip_if(|byte| byte.is_ascii_hexdigit()) {
                        return Err(Bad);
                    }
                }
            }
            _ => return Err(Bad),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<()> {
        self.skip_if(|byte| byte == b'-');
        if !self.skip_if(|byte| byte == b'0') {
            self.digits()?;
        }
        if self.skip_if(|byte| byte == b'.') {
            self.digits()?;
        }
        if self.skip_if(|byte| matches!(byte, b'e' | b'E')) {
            self.skip_if(|byte| matches!(byte, b'+' | b'-'));
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<()> {
        let begin = self.at;
        while self.skip_if(|byte| byte.is_ascii_digit()) {}
        if self.at == begin { Err(Bad) } else { Ok(()) }
    }

    #[inline]
    fn skip_if(&mut self, is: impl Fn(u8) -> bool) -> bool {
        let hit = self.text.get(self.at).is_some_and(|byte| is(*byte));
        self.at += usize::from(hit);
        hit
    }

    fn word(&mut self, word: &[u8]) -> Result<()> {
        for expected in word {
            if !self.skip_if(|byte| byte == *expected) {
                return Err(Bad);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    fn accepts(text: &str) -> std::result::Result<(), Malformed> {
        let mut walker = Walker::new(text);
        walker.skip().and_then(|()| walker.end()).map_err(|Bad| walker.malformed())
    }

    fn agree(text: &str) {
        assert_eq!(accepts(text).is_ok(), serde_json::from_str::<IgnoredAny>(text).is_ok(), "{text:?}");
    }

    #[test]
    fn it_accepts_and_refuses_what_a_full_parser_does() {
        let texts = [
            "",
            " ",
            "{}",
            "[]",
            "[1,]",
            "{,}",
            "[,]",
            "{\"a\":}",
            "{\"a\" : [ ] , \"b\":null}",
            "01",
            "-",
            "-0",
            "1.",
            "1.5e+3",
            "1e",
            ".5",
            "+1",
            "\"\u{1}\"",
            "\"\\u12G4\"",
            "\"\\ud800\"",
            "\"\\x\"",
            "tru",
            "true",
            "nul",
            "[1 2]",
            "{\"a\":1,\"a\":2}",
            "{a:1}",
            "{'a':1}",
            "[1]]",
            "\"open",
            "\"eight by\\\\ \\\" t\u{e9}s\"",
            "\u{feff}{}",
            "NaN",
        ];
        texts.iter().for_each(|text| agree(text));
    }

    #[test]
    fn a_text_that_is_nested_too_deeply_is_refused() {
        let nested = |depth: usize| accepts(&format!("{}{}", "[".repeat(depth), "]".repeat(depth))).is_ok();
        assert!(nested(127));
        assert!(!nested(128));
        assert!(!nested(100_000));
    }

    #[test]
    fn a_text_that_only_lacks_its_end_says_so() {
        let whole = r#"{"a":[1,{"b":"c\u00e9"},true],"d":-1.5e3}"#;
        for end in 0..whole.len() {
            assert!(accepts(&whole[..end]).unwrap_err().ended, "{}", &whole[..end]);
        }
        assert!(!accepts("<html>").unwrap_err().ended);
    }

    #[test]
    fn a_name_with_escapes_is_the_same_name() {
        for (text, name, same) in [
            (r#"{"a\u0062":1}"#, "ab", true),
            (r#"{"ab":1}"#, "ab", true),
            (r#"{"abc":1}"#, "ab", false),
            (r#"{"\ud800":1}"#, "ab", false),
        ] {
            let mut found = false;
            let walked = Walker::new(text).object(|walker, written| {
                found = written.is(text, name);
                walker.skip()
            });
            assert_eq!((walked, found), (Ok(()), same), "{text}");
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_full_parser_on_damaged_texts(
            text in r#"([\[\]{}:, ]|"[a-z\\"]{0,9}"|-?[0-9.eE+-]{1,6}|true|null|"k":){0,12}"#,
        ) {
            agree(&text);
        }

        #[test]
        fn a_flipped_byte_is_noticed_as_a_full_parser_notices_it(at in 0usize..60, byte in 0x20u8..0x7f) {
            let mut text = br#"{"id":"l1","n":[1,2.5,-3e2],"o":{"x":null,"y":"\n\u0041z"}}"#.to_vec();
            let at = at % text.len();
            text[at] = byte;
            agree(std::str::from_utf8(&text).unwrap());
        }
    }
}
