//! Secrets on real sockets: with every log line of every library on, none of them shows.

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    http::{HeaderMap, StatusCode, Uri},
};
use http::Method;
use renkei::{
    auth::{self, Ground, Vault},
    config::plan::Auth,
    model::{SystemClock, SystemEntropy},
    store::{Memory, Seal},
};

use crate::support::{api, call, serve};

/// Keeps everything that is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_log_line_of_any_library_and_no_error_shows_a_secret() {
    let log = Log::default();
    let writer = log.clone();
    let trace = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE);
    let _logging = tracing::subscriber::set_default(trace.with_writer(move || writer.clone()).finish());
    // Echoes what it got, as careless servers do.
    let app = Router::new().fallback(|uri: Uri, headers: HeaderMap| async move {
        (StatusCode::BAD_REQUEST, serde_json::json!({ "message": format!("{uri} {headers:?}") }).to_string())
    });
    let base_url = serve(app).await;
    let ground = Ground {
        vault: Vault::new(Arc::new(Memory::new()), Arc::new(Seal::plain())),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy::seeded(1)),
    };
    let mut shown = String::new();
    for auth in [
        Auth::Bearer { token: "planted-token".into() },
        Auth::Basic { user: "planted-user".to_owned(), password: "planted-password".into() },
        Auth::ApiKeyHeader { header: "x-key".parse().unwrap(), value: "planted-header".into() },
        Auth::ApiKeyQuery { parameter: "hapi".to_owned(), value: "planted-query".into() },
    ] {
        let mut api = api(&base_url);
        api.auth = auth;
        for place in [&base_url, "http://me:planted-url@127.0.0.1:1"] {
            let ended = auth::client(&api, &ground).unwrap().execute(&call(Method::GET, place, "/orders")).await;
            shown += &format!("{:?}", ended.map(|answer| answer.ruling));
        }
    }
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("hyper") && logged.contains("attempt") && shown.contains("***"));
    for text in [logged, shown] {
        // "cGxhbnRlZ" is how "planted" begins in base64.
        assert!(!text.contains("planted") && !text.contains("cGxhbnRlZ"), "{text}");
    }
}
