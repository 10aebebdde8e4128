//! A record taken apart into its fields, while steps change it.

use std::borrow::Cow;

use bytes::Bytes;

use super::{
    edit::{self, Misfit},
    flatten::{Unflat, flat},
};
use crate::{
    config::plan::Flatten,
    expr::{Entry, Scope, object},
    model::{Fields, Path, Step},
};

/// The fields of a record in their order. Those that were not changed are slices of the page. A name that the source
/// wrote twice stands here twice: the last counts, and a step that touches the name leaves one.
pub struct Draft<'r> {
    entries: Vec<Entry<'r>>,
    changed: bool,
}

impl<'r> Draft<'r> {
    pub fn of(fields: &'r Fields) -> Self {
        let entries = fields.entries().into_iter().map(|(name, raw)| (name, Cow::Borrowed(raw.get())));
        Self { entries: entries.collect(), changed: false }
    }

    /// What expressions see at this moment.
    pub fn scope(&self) -> Scope<'_> {
        Scope::of_entries(&self.entries)
    }

    /// The new record, or nothing when it is as it was.
    pub fn finish(self) -> Option<Fields> {
        self.changed.then(|| Fields::from_object(Bytes::from(object(&self.entries))))
    }

    fn last(&self, name: &str) -> Option<&str> {
        self.entries.iter().rev().find(|(field, _)| field == name).map(|(_, raw)| &**raw)
    }

    /// What stands at the path.
    pub fn find(&self, path: &Path) -> Option<&str> {
        let (Step::Field(name), rest) = path.steps().split_first()? else { return None };
        edit::find(self.last(name)?, rest)
    }

    /// Makes fields of the objects inside.
    pub fn flatten(&mut self, by: &Flatten) -> Result<(), Unflat> {
        if let Some(entries) = flat(&self.entries, by)? {
            (self.entries, self.changed) = (entries, true);
        }
        Ok(())
    }

    /// Puts a value where the path leads, making the objects on the way.
    pub fn set(&mut self, path: &Path, value: String) -> Result<(), Misfit> {
        let Some((Step::Field(name), rest)) = path.steps().split_first() else {
            return Err(Misfit::Nameless);
        };
        let before = self.last(name);
        let after = if rest.is_empty() { value } else { edit::set(before, rest, &value, name)? };
        if before != Some(&after) {
            self.put(name, Cow::Owned(after));
        }
        Ok(())
    }

    /// Replaces the field's value in its place, or adds the field at the end.
    fn put(&mut self, name: &str, value: Cow<'r, str>) {
        self.changed = true;
        let Some(first) = self.entries.iter().position(|(field, _)| field == name) else {
            self.entries.push((Cow::Owned(name.to_owned()), value));
            return;
        };
        self.entries[first].1 = value;
        let mut at = 0;
        self.entries.retain(|(field, _)| {
            at += 1;
            at <= first + 1 || field != name
        });
    }

    /// Takes away what stands at the path, if anything does.
    pub fn drop(&mut self, path: &Path) -> Option<String> {
        let (Step::Field(name), rest) = path.steps().split_first()? else {
            return None;
        };
        if rest.is_empty() {
            let value = self.last(name)?.to_owned();
            self.entries.retain(|(field, _)| field != name);
            self.changed = true;
            return Some(value);
        }
        let (after, taken) = edit::drop(self.last(name)?, rest)?;
        self.put(name, Cow::Owned(after));
        Some(taken)
    }

    /// Leaves only what stands at the paths.
    pub fn keep(&mut self, paths: &[Path]) {
        let mut kept = Vec::with_capacity(self.entries.len());
        for (name, raw) in self.entries.drain(..) {
            let inside = edit::inside_field(paths.iter().map(Path::steps), &name);
            match edit::keep(&raw, &inside) {
                Some(Cow::Borrowed(_)) => kept.push((name, raw)),
                Some(Cow::Owned(part)) => {
                    self.changed = true;
                    kept.push((name, Cow::Owned(part)));
                }
                None => self.changed = true,
            }
        }
        self.entries = kept;
    }

    /// Gives fields other names, all at once, so that two can swap theirs. A field that had the new name before is
    /// replaced.
    pub fn rename(&mut self, pairs: &[(Path, Path)]) -> Result<(), Misfit> {
        let simple = |pair: &&(Path, Path)| pair.0.single_field().is_some() && pair.1.single_field().is_some();
        let nested: Vec<_> = pairs.iter().filter(|pair| !simple(pair)).collect();
        let taken: Vec<_> = nested.iter().map(|(from, to)| (to, self.drop(from))).collect();
        let names: Vec<(&str, &str)> = pairs
            .iter()
            .filter(simple)
            .filter_map(|(from, to)| Some((from.single_field()?, to.single_field()?)))
            .filter(|(from, to)| from != to && self.last(from).is_some())
            .collect();
        if !names.is_empty() {
            self.rename_fields(&names);
        }
        for (to, value) in taken {
            if let Some(value) = value {
                self.set(to, value)?;
            }
        }
        Ok(())
    }

    fn rename_fields(&mut self, names: &[(&str, &str)]) {
        self.changed = true;
        let old = std::mem::take(&mut self.entries);
        let new_name = |name: &str| names.iter().find(|(from, _)| *from == name).map(|(_, to)| *to);
        for (name, raw) in old {
            match new_name(&name) {
                Some(to) => {
                    // Of a name that stood twice the last value counts, in the place of the first.
                    match self.entries.iter_mut().find(|(field, _)| field == to) {
                        Some(entry) => entry.1 = raw,
                        None => self.entries.push((Cow::Owned(to.to_owned()), raw)),
                    }
                }
                None if names.iter().any(|(_, to)| *to == name) => {}
                None => self.entries.push((name, raw)),
            }
        }
    }
}
