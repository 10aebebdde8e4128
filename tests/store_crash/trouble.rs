//! Other processes, full disks, disks that cannot be written, and state of a newer version.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::Command,
};

use renkei::{
    model::Code,
    store::{Error, Op, RedbOptions, RedbStore, StateStore, Tree},
};

use super::{
    child::{Part, Spoken, behind, command},
    skip,
    workload::{Expected, block_on, content, number, ops_of, verify},
};

fn refusal(dir: &Path) -> Error {
    RedbStore::open(RedbOptions::new(dir)).expect_err("the store must not open")
}

#[test]
fn a_second_process_is_told_who_holds_the_directory_and_exits_with_7() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("state");
    let mut child = Spoken::spawn(command(Part::Hold, &dir));
    child.wait_for("held");
    let error = refusal(&dir);
    assert!(matches!(&error, Error::Locked { pid: Some(pid), .. } if *pid == child.child.id()), "{error}");
    let fault = error.fault();
    assert_eq!((fault.code, fault.exit_code()), (Code::AlreadyRunning, 7));
    assert!(fault.message.contains(dir.to_str().unwrap()), "{}", fault.message);
    assert!(fault.help.contains(&format!("kill {}", child.child.id())), "{}", fault.help);

    drop(child.child.stdin.take());
    assert!(child.child.wait().unwrap().success());
    verify(&dir, &mut Expected::default(), 0, "after the holder is gone");
}

#[test]
fn a_killed_holder_leaves_no_lock_behind() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("state");
    let mut child = Spoken::spawn(command(Part::Hold, &dir));
    child.wait_for("held");
    child.kill();
    verify(&dir, &mut Expected::default(), 0, "after the holder was killed");
}

#[test]
fn state_of_a_newer_version_is_refused_untouched() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("state");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("format"), "renkei state, format 3\n").unwrap();
    let error = refusal(&dir);
    assert!(matches!(error, Error::NewerFormat { found: 3, known: 2, .. }), "{error}");
    assert_eq!(error.code(), Code::NewerFormat);
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "nothing may be written beside it");
}

#[test]
fn a_directory_that_cannot_be_written_is_told_from_a_damaged_one() {
    let root = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let dir = root.path().join("state");
    verify(&dir, &mut Expected::default(), 0, "new");
    let existing = outcome_without_rights(&dir);
    let new = outcome_without_rights(&root.path().join("new"));
    match (existing, new) {
        (Ok(existing), Ok(new)) => {
            assert!(existing.starts_with("error RK0506"), "{existing}");
            assert!(new.starts_with("error RK0506"), "{new}");
        }
        (Err(reason), _) | (_, Err(reason)) => skip(&reason),
    }
}

/// What a child says that may read but not write the directory. The administrator may write everywhere, so then the
/// child runs as another user, from a copy of this binary that this user may read.
fn outcome_without_rights(dir: &Path) -> Result<String, String> {
    let above = dir.parent().unwrap();
    let program = above.join("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    for path in [above, dir, &program] {
        if path.exists() {
            fs::set_permissions(path, fs::Permissions::from_mode(0o555)).unwrap();
        }
    }
    let as_root = fs::File::create(above.join("probe")).is_ok();
    let mut runner = Command::new("/usr/bin/env");
    runner.arg("--").current_dir("/");
    if as_root {
        runner.uid(65534).gid(65534);
    }
    let mut command = behind_program(runner, &program, dir);
    let output = command.output().map_err(|error| format!("another user cannot run here: {error}"))?;
    fs::set_permissions(above, fs::Permissions::from_mode(0o755)).unwrap();
    fs::remove_file(&program).unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = said.lines().find(|line| line.starts_with("error ") || *line == "open").map(str::to_owned);
    line.ok_or_else(|| format!("another user cannot run here: {}", String::from_utf8_lossy(&output.stderr)))
}

fn behind_program(mut runner: Command, program: &Path, dir: &Path) -> Command {
    runner.arg(program);
    let played = behind(Command::new("true"), Part::Count(1), dir);
    runner.args(played.get_args().skip(1));
    for (name, value) in played.get_envs() {
        if let Some(value) = value {
            runner.env(name, value);
        }
    }
    runner
}

#[test]
fn a_full_disk_ends_the_handle_and_keeps_every_acknowledged_commit() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("state");
    // A limit on the size of files, with its signal ignored, fails a write as a full disk does: in the middle of it.
    for blocks in [600, 1100, 2100] {
        let mut shell = Command::new("bash");
        shell.args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"")]);
        let mut child = Spoken::spawn(behind(shell, Part::Count(100_000), &dir));
        let mut errors = Vec::new();
        while let Some(said) = child.next() {
            errors.extend(said.strip_prefix("error ").map(str::to_owned));
        }
        let [error, then] = errors.as_slice() else { panic!("no full disk was met: {}", child.stderr()) };
        assert!(error.starts_with("RK0505"), "{error}");
        assert_eq!(then, "then RK0509", "a read after the failed write may not be answered");
        child.child.wait().unwrap();
        assert!(child.acknowledged > 0 || blocks < 1024);
        verify(&dir, &mut Expected::default(), child.acknowledged, &format!("file limit of {blocks} blocks"));
    }
}

#[test]
fn over_the_disk_budget_only_deletions_pass_and_the_handle_goes_on() {
    let root = tempfile::tempdir().unwrap();
    let options = RedbOptions { disk_bytes_max: 1 << 20, ..RedbOptions::new(root.path().join("state")) };
    let store = RedbStore::open(options.clone()).unwrap();
    block_on(async {
        let (last, error) = fill(&store, 0).await;
        assert!(matches!(error, Error::OverBudget { bytes_max, .. } if bytes_max == 1 << 20), "{error}");
        assert_eq!(error.code(), Code::DiskFull);
        assert!(content(&store).await.unwrap() == *Expected::default().at(last));
        let delete = vec![Op::Delete { tree: Tree::Links, key: b"none".to_vec() }];
        assert_eq!(store.commit(delete).await.unwrap(), last + 1);
        store.close().await;
        let larger = RedbStore::open(RedbOptions { disk_bytes_max: 1 << 30, ..options }).unwrap();
        assert_eq!(number(&larger).await.unwrap(), last);
        assert_eq!(larger.commit(ops_of(last + 1)).await.unwrap(), last + 2);
    });
}

/// Commits until one is refused. Returns the last one that was not, and why the next one was.
async fn fill(store: &RedbStore, mut last: u64) -> (u64, Error) {
    loop {
        match store.commit(ops_of(last + 1)).await {
            Ok(_) => last += 1,
            Err(error) => return (last, error),
        }
    }
}

#[test]
fn what_was_deleted_over_the_disk_budget_makes_room_for_what_comes() {
    let root = tempfile::tempdir().unwrap();
    let options = RedbOptions { disk_bytes_max: 1 << 20, ..RedbOptions::new(root.path().join("state")) };
    let store = RedbStore::open(options.clone()).unwrap();
    block_on(async {
        fill(&store, 0).await;
        for tree in Tree::ALL {
            let rows = store.scan(tree, b"", None, usize::MAX).await.unwrap();
            let ops = rows.into_iter().map(|(key, _)| Op::Delete { tree, key });
            store.commit(ops.collect()).await.unwrap();
        }
        let (last, _) = fill(&store, 0).await;
        assert!(last > 0 && content(&store).await.unwrap() == *Expected::default().at(last));
        store.close().await;
        let opened = RedbStore::open(options).unwrap();
        assert!(content(&opened).await.unwrap() == *Expected::default().at(last));
    });
}

#[test]
fn after_an_error_every_call_says_that_the_store_is_closed() {
    let root = tempfile::tempdir().unwrap();
    let store = RedbStore::open(RedbOptions::new(root.path().join("state"))).unwrap();
    block_on(async {
        store.commit(ops_of(1)).await.unwrap();
        store.close().await;
        assert!(matches!(store.commit(ops_of(2)).await, Err(Error::Closed { .. })));
        assert!(matches!(store.get(Tree::Meta, b"n").await, Err(Error::Closed { .. })));
        assert!(matches!(store.scan(Tree::Meta, b"", None, 1).await, Err(Error::Closed { .. })));
        assert!(matches!(store.get_many(Tree::Meta, vec![]).await, Err(Error::Closed { .. })));
        store.close().await;
    });
}
