//! A server that answers as a test says and remembers what it was asked, and a client for it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Body, extract::Request, response::Response};
use chrono::{DateTime, Utc};
use http::{HeaderMap, Method, StatusCode};
use renkei::{
    config::plan::{Api, Budget, RequestPlan, Retry, Timeouts},
    expr::Template,
    http::{Client, HttpTransport, Policy, Seams, Unsigned},
    model::{Clock, Fields, Path, SystemEntropy},
};
use tokio::net::TcpListener;
use url::Url;

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Asked {
    /// How many came before it.
    pub number: usize,
    pub method: Method,
    pub path: String,
    pub query: BTreeMap<String, String>,
    pub headers: HeaderMap,
    pub body: String,
}

impl Asked {
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    pub fn number_of(&self, name: &str) -> usize {
        self.parameter(name).map_or(0, |text| text.parse().unwrap())
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// What a test's server answers.
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

pub fn ok(body: impl Into<String>) -> Reply {
    status(200, body)
}

pub fn status(status: u16, body: impl Into<String>) -> Reply {
    Reply { status, headers: vec![("content-type", "application/json".to_owned())], body: body.into() }
}

impl Reply {
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

#[derive(Clone)]
pub struct Server {
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub async fn start<F>(answer: impl Fn(Asked) -> F + Clone + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let log = Arc::clone(&asked);
        let app = Router::new().fallback(move |request: Request| {
            let (log, answer) = (Arc::clone(&log), answer.clone());
            async move {
                let asked = read(request, &log).await;
                let reply = answer(asked).await;
                let mut response = Response::builder().status(StatusCode::from_u16(reply.status).unwrap());
                for (name, value) in reply.headers {
                    response = response.header(name, value);
                }
                response.body(Body::from(reply.body)).unwrap()
            }
        });
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, asked }
    }

    /// A server whose answers depend on nothing but the request.
    pub async fn answering(answer: impl Fn(&Asked) -> Reply + Clone + Send + Sync + 'static) -> Self {
        Self::start(move |asked| {
            let reply = answer(&asked);
            async move { reply }
        })
        .await
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn read(request: Request, log: &Mutex<Vec<Asked>>) -> Asked {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let query = url::form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let mut log = log.lock().unwrap();
    let asked = Asked {
        number: log.len(),
        method: head.method,
        path: head.uri.path().to_owned(),
        query,
        headers: head.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    };
    log.push(asked.clone());
    asked
}

pub fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

pub fn template(text: &str) -> Template {
    Template::compile(text).unwrap()
}

pub fn request(method: Method, path: &str) -> RequestPlan {
    RequestPlan {
        method,
        route: path.into(),
        path: template(path),
        query: Vec::new(),
        headers: Vec::new(),
        body: None,
        timeout: None,
    }
}

pub fn api(base_url: &str) -> Api {
    Api {
        settings: Fields::parse(br#"{"limit":3}"#).unwrap(),
        budget: Budget { wait_max: Duration::from_secs(60), ..Budget::default() },
        timeouts: Timeouts { connect: Duration::from_secs(5), attempt: Duration::from_secs(30) },
        retry: Retry { attempts: 3, base: Duration::from_millis(1), cap: Duration::from_millis(2) },
        ..Api::new("crm", Url::parse(base_url).unwrap())
    }
}

/// A clock that stands still.
#[derive(Clone, Copy)]
pub struct Still(pub DateTime<Utc>);

impl Clock for Still {
    fn now(&self) -> DateTime<Utc> {
        self.0
    }
}

pub fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub fn noon() -> Still {
    Still(at("2026-01-01T12:00:00Z"))
}

pub fn client(api: &Api) -> Client {
    let seams = Seams {
        transport: Arc::new(HttpTransport::new(api)),
        signer: Arc::new(Unsigned),
        clock: Arc::new(noon()),
        entropy: Arc::new(SystemEntropy::seeded(1)),
    };
    Client::new(Policy::of(api), seams)
}
