//! Where the next page begins. Pure: what a page's answer says goes in, the next position comes out.
//!
//! | kind | position | the listing ends when |
//! |---|---|---|
//! | cursor | the token | `more` is false, `end` is true, or there is no token |
//! | next_url, link | the URL | `more` is false, or there is no URL |
//! | page | the number | `more`, else `total_pages`, else a page shorter than its size, else an empty page says so |
//! | offset | records read, and the last one's key | `more`, else `total`, else a page shorter than its size says so |
//!
//! The hard idea is offset paging: when a record before the offset is deleted while we read, the rest moves up and one
//! record is never seen. So each page but the first starts one record early and must begin with the last one read.

use http::HeaderMap;
use url::Url;

use super::{
    cut::{Cut, scalar},
    link,
};
use crate::{
    config::plan::{NextToken, PageSize, Paginate, Stream},
    model::{Blame, Code, Disposition, Fault, Key, Path, Position},
};

/// What a page's answer leads to.
#[derive(Debug, PartialEq)]
pub enum Turn {
    Next(Position),
    End,
    /// Records were added or removed before this page while the listing was read: it must be read from its start.
    Moved,
}

/// An answer with the URL it was asked for.
pub struct Answered<'a> {
    pub cut: &'a Cut,
    pub headers: &'a HeaderMap,
    pub url: &'a Url,
    /// The size that was asked for, where it is not the declared one.
    pub size: Option<u64>,
}

/// What one request asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ask {
    pub number: Option<u64>,
    pub offset: Option<u64>,
    pub size: Option<u64>,
    /// Records at the page's start that were on the page before.
    pub again: usize,
}

/// Numbers to ask for, from the saved position.
///
/// `size` stands in place of the declared one, where a smaller page is read.
pub fn ask(stream: &Stream, at: Option<&Position>, size: Option<u64>) -> Result<Ask, Fault> {
    let asked_size = size;
    let nothing = Ask { number: None, offset: None, size: None, again: 0 };
    Ok(match (&stream.paginate, at) {
        (Paginate::Page { first, size, .. }, at) => {
            let number = if let Some(Position::Page(number)) = at { *number } else { *first };
            Ask { number: Some(number), size: size.as_ref().map(|size| size.records), ..nothing }
        }
        (Paginate::Offset { size, cap, .. }, at) => {
            let (read, last) =
                if let Some(Position::Offset { at, last }) = at { (*at, last.is_some()) } else { (0, false) };
            let records = asked_size.unwrap_or(size.records);
            // A page of one record cannot hold one record twice and still get on.
            let again = usize::from(last && read > 0 && records > 1);
            let offset = read - again as u64;
            if let Some(cap) = cap.filter(|cap| read >= *cap) {
                return Err(capped(stream, cap));
            }
            let room = cap.map_or(records, |cap| records.min(cap - offset));
            Ask { offset: Some(offset), size: Some(room), again, ..nothing }
        }
        (Paginate::Cursor { size: Some(size), .. }, _) => {
            Ask { size: Some(asked_size.unwrap_or(size.records)), ..nothing }
        }
        _ => nothing,
    })
}

/// Whether a saved position is of the kind this stream has. After a change of the connector it may not be.
pub fn fits(stream: &Stream, at: Option<&Position>) -> bool {
    if let Some(Position::Within { answer, .. }) = at {
        let is_outermost = !matches!(answer.as_deref(), Some(Position::Within { .. }));
        return stream.form.large.is_some() && is_outermost && fits(stream, answer.as_deref());
    }
    let paginate = &stream.paginate;
    matches!(
        (paginate, at),
        (_, None)
            | (Paginate::Cursor { .. }, Some(Position::Token(_)))
            | (Paginate::NextUrl { .. } | Paginate::Link, Some(Position::Url(_)))
            | (Paginate::Page { .. }, Some(Position::Page(_)))
            | (Paginate::Offset { .. }, Some(Position::Offset { .. }))
    )
}

/// Decides where the next page begins.
pub fn turn(stream: &Stream, at: Option<&Position>, answered: &Answered<'_>) -> Result<Turn, Fault> {
    let next = match &stream.paginate {
        Paginate::None => Turn::End,
        Paginate::Cursor { next, more, .. } => token(stream, next, more.as_ref(), answered)?,
        Paginate::NextUrl { next, more } => {
            let found = text_at(answered.cut, next);
            let says = more.as_ref().and_then(|path| boolean(answered.cut, path));
            url(stream, found, says, answered)?
        }
        Paginate::Link => url(stream, link::target(answered.headers, "next"), None, answered)?,
        Paginate::Page { first, size, more, total_pages, .. } => {
            let number = ask(stream, at, None)?.number.unwrap_or(*first);
            let on = goes_on(answered.cut, more.as_ref(), || {
                let total = total_pages.as_ref().and_then(|path| number_at(answered.cut, path));
                total.map(|total| number.saturating_sub(*first) + 1 < total)
            });
            let full = |size: &PageSize| answered.cut.items.len() as u64 >= size.records;
            let on = on.unwrap_or_else(|| size.as_ref().map_or(!answered.cut.items.is_empty(), full));
            if on { Turn::Next(Position::Page(number + 1)) } else { Turn::End }
        }
        Paginate::Offset { more, total, .. } => offset(stream, at, more.as_ref(), total.as_ref(), answered)?,
    };
    match next {
        Turn::Next(next) if Some(&next) == at => {
            Err(stuck(stream, "the page that follows is the page that was asked for"))
        }
        next => Ok(next),
    }
}

fn token(stream: &Stream, next: &NextToken, more: Option<&Path>, answered: &Answered<'_>) -> Result<Turn, Fault> {
    let more = more.and_then(|path| boolean(answered.cut, path));
    let token = match next {
        NextToken::Counted { total, cap, .. } if number_at(answered.cut, total).is_some_and(|total| total > *cap) => {
            return Err(capped(stream, *cap));
        }
        _ if more == Some(false) => return Ok(Turn::End),
        NextToken::UntilEnd { end, .. } if boolean(answered.cut, end) == Some(true) => return Ok(Turn::End),
        NextToken::Header(name) => {
            let value = answered.headers.get(name).and_then(|value| value.to_str().ok());
            value.map(|value| value.trim().to_owned()).filter(|value| value != "null")
        }
        NextToken::Body(path) | NextToken::UntilEnd { token: path, .. } | NextToken::Counted { token: path, .. } => {
            text_at(answered.cut, path)
        }
        NextToken::LastRecord(path) => {
            let last = answered.cut.items.last();
            last.and_then(|item| scalar(item.fields.get(path)?.get()).map(|text| text.into_owned()))
        }
    };
    match (token.filter(|token| !token.is_empty()), next) {
        (Some(token), _) => Ok(Turn::Next(Position::Token(token))),
        (None, _) if more == Some(true) => Err(stuck(stream, "the answer claims more pages but names none")),
        (None, NextToken::LastRecord(path)) if !answered.cut.items.is_empty() => Err(stuck(
            stream,
            &format!("the page's last record has no text or number at `{path}`, where the next page begins"),
        )),
        (None, _) => Ok(Turn::End),
    }
}

fn url(stream: &Stream, next: Option<String>, more: Option<bool>, answered: &Answered<'_>) -> Result<Turn, Fault> {
    let Some(next) = next.filter(|next| !next.is_empty() && more != Some(false)) else {
        let broken = more == Some(true);
        return if broken { Err(stuck(stream, "the answer claims more pages but names none")) } else { Ok(Turn::End) };
    };
    let mut next = answered.url.join(&next).map_err(|_| stuck(stream, "the address of the next page is no URL"))?;
    // Behind a proxy that ends TLS many servers write http into their links. Credentials must not follow that.
    if answered.url.scheme() == "https" && next.scheme() == "http" && next.host() == answered.url.host() {
        next.set_scheme("https").map_err(|()| stuck(stream, "the address of the next page is no URL"))?;
    }
    next.set_fragment(None);
    Ok(Turn::Next(Position::Url(next.into())))
}

fn offset(
    stream: &Stream,
    at: Option<&Position>,
    more: Option<&Path>,
    total: Option<&Path>,
    answered: &Answered<'_>,
) -> Result<Turn, Fault> {
    let cut = answered.cut;
    let ask = ask(stream, at, answered.size)?;
    if let (1, Some(Position::Offset { last, .. })) = (ask.again, at)
        && cut.items.first().and_then(|item| item.key.as_ref()) != last.as_ref()
    {
        return Ok(Turn::Moved);
    }
    let got = cut.items.len() as u64;
    let read = ask.offset.unwrap_or(0) + got;
    let on = goes_on(cut, more, || total.and_then(|path| number_at(cut, path)).map(|total| read < total));
    if !on.unwrap_or_else(|| got >= ask.size.unwrap_or(1)) {
        return Ok(Turn::End);
    }
    if got <= ask.again as u64 {
        return Err(stuck(stream, "the answer claims more records but holds none"));
    }
    let last: Option<Key> = cut.items.last().and_then(|item| item.key.clone());
    Ok(Turn::Next(Position::Offset { at: read, last }))
}

/// What the answer says by itself: `more` first, then the total.
fn goes_on(cut: &Cut, more: Option<&Path>, total: impl FnOnce() -> Option<bool>) -> Option<bool> {
    more.and_then(|path| boolean(cut, path)).or_else(total)
}

/// A field that says yes or no. Absent: it says nothing.
fn boolean(cut: &Cut, path: &Path) -> Option<bool> {
    Some(!matches!(cut.find(path)?, "false" | "null" | "0" | "\"false\"" | "\"\"" | "\"0\""))
}

/// A text or number of the answer. Texts that are empty or null name nothing.
pub fn text_at(cut: &Cut, path: &Path) -> Option<String> {
    scalar(cut.find(path)?).map(|text| text.into_owned()).filter(|text| !text.is_empty())
}

fn number_at(cut: &Cut, path: &Path) -> Option<u64> {
    text_at(cut, path)?.parse().ok()
}

/// There is no way on from here.
pub fn stuck(stream: &Stream, why: &str) -> Fault {
    Fault::halt(Code::PageLoop, Blame::Remote, format!("stream {}: {why}", stream.name)).help(
        "The pages before it are delivered, and the cursor did not move past what was not read. If it stays so, compare \
         `paginate:` of the stream with an answer of the API.",
    )
}

fn capped(stream: &Stream, cap: u64) -> Fault {
    let message = format!("stream {} goes on after record {cap}, where the API stops counting", stream.name);
    Fault::halt(Code::OffsetCap, Blame::Config, message).help(
        "The pages before it are delivered, and the cursor did not move past what was not read. Read the stream in \
         smaller pieces: by `incremental:` in ascending order, or by a filter in its query.",
    )
}

/// The listing is longer than its page budget.
pub fn over_budget(stream: &Stream) -> Fault {
    let message = format!("stream {} is longer than its {} pages", stream.name, stream.pages_max);
    Fault::halt(Code::PageBudget, Blame::Config, message).help(
        "The pages before it are delivered, and the cursor did not move past what was not read. Raise `pages_max` of the \
         stream if it is that long; if it is not, the API does not heed the page parameter.",
    )
}

/// Too many pages in a row held nothing and claimed more.
pub fn endless(stream: &Stream) -> Fault {
    let message = format!(
        "stream {}: {} empty pages in a row that claim more",
        stream.name,
        u64::from(stream.empty_pages_max) + 1
    );
    Fault::halt(Code::EmptyPages, Blame::Remote, message).help(
        "The pages before them are delivered, and the cursor did not move past what was not read. If the API does return \
         long rows of empty pages, raise `empty_pages_max` of the stream.",
    )
}

/// The listing was begun again and again.
pub fn moving(stream: &Stream, restarts: u32) -> Fault {
    let message = format!("stream {} changed under each of {} readings", stream.name, restarts + 1);
    Fault::halt(Code::MovingListing, Blame::Remote, message).with(Disposition::Retry { after: None }).help(
        "What was read is delivered, and the cursor did not move past what was not read: run again at a quieter time. If \
         it stays so, give the listing an order that new records do not change (oldest first), or larger pages.",
    )
}

#[cfg(test)]
#[path = "paginate_tests.rs"]
mod tests;
