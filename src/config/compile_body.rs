//! Requests: paths, queries, headers and body trees with their holes.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, Method};

use super::{
    check::Check,
    diagnostic::Problem,
    plan::{Body, Node, RequestPlan},
    raw_stream::RawBody,
    shape::{Named, Source, Spanned, Tree},
    units::Time,
};
use crate::{
    expr::{CompileError, Template},
    model::Code,
};

/// The longest attempt timeout.
pub const ATTEMPT_MAX: Duration = Duration::from_secs(600);
/// Headers that the request path writes itself.
const OWN_HEADERS: [&str; 7] =
    ["authorization", "host", "content-length", "transfer-encoding", "connection", "accept-encoding", "te"];

/// The parts of a request as typed.
pub struct RawRequest<'a> {
    pub method: Method,
    pub path: &'a Spanned<Source>,
    pub query: &'a Named<Spanned<Source>>,
    pub headers: &'a Named<Spanned<Source>>,
    pub timeout: Option<&'a Spanned<Time>>,
}

impl Check<'_> {
    pub fn request(&self, raw: &RawRequest<'_>, body: Option<Body>, roots: &[&str]) -> Option<RequestPlan> {
        let path = self.route(raw.path, roots);
        let query = self.query(raw.query, roots);
        let headers = self.headers(raw.headers, roots);
        let timeout = raw.timeout.map(|timeout| self.attempt(timeout));
        let route = Arc::from(raw.path.value.0.as_str());
        Some(RequestPlan { method: raw.method.clone(), route, path: path?, query, headers, body, timeout })
    }

    fn attempt(&self, timeout: &Spanned<Time>) -> Duration {
        self.time(Some(timeout), Duration::from_secs(5), Duration::from_millis(1)..=ATTEMPT_MAX)
    }

    fn route(&self, path: &Spanned<Source>, roots: &[&str]) -> Option<Template> {
        let text = &path.value.0;
        if !text.starts_with('/') || text.starts_with("//") || text.contains(['?', '#', '\\']) || has_space(text) {
            let message = "this is no path";
            let help = "begin with one `/`, such as /v1/customers; parameters belong under `query:`";
            self.report(Problem::new(Code::BadPath, path.span, message).help(help));
        }
        self.template(path, roots)
    }

    fn query(&self, query: &Named<Spanned<Source>>, roots: &[&str]) -> Vec<(String, Template)> {
        let one = |(name, value): &(Spanned<String>, Spanned<Source>)| {
            self.template(value, roots).map(|template| (name.value.clone(), template))
        };
        query.iter().filter_map(one).collect()
    }

    pub fn headers(&self, headers: &Named<Spanned<Source>>, roots: &[&str]) -> Vec<(HeaderName, Template)> {
        headers.iter().filter_map(|(name, value)| self.one_header(name, value, roots)).collect()
    }

    fn one_header(
        &self,
        name: &Spanned<String>,
        value: &Spanned<Source>,
        roots: &[&str],
    ) -> Option<(HeaderName, Template)> {
        let header = self.header(name);
        let template = self.template(value, roots);
        if header.as_ref().is_some_and(|header| OWN_HEADERS.contains(&header.as_str())) {
            let help = if name.value.eq_ignore_ascii_case("authorization") { "use `auth:`" } else { "remove it" };
            self.conflict(name.span, format!("the header `{}` is set by renkei itself", name.value), help);
        }
        let text = &value.value.0;
        if text.chars().any(|c| c.is_control() && c != '\t') {
            let problem = Problem::new(Code::BadPath, value.span, "a header's value must be one line");
            self.report(problem.help("remove the line break"));
        }
        Some((header?, template?))
    }

    pub fn body(&self, body: &RawBody, roots: &[&str]) -> Option<Body> {
        match body {
            RawBody::Json(tree) => self.tree(tree, roots).map(Body::Json),
            RawBody::Form(tree) => {
                if !matches!(tree.value, Tree::Map(_)) && !is_single_hole(&tree.value) {
                    let problem = Problem::new(Code::WrongType, tree.span, "a form is a map of fields");
                    self.report(problem.help("write `form: { name: .. }`"));
                }
                self.tree(tree, roots).map(Body::Form)
            }
        }
    }

    /// A tree with holes. A text that is exactly one `{{ expression }}` becomes the value itself.
    pub fn tree(&self, tree: &Spanned<Tree>, roots: &[&str]) -> Option<Node> {
        match &tree.value {
            Tree::Null => Some(Node::Literal("null".to_owned())),
            Tree::Bool(value) => Some(Node::Literal(value.to_string())),
            Tree::Number(number) => Some(Node::Literal(number.0.clone())),
            Tree::Text(text) => {
                let template = self.template(&Spanned { value: text.clone(), span: tree.span }, roots)?;
                Some(template.single().cloned().map_or(Node::Text(template), Node::Value))
            }
            Tree::List(items) => {
                let nodes: Vec<Option<Node>> = items.iter().map(|item| self.tree(item, roots)).collect();
                nodes.into_iter().collect::<Option<Vec<Node>>>().map(Node::List)
            }
            Tree::Map(entries) => {
                let node =
                    |(name, value): &(Spanned<String>, Spanned<Tree>)| (name.value.clone(), self.tree(value, roots));
                let nodes: Vec<(String, Option<Node>)> = entries.iter().map(node).collect();
                let whole: Option<Vec<(String, Node)>> =
                    nodes.into_iter().map(|(name, node)| node.map(|node| (name, node))).collect();
                whole.map(Node::Object)
            }
        }
    }
}

fn is_single_hole(tree: &Tree) -> bool {
    matches!(tree, Tree::Text(text) if Template::compile(&text.0).is_ok_and(|template| template.single().is_some()))
}

/// White space outside of `{{ }}`.
fn has_space(path: &str) -> bool {
    let mut rest = path;
    while let Some((before, after)) = rest.split_once("{{") {
        if before.contains(char::is_whitespace) {
            return true;
        }
        rest = after.split_once("}}").map_or("", |(_, after)| after);
    }
    rest.contains(char::is_whitespace)
}

/// Whether a request uses a variable anywhere.
pub fn uses(request: &RequestPlan, root: &str) -> bool {
    let in_template = |template: &Template| template.roots().iter().any(|name| name == root);
    in_template(&request.path)
        || request.query.iter().any(|(_, template)| in_template(template))
        || request.headers.iter().any(|(_, template)| in_template(template))
        || match &request.body {
            Some(Body::Json(node) | Body::Form(node)) => uses_in(node, root),
            None => false,
        }
}

/// The first field of a variable that is used anywhere in a request and is not among the known ones.
pub fn unknown_field(request: &RequestPlan, root: &str, known: &[&str], lead: &str) -> Result<(), CompileError> {
    let templates = [&request.path].into_iter().chain(request.query.iter().map(|(_, template)| template));
    let mut templates = templates.chain(request.headers.iter().map(|(_, template)| template));
    templates.try_for_each(|template| template.check_fields(root, known, lead))?;
    match &request.body {
        Some(Body::Json(node) | Body::Form(node)) => unknown_field_in(node, root, known, lead),
        None => Ok(()),
    }
}

fn unknown_field_in(node: &Node, root: &str, known: &[&str], lead: &str) -> Result<(), CompileError> {
    match node {
        Node::Literal(_) => Ok(()),
        Node::Text(template) => template.check_fields(root, known, lead),
        Node::Value(expression) => expression.check_fields(root, known, lead),
        Node::Object(entries) => entries.iter().try_for_each(|(_, node)| unknown_field_in(node, root, known, lead)),
        Node::List(nodes) => nodes.iter().try_for_each(|node| unknown_field_in(node, root, known, lead)),
    }
}

/// Whether a tree uses a variable anywhere.
pub fn uses_in(node: &Node, root: &str) -> bool {
    match node {
        Node::Literal(_) => false,
        Node::Text(template) => template.roots().iter().any(|name| name == root),
        Node::Value(expression) => expression.roots().iter().any(|name| name == root),
        Node::Object(entries) => entries.iter().any(|(_, node)| uses_in(node, root)),
        Node::List(nodes) => nodes.iter().any(|node| uses_in(node, root)),
    }
}
