//! Whether a filter, test or function exists, and what was probably meant when it does not.

use std::ops::Range;

use super::{CompileError, library};

/// What people know under another name, from Jinja, Python, SQL or spreadsheets.
const CALLED_ELSEWHERE: [(&str, &str); 21] = [
    ("d", "`default`"),
    ("count", "`length`"),
    ("len", "`length`"),
    ("size", "`length`"),
    ("strip", "`trim`"),
    ("substring", "`slice(start, stop)`, or value[start:stop]"),
    ("substr", "`slice(start, stop)`, or value[start:stop]"),
    ("concat", "the operator `~`"),
    ("ifnull", "`default`"),
    ("nvl", "`coalesce`"),
    ("isnull", "the test `is none`"),
    ("selectattr", "`where(name, value)`"),
    ("strftime", "`date(layout)`"),
    ("strptime", "`parse_date(layout)`"),
    ("timestamp", "`to_epoch`"),
    ("format", "the operator `~`, or `fixed(digits)` for a number"),
    ("filter", "`select(test)` or `where(name, value)`"),
    ("md5", "`sha256`"),
    ("dictsort", "`items`"),
    ("startingwith", "`startswith`"),
    ("now", "not offered: the same record must give the same result on every run"),
];

/// Finds the name among the known ones.
pub fn check(
    what: &str,
    name: &str,
    at: Range<usize>,
    known: impl Iterator<Item = &'static str>,
) -> Result<(), CompileError> {
    let known: Vec<&str> = known.collect();
    if known.contains(&name) {
        return Ok(());
    }
    let error = CompileError::new(format!("unknown {what} `{name}`"), at);
    if let Some((_, here)) = CALLED_ELSEWHERE.iter().find(|(elsewhere, _)| *elsewhere == name) {
        return Err(error.help(format!("here it is {here}")));
    }
    if let Some(near) = nearest(name, &known) {
        return Err(error.help(format!("did you mean `{near}`?")));
    }
    // A filter called like a function, or the other way round, is the likeliest slip after a typing mistake.
    if what == "function" && library::filters().any(|filter| filter == name) {
        return Err(error.help(format!("`{name}` is a filter: write `value | {name}`")));
    }
    if what == "filter" && library::functions().any(|function| function == name) {
        return Err(error.help(format!("`{name}` is a function: write `{name}(value)`")));
    }
    Err(error.help("docs/expressions.md lists all filters, tests and functions"))
}

/// The known name that was probably meant.
pub fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let scored = known.iter().map(|candidate| (strsim::damerau_levenshtein(name, candidate), *candidate));
    let (distance, candidate) = scored.min()?;
    (distance <= 1 + name.chars().count() / 4).then_some(candidate)
}

/// The error for `value.name()`.
pub fn method(name: &str, at: Range<usize>) -> CompileError {
    CompileError::new(format!("values have no methods such as `{name}()`"), at)
        .help(format!("write `value | {name}` if there is such a filter"))
}

/// The error for a call with too few or too many arguments.
pub fn misfit(what: &str, name: &str, trouble: String, at: Range<usize>) -> CompileError {
    CompileError::new(format!("the {what} `{name}` {trouble}"), at)
        .help("docs/expressions.md shows each with an example")
}
