//! Asking a run to stop. A run that is asked stops reading, delivers what is staged within a grace period, commits, and
//! returns; what it could not deliver waits in the outbox.

use tokio::sync::watch;

/// The side that asks.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

/// The side that is asked. Clones are asked together.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stopper {
    pub fn new() -> (Self, Stop) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), Stop(receiver))
    }

    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    pub fn requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Resolves when a stop was asked for; never if the asking side is gone without asking.
    pub async fn wait(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|asked| *asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
