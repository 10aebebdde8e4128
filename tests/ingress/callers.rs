//! Who gets in, and who does not.

use base64::{Engine, engine::general_purpose::STANDARD};
use renkei::model::{Clock, SystemClock};
use ring::hmac;

use crate::rig::{Rig, TOKEN, lead, send};

#[tokio::test]
async fn a_token_opens_the_route_and_the_records_and_nothing_else_does() {
    let rig = Rig::new(", auth: { bearer: { token: \"${TOKEN}\" } }").await;
    let bearer = format!("Bearer {TOKEN}");
    for headers in [&[][..], &[("authorization", "Bearer nobody's")], &[("x-api-key", TOKEN)]] {
        let refused = rig.push(&lead("a", 1), headers).await;
        refused.is_problem(401, "RK0903");
        assert!(refused.header("www-authenticate").is_some());
        assert!(!refused.body.contains(TOKEN));
    }
    let accepted = rig.push(&lead("a", 1), &[("authorization", &bearer)]).await;
    assert_eq!(accepted.status, 202, "{accepted:?}");
    let place = accepted.json()["status_url"].as_str().unwrap().to_owned();
    rig.get(&place, &[]).await.is_problem(401, "RK0903");
    assert_eq!(rig.get(&place, &[("authorization", &bearer)]).await.status, 200);
    assert_eq!(rig.leads("b"), 0);
}

#[tokio::test]
async fn a_key_in_a_header_opens_the_route() {
    let rig = Rig::new(", auth: { api_key: { header: X-Push-Key, value: \"${TOKEN}\" } }").await;
    rig.push(&lead("a", 1), &[("x-api-key", TOKEN)]).await.is_problem(401, "RK0903");
    assert_eq!(rig.push(&lead("a", 1), &[("x-push-key", TOKEN)]).await.status, 202);
}

fn signed(secret: &[u8], id: &str, at: i64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    format!("v1,{}", STANDARD.encode(hmac::sign(&key, format!("{id}.{at}.{body}").as_bytes())))
}

#[tokio::test]
async fn a_webhook_gets_in_once_under_its_own_name_and_a_replayed_one_not_at_all() {
    let rig = Rig::new(", mode: sync, auth: { standard_webhooks: { secret: \"${WEBHOOK}\" } }").await;
    let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let (body, now) = (lead("a", 1), SystemClock.now().timestamp());
    let push = async |id: &str, at: i64, signature: &str, body: &str| {
        let at = at.to_string();
        let headers = [("webhook-id", id), ("webhook-timestamp", at.as_str()), ("webhook-signature", signature)];
        rig.push(body, &headers).await
    };
    let good = signed(&secret, "msg_1", now, &body);
    let first = push("msg_1", now, &good, &body).await;
    assert_eq!(first.status, 201, "{first:?}");
    // The sender tries again, as it does when an answer got lost: a new time and signature, the same id.
    let second = push("msg_1", now + 1, &signed(&secret, "msg_1", now + 1, &body), &body).await;
    assert_eq!((second.status, second.header("idempotent-replayed")), (201, Some("true")), "{second:?}");
    push("msg_2", now, &good, &body).await.is_problem(401, "RK0903");
    push("msg_1", now, &good, &lead("a", 2)).await.is_problem(401, "RK0903");
    push("msg_1", now, &good, &format!("{body} ")).await.is_problem(401, "RK0903");
    let old = now - 301;
    push("msg_3", old, &signed(&secret, "msg_3", old, &body), &body).await.is_problem(401, "RK0904");
    push("msg_4", now, &signed(b"another secret", "msg_4", now, &body), &body).await.is_problem(401, "RK0903");
    assert_eq!(rig.leads("a"), 1);
}

#[tokio::test]
async fn a_vendors_own_signature_is_over_the_bytes_of_the_body() {
    let own = ", auth: { hmac: { header: X-Signature, secret: \"${TOKEN}\", prefix: sha256=, timestamp: { header: X-Time }, signed: \
               \"v0:{timestamp}:{body}\" } }";
    let rig = Rig::new(own).await;
    let (body, now) = (lead("a", 1), SystemClock.now().timestamp().to_string());
    let key = hmac::Key::new(hmac::HMAC_SHA256, TOKEN.as_bytes());
    let tag = hmac::sign(&key, format!("v0:{now}:{body}").as_bytes());
    let signature = format!("sha256={}", tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let headers = [("x-signature", signature.as_str()), ("x-time", now.as_str())];
    rig.push(&body.replace("\":", "\": "), &headers).await.is_problem(401, "RK0903");
    rig.push(&body, &headers[..1]).await.is_problem(401, "RK0903");
    assert_eq!(rig.push(&body, &headers).await.status, 202);
}

#[tokio::test]
async fn a_route_takes_so_many_requests_and_says_when_to_come_again() {
    let rig = Rig::new(", rate: { requests: 3, per: 60s }").await;
    for n in 0..3 {
        assert_eq!(rig.push(&lead(&format!("l{n}"), 1), &[]).await.status, 202);
    }
    let refused = rig.push(&lead("l3", 1), &[]).await;
    refused.is_problem(429, "RK0905");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((15..=20).contains(&wait), "{wait}");
    let other = send(rig.address(), "GET", "/openapi.json", &[], b"").await;
    assert_eq!(other.status, 200, "other routes are not held back");
}
