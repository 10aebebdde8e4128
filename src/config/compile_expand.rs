//! Lists that become records: `expand` of a stream, and `split` as the first step of a pipeline, which is an `expand` of the
//! pipeline's own copy of its stream. So every part of a record is a record of the stream, with a key, a verdict and a dead letter
//! of its own, and can be read again by itself.

use std::sync::Arc;

use super::{
    check::Check,
    compile_personal::Declared,
    diagnostic::Problem,
    plan::{CursorField, Deletions, Expand, Flag, From, Incremental, Stream},
    raw_pipeline::{RawPipeline, RawStep, RawTo},
    raw_steps::{RawExpand, RawSplit},
    raw_stream::RawStream,
    shape::{OneOrMany, Spanned},
    trace::inside,
};
use crate::model::{Code, Path, Step};

/// The name under which a record keeps what it was a part of.
const PARENT: &str = "parent";
/// The name under which a record keeps its place, where that is its key.
const PLACE: &str = "place";

impl Check<'_> {
    /// The list of a stream, with what reading needs of the items around it.
    pub fn expand(&self, stream: &RawStream, needed: &[&Path]) -> Vec<Expand> {
        let Some(raw) = &stream.expand else { return Vec::new() };
        let RawExpand { list, parent, keep, place } = &raw.value;
        let expand = self.expansion(list, parent.as_ref(), keep.as_ref(), place.as_ref(), needed);
        let is_named = needed.iter().any(|path| under(path, &expand.parent).is_some());
        if matches!(stream.paginate.as_ref().map(|raw| &raw.value), Some(super::raw_stream::RawPaginate::Offset(_)))
            && !is_named
        {
            let message = "pages by offset need the item's name, to notice when the listing moves";
            self.conflict(list.span, message, format!("begin the key with a field of `{}`", expand.parent));
        }
        vec![expand]
    }

    fn expansion(
        &self,
        list: &Spanned<String>,
        parent: Option<&Spanned<String>>,
        keep: Option<&OneOrMany<String>>,
        place: Option<&Spanned<String>>,
        needed: &[&Path],
    ) -> Expand {
        let path = self.path(list);
        if !matches!(path.steps().first(), Some(Step::Field(_))) && list.value == "." {
            self.report(Problem::new(Code::BadPath, list.span, "this is no field").help("name the field of the list"));
        }
        for name in [parent, place].into_iter().flatten() {
            self.field_name(name);
        }
        let parent = parent.map_or(PARENT, |name| &name.value).to_owned();
        let mut keep = keep.map(|keep| self.paths(keep));
        if let Some(keep) = &mut keep {
            let needed = needed.iter().filter_map(|path| under(path, &parent));
            keep.extend(needed.collect::<Vec<_>>());
        }
        Expand { list: path, parent, keep, place: place.map(|place| place.value.clone()) }
    }

    fn field_name(&self, name: &Spanned<String>) {
        if name.value.is_empty() || name.value.contains(['.', '[', ']']) {
            let problem = Problem::new(Code::BadPath, name.span, "this cannot be the name of a field");
            self.report(problem.help("write one name, without dots and brackets"));
        }
    }

    /// What a pipeline reads whose first step splits: its stream with one more list to take apart.
    pub fn split(&self, raw: &RawPipeline, to: Option<&Spanned<RawTo>>, from: From) -> Option<From> {
        let Some(RawStep::Split(split)) = raw.steps.first() else { return Some(from) };
        self.split_fits(to, split, &from);
        let span = split.span;
        let RawSplit { list, key, parent, keep, place } = &split.value;
        let own = &*from.stream;
        let name = parent.as_ref().map_or(PARENT, |name| &name.value).to_owned();
        let moved = |path: &Path| at(&name, path);
        let own_key = own.key.iter().map(moved).collect::<Option<Vec<_>>>();
        let flag = own.deletions.as_ref().and_then(|deletions| deletions.flag.as_ref());
        let placed = place.as_ref().map_or(PLACE, |place| &place.value);
        let (last, placed) = match key {
            Some(key) => (Some(self.path(key)), place.as_ref().map(|place| place.value.clone())),
            None => (Path::of(&[Step::Field(placed.to_owned())]), Some(placed.to_owned())),
        };
        let mut stream = own.clone();
        // It describes the records and not their parts.
        stream.schema = None;
        stream.key = own_key?.into_iter().chain([last?]).collect();
        stream.version = own.version.as_ref().and_then(moved);
        if let Some(Incremental::Field(field)) = &own.incremental {
            stream.incremental = Some(Incremental::Field(CursorField { field: moved(&field.field)?, ..field.clone() }));
        }
        if let (Some(flag), Some(deletions)) = (flag, &own.deletions) {
            let flag = Some(Flag { path: moved(&flag.path)?, ..flag.clone() });
            stream.deletions = Some(Deletions { flag, ..deletions.clone() });
        }
        let needed = needed(&stream);
        let expand = self.expansion(list, parent.as_ref(), keep.as_ref(), place.as_ref(), &needed);
        if stream.only.is_some() {
            // It looks at records of the stream as the connector declares them.
            self.conflict(span, "the stream has a `where`", "write a `filter` behind the split instead of the `where`");
        }
        stream.expand.push(Expand { place: placed, ..expand });
        Some(From { stream: Arc::new(stream), ..from })
    }

    fn split_fits(&self, to: Option<&Spanned<RawTo>>, split: &Spanned<RawSplit>, from: &From) {
        if from.ingress.is_some() {
            let message = "what is pushed has one verdict for each record, for whoever pushed it";
            self.misplaced(split, message, "push the parts one by one, or read the stream without `ingress`");
        }
        if from.rows.as_ref().is_some_and(|rows| rows.outbox().is_some()) {
            let message = "a row of an outbox has one verdict, and its parts would have several";
            self.misplaced(split, message, "put in a row for each part");
        }
        let tells = from.stream.deletions.as_ref().is_some_and(|deletions| {
            deletions.tombstones.is_some() || deletions.sweep.as_ref().is_some_and(|sweep| sweep.stream.is_some())
        });
        if tells && to.is_some_and(|to| to.value.deletes.is_some()) {
            let message = "another stream tells what is gone, and names whole records and not their parts";
            self.misplaced(
                split,
                message,
                "remove `deletes`, or use a stream that says so itself (`flag`, `sweep: {}`)",
            );
        }
    }

    fn misplaced(&self, split: &Spanned<RawSplit>, message: &str, help: &str) {
        self.report(Problem::new(Code::StepMisplaced, split.span, message).help(help));
    }

    /// Rules are about records as the vendor sends them; a pipeline that splits protects the parts.
    pub(super) fn rules_of_parts(&self, from: Option<&From>, raw: &RawPipeline, rules: Vec<Declared>) -> Vec<Declared> {
        let Some((from, RawStep::Split(_))) = from.zip(raw.steps.first()) else { return rules };
        let Some(Expand { list, parent, .. }) = from.stream.expand.last() else { return rules };
        let moved = |rule: Declared| {
            let steps = rule.path.steps();
            let path = match inside(steps, list.steps()) {
                Some([]) => None,
                Some(rest) => Path::of(rest),
                None if list.steps().starts_with(steps) => None,
                None => at(parent, &rule.path),
            };
            if path.is_none() {
                let message = format!("`{}` holds the list that is split", rule.path);
                self.refuse(rule.at, message, "protect the fields of its items by themselves, such as `lines.note`");
            }
            Some(Declared { path: path?, ..rule })
        };
        rules.into_iter().filter_map(moved).collect()
    }
}

/// The fields of a stream's records without which they cannot be read.
pub fn needed(stream: &Stream) -> Vec<&Path> {
    let cursor = match &stream.incremental {
        Some(Incremental::Field(field)) => Some(&field.field),
        Some(Incremental::Token { .. }) | None => None,
    };
    let flag = stream.deletions.as_ref().and_then(|deletions| deletions.flag.as_ref()).map(|flag| &flag.path);
    stream.key.iter().chain(&stream.version).chain(cursor).chain(flag).collect()
}

/// The place of a path inside of the field `parent`.
fn at(parent: &str, path: &Path) -> Option<Path> {
    Path::of(&[&[Step::Field(parent.to_owned())], path.steps()].concat())
}

/// The rest of a path that begins with the field `parent`.
fn under(path: &Path, parent: &str) -> Option<Path> {
    match path.steps().split_first()? {
        (Step::Field(name), rest) if name == parent && !rest.is_empty() => Path::of(rest),
        _ => None,
    }
}
