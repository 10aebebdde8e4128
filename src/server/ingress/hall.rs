//! The routes of a plan, and what they have in memory besides it. Routes change with the plan; what is under way outlives it.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use tokio::time::Instant;

use super::{pace::Pace, request::segment};
use crate::{
    config::plan::{Ingress, Pipeline},
    engine::{Engine, Stop, pushed_stream},
    server::body::Room,
    store::{AnswerName, StreamId},
};

/// Of all bodies that are being read and worked on.
const BODIES_BYTES_MAX: usize = 128 << 20;

/// One pipeline that records are pushed to.
pub struct Route {
    pub pipeline: Arc<Pipeline>,
    pub ingress: Arc<Ingress>,
    pub stream: StreamId,
    /// Its name as a part of a path.
    pub segment: String,
    pub pace: Option<Mutex<Pace>>,
}

/// The routes of one plan, with the engine that serves them.
pub struct Routes {
    pub engine: Arc<Engine>,
    by_segment: BTreeMap<String, Arc<Route>>,
}

impl Routes {
    pub fn of(engine: &Arc<Engine>) -> Self {
        let of_pipeline = |pipeline: &Arc<Pipeline>| {
            let ingress = pipeline.from.ingress.clone()?;
            let pace = ingress.rate.map(|rate| Mutex::new(Pace::new(rate, Instant::now())));
            let (stream, segment) = (pushed_stream(pipeline), segment(&pipeline.name));
            Some((segment.clone(), Arc::new(Route { pipeline: pipeline.clone(), ingress, stream, segment, pace })))
        };
        let by_segment = engine.plan().pipelines.values().filter_map(of_pipeline).collect();
        Self { engine: engine.clone(), by_segment }
    }

    pub fn get(&self, segment: &str) -> Option<&Arc<Route>> {
        self.by_segment.get(segment)
    }

    pub fn all(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.by_segment.values()
    }
}

/// What every request finds.
pub struct Hall {
    routes: RwLock<Arc<Routes>>,
    under_way: Mutex<HashSet<AnswerName>>,
    /// What bodies under way may take together.
    pub room: Arc<Room>,
    pub stop: Stop,
}

impl Hall {
    pub fn new(routes: Routes, stop: Stop) -> Self {
        Self {
            routes: RwLock::new(Arc::new(routes)),
            under_way: Mutex::default(),
            room: Room::new(BODIES_BYTES_MAX),
            stop,
        }
    }

    pub fn routes(&self) -> Arc<Routes> {
        self.routes.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn replace(&self, routes: Routes) {
        *self.routes.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(routes);
    }

    fn under_way(&self) -> MutexGuard<'_, HashSet<AnswerName>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a key for as long as its request is under way. Nothing: another request has it.
    pub fn take(self: &Arc<Self>, name: AnswerName) -> Option<Taken> {
        let is_free = self.under_way().insert(name.clone());
        is_free.then(|| Taken { hall: self.clone(), name })
    }
}

/// A key whose request is under way.
pub struct Taken {
    hall: Arc<Hall>,
    pub name: AnswerName,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.hall.under_way().remove(&self.name);
    }
}
