use chrono::TimeDelta;

use super::*;
use crate::store::{Memory, Run, Seal};

fn state() -> State {
    State::new(Arc::new(Memory::default()), Arc::new(Seal::plain()))
}

fn stream() -> StreamId {
    StreamId::new("orders", "in")
}

fn pushed(key: &str) -> Pushed {
    Pushed { key: Key::new(key), version: None, gone: false, fields: Fields::from_object("{}".into()) }
}

fn request(keys: &[&str]) -> Accepting {
    let records = keys.iter().map(|key| pushed(key)).collect();
    Accepting { stream: stream(), records, tag: 7, remember: None, origin: None }
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).unwrap()
}

/// Gives the waiting records after a number the verdict `created`, in one commit.
async fn deliver(state: &State, after: u64, now: DateTime<Utc>) {
    let waiting = state.read_waiting(&stream(), after, 100).await.unwrap();
    let item = |record: &Record| {
        let fields = record.fields.clone();
        crate::store::Item { slip: record.slip, ..crate::store::Item::new(record.key.clone(), fields) }
    };
    let items: Vec<_> = waiting.records.iter().map(item).collect();
    let verdicts = items.iter().map(|item| Verdict::Created(Some(format!("sink {}", item.key)))).collect();
    let mut run = Run::begin("r", &stream(), now);
    let cursor = i64::try_from(waiting.up_to).ok().map(crate::model::Cursor::Integer);
    let next = crate::model::Checkpoint { cursor, ..crate::model::Checkpoint::default() };
    let batch = Batch { items, next, ..Batch::default() };
    let staged = state.stage(&stream(), batch, now, &mut run).await.unwrap();
    let settled = staged.settle(verdicts).unwrap();
    state.commit(&stream(), vec![settled], None, now, &mut run).await.unwrap();
}

#[tokio::test]
async fn an_accepted_record_waits_until_the_commit_of_its_verdict_and_then_both_are_told() {
    let state = state();
    state.open_intake(&stream()).await.unwrap();
    let accepted = state.accept(vec![request(&["a", "b"]), request(&["c"])]).await.unwrap();
    let slips: Vec<u64> = accepted.iter().flatten().map(|accepted| accepted.slip.number()).collect();
    assert_eq!((slips, state.waiting(&stream())), (vec![1, 2, 3], 3));
    let waiting = state.read_waiting(&stream(), 1, 100).await.unwrap();
    assert_eq!((waiting.records.len(), waiting.up_to), (2, 3));
    let first = accepted[0][0].slip;
    assert_eq!(state.standing(&stream(), first).await.unwrap(), Some(Standing::Waits));
    deliver(&state, 0, at(5)).await;
    assert_eq!(state.waiting(&stream()), 0);
    assert!(state.read_waiting(&stream(), 0, 1).await.unwrap().records.is_empty());
    let told =
        Told { slip: first, verdict: Verdict::Created(Some("sink a".to_owned())), sink_id: Some("sink a".into()) };
    assert_eq!(state.standing(&stream(), first).await.unwrap(), Some(Standing::Ended(told.clone())));
    let heard = accepted.into_iter().flatten().next().unwrap().verdict.await.unwrap();
    assert_eq!(heard, told);
    let other = Slip::new(first.number(), 8);
    assert_eq!(state.standing(&stream(), other).await.unwrap(), None, "a slip of a store that went back");
}

#[tokio::test]
async fn numbers_go_on_after_a_restart_and_after_everything_was_swept() {
    let store = Arc::new(Memory::default());
    let open = || State::new(store.clone(), Arc::new(Seal::plain()));
    let before = open();
    before.open_intake(&stream()).await.unwrap();
    before.accept(vec![request(&["a", "b"])]).await.unwrap();
    let after = open();
    after.open_intake(&stream()).await.unwrap();
    assert_eq!(after.waiting(&stream()), 2);
    let accepted = after.accept(vec![request(&["c"])]).await.unwrap();
    assert_eq!(accepted[0][0].slip.number(), 3);
    deliver(&after, 0, at(100)).await;
    assert_eq!(after.sweep_intake(&stream(), at(200), 9).await.unwrap(), 3);
    let last = open();
    last.open_intake(&stream()).await.unwrap();
    assert_eq!(last.accept(vec![request(&["d"])]).await.unwrap()[0][0].slip.number(), 4, "the cursor is beyond it");
}

#[tokio::test]
async fn verdicts_go_by_age_and_number_and_what_waits_stays() {
    let state = state();
    state.open_intake(&stream()).await.unwrap();
    state.accept(vec![request(&["a", "b", "c"])]).await.unwrap();
    deliver(&state, 0, at(100)).await;
    state.accept(vec![request(&["d"])]).await.unwrap();
    assert_eq!(state.sweep_intake(&stream(), at(100), 1_000).await.unwrap(), 0);
    assert_eq!(state.sweep_intake(&stream(), at(100), 3).await.unwrap(), 1, "all but the newest three numbers");
    assert_eq!(state.sweep_intake(&stream(), at(100) + TimeDelta::seconds(1), 1_000).await.unwrap(), 2);
    assert_eq!(state.read_waiting(&stream(), 0, 9).await.unwrap().records.len(), 1);
}

#[tokio::test]
async fn what_was_accepted_is_there_after_a_power_cut_in_the_very_next_moment() {
    let disk = Memory::new();
    let open = |disk: Memory| State::new(Arc::new(disk), Arc::new(Seal::plain()));
    let before = open(disk.reopen());
    before.open_intake(&stream()).await.unwrap();
    let accepted = before.accept(vec![request(&["a"]), request(&["b"])]).await.unwrap();
    assert_eq!(accepted.len(), 2);
    let after = open(disk.reopen());
    let waiting = after.read_waiting(&stream(), 0, 9).await.unwrap();
    assert_eq!(waiting.records.len(), 2, "they were acknowledged and are gone");
}

#[tokio::test]
async fn a_record_keeps_the_span_of_its_request_until_its_verdict() {
    let state = state();
    state.open_intake(&stream()).await.unwrap();
    let origin = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned();
    let traced = Accepting { origin: Some(origin.clone()), ..request(&["b", "c"]) };
    let accepted = state.accept(vec![request(&["a"]), traced]).await.unwrap();
    let slips: Vec<Slip> = accepted.iter().flatten().map(|accepted| accepted.slip).collect();
    let stream = stream();
    let origins = || state.origins(&stream, slips.iter().copied());
    assert_eq!(origins().await.unwrap(), BTreeSet::from([origin]));
    deliver(&state, 0, at(1)).await;
    assert!(origins().await.unwrap().is_empty());
}

#[test]
fn a_row_of_before_there_were_spans_is_read_and_one_without_a_span_is_written_as_it_was() {
    let before = r#"{"waiting":{"tag":7,"key":"a","fields":{"id":1}}}"#;
    let row: Row = serde_json::from_str(before).unwrap();
    assert!(matches!(&row, Row::Waiting(RowPushed { tag: 7, origin: None, .. })));
    assert_eq!(serde_json::to_string(&row).unwrap(), before);
}
