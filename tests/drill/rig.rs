//! The program in a workspace, and what it said.

use std::{fs, path::Path, process::Command};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{self, Ran};

/// One scenario of a drill's result.
pub fn scenario(ran: &Ran, name: &str) -> Value {
    let json = ran.json();
    let all = json["scenarios"].as_array().unwrap();
    all.iter().find(|played| played["scenario"] == name).unwrap_or_else(|| panic!("{json}")).clone()
}

pub fn copy_into(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_into(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A copy of the workspace beside this file: every way to read, to write and to sign in.
pub fn workspace() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_into(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/drill/workspace"), folder.path());
    folder
}

pub fn write(folder: &TempDir, path: &str, text: &str) {
    let path = folder.path().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// The program with a place of its own for temporary files, which the test can look into.
pub fn program(folder: &Path) -> Command {
    let temporary = folder.join("tmp");
    fs::create_dir_all(&temporary).unwrap();
    let mut command = harness::program(folder);
    command.env("TMPDIR", temporary);
    command
}

pub fn renkei(folder: &Path, args: &[&str]) -> Ran {
    Ran::of(program(folder).args(args).output().unwrap())
}

/// Drills a pipeline. What fails shows its seed.
pub fn drill(folder: &Path, pipeline: &str, more: &[&str]) -> Ran {
    let args = [&["drill", pipeline, "--seed", "11", "--output", "json"], more].concat();
    renkei(folder, &args)
}

/// Nothing was lost or doubled, something arrived, and nothing is left behind.
pub fn is_good(folder: &Path, pipeline: &str, ran: &Ran) {
    assert_eq!(ran.code, 0, "{pipeline}: {}", ran.transcript());
    let json = ran.json();
    assert_eq!((&json["lost"], &json["doubled"]), (&0.into(), &0.into()), "{pipeline}: {}", ran.transcript());
    for played in json["scenarios"].as_array().unwrap() {
        assert!(played["delivered"].as_u64().unwrap() > 20, "{pipeline}: {played}");
        assert!(
            played["ended"] == true && played["unnamed"] == 0 && played["folder"].is_null(),
            "{pipeline}: {played}"
        );
    }
    let left: Vec<_> = fs::read_dir(folder.join("tmp")).unwrap().collect();
    assert!(left.is_empty(), "{pipeline}: {left:?}");
}
