//! split, dedupe, flatten, coerce, validate.

use renkei::{engine::Options, model::Code};
use serde_json::json;

use crate::rig::{Rig, ok};

const MAIN: &str = "  main: { get: /main, records: data, key: id }\n";

async fn over(records: &'static str, steps: &str) -> Rig {
    Rig::new(MAIN, steps, move |_| ok(format!(r#"{{"data":{records}}}"#))).await
}

const ORDERS: &str = r#"[
    {"id":1,"who":{"mail":"a@x"},"lines":[{"sku":"A","n":1},{"sku":"bad","n":2}]},
    {"id":2,"who":{},"lines":[]},
    {"id":3,"lines":[{"sku":"A","n":3}]},
    {"id":4,"lines":"none"}]"#;

#[tokio::test]
async fn each_part_of_a_record_that_is_split_has_a_key_and_a_verdict_of_its_own() {
    let steps = "steps:\n  - split: { list: lines, key: sku, keep: [who.mail], place: at }\n  - validate: { that: record.sku != \
                 'bad', message: not for sale }\n";
    let rig = over(ORDERS, steps).await;
    let counts = rig.run().await;
    assert_eq!((counts.read, counts.created, counts.rejected), (4, 2, 2));
    let first = json!({"sku":"A","n":1,"parent":{"id":1,"who":{"mail":"a@x"}},"at":1});
    assert_eq!(rig.written(), [first, json!({"sku":"A","n":3,"parent":{"id":3},"at":1})]);
    assert_eq!(
        rig.reasons().await,
        ["RK0520 the field lines is no list, so it holds no records", "RK0522 step 2 (validate): not for sale"]
    );
    let letters = rig.letters().await;
    let keys: Vec<Option<&str>> = letters.iter().map(|letter| letter.key.as_ref().map(|key| key.as_str())).collect();
    assert!(keys.contains(&Some(r#"[1,"bad"]"#)), "{keys:?}");
    // The letter is of the part alone, so its sisters are not sent again.
    rig.steps("steps:\n  - split: { list: lines, key: sku, keep: [who.mail], place: at }\n");
    let part = letters.into_iter().filter(|letter| letter.key.is_some()).collect();
    let (run, fault) = rig.engine().replay("p", part, false, &renkei::engine::Stopper::new().1).await.unwrap();
    assert_eq!((fault, run.counts.read, run.counts.created), (None, 1, 1));
    assert_eq!(rig.column("sku"), ["A", "A", "bad"]);
}

#[tokio::test]
async fn of_alike_records_one_goes_on_but_a_second_state_of_it_does_too() {
    let people = r#"[{"id":1,"mail":"a@x"},{"id":2,"mail":"A@x"},{"id":1,"mail":"a@x","v":2},{"id":3},{"id":4}]"#;
    let rig = over(people, "steps:\n  - dedupe: { by: record.mail | lower }\n").await;
    let counts = rig.run().await;
    assert_eq!((counts.read, counts.created, counts.skipped), (5, 4, 1));
    assert_eq!(rig.column("id"), [json!(1), json!(1), json!(3), json!(4)]);
    let last = over(people, "steps:\n  - dedupe: { by: record.mail | lower, keep: last, within: page }\n").await;
    assert_eq!(last.forecast().await.tally.skip, 1);
    last.run().await;
    assert_eq!(last.column("v"), [json!(null), json!(2), json!(null), json!(null)]);
}

#[tokio::test]
async fn more_values_than_may_be_remembered_stop_the_run_and_move_nothing() {
    let people = r#"[{"id":1,"mail":"a"},{"id":2,"mail":"b"},{"id":3,"mail":"c"}]"#;
    let rig = over(people, "steps:\n  - dedupe: { by: record.mail, max: 2 }\n").await;
    let (run, fault) = rig.run_with(Options::default()).await;
    assert_eq!((fault.unwrap().code, run.counts.read), (Code::DedupeFull, 0));
}

#[tokio::test]
async fn objects_are_flattened_and_values_get_their_types_or_reject_the_record_without_telling_them() {
    let people = r#"[{"id":"1","at":"31/01/2026","geo":{"lat":"1.50","p":{"q":"yes"}}},
        {"id":"2","ssn":"secret words"},{"id":"3","geo":{"lat":1},"geo_lat":2}]"#;
    let steps = "steps:\n  - flatten: {}\n  - coerce: { id: integer, at: { date_as: \"%d/%m/%Y\" }, geo_lat: number, geo_p_q: boolean, \
                 ssn: integer }\n  - validate:\n      - { that: record.id < 0, message: negative, otherwise: warn }\n      - { that: \
                 record.geo_lat is none, otherwise: skip }\n";
    let rig = over(people, steps).await;
    let counts = rig.run().await;
    assert_eq!((counts.read, counts.skipped, counts.rejected), (3, 1, 2));
    assert_eq!(
        rig.reasons().await,
        [
            "RK0520 step 1 (flatten): two fields would be called geo_lat",
            r#"RK0521 step 2 (coerce), field ssn: "***" is not a whole number"#
        ]
    );
    rig.steps(steps.split("  - validate").next().unwrap());
    rig.run_with(Options { full_refresh: true, ..Options::default() }).await;
    assert_eq!(rig.written(), [json!({"id":1,"at":"2026-01-31","geo_lat":1.5,"geo_p_q":true})]);
}
