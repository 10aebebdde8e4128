//! HTTP/2 where a server offers it: one connection for many calls, and what a server says about a single call of them.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use bytes::Bytes;
use futures_util::future::join_all;
use h2::{Reason, server::SendResponse};
use http::{Method, Request, Response, Version};
use renkei::{
    config::plan::Api,
    http::Call,
    model::{Code, Disposition},
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::{
    support::{api, call, client},
    tls,
};

/// Connections that came, and calls on them.
#[derive(Clone, Default)]
struct Seen {
    connections: Arc<AtomicUsize>,
    calls: Arc<AtomicUsize>,
}

/// Serves HTTP/2 alone. `answer` gets each call with its number over all connections.
async fn serve(answer: fn(&Request<h2::RecvStream>, usize, SendResponse<Bytes>)) -> (Api, Seen) {
    let certificate = CertificateDer::from_pem_file(tls::file("good.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(tls::file("good.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("https://{}", listener.local_addr().unwrap());
    let seen = Seen::default();
    let counted = seen.clone();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            counted.connections.fetch_add(1, Relaxed);
            let (acceptor, calls) = (acceptor.clone(), counted.calls.clone());
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(acceptor.accept(socket).await.unwrap()).await.unwrap();
                while let Some(Ok((request, respond))) = connection.accept().await {
                    answer(&request, calls.fetch_add(1, Relaxed), respond);
                }
            });
        }
    });
    (Api { ca: Some(tls::file("ca.pem")), ..api(&base_url) }, seen)
}

fn say(mut respond: SendResponse<Bytes>, body: &'static str) {
    let mut stream = respond.send_response(Response::new(()), false).unwrap();
    stream.send_data(Bytes::from_static(body.as_bytes()), true).unwrap();
}

#[tokio::test]
async fn many_calls_share_one_connection_where_the_server_offers_it() {
    let (api, seen) = serve(|request, _, respond| {
        assert_eq!(request.version(), Version::HTTP_2);
        say(respond, "ok");
    })
    .await;
    let client = client(&api);
    let orders = call(Method::GET, api.base_url.as_str(), "/orders");
    assert_eq!(client.execute(&orders).await.unwrap().body, "ok");
    let answers = join_all((0..40).map(|_| client.execute(&orders))).await;
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.body == "ok")));
    assert_eq!((seen.connections.load(Relaxed), seen.calls.load(Relaxed)), (1, 41));
}

#[tokio::test]
async fn a_write_whose_stream_is_reset_is_not_sent_twice_and_a_reading_is_sent_again() {
    let (api, seen) = serve(|_, number, mut respond| match number % 2 {
        0 => respond.send_reset(Reason::INTERNAL_ERROR),
        _ => say(respond, "ok"),
    })
    .await;
    let client = client(&api);
    let write = Call { repeatable: false, ..call(Method::POST, api.base_url.as_str(), "/leads") };
    let fault = client.execute(&write).await.unwrap_err();
    assert_eq!((fault.code, fault.disposition), (Code::Broken, Disposition::Park), "{fault:?}");
    assert_eq!(seen.calls.load(Relaxed), 1);
    client.execute(&write).await.unwrap();
    let orders = call(Method::GET, api.base_url.as_str(), "/orders");
    assert_eq!(client.execute(&orders).await.unwrap().attempts, 2);
    assert_eq!(seen.connections.load(Relaxed), 1, "one stream is not the connection");
}

#[tokio::test]
async fn a_stalled_call_is_given_up_and_the_connection_goes_on() {
    let (api, seen) = serve(|request, _, respond| match request.uri().path() {
        // Kept open, and never answered.
        "/stalled" => std::mem::forget(respond),
        _ => say(respond, "ok"),
    })
    .await;
    let client = client(&api);
    let timeout = Some(std::time::Duration::from_millis(50));
    let stalled = Call { timeout, ..call(Method::GET, api.base_url.as_str(), "/stalled") };
    let orders = call(Method::GET, api.base_url.as_str(), "/orders");
    client.execute(&orders).await.unwrap();
    let (ended, well) = tokio::join!(client.execute(&stalled), client.execute(&orders));
    assert_eq!((ended.unwrap_err().code, well.unwrap().body), (Code::Timeout, Bytes::from_static(b"ok")));
    assert_eq!(client.execute(&orders).await.unwrap().body, "ok");
    assert_eq!(seen.connections.load(Relaxed), 1);
}
