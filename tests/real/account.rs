//! A Stripe account: one `localstripe` of our own, and its API as a plain client sees it.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use serde_json::Value;

pub const KEY: &str = "sk_test_renkei";

pub struct Account {
    pub url: String,
    http: reqwest::Client,
    server: Child,
    /// Kept open: the server ends when nobody reads what it says.
    _output: BufReader<ChildStdout>,
}

#[expect(clippy::disallowed_methods, reason = "a test's servers are given by the environment")]
pub fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Says what is missing; under CI that is a failure.
pub fn skip(what: &str) {
    assert!(env("CI").is_none(), "{what}");
    std::io::stderr().write_all(format!("SKIPPED: {what}\n").as_bytes()).unwrap();
}

fn program() -> Option<PathBuf> {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools/venv/bin/localstripe");
    let named = env("RENKEI_LOCALSTRIPE").map(PathBuf::from);
    named.into_iter().chain([installed]).find(|path| path.exists())
}

impl Account {
    /// Starts an empty account. Nothing where localstripe is not installed: then the test says so and ends.
    pub fn open() -> Option<Self> {
        let Some(program) = program() else {
            skip(
                "localstripe is not installed, so there is no account to read. Use scripts/test --test real, or set \
                  RENKEI_LOCALSTRIPE to the program.",
            );
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Command::new(program)
            .args(["--port", &port.to_string(), "--from-scratch"])
            .env("PYTHONUNBUFFERED", "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(server.stdout.take().unwrap());
        let started = output.by_ref().lines().any(|line| line.unwrap().contains("Running on"));
        assert!(started, "localstripe did not start");
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Some(Self { url: format!("http://127.0.0.1:{port}"), http, server, _output: output })
    }

    /// Posts a form and returns the answer.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Value {
        let form: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self.http.post(format!("{}{path}", self.url)).bearer_auth(KEY).body(form);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = request.send().await.unwrap().error_for_status().unwrap();
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    /// Makes customers, the numbers in their names.
    pub async fn add_customers(&self, numbers: std::ops::Range<u32>) {
        for number in numbers {
            let (name, email) = (format!("Customer {number} 株式会社"), format!("c{number}@example.com"));
            let note = format!("a \"quoted\" note,\nwith a \\ and number {number}");
            let mut fields = vec![("name", name.as_str()), ("email", &email), ("metadata[note]", &note)];
            if number % 3 == 0 {
                fields.extend([("phone", "+81-3-1234-5678"), ("address[city]", "Tokyo"), ("address[country]", "JP")]);
            }
            self.post("/v1/customers", &fields).await;
        }
    }

    /// Every customer by id, as the API tells them.
    pub async fn customers(&self) -> BTreeMap<String, Value> {
        let mut all = BTreeMap::new();
        let mut after = String::new();
        loop {
            let url = format!("{}/v1/customers?limit=100{after}", self.url);
            let answer = self.http.get(url).bearer_auth(KEY).send().await.unwrap();
            let page: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
            for customer in page["data"].as_array().unwrap() {
                let id = customer["id"].as_str().unwrap().to_owned();
                after = format!("&starting_after={id}");
                all.insert(id, customer.clone());
            }
            if page["has_more"] == false {
                return all;
            }
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.server.kill().ok();
        self.server.wait().ok();
    }
}
