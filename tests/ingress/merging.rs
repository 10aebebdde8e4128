//! One stream that is read and pushed: both sides meet by key and version.

use renkei::{
    engine::{Options, Stopper},
    sandbox::FaultPlan,
};
use serde_json::{Value, json};

use crate::rig::{Rig, workspace, write};

/// Customers of the shop that become leads, read and pushed.
async fn rig() -> Rig {
    let folder = tempfile::tempdir().unwrap();
    workspace(folder.path(), "");
    let connector = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors/shop/connector.yaml");
    let connector = std::fs::read_to_string(connector).unwrap();
    let connector = connector.replace("requests: 45, per: 1s, burst: 5", "requests: 5000, per: 1s, burst: 100");
    write(folder.path(), "connectors/shop/connector.yaml", &connector);
    let renkei = std::fs::read_to_string(folder.path().join("renkei.yaml")).unwrap();
    let shop = "  shop: { connector: shop, base_url: \"${RENKEI_SANDBOX}\", auth: { oauth2: { client_id: demo, client_secret: \
                \"${SECRET}\" } } }\n";
    write(folder.path(), "renkei.yaml", &format!("{renkei}{shop}"));
    let pipeline = "version: 1\ndescription: Leads\nfrom: { connection: shop, stream: customers, ingress: { mode: sync } }\nto:\n  connection: \
        crm\n  operation: create_lead\n  changed: { operation: update_lead }\n  key: external_id\n  fields: { external_id: record.id, email: \
        '\"x@example.com\"', name: record.name }\n";
    write(folder.path(), "pipelines/leads.yaml", pipeline);
    Rig::over(folder, FaultPlan::none()).await
}

fn customer(id: &str, name: &str, at: &str) -> String {
    json!({ "id": id, "name": name, "updated_at": at, "consent": true }).to_string()
}

#[tokio::test]
async fn what_one_side_brought_is_unchanged_for_the_other_and_an_older_state_is_not_written() {
    let rig = rig().await;
    let id = rig.sandbox.world().customers().next().unwrap().id.clone();
    let (stopper, stop) = Stopper::new();
    let read = async || {
        let (run, fault) = rig.engine.run("leads", Options::default(), &stop).await.unwrap();
        assert!(fault.is_none(), "{fault:?}");
        run.counts
    };
    let mut created = 0;
    for _ in 0..200 {
        created += read().await.created;
        if created > 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!((created, rig.leads(&id)), (1, 1));
    let verdict = async |name: &str, at: &str| -> Value {
        let answer = rig.push(&customer(&id, name, at), &[]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["verdict"].clone()
    };
    assert_eq!(verdict("of long ago", "2001-01-01T00:00:00Z").await, "unchanged");
    assert_eq!(verdict("of tomorrow", "2999-01-01T00:00:00Z").await, "updated");
    assert_eq!(verdict("of tomorrow", "2999-01-01T00:00:00+00:00").await, "unchanged");
    assert_eq!(verdict("of tomorrow", "2998-01-01T00:00:00Z").await, "unchanged", "the same content, late");
    assert_eq!(
        verdict("between the two", "2998-06-01T00:00:00Z").await,
        "unchanged",
        "what is late makes nothing newer"
    );
    // The listing shows the older state once more; it lost to the pushed one.
    let (run, _) = rig.engine.run("leads", Options { full_refresh: true, ..Options::default() }, &stop).await.unwrap();
    assert_eq!((run.counts.updated, run.counts.created), (0, 0), "{:?}", run.counts);
    assert_eq!(rig.leads(&id), 1);
    assert_eq!(rig.sandbox.world().leads_of(&id).next().unwrap().text("name"), Some("of tomorrow"));
    drop(stopper);
}

#[tokio::test]
async fn a_run_and_a_delivery_of_one_pipeline_go_one_after_the_other() {
    let rig = rig().await;
    let id = rig.sandbox.world().customers().next().unwrap().id.clone();
    let (_stopper, stop) = Stopper::new();
    let slow = FaultPlan { latency: 1.0, latency_ms: 60, ..FaultPlan::none() };
    rig.sandbox.world().set_faults(slow);
    let reads = async {
        for _ in 0..10 {
            let options = Options { full_refresh: true, ..Options::default() };
            let (_, fault) = rig.engine.run("leads", options, &stop).await.unwrap();
            assert!(fault.is_none(), "{fault:?}");
        }
    };
    let pushes = async {
        for second in 0..10 {
            let at = format!("2999-01-01T00:00:{second:02}Z");
            let answer = rig.push(&customer(&id, &format!("push {second}"), &at), &[]).await;
            assert!([200, 201, 202].contains(&answer.status), "{answer:?}");
        }
    };
    tokio::join!(reads, pushes);
    let pipeline = rig.engine.plan().pipelines["leads"].clone();
    while rig.engine.has_pushed(&pipeline).await.unwrap() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(rig.leads(&id), 1, "both created it");
    assert_eq!(rig.sandbox.world().leads_of(&id).next().unwrap().text("name"), Some("push 9"));
}
