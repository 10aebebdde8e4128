//! What the compile steps share: reporting a problem at its place, and turning single values into what they mean. A value
//! that is wrong is reported and replaced by a harmless stand-in, so that the checks go on; a plan with problems is
//! never handed out.

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
    ops::RangeInclusive,
    path::{Path as FilePath, PathBuf},
    time::Duration,
};

use http::{HeaderName, StatusCode};
use url::Url;

use super::{
    compile_personal::Ground,
    diagnostic::Problem,
    fill::HOLE,
    read::Reading,
    shape::{Named, Source, Spanned},
    source::{Sources, Span, offset_in_source},
    suggest,
    units::{Size, Time},
};
use crate::{
    expr::{CompileError, Expression, Template},
    model::{Code, Path},
};

/// The longest name of a pipeline, in bytes. It is part of the keys in the store, beside a stream's name and a hash.
const PIPELINE_BYTES_MAX: usize = 100;

/// The longest name of a connection, stream, operation or setting.
const NAME_CHARS_MAX: usize = 64;

pub struct Check<'a> {
    pub sources: &'a Sources,
    pub reading: &'a Reading<'a>,
    /// Streams and operations that exist but cannot be used, by connector and name. Their own problems are reported.
    pub broken: RefCell<BTreeSet<(String, String)>>,
    /// The settings that the connector being compiled declares.
    pub settings: RefCell<Vec<String>>,
    /// What connectors and the workspace say about personal fields.
    pub personal: RefCell<Ground>,
    /// Where pushed records are taken in, once that is known.
    pub listens_at: RefCell<Option<std::net::SocketAddr>>,
    /// The state directory.
    pub scratch: RefCell<std::path::PathBuf>,
    /// Files of records' schemas.
    pub schemas: RefCell<Vec<PathBuf>>,
    /// Expressions by their texts.
    pub expressions: RefCell<HashMap<String, Expression>>,
}

impl<'a> Check<'a> {
    pub fn new(sources: &'a Sources, reading: &'a Reading<'a>) -> Self {
        Self {
            sources,
            reading,
            broken: RefCell::default(),
            settings: RefCell::default(),
            personal: RefCell::default(),
            listens_at: RefCell::default(),
            scratch: RefCell::default(),
            schemas: RefCell::default(),
            expressions: RefCell::default(),
        }
    }
}

impl Check<'_> {
    pub fn report(&self, problem: Problem) {
        self.reading.problems.borrow_mut().push(problem);
    }

    /// Reports something that `owner` does not hold, unless a part of it could not be read: then it may be there.
    pub fn absent(&self, owner: Span, problem: Problem) {
        if !self.reading.dropped.borrow().iter().any(|part| owner.holds(*part)) {
            self.report(problem);
        }
    }

    pub fn missing_key(&self, at: Span, owner: Span, key: &str, help: impl Into<String>) {
        self.absent(owner, Problem::new(Code::MissingKey, at, format!("the key `{key}` is missing")).help(help));
    }

    pub fn conflict(&self, at: Span, message: impl Into<String>, help: impl Into<String>) {
        self.report(Problem::new(Code::Conflict, at, message).help(help));
    }

    /// A name that nothing declares.
    pub fn unknown<'n>(
        &self,
        what: &str,
        name: &Spanned<String>,
        known: impl Iterator<Item = &'n str> + Clone,
        lead: &str,
    ) {
        if name.value.contains(HOLE) {
            return;
        }
        let help = suggest::or_list(&name.value, known, lead);
        self.report(Problem::new(Code::UnknownName, name.span, format!("unknown {what} `{}`", name.value)).help(help));
    }

    pub fn version(&self, version: &Spanned<u32>) {
        if version.value != 1 {
            let message = format!("version {} is not known", version.value);
            let help = "write `version: 1`; a newer version needs a newer renkei";
            self.report(Problem::new(Code::OutOfRange, version.span, message).help(help));
        }
    }

    pub fn names<T>(&self, what: &str, map: &Named<T>) {
        map.iter().for_each(|(name, _)| self.name(what, name));
    }

    pub fn name(&self, what: &str, name: &Spanned<String>) {
        let proper = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let text = &name.value;
        if text.is_empty() || text.len() > NAME_CHARS_MAX || !text.chars().all(proper) || text.starts_with('-') {
            let message = format!("`{text}` cannot be the name of a {what}");
            let help = format!("use up to {NAME_CHARS_MAX} letters, digits, `_` and `-`");
            self.report(Problem::new(Code::BadPath, name.span, message).help(help));
        }
    }

    /// A pipeline is named by its file, so every name that a file can have is good, if it is not too long.
    pub fn pipeline_name(&self, name: &str, file: u32) {
        if name.len() > PIPELINE_BYTES_MAX {
            let message = format!("the pipeline's name is {} bytes long", name.len());
            let help = format!("rename the file; a pipeline's name has {PIPELINE_BYTES_MAX} bytes at the most");
            self.report(Problem::new(Code::BadPath, Span::new(file, 0, 0), message).help(help));
        }
    }

    pub fn path(&self, path: &Spanned<String>) -> Path {
        if path.value.contains(HOLE) {
            return Path::whole();
        }
        Path::parse(&path.value).unwrap_or_else(|error| {
            let help = "write field names with dots between them, such as `data.items`, or `list[0].id`";
            self.report(Problem::new(Code::BadPath, path.span, error.to_string()).help(help));
            Path::whole()
        })
    }

    pub fn maybe_path(&self, path: Option<&Spanned<String>>) -> Option<Path> {
        path.map(|path| self.path(path))
    }

    pub fn header(&self, name: &Spanned<String>) -> Option<HeaderName> {
        if name.value.contains(HOLE) {
            return None;
        }
        let header = HeaderName::from_bytes(name.value.as_bytes()).ok();
        if header.is_none() {
            let message = format!("`{}` cannot be a header's name", name.value.escape_debug());
            self.report(Problem::new(Code::BadPath, name.span, message).help("use letters, digits and `-`"));
        }
        header
    }

    /// An http or https URL without user, query and fragment.
    pub fn url(&self, url: &Spanned<String>) -> Option<Url> {
        let bad = |message: &str, help: &str| {
            self.report(Problem::new(Code::BadPath, url.span, message).help(help));
            None
        };
        if url.value.contains(HOLE) {
            return Url::parse("http://placeholder.invalid").ok();
        }
        let Ok(parsed) = Url::parse(&url.value) else {
            return bad("this is no URL", "write it whole, such as https://api.example.com/v1");
        };
        match parsed.scheme() {
            _ if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none_or(str::is_empty) => {
                bad("only http and https URLs can be used", "write it whole, such as https://api.example.com/v1")
            }
            _ if !parsed.username().is_empty() || parsed.password().is_some() => {
                bad("a URL must not hold a user or password", "use `auth:`")
            }
            _ if parsed.query().is_some() || parsed.fragment().is_some() => bad(
                "this URL must not have a query or fragment",
                "put parameters under `query:` of the stream or operation",
            ),
            _ => Some(parsed),
        }
    }

    pub fn expression(&self, source: &Spanned<Source>, roots: &[&str]) -> Option<Expression> {
        self.unfilled(source);
        let declared = self.settings.borrow();
        let declared: Vec<&str> = declared.iter().map(String::as_str).collect();
        let compiled = self.compiled(&source.value.0);
        let checked = compiled.and_then(|expression| expression.check_roots(roots).map(|()| expression));
        let checked = checked.and_then(|it| it.check_fields("config", &declared, "setting").map(|()| it));
        checked.map_err(|error| self.code(source, error)).ok()
    }

    /// A text that stands in many files is compiled once.
    fn compiled(&self, text: &str) -> Result<Expression, CompileError> {
        if let Some(known) = self.expressions.borrow().get(text) {
            return Ok(known.clone());
        }
        let expression = Expression::compile(text)?;
        self.expressions.borrow_mut().insert(text.to_owned(), expression.clone());
        Ok(expression)
    }

    pub fn template(&self, source: &Spanned<Source>, roots: &[&str]) -> Option<Template> {
        self.unfilled(source);
        let declared = self.settings.borrow();
        let declared: Vec<&str> = declared.iter().map(String::as_str).collect();
        let compiled = Template::compile(&source.value.0);
        let checked = compiled.and_then(|template| template.check_roots(roots).map(|()| template));
        let checked = checked.and_then(|it| it.check_fields("config", &declared, "setting").map(|()| it));
        checked.map_err(|error| self.code(source, error)).ok()
    }

    fn unfilled(&self, source: &Spanned<Source>) {
        if let Some(at) = source.value.0.find("${") {
            let message = "`${}` is not filled in expressions and templates";
            let help =
                "declare a setting under the connector's `config`, give it in the connection, and use `config.<name>`";
            let span = self.inside(source.span, &source.value.0, at..at + 2);
            self.report(Problem::new(Code::Expression, span, message).help(help));
        }
    }

    fn code(&self, source: &Spanned<Source>, error: CompileError) {
        let span = error.offset.map_or(source.span, |range| self.inside(source.span, &source.value.0, range));
        self.report(Problem::new(Code::Expression, span, error.message).maybe_help(error.help));
    }

    /// The place of some bytes of a scalar's value.
    pub fn inside(&self, span: Span, value: &str, range: std::ops::Range<usize>) -> Span {
        let written = self.sources.slice(span);
        let start = offset_in_source(written, value, range.start);
        let end = offset_in_source(written, value, range.end).max(start + 1);
        let from = span.start as usize;
        Span::new(span.file, from + start, (from + end).min(span.end as usize))
    }

    pub fn number(&self, number: Option<&Spanned<u64>>, default: u64, bounds: RangeInclusive<u64>) -> u64 {
        let Some(number) = number else { return default };
        if !bounds.contains(&number.value) {
            self.out_of(number.span, format!("write a number from {} to {}", bounds.start(), bounds.end()));
            return default;
        }
        number.value
    }

    pub fn time(&self, time: Option<&Spanned<Time>>, default: Duration, bounds: RangeInclusive<Duration>) -> Duration {
        let Some(time) = time else { return default };
        if !bounds.contains(&time.value.0) {
            let help = format!("write a time from {:?} to {:?}", bounds.start(), bounds.end());
            self.out_of(time.span, help);
            return default;
        }
        time.value.0
    }

    pub fn size(&self, size: Option<&Spanned<Size>>, default: u64, bounds: RangeInclusive<u64>) -> u64 {
        let Some(size) = size else { return default };
        if !bounds.contains(&size.value.0) {
            self.out_of(size.span, format!("write a size from {} to {} bytes", bounds.start(), bounds.end()));
            return default;
        }
        size.value.0
    }

    pub fn out_of(&self, span: Span, help: impl Into<String>) {
        let message = format!("`{}` is out of bounds", self.sources.slice(span));
        self.report(Problem::new(Code::OutOfRange, span, message).help(help));
    }

    pub fn status(&self, status: Option<&Spanned<u64>>, default: StatusCode) -> StatusCode {
        let Some(status) = status else { return default };
        let code = u16::try_from(status.value).ok().filter(|code| (100..=599).contains(code));
        code.and_then(|code| StatusCode::from_u16(code).ok()).unwrap_or_else(|| {
            self.out_of(status.span, "write a status from 100 to 599".to_owned());
            default
        })
    }

    /// A file or folder, relative to the workspace.
    pub fn place(&self, path: &Spanned<String>) -> PathBuf {
        if path.value.is_empty() || path.value.contains('\0') {
            let problem = Problem::new(Code::BadPath, path.span, "this is no path of a file or folder");
            self.report(problem.help("write a path; a relative one starts at the workspace"));
        }
        self.reading.base.join(FilePath::new(&path.value))
    }
}
