//! What holds for every sink that stores records and checkpoint together, whatever it is.

use renkei::{
    model::{Checkpoint, Fault, Verdict},
    sink::{Durability, Sink},
};

use crate::{
    database::{at, batch, short},
    ends::{End, ends},
};

/// Writes a batch, and makes it durable. Returns the verdicts, and the checkpoint that a store would commit.
async fn deliver(sink: &dyn Sink, number: i64, records: &[String]) -> Result<(Vec<Verdict>, Checkpoint), Fault> {
    let records: Vec<&str> = records.iter().map(String::as_str).collect();
    let verdicts = sink.write(&batch(number, &records)).await?;
    let mark = sink.seal().await?;
    Ok((verdicts, Checkpoint { mark, ..at(number) }))
}

fn record(id: i64, v: &str) -> String {
    serde_json::json!({"id": id, "v": v}).to_string()
}

fn records(ids: std::ops::Range<i64>) -> Vec<String> {
    ids.map(|id| record(id, &format!("v{id}"))).collect()
}

fn told(verdicts: &[Verdict]) -> Vec<String> {
    verdicts.iter().map(|verdict| short(verdict).split(' ').next().unwrap().to_owned()).collect()
}

async fn resumed(end: &End, known: Option<&Checkpoint>) -> (Box<dyn Sink>, Option<Checkpoint>) {
    let sink = end.open();
    let agreed = sink.resume(known.cloned()).await.unwrap_or_else(|fault| panic!("{}: {fault:?}", end.name()));
    (sink, agreed)
}

#[tokio::test]
async fn what_was_written_is_there_with_all_of_its_text_and_each_record_has_a_verdict() {
    for end in ends("texts").await {
        let (sink, agreed) = resumed(&end, None).await;
        assert_eq!(agreed.and_then(|agreed| agreed.cursor), None, "{} begins from the start", end.name());
        assert_ne!(sink.durability(), Durability::Outbox);
        let texts =
            ["plain", "", "a,b;\"c\"", "two\nlines", "tab\tand \\ and '", "名前 \u{1f600} e\u{301}", " spaces "];
        let batch: Vec<String> = texts.iter().zip(1..).map(|(text, id)| record(id, text)).collect();
        let (verdicts, _) = deliver(&*sink, 1, &batch).await.unwrap();
        assert_eq!(told(&verdicts), ["created"; 7], "{}", end.name());
        let wanted: Vec<String> = texts.iter().zip(1..).map(|(text, id)| format!("{id} {text}")).collect();
        assert_eq!(end.held().await, wanted, "{}", end.name());
    }
}

#[tokio::test]
async fn a_batch_that_no_commit_knows_of_is_written_again_and_each_record_is_there_once() {
    for is_durable in [false, true] {
        for end in ends("again").await {
            let (sink, _) = resumed(&end, None).await;
            let (_, committed) = deliver(&*sink, 1, &records(0..2)).await.unwrap();
            // The process dies with this batch written, and made durable or not.
            let lost = [record(2, "lost"), record(9, "gone")];
            sink.write(&batch(2, &[&lost[0], &lost[1]])).await.unwrap();
            if is_durable {
                sink.seal().await.unwrap();
            }
            drop(sink);
            let (sink, agreed) = resumed(&end, Some(&committed)).await;
            assert_eq!(agreed.unwrap().cursor, committed.cursor, "{}", end.name());
            if !end.keeps_the_last() {
                // Whoever reads the files meanwhile finds what was committed, and whole files.
                assert_eq!(end.held().await, ["0 v0", "1 v1"], "{}", end.name());
            }
            // The source drifted: one record changed, one is no longer there.
            let (_, committed) = deliver(&*sink, 2, &records(2..4)).await.unwrap();
            drop(sink);
            let (sink, _) = resumed(&end, Some(&committed)).await;
            deliver(&*sink, 3, &records(4..5)).await.unwrap();
            let mut held = end.held().await;
            if end.keeps_the_last() {
                // A table is not taken back: what was stored came with its checkpoint, and is overwritten.
                held.retain(|row| row != "9 gone");
            }
            let once: Vec<String> = (0..5).map(|id| format!("{id} v{id}")).collect();
            assert_eq!(held, once, "{}, durable: {is_durable}", end.name());
        }
    }
}

#[tokio::test]
async fn a_later_state_takes_the_place_of_the_earlier_one_or_stands_behind_it() {
    for end in ends("states").await {
        let (sink, _) = resumed(&end, None).await;
        deliver(&*sink, 1, &[record(1, "a"), record(2, "a")]).await.unwrap();
        let (verdicts, _) = deliver(&*sink, 2, &[record(1, "b")]).await.unwrap();
        let (verdict, wanted) = match end.keeps_the_last() {
            true => ("updated", vec!["1 b", "2 a"]),
            false => ("created", vec!["1 a", "2 a", "1 b"]),
        };
        assert_eq!(
            (told(&verdicts), end.held().await),
            (vec![verdict.to_owned()], wanted.iter().map(|&it| it.to_owned()).collect()),
            "{}",
            end.name()
        );
    }
}

#[tokio::test]
async fn a_listing_that_begins_again_takes_the_files_back_to_where_it_began() {
    for end in ends("rewind").await.into_iter().filter(|end| !end.keeps_the_last()) {
        let (sink, _) = resumed(&end, None).await;
        let (_, begun) = deliver(&*sink, 1, &records(0..3)).await.unwrap();
        for number in 2..6 {
            deliver(&*sink, number, &records(number * 10..number * 10 + 3)).await.unwrap();
        }
        sink.resume(Some(begun)).await.unwrap();
        deliver(&*sink, 2, &records(3..4)).await.unwrap();
        assert_eq!(end.held().await, ["0 v0", "1 v1", "2 v2", "3 v3"], "{}", end.name());
    }
}

#[tokio::test]
async fn a_value_that_is_refused_costs_only_its_record() {
    for end in ends("refused").await {
        let (sink, _) = resumed(&end, None).await;
        let bad = match &end {
            // Lines and rows of text take whatever is a record.
            End::Lines(_) | End::Csv(_) | End::Bucket(_, renkei::sink::WholeForm::Lines(_)) => continue,
            End::Parquet(_) | End::Bucket(..) => r#"{"id":"two","v":"b"}"#.to_owned(),
            End::Sqlite(_) | End::Postgres(_) | End::Mysql(_) => r#"{"id":null,"v":"b"}"#.to_owned(),
        };
        let (verdicts, _) = deliver(&*sink, 1, &[record(1, "a"), bad, record(3, "c")]).await.unwrap();
        assert_eq!(told(&verdicts), ["created", "rejected", "created"], "{}", end.name());
        assert_eq!(end.held().await, ["1 a", "3 c"], "{}", end.name());
    }
}

#[tokio::test]
async fn a_batch_of_nothing_moves_the_checkpoint_and_writes_nothing() {
    for end in ends("nothing").await {
        let (sink, _) = resumed(&end, None).await;
        let (verdicts, empty) = deliver(&*sink, 1, &[]).await.unwrap();
        assert!(verdicts.is_empty());
        assert!(end.held().await.is_empty(), "{}", end.name());
        drop(sink);
        let (sink, agreed) = resumed(&end, Some(&empty)).await;
        // A table that was never made is filled from the start.
        let cursor = if end.keeps_the_last() { None } else { empty.cursor };
        assert_eq!(agreed.and_then(|agreed| agreed.cursor), cursor, "{}", end.name());
        deliver(&*sink, 2, &records(0..1)).await.unwrap();
        assert_eq!(end.held().await, ["0 v0"], "{}", end.name());
    }
}

#[tokio::test]
async fn a_sink_that_was_not_resumed_writes_nothing() {
    for end in ends("unready").await {
        let sink = end.open();
        assert!(deliver(&*sink, 1, &records(0..1)).await.is_err(), "{}", end.name());
        if !matches!(end, End::Sqlite(_)) {
            assert!(end.held().await.is_empty(), "{}", end.name());
        }
    }
}

#[tokio::test]
async fn of_two_writers_one_is_refused_and_nothing_is_there_twice() {
    for end in ends("writers").await {
        let (first, _) = resumed(&end, None).await;
        let second = end.open();
        let late = match second.resume(None).await {
            Err(fault) => Err(fault),
            Ok(_) => {
                deliver(&*first, 1, &[record(1, "first")]).await.unwrap();
                deliver(&*second, 1, &[record(1, "late")]).await
            }
        };
        assert!(late.is_err(), "{}", end.name());
        deliver(&*first, 2, &[record(2, "first")]).await.unwrap();
        let held = end.held().await;
        assert!(held.iter().all(|row| row.ends_with("first")), "{}: {held:?}", end.name());
        assert_eq!(held.last().unwrap(), "2 first", "{}", end.name());
    }
}

#[tokio::test]
async fn what_somebody_else_left_there_is_neither_overwritten_nor_continued() {
    for end in ends("foreign").await.into_iter().filter(|end| !end.keeps_the_last()) {
        let (sink, _) = resumed(&end, None).await;
        deliver(&*sink, 1, &records(0..2)).await.unwrap();
        drop(sink);
        // A state that knows of nothing: another workspace, or one whose state was lost.
        let fault = end.open().resume(None).await.unwrap_err();
        assert_eq!(fault.code, renkei::model::Code::FileChanged, "{}: {fault:?}", end.name());
        assert_eq!(end.held().await, ["0 v0", "1 v1"], "{}", end.name());
    }
}
