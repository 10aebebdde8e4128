//! The real process, killed again and again while it writes whole files: each record is there once.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use renkei::model::{Entropy, SystemEntropy};

use crate::{
    database::env,
    ends::read_parquet,
    pipelines::{connections, fill, into_parquet},
    rig,
    s3::{Server, python},
};

/// Kills the run of a workspace at random, until one ends by itself. Returns how often it was killed.
async fn kill(folder: &std::path::Path, secret: &str, kills: u64) -> u64 {
    let seed = env("RENKEI_SEED").and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| SystemEntropy::new().bits() % 1_000_000);
    println!("RENKEI_SEED={seed}");
    let dice = SystemEntropy::seeded(seed);
    let mut struck = 0;
    for round in 0.. {
        let mut command = Command::new(env!("CARGO_BIN_EXE_renkei"));
        command.args(["run", "p", "--log-level", "off"]).current_dir(folder).env("PGURL", secret);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        let patience = Duration::from_millis(20 + dice.bits() % 200);
        if struck < kills {
            // Real processes need real time to get on.
            tokio::time::sleep(patience).await;
            process.kill().unwrap();
            struck += 1;
        }
        if process.wait().unwrap().success() {
            return struck;
        }
        assert!(round < kills + 5, "a run that nobody kills must end well");
    }
    struck
}

fn workspace(connections: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    rig::write(folder.path(), "renkei.yaml", &format!("version: 1\nconnections:\n{connections}"));
    rig::write(folder.path(), "pipelines/p.yaml", &format!("version: 1\n{}", into_parquet("lake")));
    folder
}

fn kills() -> u64 {
    if env("RENKEI_LONG").is_some() { 200 } else { 12 }
}

#[tokio::test]
async fn a_folder_of_parquet_files_has_each_record_once_whatever_is_killed() {
    if python().is_none() {
        return;
    }
    let folder = workspace("  lite: { sqlite: { path: data.db } }\n  lake: { parquet: { path: lake, rotate: 1kB } }\n");
    fill(&folder.path().join("data.db")).await;
    let struck = kill(folder.path(), "", kills()).await;
    let path = |number: usize| folder.path().join(format!("lake/rows.{number:06}.parquet"));
    let paths: Vec<_> = (0..).map(path).take_while(|path| path.exists()).collect();
    judge(&read_parquet(&[], &paths));
    println!("{struck} kills, {} files", paths.len());
}

#[tokio::test]
async fn a_bucket_has_each_record_once_whatever_is_killed() {
    let Some(server) = Server::start() else { return };
    let folder = workspace(&connections(&server, "format: parquet, rotate: 1kB, "));
    fill(&folder.path().join("data.db")).await;
    let struck = kill(folder.path(), &server.secret, kills()).await;
    let mut paths = Vec::new();
    for (name, content) in server.objects() {
        let path = folder.path().join(name.replace('/', "_"));
        std::fs::write(&path, content).unwrap();
        paths.push(path);
    }
    judge(&read_parquet(&[], &paths));
    println!("{struck} kills, {} objects", paths.len());
}

fn judge(rows: &[String]) {
    let id = |row: &String| serde_json::from_str::<serde_json::Value>(row).unwrap()["id"].as_i64().unwrap();
    let ids: Vec<i64> = rows.iter().map(id).collect();
    assert_eq!(ids, (1..=1000).collect::<Vec<_>>());
}
