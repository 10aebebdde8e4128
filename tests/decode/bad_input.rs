//! Answers that are not what their stream says: one clear error each, or a dead letter where the rest can go on.

use std::time::Duration;

use flate2::{Compression, write::GzEncoder};
use renkei::{
    config::{self, MapEnvironment},
    model::Code,
};
use serde_json::json;

use super::rig::{Ends, Reply, Stage, array, ok};

async fn fault(stream: &str, body: impl Into<Vec<u8>>) -> (Code, String) {
    let body = body.into();
    let stage = Stage::new(&format!("get: /t\nkey: id\n{stream}"), move |_| ok(body.clone())).await;
    let fault = stage.fault().await;
    assert_eq!(stage.checkpoint().await.and_then(|at| at.cursor), None);
    assert!(!fault.help.is_empty(), "{fault}");
    (fault.code, fault.message)
}

#[tokio::test]
async fn a_ragged_row_is_a_dead_letter_and_the_others_go_on() {
    let body = "id,name\n1,a\n2\n3,c,d\n4,d\n";
    let stage = Stage::new("get: /t\nkey: id\ndecode: { csv: {} }", move |_| ok(body)).await;
    let run = stage.well().await;
    assert_eq!((run.counts.read, run.counts.created, run.counts.rejected), (4, 2, 2));
    assert_eq!(stage.lines(), [json!({"id": "1", "name": "a"}), json!({"id": "4", "name": "d"})]);
    let expected = [
        "line 3 of the answer has 1 cells where there are 2 columns",
        "line 4 of the answer has 3 cells where there are 2 columns",
    ];
    assert_eq!(stage.reasons().await, expected);
}

#[tokio::test]
async fn shift_jis_that_nobody_declared_is_an_error_that_says_so() {
    let (code, message) = fault("decode: { csv: {} }", b"id,name\n1,a\n2,\x83\x65\x83\x58\n".as_slice()).await;
    assert_eq!((code, message.as_str()), (Code::WrongCharset, "line 3 of the answer is not in UTF-8"));
}

#[tokio::test]
async fn a_zip_bomb_is_refused_by_what_it_unpacks_to() {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..100 {
        std::io::Write::write_all(&mut packer, &[b' '; 1 << 20]).unwrap();
    }
    let bomb = packer.finish().unwrap();
    let (code, _) =
        fault("decode: { compressed: gzip, json_lines: {} }\nlarge: { bytes_max: 2MiB }", bomb.clone()).await;
    assert!(matches!(code, Code::UnpackedTooLarge | Code::BodyTooLarge), "{code}");
    let lines: Vec<u8> = (0..200_000)
        .flat_map(|id| format!("{{\"id\":{id},\"text\":\"xxxxxxxxxxxxxxxxxxxx\"}}\n").into_bytes())
        .collect();
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    std::io::Write::write_all(&mut packer, &lines).unwrap();
    let (code, message) =
        fault("decode: { compressed: gzip, json_lines: {} }\nlarge: { bytes_max: 2MiB }", packer.finish().unwrap())
            .await;
    assert_eq!((code, message.as_str()), (Code::UnpackedTooLarge, "the answer unpacks to more than it may"));
}

#[tokio::test]
async fn an_answer_larger_than_it_may_be_is_refused() {
    let (code, _) = fault("large: { bytes_max: 1MiB }", array(20_000)).await;
    assert_eq!(code, Code::BodyTooLarge);
}

#[tokio::test]
async fn gzip_that_ends_early_is_an_error() {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    std::io::Write::write_all(&mut packer, array(100).as_bytes()).unwrap();
    let mut body = packer.finish().unwrap();
    body.truncate(body.len() - 9);
    let (code, message) = fault("decode: { compressed: gzip }", body).await;
    assert_eq!((code, message.as_str()), (Code::Unpacking, "the packed answer cannot be unpacked: it ends early"));
}

#[tokio::test]
async fn an_answer_that_ends_inside_of_a_record_delivers_what_came_before_and_goes_no_further() {
    let whole = array(5_000);
    let cut = whole[..whole.len() - 30].to_owned();
    let bytes = cut.len();
    let stage = Stage::new("get: /t\nkey: id\nlarge: {}", move |_| ok(cut.clone())).await;
    let fault = stage.fault().await;
    assert_eq!(
        (fault.code, fault.message.as_str()),
        (Code::Truncated, &*format!("the answer's JSON ends early, after {bytes} bytes"))
    );
    assert_eq!(stage.lines().len() % 1000, 0, "whole pieces only");
}

#[tokio::test]
async fn a_connection_that_breaks_inside_of_a_large_answer_is_an_error_and_nothing_of_it_is_used() {
    let answer = |_: &_| Reply { ends: Ends::Early(300_000), ..ok(array(20_000)) };
    let stage = Stage::new("get: /t\nkey: id\nlarge: {}", answer).await;
    assert_eq!(stage.fault().await.code, Code::Truncated);
    assert_eq!(stage.lines().len(), 0);
}

#[tokio::test]
async fn an_answer_that_goes_silent_is_given_up_long_before_its_time_is_over() {
    let answer = |_: &_| Reply { ends: Ends::Silent(300_000), ..ok(array(20_000)) };
    let stage = Stage::new("get: /t\nkey: id\nlarge: { silence_max: 200ms, time_max: 1h }", answer).await;
    let fault = tokio::time::timeout(Duration::from_secs(60), stage.fault()).await.unwrap();
    assert_eq!(fault.code, Code::Timeout);
    assert_eq!(stage.lines().len(), 0);
}

#[tokio::test]
async fn columns_that_stand_twice_are_an_error() {
    let (code, message) = fault("decode: { csv: {} }", "id,id\n1,2\n").await;
    assert_eq!((code, message.as_str()), (Code::NoColumns, "the first row names two columns `id`"));
}

#[tokio::test]
async fn a_web_page_in_place_of_a_large_answer_is_no_json() {
    assert_eq!(fault("large: {}", "<html>sign in</html>").await.0, Code::NotJson);
}

#[tokio::test]
async fn every_declaration_that_cannot_hold_is_named_with_its_place() {
    let stream = "get: /t\nkey: id\nrecords: data\n\
                  paginate: { offset: { query: o, size: { records: 5 }, total: total } }\n\
                  large: { bytes_max: 1kB }\n\
                  decode:\n  charset: klingon\n  json_lines: {}\n  csv: { separator: \"::\", quote: \",\", columns: [a, a] }";
    let stage = Stage::new(stream, |_| ok("")).await;
    let report = config::load(stage.folder.path(), &MapEnvironment::default()).unwrap_err().render(false);
    for wanted in [
        "`klingon` is no known charset",
        "an answer has one format",
        "this is no sign that CSV can be written with",
        "the column `a` cannot be told from others",
        "`records` is a place in JSON",
        "an answer in rows or lines has no place that tells of the next page",
        "the pages of a large answer cannot be counted by their records",
        "1kB",
    ] {
        assert!(report.contains(wanted), "{wanted} is not in\n{report}");
    }
}
