//! How large a page may be at the moment: half as large whenever the vendor does not manage it, and twice as large again after some
//! pages that went well. Only where places in the listing do not depend on it: page numbers do.

use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;

use crate::{
    config::plan::{PageSize, Paginate},
    http::{Answer, Ruling},
    model::{Code, Fault},
};

/// Pages that must go well before larger ones are tried.
const GOOD: u64 = 4;

/// The size of pages of one source.
#[derive(Default, Debug)]
pub struct Pace {
    /// How often it was halved.
    halved: AtomicU64,
    good: AtomicU64,
}

impl Pace {
    /// The size to ask for. Nothing: the stream does not say one, or it cannot change.
    pub fn size(&self, paginate: &Paginate) -> Option<u64> {
        let declared = adjustable(paginate)?;
        Some((declared >> self.halved.load(Ordering::Relaxed).min(63)).max(1))
    }

    /// Makes pages smaller. False: they cannot be.
    pub fn slower(&self, paginate: &Paginate) -> bool {
        self.good.store(0, Ordering::Relaxed);
        let can = self.size(paginate).is_some_and(|size| size > 1);
        if can {
            self.halved.fetch_add(1, Ordering::Relaxed);
        }
        can
    }

    /// A page went well.
    pub fn well(&self) {
        if self.halved.load(Ordering::Relaxed) > 0 && self.good.fetch_add(1, Ordering::Relaxed) + 1 >= GOOD {
            self.good.store(0, Ordering::Relaxed);
            self.halved.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn adjustable(paginate: &Paginate) -> Option<u64> {
    match paginate {
        Paginate::Offset { size, .. } => Some(size.records),
        Paginate::Cursor { size, .. } => size.as_ref().map(|size| size.records),
        Paginate::None | Paginate::NextUrl { .. } | Paginate::Link | Paginate::Page { .. } => None,
    }
    .filter(|_| is_asked_for(paginate))
}

/// Whether the vendor is told the size at all.
fn is_asked_for(paginate: &Paginate) -> bool {
    match paginate {
        Paginate::Offset { size: PageSize { query, .. }, .. } => query.is_some(),
        _ => true,
    }
}

/// Whether a smaller page may help where this one did not come.
pub fn is_too_large(asked: &Result<Answer, Fault>) -> bool {
    match asked {
        Ok(answer) => answer.status == StatusCode::PAYLOAD_TOO_LARGE && matches!(answer.ruling, Ruling::Refused(_)),
        Err(fault) => matches!(fault.code, Code::Timeout | Code::BodyTooLarge),
    }
}
