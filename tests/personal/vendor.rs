//! A vendor in memory: people to read, and a place to write to that repeats everything it is told in its complaints. What a record
//! says at `do` is what becomes of it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use renkei::{
    http::{Request, Response, SendError, Transport},
    model::BoxFuture,
};
use serde_json::{Value, json};

#[derive(Clone, Default)]
pub struct Vendor(Arc<Mutex<Books>>);

#[derive(Default)]
pub struct Books {
    /// What `/people` and `/listed` hold, as JSON texts.
    pub people: Vec<String>,
    /// What `/buried` and `/existing` hold.
    pub buried: Vec<String>,
    pub existing: Vec<String>,
    /// What arrived and was taken, by id, with how often it was made.
    pub made: BTreeMap<String, Value>,
    /// By idempotency key: the id that it made.
    keys: BTreeMap<String, String>,
    /// Every write that arrived, as text.
    pub sent: Vec<String>,
    /// Nothing that is written is answered, and none of it takes effect.
    pub down: bool,
}

impl Vendor {
    pub fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap()
    }

    pub fn people(&self, people: &[&str]) {
        self.books().people = people.iter().map(|text| (*text).to_owned()).collect();
    }

    /// The values of a field of all that was made, sorted.
    pub fn made(&self, field: &str) -> Vec<Value> {
        let mut all: Vec<Value> = self.books().made.values().map(|made| made[field].clone()).collect();
        all.sort_by_key(Value::to_string);
        all
    }
}

impl Transport for Vendor {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, SendError>> {
        let answer = self.books().answer(&request);
        Box::pin(async move {
            if answer.is_none() {
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
            let (status, body) = answer.ok_or(SendError::Timeout)?;
            let status = StatusCode::from_u16(status).unwrap();
            Ok(Response { status, headers: HeaderMap::new(), body: Bytes::from(body) })
        })
    }
}

type Answer = Option<(u16, String)>;

impl Books {
    fn answer(&mut self, request: &Request) -> Answer {
        let path = request.url.path().to_owned();
        let query: BTreeMap<String, String> = request.url.query_pairs().into_owned().collect();
        if request.method == Method::GET {
            return Some((200, self.read(&path, &query)));
        }
        let body = String::from_utf8(request.body.to_vec()).unwrap();
        self.sent.push(format!("{} {path} {body}", request.method));
        if self.down {
            return Some((500, json!({ "message": format!("no luck with {path} {body}") }).to_string()));
        }
        if request.method == Method::DELETE {
            return Some(self.remove(&path));
        }
        let body: Value = serde_json::from_str(&body).unwrap();
        if path == "/many" {
            return Some((200, self.many(body["all"].as_array().unwrap())));
        }
        let key = request.headers.get("idempotency-key").map(|key| key.to_str().unwrap().to_owned());
        self.write(&path, &body, key)
    }

    fn read(&self, path: &str, query: &BTreeMap<String, String>) -> String {
        let number = |name: &str| query.get(name).and_then(|text| text.parse::<usize>().ok());
        match path {
            "/find" => {
                let found = self.made.iter().filter(|(_, made)| made["mail"].as_str() == Some(&query["mail"]));
                let found: Vec<Value> = found.map(|(id, made)| json!({ "id": id, "mail": made["mail"] })).collect();
                json!({ "data": found }).to_string()
            }
            _ => {
                let all = match path {
                    "/buried" => &self.buried,
                    "/existing" => &self.existing,
                    _ => &self.people,
                };
                let from = all.iter().skip(number("offset").unwrap_or(0)).take(number("limit").unwrap_or(1000));
                format!(r#"{{"data":[{}]}}"#, from.cloned().collect::<Vec<_>>().join(","))
            }
        }
    }

    fn write(&mut self, path: &str, body: &Value, key: Option<String>) -> Answer {
        let echo = json!({ "message": format!("not {path} {body} {}", body.to_string().to_uppercase()) }).to_string();
        match body["do"].as_str().unwrap_or_default() {
            "refuse" => return Some((400, echo)),
            "forbid" => return Some((403, echo)),
            "fail" => return Some((500, echo)),
            "slow" => return Some((429, echo)),
            _ => {}
        }
        let known = key.as_ref().and_then(|key| self.keys.get(key)).cloned();
        let id = match path.rsplit_once('/') {
            Some(("/change" | "/put", id)) => id.to_owned(),
            _ => known.clone().unwrap_or_else(|| format!("made-{}", self.made.len() + 1)),
        };
        let is_new = !self.made.contains_key(&id);
        self.made.insert(id.clone(), body.clone());
        self.keys.extend(key.map(|key| (key, id.clone())));
        if body["do"] == "lose" {
            return None;
        }
        Some((if is_new { 201 } else { 200 }, json!({ "id": id }).to_string()))
    }

    fn remove(&mut self, path: &str) -> (u16, String) {
        let (_, name) = path.rsplit_once('/').unwrap();
        let name = name.replace("%40", "@");
        if name.starts_with("stubborn") {
            return (400, json!({ "message": format!("cannot remove {} yet", name.to_uppercase()) }).to_string());
        }
        self.made.retain(|id, made| *id != name && made["mail"] != *name);
        (200, "{}".to_owned())
    }

    fn many(&mut self, all: &[Value]) -> String {
        let (mut results, mut errors) = (Vec::new(), Vec::new());
        for one in all {
            match one["do"].as_str() {
                Some("refuse") => errors
                    .push(json!({ "mail": one["mail"], "message": format!("no: {}", one.to_string().to_lowercase()) })),
                _ => {
                    let id = one["ref"].to_string();
                    results.push(json!({ "mail": one["mail"], "id": id }));
                    self.made.insert(id, one.clone());
                }
            }
        }
        json!({ "results": results, "errors": errors }).to_string()
    }
}
