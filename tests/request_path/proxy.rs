//! Proxies from the environment: plain requests through one, TLS through a tunnel of one, and what NO_PROXY keeps away from
//! it. The environment is read once per process, so each test runs its other half in a process of its own.

use std::{
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use renkei::{config::plan::Api, model::Code};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

use crate::{
    support::{self, api},
    tls,
};

/// A real proxy. Plain requests it answers itself; a tunnel leads to `inside`, whatever host it was asked for.
struct Proxy {
    url: String,
    /// First line of each request.
    asked: Arc<Mutex<Vec<String>>>,
    tunnels: Arc<AtomicUsize>,
}

impl Proxy {
    async fn start(inside: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://me:hush@{}", listener.local_addr().unwrap());
        let (asked, tunnels) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicUsize>::default());
        let (lines, counted) = (asked.clone(), tunnels.clone());
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                tokio::spawn(pass(socket, inside, lines.clone(), counted.clone()));
            }
        });
        Self { url, asked, tunnels }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn pass(mut socket: TcpStream, inside: u16, asked: Arc<Mutex<Vec<String>>>, tunnels: Arc<AtomicUsize>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = socket.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let line = head.lines().next().unwrap().to_owned();
    let signed = head.to_ascii_lowercase().contains("proxy-authorization: basic bwu6ahvzaa==");
    asked.lock().unwrap().push(format!("{line}{}", if signed { " signed" } else { "" }));
    if !line.starts_with("CONNECT") {
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\nvia").await;
        return;
    }
    tunnels.fetch_add(1, Relaxed);
    let mut server = TcpStream::connect(("127.0.0.1", inside)).await.unwrap();
    socket.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
    let _ = copy_bidirectional(&mut socket, &mut server).await;
}

async fn run(test: &str, variables: &[(&str, &str)]) {
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", test, "--ignored", "--nocapture"]).stdin(Stdio::null());
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "NO_PROXY", "no_proxy"] {
        child.env_remove(name);
    }
    let ended = child.envs(variables.iter().copied()).output().await.unwrap();
    let shown = String::from_utf8_lossy(&ended.stdout);
    let errors = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() && shown.contains("1 passed"), "{shown}{errors}");
    assert!(!shown.contains("hush") && !errors.contains("hush"), "the proxy's password is no log line");
}

#[tokio::test]
async fn plain_requests_go_to_the_proxy_with_their_whole_address_and_its_credentials() {
    let proxy = Proxy::start(1).await;
    run("proxy::through_http_proxy", &[("HTTP_PROXY", &proxy.url), ("http_proxy", &proxy.url)]).await;
    assert_eq!(proxy.asked(), ["GET http://far.invalid/orders HTTP/1.1 signed"]);
}

#[tokio::test]
#[ignore = "run by the test above"]
async fn through_http_proxy() {
    assert_eq!(support::get("http://far.invalid", "/orders").await.unwrap().body, "via");
}

#[tokio::test]
async fn tls_goes_through_a_tunnel_and_is_checked_at_its_far_end() {
    let proxy = Proxy::start(tls::serve("other", rustls::ALL_VERSIONS)).await;
    run("proxy::through_https_proxy", &[("HTTPS_PROXY", &proxy.url)]).await;
    assert!(proxy.tunnels.load(Relaxed) >= 2);
    assert_eq!(proxy.asked()[0], "CONNECT other.test:443 HTTP/1.1 signed");
}

#[tokio::test]
#[ignore = "run by the test above"]
async fn through_https_proxy() {
    let trusting = |url: &str| Api { ca: Some(tls::file("ca.pem")), ..api(url) };
    let other = trusting("https://other.test");
    assert_eq!(tls::get(&other).await.unwrap().body, "ok");
    // A proxy that leads somewhere else is found out by the certificate.
    let fault = tls::get(&trusting("https://stolen.test")).await.unwrap_err();
    assert_eq!(fault.code, Code::Tls, "{fault:?}");
}

#[tokio::test]
async fn what_no_proxy_names_is_asked_directly() {
    let proxy = Proxy::start(1).await;
    let variables = [("HTTP_PROXY", proxy.url.as_str()), ("NO_PROXY", "near.invalid,.inside.invalid")];
    run("proxy::past_the_proxy", &[variables[0], ("http_proxy", &proxy.url), variables[1]]).await;
    assert_eq!(proxy.asked().len(), 1, "{:?}", proxy.asked());
}

#[tokio::test]
#[ignore = "run by the test above"]
async fn past_the_proxy() {
    for direct in ["http://near.invalid", "http://a.inside.invalid"] {
        assert_eq!(support::get(direct, "/orders").await.unwrap_err().code, Code::Unreachable, "{direct}");
    }
    assert_eq!(support::get("http://far.invalid", "/orders").await.unwrap().body, "via");
}
