//! What needs no workspace: help, mistakes of the fingers, explanations, colours and closed pipes.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::Stdio,
};

use crate::harness::{program, renkei};

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_version_is_said_and_nothing_else() {
    let ran = renkei(here(), &["--version"]);
    assert_eq!(ran.transcript(), format!("exit 0\n--- stdout\nrenkei {}\n--- stderr\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_mistyped_command_is_a_usage_error_with_a_suggestion() {
    let ran = renkei(here(), &["valdate"]);
    insta::assert_snapshot!(ran.transcript(), @r"
    exit 2
    --- stdout
    --- stderr
    error: unrecognized subcommand 'valdate'

      tip: a similar subcommand exists: 'validate'

    Usage: renkei [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
}

#[test]
fn a_mistyped_flag_is_a_usage_error_with_a_suggestion() {
    let ran = renkei(here(), &["run", "--full-refersh", "customers"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("'--full-refresh'"), "{}", ran.stderr);
}

#[test]
fn a_code_is_explained_by_its_page_however_it_is_typed() {
    let ran = renkei(here(), &["explain", "RK0501"]);
    assert_eq!(ran.code, 0);
    assert!(ran.stdout.starts_with("RK0501: another process holds this state directory\n\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("\nWhat is safe\n") && !ran.stdout.contains('#'), "{}", ran.stdout);
    assert_eq!(renkei(here(), &["explain", "rk501"]).stdout, ran.stdout);
    assert_eq!(renkei(here(), &["--output", "json", "explain", "501"]).json()["code"], "RK0501");
}

#[test]
fn an_unknown_code_is_a_usage_error_with_a_suggestion() {
    let ran = renkei(here(), &["explain", "RK0108x"]);
    insta::assert_snapshot!(ran.transcript(), @r"
    exit 2
    --- stdout
    --- stderr
    error: there is no code `RK0108x`
      = help: did you mean `RK0108`? `renkei explain` lists all codes
    ");
    assert!(renkei(here(), &["explain", "banana"]).stderr.contains("a code looks like RK0103"));
}

#[test]
fn all_codes_are_listed() {
    let text = renkei(here(), &["explain"]);
    assert!(text.stdout.starts_with("RK0101  a configuration file cannot be read\n"), "{}", text.stdout);
    let all = renkei(here(), &["explain", "--output", "json"]).json();
    assert_eq!(all.as_array().unwrap().len(), text.stdout.lines().count());
}

#[test]
fn the_schemas_are_json_schemas_of_their_files() {
    for (kind, key) in [("workspace", "connections"), ("connector", "streams"), ("pipeline", "from")] {
        let schema = renkei(here(), &["schema", kind]).json();
        assert!(schema["properties"][key].is_object(), "{kind}");
        assert_eq!(schema["additionalProperties"], false, "{kind}");
    }
}

#[test]
fn completion_scripts_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let ran = renkei(here(), &["completion", shell]);
        assert_eq!(ran.code, 0);
        assert!(ran.stdout.contains("dead-letters"), "{shell}");
    }
    assert!(renkei(here(), &["completion", "bsh"]).stderr.contains("'bash'"));
}

#[test]
fn nothing_is_coloured_where_no_terminal_is() {
    for args in [vec!["explain"], vec!["nonsense"], vec!["-C", "/nowhere", "status"]] {
        let ran = renkei(here(), &args);
        assert!(!ran.transcript().contains('\x1b'), "{args:?}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = program(here()).arg("explain").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    // Reading one line and hanging up is what `head -1` does.
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert!(first.starts_with("RK0101"));
    assert_eq!((ended.status.code(), String::from_utf8(ended.stderr).unwrap()), (Some(0), String::new()));
}

#[test]
fn the_sandbox_serves_this_machine_only() {
    let ran = renkei(here(), &["sandbox", "--listen", "0.0.0.0:0"]);
    insta::assert_snapshot!(ran.transcript(), @r"
    exit 2
    --- stdout
    --- stderr
    error: the sandbox does not listen on 0.0.0.0
      = help: its secrets are public, so it serves this machine only: --listen 127.0.0.1:4010
    ");
}

/// What a command shows on a terminal: `script` gives it one.
fn on_a_terminal(args: &str, no_color: &str) -> String {
    let shown = std::process::Command::new("script")
        .args(["-qec", &format!("{} {args}", env!("CARGO_BIN_EXE_renkei")), "/dev/null"])
        .env("NO_COLOR", no_color)
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8_lossy(&shown.stdout).into_owned()
}

#[test]
fn a_terminal_gets_colours_unless_somebody_said_no() {
    for args in ["explain RK0501", "explain banana", "nonsense"] {
        assert!(on_a_terminal(args, "").contains('\x1b'), "{args}");
        assert!(!on_a_terminal(args, "1").contains('\x1b'), "{args}");
        assert!(!on_a_terminal(&format!("{args} --no-color"), "").contains('\x1b'), "{args}");
    }
}
