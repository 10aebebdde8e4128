use std::time::Duration;

use http::{HeaderName, Method, StatusCode};

use super::*;
use crate::{
    config::plan::{AnswerShape, Compare, KeyFormat, RequestPlan, Revision, RevisionAt, WholeAnswer},
    expr::Template,
    model::Path,
};

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_000_000 + second, 0).unwrap()
}

const PATIENCE: i64 = 10;

fn request() -> RequestPlan {
    RequestPlan::new(Method::POST, "/x", Template::compile("/x").unwrap())
}

fn key() -> Repeat {
    Repeat::IdempotencyKey(KeyPlan {
        header: HeaderName::from_static("idempotency-key"),
        format: KeyFormat::Raw,
        retention: Duration::from_secs(100),
        mismatch: StatusCode::UNPROCESSABLE_ENTITY,
        in_flight: StatusCode::CONFLICT,
        done: None,
        replayed: None,
    })
}

fn upsert() -> Repeat {
    Repeat::Upsert { unique: "id".to_owned() }
}

fn look_up() -> Repeat {
    let (list, id) = (Path::whole(), Path::parse("id").unwrap());
    let (matched, update, lag) = (None, None, Duration::from_secs(30));
    Repeat::LookUp(LookUp { request: request(), list, id, matched, update, lag, compare: whole() })
}

fn whole() -> Compare {
    Compare { answer: Path::whole(), sent: Path::whole() }
}

fn revision() -> Repeat {
    Repeat::Revision(Revision {
        read: request(),
        at: RevisionAt::Body(Path::whole()),
        header: None,
        conflict: vec![StatusCode::CONFLICT],
        compare: whole(),
    })
}

fn operation(makes: Makes, repeat: Vec<Repeat>) -> Operation {
    Operation {
        name: "write".to_owned(),
        request: request(),
        makes,
        created: None,
        batch: None,
        repeat,
        answer: AnswerShape::Whole(WholeAnswer::default()),
        first_error: None,
        read: None,
        schema: None,
        sink_id: None,
    }
}

/// Never sent, or maybe sent between two seconds.
fn left(times: Option<(i64, i64)>) -> Left {
    times.map_or(Left::No, |(first, last)| Left::Maybe { first: at(first), last: at(last), same: true })
}

fn nothing(asked: i64) -> Option<Found> {
    Some(Found::Nothing { asked: at(asked) })
}

fn one() -> Option<Found> {
    Some(Found::One("7".to_owned()))
}

fn read(ours: bool) -> Option<Found> {
    Some(Found::Read { revision: "3".to_owned(), ours })
}

/// What a step is, without its words.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Step {
    Send,
    LookUp(i64),
    Read,
    Update,
    Created,
    Updated,
    Deleted,
    Rejected,
    Later,
    Parked(Code),
}

fn step(operation: &Operation, known: &Known, now: i64, updates: bool) -> Step {
    match next(operation, known, at(now), TimeDelta::seconds(PATIENCE), updates) {
        Next::Send => Step::Send,
        Next::LookUp { at: time } => Step::LookUp((time - at(0)).num_seconds()),
        Next::ReadAgain => Step::Read,
        Next::Later => Step::Later,
        Next::Update(_) => Step::Update,
        Next::Done(Verdict::Created(_)) => Step::Created,
        Next::Done(Verdict::Updated(_)) => Step::Updated,
        Next::Done(Verdict::Deleted) => Step::Deleted,
        Next::Done(Verdict::Rejected(_)) => Step::Rejected,
        Next::Done(Verdict::Parked(reason)) => Step::Parked(reason.code),
        Next::Done(other) => panic!("{other:?}"),
    }
}

#[test]
fn each_kind_decides_by_what_is_known() {
    let sent = Some((0, 50));
    let uncertain = Step::Parked(Code::Uncertain);
    let expired = Step::Parked(Code::KeyExpired);
    let ambiguous = || Some(Found::Several(2));
    for (kinds, left_at, found, now, expected) in [
        // A key is safe while the vendor surely knows it when the last attempt arrives.
        (vec![key()], None, None, 500, Step::Send),
        (vec![key()], sent, None, 89, Step::Send),
        (vec![key()], sent, None, 90, expired),
        (vec![key(), upsert()], sent, None, 90, Step::Send),
        (vec![key(), look_up()], sent, None, 89, Step::Send),
        (vec![key(), look_up()], sent, None, 90, Step::LookUp(80)),
        (vec![key(), look_up()], sent, nothing(90), 90, Step::Send),
        (vec![key(), look_up()], sent, one(), 90, Step::Created),
        // An upsert always is.
        (vec![upsert()], sent, None, 10_000, Step::Send),
        // A look-up asks first, and believes that there is nothing only when the search must know.
        (vec![look_up()], None, None, 7, Step::LookUp(7)),
        (vec![look_up()], None, nothing(7), 7, Step::Send),
        (vec![look_up()], sent, None, 60, Step::LookUp(80)),
        (vec![look_up()], sent, nothing(79), 79, Step::LookUp(80)),
        (vec![look_up()], sent, nothing(80), 80, Step::Send),
        (vec![look_up()], sent, one(), 60, Step::Created),
        (vec![look_up()], sent, ambiguous(), 60, Step::Parked(Code::AmbiguousLookUp)),
        (vec![look_up()], None, ambiguous(), 60, Step::Parked(Code::AmbiguousLookUp)),
        // Never sends once.
        (vec![Repeat::Never], None, None, 0, Step::Send),
        (vec![Repeat::Never], sent, None, 51, uncertain.clone()),
        (vec![Repeat::Never, look_up()], None, None, 0, Step::Send),
        (vec![Repeat::Never, look_up()], sent, None, 51, Step::LookUp(80)),
        (vec![Repeat::Never, look_up()], sent, nothing(80), 80, Step::Send),
        (vec![Repeat::Never, look_up()], sent, one(), 51, Step::Created),
    ] {
        let known = Known { found: found.clone(), ..Known::new(left(left_at)) };
        let operation = operation(Makes::Create, kinds);
        let about = format!("{:?} {left_at:?} {found:?} at {now}", operation.repeat);
        assert_eq!(step(&operation, &known, now, false), expected, "{about}");
    }
}

#[test]
fn a_record_that_is_found_is_updated_where_that_is_declared() {
    for (kinds, left_at) in [(vec![look_up()], None), (vec![Repeat::Never, look_up()], Some((0, 50)))] {
        let known = Known { found: one(), ..Known::new(left(left_at)) };
        assert_eq!(step(&operation(Makes::Create, kinds), &known, 60, true), Step::Update);
    }
}

#[test]
fn a_found_record_that_may_hold_another_state_is_not_taken_for_this_one() {
    let left = Left::Maybe { first: DateTime::<Utc>::MIN_UTC, last: at(50), same: false };
    let known = Known { found: one(), ..Known::new(left) };
    let never = operation(Makes::Create, vec![Repeat::Never, look_up()]);
    assert_eq!(step(&never, &known, 60, false), Step::Parked(Code::Uncertain));
    assert_eq!(step(&never, &known, 60, true), Step::Update);
    // The key of this state says nothing about the write of another one.
    let keyed = operation(Makes::Create, vec![key()]);
    assert_eq!(step(&keyed, &Known::new(left), 60, false), Step::Parked(Code::KeyExpired));
}

#[test]
fn a_revision_is_read_before_each_attempt() {
    let sent = Some((0, 50));
    for (makes, left_at, found, expected) in [
        (Makes::Update, None, None, Step::Read),
        (Makes::Update, None, read(false), Step::Send),
        (Makes::Update, None, read(true), Step::Updated),
        (Makes::Update, sent, read(true), Step::Updated),
        (Makes::Update, sent, read(false), Step::Send),
        (Makes::Update, None, Some(Found::Gone), Step::Rejected),
        (Makes::Delete, None, None, Step::Read),
        (Makes::Delete, None, read(true), Step::Send),
        (Makes::Delete, sent, Some(Found::Gone), Step::Deleted),
    ] {
        let known = Known { found: found.clone(), ..Known::new(left(left_at)) };
        let about = format!("{makes:?} {left_at:?} {found:?}");
        assert_eq!(step(&operation(makes, vec![revision()]), &known, 60, false), expected, "{about}");
    }
    let keyed = operation(Makes::Update, vec![key(), revision()]);
    assert_eq!(step(&keyed, &Known::new(left(sent)), 89, false), Step::Send);
    assert_eq!(step(&keyed, &Known::new(left(sent)), 90, false), Step::Read);
}

#[test]
fn no_record_goes_round_for_ever() {
    // What a look-up can still tell is left to the next run; what somebody else keeps changing is left to a person.
    for (makes, kind, last) in
        [(Makes::Update, revision(), Step::Parked(Code::RevisionMoved)), (Makes::Create, look_up(), Step::Later)]
    {
        let operation = operation(makes, vec![kind]);
        let mut known = Known::new(Left::No);
        for _ in 0..ROUNDS_MAX {
            assert!(matches!(step(&operation, &known, 60, false), Step::LookUp(_) | Step::Read));
            known.lost(at(60), at(60));
        }
        assert_eq!(step(&operation, &known, 60, false), last);
    }
}

#[test]
fn what_is_lost_widens_what_is_known() {
    let mut known = Known { found: one(), ..Known::new(Left::No) };
    known.lost(at(5), at(9));
    assert_eq!(known, Known { rounds: 1, ..Known::new(left(Some((5, 9)))) });
    known.lost(at(20), at(30));
    assert_eq!(known.left, left(Some((5, 30))));
    known.key_is_spent(at(40));
    assert_eq!(step(&operation(Makes::Create, vec![key()]), &known, 41, false), Step::Parked(Code::Uncertain));
}
