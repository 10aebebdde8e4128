//! A workspace over a database, and the real engine over it.

use std::{fs, path::Path, sync::Arc};

use renkei::{
    config::{self, MapEnvironment},
    engine::{Engine, Options, Parts, Stopper},
    model::{Counts, Fault, SystemClock, SystemEntropy},
    store::{DeadLetter, Memory, Run, Seal},
};
use serde_json::Value;

pub struct Rig {
    pub folder: tempfile::TempDir,
    memory: Memory,
    url: String,
}

pub fn write(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

impl Rig {
    /// `url` is what `${PGURL}` stands for. `connections` besides `files`, and the pipeline `p` without its version.
    pub fn new(url: &str, connections: &str, pipeline: &str) -> Self {
        let rig = Self { folder: tempfile::tempdir().unwrap(), memory: Memory::new(), url: url.to_owned() };
        let files = "  files: { jsonl: { path: out } }\n";
        rig.write("renkei.yaml", &format!("version: 1\nconnections:\n{files}{connections}"));
        rig.pipeline(pipeline);
        rig
    }

    pub fn write(&self, path: &str, text: &str) {
        write(self.folder.path(), path, text);
    }

    pub fn pipeline(&self, pipeline: &str) {
        self.write("pipelines/p.yaml", &format!("version: 1\n{pipeline}"));
    }

    /// A new process over what is durable.
    pub fn engine(&self) -> Engine {
        let plan = config::load(self.folder.path(), &MapEnvironment::new(&[("PGURL", &self.url)]));
        let parts = Parts {
            store: Arc::new(self.memory.clone()),
            seal: Arc::new(Seal::plain()),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy::new()),
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

    pub async fn fault(&self) -> Fault {
        self.run_with(Options::default()).await.1.unwrap()
    }

    pub async fn letters(&self) -> Vec<DeadLetter> {
        self.engine().state().dead_letters(None).await.unwrap()
    }

    /// All lines of the file `p`.
    pub fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.path().join("out/p.000000.jsonl")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// A field of each line.
    pub fn column(&self, name: &str) -> Vec<String> {
        let field = |line: &String| serde_json::from_str::<Value>(line).unwrap()[name].to_string();
        self.lines().iter().map(field).collect()
    }
}
