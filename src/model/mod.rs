//! Plain data that every floor of the house shares: records, checkpoints, verdicts, faults, and the seams of
//! determinism (clock, entropy). Nothing here does IO, and nothing here knows a library but those of data: serde, bytes, chrono
//! with its zones, sha2, base64 and secrecy.

mod checkpoint;
mod clock;
mod code;
mod counts;
mod day;
mod deletions;
mod drift;
mod entropy;
mod fault;
mod hash;
mod idempotency;
mod latency;
mod notice;
mod path;
mod record;
mod secret_key;
mod slicing;
mod verdict;

pub use checkpoint::{Checkpoint, Cursor, Mark, Position, Scan, Validators};
pub use clock::{Clock, SystemClock};
pub use code::Code;
pub use counts::Counts;
pub use day::{day, midnight};
pub use deletions::{DeletionState, Listing, Sweeping};
pub use drift::{DRIFT_ROWS_MAX, Drift, DriftKind, DriftRow, End};
pub use entropy::{Entropy, SystemEntropy};
pub use fault::{Blame, Disposition, Fault};
pub use hash::{ContentHash, KeyHash};
pub use idempotency::{idempotency_key, idempotency_key_of_batch, letter_name};
pub use latency::Latency;
pub use notice::Notice;
pub use path::{Path, PathError, Step, entries};
pub use record::{Fields, Key, Overlap, Page, Record, Reject, Skip, Slip, Version};
pub use secret_key::{SecretKey, from_hex};
pub use slicing::{AtParent, Place, Slice, Slicing, slice_name};
pub use verdict::{Reason, Verdict};

/// A future behind a `dyn` seam.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
