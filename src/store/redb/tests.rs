//! The store on disk under the contract, and the rules of its wrapper that need no crash to be seen.

use std::{path::Path, sync::Arc};

use super::*;
use crate::store::contract::{self, put};

fn open(dir: &Path) -> RedbStore {
    RedbStore::open(RedbOptions::new(dir)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_on_disk_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    let mut number = 0;
    contract::every_rule(|| {
        number += 1;
        Arc::new(open(&dir.path().join(number.to_string())))
    })
    .await;
}

#[tokio::test]
async fn a_store_opened_again_holds_what_was_committed_and_goes_on_counting() {
    let dir = tempfile::tempdir().unwrap();
    for round in 1..=20u64 {
        let store = open(dir.path());
        let number = store.commit(vec![put(Tree::Meta, round.to_be_bytes(), vec![7; 5000])]).await.unwrap();
        assert_eq!(number, round);
        store.close().await;
    }
    let store = open(dir.path());
    assert_eq!(store.scan(Tree::Meta, b"", None, 100).await.unwrap().len(), 20);
}

#[tokio::test]
async fn what_nobody_waits_for_becomes_durable_by_itself_and_when_the_store_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.commit_soon(vec![put(Tree::Meta, "first", [1])]).unwrap();
    while store.syncs() == 0 {
        std::thread::yield_now();
    }
    store.commit_soon(vec![put(Tree::Meta, "second", [2])]).unwrap();
    drop(store);
    let store = open(dir.path());
    store.commit_soon(vec![put(Tree::Meta, "third", [3])]).unwrap();
    store.close().await;
    assert!(matches!(store.commit_soon(vec![put(Tree::Meta, "fourth", [4])]), Err(Error::Closed { .. })));
    assert_eq!(open(dir.path()).scan(Tree::Meta, b"", None, 9).await.unwrap().len(), 3);
}
