//! A vendor that writes its answers byte by byte as a test says, and a workspace that reads it.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use renkei::{
    config::{self, MapEnvironment},
    engine::{Engine, Options, Parts, Stopper},
    model::{Checkpoint, Code, Fault, SystemClock, SystemEntropy},
    store::{Memory, Run, Seal, State, StreamId},
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// One request: its method and target, its headers and its body.
#[derive(Clone, Debug)]
pub struct Asked {
    pub line: String,
    pub head: String,
    pub body: String,
}

/// What comes back, and how it ends.
pub struct Reply {
    pub status: u16,
    pub headers: Vec<String>,
    pub body: Vec<u8>,
    pub ends: Ends,
}

#[derive(Clone, Copy)]
pub enum Ends {
    Well,
    /// The connection closes after so many bytes of the body.
    Early(usize),
    /// Nothing comes after so many bytes of the body, and the connection stays.
    Silent(usize),
}

pub fn ok(body: impl Into<Vec<u8>>) -> Reply {
    Reply { status: 200, headers: Vec::new(), body: body.into(), ends: Ends::Well }
}

pub fn status(status: u16) -> Reply {
    Reply { status, ..ok("{}") }
}

impl Reply {
    pub fn header(mut self, line: &str) -> Self {
        self.headers.push(line.to_owned());
        self
    }
}

/// Answers each request as `answer` says.
pub struct Vendor {
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    count: Arc<AtomicUsize>,
}

impl Vendor {
    pub async fn new(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (asked, count): (Arc<Mutex<Vec<Asked>>>, Arc<AtomicUsize>) = Default::default();
        let (log, counted, answer) = (asked.clone(), count.clone(), Arc::new(answer));
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (log, counted, answer) = (log.clone(), counted.clone(), answer.clone());
                tokio::spawn(async move {
                    let mut socket = socket;
                    let Some(asked) = read(&mut socket).await else { return };
                    counted.fetch_add(1, Ordering::Relaxed);
                    log.lock().unwrap().push(asked.clone());
                    // A client that died hears nothing.
                    let _ = write(&mut socket, answer(&asked)).await;
                });
            }
        });
        Self { url, asked, count }
    }

    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The first lines of the requests so far.
    pub fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }
}

async fn read(socket: &mut TcpStream) -> Option<Asked> {
    let mut text = Vec::new();
    let head_end = loop {
        if let Some(at) = text.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if socket.read_buf(&mut text).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(text[..head_end].to_vec()).unwrap();
    let length =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
    let length: usize = length.map_or(0, |length| length.parse().unwrap());
    while text.len() < head_end + length {
        if socket.read_buf(&mut text).await.ok()? == 0 {
            return None;
        }
    }
    let line = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
    Some(Asked { line, head, body: String::from_utf8(text[head_end..].to_vec()).unwrap() })
}

async fn write(socket: &mut TcpStream, reply: Reply) -> std::io::Result<()> {
    let Reply { status, headers, body, ends } = reply;
    let more: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    let head = format!("HTTP/1.1 {status} x\r\n{more}content-length: {}\r\nconnection: close\r\n\r\n", body.len());
    socket.write_all(head.as_bytes()).await?;
    match ends {
        Ends::Well => socket.write_all(&body).await?,
        Ends::Early(bytes) => socket.write_all(&body[..bytes]).await?,
        Ends::Silent(bytes) => {
            socket.write_all(&body[..bytes]).await?;
            std::future::pending::<()>().await;
        }
    }
    socket.shutdown().await
}

/// The vendor, and a workspace whose pipeline reads its stream `things` into a file.
pub struct Stage {
    pub vendor: Vendor,
    pub folder: TempDir,
    store: Memory,
}

impl Stage {
    /// `stream` is what the stream says besides its name, as lines of YAML.
    pub async fn new(stream: &str, answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::beside("", stream, answer).await
    }

    /// With more in the connection.
    pub async fn beside(more: &str, stream: &str, answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let stage =
            Self { vendor: Vendor::new(answer).await, folder: tempfile::tempdir().unwrap(), store: Memory::new() };
        let lines: String = stream.lines().map(|line| format!("    {line}\n")).collect();
        let url = &stage.vendor.url;
        stage.write(
            "renkei.yaml",
            &format!("version: 1\nconnections:\n  api: {{ connector: vendor, base_url: \"{url}\"{more} }}\n  files: {{ jsonl: {{ path: out }} }}\n"),
        );
        stage.write(
            "connectors/vendor/connector.yaml",
            &format!("version: 1\nretry: {{ attempts: 1 }}\nstreams:\n  things:\n{lines}"),
        );
        stage.write(
            "pipelines/p.yaml",
            "version: 1\nfrom: { connection: api, stream: things }\nto: { connection: files, file: lines }\n",
        );
        stage
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn state(&self) -> State {
        State::new(Arc::new(self.store.clone()), Arc::new(Seal::plain()))
    }

    /// Where the stream stands in the store.
    pub async fn checkpoint(&self) -> Option<Checkpoint> {
        self.state().checkpoint(&StreamId::new("p", "things")).await.unwrap()
    }

    pub fn engine(&self) -> Engine {
        let plan = config::load(self.folder.path(), &MapEnvironment::new(&[("PASSWORD", "planted")]));
        let plan = plan.unwrap_or_else(|report| panic!("{}", report.render(false)));
        let parts = Parts {
            store: Arc::new(self.store.clone()),
            seal: Arc::new(Seal::plain()),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy::seeded(1)),
            transport: None,
        };
        Engine::over(Arc::new(plan), parts)
    }

    /// Runs it. A life that was cut off may still be writing its last line.
    pub async fn run(&self) -> (Run, Option<Fault>) {
        loop {
            let ran = self.engine().run("p", Options::default(), &Stopper::new().1).await.unwrap();
            if ran.1.as_ref().is_none_or(|fault| fault.code != Code::FileSink) {
                return ran;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Runs it to a good end.
    pub async fn well(&self) -> Run {
        let (run, fault) = self.run().await;
        assert_eq!(fault, None);
        run
    }

    /// Runs it into a fault.
    pub async fn fault(&self) -> Fault {
        self.run().await.1.unwrap()
    }

    /// What is in the file, line by line.
    pub fn lines(&self) -> Vec<Value> {
        let entries =
            fs::read_dir(self.folder.path().join("out")).map(|all| all.map(|entry| entry.unwrap().path()).collect());
        let mut segments: Vec<PathBuf> = entries.unwrap_or_default();
        segments.retain(|path| path.extension().is_some_and(|ending| ending == "jsonl"));
        segments.sort();
        let text: String = segments.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The reasons of all dead letters.
    pub async fn reasons(&self) -> Vec<String> {
        let mut all: Vec<String> =
            self.state().dead_letters(None).await.unwrap().into_iter().map(|it| it.reason.message).collect();
        all.sort();
        all
    }
}

/// `[{"id":0,..},..]` of so many records of about 120 bytes.
pub fn array(records: usize) -> String {
    let one = |id: usize| format!(r#"{{"id":{id},"name":"name of {id}","text":"{}"}}"#, "x".repeat(80));
    format!("[{}]", (0..records).map(one).collect::<Vec<_>>().join(","))
}

/// Checks that the file holds exactly these ids, once each.
pub fn assert_ids(lines: &[Value], records: usize) {
    let mut ids: Vec<u64> = lines.iter().map(|line| line["id"].as_u64().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((ids.len(), lines.len(), ids.last().copied()), (records, records, (records as u64).checked_sub(1)));
}
