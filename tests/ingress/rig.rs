//! A workspace that takes records in, with the real engine and store behind it, the sandbox's CRM as its sink, and a caller who
//! speaks HTTP by hand, so that also what no client would send can be sent.

use std::{fs, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use http::StatusCode;
use renkei::{
    config::{self, MapEnvironment},
    engine::Engine,
    sandbox::{FaultPlan, Sandbox, SandboxConfig, WorldConfig},
    server::FrontDoor,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub const TOKEN: &str = "a token of thirty-two characters";

/// A service that takes records in.
pub struct Rig {
    pub folder: TempDir,
    pub sandbox: Sandbox,
    pub engine: Arc<Engine>,
    pub door: FrontDoor,
}

/// Leads that are pushed, by what `ingress` says besides their key and version.
pub fn pipeline(ingress: &str) -> String {
    format!(
        "version: 1\ndescription: Leads that others push\nfrom:\n  ingress: {{ key: id, version: at{ingress} }}\nto:\n  connection: crm\n  \
         operation: create_lead\n  changed: {{ operation: update_lead }}\n  key: external_id\n  fields: {{ external_id: record.id, email: \
         record.email, name: record.name | default(\"\") }}\n"
    )
}

pub fn write(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// The files of a workspace that takes in leads.
pub fn workspace(folder: &Path, ingress: &str) {
    let connector = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors/crm/connector.yaml"));
    let connector =
        connector.unwrap().replace("requests: 45, per: 1s, burst: 5", "requests: 5000, per: 1s, burst: 100");
    write(folder, "connectors/crm/connector.yaml", &connector);
    let workspace = "version: 1\nserve: { ingress: { address: \"127.0.0.1:0\", header_time: 300ms } }\nconnections:\n  crm:\n    connector: \
                     crm\n    base_url: \"${RENKEI_SANDBOX}\"\n    auth: { oauth2: { client_id: demo, client_secret: \"${SECRET}\" } }\n";
    write(folder, "renkei.yaml", workspace);
    write(folder, "pipelines/leads.yaml", &pipeline(ingress));
}

impl Rig {
    pub async fn new(ingress: &str) -> Self {
        Self::with(ingress, FaultPlan::none()).await
    }

    pub async fn with(ingress: &str, faults: FaultPlan) -> Self {
        let folder = tempfile::tempdir().unwrap();
        workspace(folder.path(), ingress);
        Self::over(folder, faults).await
    }

    pub async fn over(folder: TempDir, faults: FaultPlan) -> Self {
        let world = WorldConfig { customers: 1, shop_quota: None, crm_quota: None, ..WorldConfig::default() };
        let sandbox = Sandbox::start(SandboxConfig { world, faults, ..SandboxConfig::default() }).await.unwrap();
        let engine = Arc::new(Engine::open(plan(folder.path(), &sandbox)).await.unwrap());
        let mut door = FrontDoor::default();
        door.follow(&engine, Duration::from_secs(2)).await.unwrap();
        Self { folder, sandbox, engine, door }
    }

    pub fn address(&self) -> SocketAddr {
        self.door.address().unwrap()
    }

    /// Ends as a power cut would, but for the lock, and begins again over the same state.
    pub async fn again(self) -> Self {
        let Self { folder, sandbox, engine, mut door } = self;
        door.close_intake().await;
        door.end_lanes(tokio::time::Instant::now()).await;
        engine.close().await;
        drop(engine);
        let engine = Arc::new(Engine::open(plan(folder.path(), &sandbox)).await.unwrap());
        door.follow(&engine, Duration::from_secs(2)).await.unwrap();
        Self { folder, sandbox, engine, door }
    }

    /// Takes over changed files, as the service does.
    pub async fn reload(&mut self) -> Result<(), renkei::model::Fault> {
        let next = Arc::new(self.engine.reloaded(plan(self.folder.path(), &self.sandbox)).await);
        self.engine = next;
        self.door.follow(&self.engine, Duration::from_secs(2)).await
    }

    pub async fn push(&self, body: &str, headers: &[(&str, &str)]) -> Answer {
        send(self.address(), "POST", "/in/leads", headers, body.as_bytes()).await
    }

    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        send(self.address(), "GET", path, headers, b"").await
    }

    /// Asks until the record has its verdict.
    pub async fn verdict(&self, path: &str) -> Value {
        for _ in 0..4_000 {
            let answer = self.get(path, &[]).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            if answer.json()["status"] == "done" {
                return answer.json();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{path} has no verdict after twenty seconds");
    }

    /// How many leads the CRM has of a record.
    pub fn leads(&self, id: &str) -> usize {
        self.sandbox.world().leads_of(id).count()
    }
}

/// The plan of a workspace.
pub fn plan(folder: &Path, sandbox: &Sandbox) -> renkei::config::Plan {
    let environment = [
        ("RENKEI_SANDBOX", sandbox.url()),
        ("SECRET", "demo-secret".to_owned()),
        ("TOKEN", TOKEN.to_owned()),
        ("WEBHOOK", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned()),
    ];
    let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    config::load(folder, &MapEnvironment::new(&environment)).unwrap_or_else(|report| panic!("{report:#?}"))
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// That it is a problem of this status and code.
    pub fn is_problem(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let (problem, title) = (self.json(), StatusCode::from_u16(status).unwrap().canonical_reason().unwrap());
        assert_eq!((&problem["code"], &problem["status"]), (&Value::from(code), &Value::from(status)), "{problem}");
        assert_eq!(problem["title"], title);
        assert!(!problem["detail"].as_str().unwrap().is_empty());
    }
}

pub async fn send(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut line = TcpStream::connect(address).await.unwrap();
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    if method == "POST" {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
    head.push_str("\r\n");
    // A server that refuses early need not read all of it.
    let _ = line.write_all(&[head.as_bytes(), body].concat()).await;
    heard(line).await
}

/// Reads an answer to the connection's end.
pub async fn heard(mut line: TcpStream) -> Answer {
    let mut all = Vec::new();
    let read = async {
        let mut part = [0; 16 << 10];
        // A reset behind an early answer takes nothing of it back.
        while let Ok(count @ 1..) = line.read(&mut part).await {
            all.extend_from_slice(&part[..count]);
        }
    };
    tokio::time::timeout(Duration::from_secs(30), read).await.expect("an answer within half a minute");
    parse(&all)
}

fn parse(all: &[u8]) -> Answer {
    let text = String::from_utf8(all.to_vec()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap();
    let headers =
        lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_owned(), value.to_owned()));
    Answer { status, headers: headers.collect(), body: body.to_owned() }
}

/// A record with an address, as the CRM wants it.
pub fn lead(id: &str, at: u32) -> String {
    format!(r#"{{"id":"{id}","at":{at},"email":"{id}@example.com","name":"{id} {at}"}}"#)
}
