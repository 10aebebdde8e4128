//! Deletions: how a stream tells them, and what a pipeline does about them.
//!
//! The hard idea is that a wrong deletion is a loss. So a sweep is refused wherever a listing may leave out a record that exists
//! without anybody noticing: where the stream shows only changes, and where it is paged by number.

use std::{sync::Arc, time::Duration};

use super::{
    check::Check,
    compile_body::{uses, uses_in},
    compile_connector::Compiled,
    diagnostic::Problem,
    plan::{
        Api, Brake, CursorField, CursorFormat, Deletes, Deletions, Flag, From, Incremental, Makes, Operation, Paginate,
        Repeat, Stream, Sweep,
    },
    raw_deletes::{RawDelete, RawDeletes, RawDeletions, RawSweep},
    raw_stream::RawStream,
    shape::{Named, Spanned},
};
use crate::model::Code;

const EVERY: Duration = Duration::from_secs(86_400);
const MINUTE: Duration = Duration::from_secs(60);
const YEAR: Duration = Duration::from_secs(366 * 86_400);
const SHARE: f64 = 0.1;
const MAX: u64 = 1_000;

impl Check<'_> {
    /// What a stream says of deletions, by itself. The other streams that it names are checked by `deletions_of_all`.
    pub fn deletions(&self, raw: &RawDeletions, owner: &Spanned<RawStream>) -> Deletions {
        if raw.flag.is_none() && raw.tombstones.is_none() && raw.sweep.is_none() {
            let help = "say how deletions show: `flag: { path: .. }`, `tombstones: { stream: .. }` or `sweep: {}`";
            self.missing_key(owner.span, owner.span, "flag", help);
        }
        let flag = raw.flag.as_ref().map(|flag| Flag {
            path: self.path(&flag.path),
            values: flag.equals.iter().flat_map(|values| &values.0).map(|value| value.value.clone()).collect(),
        });
        let tombstones = raw.tombstones.as_ref().map(|tombstones| tombstones.stream.value.clone());
        let sweep = raw.sweep.as_ref().map(|sweep| self.sweep(sweep, owner));
        Deletions { flag, tombstones, sweep }
    }

    fn sweep(&self, raw: &Spanned<RawSweep>, owner: &Spanned<RawStream>) -> Sweep<String> {
        let RawSweep { stream, every } = &raw.value;
        if stream.is_none() && owner.value.incremental.is_some() {
            let help = "name a stream that lists everything that exists: `sweep: { stream: .. }`";
            self.conflict(
                raw.span,
                "an incremental stream shows only what changed, so it cannot tell what is gone",
                help,
            );
        }
        if let (None, Some(every)) = (stream, every) {
            let help = "remove `every`: each whole listing of the stream is a sweep";
            self.conflict(every.span, "`every` belongs to the listing of another stream", help);
        }
        let every = self.time(every.as_ref(), EVERY, MINUTE..=YEAR);
        Sweep { stream: stream.as_ref().map(|stream| stream.value.clone()), every }
    }

    /// Checks the streams that streams name for their deletions, once all of them are compiled.
    pub fn deletions_of_all(&self, raw: &Named<Spanned<RawStream>>, streams: &Compiled<Stream>) {
        for (name, stream) in raw.iter() {
            let Some(deletions) = &stream.value.deletions else { continue };
            let Some(Some(owner)) = streams.get(&name.value) else { continue };
            if let Some(tombstones) = &deletions.tombstones
                && let Some(listed) = self.named_for_deletions(&tombstones.stream, owner, streams)
            {
                self.are_comparable(&tombstones.stream, listed, owner);
            }
            let Some(sweep) = &deletions.sweep else { continue };
            let listed = match &sweep.value.stream {
                Some(other) => self.named_for_deletions(other, owner, streams),
                None => Some(owner),
            };
            if let Some(listed) = listed {
                self.shows_everything(sweep, listed);
            }
        }
    }

    fn named_for_deletions<'s>(
        &self,
        name: &Spanned<String>,
        owner: &Stream,
        streams: &'s Compiled<Stream>,
    ) -> Option<&'s Arc<Stream>> {
        let Some(stream) = streams.get(&name.value) else {
            self.unknown("stream", name, streams.keys().map(String::as_str), "the streams of this connector are");
            return None;
        };
        let stream = stream.as_ref()?;
        if stream.name == owner.name {
            self.conflict(name.span, "this is the stream itself", "name another stream, or leave it out");
        } else if stream.key.len() != owner.key.len() {
            let message =
                format!("`{}` names its records by another number of fields than `{}`", stream.name, owner.name);
            self.conflict(name.span, message, "both streams must name a record by the same key");
        }
        Some(stream)
    }

    /// A tombstone that is read again must not delete a record that came back since: only their times tell.
    fn are_comparable(&self, at: &Spanned<String>, tombstones: &Stream, owner: &Stream) {
        let is_number = |stream: &Stream| match &stream.incremental {
            // Of two changes on one day nobody knows which was the later one.
            Some(Incremental::Field(CursorField { format: CursorFormat::Date(_), .. })) => None,
            Some(Incremental::Field(field)) => Some(field.format == CursorFormat::Integer),
            Some(Incremental::Token { .. }) | None => None,
        };
        let kinds = (is_number(tombstones), is_number(owner));
        if !matches!(kinds, (Some(gone), Some(changed)) if gone == changed) {
            let message = format!("`{}` and `{}` do not tell which came later", tombstones.name, owner.name);
            let help = "a tombstone is compared with the record's last change: give both streams `incremental` with a `field`, both \
                        a time or both an integer; or use a `sweep`";
            self.conflict(at.span, message, help);
        }
    }

    fn shows_everything(&self, sweep: &Spanned<RawSweep>, listed: &Stream) {
        if listed.incremental.is_some() && sweep.value.stream.is_some() {
            let message = format!("`{}` is incremental, so it does not list everything that exists", listed.name);
            self.conflict(sweep.span, message, "name a stream without `incremental`");
        }
        if listed.conditional && sweep.value.stream.is_some() {
            let message = format!("`{}` is conditional, so a listing of it may show nothing", listed.name);
            self.conflict(sweep.span, message, "name a stream without `conditional`");
        }
        if matches!(listed.paginate, Paginate::Page { .. }) {
            let help = "a record would be deleted because another one was deleted while the list was read; use a stream that \
                        is paged by cursor, next URL, link or offset";
            let message = "a listing by page number can pass over a record that exists, and nothing tells";
            self.conflict(sweep.span, message, help);
        }
    }

    /// What a pipeline does about deletions. The outer option is nothing when that cannot be compiled.
    pub fn deletes(
        &self,
        raw: &Spanned<RawDeletes>,
        main: &Operation,
        api: &Api,
        from: Option<&From>,
    ) -> Option<Option<Deletes>> {
        let (delete, archives) = match &raw.value {
            RawDeletes::Ignore => return Some(None),
            RawDeletes::Propagate(delete) => (delete, false),
            RawDeletes::Archive(delete) => (delete, true),
        };
        let operation = self.known_operation(&delete.operation, api);
        if let Some(operation) = operation {
            self.fits_deletes(delete, operation, archives);
        }
        if main.makes == Makes::Delete {
            self.conflict(raw.span, format!("`{}` deletes every record as it is", main.name), "remove `deletes`");
        }
        let fields = delete.fields.as_ref().map(|fields| self.expressions(fields));
        let from = from?;
        let Some(deletions) = &from.stream.deletions else {
            let message = format!("the stream `{}` does not tell what is gone", from.stream.name);
            let help = "describe `deletions` of the stream in its connector: a flag, tombstones or a sweep";
            self.conflict(raw.span, message, help);
            return None;
        };
        let stream = |name: &String| from.api.as_ref()?.streams.get(name).cloned();
        let sweep = deletions
            .sweep
            .as_ref()
            .map(|sweep| Sweep { stream: sweep.stream.as_ref().and_then(stream), every: sweep.every });
        let operation = operation?;
        let by_id = names_by_id(operation);
        if by_id && main.sink_id.is_none() && main.look_up().is_none() {
            let message =
                format!("`{}` names the record by its id, which `{}` does not learn", operation.name, main.name);
            let help = format!("declare `sink_id` of `{}`, or name the record by a field of `record`", main.name);
            self.conflict(delete.operation.span, message, help);
        }
        Some(Some(Deletes {
            by_id,
            operation: Arc::clone(operation),
            fields,
            brake: Brake { share: delete.share.map_or(SHARE, |share| share.0), max: delete.max.unwrap_or(MAX) },
            tombstones: deletions.tombstones.as_ref().and_then(stream),
            sweep,
        }))
    }

    fn fits_deletes(&self, delete: &RawDelete, operation: &Operation, archives: bool) {
        let fits = match operation.makes {
            Makes::Delete => !archives,
            Makes::Update | Makes::Upsert => archives,
            Makes::Create => false,
        };
        if !fits {
            let (does, wants) = if archives { ("archive", "update or upsert") } else { ("propagate", "delete") };
            let message =
                format!("`{does}` needs an operation that `makes: {wants}`, and `{}` does not", operation.name);
            self.report(Problem::new(Code::Conflict, delete.operation.span, message).help("name another operation"));
        }
    }
}

/// Whether its requests name the record by its id at the sink.
fn names_by_id(operation: &Operation) -> bool {
    let reads = operation.repeat.iter().any(|repeat| match repeat {
        Repeat::Revision(revision) => uses(&revision.read, "sink"),
        _ => false,
    });
    reads
        || uses(&operation.request, "sink")
        || operation.batch.as_ref().is_some_and(|batch| uses_in(&batch.each, "sink"))
}
