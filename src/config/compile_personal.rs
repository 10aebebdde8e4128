//! Personal fields: which rules a pipeline has, whether each of them can be kept on the whole way of a record, and by which keys.
//!
//! A rule is refused where it would do harm: a mask on what names a record makes one record of many, an encrypted name is another
//! one after a rotation, and a cursor must be read to be followed. What becomes of a value that steps calculate with is not
//! followed (see `trace.rs`).

use std::{collections::BTreeMap, sync::Arc};

use super::{
    check::Check,
    compile_personal_keys::Keys,
    compile_personal_way::Way,
    diagnostic::Problem,
    plan::{From, Incremental, NextToken, Paginate, Personal, PersonalKeys, PersonalRule, Protect, Stream, To},
    raw_personal::RawProtect,
    raw_pipeline::RawPipeline,
    raw_stream::RawStream,
    shape::{Named, Spanned},
    source::Span,
    trace::overlap,
};
use crate::model::{Code, Path, Step};

/// What connectors and the workspace say about personal fields.
#[derive(Default)]
pub struct Ground {
    /// By connector and stream.
    streams: BTreeMap<(String, String), Vec<Declared>>,
    pub(super) keys: Keys,
}

impl Ground {
    /// The rules that a connector's stream declares.
    pub(super) fn of_stream(&self, connector: &str, stream: &str) -> &[Declared] {
        self.streams.get(&(connector.to_owned(), stream.to_owned())).map_or(&[], Vec::as_slice)
    }

    pub(super) fn keys_at_hand(&self) -> Option<Arc<PersonalKeys>> {
        match &self.keys {
            Keys::There(keys) => Some(Arc::clone(keys)),
            Keys::Absent | Keys::Unusable { .. } => None,
        }
    }
}

/// A rule where it is written.
#[derive(Clone)]
pub struct Declared {
    pub path: Path,
    pub protect: Protect,
    pub at: Span,
}

impl Check<'_> {
    pub fn note_personal(&self, connector: &str, streams: &Named<Spanned<RawStream>>) {
        for (name, stream) in streams.iter() {
            let rules = self.declared(&stream.value.personal);
            self.personal.borrow_mut().streams.insert((connector.to_owned(), name.value.clone()), rules);
        }
    }

    fn declared(&self, rules: &Named<Spanned<RawProtect>>) -> Vec<Declared> {
        let one = |(name, rule): &(Spanned<String>, Spanned<RawProtect>)| {
            let path = self.path(name);
            if path.steps().is_empty() && name.value == "." || matches!(path.steps().first(), Some(Step::Item(_))) {
                let problem = Problem::new(Code::PersonalRule, name.span, "a rule is for a field of the record");
                self.report(problem.help("name the field; a rule for an object or a list protects all of it"));
            }
            let protect = match rule.value {
                RawProtect::Mask => Protect::Mask,
                RawProtect::Hash => Protect::Hash,
                RawProtect::Encrypt => Protect::Encrypt,
            };
            Declared { path, protect, at: name.span }
        };
        rules.iter().map(one).filter(|rule| matches!(rule.path.steps().first(), Some(Step::Field(_)))).collect()
    }

    /// The rules of a pipeline and of the stream that it reads.
    pub fn personal(&self, raw: &RawPipeline, way: &Way<'_>) -> Personal {
        let own = self.declared(&raw.personal);
        let ground = self.personal.borrow();
        let of_stream = way.from.and_then(|from| {
            let Stream { name, .. } = &*from.stream;
            ground.streams.get(&(from.api.as_ref()?.connector.clone(), name.clone()))
        });
        let mut rules: Vec<Declared> = Vec::new();
        for rule in of_stream.cloned().unwrap_or_default().into_iter().chain(own) {
            match rules.iter().find(|other| overlap(&other.path, &rule.path)) {
                Some(other) if other.path == rule.path && other.protect == rule.protect => {}
                Some(other) => self.two_rules(&rule, other),
                None => rules.push(rule),
            }
        }
        let rules = self.rules_of_parts(way.from, raw, rules);
        let hashed_key = way.from.map(|from| self.stream_fits(&from.stream, &rules)).unwrap_or_default();
        let of_listing = |listed: Option<&Arc<Stream>>| match (way.from, listed) {
            (Some(from), Some(listed)) => self.listing(&ground, from, listed, &rules, &hashed_key),
            _ => Vec::new(),
        };
        let deletes = match way.to {
            Some(To::Operation { deletes, .. }) => deletes.as_deref(),
            _ => None,
        };
        let tombstones = of_listing(deletes.and_then(|deletes| deletes.tombstones.as_ref()));
        let existing = of_listing(deletes.and_then(|deletes| deletes.sweep.as_ref()?.stream.as_ref()));
        [&rules, &tombstones, &existing].into_iter().for_each(|rules| self.keys_fit(rules, &ground.keys));
        let (clear, clear_gone) = self.ways_fit(way, &rules, &tombstones);
        let keys = ground.keys_at_hand();
        let [rules, tombstones, existing] = [&rules, &tombstones, &existing].map(|rules| plans(rules));
        Personal { rules, hashed_key, clear, clear_gone, tombstones, existing, keys }
    }

    /// The rules of a stream that tells what is gone, or what exists: its own; those of the stream itself, for its records may
    /// show the same fields; and hashes for the same names.
    fn listing(
        &self,
        ground: &Ground,
        from: &From,
        listed: &Stream,
        rules: &[Declared],
        hashed: &[bool],
    ) -> Vec<Declared> {
        let api = from.api.as_ref();
        let own = api.and_then(|api| ground.streams.get(&(api.connector.clone(), listed.name.clone())));
        let mut all = own.cloned().unwrap_or_default();
        for (is_hashed, (key, is_wanted)) in self.stream_fits(listed, &all).iter().zip(listed.key.iter().zip(hashed)) {
            if let Some(rule) = all.iter().find(|rule| rule.path == *key).filter(|_| *is_hashed && !is_wanted) {
                let message = format!("`{key}` is hashed here, and not in `{}`", from.stream.name);
                self.refuse(rule.at, message, "hash the key of both streams, or of none: they name the same records");
            }
        }
        let needed: Vec<&Path> = needed(listed).into_iter().map(|(path, _)| path).chain(&listed.key).collect();
        for rule in rules {
            let stands_by_itself = |other: &Path| !overlap(other, &rule.path);
            if needed.iter().all(|path| stands_by_itself(path)) && all.iter().all(|own| stands_by_itself(&own.path)) {
                all.push(rule.clone());
            }
        }
        let names = from.stream.key.iter().zip(&listed.key).zip(hashed).filter(|(_, is_hashed)| **is_hashed);
        for ((key, path), _) in names {
            let rule = rules.iter().find(|rule| rule.path == *key);
            all.extend(
                rule.filter(|_| all.iter().all(|own| own.path != *path))
                    .map(|rule| Declared { path: path.clone(), ..rule.clone() }),
            );
        }
        all
    }

    pub(super) fn refuse(&self, at: Span, message: String, help: &str) {
        self.report(Problem::new(Code::PersonalRule, at, message).help(help));
    }

    fn two_rules(&self, rule: &Declared, other: &Declared) {
        let message = format!("two rules are about `{}`", rule.path);
        let help = "keep one; what the stream declares holds for every pipeline";
        let problem = Problem::new(Code::PersonalRule, rule.at, message).help(help);
        self.report(problem.related(other.at, format!("`{}` is {} here", other.path, other.protect.done())));
    }

    /// Checks the rules against what reading needs, and tells which fields of the key are hashed.
    fn stream_fits(&self, stream: &Stream, rules: &[Declared]) -> Vec<bool> {
        for rule in rules {
            for (_, why) in needed(stream).into_iter().filter(|(path, _)| overlap(path, &rule.path)) {
                let message = format!("`{}` cannot be protected: {why}", rule.path);
                self.refuse(rule.at, message, "remove the rule; such a field must stay as it is");
            }
            let is_key = stream.key.iter().any(|key| *key == rule.path && rule.protect == Protect::Hash);
            if !is_key && stream.key.iter().any(|key| overlap(key, &rule.path)) {
                let message = format!("`{}` names the record, so it cannot be {}", rule.path, rule.protect.done());
                self.refuse(
                    rule.at,
                    message,
                    "write `hash` for exactly the field of the key: each record keeps a name of its own",
                );
            }
        }
        stream.key.iter().map(|key| rules.iter().any(|rule| rule.path == *key)).collect()
    }
}

/// The fields that reading looks at, but for the key, and why.
fn needed(stream: &Stream) -> Vec<(&Path, &'static str)> {
    let cursor = match &stream.incremental {
        Some(Incremental::Field(field)) => Some((&field.field, "the cursor follows it")),
        Some(Incremental::Token { .. }) | None => None,
    };
    let version = stream.version.as_ref().map(|path| (path, "it tells the record's version"));
    let last = match &stream.paginate {
        // Where lists become records it is a field of the item around them, and of no record.
        Paginate::Cursor { next: NextToken::LastRecord(path), .. } if stream.expand.is_empty() => {
            Some((path, "the next page begins at it"))
        }
        _ => None,
    };
    let flag = stream.deletions.as_ref().and_then(|deletions| deletions.flag.as_ref());
    let flag = flag.map(|flag| (&flag.path, "it tells whether the record is gone"));
    [cursor, version, last, flag].into_iter().flatten().collect()
}

pub fn plans(rules: &[Declared]) -> Vec<PersonalRule> {
    rules.iter().map(|rule| PersonalRule { path: rule.path.clone(), protect: rule.protect }).collect()
}
