//! The fence around a drill: the only way out of its runs. Whatever a plan, an answer or a redirect names, nothing leaves this
//! machine and nothing but a replica is asked, because the fence looks at the address itself and at nothing else.
//!
//! The connection's own egress rules stand in front of it; a fence is for the day on which they are wrong.

use std::{collections::BTreeSet, net::Ipv4Addr};

use url::{Host, Url};

use crate::{
    config::plan::Api,
    http::{HttpTransport, Request, Response, SendError, Transport},
    model::BoxFuture,
};

/// Carries requests to the replicas of a drill, and refuses all others.
pub struct Fence {
    inside: HttpTransport,
    ports: BTreeSet<u16>,
}

impl Fence {
    /// Lets through what goes to these ports of 127.0.0.1. `any` is one of the connections, for its timeouts.
    pub fn new(any: &Api, ports: impl IntoIterator<Item = u16>) -> Self {
        Self { inside: HttpTransport::new(any), ports: ports.into_iter().collect() }
    }

    fn admits(&self, url: &Url) -> bool {
        let here = matches!(url.host(), Some(Host::Ipv4(host)) if host == Ipv4Addr::LOCALHOST);
        here && url.scheme() == "http" && url.port_or_known_default().is_some_and(|port| self.ports.contains(&port))
    }
}

impl Transport for Fence {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, SendError>> {
        if self.admits(&request.url) {
            return self.inside.send(request);
        }
        // The host is no secret; the path may be one.
        let place = request.url.host_str().unwrap_or("an address without a host").to_owned();
        Box::pin(async move { Err(SendError::Egress(format!("{place} is outside of the drill"))) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_replicas_of_this_drill_can_be_asked() {
        let api = Api::new("x", Url::parse("http://127.0.0.1:4010").unwrap());
        let fence = Fence::new(&api, [4010, 4011]);
        let admits = |url: &str| fence.admits(&Url::parse(url).unwrap());
        assert!(admits("http://127.0.0.1:4010/a?b") && admits("http://127.0.0.1:4011/"));
        for outside in [
            "http://127.0.0.1:4012/",
            "http://127.0.0.2:4010/",
            "http://localhost:4010/",
            "https://127.0.0.1:4010/",
            "http://10.0.0.1:4010/",
            "http://[::1]:4010/",
            "http://api.shop.test:4010/",
            "http://127.0.0.1/",
        ] {
            assert!(!admits(outside), "{outside}");
        }
    }

    #[tokio::test]
    async fn a_request_to_any_other_address_does_not_leave() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let fence = Fence::new(&Api::new("x", url.clone()), []);
        let request = Request {
            method: http::Method::GET,
            url,
            headers: http::HeaderMap::new(),
            body: bytes::Bytes::new(),
            body_bytes_max: 100,
            spool: None,
            secrets: Vec::new(),
            offset: chrono::TimeDelta::zero(),
            offset_learned: chrono::TimeDelta::zero(),
        };
        assert!(matches!(fence.send(request).await, Err(SendError::Egress(_))));
        let came = tokio::time::timeout(std::time::Duration::from_millis(1), listener.accept()).await;
        assert!(came.is_err(), "somebody came");
    }
}
