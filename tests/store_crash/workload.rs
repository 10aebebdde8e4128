//! What the children write. Commit `n` is a pure function of `n`, so whoever knows how many commits a store holds knows
//! all of its content.

use std::{collections::BTreeMap, path::Path};

use renkei::store::{Op, RedbOptions, RedbStore, StateStore, Tree};

/// The key that holds the number of the last commit.
const NUMBER: &[u8] = b"n";

pub type Content = BTreeMap<(Tree, Vec<u8>), Vec<u8>>;

pub fn ops_of(n: u64) -> Vec<Op> {
    let mut rng = fastrand::Rng::with_seed(n);
    let mut ops = vec![Op::Put { tree: Tree::Meta, key: NUMBER.to_vec(), value: n.to_be_bytes().to_vec() }];
    for _ in 0..rng.usize(1..14) {
        let tree = Tree::ALL[rng.usize(0..Tree::ALL.len() - 1)];
        let key = rng.u64(0..60).to_be_bytes().to_vec();
        if rng.u8(0..10) < 3 {
            ops.push(Op::Delete { tree, key });
        } else {
            let len = match rng.u8(0..100) {
                0..2 => rng.usize(0..60_000),
                2..12 => rng.usize(0..9_000),
                _ => rng.usize(0..600),
            };
            let value = std::iter::repeat_with(|| rng.u8(..)).take(len).collect();
            ops.push(Op::Put { tree, key, value });
        }
    }
    ops
}

/// What a store holds after `n` commits.
#[derive(Default)]
pub struct Expected {
    n: u64,
    content: Content,
}

impl Expected {
    pub fn at(&mut self, n: u64) -> &Content {
        if n < self.n {
            *self = Self::default();
        }
        while self.n < n {
            self.n += 1;
            for op in ops_of(self.n) {
                match op {
                    Op::Put { tree, key, value } => self.content.insert((tree, key), value),
                    Op::Delete { tree, key } => self.content.remove(&(tree, key)),
                };
            }
        }
        &self.content
    }
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// How many commits a store holds.
pub async fn number(store: &RedbStore) -> Result<u64, renkei::store::Error> {
    let value = store.get(Tree::Meta, NUMBER).await?;
    Ok(value.map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().unwrap())))
}

/// All that a store holds.
pub async fn content(store: &RedbStore) -> Result<Content, renkei::store::Error> {
    let mut content = Content::new();
    for tree in Tree::ALL {
        for (key, value) in store.scan(tree, b"", None, usize::MAX).await? {
            content.insert((tree, key), value);
        }
    }
    Ok(content)
}

/// Opens a store, checks that it holds exactly the first commits, and at least the acknowledged ones. Returns how many.
pub fn verify(dir: &Path, expected: &mut Expected, acknowledged: u64, history: &str) -> u64 {
    let store = RedbStore::open(RedbOptions::new(dir)).unwrap_or_else(|error| panic!("{history}: {error}"));
    block_on(async {
        let n = number(&store).await.unwrap_or_else(|error| panic!("{history}: {error}"));
        assert!(n >= acknowledged, "{history}: commit {acknowledged} was acknowledged, the store holds {n}");
        let found = content(&store).await.unwrap_or_else(|error| panic!("{history}: {error}"));
        assert!(found == *expected.at(n), "{history}: the content is not that of {n} whole commits");
        let next = store.commit(ops_of(n + 1)).await.unwrap_or_else(|error| panic!("{history}: {error}"));
        assert_eq!(next, n + 1, "{history}: a commit number was given out twice or left out");
        store.close().await;
        n
    })
}

pub fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
