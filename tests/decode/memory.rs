//! What a large answer takes of memory, by the process that reads it.

use std::{fs, process::Command, time::Duration};

use super::rig::{Stage, array, assert_ids, ok};

/// Bound of the whole process.
const MEMORY_MAX_KIB: u64 = 64 << 10;

/// The most memory that a process has had, while it lives.
fn peak(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_twice_the_bound_stays_within_it() {
    let records = 800_000;
    let body = array(records);
    assert!(body.len() as u64 > 2 * (MEMORY_MAX_KIB << 10) * 7 / 10);
    let stage = Stage::new("get: /t\nkey: id\nlarge: {}", move |_| ok(body.clone())).await;
    let mut process = Command::new(env!("CARGO_BIN_EXE_renkei"))
        .args(["run", "p"])
        .current_dir(stage.folder.path())
        .env_clear()
        .spawn()
        .unwrap();
    let mut most = 0;
    let ended = loop {
        most = most.max(peak(process.id()).unwrap_or_default());
        if let Some(ended) = process.try_wait().unwrap() {
            break ended;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert!(ended.success());
    assert_ids(&stage.lines(), records);
    println!("at most {most} KiB");
    assert!((1..=MEMORY_MAX_KIB).contains(&most), "{most} KiB");
}
