//! Where the browser comes back to: a listener on this machine that serves one page and ends (RFC 8252, 7.3).
//!
//! Browsers open connections that they never use and ask for icons, so every connection is heard on its own and for a
//! moment only; what does not lead to the redirect URI is none of our business.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use secrecy::SecretString;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    time::timeout,
};
use url::{Host, Url};

use super::redirect::Expected;
use crate::model::Fault;

const HEAD_BYTES_MAX: usize = 16 << 10;
const HEARD_FOR: Duration = Duration::from_secs(10);
const CONNECTIONS_MAX: usize = 32;

pub struct Loopback {
    listener: TcpListener,
    address: SocketAddr,
    uri: Url,
}

impl Loopback {
    /// Listens where the redirect URI points, on any free port where it names none. Nothing where it does not point to this
    /// machine, or the port is taken: then the person pastes the address.
    pub async fn listen(redirect: &Url) -> Option<Self> {
        let ip = match redirect.host()? {
            Host::Ipv4(ip) if ip.is_loopback() => ip.into(),
            Host::Ipv6(ip) if ip.is_loopback() => Ipv6Addr::LOCALHOST.into(),
            Host::Domain("localhost") => Ipv4Addr::LOCALHOST.into(),
            _ => return None,
        };
        let listener = TcpListener::bind(SocketAddr::new(ip, redirect.port().unwrap_or(0))).await.ok()?;
        let address = listener.local_addr().ok()?;
        let mut uri = redirect.clone();
        uri.set_port(Some(address.port())).ok()?;
        Some(Self { listener, address, uri })
    }

    /// The redirect URI with its port.
    pub fn uri(&self) -> &Url {
        &self.uri
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the browser. The first address that leads here decides, for good or bad.
    pub async fn code(self, expected: &Expected) -> Result<SecretString, Fault> {
        let (heard, mut came) = mpsc::channel::<(TcpStream, Url)>(1);
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            tokio::select! {
                accepted = self.listener.accept() => {
                    let (Ok((socket, _)), Ok(place)) = (accepted, places.clone().try_acquire_owned()) else { continue };
                    let (heard, base) = (heard.clone(), self.uri.clone());
                    tokio::spawn(async move {
                        let _place = place;
                        if let Ok(Some(request)) = timeout(HEARD_FOR, hear(socket, &base)).await {
                            // Nobody listens any more: the sign-in is over.
                            let _ = heard.send(request).await;
                        }
                    });
                }
                Some((socket, url)) = came.recv() => {
                    let code = expected.code_in(&url);
                    let page = if code.is_ok() { DONE } else { REFUSED };
                    let _ = timeout(HEARD_FOR, answer(socket, "200 OK", page)).await;
                    return code;
                }
            }
        }
    }
}

/// Reads a request and returns its address, if it is one for us. A foreign `Host` is a page elsewhere that had its name
/// point to this machine.
async fn hear(mut socket: TcpStream, base: &Url) -> Option<(TcpStream, Url)> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut part = [0; 1024];
        let read = socket.read(&mut part).await.ok()?;
        if read == 0 || head.len() + read > HEAD_BYTES_MAX {
            return None;
        }
        head.extend_from_slice(&part[..read]);
    }
    let head = String::from_utf8(head).ok()?;
    let mut lines = head.lines();
    let mut request = lines.next()?.split(' ');
    let (method, target) = (request.next()?, request.next()?);
    let host = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("host").then(|| value.trim().to_ascii_lowercase())
    });
    let ours = format!("{}:{}", base.host_str()?, base.port()?);
    let url = target.starts_with('/').then(|| base.join(target).ok()).flatten();
    match url.filter(|url| method == "GET" && url.path() == base.path() && host.as_deref() == Some(&ours)) {
        Some(url) => Some((socket, url)),
        None => {
            answer(socket, "404 Not Found", "<p>There is nothing here.</p>").await;
            None
        }
    }
}

const DONE: &str = "<p>renkei has what it needs. Close this page and go back to the terminal.</p>";
const REFUSED: &str = "<p>This is not the answer that renkei waits for. Go back to the terminal.</p>";

async fn answer(mut socket: TcpStream, status: &str, page: &str) {
    let body = format!("<!doctype html><meta charset=\"utf-8\"><title>renkei</title>{page}\n");
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\ncache-control: no-store\r\n\
         referrer-policy: no-referrer\r\nconnection: close\r\n\r\n",
        body.len()
    );
    // A browser that went away has seen enough.
    let _ = socket.write_all(format!("{head}{body}").as_bytes()).await;
    let _ = socket.shutdown().await;
}
