//! The only file that knows the YAML library. It turns text into a tree with places, inside fixed bounds, and refuses
//! what would be read differently by different readers: duplicate keys, tags, several documents.
//!
//! It uses the library's event parser instead of its serde face, because only events give every scalar's own text, its
//! quotes and its place. Aliases share one node, so an alias bomb costs nothing to hold; the weight of a node says how
//! large it would be when followed, and that is bounded.

use std::{collections::HashMap, rc::Rc};

use serde_saphyr::granit_parser::{self, Event, Parser, ScalarStyle, ScanError};

use super::{
    diagnostic::Problem,
    node::{Dropped, Entry, Item, Node, Scalar, Value},
    source::Span,
};
use crate::model::Code;

/// A larger file is refused before it is parsed.
pub const FILE_BYTES_MAX: u64 = 1_000_000;
/// How much a tree may hold.
#[derive(Clone, Copy)]
pub struct Bounds {
    /// Maps and lists inside each other.
    pub depth: usize,
    /// Values with every alias followed.
    pub nodes: usize,
}

/// Of our own files.
const OWN: Bounds = Bounds { depth: 64, nodes: 100_000 };

/// Parses a file. Nothing comes back when there is no tree at all; duplicate keys are reported and their first value kept.
pub fn parse(file: u32, text: &str, problems: &mut Vec<Problem>) -> Option<Rc<Node>> {
    parse_within(file, text, OWN, problems)
}

/// Parses a text inside bounds of its own.
pub fn parse_within(file: u32, text: &str, bounds: Bounds, problems: &mut Vec<Problem>) -> Option<Rc<Node>> {
    let nesting = bounds.depth + 1;
    let options = granit_parser::options! { flow_nesting_limit: nesting, block_nesting_limit: nesting };
    let mut tree = Tree { file, bounds, open: Vec::new(), anchors: HashMap::new(), root: None, documents: 0, problems };
    for event in Parser::new_from_str_with_options(text, options) {
        let step = match event {
            Ok((event, span)) => {
                let range = span.byte_range().unwrap_or(0..0);
                tree.take(event, Span::new(file, range.start, range.end))
            }
            Err(error) => Err(syntax(file, text, bounds, &error)),
        };
        if let Err(problem) = step {
            tree.problems.push(*problem);
            return None;
        }
    }
    tree.root
}

struct Tree<'p> {
    file: u32,
    bounds: Bounds,
    open: Vec<Open>,
    anchors: HashMap<usize, Rc<Node>>,
    root: Option<Rc<Node>>,
    documents: usize,
    problems: &'p mut Vec<Problem>,
}

/// A list or map whose end has not come yet.
struct Open {
    start: Span,
    anchor: usize,
    weight: usize,
    inside: Inside,
}

enum Inside {
    List(Vec<Item>),
    Map { entries: Vec<Entry>, at: HashMap<String, usize>, key: Option<(String, Span)> },
}

type Step = Result<(), Box<Problem>>;

impl Tree<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Step {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    let problem = Problem::new(Code::YamlSyntax, span, "a second document in one file");
                    return Err(Box::new(problem.help("keep one document per file and remove the `---` between them")));
                }
                Ok(())
            }
            Event::Scalar(_, _, _, Some(tag))
            | Event::SequenceStart(_, _, Some(tag))
            | Event::MappingStart(_, _, Some(tag)) => {
                let problem =
                    Problem::new(Code::YamlSyntax, span, format!("the tag `{}` is not used here", tag.original()));
                Err(Box::new(problem.help("remove the tag; quote a value to make it text")))
            }
            Event::Scalar(text, style, anchor, None) => {
                let scalar = Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain };
                self.add(Node { span, value: Value::Scalar(scalar), weight: 1 }, anchor)
            }
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(Box::new(Problem::new(
                        Code::YamlSyntax,
                        span,
                        "an alias inside the value it stands for",
                    )));
                };
                self.place(node, span)
            }
            Event::SequenceStart(_, anchor, None) => self.begin(span, anchor, Inside::List(Vec::new())),
            Event::MappingStart(_, anchor, None) => {
                self.begin(span, anchor, Inside::Map { entries: Vec::new(), at: HashMap::new(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, start: Span, anchor: usize, inside: Inside) -> Step {
        if self.open.len() >= self.bounds.depth {
            return Err(Box::new(too_deep(start, self.bounds)));
        }
        self.open.push(Open { start, anchor, weight: 1, inside });
        Ok(())
    }

    fn end(&mut self, span: Span) -> Step {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let value = match open.inside {
            Inside::List(items) => Value::List(items),
            Inside::Map { entries, .. } => Value::Map(entries),
        };
        let span = Span { end: span.end.max(open.start.end), ..open.start };
        self.add(Node { span, value, weight: open.weight }, open.anchor)
    }

    fn add(&mut self, node: Node, anchor: usize) -> Step {
        let span = node.span;
        let node = Rc::new(node);
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        self.place(node, span)
    }

    /// Puts a finished value where it belongs.
    fn place(&mut self, node: Rc<Node>, span: Span) -> Step {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.weight += node.weight;
        if open.weight > self.bounds.nodes {
            let message = format!("more than {} values, aliases followed", self.bounds.nodes);
            let help = "write the values out, or split the file";
            return Err(Box::new(Problem::new(Code::YamlBudget, span, message).help(help)));
        }
        match &mut open.inside {
            Inside::List(items) => items.push(Item { node, dropped: Dropped::default() }),
            Inside::Map { entries, at, key } => match key.take() {
                None => *key = Some(key_text(&node, span)?),
                Some((key, key_span)) => {
                    if let Some(first) = at.get(&key).and_then(|at| entries.get(*at)) {
                        let message = format!("the key `{key}` stands twice in one map");
                        let problem = Problem::new(Code::DuplicateKey, key_span, message)
                            .help("keep one of the two; which one was meant cannot be guessed")
                            .related(first.key_span, "it stands here first");
                        self.problems.push(problem);
                    } else {
                        at.insert(key.clone(), entries.len());
                        entries.push(Entry { key, key_span, node, dropped: Dropped::default() });
                    }
                }
            },
        }
        debug_assert_eq!(self.file, span.file);
        Ok(())
    }
}

fn key_text(node: &Node, span: Span) -> Result<(String, Span), Box<Problem>> {
    match &node.value {
        Value::Scalar(scalar) => Ok((scalar.text.clone(), span)),
        _ => Err(Box::new(
            Problem::new(Code::YamlSyntax, span, "a key that is a list or a map").help("keys are plain words"),
        )),
    }
}

fn too_deep(span: Span, bounds: Bounds) -> Problem {
    Problem::new(Code::YamlBudget, span, format!("more than {} maps and lists inside each other", bounds.depth))
        .help("nothing that renkei reads needs such depth; look for a bracket that is never closed")
}

fn syntax(file: u32, text: &str, bounds: Bounds, error: &ScanError) -> Box<Problem> {
    let mut at = error.marker().byte_offset().unwrap_or(0).min(text.len());
    // A tab is noticed at the end of the line before it.
    if let Some(next) = text.get(at..).and_then(|rest| rest.find('\n')).map(|end| at + end + 1)
        && text[next..].trim_start_matches(' ').starts_with('\t')
    {
        at = next;
    }
    let span = Span::new(file, at, at);
    if matches!(error.kind(), granit_parser::ErrorKind::RecursionLimitExceeded) {
        return Box::new(too_deep(span, bounds));
    }
    let line_start = text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let line = text.get(line_start..).and_then(|rest| rest.lines().next()).unwrap_or("");
    let help = if line.chars().take_while(|c| c.is_whitespace()).any(|c| c == '\t') {
        "indent with spaces; YAML does not allow tabs there"
    } else if line.contains("${") || line.contains("{{") {
        "put quotes around a text with ${...} or {{ }}; without them a brace begins a map"
    } else {
        "look at this line and the one before: a missing quote, colon, bracket or space of indentation"
    };
    Box::new(Problem::new(Code::YamlSyntax, span, error.info()).help(help))
}
