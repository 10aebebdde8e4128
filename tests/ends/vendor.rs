//! A vendor that takes events: each key counts once, and what came under which key, from whom, and in which order is remembered.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::Request,
    response::Response,
};
use serde_json::Value;
use tokio::{net::TcpListener, sync::watch};

/// A request that had an effect.
#[derive(Clone, Debug)]
pub struct Event {
    pub id: i64,
    pub about: String,
}

#[derive(Default)]
pub struct Book {
    /// In the order in which they took effect.
    pub events: Vec<Event>,
    /// Keys that were met, with the row that came under each.
    pub keys: BTreeMap<String, i64>,
    /// Who sent each row.
    pub senders: BTreeMap<i64, BTreeSet<String>>,
    pub requests: usize,
    pub replayed: usize,
}

pub struct Vendor {
    pub url: String,
    book: Arc<Mutex<Book>>,
}

impl Vendor {
    /// Each `cut`th answer is lost after its request took effect; 0: none is. Nothing takes effect before so many workers have
    /// sent something.
    pub async fn start(cut: usize, workers: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let book: Arc<Mutex<Book>> = Arc::default();
        let own = book.clone();
        let met = watch::Sender::new(BTreeSet::new());
        let app =
            Router::new().fallback(move |request: Request| take(own.clone(), (met.clone(), workers), cut, request));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, book }
    }

    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap()
    }

    /// The connector of it, as one worker has it.
    pub fn connector(&self) -> String {
        let repeat = "repeat: { idempotency_key: { header: Idempotency-Key, format: raw, retention: 24h, mismatch: 422, in_flight: 409 } }";
        format!(
            "version: 1\nbase_url: {}\nconfig: {{ worker: {{ description: Who sends, required: true }} }}\n\
             headers: {{ x-worker: \"{{{{ config.worker }}}}\" }}\nretry: {{ base: 5ms, cap: 50ms }}\n\
             operations:\n  put_event:\n    post: /events\n    makes: create\n    {repeat}\n    sink_id: id\n",
            self.url
        )
    }
}

fn header(request: &Request, name: &str) -> String {
    request.headers()[name].to_str().unwrap().to_owned()
}

async fn take(
    book: Arc<Mutex<Book>>,
    (met, workers): (watch::Sender<BTreeSet<String>>, usize),
    cut: usize,
    request: Request,
) -> Response {
    let (key, sender) = (header(&request, "idempotency-key"), header(&request, "x-worker"));
    let body = to_bytes(request.into_body(), 1 << 20).await.unwrap();
    let event: Value = serde_json::from_slice(&body).unwrap();
    let id = event["id"].as_i64().unwrap();
    if event["payload"]["refuse"] == true {
        return Response::builder().status(400).body(Body::from("{\"error\":\"no\"}")).unwrap();
    }
    met.send_if_modified(|met| met.insert(sender.clone()));
    met.subscribe().wait_for(|met| met.len() >= workers).await.unwrap();
    let mut book = book.lock().unwrap();
    book.requests += 1;
    book.senders.entry(id).or_default().insert(sender);
    match book.keys.insert(key, id) {
        None => book.events.push(Event { id, about: event["about"].to_string() }),
        Some(known) => {
            assert_eq!(known, id, "a key names one row");
            book.replayed += 1;
        }
    }
    if cut > 0 && book.requests.is_multiple_of(cut) {
        let broken = std::io::Error::other("cut off");
        let body = Body::from_stream(futures_util::stream::iter([Ok(Bytes::from("{")), Err(broken)]));
        return Response::builder().status(201).header("content-length", "100").body(body).unwrap();
    }
    Response::builder().status(201).body(Body::from(format!("{{\"id\":\"e{id}\"}}"))).unwrap()
}
