//! How much comes together before it is made durable at once: a sync costs the same for one page as for fifty.

use std::time::Duration;

use tokio::time::Instant;

const RECORDS: u64 = 5_000;
const BYTES: usize = 4 << 20;
const TIME: Duration = Duration::from_millis(500);

/// What came together so far.
#[derive(Default)]
pub struct Gather {
    records: u64,
    bytes: usize,
    since: Option<Instant>,
}

impl Gather {
    pub fn add(&mut self, records: u64, bytes: usize) {
        self.records += records;
        self.bytes += bytes;
        self.since.get_or_insert_with(Instant::now);
    }

    /// It is enough, or old enough.
    pub fn is_enough(&self) -> bool {
        self.records >= RECORDS || self.bytes >= BYTES || self.due().is_some_and(|due| Instant::now() >= due)
    }

    /// When it is old enough, however little it is. Nothing while it is empty.
    pub fn due(&self) -> Option<Instant> {
        self.since.map(|since| since + TIME)
    }
}
