//! How the records of a stream are named: which fields of their key are hashed, and with which key. Links, letters and what is
//! staged go by these names, so under other names every record is a new one.

use serde::{Deserialize, Serialize};

use super::{Tree, records::StreamId, state::State};
use crate::model::Fault;

/// What names depend on besides the records. By default nothing.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Naming {
    /// A name of the hash key that tells nothing about it; nothing while no field was hashed or encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_key: Option<String>,
    /// The hashed fields of the key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hashed: Vec<String>,
}

/// How the records of a stream were named until now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Named {
    /// There is none that is known by a name.
    Never,
    /// All names were forgotten.
    Forgotten,
    As(Naming),
}

impl State {
    pub async fn named(&self, stream: &StreamId) -> Result<Named, Fault> {
        let stream = &stream.ledger();
        match self.read::<Option<Naming>>(Tree::Meta, &place(stream)).await? {
            Some(Some(naming)) => return Ok(Named::As(naming)),
            Some(None) => return Ok(Named::Forgotten),
            None => {}
        }
        let is_known = self.checkpoint(stream).await?.is_some()
            || self.outbox_depth(stream).await? > 0
            || !self.links_after(stream, None, 1).await?.is_empty();
        Ok(if is_known { Named::As(Naming::default()) } else { Named::Never })
    }

    pub async fn set_naming(&self, stream: &StreamId, naming: &Naming) -> Result<(), Fault> {
        self.commit_ops(vec![self.put(Tree::Meta, place(stream), &Some(naming))?]).await
    }

    /// No record is known by a name any more.
    pub(super) async fn forget_naming(&self, stream: &StreamId) -> Result<(), Fault> {
        self.commit_ops(vec![self.put(Tree::Meta, place(stream), &None::<Naming>)?]).await
    }
}

fn place(stream: &StreamId) -> Vec<u8> {
    [&b"naming\0"[..], &stream.ledger().key(b"")].concat()
}
