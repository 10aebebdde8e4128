//! Chance is a seam: jitter and run ids. Idempotency keys never come from here.

use std::sync::Mutex;

/// Gives random numbers. Not for secrets.
pub trait Entropy: Send + Sync {
    /// 64 random bits.
    fn bits(&self) -> u64;

    /// A number in `0.0..1.0`.
    fn share(&self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// A generator seeded by the system, or by a test that prints its seed.
#[derive(Debug)]
pub struct SystemEntropy(Mutex<fastrand::Rng>);

impl SystemEntropy {
    pub fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one place that asks the system for chance")]
        Self(Mutex::new(fastrand::Rng::new()))
    }

    pub fn seeded(seed: u64) -> Self {
        Self(Mutex::new(fastrand::Rng::with_seed(seed)))
    }
}

impl Default for SystemEntropy {
    fn default() -> Self {
        Self::new()
    }
}

impl Entropy for SystemEntropy {
    fn bits(&self) -> u64 {
        match self.0.lock() {
            Ok(mut rng) => rng.u64(..),
            Err(poisoned) => poisoned.into_inner().u64(..),
        }
    }
}
