//! Token endpoints that do what they should not, over real sockets: they send us elsewhere, answer without end, or are pages
//! for people. Each is one coded error, and no credentials go anywhere else.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use axum::{
    Router,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::any,
};
use http::Method;
use renkei::{
    auth::{self, Ground, Vault},
    config::plan::{Auth, ClientAuth, Grant, OAuth2},
    model::{Code, Fault, SystemClock, SystemEntropy},
    store::{Memory, Seal},
};

use crate::support::{api, call, serve};

async fn called(base_url: &str, grant: Grant) -> Result<(), Fault> {
    let mut api = api(base_url);
    api.auth = Auth::OAuth2(Box::new(OAuth2 {
        grant,
        token_url: format!("{base_url}/token").parse().unwrap(),
        client_id: "me".to_owned(),
        client: ClientAuth::Post { secret: "planted-secret".into() },
        scopes: Vec::new(),
        parameters: Vec::new(),
    }));
    let ground = Ground {
        vault: Vault::new(Arc::new(Memory::new()), Arc::new(Seal::plain())),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy::seeded(1)),
    };
    let client = auth::client(&api, &ground)?;
    client.execute(&call(Method::GET, base_url, "/orders")).await.map(drop)
}

#[tokio::test]
async fn a_token_endpoint_that_redirects_is_not_followed_with_the_secret() {
    let elsewhere = Arc::new(AtomicUsize::new(0));
    let counted = elsewhere.clone();
    let other = serve(Router::new().fallback(move || {
        counted.fetch_add(1, Relaxed);
        async { r#"{"access_token":"stolen","token_type":"bearer"}"# }
    }))
    .await;
    for status in
        [StatusCode::FOUND, StatusCode::SEE_OTHER, StatusCode::TEMPORARY_REDIRECT, StatusCode::PERMANENT_REDIRECT]
    {
        let (asked, to) = (Arc::new(AtomicUsize::new(0)), format!("{other}/token"));
        let seen = asked.clone();
        let app = Router::new().route(
            "/token",
            any(move || {
                seen.fetch_add(1, Relaxed);
                async move { (status, [(header::LOCATION, to)]).into_response() }
            }),
        );
        let base_url = serve(app).await;
        for grant in [Grant::ClientCredentials, Grant::RefreshToken { token: "planted-refresh".into() }] {
            let fault = called(&base_url, grant).await.unwrap_err();
            assert_eq!(fault.code, Code::Redirect, "{status}: {fault}");
            assert!(!format!("{fault:?}").contains("planted"), "{fault:?}");
        }
        assert_eq!(asked.load(Relaxed), 2, "{status}: once for each");
    }
    assert_eq!(elsewhere.load(Relaxed), 0);
}

#[tokio::test]
async fn a_token_answer_without_end_or_for_people_is_one_coded_error() {
    for (body, code) in [
        ("x".repeat(2 << 20), Code::BodyTooLarge),
        ("<!doctype html><title>Sign in</title>".to_owned(), Code::TokenAnswer),
        (r#"{"token_type":"bearer","expires_in":3600}"#.to_owned(), Code::TokenAnswer),
    ] {
        let base_url = serve(Router::new().route("/token", any(move || async move { body }))).await;
        assert_eq!(called(&base_url, Grant::ClientCredentials).await.unwrap_err().code, code);
    }
}
