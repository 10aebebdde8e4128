//! Sessions that end, locks that others hold, and processes that die.

use std::process::{Command, Stdio};

use renkei::{
    engine::{Options, Stopper},
    model::{Code, Counts, Disposition},
    sink::Sink,
};

use super::{CONNECTION, Server, try_write, write};
use crate::{
    database::{at, batch, env},
    rig::Rig,
};

const RETRY: Disposition = Disposition::Retry { after: None };

impl Server {
    /// Waits until a session of somebody else runs such a statement, and tells its number.
    async fn waiting(&self, like: &str) -> String {
        loop {
            if let Some(id) = self.peers(like).await.first() {
                return id.clone();
            }
            tokio::task::yield_now().await;
        }
    }

    /// Waits until somebody else waits for a lock that has a name.
    async fn waits_for_a_lock(&self) {
        while self.sessions("STATE = 'User lock'").await.is_empty() {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_batch_that_fails_behind_a_new_column_leaves_only_that_column() {
    let Some(db) = Server::new("implicit").await else { return };
    let sink = db.sink().await;
    write(&sink, 1, &[r#"{"id":1,"v":"a"}"#]).await;
    // What a deadlock, a lock that is not given and a server that ends look like, in the middle of the batch's rows.
    for number in [1213, 1205, 1053] {
        db.sql(&format!(
            "CREATE TRIGGER fails BEFORE INSERT ON leads FOR EACH ROW IF NEW.v = 'last' THEN SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = \
             {number}; END IF"
        ))
        .await;
        let field = format!("new_{number}");
        let records = [r#"{"id":1,"v":"b"}"#, &format!(r#"{{"id":2,"v":"b","{field}":7}}"#), r#"{"id":3,"v":"last"}"#];
        let fault = try_write(&sink, 2, &records).await.unwrap_err();
        assert_eq!((fault.code, fault.disposition), (Code::Database, RETRY), "{fault:?}");
        assert!(fault.help.contains("nothing is lost"), "{}", fault.help);
        assert_eq!(try_write(&sink, 2, &[]).await.unwrap_err().code, Code::Database, "the session is gone");
        assert_eq!(sink.resume(None).await.unwrap(), Some(at(1)), "a checkpoint without its rows");
        assert_eq!(db.texts(&format!("SELECT id, v, {field} FROM leads")).await, ["1", "a", "NULL"]);
        db.sql("DROP TRIGGER fails").await;
    }
    let records = [r#"{"id":1,"v":"b"}"#, r#"{"id":2,"v":"b","new_1213":7}"#, r#"{"id":3,"v":"last"}"#];
    assert_eq!(write(&sink, 2, &records).await, ["updated 1", "created 2", "created 3"]);
    assert_eq!(db.sink().await.resume(None).await.unwrap(), Some(at(2)));
}

#[tokio::test]
async fn a_session_that_is_killed_while_writing_rolls_back_and_the_next_resume_goes_on() {
    let Some(db) = Server::new("killed").await else { return };
    let sink = db.sink().await;
    write(&sink, 1, &[r#"{"id":1,"v":"a"}"#, r#"{"id":2,"v":"a"}"#]).await;
    let mut holder = db.other().await;
    // The write waits for this row, so it is certain to be under way when the server ends its session.
    holder.command("START TRANSACTION").await.unwrap();
    holder.rows("SELECT * FROM leads WHERE id = 2 FOR UPDATE", &[]).await.unwrap();
    let breaking = async {
        let id = db.waiting("SELECT%FOR UPDATE").await;
        db.sql(&format!("KILL {id}")).await;
    };
    let records = [r#"{"id":3,"v":"b"}"#, r#"{"id":2,"v":"b"}"#];
    let (written, ()) = tokio::join!(try_write(&sink, 2, &records), breaking);
    let fault = written.unwrap_err();
    assert_eq!((fault.code, fault.disposition), (Code::Database, RETRY), "{fault:?}");
    assert!(fault.help.contains("nothing is lost"), "{}", fault.help);
    holder.command("ROLLBACK").await.unwrap();
    assert_eq!(sink.resume(Some(at(1))).await.unwrap(), Some(at(1)));
    assert_eq!(write(&sink, 2, &records).await, ["created 3", "updated 2"]);
}

#[tokio::test]
async fn a_write_that_was_given_up_is_rolled_back() {
    let Some(db) = Server::new("givenup").await else { return };
    let sink = db.sink().await;
    write(&sink, 1, &[r#"{"id":1,"v":"a"}"#]).await;
    let mut holder = db.other().await;
    holder.command("START TRANSACTION").await.unwrap();
    holder.rows("SELECT * FROM leads WHERE id = 1 FOR UPDATE", &[]).await.unwrap();
    {
        let batch = batch(2, &[r#"{"id":1,"v":"late"}"#, r#"{"id":2,"v":"b"}"#]);
        let mut write = sink.write(&batch);
        while db.peers("SELECT%FOR UPDATE").await.is_empty() {
            assert!(futures_util::poll!(&mut write).is_pending());
            tokio::task::yield_now().await;
        }
    }
    holder.command("ROLLBACK").await.unwrap();
    assert_eq!(sink.resume(None).await.unwrap(), Some(at(1)));
    assert_eq!(db.texts("SELECT id, v FROM leads").await, ["1", "a"]);
}

#[tokio::test]
async fn of_two_writers_of_one_stream_the_late_one_is_rolled_back() {
    let Some(db) = Server::new("twowriters").await else { return };
    let (first, second) = (db.sink().await, db.sink().await);
    write(&first, 1, &[r#"{"id":1,"v":"a"}"#]).await;
    let fault = try_write(&second, 1, &[r#"{"id":1,"v":"late"}"#]).await.unwrap_err();
    assert!(fault.message.contains("moved by somebody else"), "{}", fault.message);
    assert_eq!(db.texts("SELECT v FROM leads").await, ["a"]);
    assert_eq!(second.resume(None).await.unwrap(), Some(at(1)));
    write(&second, 2, &[r#"{"id":1,"v":"now"}"#]).await;
}

#[tokio::test]
async fn a_row_that_somebody_else_puts_in_meanwhile_is_set_and_not_refused() {
    let Some(db) = Server::new("meanwhile").await else { return };
    let sink = db.sink().await;
    write(&sink, 1, &[r#"{"id":1,"v":"a"}"#]).await;
    // The batch has looked when it waits in here, before its second row.
    db.sql(
        "CREATE TRIGGER waits BEFORE INSERT ON leads FOR EACH ROW IF NEW.v = 'c' THEN SET @got = GET_LOCK('renkei_meanwhile', 30); END IF",
    )
    .await;
    let mut other = db.other().await;
    other.rows("SELECT GET_LOCK('renkei_meanwhile', 30)", &[]).await.unwrap();
    let meanwhile = async {
        db.waits_for_a_lock().await;
        other.command("INSERT INTO leads (id, v) VALUES (2, 'theirs')").await.unwrap();
        other.rows("SELECT RELEASE_LOCK('renkei_meanwhile')", &[]).await.unwrap();
    };
    let records = [r#"{"id":3,"v":"c"}"#, r#"{"id":2,"v":"ours"}"#];
    let (written, ()) = tokio::join!(write(&sink, 2, &records), meanwhile);
    assert_eq!(written, ["created 3", "updated 2"]);
    assert_eq!(db.texts("SELECT v FROM leads ORDER BY id").await, ["a", "ours", "c"]);
}

#[tokio::test]
async fn a_table_changed_by_somebody_else_is_looked_at_afresh_by_the_next_run() {
    let Some(db) = Server::new("changed").await else { return };
    let sink = db.sink().await;
    write(&sink, 1, &[r#"{"id":1,"v":"a"}"#]).await;
    db.sql("ALTER TABLE leads DROP COLUMN v").await;
    let fault = try_write(&sink, 2, &[r#"{"id":2,"v":"b"}"#]).await.unwrap_err();
    assert_eq!(fault.disposition, RETRY, "{fault:?}");
    sink.resume(None).await.unwrap();
    assert_eq!(write(&sink, 2, &[r#"{"id":2,"v":"b"}"#]).await, ["created 2"]);
}

/// Rows by a cursor that many of them share, and by a key of a text and a number, and their copy.
const TRAVEL: &str = "from: { connection: db, query: \"SELECT a, b, n FROM t\", key: [a, b], incremental: { field: n, format: integer }, page: 400 }
to: { connection: db, table: copy, key: [a, b] }
";

async fn travelling(name: &str) -> Option<Server> {
    let db = Server::new(name).await?;
    db.sql(
        "CREATE TABLE numbers (n INT);
         INSERT INTO numbers WITH RECURSIVE s (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < 999) SELECT n FROM s;
         CREATE TABLE t (a VARCHAR(9), b INT, n INT);
         INSERT INTO t SELECT CONCAT('k', seq % 3), seq, seq DIV 5 FROM (SELECT 10000 + 1000 * t.n + h.n AS seq FROM numbers t, numbers h WHERE t.n < 12) s",
    )
    .await;
    Some(db)
}

async fn assert_same(db: &Server) {
    let sums = async |table: &str| {
        db.texts(&format!("SELECT COUNT(*), COUNT(DISTINCT a, b), SUM(b), SUM(n) FROM {table}")).await
    };
    assert_eq!(sums("t").await, sums("copy").await);
    assert_eq!(db.one("SELECT COUNT(*) FROM copy").await, "12000");
}

async fn copied(db: &Server) -> usize {
    let there =
        "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'copy'";
    if db.one(there).await == "0" { 0 } else { db.one("SELECT COUNT(*) FROM copy").await.parse().unwrap() }
}

#[tokio::test]
async fn a_table_travels_into_another_and_a_process_that_dies_goes_on() {
    let Some(db) = travelling("travel").await else { return };
    let rig = Rig::new(&db.url, CONNECTION, TRAVEL);
    let mut deaths = 0;
    loop {
        let (engine, stop) = (rig.engine(), Stopper::new().1);
        let before = copied(&db).await;
        let dies = async {
            while deaths > 2 || copied(&db).await == before {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            ran = engine.run("p", Options::default(), &stop) => {
                let (run, fault) = ran.unwrap();
                assert_eq!((fault, run.counts.balance()), (None, 0));
                break;
            }
            () = dies => deaths += 1,
        }
    }
    assert_same(&db).await;
    assert_eq!(rig.run().await.read, 0, "nothing lies behind the largest number");
    db.sql("INSERT INTO t VALUES ('k9', 99, 99999)").await;
    assert_eq!(rig.run().await, Counts { read: 1, created: 1, ..Counts::default() });
}

#[tokio::test]
async fn sessions_that_are_killed_again_and_again_lose_nothing_and_double_nothing() {
    let Some(db) = travelling("kills").await else { return };
    // A row on which a batch waits, so that its session ends in the middle of it.
    db.sql(
        "CREATE TABLE stops (b INT);
         CREATE TABLE copy (a VARCHAR(9), b INT, n INT, PRIMARY KEY (a, b));
         CREATE TRIGGER waits BEFORE INSERT ON copy FOR EACH ROW
            IF EXISTS (SELECT 1 FROM stops WHERE stops.b = NEW.b) THEN SET @got = GET_LOCK('renkei_kills', 60); END IF",
    )
    .await;
    let mut holder = Server::other_of("renkei").await;
    holder.rows("SELECT GET_LOCK('renkei_kills', 60)", &[]).await.unwrap();
    let rig = Rig::new(&db.url, CONNECTION, TRAVEL);
    let (mut faults, mut made) = (0, 0);
    for stop in [Some(11_000), Some(16_500), Some(16_600), Some(21_900), None] {
        let stops = stop.map_or_else(String::new, |b| format!("INSERT INTO stops VALUES ({b})"));
        db.sql(&format!("DELETE FROM stops;\n{stops}")).await;
        let (engine, stopper) = (rig.engine(), Stopper::new().1);
        let kill = async {
            if stop.is_some() {
                db.waits_for_a_lock().await;
                db.kill_peers().await;
            }
        };
        let (ran, ()) = tokio::join!(engine.run("p", Options::default(), &stopper), kill);
        let (run, fault) = ran.unwrap();
        made += run.counts.created;
        faults += usize::from(fault.as_ref().is_some_and(|fault| fault.disposition == RETRY));
        assert_eq!(fault.is_some(), stop.is_some(), "{fault:?}");
    }
    assert_eq!(faults, 4);
    assert_same(&db).await;
    assert!(made <= 12_000, "{made} rows were made, and there are 12,000");
}

/// The real program, killed by the system while it writes; its state stands in a folder.
#[tokio::test]
async fn a_program_that_is_killed_again_and_again_writes_every_row_once() {
    let Some(db) = Server::new("sigkill").await else { return };
    let rows = if env("RENKEI_LONG").is_some() { 400_000 } else { 20_000 };
    db.sql(&format!(
        "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(50), n INT);
         INSERT INTO t WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 1000),
            m (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM m WHERE n < {}) SELECT (m.n - 1) * 1000 + s.n, CONCAT('v', s.n), m.n FROM s, m",
        rows / 1000
    ))
    .await;
    let from = "from: { connection: db, table: t, key: id, page: 200 }\n";
    let rig = Rig::new(&db.url, CONNECTION, &format!("{from}to: {{ connection: db, table: copy, key: id }}\n"));
    let start = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_renkei"));
        command.args(["run", "p"]).current_dir(rig.folder.path()).env("PGURL", &db.url);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut kills = 0;
    let ended = loop {
        let (mut child, before) = (start(), copied(&db).await);
        let ended = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break Some(status);
            }
            if kills < 6 && copied(&db).await > before {
                break None;
            }
            tokio::task::yield_now().await;
        };
        match ended {
            Some(status) => break status,
            None => {
                child.kill().unwrap();
                child.wait().unwrap();
                kills += 1;
            }
        }
    };
    assert!(ended.success(), "{ended:?}");
    assert!(kills > 1, "{kills} kills");
    let sums = "SELECT COUNT(*), COUNT(DISTINCT id), MAX(id), SUM(v = CONCAT('v', (id - 1) % 1000 + 1)) FROM copy";
    assert_eq!(db.texts(sums).await.concat(), format!("{rows}{rows}{rows}{rows}"));
}
