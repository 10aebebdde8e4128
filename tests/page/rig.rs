//! A service with its page, and what a browser would send to it.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::{
    harness::Stage,
    raw::{Answer, raw},
};

pub const TOKEN: &str = "a-token-that-nobody-guesses";

/// A service that runs until the test ends.
pub struct Served {
    child: Child,
    pub address: SocketAddr,
}

impl Drop for Served {
    fn drop(&mut self) {
        // A test that failed has no use for a clean end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Gives a workspace an admin API on a free port, with a token where one is wanted.
pub fn open(stage: &Stage, token: Option<&str>) {
    let text = std::fs::read_to_string(stage.path().join("renkei.yaml")).unwrap();
    let token = if token.is_some() { ", token: \"${ADMIN}\"" } else { "" };
    let admin = format!("version: 1\nserve: {{ admin: {{ address: \"127.0.0.1:0\"{token} }} }}\n");
    stage.write("renkei.yaml", &text.replacen("version: 1\n", &admin, 1));
}

/// The pipeline of the stage, once a year, with objectives to be shown.
pub fn yearly(stage: &Stage) {
    let path = "pipelines/demo-leads.yaml";
    let text = std::fs::read_to_string(stage.path().join(path)).unwrap();
    stage.write(
        path,
        &text.replacen(
            "version: 1\n",
            "version: 1\nschedule: { cron: \"0 0 1 1 *\" }\nslo: { success: 99%, p95: 5s }\n",
            1,
        ),
    );
}

impl Served {
    pub fn start(command: &mut Command) -> Self {
        command
            .args(["serve", "--log-format", "json"])
            .env("ADMIN", TOKEN)
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (mut log, mut address) = (Vec::new(), None);
        while let Some(line) = lines.next().and_then(Result::ok) {
            let said: Value = serde_json::from_str(&line).unwrap_or_default();
            if said["message"] == "the admin API listens" {
                address = said["address"].as_str().map(|url| url.trim_start_matches("http://").parse().unwrap());
            }
            log.push(line);
            if let Some(address) = address.filter(|_| said["message"] == "serving") {
                // Somebody must go on reading what it says.
                thread::spawn(move || lines.for_each(drop));
                return Self { child, address };
            }
        }
        panic!("it never served: {log:#?} {:?}", child.wait());
    }

    pub fn of(stage: &Stage) -> Self {
        Self::start(&mut stage.command(&[]))
    }

    pub fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let (at, length) = (self.address, body.len());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
        );
        raw(at, &format!("{head}{body}"))
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "accept: text/html\r\n", "")
    }

    /// What a browser sends for a form of the page itself.
    pub fn form(&self, path: &str, body: &str) -> Answer {
        let own = format!("origin: http://{}\r\nsec-fetch-site: same-origin\r\n", self.address);
        self.send("POST", path, &format!("{own}content-type: application/x-www-form-urlencoded\r\n"), body)
    }

    pub fn json(&self, path: &str) -> Value {
        let answer = self.send("GET", path, "", "");
        serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{path}: {error}: {answer:?}"))
    }

    /// Asks for a run and waits for its end.
    pub fn run(&self, pipeline: &str) -> Value {
        let path = format!("/api/v1/pipelines/{pipeline}");
        assert_eq!(self.send("POST", &format!("{path}/trigger"), "", "").status, 202);
        loop {
            let shown = self.json(&path);
            if shown["state"] != "running" && shown["runs"][0]["ended_at"].is_string() {
                return shown;
            }
            thread::park_timeout(Duration::from_millis(5));
        }
    }
}
