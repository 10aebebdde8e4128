//! Names the slices of a stream, one after the other: all combinations of its ways of slicing, the first way outermost.
//!
//! Nothing is listed in advance. A place says where each way stands, so the next slice is found from it after any crash, and a million
//! parents cost what one page of them costs. What stands at a place is looked at again: a list or a page that changed meanwhile makes the
//! slices inside begin anew, because some of them would be passed over.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::{Source, no_slice};
use crate::{
    config::plan::{Parent, SliceWay, Slices},
    expr::Scope,
    http::render,
    model::{AtParent, Checkpoint, Cursor, Fault, Fields, Key, Page, Place},
    transform::Draft,
};

/// What a slice may know, at the most. It stands in the checkpoint while the slice is read.
const VALUES_BYTES_MAX: usize = 4096;

/// The ways of slicing of one stream.
pub struct Ways {
    stream: String,
    ways: Vec<Way>,
}

struct Way {
    name: String,
    kind: Kind,
}

enum Kind {
    Values(Result<Vec<String>, Fault>),
    Parent { plan: Parent, source: Box<dyn Source> },
}

/// The parents' pages that were read last. Only a memory: a page that is not there is read again.
#[derive(Default)]
pub struct Pages(Vec<Option<(Checkpoint, Arc<Page>)>>);

/// What stands at a place.
struct Current {
    value: String,
    key: Option<Key>,
    /// It is not what stood there.
    moved: bool,
}

impl Ways {
    /// `open` makes the source of a parent.
    pub fn new(stream: &str, slices: &Slices, settings: &Fields, open: impl Fn(&Parent) -> Box<dyn Source>) -> Self {
        let way = |by: &crate::config::plan::SliceBy| Way {
            name: by.name.clone(),
            kind: match &by.way {
                SliceWay::Values(node) => {
                    let scope = Scope::new().json("config", settings.as_str());
                    let list = render::json(node, &scope).map_err(|reason| no_slice(stream, &reason.message));
                    Kind::Values(list.and_then(|list| values(stream, &by.name, list.as_deref())))
                }
                SliceWay::Parent(parent) => Kind::Parent { plan: parent.clone(), source: open(parent) },
            },
        };
        Self { stream: stream.to_owned(), ways: slices.by.iter().map(way).collect() }
    }

    /// Where the first slice of a pass begins. `parents` are the cursors of parents of which only those that changed are visited.
    pub fn start(&self, parents: &[(String, Cursor)]) -> Vec<Place> {
        (0..self.ways.len()).map(|way| self.first(way, parents)).collect()
    }

    fn first(&self, way: usize, parents: &[(String, Cursor)]) -> Place {
        let Way { name, kind } = &self.ways[way];
        match kind {
            Kind::Values(list) => {
                let value = list.as_ref().ok().and_then(|list| list.first()).cloned().unwrap_or_default();
                Place::Value { at: 0, value }
            }
            Kind::Parent { plan, .. } => {
                let known = || parents.iter().find(|(parent, _)| parent == name).map(|(_, cursor)| cursor.clone());
                let cursor = if plan.changed_only { known() } else { None };
                Place::Parent(Box::new(AtParent { cursor, ..AtParent::default() }))
            }
        }
    }

    /// The values of the slice at `places`, and moves them on to the next one. Nothing: there are no more. What parents' cursors
    /// come to at the end of their listing is added to `ended`.
    pub async fn take(
        &self,
        places: &mut [Place],
        parents: &[(String, Cursor)],
        ended: &mut Vec<(String, Cursor)>,
        pages: &mut Pages,
    ) -> Result<Option<String>, Fault> {
        let mut values: Vec<Current> = Vec::new();
        while values.len() < places.len() {
            let way = values.len();
            let Some(current) = self.current(way, &mut places[way], ended, pages).await? else {
                let Some(outer) = values.pop() else { return Ok(None) };
                places[way] = self.first(way, parents);
                self.step(way - 1, &mut places[way - 1], outer.key);
                continue;
            };
            if current.moved {
                (way + 1..places.len()).for_each(|inner| places[inner] = self.first(inner, parents));
            }
            values.push(current);
        }
        let text = object(self.ways.iter().map(|way| way.name.as_str()).zip(values.iter().map(|it| it.value.as_str())));
        if text.len() > VALUES_BYTES_MAX {
            let message =
                format!("what a slice knows of its parents has {} bytes, more than {VALUES_BYTES_MAX}", text.len());
            return Err(no_slice(&self.stream, &message));
        }
        if let Some(last) = values.pop() {
            let way = places.len() - 1;
            self.step(way, &mut places[way], last.key);
        }
        Ok(Some(text))
    }

    async fn current(
        &self,
        way: usize,
        place: &mut Place,
        ended: &mut Vec<(String, Cursor)>,
        pages: &mut Pages,
    ) -> Result<Option<Current>, Fault> {
        match (&self.ways[way].kind, place) {
            (Kind::Values(list), Place::Value { at, value }) => {
                let list = list.as_ref().map_err(Clone::clone)?;
                let moved = *at < list.len() && list[*at] != *value;
                if moved {
                    *at = list.iter().position(|other| other == value).unwrap_or(0);
                    value.clone_from(&list[*at]);
                }
                Ok(list.get(*at).map(|value| Current { value: value.clone(), key: None, moved }))
            }
            (Kind::Parent { plan, source }, Place::Parent(at)) => {
                let found = self.record(plan, &**source, at, pages.slot(way)).await?;
                if let (None, true, Some(cursor)) = (&found, plan.changed_only, &at.cursor)
                    && !ended.iter().any(|(name, _)| *name == self.ways[way].name)
                {
                    ended.push((self.ways[way].name.clone(), cursor.clone()));
                }
                Ok(found)
            }
            // The connector was changed in the middle of a pass.
            (_, place) => {
                *place = self.first(way, &[]);
                Box::pin(self.current(way, place, ended, pages)).await
            }
        }
    }

    /// The parent's record at a place, which moves on to the page that has one.
    async fn record(
        &self,
        plan: &Parent,
        source: &dyn Source,
        at: &mut AtParent,
        kept: &mut Option<(Checkpoint, Arc<Page>)>,
    ) -> Result<Option<Current>, Fault> {
        let mut moved = false;
        loop {
            let from = Checkpoint { cursor: at.cursor.clone(), scan: at.scan.clone(), ..Checkpoint::default() };
            let page = match kept {
                Some((known, page)) if *known == from => page.clone(),
                _ => {
                    let page = Arc::new(source.read(&from).await?);
                    // A first page that is read again is read within the same window: with a later end it would show parents again
                    // that had their turn, and hide others behind them.
                    at.scan.get_or_insert_with(|| page.scan.clone());
                    let from = Checkpoint { scan: at.scan.clone(), ..from };
                    kept.insert((from, page)).1.clone()
                }
            };
            let record = |index: usize| {
                let record = page.records.get(index).map(|record| (Some(record.key.clone()), &record.fields));
                // What has no name of its own may still have children.
                record.or_else(|| {
                    let reject = page.rejects.get(index.checked_sub(page.records.len())?)?;
                    Some((reject.key.clone(), &reject.fields))
                })
            };
            let before = at.taken.checked_sub(1).and_then(record).and_then(|(key, _)| key);
            if at.taken > 0 && before != at.last {
                let keys = (0..).map_while(record).map(|(key, _)| key);
                at.taken = keys.take_while(|key| *key != at.last).count() + 1;
                if record(at.taken - 1).is_none() {
                    at.taken = 0;
                }
                moved = true;
            }
            if let Some((key, fields)) = record(at.taken) {
                moved |= at.now.is_some() && at.now != key;
                at.now.clone_from(&key);
                return Ok(Some(Current { value: self.known(plan, fields)?, key, moved }));
            }
            at.cursor.clone_from(&page.next.cursor);
            if page.end {
                return Ok(None);
            }
            *at = AtParent { cursor: at.cursor.take(), scan: page.next.scan.clone(), ..AtParent::default() };
        }
    }

    /// What a slice knows of its parent.
    fn known(&self, plan: &Parent, record: &Fields) -> Result<String, Fault> {
        let is_there = |path: &&crate::model::Path| record.get(path).is_some_and(|raw| raw.get() != "null");
        if let Some(missing) = plan.fields.iter().find(|path| !is_there(path)) {
            let message = format!("a record of its parent {} has nothing at `{missing}`", plan.stream.name);
            return Err(no_slice(&self.stream, &message));
        }
        let mut draft = Draft::of(record);
        draft.keep(&plan.fields);
        Ok(draft.finish().unwrap_or_else(|| record.clone()).as_str().to_owned())
    }

    fn step(&self, way: usize, place: &mut Place, key: Option<Key>) {
        match (&self.ways[way].kind, place) {
            (Kind::Values(list), Place::Value { at, value }) => {
                *at += 1;
                *value = list.as_ref().ok().and_then(|list| list.get(*at)).cloned().unwrap_or_default();
            }
            (_, Place::Parent(at)) => {
                at.taken += 1;
                at.last = key;
                at.now = None;
            }
            (Kind::Parent { .. }, Place::Value { .. }) => {}
        }
    }
}

impl Pages {
    fn slot(&mut self, way: usize) -> &mut Option<(Checkpoint, Arc<Page>)> {
        if self.0.len() <= way {
            self.0.resize(way + 1, None);
        }
        &mut self.0[way]
    }
}

/// The texts of a list's values.
fn values(stream: &str, name: &str, list: Option<&str>) -> Result<Vec<String>, Fault> {
    let not_a_list = || no_slice(stream, &format!("the values of `{name}` are no list of texts and numbers"));
    let list: Vec<&RawValue> = serde_json::from_str(list.unwrap_or("null")).map_err(|_| not_a_list())?;
    let is_scalar =
        |raw: &&RawValue| raw.get().starts_with(['"', '-']) || raw.get().starts_with(|c: char| c.is_ascii_digit());
    match list.iter().all(is_scalar) {
        true => Ok(list.iter().map(|raw| raw.get().to_owned()).collect()),
        false => Err(not_a_list()),
    }
}

fn object<'t>(fields: impl Iterator<Item = (&'t str, &'t str)>) -> String {
    let fields: Vec<String> = fields.map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", fields.join(","))
}
