//! Tables that are written.

use renkei::{
    model::{Code, Disposition},
    sink::{MysqlConfig, Sink},
};

use super::{Server, try_write, write};
use crate::database::at;

#[tokio::test]
async fn rows_are_made_changed_and_left_as_they_are_and_new_fields_make_columns() {
    let Some(db) = Server::new("made").await else { return };
    let sink = db.sink().await;
    let first = [r#"{"id":1,"v":"a"}"#, r#"{"id":2,"v":"b","n":null}"#, r#"{"v":"no key"}"#];
    let verdicts = write(&sink, 1, &first).await;
    assert_eq!(verdicts[..2], ["created 1", "created 2"]);
    assert!(verdicts[2].starts_with("rejected RK0411"), "{verdicts:?}");
    let second = [
        r#"{"id":1,"v":"a"}"#,
        r#"{"id":2,"v":"c"}"#,
        r#"{"id":3,"new":[1.50],"sum":1.25,"ok":true,"at":"2026-01-01T09:00:00.5+09:00"}"#,
    ];
    assert_eq!(write(&sink, 2, &second).await, ["unchanged", "updated 2", "created 3"]);
    assert_eq!(write(&sink, 3, &[r#"{"id":1}"#, r#"{"id":1,"v":"z"}"#]).await, ["updated 1", "updated 1"]);
    assert_eq!(write(&sink, 4, &[second[2], second[1]]).await, ["unchanged", "unchanged"]);
    assert_eq!(
        db.texts("SELECT v, new, sum, ok, at FROM leads WHERE id = 1").await,
        ["z", "NULL", "NULL", "NULL", "NULL"]
    );
    let third = db.texts("SELECT v, new, sum, ok, at FROM leads WHERE id = 3").await;
    assert_eq!(third, ["NULL", "[1.50]", "1.250000000000000000000000000000", "1", "2026-01-01 00:00:00.5"]);
    let types = "SELECT CONCAT(COLUMN_NAME, ' ', COLUMN_TYPE) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND \
                 TABLE_NAME = 'leads' ORDER BY ORDINAL_POSITION";
    let types = db.texts(types).await;
    assert_eq!(
        types,
        ["id bigint(20)", "v longtext", "new longtext", "sum decimal(65,30)", "ok tinyint(1)", "at datetime(3)"]
    );
}

#[tokio::test]
async fn a_record_that_shares_another_unique_value_changes_no_neighbour() {
    let Some(db) = Server::new("neighbour").await else { return };
    db.sql("CREATE TABLE leads (id BIGINT PRIMARY KEY, email VARCHAR(50) UNIQUE, v VARCHAR(50))").await;
    let sink = db.sink().await;
    write(&sink, 1, &[r#"{"id":1,"email":"ann@x","v":"ann"}"#, r#"{"id":2,"email":"bob@x","v":"bob"}"#]).await;
    let records = [
        r#"{"id":3,"email":"ann@x","v":"stranger"}"#,
        r#"{"id":2,"email":"ann@x","v":"stranger"}"#,
        r#"{"id":4,"email":"dan@x","v":"dan"}"#,
    ];
    let verdicts = write(&sink, 2, &records).await;
    for verdict in &verdicts[..2] {
        assert!(verdict.starts_with("rejected RK0408") && verdict.contains("Duplicate entry"), "{verdicts:?}");
    }
    assert_eq!(verdicts[2], "created 4");
    let rows = db.texts("SELECT id, email, v FROM leads ORDER BY id").await;
    assert_eq!(rows, ["1", "ann@x", "ann", "2", "bob@x", "bob", "4", "dan@x", "dan"]);
    // What makes room first lets the other in, in the order of the batch.
    let moved = [r#"{"id":1,"email":"old@x","v":"ann"}"#, r#"{"id":5,"email":"ann@x","v":"eve"}"#];
    assert_eq!(write(&sink, 3, &moved).await, ["updated 1", "created 5"]);
    let back = [r#"{"id":6,"email":"old@x"}"#, r#"{"id":1,"email":"free@x","v":"ann"}"#];
    let verdicts = write(&sink, 4, &back).await;
    assert!(verdicts[0].starts_with("rejected RK0408"), "{verdicts:?}");
    assert_eq!(verdicts[1], "updated 1");
}

#[tokio::test]
async fn keys_that_differ_by_case_or_by_spaces_are_two_rows() {
    let Some(db) = Server::new("exact").await else { return };
    let sink = db.sink().await;
    let records = [r#"{"id":"a","v":1}"#, r#"{"id":"A","v":2}"#, r#"{"id":"a ","v":3}"#, r#"{"id":"あ","v":4}"#];
    assert_eq!(write(&sink, 1, &records).await.len(), 4);
    assert_eq!(write(&sink, 2, &records).await, ["unchanged"; 4]);
    assert_eq!(write(&sink, 3, &[r#"{"id":"a ","v":9}"#]).await, [r#"updated "a ""#]);
    assert_eq!(db.texts("SELECT v FROM leads ORDER BY v").await, ["1", "2", "4", "9"]);
}

#[tokio::test]
async fn a_table_whose_collation_takes_two_keys_for_one_refuses_the_second_and_changes_no_neighbour() {
    let Some(db) = Server::new("folded").await else { return };
    db.sql("CREATE TABLE leads (id VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY, v INT)").await;
    let sink = db.sink().await;
    let records = [r#"{"id":"ann","v":1}"#, r#"{"id":"Ann","v":2}"#, r#"{"id":"ann ","v":3}"#, r#"{"id":"bob","v":4}"#];
    let verdicts = write(&sink, 1, &records).await;
    assert_eq!((verdicts[0].as_str(), verdicts[3].as_str()), (r#"created "ann""#, r#"created "bob""#));
    assert!(
        verdicts[1..3].iter().all(|it| it.starts_with("rejected RK0408") && it.contains("by case")),
        "{verdicts:?}"
    );
    assert!(write(&sink, 2, &[r#"{"id":"BOB","v":5}"#]).await[0].starts_with("rejected RK0408"));
    assert_eq!(db.texts("SELECT id, v FROM leads ORDER BY id").await, ["ann", "1", "bob", "4"]);
}

#[tokio::test]
async fn a_value_that_is_refused_costs_only_its_record() {
    let Some(db) = Server::new("refused").await else { return };
    db.sql(
        "CREATE TABLE shop (id INT PRIMARY KEY) ENGINE = InnoDB;
         INSERT INTO shop VALUES (1);
         CREATE TABLE leads (id INT PRIMARY KEY, n TINYINT CHECK (n < 100), v VARCHAR(5), l VARCHAR(9) CHARACTER SET latin1,
            d DECIMAL(6,2), f FLOAT, at DATETIME, day DATE, y YEAR, e ENUM('calm', 'wild'), must INT NOT NULL DEFAULT 1, j JSON,
            shop INT, g INT AS (n + 1), FOREIGN KEY (shop) REFERENCES shop (id))",
    )
    .await;
    let sink = db.sink().await;
    let good = [
        r#"{"id":1,"must":1,"n":1,"v":"a","d":1.50,"f":0.5,"at":"2026-01-01T00:00:00Z","day":"2026-01-01","y":2026,"e":"wild","j":"text","shop":1}"#,
        r#"{"id":2,"must":2,"v":"b    "}"#,
        r#"{"id":3,"must":3,"l":"é","j":{"a":[12345678901234567890.5]}}"#,
    ];
    let bad = [
        (r#"{"id":10,"must":1,"n":100}"#, "leads.n"),
        (r#"{"id":11,"must":1,"n":300}"#, "Out of range"),
        (r#"{"id":12,"must":1,"n":1.5}"#, "no integer"),
        (r#"{"id":13,"must":1,"v":"abcdef"}"#, "too long"),
        (r#"{"id":15,"must":1,"l":"あ"}"#, "Incorrect string value"),
        (r#"{"id":16,"must":1,"d":1.005}"#, "more digits"),
        (r#"{"id":17,"must":1,"d":123456}"#, "Out of range"),
        (r#"{"id":18,"must":1,"f":0.1234567890123}"#, "more digits"),
        (r#"{"id":19,"must":1,"at":"2026-01-01T00:00:00.5Z"}"#, "more digits"),
        (r#"{"id":20,"must":1,"day":"2026-01-01T10:00:00Z"}"#, "no date"),
        (r#"{"id":21,"must":1,"y":26}"#, "no year"),
        (r#"{"id":22,"must":1,"e":"1"}"#, "none of its choices"),
        (r#"{"id":23,"must":null}"#, "NOT NULL"),
        (r#"{"id":24,"must":1,"shop":7}"#, "foreign key constraint fails"),
        (r#"{"id":"25","must":1}"#, "text is no integer"),
    ];
    let records: Vec<&str> = good[..2].iter().copied().chain(bad.map(|(record, _)| record)).chain([good[2]]).collect();
    let verdicts = write(&sink, 1, &records).await;
    assert_eq!(verdicts[..2], ["created 1", "created 2"]);
    assert_eq!(verdicts[bad.len() + 2], "created 3");
    for ((record, why), verdict) in bad.iter().zip(&verdicts[2..]) {
        assert!(verdict.starts_with("rejected RK0408") && verdict.contains(why), "{record}: {verdict}");
    }
    assert_eq!(db.texts("SELECT id FROM leads ORDER BY id").await, ["1", "2", "3"]);
    assert_eq!(db.texts("SELECT v, j FROM leads ORDER BY id").await[..4], ["a", r#""text""#, "b    ", "NULL"]);
    assert_eq!(write(&sink, 2, &good).await, ["unchanged"; 3]);
    let fault = try_write(&sink, 3, &[r#"{"id":7,"g":1}"#]).await.unwrap_err();
    assert_eq!((fault.code, fault.exit_code()), (Code::ColumnConflict, 3));
    sink.resume(None).await.unwrap();
    let fault = try_write(&sink, 3, &[r#"{"id":7,"V":1}"#]).await.unwrap_err();
    assert!(fault.message.contains("upper and lower case"), "{}", fault.message);
}

#[tokio::test]
async fn a_value_that_the_server_would_change_with_only_a_warning_is_refused() {
    let Some(db) = Server::new("altered").await else { return };
    // Spaces that are too many are cut, strict mode or not.
    db.sql("CREATE TABLE leads (id INT PRIMARY KEY, v VARCHAR(5), n INT);\nINSERT INTO leads VALUES (4, 'dan', 1), (5, 'fay', 1)").await;
    let sink = db.sink().await;
    let cut = r#"{"id":2,"v":"bob   "}"#;
    let records =
        [r#"{"id":1,"v":"ann"}"#, cut, r#"{"id":3,"v":"eve  "}"#, r#"{"id":4,"v":"dan   "}"#, r#"{"id":5,"v":"fay"}"#];
    let verdicts = write(&sink, 1, &records).await;
    assert_eq!([&verdicts[0], &verdicts[2], &verdicts[4]], ["created 1", "created 3", "unchanged"]);
    for at in [1, 3] {
        let said = "rejected RK0408: the database would change a value: Data truncated";
        assert!(verdicts[at].starts_with(said), "{verdicts:?}");
    }
    let rows = db.texts("SELECT CONCAT(id, '=', v, '=', COALESCE(n, 'none')) FROM leads ORDER BY id").await;
    assert_eq!(rows, ["1=ann=none", "3=eve  =none", "4=dan=1", "5=fay=1"]);
    assert_eq!(write(&sink, 2, &[cut, r#"{"id":3,"v":"eve  "}"#]).await[1], "unchanged");
}

#[tokio::test]
async fn tables_that_cannot_be_written_with_their_checkpoint_are_refused_with_what_to_type() {
    let Some(db) = Server::new("engines").await else { return };
    db.sql(
        "CREATE TABLE old (id INT PRIMARY KEY) ENGINE = MyISAM;
         CREATE TABLE aria (id INT PRIMARY KEY) ENGINE = Aria TRANSACTIONAL = 1;
         CREATE TABLE loose (id INT, part VARCHAR(50), UNIQUE (part(3)));
         CREATE VIEW seen AS SELECT 1 AS id",
    )
    .await;
    let told = [
        ("old", "id", "engine MyISAM", "ALTER TABLE `old` ENGINE = InnoDB;"),
        ("aria", "id", "engine Aria", "ALTER TABLE `aria` ENGINE = InnoDB;"),
        ("loose", "id", "no unique index on its key (id)", "ALTER TABLE `loose` ADD UNIQUE (`id`);"),
        ("loose", "part", "no unique index on its key (part)", "over whole columns"),
        ("seen", "id", "is a view", "Name the table"),
    ];
    for (table, key, message, help) in told {
        let config = MysqlConfig { table: table.to_owned(), key: vec![key.to_owned()], ..db.config() };
        let fault = try_write(&db.sink_of(config).await, 1, &[r#"{"id":1,"part":"a"}"#]).await.unwrap_err();
        assert_eq!(
            (fault.code, fault.disposition, fault.exit_code()),
            (Code::Database, Disposition::Halt, 3),
            "{table}"
        );
        assert!(fault.message.contains(message) && fault.help.contains(help), "{table}: {fault:?}");
    }
    let made =
        "CREATE TABLE renkei_checkpoints (stream VARCHAR(99) PRIMARY KEY, number BIGINT, value TEXT) ENGINE = MyISAM";
    db.sql(&format!("DROP TABLE renkei_checkpoints;\n{made}")).await;
    let fault = renkei::sink::MysqlSink::new(db.config()).resume(None).await.unwrap_err();
    assert!(fault.message.contains("renkei_checkpoints") && fault.message.contains("MyISAM"), "{}", fault.message);
}

#[tokio::test]
async fn a_column_of_integers_is_widened_for_other_numbers_and_one_that_somebody_chose_is_not() {
    let Some(db) = Server::new("wider").await else { return };
    let sink = db.sink().await;
    write(&sink, 1, &[r#"{"id":1,"sum":10}"#]).await;
    assert_eq!(write(&sink, 2, &[r#"{"id":1,"sum":10}"#, r#"{"id":2,"sum":10.5}"#]).await, ["unchanged", "created 2"]);
    assert_eq!(db.one("SELECT SUM(sum) = 20.5 FROM leads").await, "1");
    db.sql("CREATE TABLE chosen (id INT PRIMARY KEY, sum BIGINT COMMENT 'in yen')").await;
    let config = MysqlConfig { table: "chosen".to_owned(), stream: "other".to_owned(), ..db.config() };
    let verdicts = write(&db.sink_of(config).await, 1, &[r#"{"id":1,"sum":10}"#, r#"{"id":2,"sum":10.5}"#]).await;
    assert!(verdicts[1].contains("no integer"), "{verdicts:?}");
    let long = format!(r#"{{"id":3,"sum":{}}}"#, "1".repeat(36));
    let verdicts = write(&sink, 3, &[&long]).await;
    assert!(verdicts[0].contains("Out of range"), "{verdicts:?}");
}

#[tokio::test]
async fn a_batch_of_thousands_goes_in_by_few_statements_and_every_record_has_its_verdict() {
    let Some(db) = Server::new("many").await else { return };
    let sink = db.sink().await;
    let record = |id: usize, v: &str| format!(r#"{{"id":"k{id}","v":"{v}","n":{id},"sum":{id}.25}}"#);
    let all = |v: fn(usize) -> &'static str| (0..5000).map(|id| record(id, v(id))).collect::<Vec<_>>();
    let first = all(|_| "a");
    let borrowed: Vec<&str> = first.iter().map(String::as_str).collect();
    let asked = "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'COM_INSERT'";
    let before: i64 = db.one(asked).await.parse().unwrap();
    let begun = tokio::time::Instant::now();
    let verdicts = write(&sink, 1, &borrowed[..4000]).await;
    println!("4,000 new rows: {:?}", begun.elapsed());
    assert!(verdicts.iter().all(|verdict| verdict.starts_with("created")));
    let inserts = db.one(asked).await.parse::<i64>().unwrap() - before;
    assert!(inserts < 1000, "other tests run too, but not as many as this: {inserts}");
    let second = all(|id| if id % 10 == 0 { "b" } else { "a" });
    let borrowed: Vec<&str> = second.iter().map(String::as_str).collect();
    let begun = tokio::time::Instant::now();
    let verdicts = write(&sink, 2, &borrowed).await;
    println!("3,600 unchanged, 400 updated, 1,000 new rows: {:?}", begun.elapsed());
    let count = |word: &str| verdicts.iter().filter(|verdict| verdict.starts_with(word)).count();
    assert_eq!((count("unchanged"), count("updated"), count("created")), (3600, 400, 1000));
    assert_eq!(db.texts("SELECT COUNT(*), SUM(v = 'b'), SUM(n) FROM leads").await[..2], ["5000", "500"]);
}

#[tokio::test]
async fn a_row_that_the_server_does_not_take_in_one_packet_is_refused() {
    let Some(db) = Server::new("packet").await else { return };
    let sink = db.sink().await;
    let size: usize = db.one("SELECT @@max_allowed_packet").await.parse().unwrap();
    let large = format!(r#"{{"id":1,"v":"{}"}}"#, "x".repeat(size));
    let fits = format!(r#"{{"id":2,"v":"{}"}}"#, "x".repeat(3 << 20));
    let verdicts = write(&sink, 1, &[&large, &fits, r#"{"id":3,"v":"a"}"#]).await;
    assert!(verdicts[0].contains("max_allowed_packet"), "{}", &verdicts[0][..200]);
    assert_eq!(verdicts[1..], ["created 2", "created 3"]);
}

#[tokio::test]
async fn a_key_of_several_columns_finds_its_row_however_its_values_are_written() {
    let Some(db) = Server::new("composite").await else { return };
    db.sql("CREATE TABLE leads (shop VARCHAR(9), no DECIMAL(20,2), at DATETIME, v INT, PRIMARY KEY (shop, no, at)) COLLATE utf8mb4_bin").await;
    let key = ["shop", "no", "at"].map(str::to_owned).to_vec();
    let sink = db.sink_of(MysqlConfig { key, ..db.config() }).await;
    let row = |no: &str, at: &str, v: i64| format!(r#"{{"shop":"a","no":{no},"at":"{at}","v":{v}}}"#);
    let large = "900719925474099300.01";
    let near = "900719925474099300.02";
    let verdicts =
        write(&sink, 1, &[&row(large, "2026-01-01T00:00:00Z", 1), &row(near, "2026-01-01T00:00:00Z", 2)]).await;
    assert!(verdicts.iter().all(|verdict| verdict.starts_with("created")), "{verdicts:?}");
    let verdicts = write(&sink, 2, &[&row(near, "2026-01-01T09:00:00+09:00", 3), &row(near, "2026-01-01", 4)]).await;
    assert!(verdicts.iter().all(|verdict| verdict.starts_with("updated")), "{verdicts:?}");
    assert_eq!(db.texts("SELECT v FROM leads ORDER BY v").await, ["1", "4"]);
}

#[tokio::test]
async fn rows_and_checkpoint_are_stored_together() {
    let Some(db) = Server::new("together").await else { return };
    let sink = db.sink().await;
    assert_eq!(sink.resume(Some(at(9))).await.unwrap(), None, "an empty database begins from the start");
    write(&sink, 1, &[r#"{"id":1,"v":"a"}"#]).await;
    write(&sink, 2, &[]).await;
    assert_eq!(db.sink().await.resume(None).await.unwrap(), Some(at(2)));
    let again = db.sink().await;
    assert_eq!(again.resume(Some(at(1))).await.unwrap(), Some(at(1)), "what the store never heard of comes again");
    assert_eq!(write(&again, 2, &[r#"{"id":1,"v":"a"}"#]).await, ["unchanged"]);
    let behind = try_write(&sink, 3, &[r#"{"id":1,"v":"late"}"#]).await.unwrap_err();
    assert!(behind.message.contains("moved by somebody else"), "{}", behind.message);
    assert_eq!(db.texts("SELECT v FROM leads").await, ["a"]);
    assert_eq!(
        again.resume(Some(at(7))).await.unwrap(),
        Some(at(2)),
        "a restored database goes on from its own checkpoint"
    );
    db.sql("DROP TABLE leads").await;
    assert_eq!(again.resume(Some(at(2))).await.unwrap(), None, "a table that was dropped is filled from the start");
    assert_eq!(write(&again, 3, &[r#"{"id":1,"v":"b"}"#]).await, ["created 1"]);
    db.sql("UPDATE renkei_checkpoints SET value = '{\"format\": 99}'").await;
    assert_eq!(sink.resume(None).await.unwrap_err().code, Code::NewerFormat);
}
