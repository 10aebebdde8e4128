//! Turns an expression as a person wrote it into one whose names are all known and whose operators are ours.
//!
//! The parser of minijinja has accepted the text before, so this one follows the same grammar without its error
//! messages. It does three things. A variable with the steps after it (`record.address.city`) becomes one slot, which
//! is looked up in the raw JSON: an absent step in the middle is then simply absent, and no tree is built. Operators
//! become calls of `ops.rs`. And every filter, test and function is checked against the lists, here and not when the
//! ten-thousandth record reaches it.

use std::ops::Range;

use super::{
    CompileError, library,
    names::{check, method, misfit},
    token::{Kind, Token, tokens},
};
use crate::model::Step;

/// A variable with its steps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Slot {
    pub root: String,
    pub steps: Vec<Step>,
    /// Where the root stands in the text.
    pub at: Range<usize>,
}

#[derive(Debug)]
pub struct Rewritten {
    pub text: String,
    pub slots: Vec<Slot>,
}

pub fn rewrite(text: &str) -> Result<Rewritten> {
    let mut rewriter = Rewriter { text, tokens: tokens(text)?, next: 0, slots: Vec::new() };
    let rewritten = rewriter.ternary()?;
    match rewriter.tokens.get(rewriter.next) {
        None => Ok(Rewritten { text: rewritten, slots: rewriter.slots }),
        Some(_) => Err(rewriter.strange()),
    }
}

type Result<T> = std::result::Result<T, CompileError>;

const KEYWORDS: [&str; 8] = ["and", "or", "not", "in", "is", "if", "else", "for"];

struct Rewriter<'t> {
    text: &'t str,
    tokens: Vec<Token>,
    next: usize,
    slots: Vec<Slot>,
}

impl Rewriter<'_> {
    fn ternary(&mut self) -> Result<String> {
        let mut value = self.any_of()?;
        while self.take("if") {
            let test = self.any_of()?;
            let other = if self.take("else") { format!(" else {}", self.ternary()?) } else { String::new() };
            value = format!("({value} if {test}{other})");
        }
        Ok(value)
    }

    fn any_of(&mut self) -> Result<String> {
        let mut value = self.all_of()?;
        while self.take("or") {
            value = format!("{value} or {}", self.all_of()?);
        }
        Ok(value)
    }

    fn all_of(&mut self) -> Result<String> {
        let mut value = self.inverse()?;
        while self.take("and") {
            value = format!("{value} and {}", self.inverse()?);
        }
        Ok(value)
    }

    fn inverse(&mut self) -> Result<String> {
        if self.take("not") {
            return Ok(format!("not {}", self.inverse()?));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<String> {
        let first = self.sum()?;
        let mut parts = first.clone();
        loop {
            let sign = match self.word() {
                "not" if self.word_at(1) == "in" => {
                    self.next += 1;
                    "not in"
                }
                sign @ ("==" | "!=" | "<" | "<=" | ">" | ">=" | "in") => sign,
                _ => break,
            }
            .to_owned();
            self.next += 1;
            parts = format!("{parts}, \"{sign}\", {}", self.sum()?);
        }
        Ok(if parts.len() == first.len() { first } else { format!("_compare({parts})") })
    }

    fn sum(&mut self) -> Result<String> {
        self.chain(&["+", "-"], Self::concat)
    }

    fn concat(&mut self) -> Result<String> {
        let first = self.product()?;
        if self.word() != "~" {
            return Ok(first);
        }
        let mut parts = first;
        while self.take("~") {
            parts = format!("{parts}, {}", self.product()?);
        }
        Ok(format!("_concat({parts})"))
    }

    fn product(&mut self) -> Result<String> {
        self.chain(&["*", "/", "//", "%"], Self::power)
    }

    fn power(&mut self) -> Result<String> {
        self.chain(&["**"], Self::operand)
    }

    /// Operands with one of the signs between them, calculated from left to right.
    fn chain(&mut self, signs: &[&str], operand: fn(&mut Self) -> Result<String>) -> Result<String> {
        let first = operand(self)?;
        let mut parts = first.clone();
        while let Some(sign) = signs.iter().find(|sign| self.word() == **sign) {
            self.next += 1;
            parts = format!("{parts}, \"{sign}\", {}", operand(self)?);
        }
        Ok(if parts.len() == first.len() { first } else { format!("_math({parts})") })
    }

    fn operand(&mut self) -> Result<String> {
        let mut value = self.signed()?;
        loop {
            if self.take("|") {
                value = self.filter(&value)?;
            } else if self.take("is") {
                value = self.test(&value)?;
            } else {
                return Ok(value);
            }
        }
    }

    fn signed(&mut self) -> Result<String> {
        if !self.take("-") {
            return self.postfix();
        }
        let positive = self.signed()?;
        let literal = positive.bytes().all(|byte| byte.is_ascii_digit());
        Ok(if literal { format!("-{positive}") } else { format!("_negate({positive})") })
    }

    fn filter(&mut self, value: &str) -> Result<String> {
        let (name, at) = self.name("the name of a filter")?;
        check("filter", &name, at.clone(), library::filters())?;
        let (arguments, probe) =
            if self.word() == "(" { self.arguments(given_name(&name))? } else { Default::default() };
        library::accepts(&format!("none|{name}({probe})")).map_err(|trouble| misfit("filter", &name, trouble, at))?;
        Ok(format!("{value}|{name}({arguments})"))
    }

    fn test(&mut self, value: &str) -> Result<String> {
        let not = if self.take("not") { "not " } else { "" };
        let (name, at) = self.name("the name of a test")?;
        check("test", &name, at.clone(), library::tests())?;
        let bare = match self.kind() {
            Some(Kind::Name) => !KEYWORDS.contains(&self.word()),
            kind => matches!(kind, Some(Kind::Text | Kind::Number)),
        };
        let (arguments, probe) = match self.word() {
            "(" => self.arguments(None)?,
            _ if bare => (self.signed()?, "none".to_owned()),
            _ => Default::default(),
        };
        library::accepts(&format!("none is {name}({probe})")).map_err(|trouble| misfit("test", &name, trouble, at))?;
        Ok(format!("({value} is {not}{name}({arguments}))"))
    }

    /// What stands in parentheses after a name, without them, and the same with `none` for every value. `names` says of
    /// what the first text is a name.
    fn arguments(&mut self, names: Option<&str>) -> Result<(String, String)> {
        self.next += 1;
        let (mut all, mut probe): (Vec<String>, Vec<String>) = Default::default();
        while !self.take(")") {
            if let (true, Some(what)) = (all.is_empty(), names) {
                self.check_given_name(what)?;
            }
            let keyword = self.word_at(1) == "=" && self.kind() == Some(Kind::Name);
            let prefix = if keyword { format!("{}=", self.word()) } else { String::new() };
            self.next += if keyword { 2 } else { 0 };
            if matches!(self.word(), "*" | "**") {
                return Err(self.strange());
            }
            probe.push(format!("{prefix}none"));
            all.push(prefix + &self.ternary()?);
            if !self.take(",") && self.word() != ")" {
                return Err(self.strange());
            }
        }
        Ok((all.join(", "), probe.join(", ")))
    }

    /// `map("lower")` names a filter in a text.
    fn check_given_name(&self, what: &str) -> Result<()> {
        let Some(token) = self.tokens.get(self.next).filter(|token| token.kind == Kind::Text) else {
            return Ok(());
        };
        let inside = token.at.start + 1..token.at.end - 1;
        let name = self.text[inside.clone()].to_owned();
        if what == "filter" {
            check(what, &name, inside, library::filters())
        } else {
            check(what, &name, inside, library::tests())
        }
    }

    fn postfix(&mut self) -> Result<String> {
        let mut value = self.primary()?;
        loop {
            if self.take(".") {
                let number = self.kind() == Some(Kind::Number);
                let (name, at) = self.next_word();
                if self.word() == "(" {
                    return Err(method(&name, at));
                }
                value = if number { format!("_get({value}, {name})") } else { format!("_get({value}, \"{name}\")") };
            } else if self.take("[") {
                value = self.subscript(&value)?;
            } else {
                return Ok(value);
            }
        }
    }

    fn subscript(&mut self, value: &str) -> Result<String> {
        let start = if self.word() == ":" { "none".to_owned() } else { self.ternary()? };
        if self.take("]") {
            return Ok(format!("_get({value}, {start})"));
        }
        if !self.take(":") {
            return Err(self.strange());
        }
        let stop = if self.word() == "]" { "none".to_owned() } else { self.ternary()? };
        if !self.take("]") {
            let at = self.here();
            return Err(
                CompileError::new("a slice has no step here", at).help("a slice is [start:stop]; see also reverse")
            );
        }
        Ok(format!("_slice({value}, {start}, {stop})"))
    }

    fn primary(&mut self) -> Result<String> {
        let Some(token) = self.tokens.get(self.next).cloned() else {
            return Err(self.strange());
        };
        let word = self.text[token.at.clone()].to_owned();
        self.next += 1;
        match (token.kind, word.as_str()) {
            (Kind::Number | Kind::Text, _) => Ok(word),
            (Kind::Name, "true" | "True") => Ok("true".to_owned()),
            (Kind::Name, "false" | "False") => Ok("false".to_owned()),
            (Kind::Name, "none" | "None" | "null") => Ok("none".to_owned()),
            (Kind::Name, _) if self.word() == "(" => {
                check("function", &word, token.at.clone(), library::functions())?;
                let (arguments, probe) = self.arguments(None)?;
                library::accepts(&format!("{word}({probe})"))
                    .map_err(|trouble| misfit("function", &word, trouble, token.at))?;
                Ok(format!("{word}({arguments})"))
            }
            (Kind::Name, _) if !KEYWORDS.contains(&word.as_str()) => self.variable(word, token.at),
            (Kind::Sign, "(") => self.group(),
            (Kind::Sign, "[") => Ok(format!("[{}]", self.list("]")?)),
            (Kind::Sign, "{") => self.object(),
            _ => {
                self.next -= 1;
                Err(self.strange())
            }
        }
    }

    /// A variable with all the steps that are known now; what depends on other values stays a `_get`.
    fn variable(&mut self, root: String, at: Range<usize>) -> Result<String> {
        let mut steps = Vec::new();
        loop {
            let step = match (self.word(), self.kind_at(1)) {
                (".", Some(Kind::Name)) => Step::Field(self.word_at(1).to_owned()),
                (".", Some(Kind::Number)) => Step::Item(self.index_at(1)?),
                ("[", Some(Kind::Number)) if self.word_at(2) == "]" => Step::Item(self.index_at(1)?),
                ("[", Some(Kind::Text)) if self.word_at(2) == "]" => match plain_text(self.word_at(1)) {
                    Some(name) => Step::Field(name.to_owned()),
                    None => break,
                },
                _ => break,
            };
            let after = if self.word() == "[" { 3 } else { 2 };
            if self.word_at(after) == "(" {
                let at = self.tokens[self.next + 1].at.clone();
                return Err(method(&self.text[at.clone()], at));
            }
            self.next += after;
            steps.push(step);
        }
        let known = self.slots.iter().position(|slot| slot.root == root && slot.steps == steps);
        let number = known.unwrap_or_else(|| {
            self.slots.push(Slot { root, steps, at });
            self.slots.len() - 1
        });
        Ok(format!("s{number}"))
    }

    /// An expression in parentheses. With commas it is a tuple, which is a list to JSON, so it is one here.
    fn group(&mut self) -> Result<String> {
        if self.take(")") {
            return Ok("[]".to_owned());
        }
        let first = self.ternary()?;
        if self.take(")") {
            return Ok(format!("({first})"));
        }
        if !self.take(",") {
            return Err(self.strange());
        }
        Ok(format!("[{first}, {}]", self.list(")")?))
    }

    fn list(&mut self, end: &str) -> Result<String> {
        let mut items = Vec::new();
        while !self.take(end) {
            items.push(self.ternary()?);
            if !self.take(",") && self.word() != end {
                return Err(self.strange());
            }
        }
        Ok(items.join(", "))
    }

    fn object(&mut self) -> Result<String> {
        let mut fields = Vec::new();
        while !self.take("}") {
            let literal = self.kind() == Some(Kind::Text) && self.word_at(1) == ":";
            let name = self.ternary()?;
            let name = if literal { name } else { format!("_name({name})") };
            if !self.take(":") {
                return Err(self.strange());
            }
            fields.push(format!("{name}: {}", self.ternary()?));
            if !self.take(",") && self.word() != "}" {
                return Err(self.strange());
            }
        }
        Ok(format!("{{{}}}", fields.join(", ")))
    }

    fn name(&mut self, what: &str) -> Result<(String, Range<usize>)> {
        if self.kind() != Some(Kind::Name) {
            return Err(CompileError::new(format!("{what} is missing"), self.here()));
        }
        Ok(self.next_word())
    }

    fn next_word(&mut self) -> (String, Range<usize>) {
        let at = self.here();
        self.next += 1;
        (self.text[at.clone()].to_owned(), at)
    }

    fn index_at(&self, ahead: usize) -> Result<usize> {
        let at = self.tokens[self.next + ahead].at.clone();
        let index = self.text[at.clone()].parse();
        index.map_err(|_| CompileError::new("the index of an item is a whole number", at))
    }

    fn take(&mut self, word: &str) -> bool {
        let taken = self.word() == word;
        self.next += usize::from(taken);
        taken
    }

    /// The word at hand; at the end of the text an empty one. A text literal keeps its quotes, so it is no keyword.
    fn word(&self) -> &str {
        self.word_at(0)
    }

    fn word_at(&self, ahead: usize) -> &str {
        self.tokens.get(self.next + ahead).map_or("", |token| &self.text[token.at.clone()])
    }

    fn kind(&self) -> Option<Kind> {
        self.kind_at(0)
    }

    fn kind_at(&self, ahead: usize) -> Option<Kind> {
        self.tokens.get(self.next + ahead).map(|token| token.kind)
    }

    fn here(&self) -> Range<usize> {
        self.tokens.get(self.next).map_or(self.text.len()..self.text.len(), |token| token.at.clone())
    }

    fn strange(&self) -> CompileError {
        match self.word() {
            "" => CompileError::new("the expression ends too early", self.here()),
            word => CompileError::new(format!("`{word}` cannot stand here"), self.here()),
        }
    }
}

/// Of what the first text argument of this filter is a name.
fn given_name(filter: &str) -> Option<&'static str> {
    match filter {
        "map" => Some("filter"),
        "select" | "reject" => Some("test"),
        _ => None,
    }
}

/// What stands between the quotes, unless it has escapes.
fn plain_text(literal: &str) -> Option<&str> {
    let inner = literal.get(1..literal.len().checked_sub(1)?)?;
    (!inner.contains('\\')).then_some(inner)
}
