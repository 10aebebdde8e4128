//! What a drill must not touch: real servers, the workspace's own store and files, and secrets.

use std::{fs, net::TcpListener, path::Path};

use super::harness::Ran;
use super::rig::{drill, is_good, program, renkei, workspace, write};

#[test]
fn no_real_server_is_asked_wherever_the_files_point() {
    let real = TcpListener::bind("127.0.0.1:0").unwrap();
    real.set_nonblocking(true).unwrap();
    let address = format!("http://{}", real.local_addr().unwrap());
    let folder = workspace();
    let connector = format!(
        "version: 1\ndescription: A real one\nbase_url: {address}/v1\nauth: {{ oauth2: {{ grant: {{ client_credentials: {{}} }}, \
         token_url: {address}/token }} }}\nstreams: {{ people: {{ get: /people, records: data, key: id, paginate: {{ \
         next_url: {{ next: next }} }} }} }}\n"
    );
    write(&folder, "connectors/real/connector.yaml", &connector);
    let workspace = fs::read_to_string(folder.path().join("renkei.yaml")).unwrap();
    let connection = "  real: { connector: real, egress: { private: true, hosts: [127.0.0.1] }, auth: { oauth2: { client_id: \
                      me, client_secret: \"${SECRET}\" } } }\n";
    write(&folder, "renkei.yaml", &workspace.replace("connections:\n", &format!("connections:\n{connection}")));
    let pipeline = "version: 1\ndescription: Real\nfrom: { connection: real, stream: people }\nto: { connection: files, file: real }\n";
    write(&folder, "pipelines/real.yaml", pipeline);
    // The user's own variables and proxy are at hand, and a drill must not want them.
    let mut command = program(folder.path());
    command.env("SECRET", "the-real-secret").env("http_proxy", &address).env("HTTP_PROXY", &address);
    command.args(["drill", "real", "--seed", "11", "--output", "json", "--scenario", "calm", "--scenario", "revoked"]);
    let ran = Ran::of(command.output().unwrap());
    is_good(folder.path(), "real", &ran);
    assert!(real.accept().is_err(), "somebody asked the real server");
}

#[test]
fn the_workspace_is_left_as_it_is_and_its_store_is_not_looked_at() {
    let folder = workspace();
    write(&folder, "state/renkei.redb", "no store at all");
    let before = listing(folder.path());
    is_good(folder.path(), "auth-bearer", &drill(folder.path(), "auth-bearer", &["--scenario", "calm"]));
    is_good(folder.path(), "write-put", &drill(folder.path(), "write-put", &["--scenario", "crash"]));
    assert_eq!(listing(folder.path()), before);
}

#[test]
fn a_drill_that_is_stopped_ends_with_the_code_of_the_signal() {
    let folder = workspace();
    let mut child = program(folder.path()).args(["drill", "auth-bearer", "--scenario", "storm"]).spawn().unwrap();
    let temporary = folder.path().join("tmp");
    // Its folder is there before its first run begins.
    while fs::read_dir(&temporary).unwrap().next().is_none() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it could be stopped");
        std::thread::yield_now();
    }
    let stopped = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(stopped.success());
    assert_eq!(child.wait().unwrap().code(), Some(143));
    let help = renkei(folder.path(), &["drill", "--help"]);
    assert!(help.stdout.contains("lost-answers") && !help.stdout.contains("--attempt"), "{}", help.stdout);
}

/// Every file of a folder with its length, but for the place for temporary files.
fn listing(folder: &Path) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(&at).unwrap().map(Result::unwrap) {
            let path = entry.path();
            match path.is_dir() {
                true if path.ends_with("tmp") => {}
                true => folders.push(path),
                false => found.push((path.display().to_string(), entry.metadata().unwrap().len())),
            }
        }
    }
    found.sort();
    found
}
