//! Measures writes that must not be sent twice: what their journal costs, against the same writes of an operation that needs
//! none, and against bare loops with the same HTTP client that post the same bodies.
//!
//! ```text
//!   journalled  ApiSink over a store on disk: stage, note each intent durably, post, note the verdict, commit; 64 in flight
//!   upsert      the same sink and store, and an operation that is safe to repeat: stage, post, commit; 64 in flight
//!   bare        the HTTP client alone, 64 in flight, nothing durable
//!   one         the HTTP client, one durable commit before each post, one after the other
//! ```
//!
//! The server stands in the same process and answers after a given time. Rounds are interleaved, and the middle one counts.

#![expect(clippy::expect_used, reason = "a measurement that fails has nothing to say")]
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock and its arguments")]
#![expect(clippy::disallowed_macros, reason = "a measurement prints its figures")]

use std::{
    io::Write,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, routing::post};
use futures_util::{StreamExt, stream};
use renkei::{
    config::plan::{
        AnswerShape, Api, Body, Budget, Changed, Makes, Node, Operation, Repeat, RequestPlan, Retry, Timeouts,
        WholeAnswer,
    },
    expr::{Expression, Template},
    http::{Client, HttpTransport, Policy, Seams, Unsigned},
    model::{BoxFuture, Clock, ContentHash, Fields, Key, Path as FieldPath, SystemClock, SystemEntropy},
    sink::{ApiSink, Sink},
    store::{
        Batch, Entries, Error, Item, Op, RedbOptions, RedbStore, Run, Seal, SealKey, State, StateStore, StreamId, Tree,
    },
};

const IN_FLIGHT: usize = 64;
/// A page of a usual API.
const BATCH: usize = 200;
/// Batches that the engine has under way at once.
const BATCHES_UNDER_WAY: usize = 4;
const ROUNDS: usize = 5;

/// Counts what the store is asked to make durable.
struct Counting {
    store: RedbStore,
    commits: AtomicU64,
}

impl StateStore for Counting {
    fn commit(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<u64, Error>> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.store.commit(ops)
    }

    fn commit_soon(&self, ops: Vec<Op>) -> Result<(), Error> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.store.commit_soon(ops)
    }

    fn get<'a>(&'a self, tree: Tree, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Vec<u8>>, Error>> {
        self.store.get(tree, key)
    }

    fn get_many(&self, tree: Tree, keys: Vec<Vec<u8>>) -> BoxFuture<'_, Result<Vec<Option<Vec<u8>>>, Error>> {
        self.store.get_many(tree, keys)
    }

    fn scan<'a>(
        &'a self,
        tree: Tree,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Entries, Error>> {
        self.store.scan(tree, prefix, after, limit)
    }
}

#[tokio::main]
async fn main() {
    let mut arguments =
        std::env::args().skip(1).map(|text| text.parse::<u64>().expect("usage: deliver [WRITES] [LATENCY_MS]"));
    let writes = arguments.next().unwrap_or(6_000) as usize;
    let latency = Duration::from_millis(arguments.next().unwrap_or(20));
    let url = serve(latency).await;
    let (mut journalled, mut upsert, mut bare, mut one) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut per_sync, mut cost, mut upsert_cost) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let began = cpu();
        let (rate, shared) = deliver(&url, writes, Repeat::Never).await;
        cost.push((cpu() - began) / writes as f64);
        journalled.push(rate);
        per_sync.push(shared);
        let began = cpu();
        upsert.push(deliver(&url, writes, Repeat::Upsert { unique: "external_id".to_owned() }).await.0);
        upsert_cost.push((cpu() - began) / writes as f64);
        bare.push(post_bare(&url, writes).await);
        one.push(post_one_by_one(&url, (writes / 20).max(50)).await);
    }
    let (journalled, upsert, bare, one) = (middle(journalled), middle(upsert), middle(bare), middle(one));
    println!("server answers after {latency:?}, {writes} writes, {IN_FLIGHT} in flight, medians of {ROUNDS}");
    println!("journalled: {journalled:.0} writes/s; {:.1} commits per sync", middle(per_sync));
    let share = 100.0 * journalled / upsert;
    println!("without journal: {upsert:.0} writes/s: journalled is {share:.0} % of it (bar: 70 %)");
    let (cost, upsert_cost) = (1e6 * middle(cost), 1e6 * middle(upsert_cost));
    println!("CPU of client, server and store together: {cost:.0} us a write, without journal {upsert_cost:.0} us");
    println!("bare client: {bare:.0} writes/s: journalled is {:.0} % of it", 100.0 * journalled / bare);
    println!("one commit at a time: {one:.0} writes/s: journalled is {:.1} x of it (bar: 1 x)", journalled / one);
}

fn middle(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Seconds of CPU that this process has used, in hundredths: what a busy machine does not change.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("a process of Linux");
    let after_name = stat.rsplit_once(')').expect("a name").1;
    let ticks = after_name.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<f64>().expect("ticks"));
    ticks.sum::<f64>() / 100.0
}

async fn serve(latency: Duration) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let answer = move |_: bytes::Bytes| async move {
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        (axum::http::StatusCode::CREATED, "{\"id\":\"lead_000001\"}")
    };
    let app = Router::new().route("/leads", post(answer));
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

fn body(at: usize) -> String {
    format!(
        "{{\"external_id\":\"cus_{at:06}\",\"email\":\"customer{at}@example.com\",\"name\":\"Customer {at}\",\"company\":\"Example \
         Trading Company Ltd\",\"phone\":\"+81 3 1234 {at:04}\",\"note\":\"{}\"}}",
        "x".repeat(200)
    )
}

fn item(at: usize) -> Item {
    let fields = Fields::parse(body(at).as_bytes()).expect("an object");
    let key = Key::new(format!("cus_{at:06}"));
    Item { content: Some(ContentHash::of(&fields)), idempotency_key: format!("{at:032x}"), ..Item::new(key, fields) }
}

fn operation(repeat: Repeat) -> Operation {
    let record = Expression::compile("record").expect("an expression");
    Operation {
        name: "create_lead".to_owned(),
        request: RequestPlan {
            method: http::Method::POST,
            route: "/leads".into(),
            path: Template::compile("/leads").expect("a path"),
            query: Vec::new(),
            headers: Vec::new(),
            body: Some(Body::Json(Node::Value(record))),
            timeout: None,
        },
        makes: Makes::Create,
        created: None,
        batch: None,
        repeat: vec![repeat],
        answer: AnswerShape::Whole(WholeAnswer::default()),
        first_error: None,
        read: None,
        schema: None,
        sink_id: Some(FieldPath::parse("id").expect("a path")),
    }
}

fn api(url: &str) -> Api {
    Api {
        budget: Budget { concurrency: IN_FLIGHT as u32, wait_max: Duration::from_secs(60), ..Budget::default() },
        timeouts: Timeouts { connect: Duration::from_secs(5), attempt: Duration::from_secs(30) },
        retry: Retry { attempts: 3, base: Duration::from_millis(1), cap: Duration::from_millis(2) },
        ..Api::new("crm", url.parse().expect("a URL"))
    }
}

fn run() -> Run {
    Run::begin("bench", &StreamId::new("bench", "leads"), SystemClock.now())
}

/// Everything that the engine does with staged batches, on a store in a fresh directory.
async fn deliver(url: &str, writes: usize, repeat: Repeat) -> (f64, f64) {
    let folder = tempfile::tempdir_in(".").expect("a folder on disk");
    let store = open(folder.path()).await;
    let key = SealKey::of_dir(folder.path()).expect("a key");
    let store = Arc::new(Counting { store, commits: AtomicU64::new(0) });
    let state = State::new(store.clone(), Arc::new(Seal::new(&key)));
    let (id, clock) = (StreamId::new("bench", "leads"), SystemClock);
    let api = Arc::new(api(url));
    let seams = Seams {
        transport: Arc::new(HttpTransport::new(&api)),
        signer: Arc::new(Unsigned),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy::new()),
    };
    let client = Client::new(Policy::of(&api), seams);
    let journal = state.journal(&id);
    let sink = ApiSink::new(api, Arc::new(operation(repeat)), Changed::Same, client, Arc::new(SystemClock), journal);
    let batches: Vec<Batch> = (0..writes)
        .step_by(BATCH)
        .map(|from| Batch { items: (from..(from + BATCH).min(writes)).map(item).collect(), ..Batch::default() })
        .collect();
    // Two, because nobody stages while a commit is waited for here, and a lock held by who is not polled is never free.
    let (staging, mut run) = (tokio::sync::Mutex::new(run()), run());
    let began = Instant::now();
    let written = stream::iter(batches).map(|batch| async {
        let staged = state.stage(&id, batch, clock.now(), &mut *staging.lock().await).await.expect("staged");
        let verdicts = sink.write(&staged).await.expect("verdicts");
        staged.settle(verdicts).expect("settled")
    });
    let mut settled = std::pin::pin!(written.buffered(BATCHES_UNDER_WAY));
    while let Some(batch) = settled.next().await {
        state.commit(&id, vec![batch], None, clock.now(), &mut run).await.expect("committed");
    }
    let took = began.elapsed();
    assert_eq!(run.counts.created, writes as u64);
    let (commits, syncs) = (store.commits.load(Ordering::Relaxed), store.store.syncs());
    store.store.close().await;
    (writes as f64 / took.as_secs_f64(), commits as f64 / syncs.max(1) as f64)
}

async fn open(folder: &Path) -> RedbStore {
    let options = RedbOptions::new(folder.join("state"));
    tokio::task::spawn_blocking(|| RedbStore::open(options)).await.expect("opened").expect("a store")
}

fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().expect("a client")
}

async fn send(client: &reqwest::Client, url: &str, at: usize) {
    let request = client.post(format!("{url}/leads")).header("content-type", "application/json").body(body(at));
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), 201);
    answer.bytes().await.expect("a body");
}

async fn post_bare(url: &str, writes: usize) -> f64 {
    let client = client();
    let began = Instant::now();
    stream::iter(0..writes).for_each_concurrent(IN_FLIGHT, |at| send(&client, url, at)).await;
    writes as f64 / began.elapsed().as_secs_f64()
}

async fn post_one_by_one(url: &str, writes: usize) -> f64 {
    let client = client();
    let folder = tempfile::tempdir_in(".").expect("a folder on disk");
    let mut file = std::fs::File::create(folder.path().join("intents")).expect("a file");
    let began = Instant::now();
    for at in 0..writes {
        writeln!(file, "{at}").expect("written");
        file.sync_data().expect("durable");
        send(&client, url, at).await;
    }
    writes as f64 / began.elapsed().as_secs_f64()
}
