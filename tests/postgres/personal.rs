//! Personal fields in a table: what is opened for it, what is held back, and what nobody hears of.

use std::sync::Arc;

use renkei::{
    config::plan,
    model::{Code, Fields, Path, SecretKey},
    sink::{Clear, PostgresSink, Sink},
    transform::Personal,
};

use crate::database::{Database, try_write, write};

/// The rules of a pipeline whose table gets `ssn` in the clear, with a ring of this key.
fn personal(id: &str, digit: &str) -> Personal {
    let key = |digit: &str| SecretKey::parse(&digit.repeat(64)).unwrap();
    let rule = |path: &str| plan::PersonalRule { path: Path::parse(path).unwrap(), protect: plan::Protect::Encrypt };
    Personal::new(&plan::Personal {
        rules: vec![rule("ssn"), rule("mail")],
        hashed_key: vec![false],
        clear: vec![Path::parse("ssn").unwrap()],
        keys: Some(Arc::new(plan::PersonalKeys {
            hash_key: key("a"),
            ring: vec![plan::RingKey { id: id.to_owned(), key: key(digit) }],
        })),
        ..plan::Personal::default()
    })
}

fn read(personal: &Personal, text: &str) -> String {
    personal.read(Fields::parse(text.as_bytes()).unwrap(), true).as_str().to_owned()
}

async fn sink(db: &Database) -> PostgresSink {
    let sink = PostgresSink::new(db.config()).clear(Clear::new(Arc::new(personal("k1", "1"))));
    sink.resume(None).await.unwrap();
    sink
}

#[tokio::test]
async fn a_row_gets_in_the_clear_what_the_table_needs_and_a_record_without_its_key_is_left_out() {
    let Some(db) = Database::new("personal").await else { return };
    let sink = sink(&db).await;
    let [mine, other] = [personal("k1", "1"), personal("k0", "0")];
    let all = [
        read(&other, r#"{"id":1,"ssn":"11"}"#),
        read(&mine, r#"{"id":2,"ssn":22,"mail":"b@x"}"#),
        read(&other, r#"{"id":3,"ssn":"33"}"#),
        read(&mine, r#"{"id":4}"#),
    ];
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let verdicts = write(&sink, 1, &all).await;
    assert!(verdicts[0].contains("RingKeyMissing") && verdicts[2].contains("`k0`"), "{verdicts:?}");
    assert_eq!([&verdicts[1], &verdicts[3]], ["created 2", "created 4"]);
    assert_eq!(
        db.one("select string_agg(id || ':' || coalesce(ssn::text, '-'), ' ' order by id) from leads").await.unwrap(),
        "2:22 4:-"
    );
    assert!(db.one("select mail from leads where id = 2").await.unwrap().starts_with("rk:e1:k1:"));
    assert_eq!(write(&sink, 2, &all[1..2]).await, ["unchanged"]);
    // All of a batch may be held back; its checkpoint moves all the same.
    assert_eq!(write(&sink, 3, &all[..1]).await.len(), 1);
    assert_eq!(sink.resume(None).await.unwrap().unwrap().cursor, crate::database::at(3).cursor);
}

#[tokio::test]
async fn what_the_database_says_about_a_clear_value_is_not_repeated() {
    let Some(db) = Database::new("personalsaid").await else { return };
    db.sql(
        "create table leads (id bigint primary key, ssn text, mail text);
         create function no() returns trigger language plpgsql as $$ begin raise exception 'no % here', upper(new.ssn); end $$;
         create trigger no before insert on leads for each row execute function no()",
    )
    .await;
    let sink = sink(&db).await;
    let fault =
        try_write(&sink, 1, &[&read(&personal("k1", "1"), r#"{"id":1,"ssn":"planted-4711"}"#)]).await.unwrap_err();
    assert!(fault.code == Code::Database && fault.message.contains("no *** here"), "{fault:?}");
}
