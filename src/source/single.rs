//! One record by itself: its key and version as its stream declares them, without the page it came on.

use bytes::Bytes;

use super::{cut, window};
use crate::{
    config::plan::Stream,
    model::{Fields, Overlap, Record, Reject},
};

/// Reads a record as if it stood alone on a page of the stream.
pub fn read_one(stream: &Stream, fields: Fields) -> Result<Record, Reject> {
    let text = Bytes::copy_from_slice(fields.as_bytes());
    let item = cut::one(&text, stream);
    if let Some(reason) = window::unusable_in(&item, stream) {
        return Err(Reject { key: item.key, gone: false, fields, reason, slip: None });
    }
    match item.key {
        Some(key) => {
            let (version, overlap, gone) = (item.version, Overlap::default(), stream.says_gone(&fields));
            Ok(Record { key, version, overlap, gone, fields, slip: None })
        }
        None => Err(Reject { key: None, gone: false, fields, reason: window::no_key(stream), slip: None }),
    }
}
