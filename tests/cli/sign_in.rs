//! `renkei auth login` as a person meets it: the page on stderr, the browser that comes back or an address that is pasted on
//! stdin, and what is kept afterwards. No token and no code is ever shown.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Stdio},
};

use renkei::sandbox::{FaultPlan, WorldConfig};

use crate::harness::{Ran, Stage, fast};

fn world() -> WorldConfig {
    WorldConfig { public_client: true, device_polls: 1, ..fast(5) }
}

fn stage(grant: &str) -> Stage {
    let auth = format!("{{ oauth2: {{ grant: {grant}, token_url: /oauth/token, client_id: demo }} }}");
    Stage::products(world(), FaultPlan::none(), &auth, "{ oauth2: {} }")
}

const BROWSER: &str = "{ authorization_code: { authorize_url: /oauth/authorize } }";

/// Starts a login and waits until it says what to do.
fn begin(stage: &Stage, args: &[&str]) -> (Child, serde_json::Value, BufReader<std::process::ChildStderr>) {
    let mut command = stage.command(&[&["auth", "login", "shop"], args].concat());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    let prompt: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
    assert_eq!(prompt["event"], "sign_in", "{line}");
    (child, prompt, stderr)
}

fn end(child: Child, mut stderr: BufReader<std::process::ChildStderr>) -> Ran {
    let output = child.wait_with_output().unwrap();
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    Ran { code: output.status.code().unwrap(), stdout: String::from_utf8(output.stdout).unwrap(), stderr: rest }
}

fn get(url: &str) -> String {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, target) = rest.split_at(rest.find('/').unwrap());
    let mut socket = TcpStream::connect(host).unwrap();
    write!(socket, "GET {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").unwrap();
    let mut said = String::new();
    socket.read_to_string(&mut said).unwrap();
    said
}

/// Where the page of the vendor sends the browser back to.
fn back(prompt: &serde_json::Value) -> String {
    let said = get(prompt["url"].as_str().unwrap());
    said.lines().find_map(|line| line.strip_prefix("location: ")).unwrap_or_else(|| panic!("{said}")).to_owned()
}

fn nothing_secret(text: &str) {
    for secret in ["sbr_", "sbx_", "sbc_", "sbd_", "code_verifier"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[test]
fn a_browser_that_comes_back_signs_in_and_runs_go_on_from_there() {
    let stage = stage(BROWSER);
    let before = stage.renkei(&["run", "--log-level", "off"]);
    assert_eq!(before.code, 4);
    assert!(
        before.stderr.contains("RK0606") && before.stderr.contains("renkei auth login shop"),
        "{}",
        before.transcript()
    );
    let standing = |stage: &Stage| stage.renkei(&["auth", "status", "--output", "json"]).json()[0]["standing"].clone();
    assert_eq!(standing(&stage), "not_signed_in");

    let (child, prompt, stderr) = begin(&stage, &["--log-format", "json", "--log-level", "trace"]);
    assert!(prompt["listening"].is_string());
    assert!(get(&back(&prompt)).contains("go back to the terminal"));
    let ran = end(child, stderr);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "signed in to shop\n"), "{}", ran.transcript());
    nothing_secret(&ran.transcript());
    assert_eq!(standing(&stage), "signed_in");
    assert_eq!(stage.renkei(&["run", "--log-level", "off"]).code, 0);
}

#[test]
fn over_ssh_the_address_of_the_last_page_is_pasted() {
    let stage = stage(BROWSER);
    let (mut child, prompt, stderr) = begin(&stage, &["--log-format", "json", "--output", "json"]);
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "\n  {}  ", back(&prompt)).unwrap();
    let ran = end(child, stderr);
    assert_eq!((ran.code, &ran.json()["signed_in"]), (0, &true.into()), "{}", ran.transcript());

    let (mut child, prompt, stderr) = begin(&stage, &["--log-format", "json"]);
    let forged = back(&prompt).replace("state=", "state=x");
    writeln!(child.stdin.take().unwrap(), "{forged}").unwrap();
    let ran = end(child, stderr);
    assert_eq!(ran.code, 4);
    assert!(ran.stderr.contains("RK0609"), "{}", ran.transcript());
    nothing_secret(&ran.transcript());
    assert_eq!(stage.renkei(&["run", "--log-level", "off"]).code, 0, "what was kept before still holds");
}

#[test]
fn a_code_is_typed_on_another_device() {
    let stage = stage("{ device_code: { device_url: /oauth/device } }");
    let (child, prompt, stderr) = begin(&stage, &["--log-format", "json"]);
    assert_eq!(prompt["code"], "DEMO-0001");
    let ran = end(child, stderr);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "signed in to shop\n"), "{}", ran.transcript());
    assert_eq!(stage.renkei(&["run", "--log-level", "off"]).code, 0);
}

#[test]
fn people_read_what_to_do_in_a_sentence_and_are_told_where_no_person_is_needed() {
    let stage = stage(BROWSER);
    let mut command = stage.command(&["auth", "login", "shop", "--log-format", "text"]);
    let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut first = String::new();
    stderr.read_line(&mut first).unwrap();
    assert_eq!(first, "Open this page and sign in:\n");
    child.kill().unwrap();
    child.wait().unwrap();
    let auth = "{ oauth2: { grant: { client_credentials: {} }, token_url: /oauth/token } }";
    let account = "{ oauth2: { client_id: demo, client_secret: \"${RENKEI_SANDBOX}\" } }";
    let stage = Stage::products(world(), FaultPlan::none(), auth, account);
    let ran = stage.renkei(&["auth", "login", "shop"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("needs no person"), "{}", ran.transcript());
}
