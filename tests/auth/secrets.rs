//! Planted secrets of every kind of sign-in: whatever a server echoes and however an answer fails, none shows in a log, an
//! error, a debug print or the store.

use std::{
    io::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use renkei::{
    auth::{self, Account, Ground, Vault},
    http::{Request, Response, SendError, Transport},
    model::{BoxFuture, SystemEntropy},
    store::{Memory, Seal, SealKey, StateStore, Tree},
};

use crate::{
    openssl::Desk,
    wire::{BASE_URL, PausedClock, customers},
    yaml,
};

/// Keeps everything that is logged.
#[derive(Clone, Default)]
pub struct Log(pub Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Says back all it got. Sign-ins go well where the API is to be met, and fail with this status where not.
struct Echo {
    sign_in: Option<u16>,
    status: u16,
}

impl Transport for Echo {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, SendError>> {
        Box::pin(async move {
            let signs_in = matches!(request.url.path(), "/oauth/token" | "/session/login");
            let headers: Vec<_> =
                request.headers.iter().map(|(name, value)| format!("{name}={:?}", value.to_str())).collect();
            // What is shown of it is cut, so each part comes first once.
            let (url, body) = (request.url.to_string(), String::from_utf8_lossy(&request.body).into_owned());
            let said = match self.status % 3 {
                0 => format!("{body} {url} {headers:?}"),
                1 => format!("{headers:?} {body} {url}"),
                _ => format!("{url} {headers:?} {body}"),
            };
            let (status, body) = match self.sign_in {
                None if signs_in => (
                    200,
                    serde_json::json!({ "access_token": "planted-access", "refresh_token": "planted-refresh-2", "sid": "planted-sid" }),
                ),
                status => (
                    status.filter(|_| signs_in).unwrap_or(self.status),
                    serde_json::json!({ "message": said, "error": said, "error_description": said }),
                ),
            };
            Ok(Response {
                status: StatusCode::from_u16(status).unwrap(),
                headers: HeaderMap::new(),
                body: Bytes::from(body.to_string()),
            })
        })
    }
}

#[tokio::test(start_paused = true)]
async fn planted_secrets_of_every_kind_show_nowhere() {
    let log = Log::default();
    let writer = log.clone();
    let trace = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE);
    let _logging = tracing::subscriber::set_default(trace.with_writer(move || writer.clone()).finish());
    let desk = Desk::new();
    desk.key("planted", "ec");
    desk.openssl("pkcs8 -topk8 -in planted.key -out sealed.key -passout pass:planted-password");
    let (key, sealed) = (desk.text("planted.key"), desk.text("sealed.key"));
    let variables =
        [("SECRET", "planted-s3cret/+="), ("KEY", &key), ("SEALED", &sealed), ("PASSWORD", "planted-password")];
    let oauth2 = |rest: &str| format!("auth: {{ oauth2: {{ token_url: /oauth/token, client_id: me, {rest} }} }}");
    let connections = [
        oauth2("grant: { client_credentials: {} }, client_secret: \"${SECRET}\""),
        oauth2("grant: { client_credentials: {} }, client_secret: \"${SECRET}\", secret_in: body"),
        oauth2("grant: { client_credentials: {} }, client_auth: { private_key_jwt: { private_key: \"${SEALED}\", password: \"${PASSWORD}\" } }"),
        oauth2("grant: { refresh_token: { token: \"${SECRET}\" } }"),
        oauth2("grant: { jwt_bearer: { private_key: \"${KEY}\" } }"),
        "auth: { session: { login: { post: /session/login, body: { json: \"{{ secrets.p }}\" } }, token: { body: sid }, send: { \
         X-Sid: \"{{ token }}\" }, secrets: { p: \"${SECRET}\" } } }"
            .to_owned(),
        "auth: { hmac: { secret: \"${SECRET}\", string: \"{{ path }}\", headers: { X-Sig: \"{{ secrets.id }}.{{ signature }}\" }, \
         secrets: { id: \"${PASSWORD}\" } } }"
            .to_owned(),
    ];
    let mut shown = String::new();
    for (number, connection) in connections.iter().enumerate() {
        let api = yaml::load(desk.0.path(), "", &format!("base_url: {BASE_URL}\n{connection}"), &variables);
        shown += &format!("{api:?}");
        for sign_in in [None, Some(200), Some(400), Some(401), Some(403), Some(503)] {
            for status in [200, 400, 401, 403, 429, 500] {
                let store = Arc::new(Memory::new());
                let seal = Arc::new(Seal::new(&SealKey::parse(&"5".repeat(64)).unwrap()));
                let ground = Ground {
                    vault: Vault::new(store.clone(), seal),
                    clock: PausedClock::new(chrono::TimeDelta::zero()),
                    entropy: Arc::new(SystemEntropy::seeded(7)),
                };
                let echo = Arc::new(Echo { sign_in, status });
                let client = auth::client_over(&api, echo.clone(), &ground).unwrap();
                match tokio::time::timeout(Duration::from_secs(3600), client.execute(&customers(BASE_URL)))
                    .await
                    .unwrap()
                {
                    Ok(answer) => shown += &format!("{number} {:?}", answer.ruling),
                    Err(fault) => shown += &format!("{number} {fault:?} {fault}"),
                }
                let account = Account::over(&api, echo, &ground).unwrap();
                shown += &format!("{:?}", account.status().await.unwrap());
                for tree in Tree::ALL {
                    for (key, value) in store.scan(tree, b"", None, 100).await.unwrap() {
                        shown += &String::from_utf8_lossy(&[key, value].concat());
                    }
                }
            }
        }
    }
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("attempt") && shown.contains("***"));
    // The middle of the key, as PEM and as DER would show it; "cGxhbnRlZ" is how "planted" begins in base64.
    let body = key.lines().nth(1).unwrap();
    for text in [&logged, &shown] {
        for part in ["planted", "cGxhbnRlZ", &body[..20], "eyJhbGciOi"] {
            assert!(
                !text.contains(part),
                "{part} in {}",
                text.find(part).map_or("", |at| &text[at.saturating_sub(300)..(at + 50).min(text.len())])
            );
        }
    }
}
