//! The end of a sweep: links whose records the listing did not show, read as if they were a listing of tombstones.
//!
//! The hard idea is to trust a listing no further than it goes. One that showed nothing deletes nothing; one with a record that
//! cannot be named deletes nothing, because that record may be any of the missing; and what was decided an hour ago is not carried
//! out any more, because by now a record may be back.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use super::{
    deletes::{Brake, untold},
    nested::with,
};
use crate::{
    model::{BoxFuture, Checkpoint, Fault, Fields, Key, Overlap, Page, Path, Record, Scan, Step, Sweeping},
    source::Source,
    store::{Shown, State, StreamId},
};

/// Tombstones of a page.
const PAGE: usize = 200;
/// A sweep that was cut off is taken up again for this long.
const STALE: TimeDelta = TimeDelta::hours(1);

/// Whether a sweep that an earlier run began is still to be believed.
pub fn is_fresh(sweep: &Sweeping, now: DateTime<Utc>) -> bool {
    now.signed_duration_since(sweep.listed_at) < STALE
}

/// Whether a whole listing tells what is gone, and how much of it may go.
pub async fn decide(brake: &Brake<'_>, shown: Shown) -> Result<(), Fault> {
    if shown.missing == 0 {
        return Ok(());
    }
    if shown.nameless > 0 {
        let why = format!(
            "{} records of the listing have no key, so they may be any of the {} that are missing",
            shown.nameless, shown.missing
        );
        return Err(untold(brake.stream, &why));
    }
    if shown.seen == 0 {
        let why =
            format!("the listing is empty, and an empty listing never deletes; the sink holds {} records", shown.live);
        return Err(untold(brake.stream, &why));
    }
    brake.check(shown.missing).await
}

/// The links that were not shown.
pub struct Missing<'a> {
    pub state: &'a State,
    pub stream: &'a StreamId,
    /// The fields of the stream's key.
    pub key: &'a [Path],
}

impl Source for Missing<'_> {
    fn read<'a>(&'a self, at: &'a Checkpoint) -> BoxFuture<'a, Result<Page, Fault>> {
        Box::pin(self.read_page(at))
    }
}

impl Missing<'_> {
    async fn read_page(&self, at: &Checkpoint) -> Result<Page, Fault> {
        let mut deletions = at.deletions.as_deref().cloned().unwrap_or_default();
        let mut unseen = self.state.unseen(self.stream, deletions.sweep.as_ref().and_then(|sweep| sweep.after));
        let (mut records, mut end, mut unnamed) = (Vec::new(), true, 0_u64);
        while let Some(page) = unseen.next_page().await? {
            if let Some(sweep) = &mut deletions.sweep {
                sweep.after = page.last;
            }
            for (_, link) in page.missing {
                match link.key.and_then(|key| tombstone(key, self.key)) {
                    Some(record) => records.push(record),
                    None => unnamed += 1,
                }
            }
            if records.len() >= PAGE {
                end = false;
                break;
            }
        }
        if unnamed > 0 {
            tracing::warn!(
                pipeline = self.stream.pipeline,
                stream = self.stream.stream,
                records = unnamed,
                "records that a sweep misses were delivered before it was declared, so it does not know their keys; they stay at the sink"
            );
        }
        if end {
            deletions.sweep = None;
        }
        let next = with(at, deletions);
        Ok(Page {
            records,
            rejects: Vec::new(),
            skipped: Vec::new(),
            next,
            scan: Scan::default(),
            end,
            restarted: false,
            body_bytes: 0,
        })
    }
}

/// The tombstone of a record of which only the key is known.
pub fn tombstone(key: Key, paths: &[Path]) -> Option<Record> {
    let fields = record_of(&key, paths)?;
    Some(Record { key, version: None, overlap: Overlap::default(), gone: true, fields, slip: None })
}

/// A record of which only the key is known, as the stream would show it.
fn record_of(key: &Key, paths: &[Path]) -> Option<Fields> {
    let parts: Vec<Value> = match paths {
        [_] => vec![key.as_str().into()],
        _ => serde_json::from_str(key.as_str()).ok()?,
    };
    if parts.len() != paths.len() {
        return None;
    }
    let mut record = Map::new();
    for (path, part) in paths.iter().zip(parts) {
        put(&mut record, path.steps(), part)?;
    }
    Some(Fields::from_object(Value::Object(record).to_string().into()))
}

/// Nothing where a part of the key stands in a list: a list cannot be made up.
fn put(into: &mut Map<String, Value>, steps: &[Step], value: Value) -> Option<()> {
    match steps {
        [Step::Field(name)] => {
            into.insert(name.clone(), value);
            Some(())
        }
        [Step::Field(name), rest @ ..] => {
            let inner = into.entry(name.clone()).or_insert_with(|| Map::new().into());
            put(inner.as_object_mut()?, rest, value)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, paths: &[&str]) -> Option<String> {
        let paths: Vec<Path> = paths.iter().map(|path| Path::parse(path).unwrap()).collect();
        record_of(&Key::new(key), &paths).map(|fields| fields.as_str().to_owned())
    }

    #[test]
    fn a_missing_record_shows_the_fields_of_its_key() {
        assert_eq!(record("cus_1", &["id"]).unwrap(), r#"{"id":"cus_1"}"#);
        assert_eq!(
            record(r#"["jp","7"]"#, &["a.tenant", "a.number"]).unwrap(),
            r#"{"a":{"tenant":"jp","number":"7"}}"#
        );
        assert_eq!(record("cus_1", &["id", "tenant"]), None);
        assert_eq!(record("cus_1", &["ids[0]"]), None);
    }

    #[test]
    fn a_sweep_that_was_cut_off_long_ago_is_not_carried_out() {
        let at = DateTime::<Utc>::UNIX_EPOCH;
        let sweep = Sweeping { listed_at: at, after: None };
        assert!(is_fresh(&sweep, at + TimeDelta::minutes(59)));
        assert!(!is_fresh(&sweep, at + TimeDelta::minutes(60)));
    }
}
