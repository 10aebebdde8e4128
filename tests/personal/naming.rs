//! Hashed keys: records keep their names over runs, pages and restarts; and what would give them others is refused.

use renkei::{
    engine::{agree, naming},
    model::{Code, Fault, Key},
    store::StreamId,
    transform::Personal,
};

use crate::rig::Rig;

const HASHED: &str = "from: { connection: vendor, stream: listed }
personal: { mail: hash }
to: { connection: vendor, operation: blind, changed: skip }
";

fn people(rig: &Rig, names: &[&str]) {
    let all: Vec<String> = names.iter().map(|name| format!(r#"{{"mail":"{name}@planted"}}"#)).collect();
    rig.vendor.people(&all.iter().map(String::as_str).collect::<Vec<_>>());
}

async fn refused(rig: &Rig) -> Fault {
    let planned = rig.forecast().await.unwrap_err();
    let fault = rig.run_with(renkei::engine::Options::default()).await.unwrap_err();
    assert_eq!(planned, fault);
    fault
}

#[tokio::test(start_paused = true)]
async fn records_of_a_hashed_key_are_known_again_over_pages_and_runs() {
    let rig = Rig::new(HASHED);
    people(&rig, &["a", "b", "c", "d", "e"]);
    let limited = renkei::engine::Options { limit: Some(3), ..Default::default() };
    assert_eq!(rig.run_with(limited).await.unwrap().0.counts.created, 3);
    let bytes = String::from_utf8_lossy(&rig.bytes().await).into_owned();
    assert!(bytes.contains("\"offset\"") && bytes.contains("rk:h1:") && !bytes.contains("planted"), "{bytes}");
    let counts = rig.run().await;
    assert_eq!((counts.created, counts.unchanged), (2, 0), "the listing went on where it stopped: {counts:?}");
    let counts = rig.run().await;
    assert_eq!((counts.created, counts.unchanged), (0, 5));
    assert_eq!(rig.vendor.books().made.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn another_hash_key_is_refused_before_anything_is_read_until_a_person_starts_over() {
    let mut rig = Rig::new(HASHED);
    people(&rig, &["a", "b"]);
    rig.run().await;
    rig.hash = 'b';
    let fault = refused(&rig).await;
    assert_eq!((fault.code, fault.exit_code()), (Code::PersonalKeys, 3));
    assert!(fault.help.contains("renkei state reset p --links"), "{}", fault.help);
    assert_eq!(rig.vendor.books().made.len(), 2, "nothing was doubled");
    rig.hash = 'a';
    assert_eq!(rig.run().await.unchanged, 2);
    rig.hash = 'b';
    rig.state().reset(&StreamId::new("p", "listed"), true).await.unwrap();
    assert_eq!(rig.run().await.created, 2);
    assert_eq!(rig.run().await.unchanged, 2);
}

#[tokio::test(start_paused = true)]
async fn a_rule_on_the_key_that_is_new_or_gone_is_refused_once_there_are_records() {
    let without = HASHED.replace("personal: { mail: hash }\n", "");
    for (before, after) in [(HASHED, &*without), (&*without, HASHED)] {
        let mut rig = Rig::new(before);
        people(&rig, &["a"]);
        rig.run().await;
        rig.pipeline = after.to_owned();
        assert_eq!(refused(&rig).await.code, Code::PersonalRule);
        rig.state().reset(&StreamId::new("p", "listed"), true).await.unwrap();
        assert_eq!(rig.run().await.created, 1);
        rig.pipeline = before.to_owned();
        assert_eq!(refused(&rig).await.code, Code::PersonalRule);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rule_on_another_field_is_no_other_name() {
    let mut rig = Rig::new(
        "from: { connection: vendor, stream: people }\nto: { connection: vendor, operation: put, fields: { ref: record.id, phone: record.phone } }\n",
    );
    rig.vendor.people(&[r#"{"id":1,"phone":"1"}"#]);
    rig.run().await;
    let without = rig.pipeline.clone();
    rig.pipeline = format!("{without}personal: {{ phone: hash }}\n");
    assert_eq!(rig.run().await.updated, 1, "the sink gets the hash now");
    rig.hash = 'b';
    assert_eq!(refused(&rig).await.code, Code::PersonalKeys);
    rig.pipeline = without;
    assert_eq!(rig.run().await.updated, 1);
    // Also after a time without rules.
    rig.pipeline += "personal: { phone: hash }\n";
    assert_eq!(refused(&rig).await.code, Code::PersonalKeys);
}

#[tokio::test(start_paused = true)]
async fn staged_records_and_imported_links_count_as_known() {
    let without = HASHED.replace("personal: { mail: hash }\n", "");
    let mut rig = Rig::new(&without);
    people(&rig, &["a"]);
    rig.vendor.books().down = true;
    let stream = StreamId::new("p", "listed");
    rig.state().import_links(&stream, &[(Key::new("a@planted"), "made-1".to_owned())]).await.unwrap();
    rig.pipeline = HASHED.to_owned();
    assert_eq!(refused(&rig).await.code, Code::PersonalRule);
    // As `links import` does it.
    let rig = Rig::new(HASHED);
    let plan = rig.plan().unwrap();
    let personal = Personal::new(&plan.pipelines["p"].personal);
    agree(&rig.state(), &stream, &naming(&plan.pipelines["p"], &personal)).await.unwrap();
    let pair = (personal.key(Key::new("a@planted")), "made-1".to_owned());
    rig.state().import_links(&stream, &[pair]).await.unwrap();
    people(&rig, &["a"]);
    assert_eq!(rig.run().await.skipped, 1, "it is known");
}
