//! The differences between records and a contract that evolves, as far as a run has told of them. They are expected from then on.

use serde::{Deserialize, Serialize};

use super::{Op, Tree, records::StreamId, state::State};
use crate::model::{DriftKind, DriftRow, End, Fault};

/// Differences that are remembered of one stream. Further ones are told each time.
const EXPECTED_MAX: usize = 1_000;

/// What makes two differences the same.
#[derive(PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Expected {
    end: End,
    kind: DriftKind,
    path: String,
    found: String,
}

impl Expected {
    fn is(&self, row: &DriftRow) -> bool {
        (self.end, self.kind, &self.path, &self.found) == (row.end, row.kind, &row.path, &row.found)
    }

    fn of(row: &DriftRow) -> Self {
        Self { end: row.end, kind: row.kind, path: row.path.clone(), found: row.found.clone() }
    }
}

impl State {
    /// Those of the differences that are not expected yet. From here on they are.
    pub async fn expect_drift(&self, stream: &StreamId, rows: Vec<DriftRow>) -> Result<Vec<DriftRow>, Fault> {
        if rows.is_empty() {
            return Ok(rows);
        }
        let place = place(stream);
        let mut expected: Vec<Expected> = self.read(Tree::Meta, &place).await?.unwrap_or_default();
        let new: Vec<DriftRow> = rows.into_iter().filter(|row| !expected.iter().any(|one| one.is(row))).collect();
        let room = EXPECTED_MAX.saturating_sub(expected.len());
        if !new.is_empty() && room > 0 {
            expected.extend(new.iter().take(room).map(Expected::of));
            self.commit_ops(vec![self.put(Tree::Meta, place, &expected)?]).await?;
        }
        Ok(new)
    }
}

/// Nothing is expected any more.
pub(super) fn forget_drift(stream: &StreamId) -> Op {
    Op::Delete { tree: Tree::Meta, key: place(stream) }
}

fn place(stream: &StreamId) -> Vec<u8> {
    [&b"drift\0"[..], &stream.ledger().key(b"")].concat()
}
