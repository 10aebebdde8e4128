//! One compiled expression. A plain path never meets the interpreter: its value is the very bytes of the record.

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, OnceLock},
};

use minijinja::{
    Error, ErrorKind,
    value::{Object, Value, ValueKind},
};

use super::{
    CompileError, EvalError, Scope, json,
    library::{environment, no_value, text_of, type_name},
    raw,
    rewrite::{Slot, rewrite},
    scope::RECORD,
    token::tokens,
};
use crate::model::{Code, Path, Step};

/// A longer text is refused.
const TEXT_BYTES_MAX: usize = 16 * 1024;
/// More names, numbers, texts and signs are refused. Each may nest one level deeper, and the interpreter's compiler works
/// on the stack: 6,000 of them overflow it.
const WORDS_MAX: usize = 1000;

/// A checked expression. Cloning is cheap.
///
/// The interpreter's program takes 10 kB, however short the text is. So it is made when the expression is used first, and who uses
/// it for a while and not for good takes a [`fresh`](Self::fresh) one: ten thousand pipelines that wait for their time cost texts.
#[derive(Clone)]
pub struct Expression(Arc<Compiled>);

struct Compiled {
    text: String,
    program: Program,
    slots: Vec<Slot>,
    roots: Vec<String>,
    plain: Option<Path>,
}

enum Program {
    /// The one slot is the value.
    Slot,
    /// What the interpreter is given, and what it made of it.
    Code { text: String, made: OnceLock<Made> },
}

type Made = minijinja::Expression<'static, 'static>;

impl Expression {
    /// Checks the text. Unknown filters, tests and functions are found here; which variables exist is for the caller to
    /// say, see [`Expression::check_roots`].
    pub fn compile(text: &str) -> Result<Self, CompileError> {
        if text.trim().is_empty() {
            return Err(CompileError::new("an expression cannot be empty", 0..text.len()));
        }
        if text.len() > TEXT_BYTES_MAX {
            return Err(CompileError::new("an expression cannot be longer than 16 KiB", 0..text.len()));
        }
        if tokens(text).is_ok_and(|words| words.len() > WORDS_MAX) {
            return Err(CompileError::new("an expression cannot have more than 1,000 words and signs", 0..text.len()));
        }
        syntax(text)?;
        let rewritten = rewrite(text)?;
        let made = environment().compile_expression_owned(rewritten.text.clone());
        drop(made.map_err(|_| CompileError::new("the expression is nested too deeply", 0..text.len()))?);
        let plain_slot = rewritten.text == "s0";
        let code = || Program::Code { text: rewritten.text.clone(), made: OnceLock::new() };
        let mut roots: Vec<String> = rewritten.slots.iter().map(|slot| slot.root.clone()).collect();
        roots.sort();
        roots.dedup();
        Ok(Self(Arc::new(Compiled {
            text: text.trim().to_owned(),
            program: if plain_slot { Program::Slot } else { code() },
            plain: rewritten.slots.first().filter(|_| plain_slot).and_then(plain_path),
            slots: rewritten.slots,
            roots,
        })))
    }

    /// The same, for a while: the program that it needs is made for it alone, and goes with it.
    pub fn fresh(&self) -> Self {
        let Compiled { text, program, slots, roots, plain } = &*self.0;
        let Program::Code { text: code, .. } = program else { return self.clone() };
        let program = Program::Code { text: code.clone(), made: OnceLock::new() };
        let (text, slots, roots, plain) = (text.clone(), slots.clone(), roots.clone(), plain.clone());
        Self(Arc::new(Compiled { text, program, slots, roots, plain }))
    }

    /// The text it was compiled from.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// The names of the variables it uses, sorted.
    pub fn roots(&self) -> &[String] {
        &self.0.roots
    }

    /// Finds the first variable that is not among the known ones.
    pub fn check_roots(&self, known: &[&str]) -> Result<(), CompileError> {
        let Some(slot) = self.0.slots.iter().find(|slot| !known.contains(&slot.root.as_str())) else {
            return Ok(());
        };
        let error = CompileError::new(format!("unknown variable `{}`", slot.root), slot.at.clone());
        Err(match super::names::nearest(&slot.root, known) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None if known.contains(&RECORD) => error.help(format!(
                "a field is written record.{0}, a text is written in quotes: \"{0}\"; known here: {1}",
                slot.root,
                known.join(", ")
            )),
            None => error.help(format!("known here: {}", known.join(", "))),
        })
    }

    /// Finds the first field of the variable `root` that is not among the known ones.
    pub fn check_fields(&self, root: &str, known: &[&str], lead: &str) -> Result<(), CompileError> {
        let unknown = self.0.slots.iter().filter(|slot| slot.root == root).find_map(|slot| match slot.steps.first() {
            Some(Step::Field(name)) if !known.contains(&name.as_str()) => Some((name, &slot.at)),
            _ => None,
        });
        let Some((name, at)) = unknown else { return Ok(()) };
        let error = CompileError::new(format!("unknown {lead} `{root}.{name}`"), at.clone());
        Err(match super::names::nearest(name, known) {
            Some(near) => error.help(format!("did you mean `{root}.{near}`?")),
            None if known.is_empty() => error.help(format!("no {lead} is declared")),
            None => error.help(format!("declared: {}", known.join(", "))),
        })
    }

    /// The path inside the record, when the expression is nothing but one. Its value is the record's own bytes.
    pub fn plain_path(&self) -> Option<&Path> {
        self.0.plain.as_ref()
    }

    /// The places in the record that it looks at.
    pub fn record_steps(&self) -> impl Iterator<Item = &[Step]> {
        self.0.slots.iter().filter(|slot| slot.root == RECORD).map(|slot| &slot.steps[..])
    }

    /// The result as JSON text. Nothing: the result is absent, as is a field that the record does not have; JSON null is
    /// present.
    pub fn evaluate_json<'s>(&self, scope: &'s Scope<'_>) -> Result<Option<Cow<'s, str>>, EvalError> {
        match &self.0.program {
            Program::Slot => {
                Ok(self.0.slots.first().and_then(|slot| scope.find(&slot.root, &slot.steps)).map(Cow::Borrowed))
            }
            Program::Code { text, made } => {
                let value = self.run(self.made(text, made)?, scope)?;
                Ok(json::text(&value).map_err(|error| self.failed(&error))?.map(Cow::Owned))
            }
        }
    }

    /// The result, which must be true or false.
    pub fn evaluate_bool(&self, scope: &Scope<'_>) -> Result<bool, EvalError> {
        let value = self.value(scope)?;
        if value.kind() == ValueKind::Bool {
            return Ok(value.is_true());
        }
        let help = if no_value(&value) { "; write `... | default(false)` or `... is not none`" } else { "" };
        Err(self.error(format!("must be true or false, but is {}{help}", type_name(&value))))
    }

    /// The text of the result: a text as it is, a number or boolean as JSON writes it. Nothing: null or absent.
    pub fn evaluate_text(&self, scope: &Scope<'_>) -> Result<Option<String>, EvalError> {
        let value = self.value(scope)?;
        if no_value(&value) {
            return Ok(None);
        }
        text_of(&value).map(|text| Some(text.into_owned())).map_err(|error| self.failed(&error))
    }

    fn value(&self, scope: &Scope<'_>) -> Result<Value, EvalError> {
        match &self.0.program {
            Program::Slot => Ok(self.0.slots.first().map_or(Value::UNDEFINED, |slot| load(slot, scope))),
            Program::Code { text, made } => self.run(self.made(text, made)?, scope),
        }
    }

    fn made<'p>(&self, text: &str, made: &'p OnceLock<Made>) -> Result<&'p Made, EvalError> {
        if let Some(made) = made.get() {
            return Ok(made);
        }
        // It was made once before, to see that it can be.
        let program = environment().compile_expression_owned(text.to_owned()).map_err(|error| self.failed(&error))?;
        Ok(made.get_or_init(|| program))
    }

    fn run(&self, made: &Made, scope: &Scope<'_>) -> Result<Value, EvalError> {
        let values = Slots(self.0.slots.iter().map(|slot| load(slot, scope)).collect());
        made.eval(Value::from_object(values)).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &Error) -> EvalError {
        let code = match error.kind() {
            ErrorKind::OutOfFuel | ErrorKind::WriteFailure => Code::FuelSpent,
            _ => Code::Evaluation,
        };
        let message = match error.kind() {
            ErrorKind::OutOfFuel => "ran too long".to_owned(),
            kind => error.detail().map_or_else(|| kind.to_string(), str::to_owned),
        };
        EvalError::new(code, &self.0.text, message)
    }

    fn error(&self, message: String) -> EvalError {
        EvalError::new(Code::Evaluation, &self.0.text, message)
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.0.text).finish()
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text
    }
}

/// Lets the language's own parser judge the text first, because its messages come with the place.
fn syntax(text: &str) -> Result<(), CompileError> {
    let mut judge = minijinja::Environment::empty();
    judge.set_debug(true);
    let Err(error) = judge.compile_expression(text) else {
        return Ok(());
    };
    let message = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    let error = CompileError { message, offset: error.range(), help: None };
    let c_like = [("&&", "and"), ("||", "or")].into_iter().find(|(sign, _)| text.contains(sign));
    Err(match c_like {
        Some((_, word)) => error.help(format!("write `{word}`")),
        None if text.contains("{{") => error.help("an expression stands bare here, without {{ }}"),
        None => error,
    })
}

fn plain_path(slot: &Slot) -> Option<Path> {
    if slot.root == RECORD { Path::of(&slot.steps) } else { None }
}

fn load(slot: &Slot, scope: &Scope<'_>) -> Value {
    scope.find(&slot.root, &slot.steps).map_or(Value::UNDEFINED, raw::value)
}

/// The values of the slots `s0`, `s1`, ... as the interpreter's context.
struct Slots(Vec<Value>);

/// Debug hides the values: they belong to a record.
impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slots({})", self.0.len())
    }
}

impl Object for Slots {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let number: usize = key.strip_prefix('s')?.parse().ok()?;
        self.0.get(number).cloned()
    }
}
