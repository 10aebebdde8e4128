//! The history: what is kept, for how long, and in how little space.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};

use super::*;
use crate::{
    model::{Code, Counts, Fields, Key, Reason, Reject, Verdict},
    store::{Batch, Item, Memory, Run, Seal, SealKey, StateStore, Trace},
};

const RULE: HistoryRule = HistoryRule { keep: Duration::from_secs(86_400), bytes_max: 1_000_000 };

fn stream() -> StreamId {
    StreamId::new("leads", "customers")
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600 + second, 0).unwrap()
}

fn over(memory: &Memory) -> State {
    State::new(Arc::new(memory.clone()), Arc::new(Seal::plain())).with_history(RULE)
}

fn item(key: &str, fields: &str) -> Item {
    let fields = Fields::parse(fields.as_bytes()).unwrap();
    Item {
        generation: 3,
        sink_id: Some("lead_1".to_owned()),
        idempotency_key: format!("name of {key}"),
        ..Item::new(Key::new(key), fields)
    }
}

fn hop(item: &Item, verdict: Verdict) -> (KeyHash, Hop) {
    let fields = serde_json::from_str(item.fields.as_str()).unwrap();
    let name = item.idempotency_key.clone();
    (KeyHash::of(&item.key), Hop { fields: Some(fields), name, generation: item.generation, ..Hop::of(verdict) })
}

/// Settles a batch of created records under the run of this name.
async fn commit(state: &State, run: &str, now: DateTime<Utc>, items: Vec<Item>, batch: Batch) {
    commit_to(state, &stream(), run, now, items, batch).await;
}

async fn commit_to(state: &State, stream: &StreamId, run: &str, now: DateTime<Utc>, items: Vec<Item>, batch: Batch) {
    let hops = items.iter().map(|item| hop(item, Verdict::Created(None))).collect();
    let verdicts = vec![Verdict::Created(None); items.len()];
    let mut run = Run::begin(run, stream, now);
    let staged = state.stage(stream, Batch { items, ..batch }, now, &mut run).await.unwrap();
    let settled = staged.settle(verdicts).unwrap().with_history(hops, Passed::default());
    state.commit(stream, vec![settled], None, now + TimeDelta::seconds(1), &mut run).await.unwrap();
}

fn passes(why: &Why, keys: std::ops::Range<usize>) -> Batch {
    let mut passed = Passed::default();
    keys.clone().for_each(|key| passed.add(why, &Key::new(key.to_string())));
    let decided = Counts { unchanged: keys.len() as u64, ..Counts::default() };
    Batch { passed, decided, ..Batch::default() }
}

async fn trace(state: &State, key: &str) -> Trace {
    state.trace(&stream(), &Key::new(key)).await.unwrap()
}

/// What the rows of the history take, by their own account of the store.
async fn bytes(memory: &Memory) -> u64 {
    let rows = memory.scan(Tree::History, b"", None, usize::MAX).await.unwrap();
    rows.iter().map(|(key, value)| size(key, value)).sum()
}

fn noise(seed: u64, bytes: usize) -> String {
    let mut chance = fastrand::Rng::with_seed(seed);
    format!(r#"{{"noise":"{}"}}"#, (0..bytes).map(|_| chance.alphanumeric()).collect::<String>())
}

#[tokio::test]
async fn a_record_is_followed_through_its_batches_in_their_order() {
    let state = over(&Memory::new());
    let filtered = Why::Filtered("step 1 (filter): record.consent".into());
    let reject = Reject {
        key: Some(Key::new("7")),
        gone: false,
        fields: Fields::parse(b"{}").unwrap(),
        reason: Reason::new(Code::Evaluation, "no"),
        slip: None,
    };
    let read = Batch { read_at: Some(at(0)), ..Batch::default() };
    commit(&state, "run-1", at(1), vec![item("7", r#"{"id":7}"#), item("8", r#"{"id":8}"#)], read).await;
    commit(&state, "run-2", at(10), Vec::new(), passes(&Why::Unchanged, 5..9)).await;
    commit(&state, "run-3", at(20), Vec::new(), passes(&filtered, 7..8)).await;
    let letter =
        Batch { rejects: vec![reject], replayed: [(Key::new("7"), "letter".to_owned())].into(), ..Batch::default() };
    commit(&state, "run-4", at(30), Vec::new(), letter).await;

    let seven = trace(&state, "7").await;
    let (about, hop) = &seven.hops[0];
    assert_eq!(
        (&*about.run, about.read_at, about.staged_at, about.settled_at),
        ("run-1", Some(at(0)), Some(at(1)), at(2))
    );
    assert_eq!((hop.name.as_str(), hop.generation, &hop.verdict), ("name of 7", 3, &Verdict::Created(None)));
    assert_eq!(hop.fields.as_ref().unwrap().get(), r#"{"id":7}"#);
    let (about, hop) = &seven.hops[1];
    assert_eq!((&*about.run, hop.letter.as_deref()), ("run-4", Some("letter")));
    assert!(matches!(&hop.verdict, Verdict::Rejected(reason) if reason.code == Code::Evaluation));
    let passed: Vec<_> = seven.passes.iter().map(|pass| (&pass.why, &*pass.run, pass.settled_at)).collect();
    assert_eq!(passed, [(&Why::Unchanged, "run-2", at(11)), (&filtered, "run-3", at(21))]);
    assert_eq!((seven.hops_kept, seven.passes_kept), (3, 5));
    assert_eq!((seven.hops_since, seven.passes_since), (Some(at(2)), Some(at(11))));

    let stranger = trace(&state, "9").await;
    assert_eq!((stranger.hops.len(), stranger.passes.len(), stranger.hops_kept), (0, 0, 3));
    let nobody = state.trace(&StreamId::new("leads", "orders"), &Key::new("7")).await.unwrap();
    assert_eq!((nobody.hops_kept, nobody.hops_since), (0, None));
}

#[tokio::test]
async fn what_a_crash_leaves_staged_keeps_its_passes_and_the_run_that_read_it() {
    let memory = Memory::new();
    let mut run = Run::begin("run-1", &stream(), at(1));
    let batch = Batch { items: vec![item("7", "{}")], ..passes(&Why::Unchanged, 0..2) };
    over(&memory).stage(&stream(), batch, at(1), &mut run).await.unwrap();
    let state = over(&memory.reopen());
    let staged = state.outbox(&stream()).await.unwrap().pop().unwrap();
    assert_eq!((staged.read_by(), trace(&state, "1").await.passes.len()), (Some("run-1"), 0));
    let hops = vec![hop(&staged.items()[0], Verdict::Deleted)];
    let settled = staged.settle(vec![Verdict::Deleted]).unwrap().with_history(hops, Passed::default());
    let mut second = Run::begin("run-2", &stream(), at(2));
    state.commit(&stream(), vec![settled], None, at(3), &mut second).await.unwrap();
    let about = &trace(&state, "7").await.hops[0].0;
    assert_eq!((&*about.run, about.read_by.as_deref(), about.staged_at), ("run-2", Some("run-1"), Some(at(1))));
    assert_eq!(trace(&state, "1").await.passes[0].run, "run-2");
}

#[tokio::test]
async fn the_history_never_takes_more_than_its_space_and_passes_do_not_push_hops_out() {
    let memory = Memory::new();
    let state = over(&memory);
    commit(&state, "first", at(0), vec![item("the one", r#"{"id":1}"#)], Batch::default()).await;
    for round in 0..40 {
        commit(&state, "r", at(10 + round), Vec::new(), passes(&Why::Unchanged, 0..3_000)).await;
        assert!(bytes(&memory).await <= RULE.bytes_max);
    }
    let one = trace(&state, "the one").await;
    assert_eq!((one.hops.len(), one.hops_since), (1, Some(at(1))), "a hundred thousand hashes came after it");
    let since = one.passes_since.unwrap();
    let kept = trace(&state, "1").await.passes;
    assert!(kept.len() < 20 && kept.iter().all(|pass| pass.settled_at > since), "{since} {kept:?}");
    assert_eq!(kept.last().unwrap().settled_at, at(50), "the newest are the ones that stay");

    for round in 0..60 {
        let items = (0..20).map(|n| item(&format!("{round}-{n}"), &noise(round * 100 + n, 1_500))).collect();
        commit(&state, "w", at(100 + round as i64), items, Batch::default()).await;
        assert!(bytes(&memory).await <= RULE.bytes_max);
    }
    let gone = trace(&state, "the one").await;
    assert_eq!(gone.hops.len(), 0);
    assert!(gone.hops_since.unwrap() > at(100), "and the history says since when it is whole");
    assert_eq!(trace(&state, "59-19").await.hops.len(), 1);
    assert!(bytes(&memory).await > RULE.bytes_max / 2, "the space is used");
}

#[tokio::test]
async fn of_a_commit_that_is_larger_than_its_space_the_newest_records_stay() {
    let memory = Memory::new();
    let state = over(&memory);
    let items = (0..1_000).map(|n| item(&n.to_string(), &noise(n, 3_000))).collect();
    commit(&state, "r", at(0), items, Batch::default()).await;
    assert!(bytes(&memory).await <= RULE.bytes_max);
    let (first, last) = (trace(&state, "0").await, trace(&state, "999").await);
    assert_eq!((first.hops.len(), last.hops.len(), first.hops_since), (0, 1, Some(at(1))));
}

#[tokio::test]
async fn what_is_old_goes_after_a_run_in_bounded_commits_and_what_is_not_stays() {
    let memory = Memory::new();
    let state = over(&memory);
    let other = StreamId::new("gone", "customers");
    let live = StreamId::new("live", "customers");
    for second in 0..150 {
        commit(&state, "old", at(second), vec![item("7", "{}")], Batch::default()).await;
    }
    for stream in [&other, &live] {
        commit_to(&state, stream, "old", at(0), vec![item("7", "{}")], Batch::default()).await;
    }
    commit(&state, "new", at(86_400), vec![item("7", "{}")], Batch::default()).await;
    let before = memory.operations();
    let both = BTreeSet::from([stream(), live.clone()]);
    let gone = state.trim_history(&stream(), &both, at(86_400 + 100)).await.unwrap();
    assert_eq!(gone, 100, "99 of this stream, and the one of a pipeline that is gone");
    assert!(memory.operations() - before >= 3, "no commit takes more than 64 rows away");
    assert_eq!(trace(&state, "7").await.hops.len(), 52);
    assert!(state.trace(&other, &Key::new("7")).await.unwrap().hops.is_empty());
    assert_eq!(state.trace(&live, &Key::new("7")).await.unwrap().hops.len(), 1, "a run of its own sees to it");
    let before = memory.operations();
    assert_eq!(state.trim_history(&stream(), &both, at(86_400 + 100)).await.unwrap(), 0);
    assert_eq!(memory.operations(), before, "nothing is written where nothing goes");
}

#[tokio::test]
async fn a_history_that_is_switched_off_goes_and_nothing_is_added() {
    let memory = Memory::new();
    commit(&over(&memory), "r", at(0), vec![item("7", "{}")], passes(&Why::Unchanged, 0..5)).await;
    let off = State::new(Arc::new(memory.clone()), Arc::new(Seal::plain()));
    commit(&off, "r", at(9), vec![item("7", "{}")], Batch::default()).await;
    assert_eq!(trace(&off, "7").await.hops.len(), 1);
    assert_eq!(off.trim_history(&stream(), &BTreeSet::new(), at(10)).await.unwrap(), 2);
    assert_eq!((bytes(&memory).await, trace(&off, "7").await.hops_since), (0, None));
    // Switched on again, it begins anew.
    commit(&over(&memory), "r", at(20), vec![item("7", "{}")], Batch::default()).await;
    let again = trace(&over(&memory), "7").await;
    assert_eq!((again.hops.len(), again.hops_since), (1, Some(at(21))));
}

#[tokio::test]
async fn the_history_is_sealed_and_a_row_that_cannot_be_read_is_damage() {
    let memory = Memory::new();
    let key = SealKey::parse(&"ab".repeat(32)).unwrap();
    let state = State::new(Arc::new(memory.clone()), Arc::new(Seal::new(&key))).with_history(RULE);
    commit(&state, "r", at(0), vec![item("7", r#"{"secret":1}"#)], passes(&Why::Unchanged, 0..5)).await;
    let rows = memory.scan(Tree::History, b"", None, 9).await.unwrap();
    let hash = KeyHash::of(&Key::new("7")).0;
    assert!(rows.iter().all(|(_, value)| !value.windows(16).any(|part| part == hash)));
    assert_eq!(trace(&state, "7").await.hops.len(), 1);

    let plain = over(&memory);
    let (key, _) = &rows[0];
    for row in [vec![0, 0, 0, 9], [&FORMAT.to_be_bytes()[..], &[0, 0, 1, 0]].concat()] {
        let value = plain.seal.close(Tree::History, key, &row).unwrap();
        memory.commit(vec![Op::Put { tree: Tree::History, key: key.clone(), value }]).await.unwrap();
        let fault = plain.trace(&stream(), &Key::new("7")).await.unwrap_err();
        assert_eq!(fault.code, Code::StoreDamaged);
    }
}
