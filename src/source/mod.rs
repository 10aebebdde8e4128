//! Reading. A source is given a checkpoint and returns one page with the checkpoint that follows it; it keeps no
//! position of its own, so any page can be read again after a crash.

mod api;
mod asking;
mod conditional;
mod cut;
mod decode;
mod expand;
mod export;
#[cfg(test)]
mod fixture;
mod instant;
mod json;
mod link;
mod mysql;
mod one_slice;
mod pace;
mod paginate;
mod pieces;
mod postgres;
mod rows;
mod shared;
mod sift;
mod single;
mod sliced;
mod sqlite;
mod ways;
mod window;
mod windows;

pub use api::ApiSource;
pub use export::ExportSource;
pub use instant::read as read_cursor;
pub use mysql::MysqlSource;
pub use postgres::{OutboxSource, PostgresSource};
pub use shared::Readings;
pub use sift::{Sifted, sift};
pub use single::read_one;
pub use sliced::SlicedSource;
pub use sqlite::SqliteSource;

use std::sync::Arc;

use crate::{
    config::plan::{Api, Parent, Stream},
    http::Client,
    model::{Blame, BoxFuture, Checkpoint, Code, Fault, Page},
    store::SliceCursors,
    transform::Personal,
};

/// Something that can be read page by page.
pub trait Source: Send + Sync {
    /// Reads the page at `at`. A checkpoint without a scan begins a new pass over the stream, and a pass ends with the
    /// page that says so. Dropping the future is safe: nothing moved.
    fn read<'a>(&'a self, at: &'a Checkpoint) -> BoxFuture<'a, Result<Page, Fault>>;

    /// Somebody waits for what becomes of its records: a page is delivered at once, and waits for no others to share a request.
    fn is_live(&self) -> bool {
        false
    }

    /// More of what was read is settled: a place that is told of it is told now. What cannot be told is told later, by the next call
    /// or the next run.
    fn settled(&self) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async { Ok(()) })
    }
}

/// A stream of a connection, with personal fields protected. `cursors` tells how far its slices were delivered, if it has any.
pub fn of_stream(
    api: &Arc<Api>,
    stream: &Arc<Stream>,
    client: &Client,
    personal: Arc<Personal>,
    cursors: Option<SliceCursors>,
) -> Box<dyn Source> {
    if let Some(plan) = &stream.form.export {
        return Box::new(ExportSource::new(api, stream, plan.clone(), client, personal));
    }
    match sliced(api, stream, client, &personal, cursors) {
        Some(sliced) => Box::new(sliced),
        None => Box::new(ApiSource::new(api.clone(), stream.clone(), client.clone()).protected(personal)),
    }
}

/// The same from its start, one request after the other, where somebody needs to know their order.
pub fn in_order(api: &Arc<Api>, stream: &Arc<Stream>, client: &Client) -> Box<dyn Source> {
    if let Some(plan) = &stream.form.export {
        return Box::new(ExportSource::new(api, stream, plan.clone(), client, Arc::default()));
    }
    match sliced(api, stream, client, &Arc::default(), None) {
        Some(sliced) => Box::new(sliced.in_order()),
        None => Box::new(ApiSource::new(api.clone(), stream.clone(), client.clone())),
    }
}

fn sliced(
    api: &Arc<Api>,
    stream: &Arc<Stream>,
    client: &Client,
    personal: &Arc<Personal>,
    cursors: Option<SliceCursors>,
) -> Option<SlicedSource> {
    let slices = stream.slices.clone()?;
    // What a slice knows of its parents is no personal field, which the plan has checked.
    let open = |parent: &Parent| in_order(api, &parent.stream, client);
    let ways = ways::Ways::new(&stream.name, &slices, &api.settings, open);
    let whole = ApiSource::new(api.clone(), stream.clone(), client.clone()).protected(personal.clone());
    Some(SlicedSource::new(stream.clone(), slices, whole, ways, cursors))
}

fn no_slice(stream: &str, why: &str) -> Fault {
    Fault::halt(Code::NoSlice, Blame::Config, format!("stream {stream}: {why}")).help(
        "Nothing of it was read; what other slices delivered stays. Compare `slices:` of the stream with the connection's settings \
         and a record of the parent.",
    )
}
