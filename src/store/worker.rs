//! Who this state directory is to others: a name that is drawn once and stays, whatever process works on it.
//!
//! Rows of an outbox table are held under it, so two directories must never have one name: a copy of a directory is the same worker
//! twice.

use super::{Tree, state::State};
use crate::model::{Entropy, Fault};

const PLACE: &[u8] = b"worker";

impl State {
    /// The worker's name: 32 hexadecimal digits.
    pub async fn worker(&self, entropy: &dyn Entropy) -> Result<String, Fault> {
        let known = async || match self.read::<String>(Tree::Meta, PLACE).await? {
            Some(name) => Ok(name),
            None => {
                let name = format!("{:016x}{:016x}", entropy.bits(), entropy.bits());
                self.commit_ops(vec![self.put(Tree::Meta, PLACE.to_vec(), &name)?]).await?;
                Ok(name)
            }
        };
        self.worker.get_or_try_init(known).await.cloned()
    }
}
