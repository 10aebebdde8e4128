//! Sessions and signed requests, as a connector declares them, against a server that checks them.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use chrono::TimeDelta;
use renkei::{
    auth,
    config::plan::Api,
    model::{Code, Fault},
    sandbox::WorldConfig,
    store::Memory,
};

use crate::{
    openssl::Desk,
    wire::{BASE_URL, PausedClock, Wire, calm, customers, ground},
    yaml,
};

const LOGIN: &str = "login: { post: /session/login, body: { json: { user: \"{{ secrets.user }}\", password: \"{{ secrets.password }}\" } } }";
const SECRETS: &str = "auth: { session: { secrets: { user: \"${USER_NAME}\", password: \"${PASSWORD}\" } } }";

const HMAC: &str = r#"auth:
  hmac:
    string: "{{ method }}\n{{ path }}\n{{ query }}\n{{ timestamp }}\n{{ nonce }}\n{{ body_hash }}"
    encoding: base64
    headers: { Authorization: "HMAC {{ secrets.id }}:{{ timestamp }}:{{ nonce }}:{{ signature }}", X-Was: "{{ headers.accept }}" }"#;

fn loaded(connector: &str, connection: &str, password: &str) -> Arc<Api> {
    let desk = Desk::new();
    let connection = format!("base_url: {BASE_URL}\n{connection}");
    yaml::load(desk.0.path(), connector, &connection, &[("USER_NAME", "demo"), ("PASSWORD", password)])
}

fn session(rest: &str, password: &str) -> Arc<Api> {
    loaded(&format!("auth: {{ session: {{ {LOGIN}, {rest} }} }}"), SECRETS, password)
}

fn hmac(password: &str) -> Arc<Api> {
    let account = "auth: { hmac: { secret: \"${PASSWORD}\", secrets: { id: \"${USER_NAME}\" } } }";
    loaded(HMAC, account, password)
}

struct Stage {
    wire: Arc<Wire>,
    store: Memory,
}

impl Stage {
    fn new(skew: TimeDelta) -> Self {
        let world = WorldConfig { token_ttl: Duration::from_secs(60), ..calm() };
        Self { wire: Wire::new(world, PausedClock::new(skew), Duration::from_millis(20)), store: Memory::new() }
    }

    fn client(&self, api: &Api) -> renkei::http::Client {
        auth::client_over(api, self.wire.clone(), &ground(self.store.clone(), self.wire.clock.clone(), 7)).unwrap()
    }

    async fn call(&self, api: &Api) -> Result<(), Fault> {
        self.client(api).execute(&customers(BASE_URL)).await?.accepted().map(drop)
    }

    /// Logins that went well.
    fn logins(&self) -> u64 {
        self.wire.world().counters().tokens
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_is_opened_once_for_everybody_and_used_until_it_ends() {
    for rest in [
        "token: { body: session.token }, send: { X-Session: \"{{ token }}\" }, lifetime: { seconds: session.seconds }",
        "token: { body: session.token }, send: { X-Session: \"{{ token }}\" }, lifetime: { until: session.until }",
        "token: { header: X-Session }, send: { Cookie: \"sid={{ token }}\" }, lifetime: { fixed: 60s }",
        "token: { cookie: sid }",
    ] {
        // The end is by the server's clock, so ours may be off.
        let stage = Stage::new(TimeDelta::minutes(10));
        let api = session(rest, "demo-secret");
        let client = stage.client(&api);
        let callers: Vec<_> = (0..8)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move { client.execute(&customers(BASE_URL)).await.unwrap().accepted().map(drop) })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap().unwrap();
        }
        assert_eq!(stage.logins(), 1, "{rest}");
        // The next process finds it in the store.
        stage.call(&api).await.unwrap();
        assert_eq!(stage.logins(), 1, "{rest}");
        tokio::time::sleep(Duration::from_secs(50)).await;
        stage.call(&api).await.unwrap();
        assert_eq!((stage.logins(), stage.wire.refused.load(Relaxed)), (2, 0), "{rest}: renewed ahead of its end");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_the_server_ended_is_opened_anew_once() {
    let stage = Stage::new(TimeDelta::zero());
    let api = session("token: { body: session.token }, send: { X-Session: \"{{ token }}\" }", "demo-secret");
    stage.call(&api).await.unwrap();
    stage.wire.world().revoke_tokens();
    stage.call(&api).await.unwrap();
    assert_eq!(stage.logins(), 2);
}

#[tokio::test(start_paused = true)]
async fn another_password_does_not_meet_the_session_of_the_one_before() {
    let stage = Stage::new(TimeDelta::zero());
    let rest = "token: { cookie: sid }";
    stage.call(&session(rest, "demo-secret")).await.unwrap();
    let fault = stage.call(&session(rest, "another-password")).await.unwrap_err();
    assert_eq!((fault.code, fault.exit_code()), (Code::SessionRefused, 4), "{fault}");
    assert!(
        fault.message.contains("the user or password is wrong") && !format!("{fault:?}").contains("another-password")
    );
}

#[tokio::test(start_paused = true)]
async fn a_login_whose_answer_lacks_the_token_says_so() {
    for rest in [
        "token: { body: session.tokem }, send: { X-Session: \"{{ token }}\" }",
        "token: { body: session }, send: { X-Session: \"{{ token }}\" }",
        "token: { header: X-Sesion }, send: { X-Session: \"{{ token }}\" }",
        "token: { cookie: sad }",
    ] {
        let stage = Stage::new(TimeDelta::zero());
        let fault = stage.call(&session(rest, "demo-secret")).await.unwrap_err();
        assert_eq!((fault.code, fault.exit_code()), (Code::SessionAnswer, 5), "{rest}: {fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_request_is_signed_anew_by_the_declared_text() {
    let stage = Stage::new(TimeDelta::zero());
    let client = stage.client(&hmac("demo-secret"));
    for _ in 0..3 {
        client.execute(&customers(BASE_URL)).await.unwrap().accepted().unwrap();
    }
    let fault = stage.call(&hmac("another-secret")).await.unwrap_err();
    assert_eq!((fault.code, fault.exit_code()), (Code::Unauthorized, 4));
    assert!(fault.message.contains("the signature does not fit"), "{fault}");
    assert!(!format!("{fault:?}").contains("another-secret"));
}

#[tokio::test(start_paused = true)]
async fn a_signature_by_a_clock_that_is_ten_minutes_off_is_made_again_by_the_servers_time() {
    for minutes in [-10, 10] {
        let stage = Stage::new(TimeDelta::minutes(minutes));
        let client = stage.client(&hmac("demo-secret"));
        let answer = client.execute(&customers(BASE_URL)).await.unwrap();
        assert_eq!(answer.attempts, 2);
        let answer = client.execute(&customers(BASE_URL)).await.unwrap();
        assert_eq!(answer.attempts, 1, "the server's time is known by then");
    }
}

#[tokio::test(start_paused = true)]
async fn a_text_that_cannot_be_made_stops_before_anything_is_sent() {
    let stage = Stage::new(TimeDelta::zero());
    let broken = HMAC.replace("{{ headers.accept }}", "x{{ headers.no_such_header }}");
    let account = "auth: { hmac: { secret: \"${PASSWORD}\", secrets: { id: \"${USER_NAME}\" } } }";
    let fault = stage.call(&loaded(&broken, account, "demo-secret")).await.unwrap_err();
    assert_eq!((fault.code, fault.exit_code()), (Code::Unsigned, 3), "{fault}");
    assert_eq!(stage.wire.world().counters().requests, 0);
}
