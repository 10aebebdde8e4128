//! Every way in which an answer may be written, read by a run.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use serde_json::json;

use super::rig::{Stage, array, assert_ids, ok};

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(text).unwrap();
    packer.finish().unwrap()
}

fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, text) in files {
        let plain = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::STORE);
        writer.start_file(*name, plain).unwrap();
        writer.write_all(text).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[tokio::test]
async fn csv_in_shift_jis_in_a_zip_file() {
    let text = b"id,name\r\n1,\x83\x65\x83\x58\x83\x67\r\n2,\r\n";
    let stream = "get: /t\nkey: id\ndecode: { csv: { empty: absent }, charset: Shift_JIS, compressed: zip }";
    let stage = Stage::new(stream, move |_| ok(zip(&[("a.csv", text), ("b.csv", b"id,name\n3,x\n")]))).await;
    stage.well().await;
    assert_eq!(
        stage.lines(),
        [json!({"id": "1", "name": "テスト"}), json!({"id": "2"}), json!({"id": "3", "name": "x"})]
    );
}

#[tokio::test]
async fn json_lines_in_gzip() {
    let stream = "get: /t\nkey: id\ndecode: { json_lines: {}, compressed: gzip }";
    let stage = Stage::new(stream, |_| ok(gzip(b"{\"id\":1}\n{\"id\":2}\n"))).await;
    stage.well().await;
    assert_eq!(stage.lines(), [json!({"id": 1}), json!({"id": 2})]);
}

#[tokio::test]
async fn rows_go_on_over_numbered_pages() {
    let stream = "get: /t\nkey: id\ndecode: { csv: { columns: [id], separator: \"\\t\", quote: \"'\", empty: text } }\n\
                  paginate: { page: { query: page, size: { records: 2 } } }";
    let answer = |line: &str| match line {
        "GET /t?page=1" => "1\n2\n",
        _ => "'3'\n",
    };
    let stage = Stage::new(stream, move |asked| ok(answer(&asked.line))).await;
    stage.well().await;
    assert_eq!(stage.lines(), [json!({"id": "1"}), json!({"id": "2"}), json!({"id": "3"})]);
    assert_eq!(stage.vendor.lines(), ["GET /t?page=1", "GET /t?page=2"]);
}

#[tokio::test]
async fn a_large_answer_is_fetched_once_and_read_in_pieces() {
    let body = array(5_500);
    let stage = Stage::new("get: /t\nkey: id\nlarge: {}", move |_| ok(body.clone())).await;
    let run = stage.well().await;
    assert_ids(&stage.lines(), 5_500);
    assert_eq!((stage.vendor.count(), run.pages), (1, 6));
}

#[tokio::test]
async fn large_answers_go_on_where_the_last_one_says() {
    let stream = "get: /t\nkey: id\nrecords: data\nlarge: {}\npaginate: { cursor: { next: next, query: token } }";
    let page = |from: usize, next: &str| {
        let one = |id: usize| format!(r#"{{"id":{id},"text":"{}"}}"#, "x".repeat(200));
        let data = (from..from + 2_000).map(one).collect::<Vec<_>>().join(",");
        format!(r#"{{"first":true,"data":[{data}],"next":{next}}}"#)
    };
    let answer = move |line: &str| match line {
        "GET /t" => page(0, "\"b\""),
        _ => page(2_000, "null"),
    };
    let stage = Stage::new(stream, move |asked| ok(answer(&asked.line))).await;
    stage.well().await;
    assert_ids(&stage.lines(), 4_000);
    assert_eq!(stage.vendor.lines(), ["GET /t", "GET /t?token=b"]);
}

#[tokio::test]
async fn a_large_answer_that_is_small_never_touches_the_disk() {
    let stage = Stage::new("get: /t\nkey: id\nlarge: {}", |_| ok("[{\"id\":1}]")).await;
    std::fs::write(stage.folder.path().join("state"), "in the way").unwrap();
    stage.well().await;
    assert_eq!(stage.lines(), [json!({"id": 1})]);
    let body = array(5_500);
    let stage = Stage::new("get: /t\nkey: id\nlarge: {}", move |_| ok(body.clone())).await;
    std::fs::write(stage.folder.path().join("state"), "in the way").unwrap();
    assert_eq!(stage.fault().await.code.to_string(), "RK0515");
}
