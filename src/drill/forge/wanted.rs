//! What a pipeline looks at in the records of its stream: the fields, and the values that it compares them with.

use serde_json::{Value, json};

use crate::{
    config::plan::{Pipeline, StepPlan},
    expr::Expression,
    model::{Path, Step},
};

/// Literals that are kept.
const LITERALS_MAX: usize = 64;

/// The places that the pipeline reads in a record as it comes from the source, each once, none inside of another.
pub fn paths(pipeline: &Pipeline) -> Vec<Vec<Step>> {
    let mut all: Vec<Vec<Step>> = Vec::new();
    // What a step made is no field of the source.
    let mut made: Vec<String> = Vec::new();
    let mut look = |steps: &[Step], made: &[String]| {
        let own = match steps.first() {
            Some(Step::Field(name)) => !made.contains(name),
            _ => false,
        };
        if own && !all.iter().any(|known| known == steps) {
            all.push(steps.to_vec());
        }
    };
    for step in &pipeline.steps {
        match step {
            StepPlan::Filter(condition) => condition.record_steps().for_each(|steps| look(steps, &made)),
            StepPlan::Set(fields) => {
                for (path, value) in fields {
                    value.record_steps().for_each(|steps| look(steps, &made));
                    made.extend(first_field(path));
                }
            }
            StepPlan::Rename(pairs) => {
                pairs.iter().for_each(|(from, _)| look(from.steps(), &made));
                made.extend(pairs.iter().filter_map(|(_, to)| first_field(to)));
            }
            StepPlan::Keep(paths) | StepPlan::Drop(paths) => paths.iter().for_each(|path| look(path.steps(), &made)),
            StepPlan::Dedupe(dedupe) => dedupe.by.record_steps().for_each(|steps| look(steps, &made)),
            StepPlan::Coerce(fields) => fields.iter().for_each(|(path, _)| look(path.steps(), &made)),
            StepPlan::Validate(rules) => {
                rules.iter().flat_map(|rule| rule.that.record_steps()).for_each(|steps| look(steps, &made));
            }
            // Pipelines with these are not drilled.
            StepPlan::Flatten(_) | StepPlan::Split | StepPlan::Lookup(_) => {}
        }
    }
    for steps in pipeline.from.stream.only.iter().flat_map(Expression::record_steps) {
        look(steps, &[]);
    }
    for (_, value) in pipeline.fields.iter().flatten() {
        value.record_steps().for_each(|steps| look(steps, &made));
    }
    let inner = |steps: &Vec<Step>| all.iter().any(|other| other.len() > steps.len() && other.starts_with(steps));
    let mut leaves: Vec<Vec<Step>> = all.iter().filter(|steps| !inner(steps)).cloned().collect();
    if leaves.is_empty() {
        // A pipeline that passes records on as they are looks at nothing.
        leaves.extend(["name", "status", "amount"].map(|name| vec![Step::Field(name.to_owned())]));
    }
    leaves
}

fn first_field(path: &Path) -> Option<String> {
    match path.steps().first() {
        Some(Step::Field(name)) => Some(name.clone()),
        _ => None,
    }
}

/// The texts and numbers that stand in the pipeline's expressions.
pub fn literals(pipeline: &Pipeline) -> Vec<Value> {
    let mut found = Vec::new();
    let mut look = |expression: &Expression| found.extend(literals_in(expression.as_str()));
    for step in &pipeline.steps {
        match step {
            StepPlan::Filter(condition) => look(condition),
            StepPlan::Set(fields) => fields.iter().for_each(|(_, value)| look(value)),
            StepPlan::Validate(rules) => rules.iter().for_each(|rule| look(&rule.that)),
            StepPlan::Dedupe(_)
            | StepPlan::Coerce(_)
            | StepPlan::Flatten(_)
            | StepPlan::Split
            | StepPlan::Lookup(_) => {}
            StepPlan::Rename(_) | StepPlan::Keep(_) | StepPlan::Drop(_) => {}
        }
    }
    pipeline.from.stream.only.iter().for_each(&mut look);
    pipeline.fields.iter().flatten().for_each(|(_, value)| look(value));
    found.truncate(LITERALS_MAX);
    found
}

fn literals_in(text: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c == '"' || c == '\'' || c.is_ascii_digit()) {
        let begin = rest[at..].chars().next().unwrap_or('0');
        let inside = &rest[at..];
        if begin.is_ascii_digit() {
            let end = inside.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(inside.len());
            let number = inside[..end].trim_end_matches('.');
            // Also the next one, for comparisons that want more.
            if let Ok(number) = number.parse::<i64>() {
                found.extend([json!(number), json!(number.saturating_add(1))]);
            }
            rest = &inside[end..];
        } else {
            let Some(end) = inside[1..].find(begin) else { break };
            found.push(json!(inside[1..=end]));
            rest = &inside[end + 2..];
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_that_an_expression_compares_with_are_found() {
        let text = r#"record.kind in ["a", 'b c'] and record.total >= 10 and record.name != """#;
        assert_eq!(literals_in(text), [json!("a"), json!("b c"), json!(10), json!(11), json!("")]);
        assert_eq!(literals_in("'open"), Vec::<Value>::new());
    }
}
