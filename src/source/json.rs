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

type Result<T> = std::result::Result<T, Malformed>;

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
    pub fn peek(&mut self) -> Result<u8> {
        self.white();
        self.text.get(self.at).copied().ok_or(Malformed { at: self.at, ended: true })
    }

    /// Steps over one value and says where it stood.
    pub fn value(&mut self) -> Result<Range<usize>> {
        let first = self.peek()?;
        let begin = self.at;
        match first {
            b'"' => {
                self.string()?;
            }
            b'{' => {
                self.object(|walker, _| walker.value().map(drop))?;
            }
            b'[' => {
                self.list(|walker| walker.value().map(drop))?;
            }
            b't' => self.word(b"true")?,
            b'f' => self.word(b"false")?,
            b'n' => self.word(b"null")?,
            _ => self.number()?,
        }
        Ok(begin..self.at)
    }

    /// Steps over an object; `field` is called before each value with the range of its name between the quotes, and must
    /// step over the value.
    pub fn object(&mut self, mut field: impl FnMut(&mut Self, Range<usize>) -> Result<()>) -> Result<Range<usize>> {
        let begin = self.open(b'{')?;
        if self.peek()? != b'}' {
            loop {
                self.peek()?;
                let name = self.string()?;
                self.expect(b':')?;
                field(self, name)?;
                if self.more(b'}')? {
                    break;
                }
            }
        }
        Ok(self.close(begin))
    }

    /// Steps over a list; `item` must step over each value.
    pub fn list(&mut self, mut item: impl FnMut(&mut Self) -> Result<()>) -> Result<Range<usize>> {
        let begin = self.open(b'[')?;
        if self.peek()? != b']' {
            loop {
                item(self)?;
                if self.more(b']')? {
                    break;
                }
            }
        }
        Ok(self.close(begin))
    }

    /// Nothing but white space is left.
    pub fn end(&mut self) -> Result<()> {
        self.white();
        if self.at == self.text.len() { Ok(()) } else { Err(self.bad()) }
    }

    fn open(&mut self, bracket: u8) -> Result<usize> {
        self.expect(bracket)?;
        self.depth += 1;
        if self.depth > DEPTH_MAX { Err(self.bad()) } else { Ok(self.at - 1) }
    }

    fn close(&mut self, begin: usize) -> Range<usize> {
        self.at += 1;
        self.depth -= 1;
        begin..self.at
    }

    /// After an item: steps over the comma, or says that the bracket that ends it all is next.
    fn more(&mut self, bracket: u8) -> Result<bool> {
        match self.peek()? {
            b',' => {
                self.at += 1;
                Ok(false)
            }
            byte if byte == bracket => Ok(true),
            _ => Err(self.bad()),
        }
    }

    fn expect(&mut self, byte: u8) -> Result<()> {
        if self.peek()? != byte {
            return Err(self.bad());
        }
        self.at += 1;
        Ok(())
    }

    fn white(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.text.get(self.at) {
            self.at += 1;
        }
    }

    /// Steps over a string; the range lies between its quotes.
    fn string(&mut self) -> Result<Range<usize>> {
        if self.text.get(self.at) != Some(&b'"') {
            return Err(self.bad());
        }
        self.at += 1;
        let begin = self.at;
        loop {
            self.plain();
            match self.text.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(begin..self.at - 1);
                }
                Some(b'\\') => self.escape()?,
                _ => return Err(self.bad()),
            }
        }
    }

    /// Steps to the next quote, backslash or control character, eight bytes at a time: in each byte of `found` the top
    /// bit says that this byte is one of them. Only the lowest one is exact, and only that one is used.
    fn plain(&mut self) {
        const ONES: u64 = u64::MAX / 255;
        while let Some(eight) = self.text.get(self.at..self.at + 8).and_then(|bytes| bytes.try_into().ok()) {
            let word = u64::from_le_bytes(eight);
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
                    if !self.text.get(self.at).is_some_and(u8::is_ascii_hexdigit) {
                        return Err(self.bad());
                    }
                    self.at += 1;
                }
            }
            _ => return Err(self.bad()),
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
        if self.at == begin { Err(self.bad()) } else { Ok(()) }
    }

    fn skip_if(&mut self, is: impl Fn(u8) -> bool) -> bool {
        let hit = self.text.get(self.at).is_some_and(|byte| is(*byte));
        self.at += usize::from(hit);
        hit
    }

    fn word(&mut self, word: &[u8]) -> Result<()> {
        for byte in word {
            if self.text.get(self.at) != Some(byte) {
                return Err(self.bad());
            }
            self.at += 1;
        }
        Ok(())
    }

    fn bad(&self) -> Malformed {
        Malformed { at: self.at, ended: self.at >= self.text.len() }
    }
}

/// Whether the name between the quotes at `range` is `name`. Names are nearly never written with escapes.
pub fn is_name(text: &str, range: Range<usize>, name: &str) -> bool {
    let written = &text.as_bytes()[range.clone()];
    if written == name.as_bytes() {
        return true;
    }
    written.contains(&b'\\')
        && serde_json::from_str::<String>(&text[range.start - 1..range.end + 1]).is_ok_and(|decoded| decoded == name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    fn accepts(text: &str) -> Result<()> {
        let mut walker = Walker::new(text);
        walker.value()?;
        walker.end()
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
        assert!(is_name(r#""a\u0062""#, 1..8, "ab"));
        assert!(!is_name(r#""abc""#, 1..4, "ab"));
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
