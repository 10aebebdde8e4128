//! Two workers on one outbox table, killed again and again: each row is delivered once under its key, by one of them, and the rows
//! of an aggregate in their order.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use renkei::model::{Entropy, SystemEntropy};

use crate::{
    database::{Database, env},
    outbox::{TABLE, connections, pipeline},
    rig,
    vendor::Vendor,
};

struct Size {
    rows: i64,
    aggregates: i64,
    kills: u64,
    page: u64,
}

// More aggregates than one worker reads ahead, so that it cannot hold the first row of each.
const SHORT: Size = Size { rows: 600, aggregates: 200, kills: 6, page: 10 };
const LONG: Size = Size { rows: 10_000, aggregates: 1_000, kills: 120, page: 50 };

/// A worker: a state directory of its own, and a process that works on it.
struct Worker {
    folder: tempfile::TempDir,
    process: Option<Child>,
    /// It is killed once the vendor has seen so many requests.
    until: usize,
    /// What the vendor had seen when a run of it ended last.
    seen: usize,
}

fn workspace(db: &Database, vendor: &Vendor, name: &str, page: u64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| rig::write(folder.path(), path, text);
    write("renkei.yaml", &format!("version: 1\nconnections:\n{}", connections(db, name)));
    write("connectors/bus/connector.yaml", &vendor.connector());
    write("pipelines/p.yaml", &format!("version: 1\n{}", pipeline(&format!(", page: {page}"))));
    folder
}

fn start(db: &Database, folder: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_renkei"));
    command.args(["run", "p", "--log-level", "off"]).current_dir(folder).env("PGURL", &db.url);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_that_are_killed_deliver_each_row_once_and_in_order() {
    let Some(db) = Database::new("ob_workers").await else { return };
    let long = env("RENKEI_LONG").is_some();
    let seed = env("RENKEI_SEED").and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| SystemEntropy::new().bits() % 1_000_000);
    println!("RENKEI_SEED={seed}");
    let dice = SystemEntropy::seeded(seed);
    let Size { rows, aggregates, kills, page } = if long { LONG } else { SHORT };
    db.sql(TABLE).await;
    let scattered = format!("(n * 7919) % {aggregates}");
    db.sql(&format!(
        "insert into outbox (about, payload) select 'a' || {scattered}, '{{}}' from generate_series(1, {rows}) n"
    ))
    .await;
    db.sql("create index on outbox (id) where state = 'PENDING'; create index on outbox (about, id) where state = 'PENDING'; analyze outbox").await;
    let vendor = Vendor::start(17, 2).await;
    let until = |requests: usize| requests + (dice.bits() % (rows as u64 / kills)) as usize;
    let worker = |name| Worker { folder: workspace(&db, &vendor, name, page), process: None, until: until(0), seen: 0 };
    let mut workers = [worker("w1"), worker("w2")];
    let (mut struck, mut idle) = (0, 0);
    while db.one("select count(*) from outbox where state = 'PENDING'").await.unwrap() != "0" {
        for worker in &mut workers {
            let requests = vendor.book().requests;
            let Some(process) = &mut worker.process else {
                worker.process = Some(start(&db, worker.folder.path()));
                continue;
            };
            if let Some(ended) = process.try_wait().unwrap() {
                // A run may find nothing to claim while the other worker holds what is first; but not for ever.
                idle = if requests == worker.seen { idle + 1 } else { 0 };
                assert!(idle < 200, "runs end ({ended}) and nothing is sent any more");
                (worker.process, worker.seen) = (None, requests);
            } else if struck < kills && requests >= worker.until {
                process.kill().unwrap();
                process.wait().unwrap();
                (worker.process, worker.until, struck) = (None, until(requests), struck + 1);
            }
        }
        // Real processes need real time to get on.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    for worker in &mut workers {
        if let Some(mut process) = worker.process.take() {
            process.wait().unwrap();
        }
    }
    judge(&vendor, rows);
    let open = db.one("select count(*) from outbox where state <> 'SENT'").await.unwrap();
    assert_eq!(open, "0", "every row says that it was sent");
    assert!(struck >= kills / 2, "only {struck} kills");
    let book = vendor.book();
    let (requests, replayed) = (book.requests, book.replayed);
    println!("{rows} rows, {struck} kills, {requests} requests, of which {replayed} came again under their key");
}

fn judge(vendor: &Vendor, rows: i64) {
    let book = vendor.book();
    assert_eq!(book.events.len() as i64, rows, "each row took effect once");
    assert_eq!(book.keys.len() as i64, rows, "each row has one key");
    let shared: Vec<_> = book.senders.iter().filter(|(_, senders)| senders.len() != 1).collect();
    assert!(shared.is_empty(), "rows that two workers sent: {shared:?}");
    let senders: std::collections::BTreeSet<_> = book.senders.values().flatten().collect();
    assert_eq!(senders.len(), 2, "both workers had a part in it");
    let mut last: BTreeMap<&str, i64> = BTreeMap::new();
    for event in &book.events {
        let before = last.insert(&event.about, event.id).unwrap_or_default();
        assert!(before < event.id, "{} of {} came behind {before}", event.id, event.about);
    }
}
