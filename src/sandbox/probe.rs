//! A client for the unit tests of the sandbox: it talks to a world directly, on a clock that only the test moves.

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::{Request, Response};
use serde_json::Value;

use super::{World, WorldConfig};

pub struct Probe {
    pub world: World,
    pub now: DateTime<Utc>,
    pub token: String,
}

/// A world that keeps its promises: no quota, nobody without an address.
pub fn calm() -> WorldConfig {
    WorldConfig { customers: 20, bad_email: 0.0, shop_quota: None, crm_quota: None, ..WorldConfig::default() }
}

pub const CREDENTIALS: &str = "grant_type=client_credentials&client_id=demo&client_secret=demo-secret";

impl Probe {
    /// A client with a token, one hour after the epoch.
    pub fn new(config: WorldConfig) -> Self {
        let now = config.epoch + TimeDelta::hours(1);
        let mut probe = Self { world: World::new(config), now, token: String::new() };
        let granted = json(&probe.send("POST", "/oauth/token", &[], CREDENTIALS));
        probe.token = granted["access_token"].as_str().unwrap().into();
        probe
    }

    pub fn later(&mut self, ms: i64) {
        self.now += TimeDelta::milliseconds(ms);
    }

    pub fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response<Bytes> {
        let mut request = Request::builder().method(method).uri(path).header("host", "sandbox.test");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !self.token.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        self.world.handle(self.now, request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap())
    }

    pub fn get(&mut self, path: &str) -> Response<Bytes> {
        self.send("GET", path, &[], "")
    }

    /// The JSON of a path that must answer 200.
    pub fn read(&mut self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status(), 200, "{path}: {answer:?}");
        json(&answer)
    }

    pub fn write(&mut self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let answer = self.send(method, path, &[], &body.to_string());
        (answer.status().as_u16(), json(&answer))
    }

    pub fn create(&mut self, key: &str, body: &Value) -> Response<Bytes> {
        self.send("POST", "/crm/leads", &[("idempotency-key", key)], &body.to_string())
    }

    /// Every record of the customers' listing, page by page.
    pub fn walk(&mut self, query: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let mut page = self.read(&format!("/shop/customers?{query}"));
        loop {
            all.extend(page["data"].as_array().unwrap().clone());
            let Some(cursor) = page["next_cursor"].as_str() else {
                assert_eq!(page["has_more"], false);
                return all;
            };
            page = self.read(&format!("/shop/customers?{query}&cursor={cursor}"));
        }
    }
}

pub fn json(answer: &Response<Bytes>) -> Value {
    serde_json::from_slice(answer.body()).unwrap()
}
