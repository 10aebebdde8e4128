//! The asynchronous runtime, made only for commands that need one. It has one thread: a run waits for servers and disks
//! most of its time, and what blocks has threads of its own. Handing every page from one thread to another cost more than
//! it gained.

use tokio::runtime::{Builder, Runtime};

use super::failure::Failure;
use crate::model::{Blame, Code, Fault};

/// Threads of a service. It waits for servers and disks most of its time.
const THREADS_MAX: usize = 4;

/// Runs a command to its end. Background work that is still under way then is dropped.
pub fn block_on<T>(command: impl Future<Output = T>) -> Result<T, Failure> {
    Ok(end(start(&mut Builder::new_current_thread())?, command))
}

/// Runs a service, whose tasks have threads of their own: one that computes for long holds up no other, and one that panics is
/// not the end of the main thread.
pub fn block_on_threads<T>(service: impl Future<Output = T>) -> Result<T, Failure> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, THREADS_MAX);
    Ok(end(start(Builder::new_multi_thread().worker_threads(threads))?, service))
}

fn start(builder: &mut Builder) -> Result<Runtime, Failure> {
    Ok(builder.enable_all().build().map_err(|error| {
        Fault::halt(Code::StoreIo, Blame::Host, format!("the system gives no threads: {error}"))
            .help("nothing was started; look at the limits of this user (ulimit -u) and run again")
    })?)
}

fn end<T>(runtime: Runtime, command: impl Future<Output = T>) -> T {
    let result = runtime.block_on(command);
    runtime.shutdown_background();
    result
}
