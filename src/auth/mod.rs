//! Signing in. Each kind of authentication is one [`Signer`]. Credentials that end have a keeper (`keeper.rs`), whose one hard idea
//! is that a renewal happens once for everybody and is never half done.

mod account;
mod answer;
mod aws;
mod client;
mod endpoint;
mod fixed;
mod hmac;
mod jwt;
mod keeper;
mod kept;
mod login;
mod loopback;
mod oauth;
mod redirect;
mod session;
#[cfg(test)]
mod tests;
mod vault;

use std::sync::Arc;

pub use account::{Account, Certificate, Scopes, SignedIn, Standing, Status};
pub use login::{Person, Prompt};
pub use vault::Vault;

use crate::{
    config::plan::{Api, Auth},
    http::{Client, HttpTransport, Policy, Seams, Signer, Transport, Unsigned},
    model::{Clock, Entropy, Fault},
};

/// What signing in stands on, besides the connection itself.
#[derive(Clone)]
pub struct Ground {
    pub vault: Vault,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
}

/// A connection's client: its own sockets, signed as its plan says.
pub fn client(api: &Api, ground: &Ground) -> Result<Client, Fault> {
    client_over(api, Arc::new(HttpTransport::new(api)), ground)
}

/// The same over a given transport, such as the simulation's.
pub fn client_over(api: &Api, transport: Arc<dyn Transport>, ground: &Ground) -> Result<Client, Fault> {
    let signer = build(api, transport.clone(), ground)?;
    let Ground { clock, entropy, .. } = ground.clone();
    Ok(Client::new(Policy::of(api), Seams { transport, signer, clock, entropy }))
}

/// The signer of a connection. Token requests go over the same transport, so that TLS, egress and timeouts are the
/// connection's.
pub fn build(api: &Api, transport: Arc<dyn Transport>, ground: &Ground) -> Result<Arc<dyn Signer>, Fault> {
    Ok(match &api.auth {
        Auth::None => Arc::new(Unsigned),
        Auth::Bearer { token } => Arc::new(fixed::bearer(token)?),
        Auth::Basic { user, password } => Arc::new(fixed::basic(user, password)?),
        Auth::ApiKeyHeader { header, value } => Arc::new(fixed::header(header, value)?),
        Auth::ApiKeyQuery { parameter, value } => Arc::new(fixed::query(parameter, value)),
        Auth::OAuth2(oauth2) => Arc::new(oauth::Bearer::new(api, oauth2, transport, ground)?),
        Auth::Session(session) => Arc::new(session::SessionSigner::new(api, session, transport, ground)?),
        Auth::Aws(keys) => Arc::new(aws::AwsSigner::new(keys, ground.clock.clone())),
        Auth::Hmac(plan) => Arc::new(hmac::HmacSigner::new(api, plan, ground.clock.clone())?),
    })
}
