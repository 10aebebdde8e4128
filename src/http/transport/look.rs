//! A look at a server before anything is asked of it: the addresses of its name, and a HEAD without credentials along the
//! very path that requests take, so that what it shows (the way through a proxy, its certificate, its time of day, whether
//! it takes our certificate) is what a request would meet.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, Method, StatusCode};
use reqwest::tls::TlsInfo;
use tokio::time::{Instant, timeout};
use url::{Host, Url};

use super::{Duration, HttpTransport, SendError, unsent};
use crate::{
    config::plan::Api,
    http::keys::{self, Dates},
};

/// No name server takes longer.
const RESOLVE_MAX: Duration = Duration::from_secs(10);

/// What a server showed.
#[derive(Clone, Debug)]
pub struct Look {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// Its certificate, over TLS.
    pub certificate: Option<Dates>,
    /// Who answered: the server, or the proxy before it.
    pub peer: Option<SocketAddr>,
    pub took: Duration,
}

impl HttpTransport {
    /// A transport that can also be asked what a server showed.
    pub fn looking(api: &Api) -> Self {
        Self { is_looking: true, ..Self::new(api) }
    }

    /// The addresses of the URL's host. One that is written as an address has just that.
    pub async fn addresses(&self, url: &Url) -> Result<Vec<IpAddr>, SendError> {
        let name = match url.host() {
            Some(Host::Ipv4(ip)) => return Ok(vec![ip.into()]),
            Some(Host::Ipv6(ip)) => return Ok(vec![ip.into()]),
            Some(Host::Domain(name)) => name.to_owned(),
            None => return Err(SendError::Unreachable("the URL names no host".to_owned())),
        };
        let found = timeout(RESOLVE_MAX, (self.guard.lookup)(name.clone())).await;
        let found = found.map_err(|_| SendError::Unreachable("the name servers took too long".to_owned()))?;
        let found = found.map_err(|error| SendError::Unreachable(error.to_string()))?;
        let admitted = self.guard.admit(&name, found).map_err(|inside| SendError::Egress(inside.to_string()))?;
        let mut addresses: Vec<IpAddr> = admitted.into_iter().map(|at| at.ip()).collect();
        addresses.dedup();
        Ok(addresses)
    }

    /// Asks the server for nothing, without credentials and within `limit`. No redirect is followed.
    pub async fn look(&self, url: &Url, limit: Duration) -> Result<Look, SendError> {
        let began = Instant::now();
        let sending = self.client(url).await?.request(Method::HEAD, url.clone()).send();
        let answered = timeout(limit, sending).await.map_err(|_| SendError::Timeout)?;
        let answer = answered.map_err(|error| unsent(&error))?;
        let shown = answer.extensions().get::<TlsInfo>().and_then(TlsInfo::peer_certificate);
        Ok(Look {
            status: answer.status(),
            certificate: shown.and_then(|der| keys::dates(der).ok()),
            peer: answer.remote_addr(),
            headers: answer.headers().clone(),
            took: began.elapsed(),
        })
    }
}
