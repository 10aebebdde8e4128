//! Damaged files: a store refuses to open, reports when it reads, or was not harmed. It never panics and never returns
//! an earlier state in silence.

use std::{
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use renkei::{
    model::Code,
    store::{Error, RedbOptions, RedbStore, StateStore},
};

use super::{
    rounds,
    workload::{Expected, block_on, content, copy_dir, number, ops_of},
};

const COMMITS: u64 = 60;

/// A store with a known content, and room for damaged copies of it.
struct Site {
    root: tempfile::TempDir,
    expected: Expected,
}

impl Site {
    fn new() -> Self {
        let root = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let site = Self { root, expected: Expected::default() };
        // Opened anew half way, as a store is that lives longer than a process.
        commit_up_to(&site.sound(), COMMITS / 2);
        commit_up_to(&site.sound(), COMMITS);
        site
    }

    fn sound(&self) -> PathBuf {
        self.root.path().join("sound")
    }

    /// Opens a damaged copy and reads all of it. Nothing where the damage did no harm.
    fn outcome(&mut self, what: &str, damage: impl FnOnce(&Path)) -> Option<Error> {
        let dir = self.root.path().join("damaged");
        copy_dir(&self.sound(), &dir);
        damage(&dir);
        let outcome = read_all(&dir, RedbOptions::new(&dir));
        fs::remove_dir_all(&dir).unwrap();
        match outcome {
            Ok((n, found)) => {
                assert_eq!(n, COMMITS, "{what}: an earlier state came back in silence");
                assert!(found == *self.expected.at(n), "{what}: another content came back in silence");
                None
            }
            Err(error) => {
                // A digit of the marker can turn into a larger one.
                let codes = [Code::StoreDamaged, Code::StoreWentBack, Code::NewerFormat];
                assert!(codes.contains(&error.code()), "{what}: {error}");
                assert!(!error.to_string().contains("thread ended"), "{what}: a panic was not caught");
                Some(error)
            }
        }
    }

    fn refusal(&mut self, what: &str, damage: impl FnOnce(&Path)) -> Error {
        self.outcome(what, damage).unwrap_or_else(|| panic!("{what}: was not noticed"))
    }
}

fn commit_up_to(dir: &Path, last: u64) {
    let store = RedbStore::open(RedbOptions::new(dir)).unwrap();
    block_on(async {
        for n in number(&store).await.unwrap() + 1..=last {
            store.commit(ops_of(n)).await.unwrap();
        }
        store.close().await;
    });
}

fn read_all(dir: &Path, options: RedbOptions) -> Result<(u64, super::workload::Content), Error> {
    let store = RedbStore::open(options)?;
    block_on(async {
        let read = async { Ok((number(&store).await?, content(&store).await?)) }.await;
        store.close().await;
        if read.is_ok() {
            assert!(dir.join("HEAD").exists());
        }
        read
    })
}

fn flip(path: &Path, at: u64, bit: u8) {
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ (1 << bit)], at).unwrap();
}

/// The last byte of the file that is not zero, and one more.
fn used(path: &Path) -> u64 {
    let bytes = fs::read(path).unwrap();
    bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1
}

#[test]
fn a_flipped_bit_is_noticed_or_does_no_harm() {
    let seed = u64::from(std::process::id());
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut site = Site::new();
    let used = used(&site.sound().join("redb/db"));
    let mut noticed = 0;
    let all = rounds(150, 5_000);
    for round in 0..all {
        let (at, bit) = (rng.u64(0..used), rng.u8(0..8));
        let what = format!("seed {seed}, round {round}: bit {bit} of byte {at} of redb/db");
        noticed += usize::from(site.outcome(&what, |dir| flip(&dir.join("redb/db"), at, bit)).is_some());
    }
    assert!(noticed * 10 > all, "only {noticed} of {all} flipped bits did any harm, so the test looked at nothing");
}

#[test]
fn a_zeroed_block_or_a_cut_file_is_noticed_or_does_no_harm() {
    let mut site = Site::new();
    let used = used(&site.sound().join("redb/db"));
    let step = used / rounds(60, 400) as u64;
    for at in (0..used).step_by(step.max(1) as usize) {
        let block = at / 4096 * 4096;
        site.outcome(&format!("block at {block} zeroed"), |dir| {
            let file = fs::File::options().write(true).open(dir.join("redb/db")).unwrap();
            file.write_all_at(&[0; 4096], block).unwrap();
        });
        site.outcome(&format!("cut at {at}"), |dir| {
            fs::File::options().write(true).open(dir.join("redb/db")).unwrap().set_len(at).unwrap();
        });
    }
    site.refusal("half of the file cut off", |dir| {
        fs::File::options().write(true).open(dir.join("redb/db")).unwrap().set_len(used / 2).unwrap();
    });
}

#[test]
fn every_missing_file_is_noticed_or_does_no_harm() {
    let mut site = Site::new();
    for (name, says) in [("HEAD", "HEAD file is missing"), ("format", "format file is missing"), ("redb/db", "redb/db")]
    {
        let error = site.refusal(name, |dir| fs::remove_file(dir.join(name)).unwrap());
        assert_eq!(error.code(), Code::StoreDamaged, "{name}: {error}");
        assert!(error.to_string().contains(says), "{name}: {error}");
        assert!(error.fault().help.contains("Nothing was deleted"));
    }
    let error = site.refusal("format and HEAD", |dir| {
        fs::remove_file(dir.join("HEAD")).unwrap();
        fs::remove_file(dir.join("format")).unwrap();
    });
    assert_eq!(error.code(), Code::StoreDamaged, "{error}");
    let error = site.refusal("the whole database", |dir| fs::remove_dir_all(dir.join("redb")).unwrap());
    assert_eq!(error.code(), Code::StoreDamaged, "{error}");
    assert!(site.outcome("owner", |dir| fs::remove_file(dir.join("owner")).unwrap()).is_none());
}

#[test]
fn every_small_file_with_a_flipped_bit_is_noticed_or_does_no_harm() {
    let mut site = Site::new();
    for (name, len) in [("HEAD", 24), ("format", 22), ("redb/db", 320)] {
        for at in 0..len {
            site.outcome(&format!("byte {at} of {name}"), |dir| flip(&dir.join(name), at, 2));
        }
    }
    let error = site.refusal("both slots of HEAD", |dir| {
        flip(&dir.join("HEAD"), 9, 0);
        flip(&dir.join("HEAD"), 512 + 9, 0);
    });
    assert!(error.to_string().contains("HEAD"), "{error}");
}

#[test]
fn a_database_put_back_from_earlier_is_refused_until_a_person_accepts_it() {
    let root = tempfile::tempdir().unwrap();
    let (dir, earlier) = (root.path().join("state"), root.path().join("earlier"));
    commit_up_to(&dir, 5);
    copy_dir(&dir.join("redb"), &earlier);
    commit_up_to(&dir, 9);
    fs::remove_dir_all(dir.join("redb")).unwrap();
    copy_dir(&earlier, &dir.join("redb"));

    let error = read_all(&dir, RedbOptions::new(&dir)).unwrap_err();
    assert!(matches!(error, Error::WentBack { expected: 9, found: 5, .. }), "{error}");
    assert_eq!(error.code(), Code::StoreWentBack);
    assert!(error.fault().help.contains("--accept-older"));

    let (n, found) = read_all(&dir, RedbOptions { accept_older: true, ..RedbOptions::new(&dir) }).unwrap();
    assert_eq!(n, 5);
    assert!(found == *Expected::default().at(5));
    // Accepted once, it opens like any other, and the numbers of the lost commits are not given out again.
    let store = RedbStore::open(RedbOptions::new(&dir)).unwrap();
    assert_eq!(block_on(store.commit(ops_of(6))).unwrap(), 11);
}

#[test]
fn a_store_without_its_head_opens_when_a_person_accepts_what_it_holds() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("state");
    commit_up_to(&dir, 5);
    fs::remove_file(dir.join("HEAD")).unwrap();
    assert_eq!(read_all(&dir, RedbOptions::new(&dir)).unwrap_err().code(), Code::StoreDamaged);
    assert_eq!(read_all(&dir, RedbOptions { accept_older: true, ..RedbOptions::new(&dir) }).unwrap().0, 5);
    assert_eq!(read_all(&dir, RedbOptions::new(&dir)).unwrap().0, 5);
}
