//! Steps and mappings as the engine meets them.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{
    config::plan::StepPlan,
    expr::Expression,
    model::{Code, Fields, Key, Overlap, Path, Record},
};

fn record(text: &str) -> Record {
    let fields = Fields::from_object(Bytes::copy_from_slice(text.as_bytes()));
    Record { key: Key::new("k"), version: None, overlap: Overlap::default(), gone: false, fields, slip: None }
}

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

fn expression(text: &str) -> Expression {
    Expression::compile(text).unwrap()
}

fn set(fields: &[(&str, &str)]) -> StepPlan {
    StepPlan::Set(fields.iter().map(|(to, value)| (path(to), expression(value))).collect())
}

fn rename(pairs: &[(&str, &str)]) -> StepPlan {
    StepPlan::Rename(pairs.iter().map(|(from, to)| (path(from), path(to))).collect())
}

fn drop_all(paths: &[&str]) -> StepPlan {
    StepPlan::Drop(paths.iter().map(|text| path(text)).collect())
}

fn keep(paths: &[&str]) -> StepPlan {
    StepPlan::Keep(paths.iter().map(|text| path(text)).collect())
}

fn kept(steps: &[StepPlan], text: &str) -> String {
    match Transform::new(steps).apply(record(text)) {
        Outcome::Kept(record) => record.fields.as_str().to_owned(),
        other => panic!("not kept: {other:?}"),
    }
}

#[test]
fn a_record_that_no_step_changes_stays_the_very_slice_of_the_page() {
    let before = record(r#"{ "a" : 1.50, "b":[ 1 ] ,"c":{"d":null} }"#);
    let steps = [
        drop_all(&["gone", "c.gone", "b[7]", "a.deep"]),
        rename(&[("gone", "new"), ("a", "a"), ("c.gone", "e")]),
        keep(&["a", "b", "c.d"]),
        set(&[("a", "record.a"), ("new", "record.gone"), ("c", "record.c")]),
        StepPlan::Filter(expression("record.a == 1.5")),
    ];
    let Outcome::Kept(after) = Transform::new(&steps).apply(before.clone()) else { panic!() };
    assert_eq!(after.fields.as_bytes().as_ptr(), before.fields.as_bytes().as_ptr());
}

#[test]
fn untouched_fields_keep_their_bytes_and_their_places() {
    let text = r#"{"a": 1.500, "b": [ 1,2 ], "na\u00efve": "x\u00e9", "c":0}"#;
    assert_eq!(kept(&[set(&[("c", "record.c + 1")])], text), r#"{"a":1.500,"b":[ 1,2 ],"naïve":"x\u00e9","c":1}"#);
    assert_eq!(kept(&[rename(&[("b", "z")])], text), r#"{"a":1.500,"z":[ 1,2 ],"naïve":"x\u00e9","c":0}"#);
    assert_eq!(kept(&[drop_all(&["a", "naïve"])], text), r#"{"b":[ 1,2 ],"c":0}"#);
    assert_eq!(kept(&[keep(&["c", "a"])], text), r#"{"a":1.500,"c":0}"#);
}

#[test]
fn a_later_set_sees_an_earlier_one_and_later_steps_see_both() {
    let steps = [
        set(&[("n", "record.n * 2"), ("m", "record.n + 1"), ("all", "record | keys")]),
        StepPlan::Filter(expression("record.m == 7")),
        set(&[("m", "none"), ("gone", "record.gone")]),
    ];
    assert_eq!(kept(&steps, r#"{"n":3}"#), r#"{"n":6,"m":null,"all":["n","m"]}"#);
    assert!(matches!(Transform::new(&steps).apply(record(r#"{"n":4}"#)), Outcome::Skipped(_)));
}

#[test]
fn paths_reach_inside_and_rewrite_only_what_stands_on_them() {
    let text =
        r#"{"address":{"city":"London", "geo":{"lat":51.50}},"lines":[{"sku":"A","n":1}, {"sku":"B"}],"none":null}"#;
    assert_eq!(
        kept(&[set(&[("address.geo.lon", "0"), ("none.new.deep", "'x'"), ("lines[1].sku", "'C'")])], text),
        r#"{"address":{"city":"London","geo":{"lat":51.50,"lon":0}},"lines":[{"sku":"A","n":1},{"sku":"C"}],"none":{"new":{"deep":"x"}}}"#
    );
    assert_eq!(
        kept(&[drop_all(&["address.geo", "lines[0]", "lines[1].sku"])], text),
        r#"{"address":{"city":"London"},"lines":[{}],"none":null}"#
    );
    assert_eq!(
        kept(&[keep(&["address.geo.lat", "lines[0].sku", "gone.deep"])], text),
        r#"{"address":{"geo":{"lat":51.50}},"lines":[{"sku":"A"}]}"#
    );
    assert_eq!(
        kept(&[rename(&[("address.city", "city"), ("none", "address.none")])], text),
        r#"{"address":{"geo":{"lat":51.50},"none":null},"lines":[{"sku":"A","n":1}, {"sku":"B"}],"city":"London"}"#
    );
}

#[test]
fn names_can_be_swapped_and_a_renamed_field_replaces_one() {
    assert_eq!(kept(&[rename(&[("a", "b"), ("b", "a")])], r#"{"a":1,"b":2}"#), r#"{"b":1,"a":2}"#);
    assert_eq!(kept(&[rename(&[("a", "b")])], r#"{"b":2,"x":0,"a":1}"#), r#"{"x":0,"b":1}"#);
}

#[test]
fn of_a_name_that_stands_twice_the_last_value_counts() {
    let text = r#"{"a":1,"b":0,"a":2}"#;
    assert_eq!(kept(&[set(&[("b", "record.a")])], text), r#"{"a":1,"b":2,"a":2}"#);
    assert_eq!(kept(&[set(&[("a", "record.a + 1")])], text), r#"{"a":3,"b":0}"#);
    assert_eq!(kept(&[drop_all(&["a"])], text), r#"{"b":0}"#);
    assert_eq!(kept(&[rename(&[("a", "c")])], text), r#"{"c":2,"b":0}"#);
}

#[test]
fn a_failing_step_rejects_the_record_as_it_was_read_and_names_the_place_but_no_value() {
    let text = r#"{"secret":"hunter2","n":1}"#;
    for (step, place) in [
        (set(&[("n", "9"), ("total", "record.secret * 2")]), "step 2 (set), field total: `record.secret * 2`:"),
        (set(&[("n", "9"), ("secret.x", "1")]), "step 2 (set), field secret.x: `secret` is no object"),
        (StepPlan::Filter(expression("record.secret")), "step 2 (filter): `record.secret`:"),
        (rename(&[("n", "secret.n")]), "step 2 (rename): `secret` is no object"),
    ] {
        let steps = [set(&[("n", "record.n + 1")]), step];
        let Outcome::Rejected(reject) = Transform::new(&steps).apply(record(text)) else { panic!("{place}") };
        assert_eq!(reject.reason.code, Code::Evaluation);
        assert!(reject.reason.message.starts_with(place), "{}", reject.reason.message);
        assert!(!reject.reason.message.contains("hunter2"));
        assert_eq!(reject.fields.as_str(), text);
        assert_eq!(reject.key.unwrap().as_str(), "k");
    }
}

#[test]
fn a_mapping_makes_its_fields_in_order_and_leaves_out_what_is_absent() {
    let fields = [
        ("email".to_owned(), expression("record.email | lower")),
        ("price".to_owned(), expression("record.price")),
        ("gone".to_owned(), expression("record.gone")),
        ("phone \"x\"".to_owned(), expression("record.phone")),
        ("low".to_owned(), expression("record.low | lower")),
    ];
    let record = record(r#"{"phone":null,"price":1.10,"email":"A@B"}"#);
    let mapped = Mapping::new(Some(&fields)).apply(record.fields.clone()).unwrap();
    assert_eq!(mapped.as_str(), r#"{"email":"a@b","price":1.10,"phone \"x\"":null}"#);
    assert_eq!(
        Mapping::new(None).apply(record.fields.clone()).unwrap().as_bytes().as_ptr(),
        record.fields.as_bytes().as_ptr()
    );
    let bad = [("n".to_owned(), expression("record.price / 0"))];
    let reason = Mapping::new(Some(&bad)).apply(record.fields.clone()).unwrap_err();
    assert!(reason.message.starts_with("field n: `record.price / 0`:"), "{}", reason.message);
}

#[test]
fn depth_does_not_matter() {
    for depth in [200, 100_000] {
        let text = format!(r#"{{"a":{}1{},"b":1}}"#, r#"{"x":["#.repeat(depth), "]}".repeat(depth));
        let steps = [
            set(&[("b", "2"), ("a.y", "record.a.x[0]")]),
            drop_all(&["a.x"]),
            keep(&["a", "c"]),
            rename(&[("a", "c")]),
        ];
        let after = kept(&steps, &text);
        assert!(after.starts_with(r#"{"c":{"y":{"x":["#), "{}", &after[..20]);
        assert_eq!(after.len(), text.len() - r#"[],"b":1"#.len());
    }
}

/// Reads the steps in the YAML example of `docs/expressions.md`. It has one line per step or field, so no parser is needed.
fn steps_of_the_page() -> Vec<StepPlan> {
    let page = include_str!("../../docs/expressions.md");
    let example = page.split("```yaml\nsteps:\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let mut steps: Vec<StepPlan> = Vec::new();
    for line in example.lines() {
        let (name, value) = line.trim().trim_start_matches("- ").split_once(':').unwrap();
        let value = value.trim().trim_matches('\'');
        let words: Vec<&str> = value.trim_matches(['[', ']', '{', '}', ' ']).split([',', ':']).map(str::trim).collect();
        match (name, steps.last_mut()) {
            ("filter", _) => steps.push(StepPlan::Filter(expression(value))),
            ("rename", _) => steps.push(rename(&[(words[0], words[1])])),
            ("drop", _) => steps.push(drop_all(&words)),
            ("keep", _) => steps.push(keep(&words)),
            ("set", _) => steps.push(set(&[])),
            (field, Some(StepPlan::Set(fields))) => fields.push((path(field), expression(value))),
            other => panic!("{other:?}"),
        }
    }
    steps
}

#[test]
fn the_steps_of_the_page_do_what_the_page_says() {
    let steps = steps_of_the_page();
    assert_eq!(steps.len(), 5);
    let small =
        r#"{"id":1,"given":"Ada","email":" A@B ","status":"active","employees":5,"segment":"s","address":{"geo":1}}"#;
    assert_eq!(kept(&steps, small), r#"{"id":1,"firstname":"Ada","email":"a@b","address":{"country":"JP"}}"#);
    let until_set = |text: &str| kept(&steps[..3], text);
    assert!(until_set(small).contains(r#""segment":"s""#));
    assert!(until_set(&small.replace(":5", ":500")).contains(r#""segment":"big""#));
    let closed = Transform::new(&steps).apply(record(&small.replace("active", "closed")));
    assert!(matches!(closed, Outcome::Skipped(_)));
    assert!(until_set(&small.replace("employees", "staff")).contains(r#""segment":"s""#));
    // A text has no order among numbers, and the record is rejected.
    let unknown = Transform::new(&steps).apply(record(&small.replace(":5", r#":"many""#)));
    let Outcome::Rejected(reject) = unknown else { panic!() };
    assert!(reject.reason.message.starts_with("step 3 (set), field segment:"), "{}", reject.reason.message);
}

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("1.500".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        "[a-z\u{e9}\"\\\\]{0,4}".prop_map(|text| serde_json::Value::from(text).to_string()),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(" , "))),
            object_of(inner.boxed()),
        ]
    })
}

fn object_of(value: BoxedStrategy<String>) -> impl Strategy<Value = String> {
    prop::collection::btree_map("[a-e]", value, 0..5).prop_map(|fields| {
        let fields: Vec<String> = fields.into_iter().map(|(name, value)| format!("\"{name}\" : {value}")).collect();
        format!("{{{}}}", fields.join(", "))
    })
}

fn paths() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[a-e](\\.[a-e]|\\[[0-2]\\]){0,2}", 1..4)
}

/// The scalars of a text, each with its path.
fn leaves(text: &str) -> Vec<(String, String)> {
    fn walk(value: &serde_json::Value, at: String, out: &mut Vec<(String, String)>) {
        match value {
            serde_json::Value::Object(fields) => {
                fields.iter().for_each(|(name, item)| walk(item, format!("{at}.{name}"), out))
            }
            serde_json::Value::Array(_) => out.push((at, value.to_string())),
            scalar => out.push((at, scalar.to_string())),
        }
    }
    let mut out = Vec::new();
    walk(&serde_json::from_str(text).unwrap(), String::new(), &mut out);
    out.sort();
    out
}

proptest! {
    #[test]
    fn steps_that_touch_nothing_keep_every_byte(text in object_of(json().boxed()), names in paths()) {
        let names: Vec<String> = names.iter().map(|name| format!("z{name}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let steps = [drop_all(&names), rename(&[(names[0], "y")]), set(&[(names[0], "record.zz")]), keep(&["a", "b", "c", "d", "e"])];
        prop_assert_eq!(kept(&steps, &text), text);
    }

    #[test]
    fn what_keep_leaves_and_what_drop_leaves_make_the_whole(text in object_of(json().boxed()), names in prop::collection::vec("[a-e](\\.[a-e]){0,2}", 1..4)) {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (left, right) = (kept(&[keep(&names)], &text), kept(&[drop_all(&names)], &text));
        let mut both = leaves(&left);
        both.extend(leaves(&right));
        both.sort();
        prop_assert_eq!(both, leaves(&text));
    }

    #[test]
    fn whatever_the_steps_do_the_record_stays_json(text in object_of(json().boxed()), a in paths(), b in paths()) {
        let (a, b): (Vec<&str>, Vec<&str>) = (a.iter().map(String::as_str).collect(), b.iter().map(String::as_str).collect());
        let all = [
            StepPlan::Rename(a.iter().zip(&b).map(|(from, to)| (path(from), path(to))).collect()),
            StepPlan::Set(a.iter().zip(&b).map(|(to, from)| (path(to), expression(&format!("record.{from}")))).collect()),
            drop_all(&b),
            keep(&a),
        ];
        for count in 0..=all.len() {
            match Transform::new(&all[..count]).apply(record(&text)) {
                Outcome::Kept(record) => prop_assert!(Fields::parse(record.fields.as_bytes()).is_ok()),
                Outcome::Rejected(reject) => prop_assert_eq!(reject.fields.as_str(), text.as_str()),
                Outcome::Skipped(_) => prop_assert!(false, "there is no filter"),
            }
        }
    }
}
