//! What every store must do, whatever it is made of. Each rule is one function, and each store runs them all.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures_util::future::join_all;

use super::{COMMIT_BYTES_MAX, Error, KEY_BYTES_MAX, Op, StateStore, Tree};

pub type Store = Arc<dyn StateStore>;

pub fn put(tree: Tree, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Op {
    Op::Put { tree, key: key.into(), value: value.into() }
}

pub fn delete(tree: Tree, key: impl Into<Vec<u8>>) -> Op {
    Op::Delete { tree, key: key.into() }
}

/// Runs every rule, each over an empty store that `open` makes.
pub async fn every_rule(mut open: impl FnMut() -> Store) {
    a_commit_is_read_back_from_every_tree(open()).await;
    the_last_change_of_a_key_wins(open()).await;
    commits_are_numbered_in_the_order_of_their_calls(open()).await;
    a_commit_goes_on_when_its_future_is_dropped(open()).await;
    what_nobody_waits_for_keeps_its_place_and_is_read_at_once(open()).await;
    several_keys_are_read_in_their_order(open()).await;
    a_scan_is_ordered_bounded_and_goes_on_after_a_key(open()).await;
    a_scan_stays_within_its_prefix_and_its_tree(open()).await;
    values_of_every_size_come_back_whole(open()).await;
    what_is_too_large_is_refused_and_the_store_goes_on(open()).await;
    no_reader_sees_half_a_commit(open()).await;
}

async fn a_commit_is_read_back_from_every_tree(store: Store) {
    let ops = Tree::ALL.map(|tree| put(tree, "key", tree.name()));
    store.commit(ops.to_vec()).await.unwrap();
    for tree in Tree::ALL {
        assert_eq!(store.get(tree, b"key").await.unwrap().unwrap(), tree.name().as_bytes());
        assert_eq!(store.get(tree, b"kez").await.unwrap(), None);
        assert_eq!(store.get(tree, b"").await.unwrap(), None);
    }
}

async fn the_last_change_of_a_key_wins(store: Store) {
    use Tree::{Links, Runs};
    store.commit(vec![put(Links, "a", "1"), put(Links, "b", "1"), put(Links, "c", "1")]).await.unwrap();
    let ops = vec![
        put(Links, "a", "2"),
        delete(Links, "a"),
        delete(Links, "b"),
        put(Links, "b", "3"),
        put(Links, "c", "2"),
        put(Links, "c", "3"),
        delete(Links, "never there"),
        put(Runs, "a", "of another tree"),
    ];
    store.commit(ops).await.unwrap();
    let entries = store.scan(Links, b"", None, 10).await.unwrap();
    assert_eq!(entries, [(b"b".to_vec(), b"3".to_vec()), (b"c".to_vec(), b"3".to_vec())]);
    assert_eq!(store.get(Runs, b"a").await.unwrap().unwrap(), b"of another tree");
}

async fn commits_are_numbered_in_the_order_of_their_calls(store: Store) {
    let calls: Vec<_> = (0..100).map(|n: u32| store.commit(vec![put(Tree::Meta, "last", n.to_string())])).collect();
    // Waited for backwards, which must not change what happened.
    let mut numbers = join_all(calls.into_iter().rev()).await;
    numbers.reverse();
    let numbers: Vec<u64> = numbers.into_iter().map(Result::unwrap).collect();
    assert_eq!(numbers, (1..=100).collect::<Vec<u64>>());
    assert_eq!(store.get(Tree::Meta, b"last").await.unwrap().unwrap(), b"99");
    assert_eq!(store.commit(Vec::new()).await.unwrap(), 101);
}

async fn a_commit_goes_on_when_its_future_is_dropped(store: Store) {
    drop(store.commit(vec![put(Tree::Meta, "dropped", "yes")]));
    assert_eq!(store.commit(Vec::new()).await.unwrap(), 2);
    assert_eq!(store.get(Tree::Meta, b"dropped").await.unwrap().unwrap(), b"yes");
}

async fn what_nobody_waits_for_keeps_its_place_and_is_read_at_once(store: Store) {
    let get = async |key: &str| store.get(Tree::Meta, key.as_bytes()).await.unwrap().map(|value| value[0]);
    store.commit_soon(vec![put(Tree::Meta, "a", [1]), put(Tree::Meta, "b", [1])]).unwrap();
    assert_eq!((get("a").await, get("b").await), (Some(1), Some(1)));
    store.commit_soon(vec![put(Tree::Meta, "a", [2]), put(Tree::Meta, "b", [2])]).unwrap();
    store.commit(vec![put(Tree::Meta, "a", [3])]).await.unwrap();
    store.commit_soon(vec![delete(Tree::Meta, "b")]).unwrap();
    store.commit_soon(vec![put(Tree::Meta, "c", [4])]).unwrap();
    let rows = store.scan(Tree::Meta, b"", None, 9).await.unwrap();
    assert_eq!(rows, [(b"a".to_vec(), vec![3]), (b"c".to_vec(), vec![4])]);
    let refused = store.commit_soon(vec![put(Tree::Meta, [b'k'; KEY_BYTES_MAX + 1], [0])]);
    assert!(matches!(refused, Err(Error::TooLarge { .. })));
}

async fn several_keys_are_read_in_their_order(store: Store) {
    store.commit(vec![put(Tree::Links, "a", "1"), put(Tree::Links, "b", "2")]).await.unwrap();
    let keys = ["b", "missing", "a", "b"].map(|key| key.as_bytes().to_vec());
    let found = store.get_many(Tree::Links, keys.to_vec()).await.unwrap();
    assert_eq!(found, [Some(b"2".to_vec()), None, Some(b"1".to_vec()), Some(b"2".to_vec())]);
    assert!(store.get_many(Tree::Links, Vec::new()).await.unwrap().is_empty());
}

async fn a_scan_is_ordered_bounded_and_goes_on_after_a_key(store: Store) {
    let ops = (0..100).rev().map(|n| put(Tree::Outbox, format!("p/{n:03}"), n.to_string())).collect();
    store.commit(ops).await.unwrap();
    let mut seen = Vec::new();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = store.scan(Tree::Outbox, b"p/", after.as_deref(), 7).await.unwrap();
        assert!(page.len() <= 7);
        let Some((key, _)) = page.last() else { break };
        after = Some(key.clone());
        seen.extend(page.into_iter().map(|(_, value)| String::from_utf8(value).unwrap()));
    }
    assert_eq!(seen, (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
    assert!(store.scan(Tree::Outbox, b"p/", None, 0).await.unwrap().is_empty());
}

async fn a_scan_stays_within_its_prefix_and_its_tree(store: Store) {
    let keys: [&[u8]; 6] = [b"a", b"p", b"p/1", b"p/\xff\xff", b"p0", b"\xff"];
    let ops = keys.iter().flat_map(|key| [put(Tree::Runs, *key, ""), put(Tree::Tokens, *key, "")]).collect();
    store.commit(ops).await.unwrap();
    let scan = async |prefix: &[u8], after: Option<&[u8]>| -> Vec<Vec<u8>> {
        store.scan(Tree::Runs, prefix, after, 100).await.unwrap().into_iter().map(|(key, _)| key).collect()
    };
    assert_eq!(scan(b"p/", None).await, [&b"p/1"[..], b"p/\xff\xff"]);
    assert_eq!(scan(b"p/", Some(b"a")).await, [&b"p/1"[..], b"p/\xff\xff"]);
    assert_eq!(scan(b"p/", Some(b"p/")).await, [&b"p/1"[..], b"p/\xff\xff"]);
    assert_eq!(scan(b"p/", Some(b"p/1")).await, [b"p/\xff\xff"]);
    assert!(scan(b"p/", Some(b"p0")).await.is_empty());
    assert_eq!(scan(b"\xff", None).await, [b"\xff"]);
    assert_eq!(scan(b"", None).await.len(), keys.len());
}

async fn values_of_every_size_come_back_whole(store: Store) {
    let sizes = [0usize, 1, 4000, 4081, 4082, 4083, 8164, 8165, 20_000, 200_000, 1_500_000];
    let value = |size: usize, salt: usize| (0..size).map(|at| (at * 7 + salt) as u8).collect::<Vec<u8>>();
    for salt in [1, 2] {
        let ops = sizes.iter().map(|size| put(Tree::Outbox, size.to_be_bytes(), value(*size, salt))).collect();
        store.commit(ops).await.unwrap();
        for size in sizes {
            assert!(
                store.get(Tree::Outbox, &size.to_be_bytes()).await.unwrap().unwrap() == value(size, salt),
                "{size}"
            );
        }
    }
    assert_eq!(store.scan(Tree::Outbox, b"", None, 100).await.unwrap().len(), sizes.len());
    store.commit(sizes.iter().map(|size| delete(Tree::Outbox, size.to_be_bytes())).collect()).await.unwrap();
    assert!(store.scan(Tree::Outbox, b"", None, 100).await.unwrap().is_empty());
}

async fn what_is_too_large_is_refused_and_the_store_goes_on(store: Store) {
    let long = vec![b'k'; KEY_BYTES_MAX + 1];
    let refused = store.commit(vec![put(Tree::Meta, "a", "1"), put(Tree::Meta, long.clone(), "1")]).await;
    assert!(matches!(refused, Err(Error::TooLarge { .. })));
    let refused = store.commit(vec![put(Tree::Meta, "a", vec![0; COMMIT_BYTES_MAX])]).await;
    assert!(matches!(refused, Err(Error::TooLarge { .. })));
    assert_eq!(store.get(Tree::Meta, b"a").await.unwrap(), None);
    assert_eq!(store.commit(vec![put(Tree::Meta, &long[1..], "1")]).await.unwrap(), 1);
    assert_eq!(store.get(Tree::Meta, &long[1..]).await.unwrap().unwrap(), b"1");
}

/// Every commit writes one number under many keys of two trees, large enough to be cut; every read of several keys
/// must find a single number.
async fn no_reader_sees_half_a_commit(store: Store) {
    let keys: Vec<Vec<u8>> = (0..40u8).map(|n| vec![n]).collect();
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (store, keys, done) = (Arc::clone(&store), keys.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                let mut reads = 0;
                while !done.load(Ordering::SeqCst) {
                    let found = store.get_many(Tree::Links, keys.clone()).await.unwrap();
                    assert!(found.windows(2).all(|pair| pair[0] == pair[1]), "half a commit was read");
                    let scanned = store.scan(Tree::Outbox, b"", None, 100).await.unwrap();
                    assert!(scanned.windows(2).all(|pair| pair[0].1 == pair[1].1), "half a commit was scanned");
                    reads += 1;
                    tokio::task::yield_now().await;
                }
                reads
            })
        })
        .collect();
    for number in 0..60u32 {
        let value = number.to_be_bytes().repeat(if number % 2 == 0 { 1 } else { 2000 });
        let ops = keys.iter().flat_map(|key| {
            [put(Tree::Links, key.clone(), value.clone()), put(Tree::Outbox, key.clone(), value.clone())]
        });
        store.commit(ops.collect()).await.unwrap();
        tokio::task::yield_now().await;
    }
    done.store(true, Ordering::SeqCst);
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
}
