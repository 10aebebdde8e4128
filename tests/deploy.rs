//! What `deploy/` ships: each file is held against the tool or the program that will read it. The tools come from `scripts/test`.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_renkei");

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path)
}

fn text(path: &str) -> String {
    fs::read_to_string(file(path)).unwrap()
}

/// Says what is missing; under CI that is a failure.
fn skip(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "{what}");
    std::io::stderr().write_all(format!("SKIPPED: {what}\n").as_bytes()).unwrap();
}

/// A tool of the Python environment that `scripts/test` makes.
fn tool(name: &str) -> Option<PathBuf> {
    let venv = std::env::var_os("RENKEI_TEST_VENV").map_or_else(|| "target/test-tools/venv".into(), PathBuf::from);
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(venv).join("bin").join(name);
    if !program.exists() {
        skip(&format!("{name} is not installed; use scripts/test --test deploy"));
        return None;
    }
    Some(program)
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn systemd_accepts_the_unit_and_finds_little_to_attack() {
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("renkei.service");
    fs::write(&unit, text("systemd/renkei.service").replace("/usr/bin/renkei", PROGRAM)).unwrap();
    for arguments in [&["verify", "--man=no"][..], &["security", "--offline=true", "--threshold=20"]] {
        let Ok(said) = Command::new("systemd-analyze").args(arguments).arg(&unit).output() else {
            return skip("systemd-analyze is not installed; use scripts/test --test deploy");
        };
        // What it dislikes stands in the errors, also where it goes on.
        let disliked = String::from_utf8_lossy(&said.stderr).contains("renkei.service:");
        assert!(said.status.success() && !disliked, "{arguments:?}: {}", told(&said));
    }
}

#[test]
fn a_unit_with_a_mistake_would_be_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("renkei.service");
    fs::write(&unit, text("systemd/renkei.service").replace("WatchdogSec=60s", "WatchdogSec=sixty")).unwrap();
    let Ok(said) = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit).output() else {
        return skip("systemd-analyze is not installed; use scripts/test --test deploy");
    };
    assert!(told(&said).contains("sixty"), "{}", told(&said));
}

#[test]
fn a_linter_finds_nothing_in_the_image() {
    let Some(hadolint) = tool("hadolint") else { return };
    let said = Command::new(hadolint).arg(file("container/Dockerfile")).output().unwrap();
    assert!(said.status.success(), "{}", told(&said));
    let stages: Vec<String> =
        text("container/Dockerfile").lines().filter(|line| line.starts_with("FROM ")).map(str::to_owned).collect();
    let rust = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let version = rust.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap().trim_matches('"');
    assert!(stages[0].starts_with(&format!("FROM rust:{version}-")), "{stages:?}");
    assert_eq!(stages[1], "FROM scratch");
}

/// What the image holds runs by itself, as its user, with nothing of this machine in sight.
#[test]
fn the_program_runs_as_nobody_among_the_files_of_the_image_alone() {
    let folder = tempfile::tempdir().unwrap();
    if fs::metadata(folder.path()).unwrap().uid() != 0 {
        return skip("a change of root needs root");
    }
    let root = folder.path().join("rootfs");
    let made = Command::new(file("container/rootfs")).arg(PROGRAM).arg(&root).output().unwrap();
    assert!(made.status.success(), "{}", told(&made));
    let inside = |arguments: &[&str]| {
        let user = ["--userspec=65532:65532", root.to_str().unwrap(), "/usr/bin/renkei"];
        Command::new("chroot").args(user).args(arguments).output().unwrap()
    };
    let version = inside(&["--version"]);
    assert!(told(&version).starts_with("renkei ") && version.status.success(), "{}", told(&version));
    // A workspace as it is mounted, and a state directory that belongs to the user.
    let made = Command::new(PROGRAM).args(["init", root.join("etc/renkei/new").to_str().unwrap()]).output().unwrap();
    assert!(made.status.success(), "{}", told(&made));
    let valid = inside(&["--dir", "/etc/renkei/new", "validate"]);
    assert_eq!(valid.status.code(), Some(0), "{}", told(&valid));
    let names: BTreeSet<String> =
        fs::read_dir(root.join("usr/bin")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names, BTreeSet::from(["renkei".to_owned()]), "no shell, no other program");
}

#[test]
fn compose_names_files_that_are_there_and_opens_ports_on_this_machine_only() {
    let compose: Value = serde_saphyr::from_str(&text("container/compose.yaml")).unwrap();
    let service = &compose["services"]["renkei"];
    let context = file("container").join(service["build"]["context"].as_str().unwrap());
    assert!(context.join(service["build"]["dockerfile"].as_str().unwrap()).exists());
    assert!(context.join("Cargo.toml").exists());
    let exposed = text("container/Dockerfile");
    let exposed = exposed.lines().find_map(|line| line.strip_prefix("EXPOSE ")).unwrap();
    for port in service["ports"].as_array().unwrap() {
        let parts: Vec<&str> = port.as_str().unwrap().split(':').collect();
        assert!(parts[0] == "127.0.0.1" && exposed.split(' ').any(|port| port == parts[2]), "{port}");
    }
    let mounts = service["volumes"].as_array().unwrap();
    assert!(mounts[0].as_str().unwrap().ends_with(":/etc/renkei:ro"));
    assert_eq!(mounts[1], "state:/var/lib/renkei");
    assert!(compose["volumes"].as_object().unwrap().contains_key("state"));
    assert_eq!((&service["read_only"], &service["cap_drop"][0]), (&true.into(), &"ALL".into()));
}

#[test]
fn kubernetes_knows_every_key_of_the_manifests() {
    let Some(validate) = tool("kubernetes-validate") else { return };
    let check = |path: &Path| Command::new(&validate).arg("--strict").arg(path).output().unwrap();
    let said = check(&file("kubernetes/renkei.yaml"));
    assert!(said.status.success() && told(&said).matches("passed").count() == 3, "{}", told(&said));
    let folder = tempfile::tempdir().unwrap();
    let wrong = folder.path().join("wrong.yaml");
    fs::write(&wrong, text("kubernetes/renkei.yaml").replace("replicas:", "replica:")).unwrap();
    assert!(!check(&wrong).status.success(), "a mistyped key would be noticed");
}

/// All names of metrics in a text.
fn metrics(text: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_lowercase() || c == '_';
    let names = text.split(|c: char| !word(c)).filter(|name| name.starts_with("renkei_"));
    let of_histogram = |name: &str| {
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        base.unwrap_or(name).to_owned()
    };
    names.map(of_histogram).collect()
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_that_exist() {
    // Another test holds this page against the metrics of a running service.
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md")).unwrap();
    let rows: String = page.lines().filter(|line| line.starts_with("| `renkei_")).collect();
    let known = metrics(&rows);
    assert!(known.len() > 20, "{known:?}");
    let rules: Value = serde_saphyr::from_str(&text("prometheus/alerts.yaml")).unwrap();
    let rules = rules["groups"][0]["rules"].as_array().unwrap().clone();
    for rule in &rules {
        let expression = rule["expr"].as_str().unwrap();
        let unknown: Vec<_> = metrics(expression).difference(&known).cloned().collect();
        assert!(unknown.is_empty(), "{}: {unknown:?}", rule["alert"]);
        for key in ["summary", "description"] {
            assert!(rule["annotations"][key].is_string(), "{} has no {key}", rule["alert"]);
        }
    }
    let dashboard: Value = serde_json::from_str(&text("grafana/renkei.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut squares = BTreeSet::new();
    for panel in panels {
        for target in panel["targets"].as_array().unwrap() {
            let asked = metrics(target["expr"].as_str().unwrap());
            let unknown: Vec<_> = asked.difference(&known).collect();
            assert!(unknown.is_empty() && !asked.is_empty(), "{}: {unknown:?}", panel["title"]);
        }
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
        for square in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(square.0 < 24 && squares.insert(square), "{} lies on another panel", panel["title"]);
        }
    }
}
