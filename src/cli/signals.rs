//! Ctrl-C and SIGTERM. The first one asks, the second one ends the process at once.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::failure::Failure;
use crate::model::{Blame, Code, Fault};

/// Waits for SIGINT and SIGTERM. From here on they no longer end the process by themselves.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub fn new() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind).map_err(|error| {
                Fault::halt(Code::StoreIo, Blame::Host, format!("the system refuses signal handlers: {error}"))
                    .help("nothing was started")
            })
        };
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Resolves with the exit code that belongs to the signal: 130 or 143.
    pub async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 130,
            _ = self.terminate.recv() => 143,
        }
    }
}
