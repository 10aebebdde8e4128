//! Asking a run to stop. A run that is asked stops reading, delivers what is staged within a grace period, commits, and
//! returns; what it could not deliver waits in the outbox.

use std::time::Duration;

use tokio::sync::watch;

/// After a stop was asked for, deliveries go on for this long, unless whoever asks has less time.
const GRACE: Duration = Duration::from_secs(10);

/// The side that asks.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

/// The side that is asked. Clones are asked together.
#[derive(Clone, Debug)]
pub struct Stop {
    asked: watch::Receiver<bool>,
    grace: Duration,
}

impl Stopper {
    pub fn new() -> (Self, Stop) {
        Self::within(GRACE)
    }

    /// Whoever asks has this much time.
    pub fn within(time: Duration) -> (Self, Stop) {
        let (sender, asked) = watch::channel(false);
        (Self(sender), Stop { asked, grace: time.min(GRACE) })
    }

    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    pub fn requested(&self) -> bool {
        *self.asked.borrow()
    }

    /// Resolves when a stop was asked for; never if the asking side is gone without asking.
    pub async fn wait(&self) {
        let mut receiver = self.asked.clone();
        if receiver.wait_for(|asked| *asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Resolves when a stop was asked for and deliveries had their time.
    pub async fn grace_over(&self) {
        self.wait().await;
        tokio::time::sleep(self.grace).await;
    }
}
