//! A table that an application puts messages into: each row once, in order, and marked by what became of it.

use renkei::{
    engine::{Options, Stopper},
    model::{Code, Counts},
};

use crate::{database::Database, rig::Rig, vendor::Vendor};

pub const TABLE: &str =
    "create table outbox (id bigint generated always as identity primary key, about text, payload jsonb,
    state text not null default 'PENDING', claimed_by text, claimed_at timestamptz, claim bigint, failure text)";

pub fn connections(db: &Database, worker: &str) -> String {
    format!(
        "  db: {{ postgres: {{ url: \"${{PGURL}}\", schema: {} }} }}\n  bus: {{ connector: bus, config: {{ worker: {worker} }} }}\n",
        db.schema
    )
}

pub fn pipeline(more: &str) -> String {
    format!(
        "from: {{ connection: db, outbox: {{ table: outbox, aggregate: about }}, key: id{more} }}\nto: {{ connection: bus, operation: put_event }}\n"
    )
}

struct Stage {
    db: Database,
    vendor: Vendor,
    rig: Rig,
}

impl Stage {
    async fn new(schema: &str, more: &str) -> Option<Self> {
        let db = Database::new(schema).await?;
        db.sql(TABLE).await;
        let vendor = Vendor::start(0, 1).await;
        let rig = Rig::new(&db.url, &connections(&db, "w1"), &pipeline(more));
        rig.write("connectors/bus/connector.yaml", &vendor.connector());
        Some(Self { db, vendor, rig })
    }

    /// Puts rows in, one for each of these.
    async fn put(&self, about: &[&str]) {
        for about in about {
            self.db.client.execute("insert into outbox (about, payload) values ($1, '{}')", &[about]).await.unwrap();
        }
    }

    /// `id state` of each row.
    async fn states(&self) -> Vec<String> {
        let rows = self.db.client.query("select id || ' ' || state from outbox order by id", &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    fn sent(&self) -> Vec<i64> {
        self.vendor.book().events.iter().map(|event| event.id).collect()
    }
}

#[tokio::test]
async fn rows_are_delivered_once_and_become_sent_and_a_refused_one_failed() {
    let Some(stage) = Stage::new("ob_once", "").await else { return };
    stage.put(&["a", "b"]).await;
    stage.db.sql("insert into outbox (about, payload) values ('c', '{\"refuse\": true}')").await;
    let counts = stage.rig.run().await;
    assert_eq!((counts.created, counts.rejected), (2, 1));
    assert_eq!(stage.states().await, ["1 SENT", "2 SENT", "3 FAILED"]);
    let letters = stage.rig.letters().await;
    let failure = stage.db.one("select failure from outbox where id = 3").await.unwrap();
    assert_eq!(failure, format!("{} {}", letters[0].reason.code, letters[0].id));
    assert_eq!(stage.rig.run().await, Counts::default());
    let keys: Vec<String> = stage.vendor.book().keys.keys().cloned().collect();
    assert_eq!((keys.len(), stage.sent().len()), (2, 2));
}

#[tokio::test]
async fn rows_of_one_aggregate_go_one_after_the_other_in_one_run() {
    let Some(stage) = Stage::new("ob_order", "").await else { return };
    stage.put(&["x"; 12]).await;
    stage.put(&["y", "z"]).await;
    assert_eq!(stage.rig.run().await.created, 14);
    let book = stage.vendor.book();
    let of_x: Vec<i64> = book.events.iter().filter(|event| event.about == "\"x\"").map(|event| event.id).collect();
    assert_eq!(of_x, (1..=12).collect::<Vec<i64>>());
}

#[tokio::test]
async fn a_mark_that_was_lost_is_made_by_the_next_run_and_nothing_is_sent_again() {
    let Some(stage) = Stage::new("ob_mark", "").await else { return };
    stage.put(&["a"]).await;
    stage.db.sql("insert into outbox (about, payload) values ('c', '{\"refuse\": true}')").await;
    stage.rig.run().await;
    stage.db.sql("update outbox set state = 'PENDING', failure = null").await;
    let requests = stage.vendor.book().requests;
    assert_eq!(stage.rig.run().await, Counts::default());
    assert_eq!(stage.states().await, ["1 SENT", "2 FAILED"]);
    assert!(stage.db.one("select failure from outbox where id = 2").await.is_some());
    assert_eq!(stage.vendor.book().requests, requests);
}

#[tokio::test]
async fn what_a_worker_claimed_and_did_not_stage_it_reads_again() {
    let Some(stage) = Stage::new("ob_left", "").await else { return };
    stage.put(&["a"]).await;
    stage.rig.run().await;
    stage.put(&["a", "b"]).await;
    stage
        .db
        .sql(
            "update outbox set claimed_by = (select claimed_by from outbox where id = 1), claim = 7 where id in (2, 3)",
        )
        .await;
    assert_eq!(stage.rig.run().await.created, 2);
    assert_eq!(stage.states().await, ["1 SENT", "2 SENT", "3 SENT"]);
}

#[tokio::test]
async fn a_row_that_another_worker_holds_is_not_taken_nor_is_one_behind_it() {
    let Some(stage) = Stage::new("ob_held", "").await else { return };
    stage.put(&["a", "a", "b", "b"]).await;
    stage
        .db
        .sql("update outbox set claimed_by = 'other', claim = 1, claimed_at = now() - interval '1 day' where id = 1")
        .await;
    assert_eq!(stage.rig.run().await.created, 2);
    assert_eq!(stage.states().await, ["1 PENDING", "2 PENDING", "3 SENT", "4 SENT"]);
    stage.db.sql("update outbox set claimed_by = null, claim = null where claimed_by = 'other'").await;
    assert_eq!(stage.rig.run().await.created, 2);
    assert_eq!(stage.sent(), [3, 4, 1, 2]);
}

#[tokio::test]
async fn a_worker_waits_for_what_an_earlier_session_of_it_still_claims() {
    let Some(stage) = Stage::new("ob_late", "").await else { return };
    stage.put(&["a"]).await;
    stage.rig.run().await;
    stage.put(&["b", "c"]).await;
    // The process was killed, and the server still works on its last claim.
    let worker = stage.db.one("select claimed_by from outbox where id = 1").await.unwrap();
    let lock = |word: &str| format!("select pg_advisory_{word}(hashtextextended('{worker}', 0))");
    stage.db.sql(&lock("lock")).await;
    let ends_late = async {
        let waits =
            "select count(*) from pg_stat_activity where wait_event = 'advisory' and query like '%hashtextextended%'";
        while stage.db.one(waits).await.unwrap() == "0" {
            tokio::task::yield_now().await;
        }
        stage.db.sql(&format!("update outbox set claimed_by = '{worker}', claim = 2 where id = 2")).await;
        stage.db.sql(&lock("unlock")).await;
    };
    let (counts, ()) = tokio::join!(stage.rig.run(), async {
        tokio::time::timeout(std::time::Duration::from_secs(20), ends_late).await.expect("it waits");
    });
    assert_eq!(counts.created, 2);
    assert_eq!(stage.states().await, ["1 SENT", "2 SENT", "3 SENT"]);
}

#[tokio::test]
async fn two_pipelines_of_one_workspace_share_a_table_as_two_workers_do() {
    let Some(stage) = Stage::new("ob_two", ", page: 1").await else { return };
    stage.rig.write("pipelines/q.yaml", &format!("version: 1\n{}", pipeline(", page: 1")));
    stage.put(&["a", "b", "c", "a", "b", "c"]).await;
    let (engine, stop) = (stage.rig.engine(), Stopper::new().1);
    let (p, q) = tokio::join!(
        engine.run("p", Options::default(), &stop),
        engine.run("q", Options { limit: Some(2), ..Options::default() }, &stop)
    );
    let (p, q) = (p.unwrap(), q.unwrap());
    assert_eq!((p.1, q.1), (None, None));
    assert!(p.0.counts.created + q.0.counts.created <= 6, "{:?} {:?}", p.0.counts, q.0.counts);
    stage.rig.run().await;
    let mut sent = stage.sent();
    sent.sort_unstable();
    assert_eq!(sent, [1, 2, 3, 4, 5, 6]);
    let workers = stage.db.one("select count(distinct claimed_by) from outbox").await.unwrap();
    assert_eq!(workers, "2");
}

#[tokio::test]
async fn a_limit_leaves_the_rest_of_a_claim_for_the_next_run() {
    let Some(stage) = Stage::new("ob_limit", "").await else { return };
    stage.put(&["a", "b", "c", "d"]).await;
    let (run, fault) = stage.rig.run_with(Options { limit: Some(2), ..Options::default() }).await;
    assert_eq!((run.counts.created, fault), (2, None));
    let counts = stage.rig.run().await;
    assert_eq!((counts.created, counts.unchanged), (2, 2));
    assert_eq!(stage.states().await, ["1 SENT", "2 SENT", "3 SENT", "4 SENT"]);
    assert_eq!(stage.vendor.book().requests, 4);
}

#[tokio::test]
async fn a_plan_tells_what_would_be_sent_and_claims_nothing() {
    let Some(stage) = Stage::new("ob_plan", "").await else { return };
    stage.put(&["a", "a", "b"]).await;
    let (told, _) = stage.rig.engine().forecast("p", false, 10, &Stopper::new().1).await.unwrap();
    assert_eq!(told.tally.read, 2, "the second of a waits for the first");
    assert_eq!(stage.db.one("select count(*) from outbox where claimed_by is not null").await.unwrap(), "0");
    assert_eq!(stage.rig.run().await.created, 3);
}

#[tokio::test]
async fn a_table_that_is_no_outbox_says_what_to_type() {
    let Some(stage) = Stage::new("ob_unfit", "").await else { return };
    stage.db.sql("alter table outbox drop column claim, drop column failure").await;
    let fault = stage.rig.fault().await;
    assert_eq!((fault.code, fault.exit_code()), (Code::OutboxUnfit, 3));
    let typed = r#"ALTER TABLE "ob_unfit"."outbox" ADD COLUMN "claim" bigint, ADD COLUMN "failure" text;"#;
    assert!(fault.help.contains(typed), "{}", fault.help);
    stage.db.sql(typed).await;
    stage.rig.pipeline(&pipeline("").replace("aggregate: about", "aggregate: nope"));
    assert!(stage.rig.fault().await.message.contains("no column \"nope\""));
    stage.rig.pipeline(&pipeline("").replace("key: id", "key: about"));
    let fault = stage.rig.fault().await;
    assert!(fault.help.contains(r#"ADD PRIMARY KEY ("about")"#), "{fault:?}");
    stage.rig.pipeline(&pipeline("").replace("key: id", "key: payload"));
    assert!(stage.rig.fault().await.message.contains("has type jsonb"));
}

#[tokio::test]
async fn rows_that_cannot_be_marked_stop_the_run_and_are_marked_once_they_can_be() {
    let Some(stage) = Stage::new("ob_keep", "").await else { return };
    stage.put(&["a"]).await;
    let keep = "create function keep() returns trigger language plpgsql as
        'begin if new.state <> old.state then return null; end if; return new; end'";
    stage.db.sql(keep).await;
    stage.db.sql("create trigger keep before update on outbox for each row execute function keep()").await;
    let (run, fault) = stage.rig.run_with(Options::default()).await;
    let fault = fault.unwrap();
    assert_eq!((run.counts.created, fault.code), (1, Code::OutboxUnfit), "{fault:?}");
    assert!(fault.message.contains("cannot be marked"), "{}", fault.message);
    stage.db.sql("drop trigger keep on outbox").await;
    assert_eq!(stage.rig.run().await, Counts::default());
    assert_eq!(stage.states().await, ["1 SENT"]);
    assert_eq!(stage.vendor.book().requests, 1);
}
