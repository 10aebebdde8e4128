//! What steps and mapping cost beside the expressions that they evaluate: pages of bytes in, mapped records of bytes out.
//!
//! | side | what it does with a record of 500 bytes |
//! |---|---|
//! | bare | slices it, evaluates nine compiled expressions, writes one object |
//! | fields | the same nine as `fields` of a target: `Transform` and `Mapping` as the engine calls them |
//! | steps | a filter, a `coerce` of one field and the same nine |
//!
//! The sides take turns in one process, and medians are compared, so that a slow minute of the machine meets all of them.
#![expect(clippy::unwrap_used, reason = "a measurement stops at the first surprise")]
#![expect(clippy::disallowed_macros, reason = "it prints its figures")]
#![expect(clippy::disallowed_methods, reason = "it measures real time")]

use std::{hint::black_box, time::Instant};

use bytes::Bytes;
use renkei::{
    config::plan::{Kind, StepPlan},
    expr::{Expression, Scope},
    model::{Fields, Key, Overlap, Path, Record},
    transform::{Mapping, Outcome, Transform},
};
use serde_json::value::RawValue;

const PAGE: usize = 200;

const NINE: [(&str, &str); 9] = [
    ("id", "record.id"),
    ("email", "record.email | trim | lower"),
    ("first_name", "record.name | first_word"),
    ("company", "record.company.name"),
    ("city", "record.address.city | upper"),
    ("total", "record.total * 100"),
    ("label", "record.company.name ~ \" (\" ~ record.plan ~ \")\""),
    ("active", "record.status == \"active\""),
    ("note", "record.note | default(\"\")"),
];

fn page(number: usize) -> Bytes {
    let record = |at: usize| {
        let id = number * PAGE + at;
        let filler =
            "lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore";
        format!(
            r#"{{"id":{id},"email":" User{id}@Example.COM ","name":"Ada King {id}","company":{{"id":{},"name":"Company {}","vat":"GB{id:09}"}},"address":{{"street":"{} Main Street","city":"London","zip":"N1 7AA","country":"GB"}},"status":"active","plan":"gold","total":{}.50,"created_at":"2026-01-31T09:00:00Z","updated_at":"2026-01-31T09:00:00Z","tags":["a","b"],"text":"{filler}"}}"#,
            id % 97,
            id % 97,
            id % 300,
            id % 1000
        )
    };
    Bytes::from(format!("[{}]", (0..PAGE).map(record).collect::<Vec<_>>().join(",")))
}

/// Hands out the records of a page, each a slice of it.
fn each(page: &Bytes, mut take: impl FnMut(Fields)) {
    let records: Vec<&RawValue> = serde_json::from_slice(page).unwrap();
    for record in records {
        take(Fields::from_object(page.slice_ref(record.get().as_bytes())));
    }
}

fn bare(pages: &[Bytes], nine: &[(String, Expression)]) -> usize {
    let mut bytes = 0;
    for page in pages {
        each(page, |fields| {
            let scope = Scope::of(&fields);
            let mut out = String::with_capacity(fields.len() + 64);
            out.push('{');
            for (name, expression) in nine {
                let Some(value) = expression.evaluate_json(&scope).unwrap() else { continue };
                out.push_str(if out.len() > 1 { ",\"" } else { "\"" });
                out.push_str(name);
                out.push_str("\":");
                out.push_str(&value);
            }
            out.push('}');
            bytes += black_box(out).len();
        });
    }
    bytes
}

fn ours(pages: &[Bytes], transform: &Transform, mapping: &Mapping) -> usize {
    let mut bytes = 0;
    for page in pages {
        each(page, |fields| {
            let record = Record {
                key: Key::new("k"),
                version: None,
                overlap: Overlap::default(),
                gone: false,
                fields,
                slip: None,
            };
            let Outcome::Kept(record) = transform.apply(record) else { panic!("a record did not go on") };
            bytes += black_box(mapping.apply(record.fields).unwrap()).len();
        });
    }
    bytes
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<usize>().unwrap());
    let (records, rounds) = (arguments.next().unwrap_or(200_000), arguments.next().unwrap_or(9));
    let pages: Vec<Bytes> = (0..records.div_ceil(PAGE)).map(page).collect();
    let size = pages[0].len() / PAGE;
    let compile = |text: &str| Expression::compile(text).unwrap();
    let nine: Vec<(String, Expression)> = NINE.iter().map(|(name, text)| ((*name).to_owned(), compile(text))).collect();
    let mapping = Mapping::new(Some(&nine));
    let none = Transform::new(&[]);
    let steps = Transform::new(&[
        StepPlan::Filter(compile("record.status != \"gone\"")),
        StepPlan::Coerce(vec![(Path::parse("total").unwrap(), Kind::Number)]),
    ]);
    let count = (pages.len() * PAGE) as f64;
    let timed = |work: &dyn Fn() -> usize| {
        let began = Instant::now();
        let bytes = work();
        (count / began.elapsed().as_secs_f64(), bytes)
    };
    let (mut as_bare, mut as_fields, mut as_steps) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (speed, wanted) = timed(&|| bare(&pages, &nine));
        as_bare.push(speed);
        let (speed, bytes) = timed(&|| ours(&pages, &none, &mapping));
        as_fields.push(speed);
        assert_eq!(bytes, wanted, "both sides write the same");
        as_steps.push(timed(&|| ours(&pages, &steps, &mapping)).0);
    }
    let (bare, fields, steps) = (median(as_bare), median(as_fields), median(as_steps));
    println!("{count} records of {size} bytes, {rounds} rounds, medians, one core");
    println!("bare    {bare:>9.0} records/s");
    println!("fields  {fields:>9.0} records/s  {:>5.1} %", fields / bare * 100.0);
    println!("steps   {steps:>9.0} records/s  {:>5.1} %", steps / bare * 100.0);
}
