//! Getting in: TLS, passwords, rights, servers that are not there.

use renkei::{
    model::{Code, Disposition, Fault},
    sink::{PostgresSink, Rights, Sink, TableConfig, look_at_database},
};

use crate::database::{Database, ca, write};

async fn refused(config: TableConfig) -> Fault {
    PostgresSink::new(config).resume(None).await.unwrap_err()
}

fn with(db: &Database, change: impl Fn(&str) -> String) -> TableConfig {
    let mut config = db.config();
    config.url = change(&db.url).into();
    config
}

#[tokio::test]
async fn every_sslmode_does_what_postgresql_says_it_does() {
    let Some(db) = Database::new("tls").await else { return };
    let ssl = "select ssl from pg_stat_ssl join pg_stat_activity using (pid) where application_name = 'tls-test'";
    for (mode, is_encrypted) in [("disable", "false"), ("prefer", "true"), ("require", "true")] {
        let sink = PostgresSink::new(with(&db, |url| format!("{url}?sslmode={mode}&application_name=tls-test")));
        sink.resume(None).await.unwrap();
        assert_eq!(db.one(ssl).await.as_deref(), Some(is_encrypted), "{mode}");
        write(&sink, 1, &[r#"{"id":1}"#]).await;
        drop(sink);
        while db.one("select count(*) from pg_stat_activity where application_name = 'tls-test'").await.unwrap() != "0"
        {
            tokio::task::yield_now().await;
        }
    }
    // The certificate is for `localhost` and signed by the test's own authority.
    let mut config = with(&db, |url| format!("{url}?sslmode=verify-ca"));
    config.ca = Some(ca());
    db.sink_of(config).await;
    let mut config = with(&db, |url| format!("{}?sslmode=verify-full", url.replace("127.0.0.1", "localhost")));
    config.ca = Some(ca());
    db.sink_of(config).await;
}

#[tokio::test]
async fn a_certificate_for_another_name_or_of_a_stranger_is_refused() {
    let Some(db) = Database::new("tlsrefused").await else { return };
    let mut wrong_name = with(&db, |url| format!("{url}?sslmode=verify-full"));
    wrong_name.ca = Some(ca());
    assert_eq!(refused(wrong_name).await.code, Code::Tls);
    let unknown = with(&db, |url| format!("{}?sslmode=verify-full", url.replace("127.0.0.1", "localhost")));
    assert_eq!(refused(unknown).await.code, Code::Tls);
    let mut no_file = with(&db, |url| format!("{url}?sslmode=verify-full"));
    no_file.ca = Some("/nowhere/ca.pem".into());
    let fault = refused(no_file).await;
    assert_eq!((fault.code, fault.exit_code()), (Code::Tls, 3));
}

#[tokio::test]
async fn a_wrong_password_needs_a_person_and_is_never_shown() {
    let Some(db) = Database::new("password").await else { return };
    let fault = refused(with(&db, |url| url.replace("renkei-test@", "hunter2@"))).await;
    assert_eq!((fault.code, fault.exit_code()), (Code::Unauthorized, 4));
    assert!(!format!("{fault:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_tried_again_by_the_next_run() {
    let Some(db) = Database::new("absent").await else { return };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let fault = refused(with(&db, |_| format!("postgres://u:p@127.0.0.1:{port}/x"))).await;
    assert_eq!((fault.code, fault.disposition), (Code::Unreachable, Disposition::Retry { after: None }));
    assert_eq!(fault.exit_code(), 5);
}

#[tokio::test]
async fn a_missing_database_or_schema_says_what_to_create() {
    let Some(db) = Database::new("missing").await else { return };
    let fault = refused(with(&db, |url| url.replace("/postgres", "/nope"))).await;
    assert_eq!((fault.code, fault.exit_code()), (Code::Database, 3));
    let mut config = db.config();
    config.schema = "not_there".to_owned();
    let fault = refused(config).await;
    assert!(fault.help.contains("CREATE SCHEMA"), "{fault:?}");
}

#[tokio::test]
async fn a_missing_right_says_so() {
    let Some(db) = Database::new("rights").await else { return };
    db.sql(
        "drop role if exists renkei_reader; create role renkei_reader login password 'r';
         grant usage on schema rights to renkei_reader",
    )
    .await;
    let fault = refused(with(&db, |url| url.replace("renkei:renkei-test@", "renkei_reader:r@"))).await;
    assert_eq!(fault.code, Code::Forbidden);
    assert!(fault.help.contains("GRANT"));
}

#[tokio::test]
async fn a_look_tells_who_we_are_and_what_we_may_do_and_writes_nothing() {
    let Some(database) = Database::new("look_at_it").await else { return };
    let url = database.url.clone().into();
    let found = look_at_database(&url, None, "look_at_it").await.unwrap();
    assert_eq!((found.name.as_str(), found.user.as_str()), ("postgres", "renkei"));
    assert!(found.tls.as_ref().is_some_and(|version| version.starts_with("TLSv1")), "{found:?}");
    assert_eq!(found.schema, Some(Rights { usage: true, create: true, has_checkpoints: false }));
    assert_eq!(database.one("select count(*) from pg_tables where schemaname = 'look_at_it'").await.unwrap(), "0");
    assert_eq!(look_at_database(&url, None, "no_such_schema").await.unwrap().schema, None);

    database.sql("drop role if exists looker; create role looker login password 'look'").await;
    let other = database.url.replace("renkei:renkei-test", "looker:look").into();
    let rights = |found: renkei::sink::Database| found.schema.unwrap();
    let none = rights(look_at_database(&other, None, "look_at_it").await.unwrap());
    assert_eq!((none.usage, none.create), (false, false));
    database.sql("grant usage on schema look_at_it to looker").await;
    database.sink().await;
    let some = rights(look_at_database(&other, None, "look_at_it").await.unwrap());
    assert_eq!(some, Rights { usage: true, create: false, has_checkpoints: true });
    let wrong = database.url.replace("renkei-test", "planted").into();
    let fault = look_at_database(&wrong, None, "look_at_it").await.unwrap_err();
    assert!(fault.code == Code::Unauthorized && !format!("{fault:?}").contains("planted"), "{fault:?}");
    database.sql("drop owned by looker; drop role looker").await;
}
