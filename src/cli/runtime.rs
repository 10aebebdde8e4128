//! The asynchronous runtime, made only for commands that need one. It has one thread: a run waits for servers and disks
//! most of its time, and what blocks has threads of its own. Handing every page from one thread to another cost more than
//! it gained.

use super::failure::Failure;
use crate::model::{Blame, Code, Fault};

/// Runs a command to its end. Background work that is still under way then is dropped.
pub fn block_on<T>(command: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        Fault::halt(Code::StoreIo, Blame::Host, format!("the system gives no threads: {error}"))
            .help("nothing was started; look at the limits of this user (ulimit -u) and run again")
    })?;
    let result = runtime.block_on(command);
    runtime.shutdown_background();
    Ok(result)
}
