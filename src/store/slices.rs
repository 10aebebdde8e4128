//! Cursors of slices: a row for each, written by the commit that settles the slice's end. So a stream with a million slices writes
//! what moved, and its checkpoint stays small.

use super::{Op, State, Tree, records::StreamId};
use crate::model::{Checkpoint, Cursor, Fault, KeyHash, slice_name};

/// The slices of one stream, for whoever reads it.
#[derive(Clone)]
pub struct SliceCursors {
    state: State,
    stream: StreamId,
}

impl SliceCursors {
    pub fn new(state: State, stream: StreamId) -> Self {
        Self { state, stream }
    }

    /// How far a slice is delivered. Nothing: it was never read to its end.
    pub async fn of(&self, values: &str) -> Result<Option<Cursor>, Fault> {
        self.state.read(Tree::Slices, &key(&self.stream, &slice_name(values))).await
    }
}

impl State {
    /// The rows of slices that a checkpoint tells of.
    pub(super) fn slice_ops(&self, stream: &StreamId, checkpoint: &Checkpoint) -> Result<Vec<Op>, Fault> {
        let cursors = checkpoint.slice_cursors.iter();
        cursors.map(|(slice, cursor)| self.put(Tree::Slices, key(stream, slice), cursor)).collect()
    }

    /// Every slice is read from its start.
    pub async fn forget_slices(&self, stream: &StreamId) -> Result<(), Fault> {
        self.forget_all(Tree::Slices, stream).await
    }
}

fn key(stream: &StreamId, slice: &KeyHash) -> Vec<u8> {
    stream.key(&slice.0)
}
