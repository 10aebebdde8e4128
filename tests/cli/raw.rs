//! Requests as they stand, over a socket of their own, and answers as they came.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// The head in small letters, as names of headers may be written.
    pub fn small_head(&self) -> String {
        self.head.to_lowercase()
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Status and code of a refusal, which is a problem.
    pub fn refusal(&self) -> (u16, String) {
        assert!(self.small_head().contains("content-type: application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{self:?}");
        (self.status, problem["code"].as_str().unwrap().to_owned())
    }
}

/// Sends a request as it stands and reads the answer to the end of the connection.
pub fn raw(address: SocketAddr, request: &str) -> Answer {
    let mut line = TcpStream::connect(address).unwrap();
    line.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // A server that has answered already may close while we still send.
    let _ = line.write_all(request.as_bytes());
    let mut text = Vec::new();
    let _ = line.read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}
