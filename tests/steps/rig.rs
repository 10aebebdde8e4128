//! A vendor on a real socket, and the real engine over a workspace that reads from it and writes a file.

use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Body, extract::Request, response::Response};
use renkei::{
    config::{self, MapEnvironment},
    engine::{Engine, Forecast, Options, Parts, Stopper},
    model::{Counts, Fault, SystemClock, SystemEntropy},
    store::{DeadLetter, Memory, Run, Seal},
};
use serde_json::Value;
use tokio::net::TcpListener;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    pub query: BTreeMap<String, String>,
    pub none_match: Option<String>,
}

impl Asked {
    pub fn parameter(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }
}

/// A status, an ETag and a body.
pub type Reply = (u16, Option<&'static str>, String);

pub fn ok(body: impl Into<String>) -> Reply {
    (200, None, body.into())
}

pub struct Rig {
    folder: tempfile::TempDir,
    memory: Memory,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Rig {
    /// `streams` of a connector, `steps` of a pipeline that reads its stream `main`, and what the vendor answers.
    pub async fn new(
        streams: &str,
        steps: &str,
        answer: impl Fn(&Asked) -> Reply + Clone + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let log = asked.clone();
        let app = Router::new().fallback(move |request: Request| {
            let query = request.uri().query().unwrap_or_default();
            let query = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
            let none_match = request.headers().get("if-none-match").map(|it| it.to_str().unwrap().to_owned());
            let asked = Asked { path: request.uri().path().to_owned(), query, none_match };
            let (status, etag, body) = answer(&asked);
            log.lock().unwrap().push(asked);
            let mut response = Response::builder().status(status);
            if let Some(etag) = etag {
                response = response.header("etag", etag);
            }
            let response = response.body(Body::from(body)).unwrap();
            async move { response }
        });
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let rig = Self { folder: tempfile::tempdir().unwrap(), memory: Memory::new(), asked };
        rig.write("connectors/shop/connector.yaml", &format!("version: 1\nbase_url: {url}\nstreams:\n{streams}"));
        let connections = "connections:\n  shop: { connector: shop }\n  files: { jsonl: { path: out } }\n";
        rig.write("renkei.yaml", &format!("version: 1\n{connections}"));
        rig.steps(steps);
        rig
    }

    pub fn steps(&self, steps: &str) {
        let ends = "from: { connection: shop, stream: main }\nto: { connection: files, file: p }";
        self.pipeline(&format!("{ends}\n{steps}"));
    }

    pub fn pipeline(&self, text: &str) {
        self.write("pipelines/p.yaml", &format!("version: 1\n{text}"));
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A new process over what is durable.
    pub fn engine(&self) -> Engine {
        let plan = config::load(self.folder.path(), &MapEnvironment::new(&[]));
        let parts = Parts {
            store: Arc::new(self.memory.clone()),
            seal: Arc::new(Seal::plain()),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy::seeded(7)),
            transport: None,
        };
        Engine::over(Arc::new(plan.unwrap_or_else(|report| panic!("{report}"))), parts)
    }

    pub async fn run_with(&self, options: Options) -> (Run, Option<Fault>) {
        let ended = self.engine().run("p", options, &Stopper::new().1).await.unwrap();
        assert_eq!(ended.0.counts.balance(), 0, "every record that was read has a verdict");
        ended
    }

    pub async fn run(&self) -> Counts {
        let (run, fault) = self.run_with(Options::default()).await;
        assert_eq!(fault, None);
        run.counts
    }

    pub async fn forecast(&self) -> Forecast {
        self.engine().forecast("p", false, 100, &Stopper::new().1).await.unwrap().0
    }

    pub async fn replay(&self) -> Counts {
        let letters = self.letters().await;
        let (run, fault) = self.engine().replay("p", letters, false, &Stopper::new().1).await.unwrap();
        assert_eq!(fault, None);
        run.counts
    }

    pub async fn letters(&self) -> Vec<DeadLetter> {
        self.engine().state().dead_letters(None).await.unwrap()
    }

    /// Why records are dead letters, sorted.
    pub async fn reasons(&self) -> Vec<String> {
        let mut all: Vec<String> = self
            .letters()
            .await
            .iter()
            .map(|letter| format!("{} {}", letter.reason.code, letter.reason.message))
            .collect();
        all.sort();
        all
    }

    /// All that was written.
    pub fn written(&self) -> Vec<Value> {
        self.written_to("p")
    }

    pub fn written_to(&self, file: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.path().join(format!("out/{file}.000000.jsonl"))).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// A field of all that was written.
    pub fn column(&self, name: &str) -> Vec<Value> {
        self.written().into_iter().map(|record| record[name].clone()).collect()
    }

    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}
