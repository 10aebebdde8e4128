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
    model::SystemEntropy,
    store::{Seal, StateStore},
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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(history)
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
