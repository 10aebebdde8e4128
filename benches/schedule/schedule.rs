//! Measures a service with many schedules: what it costs while nothing is due, and how late runs begin when many are due in the
//! same second.
//!
//! ```text
//!   schedule RENKEI [PIPELINES] [DUE] [IDLE_SECONDS]
//! ```
//!
//! It makes a workspace with 10,000 pipelines that each read an API, map six fields (two of them by expressions that no other
//! pipeline has) and write to an API; 500 of them are due at the same minute, the others at other times of the year. The service is a process of its own (`RENKEI serve`), the API is in this one
//! and answers at once. A run's lag is from the second that it is due to `started_at` in its record, which the run itself writes.

#![expect(clippy::expect_used, reason = "a measurement that fails has nothing to say")]
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock and its arguments")]
#![expect(clippy::disallowed_macros, reason = "a measurement prints its figures")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use axum::{Router, routing::get};
use chrono::{DateTime, TimeDelta, Timelike, Utc};
use serde_json::Value;
use tokio::{net::TcpListener, time::sleep};

/// Clock ticks of `/proc/PID/stat` in a second; Linux has always had 100.
const TICKS: f64 = 100.0;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let renkei = arguments.next().expect("the path of renkei");
    let renkei = fs::canonicalize(renkei).expect("renkei is there");
    let mut number = |default: usize| arguments.next().map_or(default, |text| text.parse().expect("a number"));
    let (pipelines, due, idle) = (number(10_000), number(500), number(60));

    let url = api().await;
    let folder = tempfile::tempdir_in(".").expect("a folder on disk");
    let at = next_minute(Duration::from_secs(idle as u64 + 75));
    workspace(folder.path(), &url, pipelines, due, at);

    let began = Instant::now();
    let mut service = Service::start(&renkei, folder.path());
    service.until("serving", 1).await;
    println!("{pipelines} pipelines, {due} of them due at {at}");
    println!("ready after               {:>8.1} s", began.elapsed().as_secs_f64());
    sleep(Duration::from_secs(10)).await;
    let (before, since) = (service.cpu(), Instant::now());
    sleep(Duration::from_secs(idle as u64)).await;
    let share = (service.cpu() - before) / since.elapsed().as_secs_f64();
    println!("idle memory (VmRSS)       {:>8.1} MB", service.memory());
    println!("idle CPU                  {:>8.2} %", share * 100.0);
    assert!(Utc::now() < at, "the machine is so slow that the moment has passed");

    service.until("run done", due).await;
    println!("all done after            {:>8.2} s", (Utc::now() - at).as_seconds_f64());
    println!("memory after the burst    {:>8.1} MB", service.memory());
    service.stop();
    let mut lags = lags(&renkei, folder.path(), at);
    assert_eq!(lags.len(), due, "each of them ran once");
    lags.sort_unstable();
    let share = |share: f64| lags[((lags.len() - 1) as f64 * share) as usize];
    println!("schedule lag p50          {:>8} ms", share(0.5));
    println!("schedule lag p99          {:>8} ms", share(0.99));
    println!("schedule lag max          {:>8} ms", share(1.0));
}

/// An API without records. It answers at once.
async fn api() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let app =
        Router::new().route("/people", get(|| async { ([("content-type", "application/json")], "{\"data\":[]}") }));
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

/// The first full minute that is this far away.
fn next_minute(away: Duration) -> DateTime<Utc> {
    let at = Utc::now() + away + Duration::from_secs(60);
    at.with_second(0).and_then(|at| at.with_nanosecond(0)).expect("a minute")
}

fn workspace(folder: &Path, url: &str, pipelines: usize, due: usize, at: DateTime<Utc>) {
    let write = |path: &str, text: &str| {
        let path: PathBuf = folder.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    };
    let connections = format!("connections:\n  api:\n    connector: api\n    base_url: {url}\n");
    write("renkei.yaml", &format!("version: 1\nserve: {{ runs_max: 1024 }}\n{connections}"));
    write(
        "connectors/api/connector.yaml",
        "version: 1\nbudget: [{ concurrency: 64 }]\ntimeouts: { attempt: 30s }\nstreams:\n  people:\n    get: /people\n    records: data\n    \
         key: id\n    incremental: { field: at, format: rfc3339, since: since }\noperations:\n  put_person:\n    put: \"/people/{{ record.id }}\"\n    \
         makes: upsert\n    repeat: { upsert: { unique: id } }\n",
    );
    for pipeline in 0..pipelines {
        let cron = if pipeline < due {
            format!("{} {} * * *", at.minute(), at.hour())
        } else {
            // Some day that is not today, spread over the year.
            let day = at + TimeDelta::days(2 + (pipeline % 360) as i64);
            format!("{} {} {} *", pipeline % 60, pipeline % 24, day.format("%-d %-m"))
        };
        let text = format!(
            "version: 1\ndescription: Pipeline {pipeline} of many\nschedule: {{ cron: \"{cron}\", timezone: UTC }}\nfrom: {{ connection: api, \
             stream: people }}\nsteps:\n  - filter: record.email is not none\n  - set: {{ email: record.email | trim | lower }}\nto:\n  \
             connection: api\n  operation: put_person\n  key: id\n  fields:\n    id: record.id\n    email: record.email\n    name: record.name | \
             trim\n    phone: record.phone | default(\"\")\n    company: record.company | default(\"company {pipeline}\")\n    country: \
             record.country_{pipeline} | upper\n"
        );
        write(&format!("pipelines/pipeline-{pipeline:05}.yaml"), &text);
    }
}

struct Service {
    child: Child,
    log: PathBuf,
}

impl Service {
    fn start(renkei: &Path, folder: &Path) -> Self {
        let log = folder.join("log");
        let stderr = fs::File::create(&log).expect("a log");
        let child = Command::new(renkei)
            .args(["serve", "--log-format", "json"])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .expect("started");
        Self { child, log }
    }

    /// Waits until the log holds so many lines with this message.
    async fn until(&mut self, message: &str, count: usize) {
        let wanted = format!("\"message\":\"{message}\"");
        loop {
            let text = fs::read_to_string(&self.log).expect("a log");
            if text.matches(&wanted).count() >= count {
                return;
            }
            assert!(self.child.try_wait().expect("a state").is_none(), "the service ended:\n{text}");
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Seconds of CPU until now.
    fn cpu(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("a process");
        let fields: Vec<&str> = stat.rsplit(") ").next().expect("fields").split(' ').collect();
        let ticks = |field: usize| fields[field].parse::<f64>().expect("a number");
        (ticks(11) + ticks(12)) / TICKS
    }

    /// Megabytes that are in memory.
    fn memory(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a process");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its memory");
        line.split_whitespace().nth(1).expect("a number").parse::<f64>().expect("a number") * 1024.0 / 1e6
    }

    fn stop(mut self) {
        let began = Instant::now();
        let sent = Command::new("sh").arg("-c").arg(format!("kill -TERM {}", self.child.id())).status().expect("sent");
        assert!(sent.success());
        let code = self.child.wait().expect("ended").code();
        println!("stopped with exit {code:?} in {:>6.2} s", began.elapsed().as_secs_f64());
    }
}

/// Milliseconds from the due second to the moment at which each run began.
fn lags(renkei: &Path, folder: &Path, at: DateTime<Utc>) -> Vec<i64> {
    let mut list = Command::new(renkei);
    list.args(["runs", "--limit", "1000000", "--output", "json"]).current_dir(folder);
    let listed = list.output().expect("listed").stdout;
    let runs: Value = serde_json::from_slice(&listed).expect("JSON");
    let started = |run: &Value| run["started_at"].as_str().and_then(|text| text.parse::<DateTime<Utc>>().ok());
    let all = runs.as_array().expect("a list").iter().map(|run| started(run).expect("a time"));
    all.map(|started| (started - at).num_milliseconds()).collect()
}
