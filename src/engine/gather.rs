//! How much comes together before it is made durable at once: a sync costs the same for one page as for fifty, and a
//! request for one record as much quota as one for a hundred.

use std::time::Duration;

use tokio::time::Instant;

use crate::sink::Worth;

const RECORDS: u64 = 5_000;
const BYTES: u64 = 4 << 20;
/// What a page takes besides its body, above all where many slices are under way: each page knows how all of them stand.
const PAGE_BYTES: u64 = 8 << 10;
/// How long what could be durable waits for a sync that is worth it.
const FOR_A_SYNC: Duration = Duration::from_millis(500);
/// How long a record waits until a request is full. A listing of which little changed takes its time between two of them.
const FOR_A_REQUEST: Duration = Duration::from_secs(10);

/// What came together so far.
pub struct Gather {
    records: u64,
    bytes: u64,
    since: Option<Instant>,
    /// What is enough.
    worth: Worth,
}

impl Gather {
    pub fn of(worth: Worth) -> Self {
        Self { records: 0, bytes: 0, since: None, worth }
    }

    pub fn for_a_sync() -> Self {
        Self::of(Worth { records: RECORDS, bytes: BYTES, patience: FOR_A_SYNC })
    }

    pub fn for_a_request() -> Self {
        Self::of(Worth { records: RECORDS, bytes: BYTES, patience: FOR_A_REQUEST })
    }

    /// Another page.
    pub fn add(&mut self, records: u64, bytes: usize) {
        self.records += records;
        self.bytes += bytes as u64 + PAGE_BYTES;
        self.since.get_or_insert_with(Instant::now);
    }

    /// It is enough, or old enough.
    pub fn is_enough(&self) -> bool {
        self.records >= self.worth.records
            || self.bytes >= self.worth.bytes
            || self.due().is_some_and(|due| Instant::now() >= due)
    }

    /// When it is old enough, however little it is. Nothing while it is empty.
    pub fn due(&self) -> Option<Instant> {
        self.since.map(|since| since + self.worth.patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_small_pages_are_enough_long_before_their_bodies_are() {
        let mut sum = Gather::for_a_sync();
        for _ in 0..BYTES / PAGE_BYTES {
            assert!(!sum.is_enough());
            sum.add(1, 10);
        }
        assert!(sum.is_enough());
    }
}
