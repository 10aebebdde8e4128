//! Where a target uses a mapped field for more than to write it: to name the record, to find it, or to tell it from others.

use super::{
    plan::{Body, Changed, Node, Operation, RequestPlan, To},
    plan_answer::{AnswerShape, MatchBy},
    plan_repeat::Repeat,
};
use crate::{
    expr::Template,
    model::{Path, Step},
};

/// A mapped field that means something to a sink.
pub struct Use {
    pub steps: Vec<Step>,
    /// What it is used for, behind "and".
    pub what: String,
    /// It must be the same text today and next year.
    pub is_name: bool,
}

/// All of them, but for deletions.
pub fn uses(to: &To) -> Vec<Use> {
    match to {
        To::File { .. } => Vec::new(),
        To::Table { table, key, .. } => {
            let column = |name: &String| Use {
                steps: vec![Step::Field(name.clone())],
                what: format!("it is part of the key of the table `{table}`"),
                is_name: true,
            };
            key.iter().map(column).collect()
        }
        To::Operation { api, operation, key, changed, .. } => {
            let mut all: Vec<Use> =
                key.iter().map(|key| named(key, "`key` of the target names the record by it")).collect();
            of_operation(operation, &mut all);
            if let Changed::Operation(changed) = changed {
                of_operation(changed, &mut all);
            }
            let update = operation.look_up().and_then(|look_up| look_up.update.as_ref());
            if let Some(update) = update.and_then(|name| api.operations.get(name)) {
                of_operation(update, &mut all);
            }
            all
        }
    }
}

/// Those of a deletion.
pub fn uses_gone(to: &To) -> Vec<Use> {
    let mut all = Vec::new();
    if let To::Operation { deletes: Some(deletes), .. } = to {
        of_operation(&deletes.operation, &mut all);
    }
    all
}

fn named(path: &Path, what: impl Into<String>) -> Use {
    Use { steps: path.steps().to_vec(), what: what.into(), is_name: true }
}

fn of_operation(operation: &Operation, all: &mut Vec<Use>) {
    let name = &operation.name;
    let at = |steps: &[Step], what: &str| Use { steps: steps.to_vec(), what: what.to_owned(), is_name: true };
    let places = |template: &Template, what: &str, all: &mut Vec<Use>| {
        all.extend(template.record_steps().filter(|steps| !steps.is_empty()).map(|steps| at(steps, what)));
    };
    places(&operation.request.path, &format!("`{name}` has it in its path"), all);
    for repeat in &operation.repeat {
        match repeat {
            Repeat::Upsert { unique } => {
                all.extend(Path::parse(unique).ok().map(|path| named(&path, format!("`{name}` is an upsert by it"))));
            }
            Repeat::LookUp(look_up) => {
                let what = format!("`{name}` looks records up by it");
                in_request(&look_up.request, &what, all, &places);
                all.extend(look_up.matched.iter().map(|(_, sent)| named(sent, what.clone())));
            }
            Repeat::Revision(revision) => {
                in_request(&revision.read, &format!("`{name}` reads records by it"), all, &places);
            }
            Repeat::IdempotencyKey(_) | Repeat::Never => {}
        }
    }
    let matched = match &operation.answer {
        AnswerShape::Listed { matched, .. } => Some(matched),
        AnswerShape::Job(job) => Some(&job.matched),
        AnswerShape::Whole(_) | AnswerShape::Positional { .. } => None,
    };
    if let Some(MatchBy::Field { sent, .. }) = matched.map(|matched| &matched.by) {
        let what = format!("answers to `{name}` are matched by it");
        all.push(Use { is_name: false, ..named(sent, what) });
    }
}

type Places<'f> = &'f dyn Fn(&Template, &str, &mut Vec<Use>);

fn in_request(request: &RequestPlan, what: &str, all: &mut Vec<Use>, places: Places<'_>) {
    places(&request.path, what, all);
    request.query.iter().for_each(|(_, template)| places(template, what, all));
    if let Some(Body::Json(node) | Body::Form(node)) = &request.body {
        in_node(node, what, all, places);
    }
}

fn in_node(node: &Node, what: &str, all: &mut Vec<Use>, places: Places<'_>) {
    match node {
        Node::Literal(_) => {}
        Node::Text(template) => places(template, what, all),
        Node::Value(expression) => {
            let steps = expression.record_steps().filter(|steps| !steps.is_empty());
            all.extend(steps.map(|steps| Use { steps: steps.to_vec(), what: what.to_owned(), is_name: true }));
        }
        Node::Object(fields) => fields.iter().for_each(|(_, node)| in_node(node, what, all, places)),
        Node::List(items) => items.iter().for_each(|node| in_node(node, what, all, places)),
    }
}
