//! What all histories have in common: seed after seed on all cores until one breaks a promise, a runtime whose clock stands
//! still while nobody sleeps, and a process that ends when it is killed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use renkei::{
    config::Plan,
    engine::{Engine, Parts},
    http::Transport,
    model::{Counts, Key, SystemEntropy},
    store::{Memory, Seal, State, StateStore, StreamId},
};

use crate::{
    history::Broken,
    weather::{SimClock, SimTransport},
};

/// How many histories a test lives through: as many as somebody asked for, or many, or few.
pub fn count(short: u64, long: u64) -> u64 {
    let usual = if std::env::var("RENKEI_LONG").is_ok() { long } else { short };
    crate::number("RENKEI_HISTORIES").unwrap_or(usual)
}

/// Lives through that many seeds, or until a history breaks a promise: then it returns the broken one of the smallest seed.
pub fn through(histories: u64, live: impl Fn(u64) -> Result<(), Broken> + Sync) -> Option<Broken> {
    let next = AtomicU64::new(0);
    let work = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= histories {
            return None;
        }
        if let Err(broken) = live(seed) {
            next.store(histories, Ordering::Relaxed);
            return Some(broken);
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().filter_map(|worker| worker.join().unwrap()).min_by_key(|broken| broken.seed)
    })
}

/// Runs a history on a runtime of its own, whose time passes only while all sleep.
pub fn paused<T>(history: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    // One thread for what blocks, so that whoever waits for its turn there knows that all before has ended.
    let runtime = runtime.max_blocking_threads(1).enable_time().start_paused(true).build().unwrap();
    runtime.block_on(history)
}

pub fn state(memory: &Memory) -> State {
    State::new(Arc::new(memory.clone()), Arc::new(Seal::plain()))
}

/// What all runs of a stream come to, once all is quiet: every record that was taken over has exactly one verdict, and nothing is
/// on its way. The error says what is not so.
pub async fn verdicts(memory: &Memory, stream: &StreamId) -> Result<Counts, String> {
    let (state, mut total) = (state(memory), Counts::default());
    let runs = state.runs().await.unwrap();
    runs.iter().filter(|run| run.pipeline == stream.pipeline).for_each(|run| total.merge(&run.counts));
    if total.read != total.verdicts() {
        return Err(format!("{} records were read and {} have a verdict", total.read, total.verdicts()));
    }
    // The history is written with the verdicts, and none of these histories is long enough to forget any.
    let nobody = state.trace(stream, &Key::new("")).await.unwrap();
    let kept = nobody.hops_kept + nobody.passes_kept;
    if kept != total.verdicts() {
        return Err(format!("the history tells of {kept} verdicts, and the runs of {}", total.verdicts()));
    }
    // A record that is refused again leaves the same letter, which counts how often it was met; once it is accepted, none.
    let letters = state.dead_letters(Some(&stream.pipeline)).await.unwrap();
    let (letters, left) = (letters.iter().map(|letter| letter.times).sum::<u64>(), total.dead_letters());
    if letters > left {
        return Err(format!("dead letters were met {letters} times for {left} verdicts that leave one"));
    }
    match state.outbox_depth(stream).await.unwrap() {
        0 => Ok(total),
        depth => Err(format!("{depth} batches are left in the outbox")),
    }
}

/// The engine of one process.
pub fn engine(
    plan: &Arc<Plan>,
    store: Arc<dyn StateStore>,
    clock: &Arc<SimClock>,
    network: Arc<dyn Transport>,
    seed: u64,
) -> Engine {
    let parts = Parts {
        store,
        seal: Arc::new(Seal::plain()),
        clock: clock.clone(),
        entropy: Arc::new(SystemEntropy::seeded(seed)),
        transport: Some(network),
    };
    Engine::over(plan.clone(), parts)
}

/// What a process comes to: nothing if it is killed before. One that does nothing for a simulated week is a deadlock.
pub async fn unless_killed<T>(network: &SimTransport, seed: u64, process: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = network.killed.notified() => None,
        ended = process => Some(ended),
        () = tokio::time::sleep(Duration::from_secs(7 * 24 * 3_600)) => panic!("seed {seed} hangs"),
    }
}
