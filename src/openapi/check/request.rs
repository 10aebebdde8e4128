//! Whether what a connector sends is taken: parameters, headers and bodies.

use serde_json::Value;

use super::{
    super::{
        call::{BodyKind, Call, In, Parameter},
        document::{Document, Generation, Place},
        schema::{Schema, Types},
        words::folded,
    },
    Notes, Use,
};
use crate::config::{
    OneConnector, nearest,
    plan::{Body, Node},
};

/// Parameters that a document lists although it is credentials that they carry.
const CREDENTIALS: [&str; 8] =
    ["token", "authorization", "apikey", "xapikey", "accesstoken", "authtoken", "contenttype", "accept"];
/// Fields inside each other that are compared.
const DEPTH_MAX: usize = 20;

pub fn compare(one: &Use<'_>, call: &Call<'_>, connector: &OneConnector, document: &Document, notes: &mut Notes<'_>) {
    let sent: Vec<&str> =
        one.request.query.iter().map(|(name, _)| name.as_str()).chain(one.query.iter().copied()).collect();
    for name in &sent {
        query(name, call, notes);
    }
    headers(one, call, connector, &sent, notes);
    body(one, call, document, notes);
}

/// `created[gte]` is a part of `created`, and `ids[0]` one of `ids`.
fn query(name: &str, call: &Call<'_>, notes: &mut Notes<'_>) {
    let (outer, inner) = match name.split_once('[') {
        Some((outer, rest)) => (outer, Some(rest.trim_end_matches(']'))),
        None => (name, None),
    };
    let known = |wanted: &str| call.parameter(In::Query, wanted);
    let Some(parameter) = known(name).or_else(|| known(outer)).or_else(|| known(&format!("{outer}[]"))) else {
        let near = nearest(name, call.query().map(|one| one.name));
        let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        return notes.misfit(format!("the query parameter `{name}` is not there{near}"));
    };
    let inner = inner.filter(|inner| !inner.is_empty() && inner.parse::<u32>().is_err() && parameter.name != name);
    let fields = parameter.schema.fields();
    match inner {
        Some(inner) if !fields.is_empty() && !fields.iter().any(|field| field.name == inner) => {
            notes.misfit(format!("the query parameter `{outer}` has no `{inner}`"));
        }
        _ => notes.fits(),
    }
}

fn headers(one: &Use<'_>, call: &Call<'_>, connector: &OneConnector, sent: &[&str], notes: &mut Notes<'_>) {
    let own = one.request.headers.iter().map(|(name, _)| name.as_str());
    let all: Vec<&str> = own.chain(connector.headers.iter().map(|name| name.as_str())).chain(one.header).collect();
    let is_sent = |parameter: &Parameter<'_>| match parameter.place {
        In::Query => sent
            .iter()
            .any(|name| *name == parameter.name || name.split('[').next() == parameter.name.split('[').next()),
        In::Header => all.iter().any(|name| name.eq_ignore_ascii_case(parameter.name)),
        In::Path | In::Other => true,
    };
    for parameter in
        call.parameters.iter().filter(|one| one.required && !CREDENTIALS.contains(&folded(one.name).as_str()))
    {
        let kind = if parameter.place == In::Header { "header" } else { "query parameter" };
        match is_sent(parameter) {
            true => notes.fits(),
            false => notes.misfit(format!("the {kind} `{}` is required and not sent", parameter.name)),
        }
    }
}

fn body(one: &Use<'_>, call: &Call<'_>, document: &Document, notes: &mut Notes<'_>) {
    let (node, kind) = match &one.request.body {
        Some(Body::Json(node)) => (node, BodyKind::Json),
        Some(Body::Form(node)) => (node, BodyKind::Form),
        None => return no_body(call, notes),
    };
    let Some(described) = &call.body else {
        return notes.misfit("a body is sent, and the document has none");
    };
    if !takes(document, call, kind, described.kind) {
        let (ours, theirs) = if kind == BodyKind::Json { ("JSON", "no JSON") } else { ("a form", "no form") };
        notes.misfit(format!("{ours} is sent, and the document takes {theirs}"));
    }
    let fields: Vec<(&str, bool, Schema<'_>)> =
        described.fields().into_iter().map(|field| (field.name, field.required, field.schema)).collect();
    match node {
        Node::Object(given) => object(given, &fields, "", described.is_open(), notes, 0),
        _ => notes.untold("the body is the record as a pipeline maps it"),
    }
}

fn no_body(call: &Call<'_>, notes: &mut Notes<'_>) {
    let Some(described) = &call.body else { return };
    let required: Vec<&str> =
        described.fields().into_iter().filter(|field| field.required).map(|field| field.name).collect();
    if !required.is_empty() {
        notes.misfit(format!("no body is sent, and `{}` is required in it", required.join("`, `")));
    }
}

/// Whether a document takes a body of this kind. A document of the second generation lists kinds for all bodies.
fn takes(document: &Document, call: &Call<'_>, kind: BodyKind, described: BodyKind) -> bool {
    let word = if kind == BodyKind::Json { "json" } else { "x-www-form-urlencoded" };
    let Some(operation) = document.root.pointer(&call.pointer) else { return true };
    let media: Vec<String> = match document.generation {
        Generation::OpenApi3 => {
            let place = Place { value: operation, pointer: call.pointer.clone() };
            let body = place.get("requestBody").map(|body| document.resolve(body));
            let content = body.and_then(|body| body.get("content"));
            content.iter().flat_map(Place::fields).map(|(media, _)| media.to_owned()).collect()
        }
        Generation::Swagger2 => {
            let listed = operation.get("consumes").or_else(|| document.root.get("consumes")).and_then(Value::as_array);
            listed.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        }
    };
    media.is_empty() || described == kind || media.iter().any(|one| one.contains(word) || one.contains("*/*"))
}

fn object(
    given: &[(String, Node)],
    fields: &[(&str, bool, Schema<'_>)],
    path: &str,
    open: bool,
    notes: &mut Notes<'_>,
    depth: usize,
) {
    if fields.is_empty() || depth > DEPTH_MAX {
        let at = if path.is_empty() { "the body".to_owned() } else { format!("`{path}` of the body") };
        return notes.untold(format!("what {at} holds is not described"));
    }
    let inside = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    for (name, node) in given {
        match fields.iter().find(|(known, ..)| known == name) {
            Some((_, _, schema)) => value(node, schema, &inside(name), notes, depth + 1),
            None if open => notes.untold(format!("`{}` of the body is not described", inside(name))),
            None => {
                let near = nearest(name, fields.iter().map(|(known, ..)| *known));
                let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                notes.misfit(format!("`{}` of the body is not there{near}", inside(name)));
            }
        }
    }
    for (name, ..) in fields.iter().filter(|(_, required, _)| *required) {
        if !given.iter().any(|(known, _)| known == name) {
            notes.misfit(format!("`{}` is required in the body and not sent", inside(name)));
        }
    }
}

/// A value that is known before anything is filled in must be of the type that is described.
fn value(node: &Node, schema: &Schema<'_>, path: &str, notes: &mut Notes<'_>, depth: usize) {
    let types = schema.types();
    let is = match node {
        Node::Object(_) => Some((Types::OBJECT, "an object")),
        Node::List(_) => Some((Types::ARRAY, "a list")),
        Node::Literal(text) if text == "true" || text == "false" => Some((Types::BOOLEAN, "a boolean")),
        Node::Literal(text) if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') => {
            Some((Types::NUMERIC, "a number"))
        }
        Node::Text(text) if text.constant().is_some() => Some((Types::TEXT, "a text")),
        Node::Literal(_) | Node::Text(_) | Node::Value(_) => None,
    };
    if let Some((_, words)) = is.filter(|(sent, _)| !types.may_be(*sent)) {
        return notes.misfit(format!("`{path}` of the body is {types}, and {words} is sent"));
    }
    let choices = schema.choices();
    if let Node::Text(text) = node
        && let Some(constant) = text.constant()
        && !choices.is_empty()
        && schema.is_certain()
        && !choices.iter().any(|choice| choice == constant)
    {
        return notes.misfit(format!("`{path}` of the body may not be {constant:?}"));
    }
    notes.fits();
    match node {
        Node::Object(given) => {
            let fields: Vec<(&str, bool, Schema<'_>)> =
                schema.fields().into_iter().map(|field| (field.name, field.required, field.schema)).collect();
            object(given, &fields, path, schema.is_open(), notes, depth);
        }
        Node::List(items) => {
            let Some(item) = schema.items() else { return };
            items.iter().for_each(|one| value(one, &item, &format!("{path}[]"), notes, depth + 1));
        }
        _ => {}
    }
}
