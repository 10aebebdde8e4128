//! What the typed layer promises over any store: letters that are met again, formats of earlier versions, large resets.

use super::*;
use crate::{
    model::{Counts, Fields, Reason, Reject, Verdict},
    store::{Item, Memory, PowerLoss},
};

fn stream() -> StreamId {
    StreamId::new("leads", "customers")
}

fn over(memory: &Memory) -> State {
    State::new(Arc::new(memory.clone()), Arc::new(Seal::plain()))
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).unwrap()
}

fn run(id: &str) -> Run {
    Run::begin(id, &stream(), at(0))
}

fn refused(key: &str, fields: &str, code: Code, message: &str) -> Reject {
    Reject {
        gone: false,
        key: Some(Key::new(key)),
        fields: Fields::parse(fields.as_bytes()).unwrap(),
        reason: Reason::new(code, message),
        slip: None,
    }
}

/// Commits batches of refusals in one commit, as a run does, and returns the run's counts.
async fn commit(state: &State, id: &str, second: i64, batches: Vec<Vec<Reject>>) -> Counts {
    let mut run = run(id);
    let settled = batches.into_iter().map(|rejects| {
        let batch = Batch { rejects, ..Batch::default() };
        state.guard(&stream(), batch, at(second)).settle(Vec::new()).unwrap()
    });
    let settled = settled.collect();
    state.commit(&stream(), settled, None, at(second), &mut run).await.unwrap();
    run.counts
}

#[tokio::test]
async fn a_record_that_is_refused_again_is_one_letter_that_was_met_twice() {
    let state = over(&Memory::new());
    let bad = |message| refused("7", r#"{"id":7,"email":null}"#, Code::RecordRefused, message);
    let first = commit(&state, "run-1", 10, vec![vec![bad("no email")]]).await;
    let id = state.dead_letters(None).await.unwrap()[0].id.clone();
    let again = refused("7", r#"{ "email": null, "id": 7 }"#, Code::RecordRefused, "no email at all");
    let second = commit(&state, "run-2", 20, vec![vec![again]]).await;
    assert_eq!((first.rejected, second.rejected, second.read), (1, 1, 1), "each run counts what it refused");

    let letters = state.dead_letters(Some("leads")).await.unwrap();
    assert_eq!((letters.len(), state.dead_letter_count("leads").await.unwrap()), (1, 1));
    let letter = &letters[0];
    assert_eq!((&letter.id, letter.times, &*letter.run), (&id, 2, "run-2"));
    assert_eq!((letter.first_at, letter.at), (Some(at(10)), at(20)));
    assert_eq!(letter.reason.message, "no email at all", "the latest words count");
}

#[tokio::test]
async fn another_content_another_code_or_another_record_is_another_letter() {
    let state = over(&Memory::new());
    let one = || refused("7", r#"{"id":7}"#, Code::RecordRefused, "no");
    let others = vec![
        refused("7", r#"{"id":7,"name":"x"}"#, Code::RecordRefused, "no"),
        refused("7", r#"{"id":7}"#, Code::Evaluation, "no"),
        refused("8", r#"{"id":7}"#, Code::RecordRefused, "no"),
        Reject { key: None, ..one() },
    ];
    commit(&state, "run-1", 10, vec![vec![one()], others, vec![one()]]).await;
    let letters = state.dead_letters(None).await.unwrap();
    let mut times: Vec<u64> = letters.iter().map(|letter| letter.times).collect();
    times.sort_unstable();
    assert_eq!(times, [1, 1, 1, 1, 2], "also within one commit the same refusal is one letter");
}

#[tokio::test]
async fn letters_of_format_1_can_still_be_read() {
    let memory = Memory::new();
    let id = "019abcdef012-a1b2c3-4-0";
    let key = stream().key(id.as_bytes());
    let old = format!(
        r#"{{"id":"{id}","pipeline":"leads","stream":"customers","run":"r","at":"2026-01-02T03:04:05Z","parked":false,"key":"7","reason":{{"code":"RK0401","message":"no"}},"source":{{"id":7}}}}"#
    );
    let value = [&1u32.to_be_bytes()[..], old.as_bytes()].concat();
    let value = Seal::plain().close(Tree::DeadLetters, &key, &value).unwrap();
    memory.commit(vec![Op::Put { tree: Tree::DeadLetters, key: key.clone(), value }]).await.unwrap();
    let letters = over(&memory).dead_letters(None).await.unwrap();
    assert_eq!((&*letters[0].id, letters[0].times, letters[0].first_at), (id, 1, None));

    let newer = Seal::plain().close(Tree::DeadLetters, &key, &[0, 0, 0, 4, b'{', b'}']).unwrap();
    memory.commit(vec![Op::Put { tree: Tree::DeadLetters, key, value: newer }]).await.unwrap();
    assert_eq!(over(&memory).dead_letters(None).await.unwrap_err().code, Code::NewerFormat);
}

#[tokio::test]
async fn a_large_ledger_is_forgotten_in_bounded_commits_and_a_cut_leaves_nothing_that_cannot_be_done_again() {
    let memory = Memory::new();
    let link = Link { generation: 1, ..Link::default() }.encode(0);
    let keys: Vec<Key> = (0..2_500).map(|n| Key::new(n.to_string())).collect();
    let put = |key: &Key| Op::Put { tree: Tree::Links, key: stream().link_key(key), value: link.clone() };
    let mut ops: Vec<Op> = keys.iter().map(put).collect();
    let other = StreamId::new("orders", "customers").link_key(&keys[0]);
    ops.push(Op::Put { tree: Tree::Links, key: other.clone(), value: link.clone() });
    memory.commit(ops).await.unwrap();
    let left = async |memory: &Memory| {
        let links = over(memory).links(&stream(), &keys).await.unwrap();
        links.into_iter().flatten().count()
    };

    memory.lose_power_at(memory.operations() + 3, PowerLoss::After);
    assert!(over(&memory).reset(&stream(), true).await.is_err());
    let memory = memory.reopen();
    assert_eq!(left(&memory).await, 500, "the cursor goes first, then two bounded commits of links");
    assert_eq!(over(&memory).checkpoint(&stream()).await.unwrap(), Some(Checkpoint::default()));

    over(&memory).reset(&stream(), true).await.unwrap();
    assert_eq!(left(&memory).await, 0);
    assert!(memory.get(Tree::Links, &other).await.unwrap().is_some(), "another stream's links stay");
}

#[tokio::test]
async fn a_record_that_a_table_refuses_leaves_its_letter_and_the_others_are_counted() {
    let state = over(&Memory::new());
    // As a database's items are: nobody compares them, so they have no content.
    let item = |id: u32| {
        let fields = Fields::parse(format!(r#"{{"id":{id}}}"#).as_bytes()).unwrap();
        Item::new(Key::new(id.to_string()), fields)
    };
    let batch = Batch { items: (0..3).map(item).collect(), ..Batch::default() };
    let refused = Verdict::Rejected(Reason::new(Code::RecordRefused, "no"));
    let verdicts = vec![Verdict::Created(None), refused, Verdict::Unchanged];
    let settled = state.guard(&stream(), batch, at(1)).settle(verdicts).unwrap();
    let mut run = run("run");
    state.commit(&stream(), vec![settled], None, at(1), &mut run).await.unwrap();
    assert_eq!((run.counts.read, run.counts.created, run.counts.unchanged, run.counts.rejected), (3, 1, 1, 1));
    let letters = state.dead_letters(None).await.unwrap();
    let keys: Vec<_> = letters.iter().map(|letter| letter.key.as_ref().map(Key::as_str)).collect();
    assert_eq!(keys, [Some("1")]);
}
