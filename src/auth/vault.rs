//! Where tokens outlive the process: sealed, in the store. A token's name holds everything it was got with, so changed
//! settings never meet an old token.

use std::sync::Arc;

use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use super::token::Token;
use crate::{
    config::plan::{Grant, OAuth2},
    model::Fault,
    store::{Op, Seal, StateStore, Tree},
};

/// Tokens a connection may have left behind under other settings; more are cleared by later saves.
const LEFT_BEHIND_MAX: usize = 100;

#[derive(Clone)]
pub struct Vault {
    store: Arc<dyn StateStore>,
    seal: Arc<Seal>,
}

/// Under which name a connection's token is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenKey {
    key: Vec<u8>,
    /// The part that all tokens of the connection share.
    connection: usize,
}

impl TokenKey {
    pub fn new(connection: &str, oauth2: &OAuth2) -> Self {
        let (grant, configured) = match &oauth2.grant {
            Grant::ClientCredentials => ("client_credentials", ""),
            Grant::RefreshToken { token } => ("refresh_token", token.expose_secret()),
        };
        let scopes = oauth2.scopes.join(" ");
        let mut hasher = Sha256::new();
        for part in [oauth2.client_id.as_str(), oauth2.token_url.as_str(), &scopes, grant, configured] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        let hash: String = hasher.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        Self { key: format!("{connection}\0{hash}").into_bytes(), connection: connection.len() + 1 }
    }
}

impl Vault {
    pub fn new(store: Arc<dyn StateStore>, seal: Arc<Seal>) -> Self {
        Self { store, seal }
    }

    /// The saved token. One that cannot be opened is an error and not nothing: getting a new one would throw away a
    /// rotated refresh token that its key file may still open.
    pub async fn load(&self, key: &TokenKey) -> Result<Option<Token>, Fault> {
        let Some(sealed) = self.store.get(Tree::Tokens, &key.key).await? else { return Ok(None) };
        let bytes = zeroize::Zeroizing::new(self.seal.open(Tree::Tokens, &key.key, &sealed)?);
        Ok(Token::from_bytes(&bytes))
    }

    /// Durable when it returns. What the connection left behind under other settings goes in the same commit.
    pub async fn save(&self, key: &TokenKey, token: &Token) -> Result<(), Fault> {
        let prefix = &key.key[..key.connection];
        let known = self.store.scan(Tree::Tokens, prefix, None, LEFT_BEHIND_MAX).await?;
        let mut ops: Vec<Op> = known
            .into_iter()
            .filter(|(old, _)| *old != key.key)
            .map(|(old, _)| Op::Delete { tree: Tree::Tokens, key: old })
            .collect();
        let value = self.seal.close(Tree::Tokens, &key.key, &token.to_bytes())?;
        ops.push(Op::Put { tree: Tree::Tokens, key: key.key.clone(), value });
        self.store.commit(ops).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Memory, SealKey};

    fn oauth2() -> OAuth2 {
        OAuth2 {
            grant: Grant::ClientCredentials,
            token_url: "https://id.test/token".parse().unwrap(),
            client_id: "me".to_owned(),
            client_secret: Some("hush".into()),
            secret_in_body: false,
            scopes: vec!["read".to_owned()],
        }
    }

    fn token(access: &str) -> Token {
        Token { access: access.into(), refresh: None, refresh_at: None }
    }

    #[test]
    fn every_setting_a_token_was_got_with_is_in_its_name() {
        let name = |change: fn(&mut OAuth2)| {
            let mut changed = oauth2();
            change(&mut changed);
            TokenKey::new("crm", &changed)
        };
        let same = name(|_| ());
        assert_eq!(same, name(|_| ()));
        assert_ne!(same, name(|it| it.client_id.push('x')));
        assert_ne!(same, name(|it| it.token_url.set_path("/other")));
        assert_ne!(same, name(|it| it.scopes.push("write".to_owned())));
        assert_ne!(same, name(|it| it.grant = Grant::RefreshToken { token: "r".into() }));
        assert_ne!(
            name(|it| it.grant = Grant::RefreshToken { token: "r".into() }),
            name(|it| it.grant = Grant::RefreshToken { token: "s".into() })
        );
        assert_ne!(same, TokenKey::new("shop", &oauth2()));
    }

    #[tokio::test]
    async fn a_token_is_sealed_and_the_connections_old_ones_go_with_the_save() {
        let store: Arc<dyn StateStore> = Arc::new(Memory::new());
        let seal = SealKey::parse(&"7".repeat(64)).unwrap();
        let vault = Vault::new(store.clone(), Arc::new(Seal::new(&seal)));
        let old = TokenKey::new("crm", &oauth2());
        let new = TokenKey::new("crm", &OAuth2 { client_id: "you".to_owned(), ..oauth2() });
        let other = TokenKey::new("crm2", &oauth2());
        vault.save(&old, &token("planted-old")).await.unwrap();
        vault.save(&other, &token("planted-other")).await.unwrap();
        vault.save(&new, &token("planted-new")).await.unwrap();
        assert!(vault.load(&old).await.unwrap().is_none());
        assert_eq!(vault.load(&new).await.unwrap().unwrap().access.expose_secret(), "planted-new");
        assert!(vault.load(&other).await.unwrap().is_some());
        let rows = store.scan(Tree::Tokens, b"", None, 10).await.unwrap();
        assert_eq!(rows.len(), 2);
        for (key, value) in rows {
            assert!(!String::from_utf8_lossy(&[key, value].concat()).contains("planted"));
        }
    }
}
