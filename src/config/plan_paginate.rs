//! How a listing goes on after its first page, as meant.

use http::HeaderName;

use crate::model::Path;

/// How a listing goes on.
#[derive(Clone, Debug)]
pub enum Paginate {
    /// One page is all.
    None,
    /// A token goes into a query parameter (templates see it as `page.token`).
    Cursor { next: NextToken, query: Option<String>, more: Option<Path>, size: Option<PageSize> },
    /// The whole next URL stands in the body.
    NextUrl { next: Path, more: Option<Path> },
    /// RFC 8288: the Link header with rel="next".
    Link,
    /// Page numbers. Ends at a page shorter than `size`, at an empty page where no size is known, or by
    /// `more`/`total_pages`.
    Page { query: String, first: u64, size: Option<PageSize>, more: Option<Path>, total_pages: Option<Path> },
    /// Offset and limit. Each page but the first starts one record early and must begin with the last one read, so that
    /// a listing that moved is noticed and read again from its start.
    Offset { query: String, size: PageSize, more: Option<Path>, total: Option<Path>, cap: Option<u64> },
}

#[derive(Clone, Debug)]
pub enum NextToken {
    /// A path in the answer.
    Body(Path),
    /// A path in the answer that holds a token on the last page, too; it is the last one when `end` is true.
    UntilEnd { token: Path, end: Path },
    /// A path in the answer of a vendor that gives no more than `cap` records of a listing, and says at `total` how long it is.
    Counted { token: Path, total: Path, cap: u64 },
    /// A header of the answer; `null` there names nothing.
    Header(HeaderName),
    /// A field of the page's last record (Stripe's `starting_after`).
    LastRecord(Path),
}

#[derive(Clone, Debug)]
pub struct PageSize {
    /// The query parameter that carries it, where the API takes one.
    pub query: Option<String>,
    pub records: u64,
}
