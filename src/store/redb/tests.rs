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
