//! What is particular about objects in a bucket.

use std::sync::atomic::Ordering;

use renkei::{
    model::{Checkpoint, Code, Mark},
    sink::{BucketPlace, FileForm, Shelf, Sink, WholeForm, WholeSink},
};

use crate::{
    database::{at, batch},
    s3::{Lossy, Server, client},
};

fn sink(server: &Server, url: &str, prefix: &str, name: &str) -> WholeSink {
    let form = WholeForm::Lines(FileForm::JsonLines);
    let bucket = server.bucket(url, prefix);
    let place = BucketPlace::new(client(&bucket), &bucket, name, (form.ending(), form.media_type()));
    WholeSink::new(Shelf::Bucket(Box::new(place)), form, 1 << 20)
}

async fn deliver(sink: &WholeSink, number: i64) -> Checkpoint {
    sink.write(&batch(number, &[&format!(r#"{{"id":{number}}}"#)])).await.unwrap();
    Checkpoint { mark: sink.seal().await.unwrap(), ..at(number) }
}

fn names(server: &Server) -> Vec<String> {
    server.objects().into_keys().collect()
}

#[tokio::test]
async fn each_commit_is_an_object_of_its_number_and_nothing_is_none() {
    let Some(server) = Server::start() else { return };
    let sink = sink(&server, &server.url, "raw/a b+c=名/", "leads");
    sink.resume(None).await.unwrap();
    deliver(&sink, 1).await;
    assert_eq!(sink.seal().await.unwrap(), Some(Mark { segment: 1, bytes: 0 }), "nothing was written since");
    deliver(&sink, 2).await;
    let objects = server.objects();
    let wanted = ["raw/a b+c=名/leads.000000000.jsonl", "raw/a b+c=名/leads.000000001.jsonl"];
    assert_eq!(objects.keys().collect::<Vec<_>>(), wanted);
    assert_eq!(objects[wanted[1]], b"{\"id\":2}\n");
}

#[tokio::test]
async fn a_put_whose_answer_was_lost_is_recognised_and_not_taken_for_somebody_elses() {
    let Some(server) = Server::start() else { return };
    let way = Lossy::before(&server, "PUT").await;
    let sink = sink(&server, &way.url, "", "leads");
    sink.resume(None).await.unwrap();
    for number in 1..4 {
        way.losses.store(1, Ordering::SeqCst);
        deliver(&sink, number).await;
        assert_eq!(way.losses.load(Ordering::SeqCst), 0, "an answer was lost");
    }
    assert_eq!(names(&server).len(), 3);
    way.losses.store(99, Ordering::SeqCst);
    sink.write(&batch(4, &[r#"{"id":4}"#])).await.unwrap();
    let fault = sink.seal().await.unwrap_err();
    assert_eq!(fault.exit_code(), 5, "{fault:?}");
    way.losses.store(0, Ordering::SeqCst);
    // It took effect, and no commit knows of it: it goes, and what is read again takes its place.
    sink.resume(Some(Checkpoint { mark: Some(Mark { segment: 3, bytes: 0 }), ..at(3) })).await.unwrap();
    assert_eq!(names(&server).len(), 3);
    deliver(&sink, 4).await;
    assert_eq!(names(&server).len(), 4);
}

#[tokio::test]
async fn an_object_of_somebody_else_is_not_overwritten() {
    let Some(server) = Server::start() else { return };
    let sink = sink(&server, &server.url, "", "leads");
    sink.resume(None).await.unwrap();
    deliver(&sink, 1).await;
    server.say("put leads.000000001.jsonl theirs");
    sink.write(&batch(2, &[r#"{"id":2}"#])).await.unwrap();
    let fault = sink.seal().await.unwrap_err();
    assert_eq!((fault.code, fault.exit_code()), (Code::FileChanged, 6));
    assert!(fault.message.contains("leads.000000001.jsonl is there, and somebody else put it"), "{}", fault.message);
    assert_eq!(server.objects()["leads.000000001.jsonl"], b"theirs");
}

#[tokio::test]
async fn objects_of_other_names_stay_and_those_that_were_taken_away_are_not_missed() {
    let Some(server) = Server::start() else { return };
    let mine = sink(&server, &server.url, "", "leads");
    mine.resume(None).await.unwrap();
    for name in
        ["leads.eu.000000000.jsonl", "leads.000000000.csv", "leads.0.jsonl", "leads.000000000.jsonl.bak", "other"]
    {
        server.say(&format!("put {name} x"));
    }
    drop(mine);
    let mine = sink(&server, &server.url, "", "leads");
    mine.resume(None).await.unwrap();
    deliver(&mine, 1).await;
    let committed = deliver(&mine, 2).await;
    // Whoever loads the files takes them away.
    server.say("delete leads.000000000.jsonl");
    server.say("delete leads.000000001.jsonl");
    mine.resume(Some(committed)).await.unwrap();
    deliver(&mine, 3).await;
    let names = names(&server);
    assert_eq!(names.len(), 6, "{names:?}");
    assert!(names.contains(&"leads.000000002.jsonl".to_owned()));
}

#[tokio::test]
async fn more_objects_than_a_page_lists_are_all_taken_back() {
    let Some(server) = Server::start() else { return };
    let sink = sink(&server, &server.url, "", "leads");
    sink.resume(None).await.unwrap();
    let begun = deliver(&sink, 1).await;
    let pairs: Vec<String> = (1..1_100).map(|number| format!("leads.{number:09}.jsonl")).collect();
    server.say(&format!("fill {}", pairs.join(" ")));
    sink.resume(Some(begun)).await.unwrap();
    assert_eq!(names(&server), ["leads.000000000.jsonl"]);
}

#[tokio::test]
async fn what_is_wrong_with_the_account_is_told_without_its_secrets() {
    let Some(server) = Server::start() else { return };
    let told = |bucket: renkei::config::plan::S3| async move {
        let place = BucketPlace::new(client(&bucket), &bucket, "leads", ("jsonl", "application/x-ndjson"));
        let form = WholeForm::Lines(FileForm::JsonLines);
        WholeSink::new(Shelf::Bucket(Box::new(place)), form, 1000).resume(None).await.unwrap_err()
    };
    let mut wrong = server.bucket(&server.url, "");
    let mut api = (*wrong.api).clone();
    if let renkei::config::plan::Auth::Aws(keys) = &mut api.auth {
        keys.secret = "hunter2hunter2".into();
    }
    wrong.api = api.into();
    let fault = told(wrong).await;
    assert_eq!(fault.exit_code(), 4, "{fault:?}");
    assert!(fault.message.contains("SignatureDoesNotMatch"), "{}", fault.message);
    assert!(!format!("{fault:?}").contains("hunter2"));
    let mut none = server.bucket(&server.url, "");
    let mut api = (*none.api).clone();
    api.base_url = format!("{}/nowhere", server.url).parse().unwrap();
    none.api = api.into();
    let fault = told(none).await;
    assert_eq!((fault.code, fault.exit_code()), (Code::FileSink, 3), "{fault:?}");
    assert!(fault.message.contains("NoSuchBucket"), "{}", fault.message);
}
