//! A vendor that lists orders and takes them, and a workspace on disk that brings them from the one call to the other.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    harness::{self, Ran},
    server::{Asked, Reply, Server, ok},
};

pub const SCHEMA: &str = r#"
      type: object
      required: [id, total]
      properties:
        id: { type: integer }
        total: { type: integer }
        state: { enum: [open, closed] }
        email: { type: string, format: email }
        customer: { type: object, properties: { phone: { type: string } } }
        lines: { items: { properties: { sku: { type: string } } } }
"#;

/// What the vendor holds, two on a page, and what it says with every answer.
pub struct World {
    pub orders: Vec<Value>,
    pub headers: Vec<(&'static str, String)>,
}

pub struct Stage {
    pub world: Arc<Mutex<World>>,
    pub server: Server,
    folder: TempDir,
}

pub fn order(id: u64) -> Value {
    json!({"id": id, "total": 100, "state": "open", "email": "ada@example.com"})
}

fn answer(world: &World, asked: &Asked) -> Reply {
    let reply = match asked.method.as_str() {
        "GET" => {
            let from = asked.number_of("token");
            let data: Vec<&Value> = world.orders.iter().skip(from).take(2).collect();
            let next = (from + 2 < world.orders.len()).then(|| (from + 2).to_string());
            ok(json!({"data": data, "next": next}).to_string())
        }
        _ => ok("{}"),
    };
    world.headers.iter().fold(reply, |reply, (name, value)| reply.header(name, value.clone()))
}

impl Stage {
    /// `from` and `to` are what a pipeline says besides where it reads and writes; `stream` what the stream says.
    pub async fn new(orders: Vec<Value>, stream: &str, from: &str, to: &str) -> Self {
        let world = Arc::new(Mutex::new(World { orders, headers: Vec::new() }));
        let answering = world.clone();
        let server = Server::answering(move |asked| answer(&answering.lock().unwrap(), asked)).await;
        let stage = Self { world, server, folder: tempfile::tempdir().unwrap() };
        let url = &stage.server.url;
        stage.write(
            "renkei.yaml",
            &format!("version: 1\nconnections:\n  shop: {{ connector: shop, base_url: \"{url}\" }}\n"),
        );
        stage.write(
            "connectors/shop/connector.yaml",
            &format!(
                "version: 1\nstreams:\n  orders:\n    get: /orders\n    records: data\n    key: id\n    paginate: {{ cursor: {{ next: next, query: token \
                 }} }}\n    {stream}\noperations:\n  take:\n    post: /taken\n    makes: upsert\n    repeat: {{ upsert: {{ unique: id }} }}\n    schema: {{ \
                 required: [sum], properties: {{ id: {{}}, sum: {{ type: integer, maximum: 1000 }}, mail: {{ format: email }} }} }}\n"
            ),
        );
        stage.pipeline(from, to);
        stage
    }

    pub fn pipeline(&self, from: &str, to: &str) {
        let text = format!(
            "version: 1\nfrom: {{ connection: shop, stream: orders{from} }}\nto:\n  connection: shop\n  operation: take\n  fields: {{ id: record.id, sum: \
             record.total, mail: record.email }}\n{to}"
        );
        self.write("pipelines/p.yaml", &text);
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn renkei(&self, args: &[&str]) -> Ran {
        harness::renkei(self.path(), args)
    }

    /// One run, and its record.
    pub fn run(&self) -> (Ran, Value) {
        let ran = self.renkei(&["run", "--output", "json"]);
        let run = ran.json()["runs"][0].clone();
        (ran, run)
    }

    /// The numbers of the orders that arrived, sorted.
    pub fn taken(&self) -> Vec<u64> {
        let posted = self.server.asked().into_iter().filter(|asked| asked.method == "POST");
        let mut all: Vec<u64> = posted.map(|asked| asked.json()["id"].as_u64().unwrap()).collect();
        all.sort_unstable();
        all
    }
}

/// `kind path records` of each difference that a run tells, sorted.
pub fn drift(run: &Value) -> Vec<String> {
    let rows = run["drift"]["rows"].as_array().cloned().unwrap_or_default();
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    let mut all: Vec<String> = rows
        .iter()
        .map(|row| format!("{} {} {} {}", text(row, "end"), text(row, "kind"), text(row, "path"), row["records"]))
        .collect();
    all.sort();
    all
}
