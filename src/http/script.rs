//! A server by script, for tests of this room and of `auth/`: a function from request and number to what comes of it,
//! with every request kept.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderMap, Method, StatusCode};
use tokio::time::sleep;
use url::Url;

use super::{Call, Request, Response, SendError, Transport};
use crate::{
    config::plan::{Api, Auth},
    model::{BoxFuture, Clock},
};

pub const BASE_URL: &str = "https://api.test/v1/";

type Play = dyn Fn(&Request, usize) -> Result<Response, SendError> + Send + Sync;

pub struct Script {
    play: Box<Play>,
    /// How long each answer takes.
    latency: Duration,
    seen: Mutex<Vec<Request>>,
}

impl Script {
    pub fn new(
        latency: Duration,
        play: impl Fn(&Request, usize) -> Result<Response, SendError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { play: Box::new(play), latency, seen: Mutex::default() })
    }

    /// Plays the outcomes in order, and the last one for ever.
    pub fn list(outcomes: Vec<Result<Response, SendError>>) -> Arc<Self> {
        Self::new(Duration::ZERO, move |_, number| outcomes[number.min(outcomes.len() - 1)].clone())
    }

    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

impl Transport for Script {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, SendError>> {
        let number = {
            let mut seen = self.seen.lock().unwrap();
            seen.push(request.clone());
            seen.len() - 1
        };
        Box::pin(async move {
            sleep(self.latency).await;
            (self.play)(&request, number)
        })
    }
}

pub fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Result<Response, SendError> {
    Ok(Response {
        status: StatusCode::from_u16(status).unwrap(),
        headers: headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect(),
        body: Bytes::copy_from_slice(body.as_bytes()),
    })
}

pub fn api(auth: Auth) -> Api {
    Api { auth, ..Api::new("shop", Url::parse(BASE_URL).unwrap()) }
}

pub fn call(method: Method, path: &str) -> Call {
    Call {
        name: "orders".into(),
        route: "/orders/{id}".into(),
        method,
        url: Url::parse(BASE_URL).unwrap().join(path).unwrap(),
        headers: HeaderMap::new(),
        body: Bytes::new(),
        repeatable: true,
        timeout: None,
        deadline: None,
        answers: Vec::new(),
        hides: Vec::new(),
        unsigned: false,
        spool: None,
    }
}

/// A clock that a test sets.
pub struct SetClock(pub Mutex<DateTime<Utc>>);

impl SetClock {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new("2026-01-01T00:00:00Z".parse().unwrap())))
    }

    pub fn pass(&self, seconds: i64) {
        *self.0.lock().unwrap() += chrono::TimeDelta::seconds(seconds);
    }
}

impl Clock for SetClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }
}
