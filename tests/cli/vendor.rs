//! A vendor whose every answer a test writes by hand, down to the bytes, and a workspace that reads from it.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
    thread,
};

use tempfile::TempDir;

use crate::harness::{Ran, program};

/// A request as far as the tests look at it.
pub struct Asked {
    /// `GET /people?page=2`.
    pub line: String,
    pub body: String,
}

type Script = Arc<Mutex<Box<dyn FnMut(&Asked) -> Vec<u8> + Send>>>;

pub struct Vendor {
    pub url: String,
    script: Script,
}

impl Vendor {
    /// Serves until the process ends: each request gets the bytes that the script makes for it, and the connection ends.
    pub fn new(script: impl FnMut(&Asked) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let script: Script = Arc::new(Mutex::new(Box::new(script)));
        let shared = script.clone();
        thread::spawn(move || {
            for socket in listener.incoming() {
                let (mut socket, script) = (socket.unwrap(), shared.clone());
                thread::spawn(move || {
                    let asked = heard(&socket);
                    let bytes = (script.lock().unwrap())(&asked);
                    // A client that has seen enough hangs up.
                    let _ = socket.write_all(&bytes);
                });
            }
        });
        Self { url, script }
    }

    /// From now on it answers so.
    pub fn mend(&self, script: impl FnMut(&Asked) -> Vec<u8> + Send + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }
}

fn heard(socket: &TcpStream) -> Asked {
    let mut reader = BufReader::new(socket);
    let mut read_line = || {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap_or_default();
        line
    };
    let line = read_line().trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    let mut length = 0;
    loop {
        let header = read_line().to_lowercase();
        if header.trim().is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    Asked { line, body: String::from_utf8(body).unwrap() }
}

/// A whole answer.
pub fn answer(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
        .into_bytes()
}

/// One page with these people and no other.
pub fn people(ids: std::ops::Range<u32>) -> String {
    let people: Vec<String> =
        ids.map(|id| format!(r#"{{"id":{id},"at":"2026-01-01T00:00:{:02}Z"}}"#, id % 60)).collect();
    format!(r#"{{"data":[{}]}}"#, people.join(","))
}

/// A workspace over a vendor: `people` go to `out/people`, or wherever `to` says.
pub struct Desk(pub TempDir);

const CONNECTOR: &str = r#"version: 1
retry: { attempts: 2, base: 1ms, cap: 2ms }
streams:
  people:
    get: /people
    records: data
    key: id
  paged:
    get: /people
    records: data
    key: id
    paginate: { cursor: { next: next, query: token } }
  changed:
    get: /people
    records: data
    key: id
    incremental: { field: at, format: rfc3339, since: since }
operations:
  put_people:
    post: /put
    makes: upsert
    batch: { size: 100 }
    body: { json: { inputs: "{{ batch }}" } }
    repeat: { upsert: { unique: id } }
    answer: { list: { ok: done, match: { answer: id, sent: id } } }
"#;

impl Desk {
    pub fn new(vendor: &Vendor, stream: &str, to: &str) -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        let url = &vendor.url;
        let workspace = format!(
            "version: 1\nconnections:\n  vendor:\n    connector: vendor\n    base_url: {url}\n  files: {{ jsonl: {{ path: out }} }}\n"
        );
        desk.write("renkei.yaml", &workspace);
        desk.write("connectors/vendor/connector.yaml", CONNECTOR);
        desk.write(
            "pipelines/people.yaml",
            &format!("version: 1\nfrom: {{ connection: vendor, stream: {stream} }}\nto: {to}\n"),
        );
        desk
    }

    /// To files.
    pub fn to_files(vendor: &Vendor, stream: &str) -> Self {
        Self::new(vendor, stream, "{ connection: files, file: people }")
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Replaces a part of a file.
    pub fn edit(&self, path: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path().join(path)).unwrap();
        assert!(text.contains(from), "{path} has no {from}");
        self.write(path, &text.replace(from, to));
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = program(self.path());
        command.args(args);
        command
    }

    pub fn renkei(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args).output().unwrap())
    }

    /// The lines of all files, in their order.
    pub fn lines(&self) -> Vec<String> {
        let mut paths: Vec<_> =
            fs::read_dir(self.path().join("out")).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
        paths.sort();
        let texts = paths.iter().map(|path| fs::read_to_string(path).unwrap());
        texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    }
}
