//! What the headers of an answer say is left of a quota.

use http::HeaderMap;

use crate::{config::plan::LeftHeader, http::told};

/// What a quota of `requests` has left, by the headers of an answer.
pub fn left(header: &LeftHeader, headers: &HeaderMap, requests: u64) -> Option<u64> {
    match header {
        LeftHeader::Remaining(name) => told::remaining(headers.get(name)?.to_str().ok()?),
        LeftHeader::Used(name) => told::left_of_used(headers.get(name)?.to_str().ok()?, requests),
    }
}
