//! Records that are pushed to the real program: killed under load and started again, asked to stop, and kept from its port.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use renkei::{
    model::{Entropy, SystemEntropy},
    sandbox::FaultPlan,
};
use serde_json::Value;

use crate::{
    harness::{Stage, fast},
    signals::signal,
};

/// Callers at once.
const CALLERS: u64 = 16;
/// Kills of the usual form, and of the long one.
const KILLS: (u64, u64) = (10, 200);

const PIPELINE: &str = "version: 1\ndescription: Leads that others push\nfrom: { ingress: { key: id, mode: MODE, idempotency: { required: \
    true } } }\nto:\n  connection: crm\n  operation: create_lead\n  changed: { operation: update_lead }\n  key: external_id\n  fields: { \
    external_id: record.id, email: record.email }\n";

/// A stage whose leads are pushed. The port stays the same over restarts.
fn stage(faults: FaultPlan, mode: &str) -> (Stage, SocketAddr) {
    let stage = Stage::leads(fast(1), faults);
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    std::fs::remove_file(stage.path().join("pipelines/demo-leads.yaml")).unwrap();
    stage.write("pipelines/leads.yaml", &PIPELINE.replace("MODE", mode));
    let workspace = std::fs::read_to_string(stage.path().join("renkei.yaml")).unwrap();
    let serve = format!("version: 1\nserve: {{ ingress: {{ address: \"{address}\" }} }}\n");
    stage.write("renkei.yaml", &workspace.replace("version: 1\n", &serve));
    (stage, address)
}

/// Starts the service, and returns once it takes records in.
fn serve(stage: &Stage) -> Child {
    let mut command = stage.command(&["serve", "--log-format", "json"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut log = Vec::new();
    for line in lines.by_ref().map_while(Result::ok) {
        let is_serving = line.contains("\"serving\"");
        log.push(line);
        if is_serving {
            // Somebody must go on reading what it says.
            thread::spawn(move || lines.for_each(drop));
            return child;
        }
    }
    let status = child.wait().unwrap();
    panic!("it never served and ended with {status}: {log:#?}");
}

/// One request; nothing where the service went away before the whole answer was there.
fn push(address: SocketAddr, id: &str) -> Option<(u16, String)> {
    let mut line = TcpStream::connect_timeout(&address, Duration::from_secs(2)).ok()?;
    line.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    let body = format!(r#"{{"id":"{id}","email":"{id}@example.com"}}"#);
    let head = format!(
        "POST /in/leads HTTP/1.1\r\nhost: a\r\nconnection: close\r\nidempotency-key: \"{id}\"\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    line.write_all(&[head.as_bytes(), body.as_bytes()].concat()).ok()?;
    let mut answer = String::new();
    line.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let length: usize = head.lines().find_map(|line| line.strip_prefix("content-length: "))?.parse().ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    (body.len() == length).then(|| (status, body.to_owned()))
}

/// Callers that push record after record until they are told to end, and what was acknowledged to them.
fn load(address: SocketAddr, count: Arc<AtomicU64>, until: Arc<AtomicU64>) -> Vec<thread::JoinHandle<Vec<String>>> {
    let caller = |_: u64| {
        let (count, until) = (count.clone(), until.clone());
        thread::spawn(move || {
            let mut acknowledged = Vec::new();
            while until.load(Ordering::Relaxed) == 0 {
                let id = format!("r{}", count.fetch_add(1, Ordering::Relaxed));
                // A caller that heard nothing asks again under the same key, until it knows.
                while until.load(Ordering::Relaxed) < 2 {
                    match push(address, &id) {
                        Some((200..=299, _)) => {
                            acknowledged.push(id);
                            break;
                        }
                        Some((409 | 503, _)) | None => thread::park_timeout(Duration::from_millis(5)),
                        Some((status, body)) => panic!("{id}: {status} {body}"),
                    }
                }
            }
            acknowledged
        })
    };
    (0..CALLERS).map(caller).collect()
}

fn killed_under_load(mode: &str, faults: FaultPlan) {
    #[expect(clippy::disallowed_methods, reason = "a test asks its runner for a seed, and how long it may take")]
    let (long, seed) = (std::env::var("RENKEI_LONG").is_ok(), std::env::var("RENKEI_SEED"));
    let kills = if long { KILLS.1 } else { KILLS.0 };
    let seed = seed.ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| SystemEntropy::new().bits() % 1_000_000);
    println!("RENKEI_SEED={seed}");
    let dice = SystemEntropy::seeded(seed);
    let (stage, address) = stage(faults, mode);
    let (count, until) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut child = serve(&stage);
    let callers = load(address, count.clone(), until.clone());
    for _ in 0..kills {
        let goal = count.load(Ordering::Relaxed) + 20 + dice.bits() % 150;
        while count.load(Ordering::Relaxed) < goal {
            stage.breathe();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        child = serve(&stage);
    }
    until.store(1, Ordering::Relaxed);
    let acknowledged: Vec<String> = callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect();
    stage.world(|world| world.set_faults(FaultPlan::none()));
    let is_there = |id: &String| stage.world(|world| world.leads_of(id).count()) > 0;
    let missing = || acknowledged.iter().filter(|id| !is_there(id)).count();
    let mut waits = 0;
    while missing() > 0 && waits < 15_000 {
        stage.breathe();
        waits += 1;
    }
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let counts: Vec<(String, usize)> = (0..count.load(Ordering::Relaxed))
        .map(|n| format!("r{n}"))
        .map(|id| (id.clone(), stage.world(|world| world.leads_of(&id).count())))
        .collect();
    let doubled: Vec<&(String, usize)> = counts.iter().filter(|(_, leads)| *leads > 1).collect();
    println!("{} acknowledged over {kills} kills", acknowledged.len());
    assert!(acknowledged.len() as u64 > kills * 20);
    assert_eq!((missing(), doubled.len()), (0, 0), "doubled {doubled:?}");
}

#[test]
fn after_kills_under_load_every_record_that_was_acknowledged_arrives_once() {
    killed_under_load("async", FaultPlan { reset_after: 0.03, error_after: 0.03, ..FaultPlan::none() });
}

#[test]
fn after_kills_under_load_no_verdict_that_was_given_turns_out_wrong() {
    killed_under_load("sync", FaultPlan { latency: 0.3, latency_ms: 20, reset_after: 0.02, ..FaultPlan::none() });
}

#[test]
fn a_stop_answers_what_came_takes_nothing_more_and_ends_with_0() {
    let slow = FaultPlan { latency: 1.0, latency_ms: 200, ..FaultPlan::none() };
    let (stage, address) = stage(slow, "sync");
    let (count, until) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut child = serve(&stage);
    let callers = load(address, count.clone(), until.clone());
    while count.load(Ordering::Relaxed) < 40 {
        stage.breathe();
    }
    signal(&child, "TERM");
    let code = child.wait().unwrap().code();
    until.store(2, Ordering::Relaxed);
    let acknowledged: Vec<String> = callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect();
    assert_eq!(code, Some(0));
    stage.world(|world| world.set_faults(FaultPlan::none()));
    let ran = stage.renkei(&["run", "leads"]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    let wrong: Vec<&String> =
        acknowledged.iter().filter(|id| stage.world(|world| world.leads_of(id).count()) != 1).collect();
    assert!(wrong.is_empty(), "{wrong:?} of {}", acknowledged.len());
}

#[test]
fn a_port_in_use_is_one_clear_error_and_nothing_is_started() {
    let (stage, address) = stage(FaultPlan::none(), "async");
    let taken = TcpListener::bind(address).unwrap();
    let refused = stage.renkei(&["serve", "--log-level", "off"]);
    assert_eq!(refused.code, 6, "{}", refused.transcript());
    assert!(
        refused.stderr.contains("RK0901") && refused.stderr.contains(&address.to_string()),
        "{}",
        refused.transcript()
    );
    drop(taken);
    let status = stage.renkei(&["status", "--output", "json"]).json();
    assert_eq!((&status[0]["from"], &status[0]["staged"]), (&Value::from("ingress"), &Value::from(0)));
}
