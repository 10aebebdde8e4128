//! What no friend sends.

use std::time::Duration;

use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::rig::{Rig, heard, lead, pipeline, send, write};

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_before_and_while_it_comes() {
    let rig = Rig::new(", body_max: 1KiB").await;
    let large = format!(r#"{{"id":"a","at":1,"email":"{}"}}"#, "x".repeat(2_000));
    rig.push(&large, &[]).await.is_problem(413, "RK0906");
    let mut line = TcpStream::connect(rig.address()).await.unwrap();
    let head = "POST /in/leads HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    line.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..4 {
        // The other side may have hung up already.
        let _ = line.write_all(format!("200\r\n{}\r\n", "y".repeat(512)).as_bytes()).await;
    }
    heard(line).await.is_problem(413, "RK0906");
}

#[tokio::test]
async fn a_peer_that_sends_drop_by_drop_is_told_and_hung_up_on() {
    let rig = Rig::new(", body_time: 200ms").await;
    let mut line = TcpStream::connect(rig.address()).await.unwrap();
    let head = "POST /in/leads HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{\"id\":";
    line.write_all(head.as_bytes()).await.unwrap();
    heard(line).await.is_problem(408, "RK0907");
    let mut header = TcpStream::connect(rig.address()).await.unwrap();
    header.write_all(b"POST /in/leads HTTP/1.1\r\nx-drop: 1\r\n").await.unwrap();
    let answer = heard(header).await;
    assert_eq!(answer.status, 408, "{answer:?}");
}

#[tokio::test]
async fn what_is_no_record_is_refused_and_nothing_of_it_is_kept() {
    let rig = Rig::new("").await;
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let nested = format!(r#"{{"id":"a","at":1,"x":{}1{}}}"#, "{\"x\":".repeat(40), "}".repeat(40));
    for body in [
        "",
        "{",
        "null",
        "7",
        "\"text\"",
        "[1]",
        "[]",
        "{\"id\":\"a\"",
        "{\"at\":1}",
        "{\"id\":null,\"at\":1}",
        "{\"id\":[1],\"at\":1}",
        "\u{0}",
        "{}{}",
        &deep,
        &nested,
    ] {
        let refused = rig.push(body, &[]).await;
        refused.is_problem(400, "RK0908");
        assert!(refused.body.len() < 1_000);
    }
    let broken = send(rig.address(), "POST", "/in/leads", &[], b"{\"id\":\"\xff\xfe\",\"at\":1}").await;
    broken.is_problem(400, "RK0908");
    rig.push("id=a", &[("content-type", "application/x-www-form-urlencoded")]).await.is_problem(415, "RK0914");
    let pipeline = &rig.engine.plan().pipelines["leads"];
    assert!(!rig.engine.has_pushed(pipeline).await.unwrap());
}

#[tokio::test]
async fn paths_that_play_tricks_lead_nowhere_and_other_methods_are_not_taken() {
    let rig = Rig::new("").await;
    for path in [
        "/",
        "/in",
        "/in/",
        "/in/nobody",
        "/in/leads/",
        "//in/leads",
        "/in//leads",
        "/in/./leads",
        "/in/../in/leads",
        "/in/%6ceads",
        "/in/leads%2f",
        "/in/leads/records",
        "/in/leads/records/",
        "/in/leads/records/../../../etc/passwd",
        "/in/leads\\",
        "/IN/leads",
    ] {
        send(rig.address(), "POST", path, &[], lead("a", 1).as_bytes()).await.is_problem(404, "RK0913");
    }
    for slip in ["1", "1-2", "0-00000000", "1-0000000g", "-1-00000000", "ffffffffffffffffff-00000000", "1-00000000"] {
        rig.get(&format!("/in/leads/records/{slip}"), &[]).await.is_problem(404, "RK0913");
    }
    let wrong = rig.get("/in/leads", &[]).await;
    wrong.is_problem(405, "RK0914");
    assert_eq!(wrong.header("allow"), Some("POST"));
    assert_eq!(rig.leads("a"), 0);
}

#[tokio::test]
async fn more_than_may_wait_is_sent_away_and_what_waits_is_kept() {
    let down = renkei::sandbox::FaultPlan { error_before: 1.0, ..renkei::sandbox::FaultPlan::none() };
    let rig = Rig::with(", waiting_max: 3", down).await;
    for n in 0..3 {
        assert_eq!(rig.push(&lead(&format!("l{n}"), 1), &[]).await.status, 202);
    }
    let full = rig.push(&lead("l3", 1), &[]).await;
    full.is_problem(503, "RK0902");
    assert!(full.header("retry-after").is_some());
    rig.sandbox.world().set_faults(renkei::sandbox::FaultPlan::none());
    let all_there = async {
        while (0..3).any(|n| rig.leads(&format!("l{n}")) == 0) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), all_there).await.unwrap();
    assert_eq!(rig.leads("l3"), 0);
}

#[tokio::test]
async fn a_record_must_fit_its_schema_and_every_route_is_described() {
    let folder = tempfile::tempdir().unwrap();
    crate::rig::workspace(folder.path(), "");
    let schema = r#"{"type":"object","required":["id","email"],"properties":{"id":{"type":"string","maxLength":20},
        "email":{"type":"string","format":"email"},"at":{"type":"integer"}},"additionalProperties":true}"#;
    write(folder.path(), "schemas/lead.json", schema);
    write(folder.path(), "pipelines/leads.yaml", &pipeline(", schema: schemas/lead.json"));
    let rig = Rig::over(folder, renkei::sandbox::FaultPlan::none()).await;
    let refused = rig.push(r#"{"id":"a","at":1,"email":"geheim"}"#, &[]).await;
    refused.is_problem(422, "RK0909");
    assert_eq!(refused.json()["errors"][0]["at"], "/email");
    assert!(!refused.body.contains("geheim"), "{}", refused.body);
    assert_eq!(rig.push(&lead("a", 1), &[]).await.status, 202);
    let document = rig.get("/openapi.json", &[]).await.json();
    let body = &document["paths"]["/in/leads"]["post"]["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(body["anyOf"][0]["required"], serde_json::json!(["id", "email"]), "{document}");
    assert!(document["paths"]["/in/leads/records/{id}"]["get"].is_object());
    assert_eq!(document["openapi"], "3.1.0");
}
