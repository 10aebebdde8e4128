//! Secrets: whatever a server echoes, none shows.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use http::Method;

use super::support::{World, is_token_request, oauth2, refreshing};
use crate::{
    auth::client_over,
    config::plan::{Auth, ClientAuth, Grant, OAuth2},
    http::{
        Request,
        script::{Script, answer, api, call},
    },
};

/// Collects everything that is logged, at every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn planted_secrets_are_in_no_log_and_no_error() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let secret = "planted-s3cret/+=";
    let auths = [
        Auth::Bearer { token: secret.into() },
        Auth::Basic { user: "planted-user".to_owned(), password: secret.into() },
        Auth::ApiKeyHeader { header: "x-key".parse().unwrap(), value: secret.into() },
        Auth::ApiKeyQuery { parameter: "hapi".to_owned(), value: secret.into() },
        Auth::OAuth2(Box::new(OAuth2 { client: ClientAuth::Basic { secret: secret.into() }, ..refreshing() })),
        Auth::OAuth2(Box::new(oauth2(Grant::RefreshToken { token: secret.into() }))),
    ];
    let mut shown = String::new();
    for auth in auths {
        // A server that echoes everything it got, in each way an answer can fail.
        let echo = move |request: &Request| {
            let headers: Vec<_> = request.headers.values().map(|value| value.to_str().unwrap()).collect();
            let body = String::from_utf8_lossy(&request.body).into_owned();
            let (said, token) = (format!("{} {headers:?} {body} {secret}", request.url), "planted-access");
            serde_json::json!({ "message": said, "error": said, "error_description": said, "access_tokem": token })
                .to_string()
        };
        for status in [400, 401, 403, 404, 409, 429, 500, 503] {
            let server = Script::new(Duration::ZERO, move |request, _| {
                if is_token_request(request) && status != 400 {
                    return answer(200, &[], r#"{"access_token":"planted-access","token_type":"bearer"}"#);
                }
                answer(status, &[("x-echo", secret)], &echo(request))
            });
            let client = client_over(&api(auth.clone()), server, &World::new().ground).unwrap();
            let ended = client.execute(&call(Method::POST, "orders?access_token=planted-page&x=1")).await;
            match ended {
                Ok(answer) => shown += &format!("{:?}", answer.ruling),
                Err(fault) => shown += &format!("{fault:?} {fault}"),
            }
        }
        shown += &format!("{auth:?}");
    }
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("attempt") && logged.contains("next try in") && shown.contains("***"));
    for text in [&logged, &shown] {
        for part in ["planted-s3cret", "cGxhbnRlZ", "planted-access", "planted-page"] {
            assert!(!text.contains(part), "{part} in {text}");
        }
    }
}
