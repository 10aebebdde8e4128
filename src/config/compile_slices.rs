//! Slices: the parts of a stream that are read on their own.
//!
//! The hard idea is that streams name each other: a stream is compiled alone first, and gets its slices once its parents have
//! theirs. Parents that lead back to the stream itself are a circle.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono_tz::Tz;

use super::{
    check::Check,
    compile_body::{unknown_field, uses},
    compile_connector::Compiled,
    diagnostic::Problem,
    fill::HOLE,
    plan::{CursorFormat, Incremental, Node, Parent, SliceBy, SliceStep, SliceWay, Slices, Stream, Windows},
    raw_slices::{RawParent, RawSliceBy, RawSlices, RawWindows},
    raw_stream::RawStream,
    shape::{Named, Spanned, Tree},
    units::Time,
};
use crate::model::{Code, Path, Step};

const CONCURRENCY: u64 = 8;
const SLICES_MAX: u64 = 10_000_000;
const WINDOW_MIN: Duration = Duration::from_secs(60);

/// The streams of a connector while they get their slices.
struct Family<'r> {
    raw: BTreeMap<&'r str, (&'r Spanned<String>, &'r RawStream)>,
    streams: &'r mut Compiled<Stream>,
    /// The streams whose slices are being made, the outermost first.
    under_way: Vec<&'r str>,
    done: Vec<&'r str>,
}

impl Check<'_> {
    /// Gives the streams of a connector their slices.
    pub fn slices_of_all(&self, raw: &Named<Spanned<RawStream>>, streams: &mut Compiled<Stream>) {
        let raw = raw.iter().map(|(name, stream)| (name.value.as_str(), (name, &stream.value))).collect();
        let mut family = Family { raw, streams, under_way: Vec::new(), done: Vec::new() };
        for name in family.raw.keys().copied().collect::<Vec<_>>() {
            self.slice(&mut family, name);
        }
    }

    fn slice<'r>(&self, family: &mut Family<'r>, name: &'r str) {
        let Some(&(at, stream)) = family.raw.get(name) else { return };
        let Some(slices) = stream.slices.as_ref().filter(|_| !family.done.contains(&name)) else { return };
        family.under_way.push(name);
        for (_, by) in slices.value.by.iter() {
            let RawSliceBy::Parent(parent) = &by.value else { continue };
            match family.under_way.iter().position(|other| *other == parent.stream.value) {
                Some(from) => self.circle(parent, &family.under_way[from..]),
                None => {
                    self.slice(family, family.raw.get_key_value(parent.stream.value.as_str()).map_or("", |(n, _)| n))
                }
            }
        }
        family.under_way.pop();
        family.done.push(name);
        self.are_no_secrets(family, slices);
        let Some(Some(alone)) = family.streams.get(name).cloned() else { return };
        let made = self.slices(slices, &alone, family.streams);
        let sliced = made.map(|slices| Arc::new(Stream { slices: Some(Arc::new(slices)), ..(*alone).clone() }));
        if let Some(sliced) = &sliced {
            self.uses_its_slices(at, slices, sliced);
        }
        family.streams.insert(name.to_owned(), sliced);
    }

    /// What a slice knows of its parent stands in checkpoints and URLs, in the clear.
    fn are_no_secrets(&self, family: &Family<'_>, slices: &Spanned<RawSlices>) {
        for (_, by) in slices.value.by.iter() {
            let RawSliceBy::Parent(parent) = &by.value else { continue };
            let Some((_, stream)) = family.raw.get(parent.stream.value.as_str()) else { continue };
            let fields = parent.fields.as_ref().map_or(&stream.key.0, |fields| &fields.0);
            let covers = |personal: &str, field: &str| {
                field.strip_prefix(personal).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            };
            for field in fields {
                if stream.personal.iter().any(|(personal, _)| covers(&personal.value, &field.value)) {
                    let message = format!("`{}` is a personal field of `{}`", field.value, parent.stream.value);
                    let help = "a slice's fields stand in addresses and in the checkpoint; name another field";
                    self.report(Problem::new(Code::PersonalRule, field.span, message).help(help));
                }
            }
        }
    }

    fn circle(&self, parent: &RawParent, way: &[&str]) {
        let way: Vec<String> = way.iter().chain(way.first()).map(|name| format!("`{name}`")).collect();
        let message = format!("streams that are each other's parents: {}", way.join(", "));
        self.conflict(parent.stream.span, message, "a parent is read before its children; remove one of the `parent:`");
    }

    fn slices(&self, raw: &Spanned<RawSlices>, stream: &Stream, streams: &Compiled<Stream>) -> Option<Slices> {
        let RawSlices { by, windows, add, concurrency, max } = &raw.value;
        if by.is_empty() && windows.is_none() {
            let help = "write `by:` with the ways of slicing, or `windows:`";
            self.missing_key(raw.span, raw.span, "by", help);
        }
        self.names("way of slicing", by);
        let ways: Vec<Option<SliceBy>> = by.iter().map(|(name, by)| self.slice_by(name, by, streams)).collect();
        let add: Vec<Option<_>> = add
            .iter()
            .map(|(name, source)| Some((self.path(name), self.expression(source, &["slice", "config"])?)))
            .collect();
        let windows = windows.as_ref().map(|windows| self.windows(windows, stream));
        self.sweeps_all(by, stream);
        if stream.conditional {
            let help = "remove `conditional`";
            self.conflict(raw.span, "a stream in slices cannot be asked whether anything is new", help);
        }
        Some(Slices {
            by: ways.into_iter().collect::<Option<Vec<_>>>()?,
            windows: windows.flatten(),
            add: add.into_iter().collect::<Option<Vec<_>>>()?,
            concurrency: usize::try_from(self.number(concurrency.as_ref(), CONCURRENCY, 1..=64)).unwrap_or(1),
            slices_max: self.number(max.as_ref(), SLICES_MAX, 1..=1_000_000_000),
        })
    }

    /// Records of parents that are not visited would be taken for gone.
    fn sweeps_all(&self, by: &Named<Spanned<RawSliceBy>>, stream: &Stream) {
        let sweep = stream.deletions.as_ref().and_then(|deletions| deletions.sweep.as_ref());
        if sweep.is_none_or(|sweep| sweep.stream.is_some()) {
            return;
        }
        for (_, by) in by.iter() {
            if let RawSliceBy::Parent(RawParent { changed_only: Some(only), .. }) = &by.value
                && only.value
            {
                let help = "remove `changed_only`, or the `sweep`";
                self.conflict(only.span, "a sweep needs all parents, and this visits only those that changed", help);
            }
        }
    }

    fn slice_by(
        &self,
        name: &Spanned<String>,
        raw: &Spanned<RawSliceBy>,
        streams: &Compiled<Stream>,
    ) -> Option<SliceBy> {
        let way = match &raw.value {
            RawSliceBy::Values(tree) => SliceWay::Values(self.values(tree)?),
            RawSliceBy::Parent(parent) => SliceWay::Parent(self.parent(parent, streams)?),
        };
        Some(SliceBy { name: name.value.clone(), way })
    }

    fn values(&self, tree: &Spanned<Tree>) -> Option<Node> {
        let scalar = |item: &Spanned<Tree>| matches!(item.value, Tree::Text(_) | Tree::Number(_));
        let node = self.tree(tree, &["config"])?;
        let is_list = match &tree.value {
            Tree::List(items) => !items.is_empty() && items.iter().all(scalar),
            _ => matches!(node, Node::Value(_)),
        };
        if !is_list {
            let problem = Problem::new(Code::WrongType, tree.span, "expected a list of texts and numbers");
            self.report(
                problem.help("write `values: [a, b]`, or `values: \"{{ config.names }}\"` for a list in the settings"),
            );
        }
        Some(node)
    }

    fn parent(&self, raw: &RawParent, streams: &Compiled<Stream>) -> Option<Parent> {
        let Some(stream) = streams.get(&raw.stream.value) else {
            self.unknown(
                "stream",
                &raw.stream,
                streams.keys().map(String::as_str),
                "the streams of this connector are",
            );
            return None;
        };
        let stream = stream.clone()?;
        let fields: Vec<Path> = match &raw.fields {
            Some(fields) => fields.0.iter().map(|field| self.path(field)).collect(),
            None => stream.key.clone(),
        };
        if let Some(item) = fields.iter().find(|field| !matches!(field.steps().first(), Some(Step::Field(_)))) {
            let message = format!("`{item}` is no field of a record");
            self.report(Problem::new(Code::WrongType, raw.stream.span, message).help("name fields such as `id`"));
        }
        let changed_only = raw.changed_only.as_ref().is_some_and(|only| only.value);
        let has_cursor = stream.slices.is_none() && matches!(stream.incremental, Some(Incremental::Field(_)));
        if let Some(only) = raw.changed_only.as_ref().filter(|_| changed_only && !has_cursor) {
            let message = format!("`{}` does not tell which of its records changed", stream.name);
            let help = "`changed_only` needs a parent with an `incremental` field and without slices; remove it to visit all parents";
            self.conflict(only.span, message, help);
        }
        Some(Parent { stream, fields, changed_only })
    }

    fn windows(&self, raw: &Spanned<RawWindows>, stream: &Stream) -> Option<Windows> {
        let RawWindows { step, timezone } = &raw.value;
        let has_times = match &stream.incremental {
            Some(Incremental::Field(field))
                if !matches!(field.format, CursorFormat::Integer | CursorFormat::Date(_)) =>
            {
                let is_sent = |query: &Option<String>| query.is_some() || uses(&stream.request, "window");
                if !is_sent(&field.since) || !is_sent(&field.until) {
                    let help = "write `since:` and `until:` with the parameters' names, or use `window.since` and `window.until`";
                    self.conflict(raw.span, "a window needs both of its bounds in the request", help);
                }
                if field.start.is_none() {
                    let help = "write `start:` under `incremental`, such as `start: 2020-01-01T00:00:00Z`";
                    self.conflict(raw.span, "nothing says where the first window begins", help);
                }
                true
            }
            _ => false,
        };
        if !has_times {
            let help = "windows need `incremental` with a `field` that is a time, and not a date alone";
            self.conflict(raw.span, "this stream has no windows of time", help);
        }
        let zone = timezone.as_ref().map_or(Some(Tz::UTC), |zone| self.zone(zone));
        Some(Windows { step: self.window_step(step)?, zone: zone? })
    }

    fn window_step(&self, raw: &Spanned<String>) -> Option<SliceStep> {
        let step = match raw.value.as_str() {
            "day" => SliceStep::Day,
            "week" => SliceStep::Week,
            "month" => SliceStep::Month,
            "quarter" => SliceStep::Quarter,
            "year" => SliceStep::Year,
            text if text.contains(HOLE) => SliceStep::Day,
            text => match Time::parse(text).filter(|time| time.0 >= WINDOW_MIN) {
                Some(Time(every)) => SliceStep::Every(every),
                None => {
                    let problem = Problem::new(Code::WrongType, raw.span, format!("`{text}` is no step of time"));
                    self.report(
                        problem.help("write day, week, month, quarter, year, or a time of at least 1m such as 6h"),
                    );
                    return None;
                }
            },
        };
        Some(step)
    }

    /// A slice that its request does not name is read once for each slice, and is the same each time.
    fn uses_its_slices(&self, at: &Spanned<String>, raw: &Spanned<RawSlices>, stream: &Stream) {
        let Some(slices) = &stream.slices else { return };
        let names: Vec<&str> = slices.by.iter().map(|by| by.name.as_str()).collect();
        if !names.is_empty() && !uses(&stream.request, "slice") {
            let help = format!("use `{{{{ slice.{} }}}}` or a field of it in the path, query or body", names[0]);
            self.conflict(raw.span, format!("the request of `{}` is the same in each slice", stream.name), help);
        }
        let added = slices
            .add
            .iter()
            .try_for_each(|(_, expression)| expression.check_fields("slice", &names, "way of slicing"));
        let used = unknown_field(&stream.request, "slice", &names, "way of slicing");
        if let Err(error) = added.and(used) {
            let help = error.help.clone().unwrap_or_default();
            self.report(Problem::new(Code::UnknownName, at.span, error.message).help(help));
        }
    }
}
