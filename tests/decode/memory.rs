//! What a large answer takes of memory, by the process that reads it. The answer is made while it is sent. Long: of 2 GB.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::Command,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::Instant,
};

/// Bound of the whole process.
const MEMORY_MAX_KIB: u64 = 64 << 10;
/// Records of one chunk.
const CHUNK: usize = 4_000;

/// The most memory that a process has had, while it lives.
fn peak(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// A list of records of 250 bytes, in chunks.
async fn vendor(chunks: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            socket.read_buf(&mut head).await.unwrap();
        }
        let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
        socket.write_all((head.to_owned() + &chunk("{\"data\":[")).as_bytes()).await.unwrap();
        for number in 0..chunks {
            let one = |id: usize| format!(r#"{{"id":{id},"name":"name of {id}","text":"{}"}}"#, "x".repeat(200));
            let records: Vec<String> = (number * CHUNK..(number + 1) * CHUNK).map(one).collect();
            let comma = if number + 1 < chunks { "," } else { "" };
            socket.write_all(chunk(&(records.join(",") + comma)).as_bytes()).await.unwrap();
        }
        socket.write_all((chunk("]}") + "0\r\n\r\n").as_bytes()).await.unwrap();
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_larger_than_the_bound_stays_within_it() {
    let chunks = if std::env::var_os("RENKEI_LONG").is_some() { 2_000 } else { 100 };
    let url = vendor(chunks).await;
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(
        "renkei.yaml",
        &format!(
            "version: 1\nconnections:\n  api: {{ connector: vendor, base_url: \"{url}\" }}\n  files: {{ jsonl: {{ path: out }} }}\n"
        ),
    );
    write(
        "connectors/vendor/connector.yaml",
        "version: 1\nstreams:\n  things: { get: /t, records: data, key: id, large: {} }\n",
    );
    write(
        "pipelines/p.yaml",
        "version: 1\nfrom: { connection: api, stream: things }\nto: { connection: files, file: lines, fields: { id: record.id } }\n",
    );
    let began = Instant::now();
    let mut process = Command::new(env!("CARGO_BIN_EXE_renkei"));
    let mut process = process.args(["run", "p"]).current_dir(folder.path()).env_clear().spawn().unwrap();
    let mut most = 0;
    let ended = loop {
        most = most.max(peak(process.id()).unwrap_or_default());
        if let Some(ended) = process.try_wait().unwrap() {
            break ended;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert!(ended.success());
    let mut lines = 0;
    for entry in fs::read_dir(folder.path().join("out")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "jsonl") {
            lines += BufReader::new(fs::File::open(path).unwrap()).lines().count();
        }
    }
    println!("{lines} records in {:?}, at most {most} KiB", began.elapsed());
    assert_eq!(lines, chunks * CHUNK);
    assert!((1..=MEMORY_MAX_KIB).contains(&most), "{most} KiB");
}
