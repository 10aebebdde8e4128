//! Parquet files as somebody else reads them.

use renkei::{
    config::plan::{ColumnKind, FileColumn},
    sink::{Shelf, Sink, WholeForm, WholeSink},
};

use crate::{
    database::{batch, short},
    ends::read_parquet,
    s3::python,
};

fn column(name: &str, kind: ColumnKind) -> FileColumn {
    FileColumn { name: name.to_owned(), kind }
}

#[tokio::test]
async fn every_type_of_column_is_read_by_others_as_what_it_was() {
    if python().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let columns = [
        column("id", ColumnKind::BigInt),
        column("text, \"odd\" 名", ColumnKind::Text),
        column("json", ColumnKind::Json),
        column("flag", ColumnKind::Boolean),
        column("share", ColumnKind::Double),
        column("price", ColumnKind::Decimal(12, 2)),
        column("wide", ColumnKind::Decimal(38, 9)),
        column("day", ColumnKind::Date),
        column("at", ColumnKind::Timestamp),
    ];
    let shelf = Shelf::folder(folder.path().to_owned(), "all".to_owned(), "parquet");
    let sink = WholeSink::new(shelf, WholeForm::Parquet(columns.into()), 1 << 20);
    sink.resume(None).await.unwrap();
    let records = [
        r#"{"id":9223372036854775807,"text, \"odd\" 名":"a\n\"名\"","json":{"a":[1.50, null]},"flag":true,"share":0.1,"price":-1234567890.12,"wide":-12345678901234567890123456789.123456789,"day":"2026-02-28","at":"2026-03-01T09:00:00.123456+09:00"}"#,
        r#"{"id":2,"share":"much"}"#,
        r#"{"id":3,"unknown":1}"#,
        r#"{"id":4,"text, \"odd\" 名":[1, 2],"json":"text","flag":false,"share":-1e300,"price":5,"wide":0,"day":"1969-12-31","at":"1969-12-31T23:59:59Z"}"#,
    ];
    let verdicts = sink.write(&batch(1, &records)).await.unwrap();
    assert_eq!(short(&verdicts[1]), "rejected RK0408: column \"share\" (double): the value is no number");
    sink.seal().await.unwrap();
    let path = folder.path().join("all.000000.parquet");
    let types = [
        "id BIGINT",
        "text, \"odd\" 名 VARCHAR",
        "json JSON",
        "flag BOOLEAN",
        "share DOUBLE",
        "price DECIMAL(12,2)",
        "wide DECIMAL(38,9)",
        "day DATE",
        "at TIMESTAMP WITH TIME ZONE",
    ];
    assert_eq!(read_parquet(&["--types"], std::slice::from_ref(&path)), types);
    let rows = read_parquet(&[], std::slice::from_ref(&path));
    println!("{}", rows.join("\n"));
    assert_eq!(rows.len(), 3);
    assert_eq!(
        rows[0],
        r#"{"id":9223372036854775807,"text, \"odd\" 名":"a\n\"名\"","json":{"a":[1.5,null]},"flag":true,"share":0.1,"price":-1234567890.12,"wide":-12345678901234567890123456789.123456789,"day":"2026-02-28","at":"2026-03-01 00:00:00.123456+00"}"#
    );
    assert!(rows[1].contains(r#""flag":null,"share":null,"price":null"#), "{}", rows[1]);
    assert!(rows[2].contains(r#""text, \"odd\" 名":"[1,2]","json":"text","flag":false"#), "{}", rows[2]);
}
