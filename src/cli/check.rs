//! `validate`, `schema` and `connectors`: what can be said about a workspace without running it.

use std::{collections::BTreeMap, path::Path};

use serde::Serialize;
use serde_json::json;

use super::{
    args::SchemaKind,
    failure::{CONFIG, DONE, Failure},
    output::{Output, Paint},
    table::{self, Column},
    workspace,
};
use crate::config::{self, FileKind, Plan, SystemEnvironment, plan::Connection};

/// The report is the result here, so it goes to stdout.
pub fn validate(dir: &Path, without_secrets: bool, output: &Output) -> Result<u8, Failure> {
    let checked = config::check(dir, &SystemEnvironment, without_secrets);
    let report = checked.report;
    if output.json() {
        output.document(&json!({
            "errors": report.errors(),
            "warnings": report.warnings(),
            "diagnostics": report.diagnostics,
        }));
    } else {
        output.text(report.render(output.color_stdout));
    }
    let Some(plan) = checked.plan else {
        return Ok(CONFIG);
    };
    if !output.json() {
        let counts = [(plan.pipelines.len(), "pipeline"), (plan.connections.len(), "connection")];
        let counts = counts.map(|(n, word)| if n == 1 { format!("1 {word}") } else { format!("{n} {word}s") });
        output.line(format_args!("{}: {}", Paint(output.color_stdout).green("valid"), counts.join(", ")));
    }
    Ok(DONE)
}

pub fn schema(kind: SchemaKind, markdown: bool, output: &Output) -> u8 {
    let kind = match kind {
        SchemaKind::Workspace => FileKind::Workspace,
        SchemaKind::Connector => FileKind::Connector,
        SchemaKind::Pipeline => FileKind::Pipeline,
        SchemaKind::Case => FileKind::Case,
    };
    match markdown {
        true => output.line(config::reference(kind).trim_end()),
        false => output.document(&config::schema(kind)),
    }
    DONE
}

/// A connector as the connections use it.
#[derive(Default, Serialize)]
struct Connector {
    connections: Vec<String>,
    streams: Vec<String>,
    operations: Vec<String>,
}

pub fn connectors(dir: &Path, output: &Output) -> Result<u8, Failure> {
    let all = collect(&workspace::plan_without_secrets(dir, output)?);
    if output.json() {
        output.document(&all);
        return Ok(DONE);
    }
    let rows = all.into_iter().map(|(name, connector)| {
        let joined = |names: Vec<String>| if names.is_empty() { "-".to_owned() } else { names.join(", ") };
        vec![name, joined(connector.connections), joined(connector.streams), joined(connector.operations)]
    });
    let columns = ["connector", "connections", "streams", "operations"].map(|title| Column(title, false));
    table::print(output, &columns, rows.collect(), "no connection uses a connector yet");
    Ok(DONE)
}

fn collect(plan: &Plan) -> BTreeMap<String, Connector> {
    let mut all: BTreeMap<String, Connector> = BTreeMap::new();
    for (name, connection) in &plan.connections {
        match connection {
            Connection::Api(api) => {
                let entry = all.entry(api.connector.clone()).or_default();
                entry.connections.push(name.clone());
                entry.streams = api.streams.keys().cloned().collect();
                entry.operations = api.operations.keys().cloned().collect();
            }
            Connection::Folder(folder) => {
                let kind = format!("{} (built in)", folder.kind());
                all.entry(kind).or_default().connections.push(name.clone());
            }
            Connection::Postgres(_) => {
                all.entry("postgres (built in)".to_owned()).or_default().connections.push(name.clone());
            }
            Connection::Mysql(_) => {
                all.entry("mysql (built in)".to_owned()).or_default().connections.push(name.clone());
            }
            Connection::Sqlite(_) => {
                all.entry("sqlite (built in)".to_owned()).or_default().connections.push(name.clone());
            }
        }
    }
    all
}
