//! Page and sync tokens: opaque to the client, plain to us. A token says where the listing goes on, which filters it
//! belongs to, and when it was issued; a damaged one is refused rather than read as the first page.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

/// Where a listing of customers goes on: strictly after `(at, id)`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct PageToken {
    /// Microseconds of `updated_at`, or the place in the unordered listing.
    pub at: i64,
    pub id: usize,
    pub since: Option<i64>,
    pub before: Option<i64>,
    pub issued_ms: i64,
}

impl PageToken {
    pub fn write(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
    }
}

/// A position in the log of changes, dressed up so that nobody counts with it.
pub(super) fn write_sync(after: u64) -> String {
    URL_SAFE_NO_PAD.encode(format!("sync:{after}"))
}

pub(super) fn read_sync(text: &str) -> Option<u64> {
    let plain = URL_SAFE_NO_PAD.decode(text).ok()?;
    std::str::from_utf8(&plain).ok()?.strip_prefix("sync:")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_a_damaged_one_is_refused() {
        let token = PageToken { at: 5, id: 7, since: Some(1), before: None, issued_ms: 9 };
        assert_eq!(PageToken::read(&token.write()), Some(token.clone()));
        assert_eq!(PageToken::read(&token.write()[1..]), None);
        assert_eq!(read_sync(&write_sync(12)), Some(12));
        assert_eq!(read_sync("12"), None);
    }
}
