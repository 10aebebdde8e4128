//! Power cut at every operation: a child's file calls are written down, and for every moment between two of them the
//! directory is rebuilt as a power cut would leave it, opened and compared.

use std::{collections::HashSet, fs, path::Path};

use super::{
    child::{Part, behind},
    disk::{Disk, Image, Survives, lay_out},
    rounds, skip,
    trace::{self, Call, Event},
    workload::{Expected, verify},
};

/// How often a moment is drawn with another part of the unsynced data surviving.
const DRAWS: u64 = 2;

#[test]
fn a_power_cut_at_any_operation_loses_no_acknowledged_commit_and_leaves_none_half_there() {
    if !trace::is_installed() {
        return skip("strace is not installed, so no file calls can be replayed");
    }
    let root = tempfile::tempdir().unwrap();
    let state = root.path().join("files").join("state");
    fs::create_dir(state.parent().unwrap()).unwrap();
    // What is rebuilt from the trace needs no disk below it, so it goes to memory where there is such a place.
    let scratch = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let mut replay = Replay::new(state.parent().unwrap(), scratch.path());
    // The second one is killed where its third group is written and not yet synced, so the third opens what a power cut
    // could still take back. The last one compacts the file.
    let commits = rounds(6, 60) as u64;
    let parts = [(Part::Rounds(commits), None), (Part::Rounds(commits), Some(6)), (Part::Rounds(commits), None)];
    for (process, (part, kill_at)) in parts.into_iter().chain([(Part::Tight(commits), None)]).enumerate() {
        let output = root.path().join(format!("trace{process}"));
        let ended = behind(trace::strace(&output, kill_at), part, &state).output().unwrap();
        let text = fs::read_to_string(&output).unwrap_or_default();
        if !text.contains("state/HEAD") {
            return skip(&format!("strace cannot trace here: {}", String::from_utf8_lossy(&ended.stderr)));
        }
        let events = trace::read(&text);
        assert!(process == 0 || syncs_before_it_writes(&events), "unsynced data of another process was built upon");
        replay.process(&events);
    }
    assert!(replay.disk.acknowledged > 0, "the children acknowledged nothing");
    assert!(replay.opened > 100, "only {} power cuts were looked at", replay.opened);
}

struct Replay {
    disk: Disk,
    scratch: std::path::PathBuf,
    expected: Expected,
    seen: HashSet<(u32, u64)>,
    opened: usize,
    seed: u64,
}

impl Replay {
    fn new(files: &Path, scratch: &Path) -> Self {
        Self {
            disk: Disk::new(files),
            scratch: scratch.join("cut"),
            expected: Expected::default(),
            seen: HashSet::new(),
            opened: 0,
            seed: 0,
        }
    }

    fn process(&mut self, events: &[Event]) {
        self.disk.next_process();
        for (index, event) in events.iter().enumerate() {
            if !self.disk.follow(index, event) {
                continue;
            }
            self.cut(Survives::Nothing, &format!("event {index}, nothing unsynced survives"));
            self.cut(Survives::Everything, &format!("event {index}, everything survives"));
            for _ in 0..DRAWS {
                self.seed += 1;
                let seed = self.seed;
                let rng = fastrand::Rng::with_seed(seed);
                self.cut(Survives::Some(rng), &format!("event {index}, survivors by seed {seed}"));
            }
        }
    }

    fn cut(&mut self, survives: Survives, history: &str) {
        let image = self.disk.image(survives);
        if !self.seen.insert((sum(&image), self.disk.acknowledged)) {
            return;
        }
        self.opened += 1;
        let head = image.get("state/HEAD").and_then(Option::as_deref).map_or(0, head_number);
        assert!(head >= self.disk.acknowledged, "{history}: HEAD would not notice that the newest commit is gone");
        fs::create_dir(&self.scratch).unwrap();
        lay_out(&image, &self.scratch);
        verify(&self.scratch.join("state"), &mut self.expected, self.disk.acknowledged, history);
        fs::remove_dir_all(&self.scratch).unwrap();
    }
}

/// Whether the first thing that happens to the database's files is a sync of its data.
fn syncs_before_it_writes(events: &[Event]) -> bool {
    let of_database = |path: &String| path.contains("/state/redb/");
    let first = events.iter().find_map(|event| match event {
        Event::Begin(call @ (Call::Sync { path } | Call::Write { path, .. })) if of_database(path) => Some(call),
        _ => None,
    });
    matches!(first, Some(Call::Sync { path }) if path.ends_with("/db"))
}

/// The larger number of the two slots of a HEAD file.
fn head_number(bytes: &[u8]) -> u64 {
    let slots = [0, 512].into_iter().filter_map(|at| bytes.get(at + 8..at + 16));
    slots.map(|number| u64::from_be_bytes(number.try_into().unwrap())).max().unwrap_or(0)
}

fn sum(image: &Image) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for (path, content) in image {
        hasher.update(path.as_bytes());
        hasher.update(content.as_deref().unwrap_or(b"directory"));
    }
    hasher.finalize()
}
