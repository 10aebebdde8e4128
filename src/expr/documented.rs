//! Runs every example of `docs/expressions.md`, so that the page cannot say what the language does not do.

use super::{Expression, Scope, library};
use crate::model::Fields;

const PAGE: &str = include_str!("../../docs/expressions.md");

/// Expression, record and result of each row.
fn examples() -> Vec<(String, String, String)> {
    let rows = PAGE.lines().filter_map(|line| {
        let cells: Vec<String> = line
            .replace("\\|", "\u{0}")
            .split('|')
            .map(|cell| cell.trim().trim_matches('`').replace('\u{0}', "|"))
            .collect();
        let [before, expression, record, result, after] = <[String; 5]>::try_from(cells).ok()?;
        let row = before.is_empty() && after.is_empty() && !matches!(expression.as_str(), "expression" | "---");
        row.then_some((expression, record, result))
    });
    rows.collect()
}

fn sample() -> &'static str {
    PAGE.split("```json\n").nth(1).and_then(|rest| rest.split("\n```").next()).unwrap()
}

#[test]
fn every_example_of_the_page_is_true() {
    let examples = examples();
    assert!(examples.len() > 150, "only {} examples were found", examples.len());
    let wrong: Vec<String> = examples.iter().filter_map(|(text, record, wanted)| wrong(text, record, wanted)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn wrong(text: &str, record: &str, wanted: &str) -> Option<String> {
    let record = if record.is_empty() { sample() } else { record };
    let fields = Fields::parse(record.as_bytes()).unwrap();
    let scope = Scope::of(&fields);
    let expression = match Expression::compile(text) {
        Ok(expression) => expression,
        Err(error) => return Some(format!("{text}: {error:?}")),
    };
    let given = match expression.evaluate_json(&scope) {
        Ok(None) => "absent".to_owned(),
        Ok(Some(json)) => json.into_owned(),
        Err(error) if wanted == "error" => {
            // Even the reason of a failure is free of the record's values.
            return error.message.contains("1,234.50").then(|| format!("{text}: {error}"));
        }
        Err(error) => format!("{error}"),
    };
    (given != wanted).then(|| format!("{text}: expected {wanted}, got {given}"))
}

#[test]
fn every_filter_test_and_function_has_an_example() {
    let all: String = examples().into_iter().map(|(text, _, _)| text + "\n").collect();
    for name in library::filters() {
        let used = all
            .split('|')
            .any(|part| part.trim_start().split(|c: char| !c.is_alphanumeric() && c != '_').next() == Some(name));
        assert!(used, "the filter {name} has no example");
    }
    for name in library::functions() {
        assert!(all.contains(&format!("{name}(")), "the function {name} has no example");
    }
    for name in library::tests() {
        let used = all.split(" is ").any(|part| {
            let part = part.strip_prefix("not ").unwrap_or(part);
            part.split(|c: char| !c.is_alphanumeric()).next() == Some(name)
        });
        assert!(used, "the test {name} has no example");
    }
}
