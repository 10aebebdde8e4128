//! Listings that begin by asking whether anything is new (RFC 9110, 13.1). What the vendor calls the state of a listing's first page
//! becomes durable when the listing is delivered to its end, so "nothing is new" is never said of what was not delivered.

use http::{HeaderName, HeaderValue, StatusCode, header};

use crate::{
    config::plan::{AnswerRule, Meaning, Stream, When},
    http::{Answer, Call},
    model::{Checkpoint, Key, KeyHash, Page, Scan, Validators},
};

/// Asks only for what is newer, where this is the first request of a listing and the last one was the same.
pub fn ask(call: &mut Call, stream: &Stream, at: &Checkpoint) {
    if !stream.conditional || at.scan.is_some() {
        return;
    }
    let Some(known) = at.validators.as_ref().filter(|known| known.request == name_of(call)) else { return };
    let pairs: [(HeaderName, &Option<String>); 2] =
        [(header::IF_NONE_MATCH, &known.etag), (header::IF_MODIFIED_SINCE, &known.last_modified)];
    for (name, value) in pairs {
        if let Some(value) = value.as_ref().and_then(|value| HeaderValue::from_str(value).ok()) {
            call.headers.insert(name, value);
        }
    }
    let when = When { status: vec![(304, 304)], ..When::default() };
    call.answers.push(AnswerRule { when, is: Meaning::Accept });
}

/// The vendor says that nothing is new.
pub fn is_unchanged(answer: &Answer) -> bool {
    answer.status == StatusCode::NOT_MODIFIED
}

/// A pass that read nothing, because nothing is new.
pub fn nothing_new(at: &Checkpoint, scan: Scan) -> Page {
    Page {
        records: Vec::new(),
        rejects: Vec::new(),
        skipped: Vec::new(),
        next: Checkpoint { scan: None, ..at.clone() },
        scan,
        end: true,
        restarted: false,
        body_bytes: 0,
    }
}

/// Notes what the vendor calls the state of a first page.
pub fn learn(scan: &mut Scan, stream: &Stream, call: &Call, answer: &Answer) {
    if !stream.conditional || scan.position.is_some() {
        return;
    }
    let header = |name: HeaderName| answer.headers.get(name)?.to_str().ok().map(str::to_owned);
    let (etag, last_modified) = (header(header::ETAG), header(header::LAST_MODIFIED));
    let is_named = etag.is_some() || last_modified.is_some();
    let known = Validators { etag, last_modified, request: name_of(call) };
    scan.validators = is_named.then(|| Box::new(known));
}

/// Names a request: the same text for the same question.
fn name_of(call: &Call) -> String {
    let body = String::from_utf8_lossy(&call.body);
    KeyHash::of(&Key::new(format!("{} {}\n{body}", call.method, call.url))).to_string()
}
