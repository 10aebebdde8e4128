//! Signing in against a scripted server.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use http::Method;
use secrecy::ExposeSecret;
use url::form_urlencoded;

use super::{Ground, Vault, client_over, token::Token, vault::TokenKey};
use crate::{
    config::plan::{Auth, Grant, OAuth2},
    http::{
        Client, Request, Response, SendError,
        script::{Script, SetClock, answer, api, call},
    },
    model::{Blame, Code, Disposition, SystemEntropy},
    store::{Memory, PowerLoss, Seal, SealKey},
};

/// Tokens live in a store that can lose power; the clock is set by hand.
struct World {
    store: Arc<Memory>,
    clock: Arc<SetClock>,
    ground: Ground,
}

impl World {
    fn new() -> Self {
        let store = Arc::new(Memory::new());
        let clock = SetClock::new();
        let seal = Arc::new(Seal::new(&SealKey::parse(&"5".repeat(64)).unwrap()));
        let vault = Vault::new(store.clone(), seal);
        let ground = Ground { vault, clock: clock.clone(), entropy: Arc::new(SystemEntropy::seeded(7)) };
        Self { store, clock, ground }
    }

    fn client(&self, oauth2: OAuth2, server: &Arc<Script>) -> Client {
        client_over(&api(Auth::OAuth2(oauth2)), server.clone(), &self.ground).unwrap()
    }

    async fn saved(&self, oauth2: &OAuth2) -> Option<Token> {
        self.ground.vault.load(&TokenKey::new("shop", oauth2)).await.unwrap()
    }
}

fn oauth2(grant: Grant) -> OAuth2 {
    OAuth2 {
        grant,
        token_url: "https://id.test/oauth/token".parse().unwrap(),
        client_id: "me".to_owned(),
        client_secret: Some("hush-hush".into()),
        secret_in_body: false,
        scopes: vec!["read".to_owned(), "write".to_owned()],
    }
}

fn refreshing() -> OAuth2 {
    oauth2(Grant::RefreshToken { token: "refresh-0".into() })
}

fn is_token_request(request: &Request) -> bool {
    request.url.host_str() == Some("id.test")
}

fn form(request: &Request) -> Vec<(String, String)> {
    form_urlencoded::parse(&request.body).into_owned().collect()
}

fn bearer(request: &Request) -> &str {
    request.headers["authorization"].to_str().unwrap()
}

/// A token server that rotates: each refresh token is good once, and access token n is refused once n + 1 was given.
fn rotating(latency: Duration) -> Arc<Script> {
    let given = AtomicUsize::new(0);
    Script::new(latency, move |request, _| {
        let current = given.load(Relaxed);
        if !is_token_request(request) {
            let fits = bearer(request) == format!("Bearer access-{current}");
            return if fits { answer(200, &[], "{}") } else { answer(401, &[], "{}") };
        }
        let spent = form(request).into_iter().find(|(name, _)| name == "refresh_token").unwrap().1;
        if spent != format!("refresh-{current}") {
            return answer(400, &[], r#"{"error":"invalid_grant"}"#);
        }
        let next = current + 1;
        given.store(next, Relaxed);
        let body = format!(
            r#"{{"access_token":"access-{next}","refresh_token":"refresh-{next}","token_type":"bearer","expires_in":3600}}"#
        );
        answer(200, &[("content-type", "application/json")], &body)
    })
}

/// Answers token requests with `token`, everything else with 200.
fn granting(token: Result<Response, SendError>) -> Arc<Script> {
    Script::new(
        Duration::ZERO,
        move |request, _| {
            if is_token_request(request) { token.clone() } else { answer(200, &[], "{}") }
        },
    )
}

fn token_requests(server: &Script) -> usize {
    server.seen().iter().filter(|request| is_token_request(request)).count()
}

#[tokio::test(start_paused = true)]
async fn client_credentials_get_a_token_that_is_used_until_shortly_before_its_end() {
    let world = World::new();
    let server = granting(answer(200, &[], r#"{"access_token":"abc","token_type":"Bearer","expires_in":3600}"#));
    let client = world.client(oauth2(Grant::ClientCredentials), &server);
    for _ in 0..3 {
        client.execute(&call(Method::GET, "orders")).await.unwrap().accepted().unwrap();
    }
    let seen = server.seen();
    assert_eq!(seen.len(), 4);
    assert_eq!(bearer(&seen[0]), "Basic bWU6aHVzaC1odXNo");
    let pairs = form(&seen[0]);
    assert!(pairs.contains(&("grant_type".to_owned(), "client_credentials".to_owned())));
    assert!(pairs.contains(&("scope".to_owned(), "read write".to_owned())));
    assert!(seen[1..].iter().all(|request| bearer(request) == "Bearer abc"));
    world.clock.pass(3590);
    client.execute(&call(Method::GET, "orders")).await.unwrap();
    assert_eq!(token_requests(&server), 2);
}

#[tokio::test(start_paused = true)]
async fn the_client_secret_goes_into_the_body_where_the_plan_says_so() {
    let server = granting(answer(200, &[], r#"{"access_token":"abc","token_type":"Bearer"}"#));
    let client = World::new().client(OAuth2 { secret_in_body: true, ..oauth2(Grant::ClientCredentials) }, &server);
    client.execute(&call(Method::GET, "orders")).await.unwrap();
    let request = &server.seen()[0];
    assert!(!request.headers.contains_key("authorization"));
    assert!(form(request).contains(&("client_secret".to_owned(), "hush-hush".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn eight_callers_share_one_refresh_of_a_rotating_token() {
    let world = World::new();
    let server = rotating(Duration::from_millis(300));
    let client = world.client(refreshing(), &server);
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.execute(&call(Method::GET, "orders")).await.unwrap().accepted() })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
    assert_eq!(token_requests(&server), 1);
    assert_eq!(world.saved(&refreshing()).await.unwrap().refresh.unwrap().expose_secret(), "refresh-1");
}

#[tokio::test(start_paused = true)]
async fn eight_callers_whose_token_is_refused_share_one_refresh_too() {
    let world = World::new();
    let server = rotating(Duration::from_millis(300));
    let client = world.client(refreshing(), &server);
    client.execute(&call(Method::GET, "orders")).await.unwrap();
    // Another program spends the token behind our back: ours is now refused, before its end.
    let key = TokenKey::new("shop", &refreshing());
    let mut stale = world.ground.vault.load(&key).await.unwrap().unwrap();
    stale.access = "revoked".into();
    world.ground.vault.save(&key, &stale).await.unwrap();
    let client = world.client(refreshing(), &server);
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.execute(&call(Method::GET, "orders")).await.unwrap().accepted() })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap().attempts, 2);
    }
    assert_eq!(token_requests(&server), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_outlives_the_process_and_changed_settings_do_not_meet_it() {
    let world = World::new();
    let server = rotating(Duration::ZERO);
    for _ in 0..3 {
        let client = world.client(refreshing(), &server);
        client.execute(&call(Method::GET, "orders")).await.unwrap().accepted().unwrap();
    }
    assert_eq!(token_requests(&server), 1);
    let other = OAuth2 { scopes: Vec::new(), ..refreshing() };
    let fault = world.client(other, &server).execute(&call(Method::GET, "orders")).await.unwrap_err();
    assert_eq!(fault.code, Code::TokenRefused, "the configured refresh token is spent, and the saved one is not used");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_does_not_lose_the_rotated_token() {
    let world = World::new();
    let server = rotating(Duration::from_millis(300));
    let client = world.client(refreshing(), &server);
    let gave_up = tokio::time::timeout(Duration::from_millis(100), client.execute(&call(Method::GET, "orders"))).await;
    assert!(gave_up.is_err());
    client.execute(&call(Method::GET, "orders")).await.unwrap().accepted().unwrap();
    assert_eq!(token_requests(&server), 1);
    assert_eq!(world.saved(&refreshing()).await.unwrap().refresh.unwrap().expose_secret(), "refresh-1");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_cannot_be_saved_is_not_used_before_it_is_durable() {
    let world = World::new();
    let server = rotating(Duration::ZERO);
    let client = world.client(refreshing(), &server);
    world.store.lose_power_at(world.store.operations() + 1, PowerLoss::Before);
    let fault = client.execute(&call(Method::GET, "orders")).await.unwrap_err();
    assert_eq!(fault.blame, Blame::Host);
    let fault = client.execute(&call(Method::GET, "orders")).await.unwrap_err();
    assert_eq!(fault.blame, Blame::Host);
    assert_eq!(server.seen().len(), token_requests(&server), "no call went out with a token that may be lost");
    assert_eq!(token_requests(&server), 1, "and it is kept in memory, so the next attempt does not spend another");
}

#[tokio::test(start_paused = true)]
async fn callers_that_waited_for_a_failed_refresh_share_its_failure() {
    let world = World::new();
    let server = Script::new(Duration::from_millis(300), |_, _| answer(400, &[], r#"{"error":"invalid_grant"}"#));
    let client = world.client(refreshing(), &server);
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.execute(&call(Method::GET, "orders")).await })
        })
        .collect();
    for caller in callers {
        let fault = caller.await.unwrap().unwrap_err();
        assert_eq!((fault.code, fault.disposition), (Code::TokenRefused, Disposition::Halt));
        assert_eq!((fault.blame, fault.exit_code()), (Blame::Credentials, 4));
        assert!(fault.help.contains("Sign in again"));
    }
    assert_eq!(token_requests(&server), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_without_rotation_keeps_the_configured_token() {
    let world = World::new();
    let server = granting(answer(200, &[], r#"{"access_token":"abc","token_type":"bearer","expires_in":100}"#));
    let client = world.client(refreshing(), &server);
    client.execute(&call(Method::GET, "orders")).await.unwrap();
    world.clock.pass(100);
    client.execute(&call(Method::GET, "orders")).await.unwrap();
    let requests: Vec<_> = server.seen().into_iter().filter(is_token_request).collect();
    assert_eq!(requests.len(), 2);
    for request in requests {
        assert!(form(&request).contains(&("refresh_token".to_owned(), "refresh-0".to_owned())));
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_new_tokens_too_is_asked_once_more_and_no_more() {
    let world = World::new();
    let server = Script::new(Duration::ZERO, |request, number| match is_token_request(request) {
        true => answer(200, &[], &format!(r#"{{"access_token":"abc{number}","token_type":"bearer"}}"#)),
        false => answer(401, &[], r#"{"message":"who?"}"#),
    });
    let client = world.client(oauth2(Grant::ClientCredentials), &server);
    let fault = client.execute(&call(Method::GET, "orders")).await.unwrap_err();
    assert_eq!((fault.code, fault.exit_code()), (Code::Unauthorized, 4));
    assert_eq!(server.seen().len(), 4, "token, call, token, call");
}

#[tokio::test(start_paused = true)]
async fn token_requests_are_retried_like_any_other() {
    let world = World::new();
    let server = Script::new(Duration::ZERO, |request, number| match (is_token_request(request), number) {
        (true, 0) => Err(SendError::Timeout),
        (true, 1) => answer(503, &[], "busy"),
        (true, _) => answer(200, &[], r#"{"access_token":"abc","token_type":"bearer"}"#),
        (false, _) => answer(200, &[], "{}"),
    });
    world.client(oauth2(Grant::ClientCredentials), &server).execute(&call(Method::GET, "orders")).await.unwrap();
    assert_eq!(token_requests(&server), 3);
}

#[tokio::test(start_paused = true)]
async fn harmless_strangeness_in_a_token_answer_is_set_right() {
    for (status, content_type, body) in [
        (200, "application/json", r#"{"access_token":"abc","expires_in":"3600"}"#),
        (201, "text/plain", r#"{"access_token":"abc","token_type":"BEARER","expires_in":3599.7}"#),
        (200, "application/json; charset=utf-8", r#"{"access_token":"abc","token_type":"bot","expires_in":0}"#),
        (200, "application/json", r#"{"access_token":"abc","expires_in":99999999999999999}"#),
    ] {
        let server = granting(answer(status, &[("content-type", content_type)], body));
        let client = World::new().client(oauth2(Grant::ClientCredentials), &server);
        client.execute(&call(Method::GET, "orders")).await.unwrap();
        assert_eq!(bearer(&server.seen()[1]), "Bearer abc", "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_answer_that_cannot_be_used_says_so_without_quoting_it() {
    for (status, body) in [
        (200, "<html>planted</html>"),
        (404, "<html>planted</html>"),
        (200, ""),
        (200, r#"{"token":"planted"}"#),
        (200, r#"{"access_token":"","token_type":"bearer"}"#),
        (200, r#"{"access_token":"a b\n","token_type":"bearer"}"#),
        (200, r#"{"access_token":["planted"],"token_type":"bearer"}"#),
        (200, r#"{"access_token":"planted","token_type":"mac"}"#),
        (200, r#"{"access_token":"planted","token_type":"bearer","expires_in":-5}"#),
        (200, r#"{"access_token":"planted","token_type":"bearer","expires_in":"soon"}"#),
    ] {
        let server = granting(answer(status, &[], body));
        let client = World::new().client(oauth2(Grant::ClientCredentials), &server);
        let fault = client.execute(&call(Method::GET, "orders")).await.unwrap_err();
        assert_eq!((fault.code, fault.disposition), (Code::TokenAnswer, Disposition::Halt), "{body}: {fault}");
        assert!(!format!("{fault:?}").contains("planted"), "{fault:?}");
        assert!(fault.message.contains("https://id.test/oauth/token"), "{}", fault.message);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_with_status_200_is_a_refusal() {
    let server =
        granting(answer(200, &[], r#"{"ok":false,"error":"invalid_client","error_description":"no such app"}"#));
    let client = World::new().client(oauth2(Grant::ClientCredentials), &server);
    let fault = client.execute(&call(Method::GET, "orders")).await.unwrap_err();
    assert_eq!(fault.code, Code::TokenRefused);
    assert!(fault.message.ends_with("refused: invalid_client: no such app"), "{}", fault.message);
}

#[tokio::test(start_paused = true)]
async fn fixed_credentials_are_put_where_they_belong() {
    let cases = [
        (Auth::Bearer { token: "t0ken".into() }, "authorization", "Bearer t0ken"),
        (Auth::Basic { user: "me".to_owned(), password: "pä:ss".into() }, "authorization", "Basic bWU6cMOkOnNz"),
        (Auth::ApiKeyHeader { header: "x-key".parse().unwrap(), value: "k3y".into() }, "x-key", "k3y"),
    ];
    for (auth, header, value) in cases {
        let server = Script::list(vec![answer(200, &[], "{}")]);
        let client = client_over(&api(auth), server.clone(), &World::new().ground).unwrap();
        client.execute(&call(Method::GET, "orders")).await.unwrap();
        let sent = &server.seen()[0].headers[header];
        assert_eq!((sent.to_str().unwrap(), sent.is_sensitive()), (value, true));
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_in_the_query_replaces_the_one_a_page_link_brought_along() {
    let server = Script::list(vec![answer(200, &[], "{}")]);
    let auth = Auth::ApiKeyQuery { parameter: "key".to_owned(), value: "k&y".into() };
    let client = client_over(&api(auth), server.clone(), &World::new().ground).unwrap();
    client.execute(&call(Method::GET, "orders?page=2&key=old&q=a%20b")).await.unwrap();
    client.execute(&call(Method::GET, "orders?q=a%20b")).await.unwrap();
    let urls: Vec<String> = server.seen().iter().map(|request| request.url.query().unwrap().to_owned()).collect();
    assert_eq!(urls, ["page=2&q=a+b&key=k%26y", "q=a%20b&key=k%26y"]);
}

#[test]
fn a_secret_with_a_line_break_is_refused_before_anything_is_sent() {
    let server = Script::list(vec![answer(200, &[], "{}")]);
    let auth = Auth::Bearer { token: "planted\n".into() };
    let Err(fault) = client_over(&api(auth), server, &World::new().ground) else { panic!() };
    assert_eq!(fault.exit_code(), 4);
    assert!(!format!("{fault:?}").contains("planted"));
}

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
        Auth::OAuth2(OAuth2 { client_secret: Some(secret.into()), ..refreshing() }),
        Auth::OAuth2(oauth2(Grant::RefreshToken { token: secret.into() })),
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
