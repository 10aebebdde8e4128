//! Fills a request's holes. Pure: a plan and a scope go in, a call comes out, and what cannot be built says which part of
//! the request it is.
//!
//! The hard idea is that bodies are written as text, never as trees: a hole that names a field is filled with the field's
//! own bytes, so no digit and no spelling of the source is changed on the way.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::value::RawValue;
use url::Url;

use super::Call;
use crate::{
    config::plan::{Api, Body, Node, RequestPlan},
    expr::{EvalError, Scope, Template},
    model::{Code, Reason, entries},
};

/// Builds the call of a request. `name` is the stream or operation.
pub fn call(
    api: &Api,
    request: &RequestPlan,
    name: &Arc<str>,
    scope: &Scope<'_>,
    repeatable: bool,
) -> Result<Call, Reason> {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    let body = match &request.body {
        None => Bytes::new(),
        Some(Body::Json(node)) => {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            json(node, scope)?.unwrap_or_else(|| "null".to_owned()).into()
        }
        Some(Body::Form(node)) => {
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.insert(header::CONTENT_TYPE, form);
            form_text(&json(node, scope)?.unwrap_or_default())?.into()
        }
    };
    for (name, template) in api.headers.iter().chain(&request.headers) {
        if let Some(value) = header_value(name, template, scope)? {
            headers.insert(name.clone(), value);
        }
    }
    Ok(Call {
        name: Arc::clone(name),
        route: Arc::clone(&request.route),
        method: request.method.clone(),
        url: url(api, request, scope)?,
        headers,
        body,
        repeatable,
        timeout: request.timeout,
        deadline: None,
        answers: Vec::new(),
        hides: Vec::new(),
        unsigned: false,
        spool: None,
    })
}

/// Adds parameters to a URL.
pub fn add_query<'p>(url: &mut Url, parameters: impl IntoIterator<Item = (&'p str, String)>) {
    let mut parameters = parameters.into_iter().peekable();
    if parameters.peek().is_some() {
        url.query_pairs_mut().extend_pairs(parameters);
    }
}

fn url(api: &Api, request: &RequestPlan, scope: &Scope<'_>) -> Result<Url, Reason> {
    let path = request.path.render_path(scope).map_err(|error| unbuilt("path", &error))?;
    let base = api.base_url.as_str().trim_end_matches('/');
    let joined = format!("{base}/{}", path.trim_start_matches('/'));
    let mut url = Url::parse(&joined).map_err(|error| reason(format!("path: {error}")))?;
    let mut parameters = Vec::with_capacity(request.query.len());
    for (name, template) in &request.query {
        let value = template.render(scope).map_err(|error| unbuilt(&format!("query parameter {name}"), &error))?;
        parameters.extend(value.map(|value| (name.as_str(), value)));
    }
    add_query(&mut url, parameters);
    Ok(url)
}

fn header_value(name: &HeaderName, template: &Template, scope: &Scope<'_>) -> Result<Option<HeaderValue>, Reason> {
    let place = || format!("header {name}");
    let Some(text) = template.render(scope).map_err(|error| unbuilt(&place(), &error))? else { return Ok(None) };
    let value = HeaderValue::from_str(&text);
    value.map(Some).map_err(|_| reason(format!("{}: its value has characters that a header cannot hold", place())))
}

/// The JSON text of a node. Nothing: its value is absent, and so is the field it stands for.
pub fn json(node: &Node, scope: &Scope<'_>) -> Result<Option<String>, Reason> {
    let mut out = String::with_capacity(256);
    let written = write(node, scope, &mut out).map_err(|error| unbuilt("body", &error))?;
    Ok(written.then_some(out))
}

/// Appends a node; false, and nothing appended, where its value is absent.
fn write(node: &Node, scope: &Scope<'_>, out: &mut String) -> Result<bool, EvalError> {
    match node {
        Node::Literal(raw) => out.push_str(raw),
        Node::Text(template) => match template.render(scope)? {
            Some(text) => push_string(&text, out),
            None => return Ok(false),
        },
        Node::Value(expression) => match expression.evaluate_json(scope)? {
            Some(raw) => out.push_str(&raw),
            None => return Ok(false),
        },
        Node::Object(fields) => {
            out.push('{');
            let begin = out.len();
            for (name, field) in fields {
                let before = out.len();
                out.push_str(if before > begin { "," } else { "" });
                push_string(name, out);
                out.push(':');
                if !write(field, scope, out)? {
                    out.truncate(before);
                }
            }
            out.push('}');
        }
        Node::List(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                // A place in a list means something, so what is absent there is null.
                if !write(item, scope, out)? {
                    out.push_str("null");
                }
            }
            out.push(']');
        }
    }
    Ok(true)
}

fn push_string(text: &str, out: &mut String) {
    // A text can always be written as JSON.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

/// Levels of a form. No vendor reads deeper ones, and each level repeats the whole name: a record of 40 kB can nest 20,000
/// of them.
const FORM_DEPTH_MAX: usize = 32;

/// A JSON object as a form: nested values become `a[b]=c`, lists `a[0]=c`. Null is left out; a text that is empty stays.
fn form_text(json: &str) -> Result<String, Reason> {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in entries(json) {
        push_pairs(name.into_owned(), value.get(), 1, &mut form)?;
    }
    Ok(form.finish())
}

fn push_pairs(
    name: String,
    raw: &str,
    depth: usize,
    form: &mut url::form_urlencoded::Serializer<'_, String>,
) -> Result<(), Reason> {
    match raw.as_bytes().first() {
        Some(b'{' | b'[') if depth >= FORM_DEPTH_MAX => {
            return Err(reason(format!("body: a form nests {FORM_DEPTH_MAX} levels at the most")));
        }
        Some(b'{') => {
            for (field, value) in entries(raw) {
                push_pairs(format!("{name}[{field}]"), value.get(), depth + 1, form)?;
            }
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(raw).unwrap_or_default();
            for (at, value) in items.into_iter().enumerate() {
                push_pairs(format!("{name}[{at}]"), value.get(), depth + 1, form)?;
            }
        }
        Some(b'"') => {
            form.append_pair(&name, &serde_json::from_str::<String>(raw).unwrap_or_default());
        }
        Some(b'n') | None => {}
        Some(_) => {
            form.append_pair(&name, raw);
        }
    }
    Ok(())
}

fn unbuilt(place: &str, error: &EvalError) -> Reason {
    reason(format!("{place}: {error}"))
}

fn reason(message: String) -> Reason {
    Reason::new(Code::BodyTemplate, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{expr::Expression, model::Fields};

    fn value(text: &str) -> Node {
        Node::Value(Expression::compile(text).unwrap())
    }

    fn object(fields: &[(&str, Node)]) -> Node {
        Node::Object(fields.iter().map(|(name, node)| ((*name).to_owned(), node.clone())).collect())
    }

    fn rendered(node: &Node, record: &str) -> String {
        let fields = Fields::parse(record.as_bytes()).unwrap();
        json(node, &Scope::of(&fields)).unwrap().unwrap()
    }

    #[test]
    fn a_field_is_copied_with_its_own_bytes() {
        let node = object(&[("p", value("record.price")), ("all", value("record"))]);
        let record = r#"{"price":0.10000000000000000001,"t":"\u00e9"}"#;
        assert_eq!(rendered(&node, record), format!(r#"{{"p":0.10000000000000000001,"all":{record}}}"#));
    }

    #[test]
    fn what_is_absent_is_left_out_of_objects_and_null_in_lists() {
        let absent = || value("record.nope");
        let node = object(&[
            ("a", absent()),
            ("b", Node::Literal("1".to_owned())),
            ("c", absent()),
            (
                "d",
                Node::List(vec![absent(), value("record.x"), Node::Text(Template::compile("v-{{record.x}}").unwrap())]),
            ),
            ("e", object(&[("f", absent())])),
        ]);
        assert_eq!(rendered(&node, r#"{"x":2}"#), r#"{"b":1,"d":[null,2,"v-2"],"e":{}}"#);
    }

    #[test]
    fn a_form_nests_with_brackets() {
        let json = r#"{"email":"a&b@x.example","metadata":{"id":"7","n":1.50},"items":[{"p":"x"},"y"],"no":null,"e":"","t":true}"#;
        let form = form_text(json).unwrap();
        let pairs: Vec<_> = url::form_urlencoded::parse(form.as_bytes()).into_owned().collect();
        let expected = [
            ("email", "a&b@x.example"),
            ("metadata[id]", "7"),
            ("metadata[n]", "1.50"),
            ("items[0][p]", "x"),
            ("items[1]", "y"),
            ("e", ""),
            ("t", "true"),
        ];
        assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn a_form_that_nests_too_deeply_is_refused_and_not_followed_down() {
        let nested = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
        let deepest = form_text(&nested(FORM_DEPTH_MAX)).unwrap();
        assert_eq!(deepest.matches("%5Ba%5D").count(), FORM_DEPTH_MAX - 1);
        let lists = format!(r#"{{"a":{}{}}}"#, "[".repeat(100), "]".repeat(100));
        for json in [nested(FORM_DEPTH_MAX + 1), nested(100), lists] {
            assert_eq!(form_text(&json).unwrap_err().code, Code::BodyTemplate);
        }
    }

    #[test]
    fn an_expression_that_fails_names_the_part_of_the_request() {
        let fields = Fields::parse(b"{}").unwrap();
        let node = value("record.x + 1");
        let reason = json(&node, &Scope::of(&fields)).unwrap_err();
        assert_eq!(reason.code, Code::BodyTemplate);
        assert!(reason.message.starts_with("body: `record.x + 1`: "), "{}", reason.message);
    }
}
