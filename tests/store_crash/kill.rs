//! Processes killed at random moments. The state directory is never opened by the test itself, only a copy of it, so
//! that each child inherits what the kill left.

use super::{
    child::{Part, Spoken, command},
    rounds,
    workload::{Expected, copy_dir, verify},
};

/// Lets a random moment pass without waiting for anything.
fn linger(rng: &mut fastrand::Rng, turns_max: u32) {
    for _ in 0..rng.u32(0..turns_max) {
        std::hint::spin_loop();
    }
}

#[test]
fn a_kill_while_writing_loses_no_acknowledged_commit_and_leaves_none_half_there() {
    let seed = u64::from(std::process::id());
    let mut rng = fastrand::Rng::with_seed(seed);
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("state");
    let mut expected = Expected::default();
    let mut acknowledged = 0;
    for round in 0..rounds(20, 300) {
        let mut child = Spoken::spawn(command(Part::Write, &dir));
        child.wait_for("open");
        for _ in 0..rng.usize(0..60) {
            child.wait_for("acked");
        }
        linger(&mut rng, 60_000);
        acknowledged = acknowledged.max(child.kill().0);
        let copy = root.path().join(format!("copy{round}"));
        copy_dir(&dir, &copy);
        verify(&copy, &mut expected, acknowledged, &format!("seed {seed}, round {round}"));
        std::fs::remove_dir_all(copy).unwrap();
    }
    assert!(acknowledged > 0);
}

#[test]
fn a_kill_while_opening_or_making_a_store_leaves_one_that_opens() {
    let seed = u64::from(std::process::id());
    let mut rng = fastrand::Rng::with_seed(seed);
    let root = tempfile::tempdir().unwrap();
    let mut expected = Expected::default();
    let (mut acknowledged, mut interrupted) = (0, 0);
    let mut dir = root.path().join("state");
    let all = rounds(40, 600);
    for round in 0..all {
        if round % 8 == 0 {
            acknowledged = 0;
            dir = root.path().join(format!("state{round}"));
        }
        let mut child = Spoken::spawn(command(Part::Write, &dir));
        child.wait_for("opening");
        linger(&mut rng, if round % 8 == 0 { 800_000 } else { 160_000 });
        let (acked, opened) = child.kill();
        acknowledged = acknowledged.max(acked);
        interrupted += usize::from(!opened);
        let copy = root.path().join(format!("copy{round}"));
        if dir.exists() {
            copy_dir(&dir, &copy);
        }
        verify(&copy, &mut expected, acknowledged, &format!("seed {seed}, round {round}"));
        std::fs::remove_dir_all(copy).unwrap();
    }
    assert!(interrupted * 5 > all, "only {interrupted} of {all} kills met a store while it was opened");
}
