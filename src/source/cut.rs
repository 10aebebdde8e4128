//! Cuts a page into records without building trees. One walk over the page finds the list of records, and in each record
//! the fields that name it and place it in time; a record stays a slice of the page.
//!
//! What the answer says besides its records (the next page's token, totals) is a few dozen bytes among a hundred thousand.
//! The walk leaves them behind as the *frame*: the answer with an empty list in place of its records. Paths are looked up
//! there, which is as good as free.

use std::{borrow::Cow, ops::Range};

use bytes::Bytes;
use http::HeaderMap;

use super::{
    decode::Piece,
    instant,
    json::{Bad, Malformed, Walker},
};
use crate::{
    config::plan::{CursorField, Incremental, Stream},
    model::{Blame, Code, Cursor, Disposition, Fault, Fields, Key, Path, Reason, Step, Version},
};

/// One answer, cut.
#[derive(Debug)]
pub struct Cut {
    pub items: Vec<Item>,
    frame: Frame,
}

/// One item of the list, as far as its page can tell.
#[derive(Debug)]
pub struct Item {
    /// The record; an item that is no object is wrapped as `{"value": item}`.
    pub fields: Fields,
    pub object: bool,
    /// Nothing: its key is missing, or is no text or whole number.
    pub key: Option<Key>,
    /// Nothing: the stream has no cursor field, or here it is missing or cannot be read.
    pub cursor: Option<Cursor>,
    pub version: Option<Version>,
    /// Why what stands here is no record: a row that could not be read.
    pub broken: Option<Reason>,
}

#[derive(Debug)]
struct Frame {
    whole: Bytes,
    /// The answer with `[]` for its records.
    text: String,
    records: Path,
}

impl Cut {
    /// The raw JSON text at a path of the answer.
    pub fn find(&self, path: &Path) -> Option<&str> {
        let frame = &self.frame;
        let inside = frame.records.steps().is_empty() || path.steps().starts_with(frame.records.steps());
        let text = if inside { std::str::from_utf8(&frame.whole).unwrap_or_default() } else { &frame.text };
        path.find(text).map(|raw| raw.get())
    }
}

/// Cuts the body of an answer as the stream describes it. What of it is quoted goes through `hushed` first.
pub fn cut(body: &Bytes, headers: &HeaderMap, stream: &Stream, hushed: &dyn Fn(&str) -> String) -> Result<Cut, Fault> {
    cut_or(body, stream, |malformed| not_json(body, headers, malformed, shown(body, hushed)))
}

/// The same, for an answer that must not be quoted in a message.
pub fn cut_unquoted(body: &Bytes, headers: &HeaderMap, stream: &Stream) -> Result<Cut, Fault> {
    let hidden = || "it may hold personal fields, so it is not shown".to_owned();
    cut_or(body, stream, |malformed| not_json(body, headers, malformed, hidden()))
}

/// Cuts some records of an answer that is decoded. `frame` cuts what stands around all of them, once that is known.
pub fn cut_piece(
    piece: Piece,
    stream: &Stream,
    frame: impl FnOnce(&Bytes) -> Result<Cut, Fault>,
) -> Result<Cut, Fault> {
    let text = std::str::from_utf8(&piece.text).unwrap_or_default();
    let mut cutter = Cutter::new(&piece.text, text, stream);
    let mut walker = Walker::new(text);
    let walked = cutter.answer(&mut walker, &[]);
    let unlike = |Bad| Fault::halt(Code::Bug, Blame::Bug, "the decoded records of an answer are no JSON list");
    walked.map_err(unlike)?;
    for (place, reason) in piece.broken {
        if let Some(item) = cutter.items.get_mut(place) {
            (item.key, item.cursor, item.version, item.broken) = (None, None, None, Some(reason));
        }
    }
    let mut cut = match piece.frame {
        Some(around) => frame(&around.into())?,
        None => {
            let frame = Frame { whole: Bytes::new(), text: String::new(), records: stream.records.clone() };
            Cut { items: Vec::new(), frame }
        }
    };
    cut.items.splice(..0, cutter.items);
    Ok(cut)
}

fn cut_or(body: &Bytes, stream: &Stream, not_json: impl Fn(Option<Malformed>) -> Fault) -> Result<Cut, Fault> {
    let text = std::str::from_utf8(body).map_err(|_| not_json(None))?;
    let mut cutter = Cutter::new(body, text, stream);
    let mut walker = Walker::new(text);
    let walked = cutter.answer(&mut walker, stream.records.steps()).and_then(|()| walker.end());
    walked.map_err(|Bad| not_json(Some(walker.malformed())))?;
    match cutter.found {
        Found::List(range) => {
            let text = [&text[..range.start], "[]", &text[range.end..]].concat();
            let frame = Frame { whole: body.clone(), text, records: stream.records.clone() };
            Ok(Cut { items: cutter.items, frame })
        }
        Found::Null => {
            let frame = Frame { whole: body.clone(), text: text.to_owned(), records: stream.records.clone() };
            Ok(Cut { items: Vec::new(), frame })
        }
        Found::Nothing => Err(no_records(stream, "nothing")),
        Found::Other(what) => Err(no_records(stream, what)),
    }
}

/// Reads the one item that is the whole text, which is known to be JSON.
pub fn one(body: &Bytes, stream: &Stream) -> Item {
    let text = std::str::from_utf8(body).unwrap_or("{}");
    let mut cutter = Cutter::new(body, text, stream);
    let cut = cutter.item(&mut Walker::new(text));
    let whole = Item {
        fields: Fields::from_object(body.clone()),
        object: false,
        key: None,
        cursor: None,
        version: None,
        broken: None,
    };
    cut.ok().and_then(|()| cutter.items.pop()).unwrap_or(whole)
}

/// What stands where the records should be.
enum Found {
    Nothing,
    Null,
    List(Range<usize>),
    Other(&'static str),
}

/// A field that is wanted from every record: caught by its first step while the record is walked, the rest looked up in
/// what was caught.
struct Wanted<'s> {
    path: &'s Path,
    /// Nothing where the path begins with an item: a record is an object, so it leads nowhere.
    head: Option<&'s str>,
    caught: Option<Range<usize>>,
}

struct Cutter<'s> {
    body: &'s Bytes,
    text: &'s str,
    /// The fields of the key, then the cursor's and the version's: one list, because it is gone through for each field.
    wanted: Vec<Wanted<'s>>,
    keys: usize,
    cursor: Option<(&'s CursorField, usize)>,
    version: Option<usize>,
    /// One record may stand where the list is looked for.
    single: bool,
    /// The records are texts or numbers, and their own names.
    bare: Option<&'s Stream>,
    items: Vec<Item>,
    found: Found,
}

impl<'s> Cutter<'s> {
    fn new(body: &'s Bytes, text: &'s str, stream: &'s Stream) -> Self {
        let wanted = |path: &'s Path| match path.steps().first() {
            Some(Step::Field(head)) => Wanted { path, head: Some(head), caught: None },
            Some(Step::Item(_)) | None => Wanted { path, head: None, caught: None },
        };
        let cursor = match &stream.incremental {
            Some(Incremental::Field(field)) => Some(field),
            Some(Incremental::Token { .. }) | None => None,
        };
        let keys = stream.key.len();
        let paths = stream.key.iter().chain(cursor.map(|field| &field.field)).chain(&stream.version);
        Self {
            body,
            text,
            wanted: paths.map(wanted).collect(),
            keys,
            cursor: cursor.map(|field| (field, keys)),
            version: stream.version.as_ref().map(|_| keys + usize::from(cursor.is_some())),
            single: stream.single,
            bare: Some(stream).filter(|stream| matches!(&stream.key[..], [key] if key.as_str() == "value")),
            items: Vec::new(),
            found: Found::Nothing,
        }
    }

    /// Walks one value of the answer, down the given steps to the records.
    fn answer(&mut self, walker: &mut Walker<'_>, steps: &[Step]) -> Result<(), Bad> {
        let first = walker.peek()?;
        match (steps.split_first(), first) {
            (None, b'[') => {
                // A field that stands twice counts by its last value.
                self.items.clear();
                let begin = walker.at();
                walker.list(|walker| self.item(walker))?;
                self.found = Found::List(begin..walker.at());
            }
            (None, b'{') if self.single => {
                self.items.clear();
                let begin = walker.at();
                self.item(walker)?;
                self.found = Found::List(begin..walker.at());
            }
            (None, _) => {
                walker.skip()?;
                self.items.clear();
                self.found = match first {
                    b'n' => Found::Null,
                    b'{' => Found::Other("an object"),
                    b'"' => Found::Other("a text"),
                    _ => Found::Other("a number or boolean"),
                };
            }
            (Some((Step::Field(name), rest)), b'{') => {
                let text = self.text;
                walker.object(
                    |walker, written| {
                        if written.is(text, name) { self.answer(walker, rest) } else { walker.skip() }
                    },
                )?;
            }
            (Some((Step::Item(wanted), rest)), b'[') => {
                let mut index = 0;
                walker.list(|walker| {
                    index += 1;
                    if index - 1 == *wanted { self.answer(walker, rest) } else { walker.skip() }
                })?;
            }
            (Some(_), _) => walker.skip()?,
        }
        Ok(())
    }

    fn item(&mut self, walker: &mut Walker<'_>) -> Result<(), Bad> {
        if walker.peek()? != b'{' {
            let raw = &self.text[walker.value()?];
            let wrapped = Bytes::from(format!(r#"{{"value":{raw}}}"#));
            self.items.push(match self.bare.filter(|_| scalar(raw).is_some()) {
                Some(stream) => one(&wrapped, stream),
                None => {
                    let fields = Fields::from_object(wrapped);
                    Item { fields, object: false, key: None, cursor: None, version: None, broken: None }
                }
            });
            return Ok(());
        }
        let text = self.text;
        for wanted in &mut self.wanted {
            wanted.caught = None;
        }
        let begin = walker.at();
        walker.object(|walker, name| {
            let value = walker.value()?;
            for wanted in &mut self.wanted {
                if wanted.head.is_some_and(|head| name.is(text, head)) {
                    wanted.caught = Some(value.clone());
                }
            }
            Ok(())
        })?;
        let placed = self.cursor.and_then(|(field, at)| instant::read(field.format, self.wanted[at].raw(text)?));
        let (cursor, version) = placed.unzip();
        let version =
            version.or_else(|| self.version.and_then(|at| scalar(self.wanted[at].raw(text)?)).map(Version::new));
        let fields = Fields::from_object(self.body.slice(begin..walker.at()));
        self.items.push(Item { fields, object: true, key: self.key(), cursor, version, broken: None });
        Ok(())
    }

    fn key(&self) -> Option<Key> {
        let fields = &self.wanted[..self.keys];
        if let [only] = fields {
            return Some(Key::of(self.body, name(only.raw(self.text)?)?));
        }
        let mut all = String::from("[");
        for (at, wanted) in fields.iter().enumerate() {
            let raw = wanted.raw(self.text)?;
            let part = name(raw)?;
            all.push_str(if at > 0 { "," } else { "" });
            match raw.starts_with('"') {
                // Written anew, because one text can be escaped in several ways.
                true => all.push_str(&serde_json::to_string(&part).ok()?),
                false => all.push_str(&part),
            }
        }
        all.push(']');
        Some(Key::new(all))
    }
}

impl Wanted<'_> {
    fn raw<'t>(&self, text: &'t str) -> Option<&'t str> {
        let caught = &text[self.caught.clone()?];
        below(caught, self.path.steps().get(1..)?)
    }
}

/// The raw text at the end of the steps, inside a text that is known to be JSON.
fn below<'t>(text: &'t str, steps: &[Step]) -> Option<&'t str> {
    let Some((step, rest)) = steps.split_first() else { return Some(text) };
    let mut walker = Walker::new(text);
    let mut hit = None;
    match (step, text.as_bytes().first()?) {
        (Step::Field(name), b'{') => walker.object(|walker, written| {
            let value = walker.value()?;
            if written.is(text, name) {
                hit = Some(value);
            }
            Ok(())
        }),
        (Step::Item(wanted), b'[') => {
            let mut index = 0;
            walker.list(|walker| {
                let value = walker.value()?;
                if index == *wanted {
                    hit = Some(value);
                }
                index += 1;
                Ok(())
            })
        }
        _ => return None,
    }
    .ok()?;
    below(&text[hit?], rest)
}

/// A text or whole number that can name something. An empty text names nothing.
fn name(raw: &str) -> Option<Cow<'_, str>> {
    let text = scalar(raw)?;
    let whole = || raw.strip_prefix('-').unwrap_or(raw).bytes().all(|byte| byte.is_ascii_digit());
    ((raw.starts_with('"') && !text.is_empty()) || (!raw.starts_with('"') && whole())).then_some(text)
}

/// The text of a JSON text or number; nothing for null, booleans, objects and lists.
pub fn scalar(raw: &str) -> Option<Cow<'_, str>> {
    match raw.as_bytes().first()? {
        b'"' => {
            let inner = &raw[1..raw.len() - 1];
            if inner.contains('\\') {
                serde_json::from_str(raw).ok().map(Cow::Owned)
            } else {
                Some(Cow::Borrowed(inner))
            }
        }
        b'-' | b'0'..=b'9' => Some(Cow::Borrowed(raw)),
        _ => None,
    }
}

fn no_records(stream: &Stream, what: &str) -> Fault {
    let message =
        format!("stream {} has its records at `{}`, where the answer has {what}", stream.name, stream.records);
    Fault::halt(Code::NoRecords, Blame::Config, message).help(
        "Nothing was read, and the cursor did not move. Compare `records:` of the stream with an answer of the API; a \
         list of records may be null, but not absent.",
    )
}

/// How much of a body that is no JSON is shown.
const SHOWN_CHARS: usize = 80;
/// Bytes of such a body that are searched for secrets.
const SEARCHED_BYTES: usize = 16 << 10;

fn not_json(body: &Bytes, headers: &HeaderMap, malformed: Option<Malformed>, shown: String) -> Fault {
    let safe = "Nothing of this page was taken over, and the cursor did not move: run again.";
    if let Some(Malformed { at, ended: true }) = malformed
        && body.trim_ascii_start().first().is_some_and(|first| matches!(first, b'{' | b'['))
    {
        let message = format!("the answer's JSON ends early, after {at} bytes");
        return Fault::halt(Code::Truncated, Blame::Remote, message)
            .with(Disposition::Retry { after: None })
            .help(format!("{safe} If it stays so, something between here and the API cuts answers off."));
    }
    let kind =
        headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("no content type");
    let message = match malformed {
        _ if body.trim_ascii().is_empty() => format!("the answer is empty instead of JSON ({kind})"),
        Some(Malformed { at, .. }) if at > 0 => {
            format!("the answer is no JSON from byte {at} on ({kind}): {shown}")
        }
        _ => format!("the answer is no JSON but {kind}: {shown}"),
    };
    Fault::halt(Code::NotJson, Blame::Remote, message).with(Disposition::Retry { after: None }).help(format!(
        "{safe} If it stays so, the address leads to a web page (a login, a proxy, maintenance): check base_url and the \
         stream's path."
    ))
}

/// The first printable characters of a body that is no JSON. A long run of letters and digits is left out: it may be a
/// token that the server echoed.
fn shown(body: &Bytes, hushed: &dyn Fn(&str) -> String) -> String {
    const RUN_CHARS_MAX: usize = 20;
    // Far more than is shown, so that no secret is cut in half before it is looked for.
    let head = hushed(&String::from_utf8_lossy(&body[..body.len().min(SEARCHED_BYTES)]));
    let printable = head.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let mut out = String::new();
    for word in printable {
        out.push_str(if out.is_empty() { "" } else { " " });
        for run in word.split_inclusive(|c: char| !c.is_alphanumeric() && !matches!(c, '-' | '_')) {
            out.push_str(if run.len() > RUN_CHARS_MAX { "..." } else { run });
        }
    }
    out.chars().take(SHOWN_CHARS).collect()
}

#[cfg(test)]
#[path = "cut_tests.rs"]
mod tests;
