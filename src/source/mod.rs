//! Reading. A source is given a checkpoint and returns one page with the checkpoint that follows it; it keeps no
//! position of its own, so any page can be read again after a crash.

mod api;
mod conditional;
mod expand;
#[cfg(test)]
mod fixture;
mod instant;
mod json;
mod link;
mod pace;
mod paginate;
mod sift;
mod single;
mod slice;
mod window;

pub use api::ApiSource;
pub use sift::{Sifted, sift};
pub use single::read_one;

use crate::model::{BoxFuture, Checkpoint, Fault, Page};

/// Something that can be read page by page.
pub trait Source: Send + Sync {
    /// Reads the page at `at`. A checkpoint without a scan begins a new pass over the stream, and a pass ends with the
    /// page that says so. Dropping the future is safe: nothing moved.
    fn read<'a>(&'a self, at: &'a Checkpoint) -> BoxFuture<'a, Result<Page, Fault>>;

    /// Somebody waits for what becomes of its records: a page is delivered at once, and waits for no others to share a request.
    fn is_live(&self) -> bool {
        false
    }
}
