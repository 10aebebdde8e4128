//! Measures what slices cost and what they bring.
//!
//! ```text
//!   slices RENKEI [PARENTS] [ROUNDS]
//! ```
//!
//! First eight slices from an API that answers after 50 ms and has no limit, one after the other and all at once, in turns: the medians.
//! Then a run over a million parents, each of them a slice of three records: the memory of the process as it goes, and the highest.
//! `RENKEI run` is a process of its own, the API is in this one. Zero rounds or parents leave a part out.

#![expect(clippy::expect_used, reason = "a measurement that fails has nothing to say")]
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock and its arguments")]
#![expect(clippy::disallowed_macros, reason = "a measurement prints its figures")]

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{Path as InPath, RawQuery, State},
    http::header::CONTENT_TYPE,
    response::IntoResponse,
    routing::get,
};
use tokio::{net::TcpListener, time::sleep};

/// What eight slices have to list.
const PAGES: usize = 20;
const LATENCY: Duration = Duration::from_millis(50);
/// Parents on a page.
const SIZE: usize = 1000;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let renkei = arguments.next().expect("the path of renkei");
    let renkei = fs::canonicalize(renkei).expect("renkei is there");
    let mut number = |default: usize| arguments.next().map_or(default, |text| text.parse().expect("a number"));
    let (parents, rounds) = (number(1_000_000), number(5));
    let folder = tempfile::tempdir_in(".").expect("a folder on disk");
    let api = Arc::new(Api { parents, read: AtomicUsize::new(0) });
    workspace(folder.path(), &api.serve().await);
    if rounds > 0 {
        speed(&renkei, folder.path(), rounds).await;
    }
    if parents > 0 {
        memory(&renkei, folder.path(), &api).await;
    }
}

async fn speed(renkei: &Path, folder: &Path, rounds: usize) {
    let (mut one, mut eight) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        for (pipeline, times) in [("one", &mut one), ("eight", &mut eight)] {
            let _ = fs::remove_dir_all(folder.join("state"));
            let _ = fs::remove_dir_all(folder.join("out"));
            let began = Instant::now();
            let mut run = run(renkei, folder, pipeline);
            while run.try_wait().expect("a state").is_none() {
                sleep(Duration::from_millis(2)).await;
            }
            times.push(began.elapsed().as_secs_f64() * 1000.0);
            ended_well(run, folder);
        }
    }
    let (one, eight) = (median(one), median(eight));
    println!("8 slices of {PAGES} pages, {} ms each, medians of {rounds}", LATENCY.as_millis());
    println!("one after the other       {one:>8.0} ms");
    println!("all at once               {eight:>8.0} ms   {:.1} x", one / eight);
}

async fn memory(renkei: &Path, folder: &Path, api: &Api) {
    let began = Instant::now();
    let mut run = run(renkei, folder, "children");
    println!("{} parents, a slice each", api.parents);
    println!("{:>10} {:>8} {:>10} {:>10} {:>10}", "slices", "seconds", "VmRSS MB", "VmHWM MB", "store MB");
    let (mut told, mut highest) = (0, 0.0);
    loop {
        let is_over = run.try_wait().expect("a state").is_some();
        let read = api.read.load(Relaxed);
        if let Some([now, high]) = memory_of(&run) {
            highest = high;
            if read >= told {
                let store = fs::metadata(folder.join("state/store/db")).map_or(0, |data| data.len());
                let seconds = began.elapsed().as_secs_f64();
                println!("{read:>10} {seconds:>8.0} {now:>10.1} {high:>10.1} {:>10.1}", store as f64 / 1e6);
                told = read + api.parents / 20;
            }
        }
        if is_over {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    println!("highest memory (VmHWM)    {highest:>8.1} MB");
    println!("slices a second           {:>8.0}", api.parents as f64 / began.elapsed().as_secs_f64());
    ended_well(run, folder);
}

/// Resident now, and at most so far, in MB. Nothing: the process has ended.
fn memory_of(run: &Child) -> Option<[f64; 2]> {
    let status = fs::read_to_string(format!("/proc/{}/status", run.id())).ok()?;
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok().map(|kb| kb * 1024.0 / 1e6)
    };
    Some([of("VmRSS:")?, of("VmHWM:")?])
}

fn run(renkei: &Path, folder: &Path, pipeline: &str) -> Child {
    let log = fs::File::create(folder.join("log")).expect("a log");
    Command::new(renkei)
        .args(["run", pipeline, "--log-format", "json"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a log"))
        .stderr(log)
        .spawn()
        .expect("started")
}

fn ended_well(mut run: Child, folder: &Path) {
    let status = run.wait().expect("a status");
    assert!(status.success(), "{status}:\n{}", fs::read_to_string(folder.join("log")).expect("a log"));
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

struct Api {
    parents: usize,
    /// Children's lists that were read.
    read: AtomicUsize,
}

impl Api {
    async fn serve(self: &Arc<Self>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let app = Router::new()
            .route("/parents", get(parents))
            .route("/children/{parent}", get(children))
            .route("/slow/{slice}", get(slow))
            .with_state(Arc::clone(self));
        tokio::spawn(async move { axum::serve(listener, app).await });
        url
    }
}

async fn parents(State(api): State<Arc<Api>>, RawQuery(query): RawQuery) -> impl IntoResponse {
    let begin = place(query);
    let end = (begin + SIZE).min(api.parents);
    let rows: Vec<String> = (begin..end).map(|id| format!("{{\"id\":{id}}}")).collect();
    page(&rows, (end < api.parents).then_some(end))
}

async fn children(State(api): State<Arc<Api>>, InPath(parent): InPath<String>) -> impl IntoResponse {
    api.read.fetch_add(1, Relaxed);
    let rows: Vec<String> = (0..3).map(|id| format!("{{\"id\":\"{parent}-{id}\"}}")).collect();
    page(&rows, None)
}

async fn slow(InPath(slice): InPath<String>, RawQuery(query): RawQuery) -> impl IntoResponse {
    sleep(LATENCY).await;
    let at = place(query);
    let rows: Vec<String> = (0..100).map(|id| format!("{{\"id\":\"{slice}-{at}-{id}\"}}")).collect();
    page(&rows, (at + 1 < PAGES).then_some(at + 1))
}

/// What a page goes on from.
fn place(query: Option<String>) -> usize {
    let query = query.unwrap_or_default();
    query.split('&').find_map(|part| part.strip_prefix("token=")?.parse().ok()).unwrap_or(0)
}

fn page(rows: &[String], next: Option<usize>) -> impl IntoResponse + use<> {
    let next = next.map_or("null".to_owned(), |next| format!("\"{next}\""));
    ([(CONTENT_TYPE, "application/json")], format!("{{\"data\":[{}],\"next\":{next}}}", rows.join(",")))
}

fn workspace(folder: &Path, url: &str) {
    let write = |path: &str, text: &str| {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    };
    let connections = format!(
        "connections:\n  api: {{ connector: api, base_url: \"{url}\" }}\n  files: {{ jsonl: {{ path: out }} }}\n"
    );
    write("renkei.yaml", &format!("version: 1\n{connections}"));
    let listing = "records: data\n    key: id\n    paginate: { cursor: { next: next, query: token } }\n";
    let slow = |concurrency: usize| {
        format!(
            "get: \"/slow/{{{{ slice.n }}}}\"\n    {listing}    slices: {{ by: {{ n: {{ values: [1, 2, 3, 4, 5, 6, 7, 8] }} }}, concurrency: \
             {concurrency} }}\n"
        )
    };
    let (one, eight) = (slow(1), slow(8));
    let connector = format!(
        "version: 1\nstreams:\n  parents:\n    get: /parents\n    {listing}  one:\n    {one}  eight:\n    {eight}  children:\n    get: \
         \"/children/{{{{ slice.p.id }}}}\"\n    {listing}    slices: {{ by: {{ p: {{ parent: {{ stream: parents }} }} }}, concurrency: 16, max: \
         10000000 }}\n"
    );
    write("connectors/api/connector.yaml", &connector);
    for pipeline in ["one", "eight", "children"] {
        let text = format!(
            "version: 1\nfrom: {{ connection: api, stream: {pipeline} }}\nto: {{ connection: files, file: {pipeline} }}\n"
        );
        write(&format!("pipelines/{pipeline}.yaml"), &text);
    }
}
