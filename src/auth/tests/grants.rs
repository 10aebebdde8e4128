//! Grants against a scripted server: when a token is got, what is asked, and what becomes of the answer.

use std::time::Duration;

use http::Method;

use super::support::{World, bearer, form, granting, is_token_request, oauth2, refreshing, token_requests};
use crate::{
    config::plan::{ClientAuth, Grant, OAuth2},
    http::{
        SendError,
        script::{Script, answer, call},
    },
    model::{Code, Disposition},
};

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
    let client = World::new().client(
        OAuth2 { client: ClientAuth::Post { secret: "hush-hush".into() }, ..oauth2(Grant::ClientCredentials) },
        &server,
    );
    client.execute(&call(Method::GET, "orders")).await.unwrap();
    let request = &server.seen()[0];
    assert!(!request.headers.contains_key("authorization"));
    assert!(form(request).contains(&("client_secret".to_owned(), "hush-hush".to_owned())));
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
        (200, "application/json", r#"{"access_token":"abc","expires_in":-5}"#),
        (200, "application/json", r#"{"access_token":"abc","expires_in":"soon"}"#),
        (200, "application/json", r#"{"access_token":"abc","expires_in":1e300}"#),
    ] {
        let server = granting(answer(status, &[("content-type", content_type)], body));
        let client = World::new().client(oauth2(Grant::ClientCredentials), &server);
        client.execute(&call(Method::GET, "orders")).await.unwrap();
        assert_eq!(bearer(&server.seen()[1]), "Bearer abc", "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_life_that_makes_no_sense_costs_no_token_per_call_and_a_huge_one_is_a_month() {
    const DAY: i64 = 86_400;
    // Tokens that are got for a call at once, after a day, and after thirty.
    for (life, tokens) in [
        ("-5", [1, 1, 1]),
        ("-1e300", [1, 1, 1]),
        ("\"soon\"", [1, 1, 1]),
        ("\"NaN\"", [1, 1, 1]),
        ("null", [1, 1, 1]),
        ("[3600]", [1, 1, 1]),
        ("0", [1, 1, 1]),
        ("99999999999999999", [1, 1, 2]),
        ("1e300", [1, 1, 2]),
        ("\"inf\"", [1, 1, 2]),
    ] {
        let world = World::new();
        let server = granting(answer(200, &[], &format!(r#"{{"access_token":"abc","expires_in":{life}}}"#)));
        let client = world.client(oauth2(Grant::ClientCredentials), &server);
        for (pass, tokens) in [0, DAY, 29 * DAY].into_iter().zip(tokens) {
            world.clock.pass(pass);
            client.execute(&call(Method::GET, "orders")).await.unwrap();
            assert_eq!(token_requests(&server), tokens, "{life} after {pass} s more");
        }
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
        (200, r#"{"access_token":"planted","token_type":"DPoP"}"#),
        (200, r#"["planted"]"#),
        (403, r#"{"reason":"planted"}"#),
    ] {
        let server = granting(answer(status, &[], body));
        let client = World::new().client(oauth2(Grant::ClientCredentials), &server);
        let fault = client.execute(&call(Method::GET, "orders")).await.unwrap_err();
        assert_eq!((fault.code, fault.disposition), (Code::TokenAnswer, Disposition::Halt), "{body}: {fault}");
        assert!(!format!("{fault:?}").contains("planted"), "{fault:?}");
        assert!(fault.message.contains("https://id.test/oauth/token"), "{}", fault.message);
        assert_eq!(server.seen().len(), 1, "it is asked once, and nothing else is sent");
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
