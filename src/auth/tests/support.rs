//! What the tests of this room stand on: tokens in a store that can lose power, a clock that is set by hand, and token
//! servers by script.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use url::form_urlencoded;

use crate::{
    auth::{Ground, Vault, client_over, kept::Kept, oauth::token_key},
    config::plan::{Auth, ClientAuth, Grant, OAuth2},
    http::{
        Client, Request, Response, SendError,
        script::{Script, SetClock, answer, api},
    },
    model::SystemEntropy,
    store::{Memory, Seal, SealKey},
};

/// Tokens live in a store that can lose power; the clock is set by hand.
pub struct World {
    pub store: Arc<Memory>,
    pub clock: Arc<SetClock>,
    pub ground: Ground,
}

impl World {
    pub fn new() -> Self {
        let store = Arc::new(Memory::new());
        let clock = SetClock::new();
        let seal = Arc::new(Seal::new(&SealKey::parse(&"5".repeat(64)).unwrap()));
        let vault = Vault::new(store.clone(), seal);
        let ground = Ground { vault, clock: clock.clone(), entropy: Arc::new(SystemEntropy::seeded(7)) };
        Self { store, clock, ground }
    }

    pub fn client(&self, oauth2: OAuth2, server: &Arc<Script>) -> Client {
        client_over(&api(Auth::OAuth2(Box::new(oauth2))), server.clone(), &self.ground).unwrap()
    }

    pub async fn saved(&self, oauth2: &OAuth2) -> Option<Kept> {
        self.ground.vault.load(&token_key("shop", oauth2)).await.unwrap()
    }
}

pub fn oauth2(grant: Grant) -> OAuth2 {
    OAuth2 {
        grant,
        token_url: "https://id.test/oauth/token".parse().unwrap(),
        client_id: "me".to_owned(),
        client: ClientAuth::Basic { secret: "hush-hush".into() },
        scopes: vec!["read".to_owned(), "write".to_owned()],
        parameters: Vec::new(),
    }
}

pub fn refreshing() -> OAuth2 {
    oauth2(Grant::RefreshToken { token: "refresh-0".into() })
}

pub fn is_token_request(request: &Request) -> bool {
    request.url.host_str() == Some("id.test")
}

pub fn form(request: &Request) -> Vec<(String, String)> {
    form_urlencoded::parse(&request.body).into_owned().collect()
}

pub fn bearer(request: &Request) -> &str {
    request.headers["authorization"].to_str().unwrap()
}

/// A token server that rotates: each refresh token is good once, and access token n is refused once n + 1 was given.
pub fn rotating(latency: Duration) -> Arc<Script> {
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
pub fn granting(token: Result<Response, SendError>) -> Arc<Script> {
    Script::new(
        Duration::ZERO,
        move |request, _| {
            if is_token_request(request) { token.clone() } else { answer(200, &[], "{}") }
        },
    )
}

pub fn token_requests(server: &Script) -> usize {
    server.seen().iter().filter(|request| is_token_request(request)).count()
}
