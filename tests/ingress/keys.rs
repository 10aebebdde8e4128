//! `Idempotency-Key`: a request that is sent again is answered again and not done again.

use std::time::Duration;

use renkei::sandbox::FaultPlan;
use serde_json::json;

use crate::rig::{Rig, lead};

const KEY: (&str, &str) = ("idempotency-key", "\"8e03978e-40d5-43dd-bc93-6894a57f9324\"");

#[tokio::test]
async fn the_same_key_and_body_get_the_same_answer_marked_and_no_second_record() {
    let mut rig = Rig::new(", mode: sync").await;
    let first = rig.push(&lead("a", 1), &[KEY]).await;
    assert_eq!((first.status, first.header("idempotent-replayed")), (201, None), "{first:?}");
    for restarts in [false, true] {
        if restarts {
            rig = rig.again().await;
        }
        let again = rig.push(&lead("a", 1), &[KEY]).await;
        assert_eq!((again.status, again.header("idempotent-replayed")), (201, Some("true")), "{again:?}");
        assert_eq!(again.body, first.body);
    }
    let other = rig.push(&lead("a", 2), &[KEY]).await;
    other.is_problem(422, "RK0910");
    let bare = rig.push(&lead("a", 1), &[("idempotency-key", KEY.1.trim_matches('"'))]).await;
    assert_eq!(bare.header("idempotent-replayed"), Some("true"), "quotes are no part of the key");
    assert_eq!(rig.leads("a"), 1);
    assert_eq!(rig.sandbox.world().leads_of("a").next().unwrap().text("name"), Some("a 1"));
}

#[tokio::test]
async fn a_key_whose_request_is_under_way_is_told_to_come_again() {
    let slow = FaultPlan { latency: 1.0, latency_ms: 600, ..FaultPlan::none() };
    let rig = Rig::with(", mode: sync", slow).await;
    let body = lead("a", 1);
    let first = rig.push(&body, &[KEY]);
    let second = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        rig.push(&body, &[KEY]).await
    };
    let (first, second) = tokio::join!(first, second);
    second.is_problem(409, "RK0911");
    assert_eq!(second.header("retry-after"), Some("1"));
    assert_eq!(first.status, 201, "{first:?}");
    let third = rig.push(&body, &[KEY]).await;
    assert_eq!((third.status, third.header("idempotent-replayed")), (201, Some("true")), "{third:?}");
}

#[tokio::test]
async fn a_caller_that_hangs_up_finds_its_answer_under_its_key() {
    use tokio::io::AsyncWriteExt;
    let rig = Rig::new(", mode: sync").await;
    let body = lead("a", 1);
    let mut line = tokio::net::TcpStream::connect(rig.address()).await.unwrap();
    let head =
        format!("POST /in/leads HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n{}: {}\r\n\r\n", body.len(), KEY.0, KEY.1);
    line.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await.unwrap();
    drop(line);
    let mut answers = Vec::new();
    for _ in 0..200 {
        let again = rig.push(&body, &[KEY]).await;
        if again.status != 409 {
            answers.push(again);
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(answers[0].status, 201, "{answers:?}");
    assert_eq!(rig.leads("a"), 1);
    let records = rig.engine.state().runs().await.unwrap().iter().map(|run| run.counts.read).sum::<u64>();
    assert!(records <= 1, "the request was done twice: {records} records were read");
}

#[tokio::test]
async fn a_key_may_be_required_and_must_be_one_short_text() {
    let rig = Rig::new(", idempotency: { required: true }").await;
    rig.push(&lead("a", 1), &[]).await.is_problem(400, "RK0912");
    rig.push(&lead("a", 1), &[("idempotency-key", &"k".repeat(300))]).await.is_problem(400, "RK0912");
    assert_eq!(rig.push(&lead("a", 1), &[KEY]).await.status, 202);
}

#[tokio::test]
async fn a_request_that_was_refused_is_not_remembered() {
    let rig = Rig::new("").await;
    rig.push("{", &[KEY]).await.is_problem(400, "RK0908");
    let mended = rig.push(&lead("a", 1), &[KEY]).await;
    assert_eq!((mended.status, &mended.json()["status"]), (202, &json!("accepted")), "{mended:?}");
}
