//! A vendor with repositories, their issues, the issues' comments, and orders; and a workspace that reads them.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use renkei::{
    config::{self, MapEnvironment},
    engine::{Engine, Options, Parts, Stop, Stopper},
    model::{Checkpoint, Fault, SystemClock, SystemEntropy},
    store::{Memory, Run, Seal, State, StreamId},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::server::{Asked, Reply, Server, ok, status};

const CONNECTOR: &str = include_str!("connector.yaml");

/// What the vendor holds.
#[derive(Default)]
pub struct World {
    pub repos: Vec<Value>,
    /// By repository.
    pub issues: BTreeMap<String, Vec<Value>>,
    /// By repository and issue.
    pub comments: BTreeMap<String, Vec<Value>>,
    pub orders: Vec<Value>,
    /// The vendor lists no more orders than this.
    pub cap: usize,
    /// What this path is answered.
    pub broken: BTreeMap<String, u16>,
    /// What the vendor's clock says, where it is not ours.
    pub date: Option<&'static str>,
}

/// `2026-03-01T00:00:00Z` plus some hours.
pub fn hour(hours: i64) -> String {
    (chrono::DateTime::from_timestamp(1_772_323_200, 0).unwrap() + chrono::TimeDelta::hours(hours))
        .to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

impl World {
    /// Repositories with some issues each, each with some comments.
    pub fn of(repos: usize, issues: usize, comments: usize) -> Self {
        let mut world = Self { cap: usize::MAX, ..Self::default() };
        for repo in 0..repos {
            let name = format!("r{repo:03}");
            world
                .repos
                .push(json!({"id": repo, "name": name, "updated_at": hour(repo as i64), "owner": {"login": "o"}}));
            for number in 0..issues {
                world.issue(&name, number as i64, (repo * issues + number) as i64);
                let of = format!("{name}/{number}");
                let comment = |n| json!({"id": format!("{of}/{n}"), "text": "t"});
                world.comments.insert(of.clone(), (0..comments).map(comment).collect());
            }
        }
        world
    }

    pub fn issue(&mut self, repo: &str, number: i64, hours: i64) {
        let issues = self.issues.entry(repo.to_owned()).or_default();
        issues.retain(|issue| issue["number"] != number);
        issues.push(json!({"number": number, "state": if number % 2 == 0 { "open" } else { "closed" }, "updated_at": hour(hours)}));
    }

    fn answer(&self, asked: &Asked) -> Reply {
        let reply = self.reply(asked);
        match self.date {
            Some(date) => reply.header("date", date),
            None => reply,
        }
    }

    fn reply(&self, asked: &Asked) -> Reply {
        if let Some(code) = self.broken.get(&asked.path) {
            return status(*code, "{}");
        }
        let parts: Vec<&str> = asked.path.trim_start_matches('/').split('/').collect();
        match parts[..] {
            ["repos"] => listed(asked, &self.repos, 3),
            ["repos", repo, "issues"] => match self.issues.get(repo) {
                Some(issues) => listed(asked, issues, 2),
                None => status(404, "{}"),
            },
            ["repos", repo, "issues", issue, "comments"] => match self.comments.get(&format!("{repo}/{issue}")) {
                Some(comments) => listed(asked, comments, 2),
                None => status(404, "{}"),
            },
            ["orders"] => self.orders(asked),
            _ => status(500, "{}"),
        }
    }

    fn orders(&self, asked: &Asked) -> Reply {
        let found = within(asked, &self.orders);
        let (offset, limit) = (asked.number_of("offset"), asked.number_of("limit"));
        if offset + limit > self.cap {
            return status(400, r#"{"error":"offset"}"#);
        }
        let data: Vec<&Value> = found.iter().skip(offset).take(limit).copied().collect();
        ok(json!({"data": data, "total": found.len()}).to_string())
    }
}

fn within<'w>(asked: &Asked, all: &'w [Value]) -> Vec<&'w Value> {
    let is_in = |record: &&Value| {
        let at = record["updated_at"].as_str().unwrap_or_default();
        asked.parameter("since").is_none_or(|since| at >= since)
            && asked.parameter("until").is_none_or(|until| at < until)
            && asked.parameter("state").is_none_or(|state| record["state"] == state)
    };
    all.iter().filter(is_in).collect()
}

fn listed(asked: &Asked, all: &[Value], size: usize) -> Reply {
    let found = within(asked, all);
    let from = asked.number_of("token");
    let data: Vec<&Value> = found.iter().skip(from).take(size).copied().collect();
    let next = (from + size < found.len()).then(|| (from + size).to_string());
    ok(json!({"data": data, "next": next}).to_string())
}

/// The vendor, and the workspace on disk.
pub struct Stage {
    pub world: Arc<Mutex<World>>,
    pub server: Server,
    pub folder: TempDir,
    count: Arc<AtomicUsize>,
    stream: String,
    store: Memory,
}

impl Stage {
    pub async fn new(world: World, stream: &str) -> Self {
        Self::with(world, stream, |connector| connector).await
    }

    /// With a connector that was changed.
    pub async fn with(world: World, stream: &str, change: impl Fn(String) -> String) -> Self {
        let world = Arc::new(Mutex::new(world));
        let (answering, count) = (world.clone(), Arc::new(AtomicUsize::new(0)));
        let counted = count.clone();
        let server = Server::answering(move |asked| {
            counted.fetch_add(1, Ordering::Relaxed);
            answering.lock().unwrap().answer(asked)
        })
        .await;
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let url = &server.url;
        write(
            "renkei.yaml",
            &format!(
                "version: 1\nconnections:\n  api: {{ connector: vendor, base_url: \"{url}\", config: {{ repos: [r000, r001] }} }}\n  \
                 files: {{ jsonl: {{ path: out }} }}\n"
            ),
        );
        write("connectors/vendor/connector.yaml", &change(CONNECTOR.to_owned()));
        write(
            "pipelines/p.yaml",
            &format!(
                "version: 1\nfrom: {{ connection: api, stream: {stream} }}\nto: {{ connection: files, file: lines }}\n"
            ),
        );
        Self { world, server, folder, count, stream: stream.to_owned(), store: Memory::new() }
    }

    /// Where the stream stands in the store.
    pub async fn checkpoint(&self) -> Option<Checkpoint> {
        let state = State::new(Arc::new(self.store.clone()), Arc::new(Seal::plain()));
        state.checkpoint(&StreamId::new("p", &self.stream)).await.unwrap()
    }

    /// Requests so far.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    pub fn engine(&self) -> Engine {
        let plan = config::load(self.folder.path(), &MapEnvironment::default());
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

    pub async fn run(&self) -> (Run, Option<Fault>) {
        self.run_until(&Stopper::new().1, Options::default()).await
    }

    pub async fn run_until(&self, stop: &Stop, options: Options) -> (Run, Option<Fault>) {
        self.engine().run("p", options, stop).await.unwrap()
    }

    /// What is in the file, line by line.
    pub fn lines(&self) -> Vec<Value> {
        let mut segments: Vec<_> = fs::read_dir(self.folder.path().join("out"))
            .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
            .unwrap_or_default();
        segments.retain(|path: &std::path::PathBuf| is_segment(path));
        segments.sort();
        let text: String = segments.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// One field of each line, sorted.
    pub fn sorted(&self, name: impl Fn(&Value) -> String) -> Vec<String> {
        let mut all: Vec<String> = self.lines().iter().map(name).collect();
        all.sort();
        all
    }

    /// The requests to paths that end so.
    pub fn asked(&self, ending: &str) -> usize {
        self.server.asked().iter().filter(|asked| asked.path.ends_with(ending)).count()
    }
}

fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "jsonl")
}
