//! What signals ask of a service: SIGTERM and SIGINT to stop, a second one to stop at once, SIGHUP to take over changed files.

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, watch},
};

use super::service::Asked;
use crate::model::{Blame, Code, Fault};

/// From here on the signals no longer end the process by themselves.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    pub fn new() -> Result<Self, Fault> {
        let listen = |kind| {
            signal(kind).map_err(|error| {
                Fault::halt(Code::StoreIo, Blame::Host, format!("the system refuses signal handlers: {error}"))
                    .help("nothing was started")
            })
        };
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Resolves when one asks to stop.
    pub async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Passes them on for as long as somebody listens.
    pub async fn obey(&mut self, ask: mpsc::Sender<Asked>, reload: watch::Sender<u64>) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => {}
                _ = self.interrupt.recv() => {}
                _ = self.hangup.recv() => {
                    reload.send_modify(|times| *times += 1);
                    continue;
                }
            }
            if ask.send(Asked::Stop).await.is_err() {
                return;
            }
        }
    }
}
