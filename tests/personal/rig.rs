//! The real engine over the vendor and a store in memory whose bytes are not sealed, so that what they hold can be searched.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex, Once},
};

use chrono::{DateTime, TimeDelta, Utc};
use renkei::{
    config::{self, MapEnvironment, Plan, Report},
    engine::{Engine, Forecast, Options, Parts, Stopper},
    model::{Clock, Counts, Fault, SystemEntropy},
    store::{DeadLetter, Memory, Run, Seal, State, StateStore, Tree},
};

use crate::vendor::Vendor;

/// Each look at the clock is a second later.
#[derive(Default)]
struct Ticking(Mutex<i64>);

impl Clock for Ticking {
    fn now(&self) -> DateTime<Utc> {
        let mut second = self.0.lock().unwrap();
        *second += 1;
        DateTime::from_timestamp(1_767_225_600, 0).unwrap() + TimeDelta::seconds(*second)
    }
}

pub struct Rig {
    folder: tempfile::TempDir,
    clock: Arc<Ticking>,
    pub memory: Memory,
    pub vendor: Vendor,
    /// Digits of the hash key and of the ring's keys, by id.
    pub hash: char,
    pub ring: Vec<(&'static str, char)>,
    pub pipeline: String,
}

/// What a test logs is heard by its own subscriber only while nobody in the process decided that nobody listens.
fn hear_everything() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let subscriber =
            tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(std::io::sink).finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
}

impl Rig {
    pub fn new(pipeline: &str) -> Self {
        hear_everything();
        let folder = tempfile::tempdir().unwrap();
        let source =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/personal/workspace/connectors/vendor/connector.yaml");
        let connector = folder.path().join("connectors/vendor");
        fs::create_dir_all(&connector).unwrap();
        fs::copy(source, connector.join("connector.yaml")).unwrap();
        fs::create_dir(folder.path().join("pipelines")).unwrap();
        Self {
            folder,
            clock: Arc::default(),
            memory: Memory::new(),
            vendor: Vendor::default(),
            hash: 'a',
            ring: vec![("k1", '1')],
            pipeline: pipeline.to_owned(),
        }
    }

    /// The plan of the files as they would be now.
    pub fn plan(&self) -> Result<Plan, Report> {
        let key = |digit: &char| digit.to_string().repeat(64);
        let mut variables = vec![("HASH".to_owned(), key(&self.hash))];
        variables.extend(self.ring.iter().map(|(id, digit)| (id.to_uppercase(), key(digit))));
        let ring: Vec<String> =
            self.ring.iter().map(|(id, _)| format!("{{ id: {id}, key: \"${{{}}}\" }}", id.to_uppercase())).collect();
        let workspace = format!(
            "version: 1\nconnections:\n  vendor: {{ connector: vendor }}\n  files: {{ jsonl: {{ path: out }} }}\npersonal: {{ hash_key: \"${{HASH}}\", keys: [{}] }}\n",
            ring.join(", ")
        );
        fs::write(self.folder.path().join("renkei.yaml"), workspace).unwrap();
        fs::write(self.folder.path().join("pipelines/p.yaml"), format!("version: 1\n{}", self.pipeline)).unwrap();
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        config::load(self.folder.path(), &MapEnvironment::new(&variables))
    }

    /// A new process over what is durable.
    pub fn engine(&self) -> Engine {
        let parts = Parts {
            store: Arc::new(self.memory.clone()),
            seal: Arc::new(Seal::plain()),
            clock: self.clock.clone(),
            entropy: Arc::new(SystemEntropy::seeded(7)),
            transport: Some(Arc::new(self.vendor.clone())),
        };
        let plan = self.plan().unwrap_or_else(|report| panic!("{report}"));
        Engine::over(Arc::new(plan), parts)
    }

    pub async fn run_with(&self, options: Options) -> Result<(Run, Option<Fault>), Fault> {
        self.engine().run("p", options, &Stopper::new().1).await
    }

    pub async fn run(&self) -> Counts {
        let (run, fault) = self.run_with(Options::default()).await.unwrap();
        assert_eq!(fault, None);
        run.counts
    }

    pub async fn forecast(&self) -> Result<Forecast, Fault> {
        Ok(self.engine().forecast("p", false, 100, &Stopper::new().1).await?.0)
    }

    pub async fn replay(&self) -> Counts {
        let letters = self.letters().await;
        let (run, fault) = self.engine().replay("p", letters, false, &Stopper::new().1).await.unwrap();
        assert_eq!(fault, None);
        run.counts
    }

    pub fn state(&self) -> State {
        State::new(Arc::new(self.memory.clone()), Arc::new(Seal::plain()))
    }

    pub async fn letters(&self) -> Vec<DeadLetter> {
        self.state().dead_letters(None).await.unwrap()
    }

    /// All lines of the pipeline's file.
    pub fn file(&self) -> String {
        fs::read_to_string(self.folder.path().join("out/p.000000.jsonl")).unwrap_or_default()
    }

    /// Every byte of the store.
    pub async fn bytes(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for tree in Tree::ALL {
            for (key, value) in self.memory.scan(tree, b"", None, 100_000).await.unwrap() {
                all.extend(key);
                all.push(b'\n');
                all.extend(value);
                all.push(b'\n');
            }
        }
        all
    }
}
