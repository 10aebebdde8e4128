//! Where tokens outlive the process: sealed, in the store. A token's name holds everything it was got with, so changed
//! settings never meet an old token.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::sync::{OwnedRwLockReadGuard, RwLock};

use super::kept::Kept;
use crate::{
    model::Fault,
    store::{Op, Seal, StateStore, Tree},
};

/// Tokens a connection may have left behind under other settings; more are cleared by later saves.
const LEFT_BEHIND_MAX: usize = 100;

/// All clones are one vault.
#[derive(Clone)]
pub struct Vault {
    store: Arc<dyn StateStore>,
    seal: Arc<Seal>,
    /// Read by every renewal under way, so that whoever closes the store can wait for their ends.
    renewals: Arc<RwLock<()>>,
}

/// Under which name a connection's token is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenKey {
    key: Vec<u8>,
    /// The part that all tokens of the connection share.
    connection: usize,
}

impl TokenKey {
    /// `settings` is everything the token is got with. None of it is a text that could be guessed: the name is a hash of
    /// it, and names are not sealed.
    pub fn new(connection: &str, settings: &[&str]) -> Self {
        let mut hasher = Sha256::new();
        for part in settings {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        let hash: String = hasher.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        Self { key: format!("{connection}\0{hash}").into_bytes(), connection: connection.len() + 1 }
    }
}

impl Vault {
    pub fn new(store: Arc<dyn StateStore>, seal: Arc<Seal>) -> Self {
        Self { store, seal, renewals: Arc::default() }
    }

    /// What is kept. Something that cannot be opened is an error and not nothing: getting a new token would throw away a
    /// rotated refresh token that its key file may still open.
    pub async fn load(&self, key: &TokenKey) -> Result<Option<Kept>, Fault> {
        let Some(sealed) = self.store.get(Tree::Tokens, &key.key).await? else { return Ok(None) };
        let bytes = zeroize::Zeroizing::new(self.seal.open(Tree::Tokens, &key.key, &sealed)?);
        Ok(Kept::from_bytes(&bytes))
    }

    /// Durable when it returns. What the connection left behind under other settings goes in the same commit.
    pub async fn save(&self, key: &TokenKey, kept: &Kept) -> Result<(), Fault> {
        let mut ops = self.others(key).await?;
        let value = self.seal.close(Tree::Tokens, &key.key, &kept.to_bytes())?;
        ops.push(Op::Put { tree: Tree::Tokens, key: key.key.clone(), value });
        self.store.commit(ops).await?;
        Ok(())
    }

    /// Forgets everything the connection has, whatever settings it was got with.
    pub async fn forget(&self, key: &TokenKey) -> Result<(), Fault> {
        let mut ops = self.others(key).await?;
        ops.push(Op::Delete { tree: Tree::Tokens, key: key.key.clone() });
        self.store.commit(ops).await?;
        Ok(())
    }

    async fn others(&self, key: &TokenKey) -> Result<Vec<Op>, Fault> {
        let prefix = &key.key[..key.connection];
        let known = self.store.scan(Tree::Tokens, prefix, None, LEFT_BEHIND_MAX).await?;
        let others = known.into_iter().filter(|(old, _)| *old != key.key);
        Ok(others.map(|(old, _)| Op::Delete { tree: Tree::Tokens, key: old }).collect())
    }

    /// Held by a renewal from before its request leaves until its outcome is durable.
    pub async fn renewal(&self) -> OwnedRwLockReadGuard<()> {
        self.renewals.clone().read_owned().await
    }

    /// Waits for the renewals under way. Whoever closes the store before they end may lose a rotated refresh token.
    pub async fn settled(&self) {
        drop(self.renewals.write().await);
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::{
        auth::kept::Access,
        store::{Memory, SealKey},
    };

    fn kept(access: &str) -> Kept {
        let access = Access { token: access.into(), refresh_at: None, ends_at: None };
        Kept { access: Some(access), ..Kept::default() }
    }

    #[test]
    fn every_setting_a_token_was_got_with_is_in_its_name() {
        let name = |settings: &[&str]| TokenKey::new("crm", settings);
        assert_eq!(name(&["me", "read"]), name(&["me", "read"]));
        for other in [&["me", "write"][..], &["you", "read"], &["mer", "ead"], &["me", "read", ""]] {
            assert_ne!(name(&["me", "read"]), name(other), "{other:?}");
        }
        assert_ne!(name(&["me"]), TokenKey::new("shop", &["me"]));
    }

    #[tokio::test]
    async fn a_token_is_sealed_and_the_connections_old_ones_go_with_the_save() {
        let store: Arc<dyn StateStore> = Arc::new(Memory::new());
        let seal = SealKey::parse(&"7".repeat(64)).unwrap();
        let vault = Vault::new(store.clone(), Arc::new(Seal::new(&seal)));
        let old = TokenKey::new("crm", &["me"]);
        let new = TokenKey::new("crm", &["you"]);
        let other = TokenKey::new("crm2", &["me"]);
        vault.save(&old, &kept("planted-old")).await.unwrap();
        vault.save(&other, &kept("planted-other")).await.unwrap();
        vault.save(&new, &kept("planted-new")).await.unwrap();
        assert!(vault.load(&old).await.unwrap().is_none());
        assert_eq!(vault.load(&new).await.unwrap().unwrap().access.unwrap().token.expose_secret(), "planted-new");
        assert!(vault.load(&other).await.unwrap().is_some());
        let rows = store.scan(Tree::Tokens, b"", None, 10).await.unwrap();
        assert_eq!(rows.len(), 2);
        for (key, value) in rows {
            assert!(!String::from_utf8_lossy(&[key, value].concat()).contains("planted"));
        }
        vault.forget(&new).await.unwrap();
        assert!(vault.load(&new).await.unwrap().is_none() && vault.load(&other).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn whoever_closes_the_store_waits_for_renewals_under_way() {
        let vault = Vault::new(Arc::new(Memory::new()), Arc::new(Seal::plain()));
        let renewal = vault.renewal().await;
        let mut settled = tokio_test_pending(&vault);
        assert!(futures_util::poll!(&mut settled).is_pending());
        drop(renewal);
        settled.await;
    }

    fn tokio_test_pending(vault: &Vault) -> std::pin::Pin<Box<dyn Future<Output = ()> + '_>> {
        Box::pin(vault.settled())
    }
}
