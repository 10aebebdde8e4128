//! A workspace in a folder of its own, and the binary run in it.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::account::KEY;

pub struct Workspace {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

impl Workspace {
    /// With the repository's own connectors. `connections` and the pipelines are YAML.
    pub fn new(connections: &str, pipelines: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("renkei.yaml"), format!("version: 1\nconnections:\n{connections}")).unwrap();
        fs::create_dir(at("pipelines")).unwrap();
        for (name, text) in pipelines {
            fs::write(at(&format!("pipelines/{name}.yaml")), format!("version: 1\n{text}")).unwrap();
        }
        std::os::unix::fs::symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors"), at("connectors")).unwrap();
        Self { folder, variables: vec![("STRIPE_KEY".to_owned(), KEY.to_owned())] }
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_renkei"));
        command.args(arguments).current_dir(self.path()).envs(self.variables.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn start(&self, pipeline: &str) -> Child {
        self.command(&["run", pipeline]).spawn().unwrap()
    }

    /// Runs one pipeline to its end, which must be a good one, and returns its counts.
    pub fn run(&self, pipeline: &str) -> Value {
        let output = self.output(pipeline);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        counts(&output)
    }

    /// Runs one pipeline to its end, whatever that is.
    pub fn output(&self, pipeline: &str) -> Output {
        self.command(&["run", pipeline, "--output", "json"]).output().unwrap()
    }
}

pub fn said(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

pub fn counts(output: &Output) -> Value {
    let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(output)));
    document["runs"][0]["counts"].clone()
}

/// Kills a process the hard way as soon as `is_time` says so, and proves that it was still at work.
pub fn kill_when(mut child: Child, mut is_time: impl FnMut() -> bool) {
    while !is_time() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it could be killed");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9), "it ended before it could be killed");
}
