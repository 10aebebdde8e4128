//! The other process: this test binary, run again with one test and a part to play. It says on its standard output what
//! it is about to do and what was acknowledged; what it said before it died still arrives.

use std::{
    io::{BufRead, BufReader, Lines, Write},
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use futures_util::future::join_all;
use renkei::store::{RedbOptions, RedbStore, StateStore};

use super::{
    variable,
    workload::{block_on, number, ops_of},
};

const PART: &str = "RENKEI_TEST_PART";
const DIR: &str = "RENKEI_TEST_DIR";

/// What the child does.
#[derive(Clone, Copy)]
pub enum Part {
    /// Opens the store and commits until it is killed.
    Write,
    /// Opens, commits this many times and closes, in three rounds; then leaves commits under way and aborts.
    Rounds(u64),
    /// Opens the store with a budget that its file has used up, so that it is compacted, and commits as many times as it
    /// takes; then commits this many times with room enough. Three rounds.
    Tight(u64),
    /// Opens the store, says `held`, and waits for its standard input to end.
    Hold,
    /// Opens the store, commits this many times and says the error that it meets.
    Count(u64),
}

/// The command that plays a part, to be wrapped or spawned.
pub fn command(part: Part, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    dress(&mut command, part, dir);
    command
}

/// The same behind another program (`strace -o ...`), whose arguments are set already.
pub fn behind(mut wrapper: Command, part: Part, dir: &Path) -> Command {
    wrapper.arg(std::env::current_exe().unwrap());
    dress(&mut wrapper, part, dir);
    wrapper
}

fn dress(command: &mut Command, part: Part, dir: &Path) {
    let part = match part {
        Part::Write => "write 0".to_owned(),
        Part::Rounds(count) => format!("rounds {count}"),
        Part::Tight(count) => format!("tight {count}"),
        Part::Hold => "hold 0".to_owned(),
        Part::Count(count) => format!("count {count}"),
    };
    command.args(["--exact", "child::the_other_process", "--ignored", "--nocapture", "--test-threads=1"]);
    command.env(PART, part).env(DIR, dir).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
}

/// A running child and what it says.
pub struct Spoken {
    pub child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    pub acknowledged: u64,
}

impl Spoken {
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines, acknowledged: 0 }
    }

    /// The next word of the child: `opening`, `open`, `acked`, `error ..`. Nothing when it is gone.
    pub fn next(&mut self) -> Option<String> {
        loop {
            let line = self.lines.next()?.ok()?;
            if let Some(number) = line.strip_prefix("acked ") {
                self.acknowledged = number.parse().unwrap();
                return Some("acked".to_owned());
            }
            if ["opening", "open", "held"].contains(&line.as_str()) || line.starts_with("error ") {
                return Some(line);
            }
        }
    }

    pub fn wait_for(&mut self, word: &str) {
        while let Some(said) = self.next() {
            if said == word {
                return;
            }
        }
        panic!("the child ended without saying {word}: {}", self.stderr());
    }

    /// Kills the child and listens to what it said before. Returns whether it had opened its store.
    pub fn kill(mut self) -> (u64, bool) {
        self.child.kill().unwrap();
        let mut opened = self.acknowledged > 0;
        while let Some(word) = self.next() {
            opened |= word == "open" || word == "acked";
        }
        self.child.wait().unwrap();
        (self.acknowledged, opened)
    }

    pub fn stderr(&mut self) -> String {
        self.child.stderr.take().map(|stderr| std::io::read_to_string(stderr).unwrap()).unwrap_or_default()
    }
}

fn say(text: &str) {
    let line = format!("{text}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

#[test]
#[ignore = "only played by other tests"]
fn the_other_process() {
    let (Some(part), Some(dir)) = (variable(PART), variable(DIR)) else { return };
    let (part, count) = part.split_once(' ').unwrap();
    let (dir, count) = (Path::new(&dir), count.parse().unwrap());
    // The harness has begun a line of its own.
    say("");
    match part {
        "write" => write(&open(dir), 50_000),
        "rounds" => {
            for _ in 0..3 {
                let store = open(dir);
                write(&store, count);
                block_on(store.close());
            }
            let store = open(dir);
            let n = block_on(number(&store)).unwrap();
            drop(store.commit(ops_of(n + 1)));
            block_on(store.commit(ops_of(n + 2))).unwrap();
            say(&format!("acked {}", n + 2));
            drop(store.commit(ops_of(n + 3)));
            std::process::abort();
        }
        "tight" => {
            for _ in 0..3 {
                commit_in_tight_room(dir);
                let store = open(dir);
                write(&store, count);
                block_on(store.close());
            }
        }
        "hold" => {
            let store = open(dir);
            say("held");
            std::io::read_to_string(std::io::stdin()).unwrap();
            block_on(store.close());
        }
        _ => {
            let store = match RedbStore::open(RedbOptions::new(dir)) {
                Ok(store) => store,
                Err(error) => return say(&format!("error {}: {error}", error.code())),
            };
            say("open");
            let first = block_on(number(&store)).unwrap() + 1;
            for n in first..first.saturating_add(count) {
                match block_on(store.commit(ops_of(n))) {
                    Ok(_) => say(&format!("acked {n}")),
                    Err(error) => {
                        say(&format!("error {}: {error}", error.code()));
                        let read = block_on(number(&store));
                        let code = read.err().map_or("nothing".to_owned(), |error| error.code().to_string());
                        return say(&format!("error then {code}"));
                    }
                }
            }
        }
    }
}

fn open(dir: &Path) -> RedbStore {
    say("opening");
    let store = RedbStore::open(RedbOptions::new(dir)).unwrap();
    say("open");
    store
}

fn commit_in_tight_room(dir: &Path) {
    say("opening");
    let file = std::fs::metadata(dir.join("redb/db"));
    let disk_bytes_max = file.map_or(0, |file| file.blocks() * 512);
    let store = RedbStore::open(RedbOptions { disk_bytes_max, ..RedbOptions::new(dir) }).unwrap();
    say("open");
    block_on(async {
        let mut n = number(&store).await.unwrap() + 1;
        while store.commit(ops_of(n)).await.is_ok() {
            say(&format!("acked {n}"));
            n += 1;
        }
        store.close().await;
    });
}

/// Commits in groups of up to eight at a time, as many callers at once do.
fn write(store: &RedbStore, count: u64) {
    let mut rng = fastrand::Rng::with_seed(u64::from(std::process::id()));
    block_on(async {
        let mut n = number(store).await.unwrap();
        let last = n.saturating_add(count);
        while n < last {
            let group: Vec<u64> = (n + 1..=last.min(n + rng.u64(1..9))).collect();
            let answers = join_all(group.iter().map(|n| store.commit(ops_of(*n)))).await;
            for (expected, number) in group.iter().zip(answers) {
                assert_eq!(number.unwrap(), *expected);
                say(&format!("acked {expected}"));
            }
            n = *group.last().unwrap();
        }
    });
}
