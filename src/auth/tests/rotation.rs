//! Rotation: one refresh for everybody, nothing used before it is durable, and no dead token sent twice.

use std::time::Duration;

use http::Method;
use secrecy::ExposeSecret;

use super::support::{World, refreshing, rotating, token_requests};
use crate::{
    auth::oauth::token_key,
    config::plan::OAuth2,
    http::script::{Script, answer, call},
    model::{Blame, Code, Disposition},
    store::PowerLoss,
};

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
    let key = token_key("shop", &refreshing());
    let mut stale = world.ground.vault.load(&key).await.unwrap().unwrap();
    stale.access.as_mut().unwrap().token = "revoked".into();
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
    assert_eq!(fault.code, Code::SignInAgain, "the configured refresh token is spent, and the saved one is not used");
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
    world.store.lose_power_at(world.store.operations() + 2, PowerLoss::Before);
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
        assert_eq!((fault.code, fault.disposition), (Code::SignInAgain, Disposition::Halt));
        assert_eq!((fault.blame, fault.exit_code()), (Blame::Credentials, 4));
        assert!(fault.help.contains("Sign in again"));
    }
    assert_eq!(token_requests(&server), 1);
}
