//! Measures records that are pushed: what making them durable costs their callers. Callers with a connection each push one record per
//! request to an `async` route over real sockets, and each waits for its answer before it sends the next.
//!
//! ```text
//!   durable   the store on disk: acknowledged after a sync
//!   left out  the same route over the store in memory: nothing is made durable
//! ```
//!
//! Both are delivered meanwhile, into a JSON Lines file, by the same runs. Rounds are interleaved, and the middle one counts.

#![expect(clippy::expect_used, reason = "a measurement that fails has nothing to say")]
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock and its arguments")]
#![expect(clippy::disallowed_macros, reason = "a measurement prints its figures")]

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use renkei::{
    config::{self, MapEnvironment, Plan},
    engine::{Engine, Parts},
    model::{SystemClock, SystemEntropy},
    server::FrontDoor,
    store::{Memory, RedbOptions, RedbStore, Seal, SealKey, StateStore},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const ROUNDS: usize = 5;
const WORKSPACE: &str =
    "version: 1\nserve: { ingress: { address: \"127.0.0.1:0\" } }\nconnections: { files: { jsonl: { path: out } } }\n";
const PIPELINE: &str =
    "version: 1\nfrom: { ingress: { key: id, waiting_max: 1000000 } }\nto: { connection: files, file: records }\n";

#[tokio::main]
async fn main() {
    let mut arguments =
        std::env::args().skip(1).map(|text| text.parse::<usize>().expect("usage: ingress [RECORDS] [CALLERS]"));
    let (records, callers) = (arguments.next().unwrap_or(20_000), arguments.next().unwrap_or(64));
    let (mut durable, mut left_out, mut per_sync, mut slowest) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = Arc::new(RedbStore::open(RedbOptions::new(folder.path().join("state"))).expect("a store"));
        let before = disk.syncs();
        let (rate, p99) = push(folder.path(), disk.clone(), records, callers).await;
        per_sync.push(records as f64 / (disk.syncs() - before).max(1) as f64);
        durable.push(rate);
        slowest.push(p99);
        disk.close().await;
        let folder = tempfile::tempdir().expect("a folder");
        left_out.push(push(folder.path(), Arc::new(Memory::new()), records, callers).await.0);
    }
    let (durable, left_out) = (middle(durable), middle(left_out));
    println!("{records} records, {callers} callers, medians of {ROUNDS}");
    println!(
        "durable: {durable:.0} records/s, p99 {:.1} ms; {:.1} records per sync (bar: 20)",
        middle(slowest),
        middle(per_sync)
    );
    println!(
        "durable commit left out: {left_out:.0} records/s: durable is {:.0} % of it (bar: 50 %)",
        100.0 * durable / left_out
    );
}

fn middle(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn plan(folder: &Path) -> Plan {
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    };
    write("renkei.yaml", WORKSPACE);
    write("pipelines/records.yaml", PIPELINE);
    config::load(folder, &MapEnvironment::default()).expect("a plan")
}

/// Pushes all records, and says how many a second were acknowledged, and the 99th percentile of the answers in milliseconds.
async fn push(folder: &Path, store: Arc<dyn StateStore>, records: usize, callers: usize) -> (f64, f64) {
    let seal = Arc::new(Seal::new(&SealKey::parse(&"ab".repeat(32)).expect("a key")));
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy::new()));
    let parts = Parts { store, seal, clock, entropy, transport: None };
    let engine = Arc::new(Engine::over(Arc::new(plan(folder)), parts));
    let mut door = FrontDoor::default();
    door.follow(&engine, Duration::from_secs(5)).await.expect("an open door");
    let (address, next) = (door.address().expect("an address"), Arc::new(AtomicUsize::new(0)));
    let began = Instant::now();
    let all: Vec<_> = (0..callers).map(|_| tokio::spawn(call(address, next.clone(), records))).collect();
    let mut times = Vec::with_capacity(records);
    for caller in all {
        times.extend(caller.await.expect("a caller"));
    }
    let took = began.elapsed();
    door.close_intake().await;
    door.end_lanes(tokio::time::Instant::now() + Duration::from_secs(5)).await;
    times.sort_unstable();
    let p99 = times[(times.len() - 1) * 99 / 100];
    (records as f64 / took.as_secs_f64(), p99.as_secs_f64() * 1_000.0)
}

async fn call(address: SocketAddr, next: Arc<AtomicUsize>, records: usize) -> Vec<Duration> {
    let mut line = TcpStream::connect(address).await.expect("a connection");
    line.set_nodelay(true).expect("a socket");
    let (mut times, mut heard) = (Vec::new(), vec![0; 4 << 10]);
    loop {
        let at = next.fetch_add(1, Ordering::Relaxed);
        if at >= records {
            return times;
        }
        let body = format!(
            "{{\"id\":\"cus_{at:06}\",\"email\":\"customer{at}@example.com\",\"name\":\"Customer {at}\",\"note\":\"{}\"}}",
            "x".repeat(300)
        );
        let head = format!("POST /in/records HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
        let began = Instant::now();
        line.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await.expect("a request");
        let mut length = 0;
        // The answer's body ends with its closing brace.
        while length == 0 || heard[length - 1] != b'}' {
            let more = line.read(&mut heard[length..]).await.expect("an answer");
            assert!(more > 0, "the connection ended");
            length += more;
        }
        assert!(heard.starts_with(b"HTTP/1.1 202 "), "{}", String::from_utf8_lossy(&heard[..length]));
        times.push(began.elapsed());
    }
}
