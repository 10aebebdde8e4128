//! The admin API of the service, as meant.

use std::{net::SocketAddr, path::PathBuf};

use secrecy::{ExposeSecret, SecretString};

#[derive(Clone, Debug)]
pub struct AdminPlan {
    pub address: SocketAddr,
    /// Nothing: whoever reaches the address may do everything.
    pub token: Option<SecretString>,
    pub tls: Option<TlsFiles>,
}

/// Certificate and key of a listener, in PEM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl PartialEq for AdminPlan {
    fn eq(&self, other: &Self) -> bool {
        let token = |plan: &Self| plan.token.as_ref().map(|token| token.expose_secret().to_owned());
        (self.address, &self.tls) == (other.address, &other.tls) && token(self) == token(other)
    }
}

impl Eq for AdminPlan {}
