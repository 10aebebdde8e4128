//! What signing in, its scopes and a read came to. Pure.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;

use super::{
    Line,
    words::{counted, day, days},
};
use crate::{
    auth::{Standing, Status},
    config::plan::Auth,
    model::{Fault, Page},
};

/// A read of the first stream.
pub struct Read {
    pub stream: String,
    pub page: Result<Page, Fault>,
    pub took: Duration,
}

pub fn sign_in_failed(auth: &Auth, fault: &Fault) -> Vec<Line> {
    [Line::failed("sign_in", fault)].into_iter().chain(no_scopes(auth)).collect()
}

pub fn sign_in_not_tried(auth: &Auth, why: &str) -> Vec<Line> {
    [Line::not_tried("sign_in", why)].into_iter().chain(no_scopes(auth)).collect()
}

fn no_scopes(auth: &Auth) -> Option<Line> {
    matches!(auth, Auth::OAuth2(_)).then(|| Line::not_tried("scopes", "there is no token"))
}

/// A connection that has what its requests want. `before` is how it stood when nothing was asked yet.
pub fn signed_in(auth: &Auth, before: &Status, status: &Status, now: DateTime<Utc>) -> Vec<Line> {
    let kind = status.kind;
    let is_old = before.standing == Standing::SignedIn
        && (before.access_ends_at, before.refresh_at) == (status.access_ends_at, status.refresh_at);
    let ends = match status.access_ends_at {
        Some(at) => format!("until {}, {}", day(at), days(at - now)),
        None => "that holds until it is refused".to_owned(),
    };
    let seen = match auth {
        Auth::None => "none is declared".to_owned(),
        Auth::OAuth2(_) | Auth::Session(_) if is_old => {
            format!("{kind}: the kept token is used, {ends}; `renkei auth refresh` asks for another")
        }
        Auth::OAuth2(_) | Auth::Session(_) => format!("{kind}: a new token {ends}"),
        Auth::Bearer { .. }
        | Auth::Basic { .. }
        | Auth::ApiKeyHeader { .. }
        | Auth::ApiKeyQuery { .. }
        | Auth::Hmac(_)
        | Auth::Aws(_) => {
            format!("{kind}: the credentials stand in the configuration; the read shows whether they are taken")
        }
    };
    let line = Line::ok("sign_in", seen).fact("kind", kind).fact("access_ends_at", json!(status.access_ends_at));
    [line].into_iter().chain(scopes(auth, status)).collect()
}

fn scopes(auth: &Auth, status: &Status) -> Option<Line> {
    let Auth::OAuth2(_) = auth else { return None };
    let Some(scopes) = &status.scopes else { return Some(Line::ok("scopes", "none are declared")) };
    let others = if scopes.others > 0 { format!(", and {} more", scopes.others) } else { String::new() };
    let all = scopes.declared.join(", ");
    let line = match scopes.missing.as_slice() {
        [] if scopes.named => Line::ok("scopes", format!("granted: {all}{others}")),
        // RFC 6749, 5.1.
        [] => Line::ok("scopes", format!("asked for: {all}; the server names none, which means that it grants them")),
        missing => Line::warning(
            "scopes",
            format!("not granted: {}{others}", missing.join(", ")),
            "Calls that need them are refused (RK0602), unless the vendor writes them otherwise in its answer. Let the \
             vendor's app ask for them, have the account consent again (renkei auth login), or take them out of `scopes`.",
        ),
    };
    let (declared, missing) = (scopes.declared.clone(), scopes.missing.clone());
    Some(line.fact("declared", declared).fact("missing", missing).fact("others", scopes.others))
}

pub fn read(read: Option<&Read>) -> Line {
    let Some(Read { stream, page, took }) = read else {
        return Line::not_tried("read", "the connector has no stream, and nothing is written to try it");
    };
    let page = match page {
        Ok(page) => page,
        Err(fault) => return Line::failed("read", fault).fact("stream", stream.clone()),
    };
    let (records, unusable, took) = (page.records.len(), page.rejects.len(), took.as_millis() as u64);
    let seen = format!("{stream}: {} after {took} ms", counted(records, "record"));
    let line = match unusable {
        0 => Line::ok("read", seen),
        _ => Line::warning(
            "read",
            format!("{seen}, and {} that cannot be used", counted(unusable, "record")),
            "A run refuses such records and says why; compare `key` and the cursor's `field` of the stream with what the \
             vendor sends.",
        ),
    };
    line.fact("stream", stream.clone()).fact("records", records).fact("took_ms", took)
}
