//! Connections that break, checkpoints that disagree.

use renkei::{
    model::{Code, Disposition},
    sink::Sink,
};

use crate::database::{Database, at, try_write, write};

const PEERS: &str = "from pg_stat_activity where application_name = 'renkei-crash'";

async fn marked_sink(db: &Database) -> renkei::sink::PostgresSink {
    let mut config = db.config();
    config.url = format!("{}?application_name=renkei-crash", db.url).into();
    db.sink_of(config).await
}

#[tokio::test]
async fn rows_and_checkpoint_are_stored_together() {
    let Some(db) = Database::new("together").await else { return };
    let sink = db.sink().await;
    assert_eq!(sink.resume(Some(at(9))).await.unwrap(), None, "an empty database begins from the start");
    write(&sink, 1, &[r#"{"id":1}"#]).await;
    write(&sink, 2, &[]).await;
    assert_eq!(db.sink().await.resume(None).await.unwrap(), Some(at(2)));
    assert_eq!(
        db.one("select value ->> 'format' from renkei_checkpoints where stream = 'pipe/leads'").await.unwrap(),
        "1"
    );
}

#[tokio::test]
async fn batches_the_store_never_heard_of_are_written_again_and_change_nothing() {
    let Some(db) = Database::new("ahead").await else { return };
    let sink = db.sink().await;
    write(&sink, 1, &[r#"{"id":1,"v":"a"}"#]).await;
    write(&sink, 2, &[r#"{"id":2,"v":"b"}"#]).await;
    let sink = db.sink().await;
    assert_eq!(sink.resume(Some(at(1))).await.unwrap(), Some(at(1)));
    assert_eq!(write(&sink, 2, &[r#"{"id":2,"v":"b"}"#]).await, ["unchanged"]);
}

#[tokio::test]
async fn a_database_put_back_from_a_backup_goes_on_from_its_own_checkpoint() {
    let Some(db) = Database::new("backup").await else { return };
    let sink = db.sink().await;
    write(&sink, 1, &[r#"{"id":1}"#]).await;
    assert_eq!(sink.resume(Some(at(7))).await.unwrap(), Some(at(1)));
}

#[tokio::test]
async fn a_table_that_was_dropped_is_filled_from_the_start() {
    let Some(db) = Database::new("dropped").await else { return };
    let sink = db.sink().await;
    write(&sink, 1, &[r#"{"id":1}"#]).await;
    db.sql("drop table leads").await;
    assert_eq!(sink.resume(Some(at(1))).await.unwrap(), None);
    assert_eq!(write(&sink, 2, &[r#"{"id":2,"v":"b"}"#]).await, ["created 2"]);
}

#[tokio::test]
async fn a_connection_that_breaks_while_writing_rolls_back_and_the_next_resume_goes_on() {
    let Some(db) = Database::new("broken").await else { return };
    let sink = marked_sink(&db).await;
    write(&sink, 1, &[r#"{"id":1,"v":"a"}"#]).await;
    // The write waits for this lock, so it is certain to be under way when the server ends its session.
    db.sql("begin; lock table leads in access exclusive mode").await;
    let breaking = async {
        let waiting = format!("select count(*) {PEERS} and wait_event_type = 'Lock'");
        while db.one(&waiting).await.unwrap() != "1" {
            tokio::task::yield_now().await;
        }
        db.sql(&format!("select pg_terminate_backend(pid) {PEERS}")).await;
    };
    let (written, ()) = tokio::join!(try_write(&sink, 2, &[r#"{"id":2,"v":"b"}"#]), breaking);
    let fault = written.unwrap_err();
    assert_eq!((fault.code, fault.disposition), (Code::Database, Disposition::Retry { after: None }));
    assert!(fault.help.contains("nothing is lost"), "{}", fault.help);
    db.sql("rollback").await;
    assert_eq!(try_write(&sink, 2, &[]).await.unwrap_err().code, Code::Database, "the session is gone");
    assert_eq!(sink.resume(Some(at(1))).await.unwrap(), Some(at(1)));
    assert_eq!(write(&sink, 2, &[r#"{"id":2,"v":"b"}"#]).await, ["created 2"]);
}

#[tokio::test]
async fn a_write_that_was_given_up_is_rolled_back() {
    let Some(db) = Database::new("givenup").await else { return };
    let sink = marked_sink(&db).await;
    write(&sink, 1, &[r#"{"id":1,"v":"a"}"#]).await;
    db.sql("begin; lock table leads in access exclusive mode").await;
    {
        let batch = crate::database::batch(2, &[r#"{"id":2,"v":"b"}"#]);
        let mut write = sink.write(&batch);
        let waiting = format!("select count(*) {PEERS} and wait_event_type = 'Lock'");
        while db.one(&waiting).await.unwrap() != "1" {
            assert!(futures_util::poll!(&mut write).is_pending());
            tokio::task::yield_now().await;
        }
    }
    db.sql("rollback").await;
    assert_eq!(sink.resume(None).await.unwrap(), Some(at(1)));
    assert_eq!(db.rows().await.len(), 1);
}

#[tokio::test]
async fn of_two_writers_of_one_stream_the_late_one_is_rolled_back() {
    let Some(db) = Database::new("twowriters").await else { return };
    let (first, second) = (db.sink().await, db.sink().await);
    write(&first, 1, &[r#"{"id":1,"v":"a"}"#]).await;
    let fault = try_write(&second, 1, &[r#"{"id":1,"v":"late"}"#]).await.unwrap_err();
    assert!(fault.message.contains("moved by somebody else"), "{}", fault.message);
    assert_eq!(db.rows().await, [r#"{"v": "a", "id": 1}"#]);
    assert_eq!(second.resume(None).await.unwrap(), Some(at(1)));
    write(&second, 2, &[r#"{"id":1,"v":"now"}"#]).await;
}

#[tokio::test]
async fn a_checkpoint_of_a_newer_version_stops_the_run() {
    let Some(db) = Database::new("newer").await else { return };
    let sink = db.sink().await;
    write(&sink, 1, &[r#"{"id":1}"#]).await;
    db.sql(r#"update renkei_checkpoints set value = '{"format": 99}'"#).await;
    let fault = sink.resume(None).await.unwrap_err();
    assert_eq!((fault.code, fault.disposition), (Code::NewerFormat, Disposition::Halt));
}

#[tokio::test]
async fn a_table_changed_by_somebody_else_is_looked_at_afresh_by_the_next_run() {
    let Some(db) = Database::new("altered").await else { return };
    let sink = db.sink().await;
    write(&sink, 1, &[r#"{"id":1,"v":"a"}"#]).await;
    db.sql("alter table leads drop column v").await;
    let fault = try_write(&sink, 2, &[r#"{"id":2,"v":"b"}"#]).await.unwrap_err();
    assert_eq!(fault.disposition, Disposition::Retry { after: None }, "{fault:?}");
    sink.resume(None).await.unwrap();
    assert_eq!(write(&sink, 2, &[r#"{"id":2,"v":"b"}"#]).await, ["created 2"]);
    assert_eq!(db.rows().await, [r#"{"v": "b", "id": 2}"#, r#"{"v": null, "id": 1}"#]);
}
