//! The machine under a run: a disk that is full, folders that cannot be written, state of a newer version. Each is one clear
//! block with exit code 6, and once the cause is gone the next run leaves every record exactly once.

use std::{
    fs,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::PathBuf,
    process::Command,
};

use crate::{
    harness::Ran,
    vendor::{Desk, Vendor, answer},
};

const PEOPLE: usize = 4_000;

/// Four thousand people of about a kilobyte, in pages of two hundred.
fn many() -> Vendor {
    Vendor::new(|asked| {
        let page: usize = asked.line.split("token=").nth(1).map_or(0, |page| page.parse().unwrap());
        let people =
            (page * 200..(page + 1) * 200).map(|id| format!(r#"{{"id":{id},"text":"{}"}}"#, "x".repeat(1_000)));
        let people: Vec<String> = people.collect();
        let next = if (page + 1) * 200 < PEOPLE { format!(r#","next":"{}""#, page + 1) } else { String::new() };
        answer("200 OK", &format!(r#"{{"data":[{}]{next}}}"#, people.join(",")))
    })
}

fn expect(ran: &Ran, code: &str, words: &str, help: &str) {
    let about = ran.transcript();
    assert_eq!(ran.code, 6, "{about}");
    assert_eq!(ran.stderr.matches("error[").count(), 1, "{about}");
    let block = &ran.stderr[ran.stderr.find("error[").unwrap()..];
    assert!(block.starts_with(&format!("error[{code}]: ")) && block.contains(words), "{about}");
    let block = block.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(block.contains(help), "{about}");
}

/// Everybody is in the files, once and whole.
fn everybody_once(desk: &Desk) {
    let lines = desk.lines();
    let mut ids: Vec<u64> = lines
        .iter()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids.len(), PEOPLE);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), PEOPLE, "nobody stands there twice");
}

/// A run under a limit on the size of files, with its signal ignored: a write fails in the middle, as on a full disk.
fn run_with_files_up_to(desk: &Desk, kilobytes: u32) -> Ran {
    let inner = desk.command(&["run", "--log-level", "off"]);
    let mut shell = Command::new("bash");
    shell.args(["-c", &format!("trap '' XFSZ; ulimit -f {kilobytes}; exec \"$0\" \"$@\"")]);
    shell.arg(inner.get_program()).args(inner.get_args()).current_dir(desk.path());
    Ran::of(shell.output().unwrap())
}

#[test]
fn a_disk_that_is_full_while_files_are_written_loses_and_doubles_nothing() {
    let vendor = many();
    let desk = Desk::to_files(&vendor, "paged");
    let ran = run_with_files_up_to(&desk, 2_500);
    expect(&ran, "RK0505", "people.000000.jsonl", "Free space on the disk");
    let kept = desk.lines().len();
    assert!(kept < PEOPLE, "the disk was full before everybody was written");
    for line in desk.lines() {
        serde_json::from_str::<serde_json::Value>(&line).expect("no half line is left");
    }

    let run = desk.renkei(&["runs", "--output", "json"]).json()[0].clone();
    assert_eq!((&run["state"], &run["fault"]["code"]), (&"failed".into(), &"RK0505".into()));
    assert_eq!(run["counts"]["created"], kept, "what is in the files is what was counted");
    let again = desk.renkei(&["run", "--log-level", "off"]);
    assert_eq!(again.code, 0, "{}", again.transcript());
    everybody_once(&desk);
}

#[test]
fn a_disk_that_is_full_when_the_store_writes_loses_and_doubles_nothing() {
    let vendor = many();
    let desk = Desk::to_files(&vendor, "paged");
    // Small segments, so that the files of the output stay small and the store's own is the first to meet the limit.
    desk.edit("renkei.yaml", "path: out", "path: out, rotate: 1kB");
    let ran = run_with_files_up_to(&desk, 60);
    expect(&ran, "RK0505", "no space is left for the state directory", "Every acknowledged commit is safe");
    let again = desk.renkei(&["run", "--log-level", "off"]);
    assert_eq!(again.code, 0, "{}", again.transcript());
    everybody_once(&desk);
}

/// A workspace of somebody who is not the administrator, because for that one no folder is read-only. Where the tests run
/// as somebody else, it is theirs.
struct Nobody {
    desk: Desk,
    program: PathBuf,
    as_root: bool,
}

const NOBODY: u32 = 65_534;

impl Nobody {
    fn over(vendor: &Vendor) -> Self {
        let desk = Desk::to_files(vendor, "paged");
        let as_root = fs::metadata(desk.path()).unwrap().uid() == 0;
        // The binary may lie where others cannot go.
        let program = desk.path().join("program");
        fs::copy(desk.command(&[]).get_program(), &program).unwrap();
        fs::create_dir(desk.path().join("out")).unwrap();
        if as_root {
            let given = Command::new("chown").args(["-R", &NOBODY.to_string()]).arg(desk.path()).status().unwrap();
            assert!(given.success());
        }
        Self { desk, program, as_root }
    }

    fn renkei(&self, args: &[&str]) -> Ran {
        let mut command = Command::new(&self.program);
        command.args(args).current_dir(self.desk.path());
        if self.as_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        Ran::of(command.output().unwrap())
    }

    /// Takes away the right to write, for as long as `then` takes.
    fn without_writing(&self, folder: &str, then: impl FnOnce()) {
        let chmod = |mode: &str| {
            let changed = Command::new("chmod").args(["-R", mode, folder]).current_dir(self.desk.path()).status();
            assert!(changed.unwrap().success());
        };
        chmod("a-w");
        then();
        chmod("u+w");
    }
}

const RUN: [&str; 3] = ["run", "--log-level", "off"];

#[test]
fn an_output_folder_that_cannot_be_written_is_named_and_nothing_is_lost() {
    let vendor = many();
    let nobody = Nobody::over(&vendor);
    nobody.without_writing("out", || {
        expect(&nobody.renkei(&RUN), "RK0409", "Permission denied", "Give this user the right to write there");
    });
    let again = nobody.renkei(&RUN);
    assert_eq!(again.code, 0, "{}", again.transcript());
    everybody_once(&nobody.desk);
}

#[test]
fn a_state_directory_that_cannot_be_written_is_named_whether_it_is_new_or_not() {
    let vendor = many();
    let nobody = Nobody::over(&vendor);
    let help = "Give this user the right to write in";
    nobody.without_writing(".", || expect(&nobody.renkei(&RUN), "RK0506", "state cannot be written", help));
    assert_eq!(nobody.desk.lines(), Vec::<String>::new(), "nothing is written that the state cannot remember");

    let ran = nobody.renkei(&["run", "--limit", "1000", "--log-level", "off"]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    for args in [&RUN[..], &["status"]] {
        nobody.without_writing("state", || expect(&nobody.renkei(args), "RK0506", "state cannot be written", help));
    }
    let again = nobody.renkei(&RUN);
    assert_eq!(again.code, 0, "{}", again.transcript());
    everybody_once(&nobody.desk);
}

#[test]
fn state_of_a_newer_version_is_left_as_it_is() {
    let vendor = many();
    let desk = Desk::to_files(&vendor, "paged");
    desk.write("state/format", "renkei state, format 3\n");
    for args in [&["run"][..], &["status"]] {
        expect(&desk.renkei(args), "RK0504", "format 3", "Use the newer renkei that wrote it");
    }
    assert_eq!(fs::read_dir(desk.path().join("state")).unwrap().count(), 1, "nothing is written beside it");
    fs::remove_file(desk.path().join("state/format")).unwrap();
    let again = desk.renkei(&RUN);
    assert_eq!(again.code, 0, "{}", again.transcript());
    everybody_once(&desk);
}
