//! Connections that refuse, reset, stall and are reused; redirects; and who may be asked at all.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{
    Router,
    http::{HeaderMap, Uri},
    response::Redirect,
    routing::{any, get, post},
};
use http::{HeaderValue, Method};
use renkei::{
    http::Call,
    model::{Code, Disposition},
};
use tokio::{io::AsyncWriteExt, net::TcpListener};

use crate::support::{self, api, call, client, serve, serve_raw};

#[tokio::test]
async fn a_port_where_nobody_listens_is_unreachable() {
    let base_url = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let fault = support::get(&base_url, "/orders").await.unwrap_err();
    assert_eq!(fault.code, Code::Unreachable);
    assert!(fault.message.contains("refused"), "{}", fault.message);
    assert!(matches!(fault.disposition, Disposition::Retry { .. }));
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_unreachable() {
    let fault = support::get("http://no-such-host.invalid", "/orders").await.unwrap_err();
    assert_eq!(fault.code, Code::Unreachable, "{fault:?}");
}

#[tokio::test]
async fn a_connection_that_closes_without_an_answer_is_broken_and_a_repeatable_call_goes_on() {
    let base_url = serve_raw(|mut socket, number| async move {
        if number == 1 {
            socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        }
    })
    .await;
    let answer = support::get(&base_url, "/orders").await.unwrap();
    assert_eq!((answer.attempts, &answer.body[..]), (2, &b"ok"[..]));
    let blind = Call { repeatable: false, ..call(Method::POST, &base_url, "/orders") };
    let fault = client(&api(&base_url)).execute(&blind).await.unwrap_err();
    assert_eq!((fault.code, fault.disposition), (Code::Broken, Disposition::Park));
}

#[tokio::test]
async fn a_reset_is_broken_before_the_answer_and_cuts_it_short_inside() {
    for (start, code) in [("", Code::Broken), ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", Code::Truncated)] {
        let base_url = serve_raw(move |mut socket, _| async move {
            let _ = socket.write_all(start.as_bytes()).await;
            socket.set_zero_linger().unwrap();
        })
        .await;
        let fault = support::get(&base_url, "/orders").await.unwrap_err();
        // A reset may overtake the bytes before it; then the head is lost too.
        assert!(fault.code == code || fault.code == Code::Broken, "{fault:?}");
    }
}

#[tokio::test]
async fn what_is_no_http_is_broken() {
    let base_url = support::serve_bytes("SSH-2.0-OpenSSH_9.9\r\n").await;
    assert_eq!(support::get(&base_url, "/orders").await.unwrap_err().code, Code::Broken);
}

#[tokio::test]
async fn a_server_that_stalls_before_or_inside_its_answer_runs_out_of_time() {
    for start in ["", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"] {
        let base_url = serve_raw(move |mut socket, _| async move {
            let _ = socket.write_all(start.as_bytes()).await;
            std::future::pending::<()>().await;
        })
        .await;
        let quick = Call { timeout: Some(Duration::from_millis(50)), ..call(Method::GET, &base_url, "/orders") };
        let fault = client(&api(&base_url)).execute(&quick).await.unwrap_err();
        assert_eq!(fault.code, Code::Timeout, "{start}");
    }
}

#[tokio::test]
async fn connections_are_kept_and_used_again() {
    let connections = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let counted = connections.clone();
    let listener = axum::serve::ListenerExt::tap_io(listener, move |_| {
        counted.fetch_add(1, Relaxed);
    });
    let app = Router::new().route("/orders", get(|| async { "[]" }));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let client = client(&api(&base_url));
    for _ in 0..5 {
        client.execute(&call(Method::GET, &base_url, "/orders")).await.unwrap();
    }
    assert_eq!(connections.load(Relaxed), 1);
}

#[tokio::test]
async fn a_get_carries_no_body_and_a_post_carries_its_own() {
    let seen: Arc<Mutex<Vec<HeaderMap>>> = Arc::default();
    let kept = seen.clone();
    let app = Router::new().route(
        "/orders",
        any(move |headers: HeaderMap, body: String| async move {
            kept.lock().unwrap().push(headers);
            body
        }),
    );
    let base_url = serve(app).await;
    support::get(&base_url, "/orders").await.unwrap();
    let mut post = call(Method::POST, &base_url, "/orders");
    post.body = "a=b".into();
    post.headers.insert("idempotency-key", HeaderValue::from_static("k1"));
    assert_eq!(client(&api(&base_url)).execute(&post).await.unwrap().body, "a=b");
    let seen = seen.lock().unwrap();
    assert!(!seen[0].contains_key("content-length") && !seen[0].contains_key("transfer-encoding"));
    assert!(seen[0]["accept-encoding"].to_str().unwrap().contains("gzip"));
    assert!(seen[0]["user-agent"].to_str().unwrap().starts_with("renkei/"));
    assert_eq!(
        (&seen[1]["content-length"], &seen[1]["idempotency-key"]),
        (&"3".parse().unwrap(), &"k1".parse().unwrap())
    );
}

#[tokio::test]
async fn a_redirect_on_the_same_host_is_followed_for_reading() {
    let app = Router::new()
        .route("/orders", get(|| async { Redirect::to("/v2/orders?page=1") }))
        .route("/v2/orders", get(|uri: Uri| async move { uri.to_string() }));
    assert_eq!(support::get(&serve(app).await, "/orders").await.unwrap().body, "/v2/orders?page=1");
}

#[tokio::test]
async fn a_write_is_only_sent_on_where_its_method_is_kept() {
    let app = Router::new()
        .route("/moved", post(|| async { Redirect::to("/new") }))
        .route("/kept", post(|| async { Redirect::temporary("/new") }))
        .route("/new", any(|method: Method, body: String| async move { format!("{method} {body}") }));
    let base_url = serve(app).await;
    let post = |path| Call { body: "a=b".into(), ..call(Method::POST, &base_url, path) };
    let fault = client(&api(&base_url)).execute(&post("/moved")).await.unwrap_err();
    assert_eq!(fault.code, Code::Redirect, "a POST that came back as a GET would look accepted");
    assert_eq!(client(&api(&base_url)).execute(&post("/kept")).await.unwrap().body, "POST a=b");
}

#[tokio::test]
async fn a_redirect_to_another_host_port_or_scheme_is_not_followed_and_nothing_arrives_there() {
    let arrived = Arc::new(AtomicUsize::new(0));
    let counted = arrived.clone();
    let other = serve(Router::new().fallback(move || async move {
        counted.fetch_add(1, Relaxed);
        "stolen"
    }))
    .await;
    let port = other.rsplit(':').next().unwrap().to_owned();
    let places = [
        format!("{other}/steal?token=planted"),
        format!("http://localhost:{port}/"),
        "https://127.0.0.1/".to_owned(),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "file:///etc/passwd".to_owned(),
    ];
    for place in places {
        let to = place.clone();
        let app = Router::new().route("/orders", get(move || async move { Redirect::to(&to) }));
        let fault = support::get(&serve(app).await, "/orders").await.unwrap_err();
        assert_eq!((fault.code, fault.disposition), (Code::Redirect, Disposition::Halt), "{place}");
        assert!(!fault.message.contains("planted"), "{}", fault.message);
    }
    assert_eq!(arrived.load(Relaxed), 0);
}

#[tokio::test]
async fn redirects_in_a_circle_end() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let app = Router::new().route(
        "/orders",
        get(move || async move {
            counted.fetch_add(1, Relaxed);
            Redirect::to("/orders")
        }),
    );
    let fault = support::get(&serve(app).await, "/orders").await.unwrap_err();
    assert_eq!((fault.code, asked.load(Relaxed)), (Code::Redirect, 6));
}

#[tokio::test]
async fn a_page_link_to_another_place_inside_is_not_asked() {
    let base_url = serve(Router::new()).await;
    for away in ["http://127.0.0.1:1/", "http://169.254.169.254/", "http://localhost/", "https://example.test/"] {
        let fault = client(&api(&base_url)).execute(&call(Method::GET, away, "/")).await.unwrap_err();
        assert_eq!((fault.code, fault.disposition), (Code::Egress, Disposition::Halt), "{away}");
    }
}

#[tokio::test]
async fn localhost_in_the_configured_url_is_meant() {
    let base_url = serve(Router::new().route("/orders", get(|| async { "[]" }))).await;
    let by_name = base_url.replace("127.0.0.1", "localhost");
    assert_eq!(support::get(&by_name, "/orders").await.unwrap().body, "[]");
}

/// Proxies are read from the environment once per process, so this test runs the next one in a process of its own.
#[tokio::test]
async fn a_proxy_from_the_environment_is_used_but_never_for_this_machine() {
    let proxy = support::serve_bytes("HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\nvia").await;
    let child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sockets::with_a_proxy", "--ignored", "--nocapture"])
        .env("HTTP_PROXY", &proxy)
        .env("http_proxy", &proxy)
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .output()
        .await
        .unwrap();
    let shown = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && shown.contains("1 passed"), "{shown}");
}

#[tokio::test]
#[ignore = "run by the test above, with a proxy in the environment"]
async fn with_a_proxy() {
    assert_eq!(support::get("http://far.invalid", "/orders").await.unwrap().body, "via");
    assert_eq!(support::get("http://127.0.0.1:1", "/orders").await.unwrap_err().code, Code::Unreachable);
    assert_eq!(support::get("http://localhost:1", "/orders").await.unwrap_err().code, Code::Unreachable);
}
