//! What a connection's requests cost so far: runs record it, the progress line shows it, and metrics are made of it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{HeaderMap, Method, StatusCode};
use tokio::sync::broadcast;

use super::{
    Call,
    breaker::BreakerState,
    notices::{Notices, said},
};
use crate::{
    model::Code,
    telemetry::{Histogram, REQUEST_SECONDS},
};

/// Routes that are told apart. A connector has a few dozen.
const ROUTES_MAX: usize = 1_000;
/// The route of all others.
const OTHERS: &str = "others";

/// Counts since the client was made.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Usage {
    /// Attempts sent, retries included.
    pub requests: u64,
    pub retries: u64,
    /// Answers that asked us to slow down.
    pub throttled: u64,
    /// How long the quota held the connection back. Calls that wait side by side count once.
    pub waited: Duration,
}

/// Changes of breakers that a listener may be behind.
const CHANGES_MAX: usize = 64;

/// A stream or operation begins or ends to be left alone.
#[derive(Clone, Debug)]
pub struct BreakerChanged {
    pub connection: Arc<str>,
    pub call: Arc<str>,
    pub state: BreakerState,
}

/// The meters of a workspace, by connection. Clones are the same ones, so what was counted outlives a client.
#[derive(Clone)]
pub struct Meters {
    known: Arc<Mutex<BTreeMap<String, Arc<Meter>>>>,
    changes: broadcast::Sender<BreakerChanged>,
}

impl Default for Meters {
    fn default() -> Self {
        Self { known: Arc::default(), changes: broadcast::Sender::new(CHANGES_MAX) }
    }
}

impl Meters {
    pub fn of(&self, connection: &str) -> Arc<Meter> {
        let made = || {
            let changes = Some((connection.into(), self.changes.clone()));
            Arc::new(Meter { changes, ..Meter::default() })
        };
        lock(&self.known).entry(connection.to_owned()).or_insert_with(made).clone()
    }

    /// Breakers that change from now on.
    pub fn breaker_changes(&self) -> broadcast::Receiver<BreakerChanged> {
        self.changes.subscribe()
    }
}

/// A method and a path template.
type Named = (Method, Arc<str>);

#[derive(Default)]
pub struct Meter {
    /// Who hears of breakers, and under which name.
    changes: Option<(Arc<str>, broadcast::Sender<BreakerChanged>)>,
    requests: AtomicU64,
    retries: AtomicU64,
    throttled: AtomicU64,
    routes: Mutex<BTreeMap<Named, Arc<Route>>>,
    causes: Mutex<BTreeMap<Code, u64>>,
    notices: Mutex<Notices>,
}

/// What came of the attempts of one method and path template.
pub struct Route {
    /// By the first digit of the status; the first is for attempts without an answer.
    classes: [AtomicU64; 6],
    pub took: Histogram,
}

impl Route {
    const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

    fn new() -> Self {
        Self { classes: Default::default(), took: Histogram::new(REQUEST_SECONDS) }
    }

    /// The classes that were met, with how often.
    pub fn classes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.classes.iter().map(|count| count.load(Relaxed));
        Self::CLASSES.into_iter().zip(counts).filter(|(_, count)| *count > 0)
    }
}

impl Meter {
    /// An attempt leaves.
    pub fn request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    /// An attempt that left is over, with or without an answer.
    pub fn over(&self, method: &Method, route: &Arc<str>, status: Option<StatusCode>, took: Duration) {
        let route = {
            let mut routes = lock(&self.routes);
            let mut key = (method.clone(), route.clone());
            if routes.len() >= ROUTES_MAX && !routes.contains_key(&key) {
                key.1 = OTHERS.into();
            }
            routes.entry(key).or_insert_with(|| Arc::new(Route::new())).clone()
        };
        let class = status.map_or(0, |status| usize::from(status.as_u16() / 100));
        route.classes[class.min(5)].fetch_add(1, Relaxed);
        route.took.observe(took);
    }

    /// The call is tried again, because of this.
    pub fn retry(&self, cause: Code) {
        self.retries.fetch_add(1, Relaxed);
        *lock(&self.causes).entry(cause).or_default() += 1;
    }

    /// What an answer says about the end of its call.
    pub fn notice(&self, call: &Call, headers: &HeaderMap) {
        if let Some(said) = said(headers) {
            lock(&self.notices).note((call.name.clone(), call.method.clone(), call.route.clone()), said);
        }
    }

    /// What was said so far.
    pub fn notices(&self) -> Notices {
        lock(&self.notices).clone()
    }

    pub fn breaker(&self, call: &Arc<str>, state: BreakerState) {
        if let Some((connection, changes)) = &self.changes {
            // Nobody may be listening.
            drop(changes.send(BreakerChanged { connection: connection.clone(), call: call.clone(), state }));
        }
    }

    pub fn throttled(&self) {
        self.throttled.fetch_add(1, Relaxed);
    }

    /// The counts, with what the budget says about waiting.
    pub fn usage(&self, waited: Duration) -> Usage {
        Usage {
            requests: self.requests.load(Relaxed),
            retries: self.retries.load(Relaxed),
            throttled: self.throttled.load(Relaxed),
            waited,
        }
    }

    /// Every route that was used.
    pub fn routes(&self) -> Vec<(Named, Arc<Route>)> {
        lock(&self.routes).iter().map(|(key, route)| (key.clone(), route.clone())).collect()
    }

    /// Why calls were tried again, and how often.
    pub fn causes(&self) -> BTreeMap<Code, u64> {
        lock(&self.causes).clone()
    }
}

fn lock<T>(kept: &Mutex<T>) -> MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_told_apart_by_template_and_class_and_the_number_of_templates_is_bounded() {
        let meter = Meter::default();
        let status = |code| StatusCode::from_u16(code).ok();
        for (route, answered) in
            [("/a/{id}", status(200)), ("/a/{id}", status(404)), ("/a/{id}", None), ("/b", status(201))]
        {
            meter.over(&Method::GET, &route.into(), answered, Duration::from_millis(3));
        }
        let routes = meter.routes();
        let shown: Vec<_> =
            routes.iter().map(|((_, name), route)| (&**name, route.classes().collect::<Vec<_>>())).collect();
        assert_eq!(shown, [("/a/{id}", vec![("none", 1), ("2xx", 1), ("4xx", 1)]), ("/b", vec![("2xx", 1)])]);
        (0..2 * ROUTES_MAX).for_each(|n| meter.over(&Method::GET, &format!("/{n}").into(), None, Duration::ZERO));
        let routes = meter.routes();
        assert!(
            routes.len() == ROUTES_MAX + 1 && routes.iter().any(|((_, name), _)| **name == *OTHERS),
            "{}",
            routes.len()
        );
    }
}
