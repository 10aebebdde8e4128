//! Which record an entry of an answer speaks of, and what is known of all records so far. Pure.
//!
//! The hard idea: an entry that names nothing that was sent, or a record that has its verdict already, makes the whole
//! answer worthless, because then nobody knows what the other entries mean.

use std::collections::{HashMap, VecDeque};

use secrecy::SecretString;
use serde_json::value::RawValue;

use crate::{
    config::plan::{Match, MatchBy},
    model::{Fields, Path, Verdict},
    store::Item,
};

/// What is known of a record that was sent, by which an answer may name it.
#[derive(Clone, Copy, Debug)]
pub struct Sent<'a> {
    pub fields: &'a Fields,
    pub key: &'a str,
    /// The id it has at the sink.
    pub id: Option<&'a str>,
    /// What the signer put into the request: no message about the record repeats it.
    pub secrets: &'a [SecretString],
}

impl<'a> Sent<'a> {
    pub fn of(item: &'a Item, secrets: &'a [SecretString]) -> Self {
        Self { fields: &item.fields, key: &item.idempotency_key, id: item.sink_id.as_deref(), secrets }
    }
}

/// Verdicts as they come in, one place per record that was sent.
pub struct Tally<'a> {
    verdicts: Vec<Option<Verdict>>,
    named: Names<'a>,
    /// Where an entry of the refused ones has its name.
    in_errors: Option<&'a Path>,
}

/// What an entry may be called by.
enum Names<'a> {
    Index(&'a Path),
    /// Records may share a text; the answers for it are taken in their order.
    Text {
        path: &'a Path,
        waiting: HashMap<String, VecDeque<usize>>,
    },
}

impl<'a> Tally<'a> {
    pub fn new(matched: &'a Match, sent: &[Sent<'_>]) -> Self {
        let by = |path: &'a Path, text_of: &dyn Fn(&Sent<'_>) -> Option<String>| {
            let mut waiting: HashMap<String, VecDeque<usize>> = HashMap::new();
            for (at, sent) in sent.iter().enumerate() {
                if let Some(text) = text_of(sent) {
                    waiting.entry(text).or_default().push_back(at);
                }
            }
            Names::Text { path, waiting }
        };
        let named = match &matched.by {
            MatchBy::Index(path) => Names::Index(path),
            MatchBy::Field { answer, sent: field } => {
                by(answer, &|sent| sent.fields.get(field).and_then(|raw| text(raw.get())))
            }
            MatchBy::Key(path) => by(path, &|sent| Some(sent.key.to_owned())),
            MatchBy::Id(path) => by(path, &|sent| sent.id.map(str::to_owned)),
        };
        Self { verdicts: vec![None; sent.len()], named, in_errors: matched.in_errors.as_ref() }
    }

    /// The place of the record that an entry of accepted ones speaks of.
    pub fn place(&mut self, entry: &str) -> Result<usize, &'static str> {
        let path = self.named.path();
        let name = path.find(entry).and_then(|raw| text(raw.get())).ok_or(NAMELESS)?;
        self.named.take(&name, self.verdicts.len())
    }

    /// The places of the records that an entry of refused ones speaks of: one refusal may name several.
    pub fn places(&mut self, entry: &str) -> Result<Vec<usize>, &'static str> {
        let path = self.in_errors.unwrap_or(self.named.path());
        let raw = path.find(entry).ok_or(NAMELESS)?.get();
        let names: Option<Vec<String>> = match serde_json::from_str::<Vec<&RawValue>>(raw) {
            Ok(list) => list.into_iter().map(|raw| text(raw.get())).collect(),
            Err(_) => text(raw).map(|name| vec![name]),
        };
        let names = names.filter(|names| !names.is_empty()).ok_or(NAMELESS)?;
        let count = self.verdicts.len();
        names.iter().map(|name| self.named.take(name, count)).collect()
    }

    pub fn enter(&mut self, at: usize, verdict: Verdict) -> Result<(), &'static str> {
        match self.verdicts[at].replace(verdict) {
            None => Ok(()),
            Some(_) => Err(TWICE),
        }
    }

    /// All verdicts, or how many there are.
    pub fn finish(self) -> Result<Vec<Verdict>, usize> {
        let answered = self.verdicts.iter().flatten().count();
        self.verdicts.into_iter().collect::<Option<Vec<Verdict>>>().ok_or(answered)
    }
}

const NAMELESS: &str = "an entry names no record";
const TWICE: &str = "it answers twice for one record";

impl<'a> Names<'a> {
    fn path(&self) -> &'a Path {
        match self {
            Self::Index(path) | Self::Text { path, .. } => path,
        }
    }

    fn take(&mut self, name: &str, count: usize) -> Result<usize, &'static str> {
        match self {
            Self::Index(_) => {
                let at: usize = name.parse().map_err(|_| "an entry's position is no number")?;
                if at < count { Ok(at) } else { Err("an entry's position is beyond the batch") }
            }
            Self::Text { waiting, .. } => {
                let found = waiting.get_mut(name).ok_or("an entry names a record that was not sent")?;
                found.pop_front().ok_or(TWICE)
            }
        }
    }
}

/// The text of a JSON text, number or boolean.
pub fn text(raw: &str) -> Option<String> {
    match raw.as_bytes().first()? {
        b'"' => serde_json::from_str(raw).ok(),
        b'{' | b'[' | b'n' => None,
        _ => Some(raw.to_owned()),
    }
}
