//! `docs/sandbox.md` is true: its requests, sent in order to one world, get the answers printed under them.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic like the tests themselves")]

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderMap, HeaderName, Request};
use renkei::sandbox::{World, WorldConfig};
use serde_json::Value;

const PAGE: &str = include_str!("../docs/sandbox.md");

/// The text of each fenced block of HTTP.
fn blocks() -> Vec<&'static str> {
    PAGE.split("```http\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// First line, headers, body.
fn parts(block: &str) -> (&str, HeaderMap, &str) {
    let (head, body) = block.split_once("\n\n").unwrap_or((block, ""));
    let (first, lines) = head.trim_end().split_once('\n').unwrap_or((head.trim_end(), ""));
    let mut headers = HeaderMap::new();
    for line in lines.lines() {
        let (name, value) = line.split_once(": ").unwrap();
        headers.insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    (first, headers, body.trim())
}

struct Reader {
    world: World,
    now: DateTime<Utc>,
    token: String,
}

impl Reader {
    fn new() -> Self {
        let config = WorldConfig { shop_quota: None, crm_quota: None, ..WorldConfig::default() };
        let now = config.epoch + TimeDelta::hours(1);
        Self { world: World::new(config), now, token: String::new() }
    }

    fn send(&mut self, block: &str) -> http::Response<Bytes> {
        let (line, headers, body) = parts(block);
        let (method, path) = line.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(path).header("host", "127.0.0.1:8710");
        request.headers_mut().unwrap().extend(headers);
        if !self.token.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        let answer = self.world.handle(self.now, request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap());
        if let Some(token) = json(answer.body())["access_token"].as_str() {
            self.token = token.into();
        }
        answer
    }
}

/// The body as JSON, or as a text for what is none (CSV).
fn json(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_else(|_| String::from_utf8(body.to_vec()).unwrap().trim().into())
}

#[test]
fn every_example_gets_the_answer_printed_under_it() {
    let blocks = blocks();
    assert!(blocks.len() > 30 && blocks.len().is_multiple_of(2), "{} blocks", blocks.len());
    let mut reader = Reader::new();
    for pair in blocks.chunks(2) {
        let answer = reader.send(pair[0]);
        let (status, headers, body) = parts(pair[1]);
        assert_eq!(status, format!("HTTP/1.1 {}", answer.status()), "{}", pair[0]);
        for (name, value) in &headers {
            assert_eq!(answer.headers().get(name), Some(value), "{name} after {}", pair[0]);
        }
        assert_eq!(json(body.as_bytes()), json(answer.body()), "{}", pair[0]);
    }
}
