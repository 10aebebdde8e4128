//! TLS that holds, and each way in which it does not. The certificates are made by `tls/make`.

use std::{
    io::{Read, Write},
    net::TcpListener,
    path::PathBuf,
    sync::Arc,
    thread,
};

use http::Method;
use renkei::{
    config::plan::Api,
    http::Answer,
    model::{Code, Disposition, Fault},
};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::support::{api, call, client};

pub fn file(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/request_path/tls")).join(name)
}

/// Serves one certificate and answers each connection's first request. Returns the port.
pub fn serve(name: &str, versions: &[&'static rustls::SupportedProtocolVersion]) -> u16 {
    let certificate = CertificateDer::from_pem_file(file(&format!("{name}.pem"))).unwrap();
    let key = PrivateKeyDer::from_pem_file(file(&format!("{name}.key"))).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // The thread ends with the process.
    thread::spawn(move || {
        for socket in listener.incoming() {
            let mut tls = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), socket.unwrap());
            let mut head = [0; 1024];
            // A client that does not like the certificate hangs up here.
            if tls.read(&mut head).is_ok() {
                let _ = tls.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
            }
        }
    });
    port
}

fn trusting(base_url: &str) -> Api {
    Api { ca: Some(file("ca.pem")), ..api(base_url) }
}

pub async fn get(api: &Api) -> Result<Answer, Fault> {
    client(api).execute(&call(Method::GET, api.base_url.as_str(), "/orders")).await
}

async fn refused(api: &Api, words: &str) {
    let fault = get(api).await.unwrap_err();
    assert_eq!((fault.code, fault.disposition), (Code::Tls, Disposition::Halt), "{fault:?}");
    assert!(fault.message.contains(words), "{}", fault.message);
    assert!(fault.help.contains("`ca:`") && fault.help.contains("Nothing was sent"), "{}", fault.help);
}

#[tokio::test]
async fn a_certificate_of_our_own_authority_is_trusted_by_address_and_by_name() {
    for versions in [&[&rustls::version::TLS13][..], &[&rustls::version::TLS12][..]] {
        let port = serve("good", versions);
        for host in ["127.0.0.1", "localhost"] {
            assert_eq!(get(&trusting(&format!("https://{host}:{port}"))).await.unwrap().body, "ok");
        }
    }
}

#[tokio::test]
async fn an_unknown_authority_is_refused() {
    let port = serve("good", rustls::ALL_VERSIONS);
    refused(&api(&format!("https://127.0.0.1:{port}")), "UnknownIssuer").await;
}

#[tokio::test]
async fn a_certificate_that_is_over_is_refused() {
    let port = serve("over", rustls::ALL_VERSIONS);
    refused(&trusting(&format!("https://127.0.0.1:{port}")), "expired").await;
}

#[tokio::test]
async fn a_certificate_of_another_host_is_refused() {
    let port = serve("other", rustls::ALL_VERSIONS);
    refused(&trusting(&format!("https://127.0.0.1:{port}")), "not valid for name").await;
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        }
    });
    refused(&trusting(&format!("https://127.0.0.1:{port}")), "TLS failed").await;
}

#[tokio::test]
async fn a_ca_file_that_is_missing_or_holds_no_certificate_is_named() {
    for (name, words) in [("absent.pem", "No such file"), ("make", "no certificate")] {
        let api = Api { ca: Some(file(name)), ..api("https://127.0.0.1:1") };
        refused(&api, words).await;
        refused(&api, name).await;
    }
}
