//! The program as a person or a script meets it: what was typed, what came out of which stream, and the exit code.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use renkei::sandbox::{Counters, FaultPlan, Report, Sandbox, SandboxConfig, World, WorldConfig};
use tempfile::TempDir;

/// What a command did.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code().expect("the program ended by itself"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Everything a test compares, in one text.
    pub fn transcript(&self) -> String {
        format!("exit {}\n--- stdout\n{}--- stderr\n{}", self.code, self.stdout, self.stderr)
    }

    /// The one JSON document on stdout.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.transcript()))
    }

    /// The JSON lines on stderr that tell an event.
    pub fn events(&self) -> Vec<serde_json::Value> {
        self.stderr.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

/// `renkei` with nothing of the tester's own environment that could change what it says.
pub fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_renkei"));
    command.current_dir(folder).stdin(Stdio::null());
    for name in ["ENDPOINT", "HEADERS", "PROTOCOL"] {
        command.env_remove(format!("OTEL_EXPORTER_OTLP_{name}"));
    }
    for name in ["NO_COLOR", "RENKEI_KEY", "RENKEI_SANDBOX", "MYSHOP_URL", "http_proxy", "HTTP_PROXY"] {
        command.env_remove(name);
    }
    command
}

/// Types a command in a folder.
pub fn renkei(folder: &Path, args: &[&str]) -> Ran {
    Ran::of(program(folder).args(args).output().unwrap())
}

/// A sandbox and a workspace that speaks to it.
pub struct Stage {
    pub folder: TempDir,
    sandbox: Sandbox,
    runtime: tokio::runtime::Runtime,
}

impl Stage {
    /// The workspace of this repository, from customers to leads, at full speed.
    pub fn leads(world: WorldConfig, faults: FaultPlan) -> Self {
        let stage = Self::empty(world, faults);
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
        for path in ["renkei.yaml", "connectors/shop/connector.yaml", "connectors/crm/connector.yaml"] {
            let text = fs::read_to_string(repository.join(path)).unwrap();
            let fast = text.replace("requests: 45, per: 1s, burst: 5", "requests: 5000, per: 1s, burst: 100");
            assert!(path == "renkei.yaml" || fast != text, "{path} has another budget now");
            stage.write(path, &fast);
        }
        let path = "pipelines/demo-leads.yaml";
        stage.write(path, &fs::read_to_string(repository.join(path)).unwrap());
        stage
    }

    /// What `renkei init` makes.
    pub fn init(world: WorldConfig) -> Self {
        let stage = Self::empty(world, FaultPlan::none());
        let made = renkei(stage.path(), &["init"]);
        assert_eq!(made.code, 0, "{}", made.transcript());
        stage
    }

    /// Products of the shop into files, signed in as `auth` of the connector and `account` of the connection say.
    pub fn products(world: WorldConfig, faults: FaultPlan, auth: &str, account: &str) -> Self {
        let stage = Self::empty(world, faults);
        let connector = "version: 1\nretry: { base: 5ms, cap: 20ms }\nstreams:\n  products:\n    get: /shop/products\n    \
            records: products\n    key: sku\n    paginate: { offset: { query: offset, size: { query: limit, records: 200 }, \
            total: total } }\n";
        stage.write("connectors/shop/connector.yaml", &format!("{connector}auth: {auth}\n"));
        let workspace = format!(
            "version: 1\nconnections:\n  files: {{ jsonl: {{ path: out }} }}\n  shop: {{ connector: shop, base_url: \
             \"${{RENKEI_SANDBOX}}\", auth: {account} }}\n"
        );
        stage.write("renkei.yaml", &workspace);
        let pipeline = "version: 1\ndescription: Products\nfrom: { connection: shop, stream: products }\n\
            to: { connection: files, file: products }\n";
        stage.write("pipelines/products.yaml", pipeline);
        stage
    }

    fn empty(world: WorldConfig, faults: FaultPlan) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let config = SandboxConfig { world, faults, ..SandboxConfig::default() };
        let sandbox = runtime.block_on(Sandbox::start(config)).unwrap();
        Self { folder: tempfile::tempdir().unwrap(), sandbox, runtime }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn write(&self, path: &str, text: &str) {
        let path: PathBuf = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = program(self.path());
        command.env("RENKEI_SANDBOX", self.sandbox.url()).env("MYSHOP_URL", self.sandbox.url()).args(args);
        command
    }

    pub fn renkei(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args).output().unwrap())
    }

    /// Starts a command and leaves it running.
    pub fn start(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    pub fn ended(&self, child: Child) -> Ran {
        Ran::of(child.wait_with_output().unwrap())
    }

    pub fn counters(&self) -> Counters {
        self.sandbox.world().counters().clone()
    }

    pub fn report(&self) -> Report {
        self.sandbox.world().report()
    }

    pub fn world<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        change(&mut self.sandbox.world())
    }

    /// Waits until the sandbox has seen what the test waits for. Fails when the child ends before.
    pub fn until(&self, child: &mut Child, seen: impl Fn(&Counters) -> bool) {
        while !seen(&self.counters()) {
            assert!(child.try_wait().unwrap().is_none(), "the run ended before the test met it half way");
            self.breathe();
        }
    }

    /// Lets others run between two looks at something.
    pub fn breathe(&self) {
        self.pause(2);
    }

    fn pause(&self, ms: u64) {
        self.runtime.block_on(async { tokio::time::sleep(Duration::from_millis(ms)).await });
    }

    /// Runs until nothing is lost: what changed in the last seconds is left to a later run on purpose.
    pub fn run_until_nothing_is_lost(&self) -> Report {
        for _ in 0..40 {
            let ran = self.renkei(&["run", "demo-leads"]);
            assert!([0, 1, 5].contains(&ran.code), "{}", ran.transcript());
            let report = self.report();
            if report.lost == 0 {
                return report;
            }
            self.pause(100);
        }
        self.report()
    }
}

/// A world that does not hold anybody up.
pub fn fast(customers: usize) -> WorldConfig {
    WorldConfig { customers, shop_quota: None, crm_quota: None, ..WorldConfig::default() }
}

/// A world that takes its time: a run of a few hundred leads lasts seconds.
pub fn slow() -> FaultPlan {
    FaultPlan { latency: 1.0, latency_ms: 40, ..FaultPlan::none() }
}
